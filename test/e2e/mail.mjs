/* Rows of mail for the end-to-end tests, as the product would have written them. */
import { createHash, randomBytes } from 'node:crypto';

import { sql, sqlId } from './support.mjs';

export const HOUR = 3_600_000;
const SPANS = [300_000, HOUR, 24 * HOUR];
const states = ['queued', 'sent', 'delayed', 'delivered', 'suppressed', 'rejected', 'bounced', 'complained'];

/* An id whose order is that of its time. */
export function idAt(ms) {
    const hex = Math.floor(ms).toString(16).padStart(12, '0') + '7' + randomBytes(10).toString('hex').slice(0, 3)
        + '8' + randomBytes(10).toString('hex').slice(0, 15);
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

const text = (value) => `'${value.replaceAll("'", "''")}'`;

/*
 * Writes messages { tenantId, to, at, state, template, subject, code, detail, userId, providerId } and
 * what is counted of them. A state of bounced or complained counts in the rates
 * unless counted is false. Returns the messages, each with its id.
 */
export async function seedMail(installation, messages) {
    const id = (value) => sqlId(installation, value);
    const figures = new Map(), logs = [], out = [];
    for (const given of messages) {
        const m = {
            at: Date.now(), state: 'sent', template: 'welcome', subject: 'Welcome', code: '', detail: '', userId: null,
            counted: given.state === 'bounced' || given.state === 'complained', ...given,
        };
        m.id = idAt(m.at);
        m.domain = m.to.split('@')[1];
        m.providerId ??= `p-${m.id}`;
        out.push(m);
        const sent = m.state !== 'queued' && m.state !== 'suppressed' && m.state !== 'rejected';
        logs.push(`(${id(m.id)}, ${id(idAt(m.at))}, ${id(m.tenantId)}, ${m.userId ? id(m.userId) : 'NULL'},
            ${sent ? text(m.providerId) : 'NULL'}, ${text(m.to)}, ${text(m.domain)}, ${text(m.template)}, ${text(m.subject)}, 'sandbox',
            '${m.state}', ${m.counted ? 1 : 0}, ${text(m.code)}, ${text(m.detail)}, ${m.at}, ${sent ? m.at : 'NULL'}, ${m.at})`);
        for (const span of SPANS) {
            for (const [kind, name] of [[1, ''], [2, m.domain], [3, m.template], ...(m.code ? [[4, m.code]] : [])]) {
                const key = JSON.stringify([m.tenantId, kind, span, m.at - (m.at % span), name]);
                const counts = figures.get(key) ?? Array(10).fill(0);
                counts[states.indexOf(m.state)]++;
                if (m.counted) counts[m.state === 'bounced' ? 8 : 9]++;
                figures.set(key, counts);
            }
        }
    }
    const names = [...states, 'bounced_counted', 'complained_counted'];
    const statements = [];
    for (let i = 0; i < logs.length; i += 100)
        statements.push(`INSERT INTO email_logs (id, message_id, tenant_id, user_id, provider_id, recipient, domain, template, subject,
            transport, state, counted, error_code, detail, created_at, sent_at, state_at) VALUES ${logs.slice(i, i + 100).join(',')}`);
    for (const [key, counts] of figures) {
        const [tenant, kind, span, bucket, name] = JSON.parse(key);
        statements.push(`INSERT INTO email_figures AS r (tenant_id, kind, span, bucket, name, ${names.join(', ')})
            VALUES (${id(tenant)}, ${kind}, ${span}, ${bucket}, ${text(name)}, ${counts.join(', ')})
            ON CONFLICT (tenant_id, kind, span, bucket, name) DO UPDATE SET ${names.map((n) => `${n} = r.${n} + excluded.${n}`).join(', ')}`);
    }
    // A command line has an end: one statement each.
    for (const statement of statements) await sql(installation, statement);
    return out;
}

/* Writes events { log, kind, subtype, code, detail, at } of log rows as seedMail gives them. */
export async function seedEvents(installation, events) {
    const rows = events.map(({ log, kind, subtype = '', code = '', detail = '', at = log.at }) =>
        `(${sqlId(installation, log.id)}, ${text(log.providerId)}, ${text(log.to)}, ${text(kind)}, ${text(subtype)}, ${text(code)}, '',
            '', 0, ${at}, ${at}, ${bytes(installation, createHash('sha256').update(randomBytes(16)).digest('hex'))}, ${text(detail)})`);
    await sql(installation, `INSERT INTO email_events (log_id, provider_id, recipient, kind, subtype, code, feedback_id, state, counted,
        at, received_at, dedupe, detail) VALUES ${rows.join(',')}`);
}

const bytes = (installation, hex) => (installation.database.url.startsWith('sqlite:') ? `X'${hex}'` : `'\\x${hex}'::bytea`);

/* Deliveries are told of from now on. */
export async function knowDeliveries(installation, at = Date.now() - 24 * HOUR) {
    await sql(installation, `INSERT INTO email_firsts (kind, received_at) VALUES ('delivery', ${at})`);
}

/* n messages of one kind. */
export const many = (n, message) => Array.from({ length: n }, (_, i) => ({ to: `user${i}@example.net`, ...message }));

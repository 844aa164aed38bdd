/*
 * What the tests of mail share: a mail server of its own, tokens of programs, and a message as it
 * went over the wire.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { waitFor } from './harness.mjs';
import { sql, sqlId } from './support.mjs';

/* Debian's own: aiosmtpd is its package. */
const peer = path.join(path.dirname(fileURLToPath(import.meta.url)), 'smtp_peer.py');

/* The mail server of smtp_peer.py. messages: what it got, in order. */
export class MailServer {
    static async start({ port = 0, seconds = 0 } = {}) {
        const server = new MailServer();
        server.messages = [];
        server.child = spawn('/usr/bin/python3', [peer, String(port), String(seconds)], { stdio: ['pipe', 'pipe', 'inherit'] });
        let rest = '';
        server.child.stdout.setEncoding('utf8').on('data', (text) => {
            const whole = (rest + text).split('\n');
            rest = whole.pop();
            for (const line of whole) server.#take(JSON.parse(line));
        });
        server.closed = new Promise((resolve) => server.child.on('close', resolve));
        await waitFor('the mail server to listen', () => server.port);
        return server;
    }

    #take(said) {
        if (said.port) this.port = said.port;
        else this.messages.push({ ...said, ...parseMessage(said.data) });
    }

    get url() {
        return `smtp://127.0.0.1:${this.port}`;
    }

    /* The messages to an address. */
    to(address) {
        return this.messages.filter(({ to }) => to.includes(address));
    }

    async stop() {
        this.child.kill('SIGKILL');
        await this.closed;
    }
}

/* A mail server for the length of use(). */
export async function withMailServer(use, options) {
    const server = await MailServer.start(options);
    try {
        await use(server);
    } finally {
        await server.stop();
    }
}

/* { headers, body }: the fields, unfolded, by their names in lower case. */
export function parseMessage(data) {
    const end = data.indexOf('\r\n\r\n');
    const head = data.slice(0, end).replace(/\r\n[ \t]/g, ' ').split('\r\n');
    const headers = Object.fromEntries(head.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]));
    return { headers, body: data.slice(end + 4) };
}

/* The sandbox's messages, oldest first, as parseMessage gives them, with their recipients. */
export async function sandboxMessages(installation) {
    const hex = installation.database.url.startsWith('sqlite:') ? 'hex(data)' : "encode(data, 'hex')";
    const rows = await sql(installation, `SELECT replace(recipients, char(10), ' ') || '|' || ${hex} FROM sandbox_messages ORDER BY seq`
        .replace('char(10)', installation.database.url.startsWith('sqlite:') ? 'char(10)' : 'chr(10)'));
    return rows.map((row) => {
        const [to, data] = row.split('|');
        return { to: to.trim().split(' '), ...parseMessage(Buffer.from(data, 'hex').toString('latin1')) };
    });
}

/* A token of a program that sends for a tenant, and the setting that makes it one. */
export function serviceToken(...tenantIds) {
    const tokens = tenantIds.map(() => randomBytes(24).toString('hex'));
    return { tokens, env: { EMAIL_SERVICE_TOKENS: tenantIds.map((id, i) => `${id}:${tokens[i]}`).join(',') } };
}

/* Waits until nothing of the message is queued, and returns it. */
export async function settled(server, token, id, options) {
    return waitFor(`message ${id} to be handed over`, async () => {
        const { status, body } = await server.api('GET', `/v1/emails/${id}`, { token });
        assert.equal(status, 200, JSON.stringify(body));
        return body.status !== 'queued' && body;
    }, options);
}

/* As if a dead node's time to answer for what it had in flight had passed. */
export async function passLeases(installation) {
    await sql(installation, "UPDATE email_outbox SET next_at = 0 WHERE lease <> ''");
}

/* As if the time until the message's next attempt had passed. */
export async function passWait(installation, id) {
    await sql(installation, `UPDATE email_outbox SET next_at = 0 WHERE message_id = ${sqlId(installation, id)}`);
}

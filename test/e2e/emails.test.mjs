/*
 * Sending, from a product's request to what became of it: in the sandbox, and by a mail server that
 * is not ours.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { forEachStore, waitFor, withInstallation } from './harness.mjs';
import { passWait, sandboxMessages, serviceToken, settled, withMailServer } from './sending.mjs';
import { expect, nobody, people, signIn, small, sql } from './support.mjs';

const base = { ...small, PUBLIC_URL: 'https://mail.example.com' };
const hello = { to: 'ada@example.com', subject: 'Grüße', text: 'Hello Ada.\n', template: 'welcome' };

/* An installation with its people, and a program's token for Acme and for Bolt. */
async function withSender(store, env, use) {
    await withInstallation({ store, env: { ...base, ...env } }, async (installation) => {
        const everyone = await people(installation);
        const { tokens: [token, other], env: services } = serviceToken(everyone.admin.tenantId, everyone.stranger.tenantId);
        const server = await installation.start({ env: services });
        await use({ installation, everyone, server, token, other, services });
    });
}

const send = (server, token, body, headers) => server.api('POST', '/v1/emails', { token, body: { ...hello, ...body }, headers });
const count = async (installation, from) => Number((await sql(installation, `SELECT count(*) FROM ${from}`))[0]);

forEachStore((store) => {
    test('a message is kept in the sandbox, logged, and found again', async () => {
        await withSender(store, {}, async ({ installation, server, token, everyone }) => {
            const accepted = expect(await send(server, token, { html: '<p>Hello</p>' }), 202);
            assert.equal(accepted.status, 'queued');
            const message = await settled(server, token, accepted.id);
            assert.equal(message.status, 'sent');
            assert.equal(message.subject, hello.subject);
            assert.equal(message.template, 'welcome');
            assert.equal(message.transport, 'sandbox');
            const [{ recipient, status, providerId, sentAt, events }] = message.recipients;
            assert.deepEqual([recipient, status, events], ['ada@example.com', 'sent', []]);
            assert.match(providerId, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
            assert.ok(sentAt >= message.createdAt);
            assert.ok(!('attempts' in message) && !('nextAttemptAt' in message));

            const [kept] = await sandboxMessages(installation);
            assert.deepEqual(kept.to, ['ada@example.com']);
            assert.equal(kept.headers.to, 'ada@example.com');
            assert.match(kept.headers['list-unsubscribe'], /^<https:\/\/mail\.example\.com\/v1\/emails\/unsubscribe\?token=[\w-]+>$/);
            assert.equal(kept.headers['list-unsubscribe-post'], 'List-Unsubscribe=One-Click');
            assert.equal(await count(installation, 'email_outbox'), 0);

            // An administrator may send too; that is on record, a program's day's work is not.
            const { admin } = await signIn(server, { admin: everyone.admin });
            expect(await send(server, admin.accessToken), 202);
            const records = expect(await server.api('GET', '/v1/audit-log?action=admin.request', { token: admin.accessToken }), 200).items;
            assert.deepEqual(records.map(({ subject, actor }) => [subject, actor]), [['/v1/emails', everyone.admin.email]]);
        });
    });

    test('each recipient gets a copy that names nobody else', async () => {
        await withSender(store, {}, async ({ installation, server, token }) => {
            const to = ['Ada@Example.com', 'bob@example.com', 'ada@example.com', 'cem@example.com'];
            const { id } = expect(await send(server, token, { to }), 202);
            const message = await settled(server, token, id);
            assert.deepEqual(message.recipients.map(({ recipient }) => recipient), ['ada@example.com', 'bob@example.com', 'cem@example.com']);
            assert.equal(new Set(message.recipients.map(({ providerId }) => providerId)).size, 3);
            const copies = await sandboxMessages(installation);
            assert.equal(copies.length, 3);
            assert.deepEqual(copies.map((copy) => [copy.to, copy.headers.to]), message.recipients.map(({ recipient }) => [[recipient], recipient]));
            for (const field of ['message-id', 'list-unsubscribe']) assert.equal(new Set(copies.map(({ headers }) => headers[field])).size, 3);
        });
    });

    test('a request that is repeated under its key makes no second message', async () => {
        await withSender(store, {}, async ({ installation, server, token, other }) => {
            const key = { idempotencyKey: 'order-17' };
            const first = expect(await send(server, token, key), 202);
            await settled(server, token, first.id);
            assert.deepEqual(expect(await send(server, token, key), 202), { id: first.id, status: 'sent' });
            assert.equal(expect(await send(server, token, {}, { 'idempotency-key': '"order-17"' }), 202).id, first.id);
            expect(await send(server, token, { ...key, subject: 'Another' }), 409, 'idempotency_conflict');
            expect(await send(server, token, { ...key, purpose: 'security' }), 409, 'idempotency_conflict');
            assert.notEqual(expect(await send(server, other, key), 202).id, first.id);

            const at = await Promise.all(Array.from({ length: 12 }, () => send(server, token, { idempotencyKey: 'at once' })));
            assert.equal(new Set(at.map((answer) => expect(answer, 202).id)).size, 1);
            await waitFor('all to be sent', async () => await count(installation, 'email_outbox') === 0);
            assert.equal((await sandboxMessages(installation)).length, 3);
        });
    });

    test('what is wrong is refused by the name of its field, and nothing is logged', async () => {
        await withSender(store, {}, async ({ installation, server, token }) => {
            const wrong = [
                ['to', { to: 'ada' }], ['to', { to: [] }], ['to', { to: undefined }], ['to', { to: 7 }],
                ['to[1]', { to: ['ada@example.com', 'Bob <bob@example.com>'] }], ['to[1]', { to: ['ada@example.com', 5] }],
                ['to', { to: Array.from({ length: 51 }, (_, i) => `a${i}@example.com`) }],
                ['subject', { subject: '' }], ['subject', { subject: undefined }], ['subject', { subject: 'a\r\nBcc: eve@example.com' }],
                ['subject', { subject: 'ä'.repeat(251) }], ['text', { text: undefined }], ['text', { text: '' }],
                ['template', { template: 'x'.repeat(101) }], ['template', { template: 'a\u001b]0;b\u0007' }],
                ['template', { template: '\n=1+1' }], ['template', { template: 'a\u009b2J' }], ['template', { template: 'a\u2028b' }],
                ['purpose', { purpose: 'fun' }], ['bcc', { bcc: 'eve@example.com' }],
                ['idempotencyKey', { idempotencyKey: 'x'.repeat(201) }], ['idempotencyKey', { idempotencyKey: 'a\nb' }],
            ];
            for (const [field, body] of wrong) {
                const answer = expect(await send(server, token, body), 400, 'invalid_field');
                assert.equal(answer.field, field, JSON.stringify(answer));
            }
            const differing = await send(server, token, { idempotencyKey: 'a' }, { 'idempotency-key': 'b' });
            assert.equal(expect(differing, 400, 'invalid_field').field, 'idempotencyKey');
            const long = await send(server, token, {}, { 'idempotency-key': 'x'.repeat(201) });
            assert.equal(expect(long, 400, 'invalid_field').field, 'Idempotency-Key');
            assert.equal(await count(installation, 'email_logs'), 0);
            expect(await send(server, token, { to: Array.from({ length: 50 }, (_, i) => `a${i}@example.com`), subject: 'ä'.repeat(250) }), 202);
            assert.equal(await count(installation, 'email_logs'), 50);
        });
    });

    test('a message is its tenant\'s alone', async () => {
        await withSender(store, {}, async ({ server, token, other, everyone }) => {
            const { id } = expect(await send(server, token), 202);
            const { admin, stranger, operator, member } = await signIn(server, everyone);
            const get = (who) => server.api('GET', `/v1/emails/${id}`, { token: who });
            for (const who of [token, admin.accessToken, operator.accessToken]) expect(await get(who), 200);
            for (const who of [other, stranger.accessToken]) expect(await get(who), 404, 'not_found');
            expect(await get(member.accessToken), 403, 'forbidden');
            expect(await get('x'.repeat(48)), 401, 'token_invalid');
            expect(await send(server, undefined), 401, 'unauthenticated');
            expect(await server.api('GET', `/v1/emails/${nobody}`, { token }), 404, 'not_found');
            expect(await server.api('GET', '/v1/emails/7', { token }), 404, 'not_found');
            // The token sends mail and does nothing else.
            expect(await server.api('GET', '/v1/users', { token }), 401, 'token_invalid');
            expect(await server.api('GET', '/auth/me', { token }), 401, 'token_invalid');
        });
    });

    test('a recipient ends mail by the link of a message, without an account', async () => {
        await withSender(store, {}, async ({ installation, server, token, other, everyone }) => {
            const to = everyone.member.email;
            const { id } = expect(await send(server, token, { to }), 202);
            await settled(server, token, id);
            const [{ headers }] = await sandboxMessages(installation);
            const link = new URL(headers['list-unsubscribe'].slice(1, -1));
            const target = link.pathname + link.search;

            // A look changes nothing, however often.
            for (let i = 0; i < 2; i++) {
                const page = await server.api('GET', target);
                assert.equal(page.status, 200);
                assert.match(page.headers['content-type'], /^text\/html/);
                assert.match(page.headers['content-security-policy'], /default-src 'none'; form-action 'self'/);
                assert.ok(page.body.includes(to) && page.body.includes('<form method="post">'), page.body);
                assert.doesNotMatch(page.body, /https?:|<script|<link|<img|<style/);
            }
            assert.equal(await count(installation, 'suppressions'), 0);
            expect(await server.api('POST', target), 400, 'bad_request');
            expect(await server.api('POST', target, { form: { 'List-Unsubscribe': 'No' } }), 400, 'bad_request');
            const forged = target.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'));
            assert.equal(expect(await server.api('POST', forged, { form: { 'List-Unsubscribe': 'One-Click' } }), 400, 'invalid_field').field, 'token');
            expect(await server.api('GET', '/v1/emails/unsubscribe'), 400, 'invalid_field');
            assert.equal(await count(installation, 'suppressions'), 0);

            const done = await server.api('POST', target, { form: { 'List-Unsubscribe': 'One-Click' } });
            assert.equal(done.status, 200);
            assert.match(done.body, /no more messages/);
            // As mail programs post it, and again: nothing more happens.
            const multipart = '--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--\r\n';
            const again = await server.api('POST', target, { body: multipart, headers: { 'content-type': 'multipart/form-data; boundary=b' } });
            assert.equal(again.status, 200);
            assert.deepEqual(await sql(installation, 'SELECT address, reason, source, created_by FROM suppressions'), [`${to}|unsubscribe|unsubscribe|recipient`]);

            const { admin, member } = await signIn(server, everyone);
            const records = expect(await server.api('GET', '/v1/audit-log?action=email.unsubscribe', { token: admin.accessToken }), 200).items;
            assert.deepEqual(records.map(({ actor, subject, subjectId, detail }) => [actor, subject, subjectId, detail]), [['recipient', to, everyone.member.id, { purpose: 'product' }]]);
            const preferences = expect(await server.api('GET', '/v1/preferences', { token: member.accessToken }), 200);
            assert.deepEqual(preferences, { emailSecurity: true, emailProduct: false });

            const refused = expect(await send(server, token, { to, idempotencyKey: 'k' }), 409, 'suppressed');
            assert.equal(expect(await send(server, token, { to, idempotencyKey: 'k' }), 409, 'suppressed').detail, refused.detail);
            const [logged] = /[0-9a-f-]{36}/.exec(refused.detail);
            const { status, recipients } = expect(await server.api('GET', `/v1/emails/${logged}`, { token }), 200);
            assert.deepEqual([status, recipients[0].errorCode], ['suppressed', 'unsubscribe']);
            // The others still get theirs, another tenant may write, and so may who keeps the account safe.
            const mixed = expect(await send(server, token, { to: [to, 'eve@example.com'] }), 202);
            assert.equal((await settled(server, token, mixed.id)).status, 'mixed');
            const theirs = expect(await send(server, other, { to }), 202);
            assert.equal((await settled(server, other, theirs.id)).status, 'sent');
            const reset = expect(await send(server, token, { to, purpose: 'security' }), 202);
            assert.equal((await settled(server, token, reset.id)).status, 'sent');
            const last = (await sandboxMessages(installation)).at(-1);
            assert.equal(last.headers['list-unsubscribe'], undefined);
        });
    });

    test('who is on no other machine gets mail in the sandbox alone', async () => {
        const local = ['ada@localhost', 'ada@mail.localhost'];
        await withSender(store, {}, async ({ server, token }) => {
            for (const to of local) expect(await send(server, token, { to }), 202);
        });
        await withMailServer(async (peer) => {
            await withSender(store, { EMAIL_TRANSPORT: 'smtp', SMTP_URL: peer.url, EMAIL_FROM: 'mail@acme.example' }, async ({ installation, server, token }) => {
                for (const to of local) {
                    assert.equal(expect(await send(server, token, { to }), 400, 'invalid_field').field, 'to');
                    const mixed = await send(server, token, { to: ['bob@example.com', to] });
                    assert.equal(expect(mixed, 400, 'invalid_field').field, 'to[1]');
                }
                expect(await send(server, token, { to: 'localhost@example.com' }), 202);
                assert.equal(await count(installation, 'email_logs'), 1);
            });
        });
    });

    test('of one tenant so much may wait, and no more', async () => {
        const env = { EMAIL_TRANSPORT: 'smtp', SMTP_URL: 'smtp://127.0.0.1:9', EMAIL_FROM: 'mail@acme.example', EMAIL_WAITING_LIMIT: '3' };
        await withSender(store, env, async ({ installation, server, token, other }) => {
            const first = expect(await send(server, token, { idempotencyKey: 'k' }), 202);
            for (let i = 0; i < 2; i++) expect(await send(server, token), 202);
            const full = await send(server, token, { idempotencyKey: 'l' });
            assert.match(expect(full, 429, 'outbox_full').detail, /^3 messages .*EMAIL_WAITING_LIMIT/);
            assert.equal(full.headers['retry-after'], '30');
            // What was taken is known; mail of security and others' mail have room of their own.
            assert.equal(expect(await send(server, token, { idempotencyKey: 'k' }), 202).id, first.id);
            expect(await send(server, token, { purpose: 'security' }), 202);
            expect(await send(server, other), 202);
            assert.equal(await count(installation, 'email_logs'), 5);
            await sql(installation, 'DELETE FROM email_outbox');
            await waitFor('room again', async () => (await send(server, token)).status === 202);
        });
    });

    test('without a transport nothing is taken', async () => {
        await withSender(store, { EMAIL_TRANSPORT: 'none' }, async ({ installation, server, token }) => {
            expect(await send(server, token), 503, 'mail_off');
            assert.equal(await count(installation, 'email_logs'), 0);
        });
    });

    test('a mail server takes, refuses, puts off and falls silent, each recipient apart', async () => {
        await withMailServer(async (peer) => {
            const env = { EMAIL_TRANSPORT: 'smtp', SMTP_URL: peer.url, EMAIL_FROM: 'Acme <mail@acme.example>' };
            await withSender(store, env, async ({ installation, server, token }) => {
                const to = ['ada@example.com', 'drop@example.com', 'later@example.com', 'nobody@example.com', 'ses@example.com'];
                const { id } = expect(await send(server, token, { to }), 202);
                const waiting = await waitFor('the first attempt', async () => {
                    const message = expect(await server.api('GET', `/v1/emails/${id}`, { token }), 200);
                    return message.nextAttemptAt && message.attempts === 1 && message;
                });
                // The words of the operator's mail server are the operator's, unless they are about a recipient.
                assert.equal(waiting.lastError, '451 4.7.1');
                const [kept] = await sql(installation, 'SELECT last_error FROM email_outbox');
                assert.equal(kept, '451 4.7.1 come back later');
                assert.equal(waiting.recipients[3].detail, '5.1.1 no such user');
                const wait = Date.parse(waiting.nextAttemptAt) - Date.now();
                assert.ok(wait > 15_000 && wait < 40_000, `${wait} ms`);
                assert.deepEqual(waiting.recipients.map(({ status, errorCode }) => [status, errorCode]), [
                    ['sent', null], ['rejected', 'uncertain'], ['queued', null], ['rejected', '550'], ['sent', null],
                ]);
                assert.match(waiting.recipients[0].providerId, /^[0-9a-f-]{36}@acme\.example$/);
                assert.equal(`<${waiting.recipients[0].providerId}>`, peer.to('ada@example.com')[0].headers['message-id']);
                assert.match(waiting.recipients[4].providerId, /^0102018f3a5b7c9d-.*-000000$/);

                await passWait(installation, id);
                const message = await settled(server, token, id);
                assert.equal(message.recipients[2].status, 'sent');
                assert.equal(peer.messages.length, 4);
                for (const { from, headers } of peer.messages) assert.deepEqual([from, headers.from], ['mail@acme.example', 'Acme <mail@acme.example>']);
                const metrics = (await server.api('GET', '/metrics')).body;
                for (const [result, n] of Object.entries({ accepted: 3, temporary: 1, permanent: 1, uncertain: 1 }))
                    assert.ok(metrics.includes(`holdfast_outbox_handovers_total{result="${result}"} ${n}\n`), `${result}: ${metrics}`);
            });
        });
    });

    test('nodes that share an outbox hand each message over once', async () => {
        await withMailServer(async (peer) => {
            const env = { EMAIL_TRANSPORT: 'smtp', SMTP_URL: peer.url, EMAIL_FROM: 'mail@acme.example' };
            await withSender(store, env, async ({ installation, server, token, services }) => {
                const nodes = [server, await installation.start({ env: services })];
                const answers = await Promise.all(Array.from({ length: 60 }, (_, i) =>
                    send(nodes[i % 2], token, { to: [`a${i}@example.com`, `b${i}@example.com`] })));
                for (const answer of answers) expect(answer, 202);
                await waitFor('all to be handed over', async () => await count(installation, 'email_outbox') === 0, { timeout: 60_000 });
                assert.equal(await count(installation, "email_logs WHERE state = 'sent'"), 120);
                assert.equal(peer.messages.length, 120);
                assert.equal(new Set(peer.messages.map(({ headers }) => headers['message-id'])).size, 120);
            });
        });
    });
});

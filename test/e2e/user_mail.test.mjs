/* A person's mail is given to them whole, and taken out when they ask or leave. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { forEachStore, waitFor, withInstallation } from './harness.mjs';
import { many, seedEvents, seedMail } from './mail.mjs';
import { sandboxMessages } from './sending.mjs';
import { expect, nobody, people, signIn, small, sql } from './support.mjs';

async function withMail(store, use) {
    await withInstallation({ store, env: small }, async (installation) => {
        const everyone = await people(installation);
        const server = await installation.start();
        const grants = await signIn(server, everyone);
        const tokens = Object.fromEntries(Object.entries(grants).map(([name, grant]) => [name, grant.accessToken]));
        const { admin, member, stranger } = everyone;
        const at = Date.now() - 60_000;
        const own = await seedMail(installation, [
            { tenantId: admin.tenantId, to: member.email, at, state: 'delivered' },
            { tenantId: admin.tenantId, to: 'former@example.net', userId: member.id, at: at + 1, state: 'bounced', code: '5.1.1', detail: 'no former' },
            { tenantId: admin.tenantId, to: admin.email, at: at + 2, state: 'delivered', subject: 'not theirs' },
        ]);
        const foreign = await seedMail(installation, [{ tenantId: stranger.tenantId, to: member.email, at: at + 3, subject: 'of another tenant' }]);
        await seedEvents(installation, [{ log: own[1], kind: 'bounce', detail: 'no former' }, { log: foreign[0], kind: 'send' }]);
        const records = async (action, token = tokens.operator) =>
            expect(await server.api('GET', `/v1/audit-log?action=${action}`, { token }), 200).items;
        const mail = (method, token, id = member.id, headers = {}) => server.api(method, `/v1/users/${id}/mail`, { token, headers });
        await use({ installation, server, ...everyone, tokens, own, foreign, records, mail });
    });
}

const left = async (installation, address) => Number((await sql(installation, `SELECT count(*) FROM email_logs WHERE recipient = '${address}'`))[0]);

forEachStore((store) => {
    test('it is given out whole, within the tenant', async () => {
        await withMail(store, async ({ server, member, admin, tokens, own, foreign, records, mail }) => {
            expect(await server.api('POST', '/v1/email-monitoring/suppressions', { token: tokens.admin, body: { address: member.email } }), 201);
            const answer = await mail('GET', tokens.admin);
            const given = expect(answer, 200);
            assert.deepEqual(Object.keys(given), ['userId', 'address', 'exportedAt', 'messages', 'suppressions']);
            assert.match(answer.headers['content-disposition'], /filename="mail\.json"/);
            assert.deepEqual([given.userId, given.address], [member.id, member.email]);
            assert.deepEqual(given.messages.map(({ id }) => id), [own[0].id, own[1].id], 'the oldest first');
            assert.deepEqual(given.messages[1].events.map(({ kind, detail }) => [kind, detail]), [['bounce', 'no former']]);
            assert.deepEqual(given.suppressions.map(({ address, reason }) => [address, reason]), [[member.email, 'manual']]);
            assert.equal(expect(await mail('GET', tokens.operator), 200).messages.length, 3, 'an operator gives what all tenants have');

            const lines = (await mail('GET', tokens.admin, member.id, { accept: 'application/x-ndjson' }));
            assert.match(lines.headers['content-type'], /^application\/x-ndjson/);
            const parsed = lines.body.trimEnd().split('\n').map((line) => JSON.parse(line));
            assert.deepEqual(parsed.map((line) => Object.keys(line)[0]), ['message', 'message', 'suppression']);
            assert.deepEqual(parsed[0].message, given.messages[0]);

            expect(await mail('GET', tokens.stranger), 404, 'not_found');
            expect(await mail('GET', tokens.admin, nobody), 404, 'not_found');
            expect(await mail('GET', tokens.member), 403, 'forbidden');
            const exports = await records('mail.export', tokens.admin);
            assert.deepEqual(exports.map(({ subjectId, detail }) => [subjectId, detail.what]), Array(3).fill([member.id, 'person']));
            assert.ok(foreign && admin);
        });
    });

    test('more than a page of it comes without a gap', async () => {
        await withMail(store, async ({ installation, admin, member, tokens, mail }) => {
            const at = Date.now() - 30_000;
            const more = await seedMail(installation, many(250, { tenantId: admin.tenantId, to: member.email }).map((m, i) => ({ ...m, at: at + i })));
            for (const log of more.slice(0, 25))
                await seedEvents(installation, Array.from({ length: 40 }, (_, i) => ({ log, kind: 'open', detail: `${i} `.padEnd(1000, 'x') })));
            const { messages } = expect(await mail('GET', tokens.admin), 200);
            assert.deepEqual(messages.slice(2).map(({ id }) => id), more.map(({ id }) => id));
            assert.equal(messages.flatMap(({ events }) => events).filter(({ kind }) => kind === 'open').length, 1000);
        });
    });

    test('it is taken out when they ask, and that is on record', async () => {
        await withMail(store, async ({ installation, server, admin, member, tokens, records, mail }) => {
            expect(await server.api('POST', '/v1/email-monitoring/suppressions', { token: tokens.admin, body: { address: member.email } }), 201);
            expect(await mail('DELETE', tokens.stranger), 404, 'not_found');
            expect(await mail('DELETE', tokens.admin, nobody), 404, 'not_found');
            const figures = expect(await server.api('GET', '/v1/email-monitoring/metrics', { token: tokens.admin }), 200).totals;
            const asked = expect(await mail('DELETE', tokens.admin), 202);
            assert.deepEqual(Object.keys(asked), ['userId', 'requestedAt']);
            await waitFor('it is done', async () => (await records('mail.erased', tokens.admin)).length === 1);
            const [erased] = await records('mail.erased', tokens.admin), [request] = await records('mail.erase', tokens.admin);
            assert.deepEqual([erased.subjectId, erased.subject, erased.detail], [member.id, '', { request: request.seq, rows: 2 }]);
            assert.deepEqual([request.actorId, request.subjectId, request.detail], [admin.id, member.id, { scope: 'tenant' }]);
            const given = expect(await mail('GET', tokens.admin), 200);
            assert.deepEqual(given.messages, []);
            assert.equal(given.suppressions.length, 1, 'without it they would be written to again');
            const { items } = expect(await server.api('GET', '/v1/email-monitoring/logs', { token: tokens.admin }), 200);
            assert.deepEqual(items.filter(({ recipient }) => recipient === 'erased').map(({ userId, subject, detail, domain }) => [userId, subject, detail, domain]),
                [[null, '', null, 'example.net'], [null, '', null, member.email.split('@')[1]]]);
            assert.equal(await left(installation, member.email), 1, 'another tenant\'s is another\'s to erase');
            assert.deepEqual(expect(await server.api('GET', '/v1/email-monitoring/metrics', { token: tokens.admin }), 200).totals, figures, 'figures stay');
            assert.deepEqual(await sql(installation, "SELECT count(*) FROM email_events WHERE detail LIKE '%former%'"), ['0']);

            expect(await mail('DELETE', tokens.operator), 202);
            await waitFor('it is done everywhere', async () => (await left(installation, member.email)) === 0);
            await waitFor('and told', async () => (await records('mail.erased')).length === 2);
        });
    });

    test('what the sandbox kept of it goes as well', async () => {
        await withMail(store, async ({ installation, server, admin, member, tokens, mail }) => {
            const keptFor = async () => (await sandboxMessages(installation)).map(({ to }) => to.join()).sort();
            const send = async (to) => {
                const { id } = expect(await server.api('POST', '/v1/emails', { token: tokens.admin, body: { to, subject: 'Hello', text: 'Hello.\n' } }), 202);
                await waitFor('it is sent', async () => expect(await server.api('GET', `/v1/emails/${id}`, { token: tokens.admin }), 200).status === 'sent');
            };
            await send([member.email, admin.email]);
            assert.deepEqual(await keptFor(), [member.email, admin.email].sort());
            expect(await mail('DELETE', tokens.admin), 202);
            await waitFor('it is gone when they ask', async () => (await keptFor()).join() === admin.email);
            await send(member.email);
            assert.equal((await keptFor()).length, 2);
            expect(await server.api('DELETE', `/v1/users/${member.id}`, { token: tokens.admin }), 204);
            await waitFor('it is gone with the account', async () => (await keptFor()).join() === admin.email);
        });
    });

    test('it goes with the account, though the server stops in between', async () => {
        await withMail(store, async ({ installation, server, member, tokens, records, mail }) => {
            expect(await server.api('DELETE', `/v1/users/${member.id}`, { token: tokens.admin }), 204);
            await server.kill();
            await server.restart();
            await waitFor('it is done', async () => (await records('mail.erased', tokens.admin)).length === 1);
            assert.equal(await left(installation, member.email), 1, 'what another tenant sent is not the account\'s');
            assert.equal(await left(installation, 'former@example.net'), 0);
            expect(await mail('GET', tokens.admin), 404);
        });
    });
});

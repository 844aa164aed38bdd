/* The audit log: what happened, filtered, paged, and as a table for a spreadsheet. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { forEachStore, waitFor, withInstallation } from './harness.mjs';
import { allItems, expect, people, signIn, small } from './support.mjs';

/* Rows of a table by RFC 4180. */
function parseCsv(text) {
    const rows = [];
    const pattern = /"((?:[^"]|"")*)"(,|\r\n)|([^",\r\n]*)(,|\r\n)/y;
    let row = [];
    for (let match; pattern.lastIndex < text.length && (match = pattern.exec(text));) {
        row.push((match[1] ?? match[3]).replaceAll('""', '"'));
        if ((match[2] ?? match[4]) === ',') continue;
        rows.push(row);
        row = [];
    }
    assert.deepEqual(row, [], 'the table ends with a whole row');
    return rows;
}

async function withHistory(store, use) {
    await withInstallation({ store, env: small }, async (installation) => {
        const everyone = await people(installation);
        const server = await installation.start();
        const grants = await signIn(server, everyone);
        const token = grants.admin.accessToken;
        const log = async (query, by = token) => expect(await server.api('GET', `/v1/audit-log?${query}`, { token: by }), 200).items;
        const reason = '=cmd|"x", \u00e9\u{1f600}, and a comma';
        expect(await server.api('DELETE', `/v1/sessions/revoke-family/${grants.member.sessionId}`, { token, body: { reason } }), 200);
        await use({ installation, server, ...everyone, grants, token, log, reason });
    });
}

forEachStore((store) => {
    test('an administrative request that is refused is on record', async () => {
        await withHistory(store, async ({ server, member, grants, token, log }) => {
            const target = `/v1/sessions/revoke-family/${grants.stranger.sessionId}`;
            assert.equal((await server.api('GET', '/v1/users', { token: (await server.login(member.email)).accessToken })).status, 403);
            assert.equal((await server.api('DELETE', target, { token })).status, 404, 'of another tenant');
            let records;
            await waitFor('both are recorded', async () => (records = await log('action=access.denied')).length === 2);
            const [foreign, forbidden] = records.sort((a) => (a.actorId === member.id ? 1 : -1));
            assert.deepEqual(foreign.detail, { method: 'DELETE', path: target, status: 404, code: 'not_found', count: 1 });
            assert.equal(foreign.subject, '/v1/sessions/revoke-family/:familyId');
            assert.deepEqual(forbidden.detail, { method: 'GET', path: '/v1/users', status: 403, code: 'forbidden', count: 1 });
            assert.equal(forbidden.actorId, member.id);
            assert.ok(forbidden.requestId && forbidden.ip);
        });
    });

    test('filters by actor, action, subject and time', async () => {
        await withHistory(store, async ({ server, admin, member, token, log, reason }) => {
            for (const actor of [admin.id, admin.email]) {
                const records = await log(`actor=${actor}`);
                assert.ok(records.length > 0);
                assert.ok(records.every((record) => record.actorId === admin.id), `actor=${actor}`);
            }
            for (const subject of [member.id, member.email]) {
                const records = await log(`subject=${subject}`);
                assert.ok(records.some(({ action }) => action === 'session.revoke'), `subject=${subject}`);
                assert.ok(records.every((record) => record.subjectId === member.id));
            }
            const [revoked] = await log('action=session.revoke');
            assert.deepEqual(Object.keys(revoked).sort(),
                ['action', 'actor', 'actorId', 'at', 'detail', 'ip', 'requestId', 'seq', 'subject', 'subjectId', 'tenantId']);
            assert.equal(revoked.detail.reason, reason);

            assert.ok((await log(`since=${revoked.at}`)).some(({ seq }) => seq === revoked.seq), 'since takes its own time in');
            assert.ok(!(await log(`until=${revoked.at}`)).some(({ seq }) => seq === revoked.seq), 'until leaves its own time out');
            const both = await log(`action=session.revoke&actor=${admin.id}&subject=${member.id}&since=2020-01-01T00:00:00Z`);
            assert.deepEqual(both.map(({ seq }) => seq), [revoked.seq]);
            assert.deepEqual(await log('actor=nobody@example.com'), []);
            for (const [query, field] of [['action=none.such', 'action'], ['since=yesterday', 'since'], ['until=2020-13-01T00:00:00Z', 'until']])
                assert.equal(expect(await server.api('GET', `/v1/audit-log?${query}`, { token }), 400).field, field);
        });
    });

    test('shows a tenant its own records, and an operator all', async () => {
        await withHistory(store, async ({ admin, stranger, grants, log }) => {
            const own = await log('limit=200');
            assert.ok(own.length > 0 && own.every(({ tenantId }) => tenantId === admin.tenantId));
            const foreign = await log('limit=200', grants.stranger.accessToken);
            assert.ok(foreign.length > 0 && foreign.every(({ tenantId }) => tenantId === stranger.tenantId));
            const all = await log('limit=200', grants.operator.accessToken);
            const tenants = new Set(all.map(({ tenantId }) => tenantId));
            assert.ok(tenants.has(admin.tenantId) && tenants.has(stranger.tenantId) && tenants.has(null));
        });
    });

    test('pages go back without a gap while records are added', async () => {
        await withHistory(store, async ({ server, grants, log }) => {
            const token = grants.operator.accessToken;
            const [newest] = await log('limit=1', token);
            const records = await allItems(server, `/v1/audit-log?until=${newest.at}`, token, 3);
            const numbers = records.map(({ seq }) => seq);
            assert.deepEqual(numbers, [...numbers].sort((a, b) => b - a), 'newest first');
            assert.equal(new Set(numbers).size, numbers.length, 'none twice');
            assert.equal(numbers.at(-1), 1, 'to the first');
            assert.equal(numbers[0], numbers.length, 'none missing');
        });
    });

    test('comes as CSV that a spreadsheet cannot be fooled by', async () => {
        await withHistory(store, async ({ server, token, admin, member, log, reason }) => {
            expect(await server.api('POST', '/v1/users', { token, body: { email: '=1+1@example.com', role: 'member', password: member.password } }), 201);
            // An export ends before its own time: the record has to be older.
            const [{ at: made }] = await log('action=user.create');
            await waitFor('the next millisecond', () => Date.now() > Date.parse(made), { every: 1 });
            const answer = await server.api('GET', '/v1/audit-log', { token, headers: { accept: 'text/csv' } });
            assert.equal(answer.status, 200);
            assert.match(answer.headers['content-type'], /^text\/csv; charset=utf-8/);
            assert.match(answer.headers['content-disposition'], /^attachment; filename="audit-log\.csv"/);
            const [head, ...rows] = parseCsv(answer.body);
            assert.deepEqual(head, ['seq', 'at', 'tenant_id', 'actor_id', 'actor', 'action', 'subject_id', 'subject', 'ip', 'request_id', 'detail']);
            assert.ok(rows.every((row) => row.length === head.length));
            const at = (row, name) => row[head.indexOf(name)];
            const revoked = rows.find((row) => at(row, 'action') === 'session.revoke');
            assert.equal(JSON.parse(at(revoked, 'detail')).reason, reason);
            const row = rows.find((row) => at(row, 'subject').includes('1+1'));
            assert.equal(at(row, 'subject'), "'=1+1@example.com");
            assert.ok(rows.every((row) => at(row, 'tenant_id') === member.tenantId), 'one\'s own tenant only');

            const filtered = await server.api('GET', `/v1/audit-log?action=session.revoke`, { token, headers: { accept: 'text/csv' } });
            assert.equal(parseCsv(filtered.body).length, 2);
            const exports = expect(await server.api('GET', '/v1/audit-log?action=trail.export', { token }), 200).items;
            assert.deepEqual(exports.map(({ actorId }) => actorId), [admin.id, admin.id], 'that the log was taken away is on record');
        });
    });
});

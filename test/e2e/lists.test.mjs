/* Lists: every route of openapi.json that takes limit and cursor keeps their bounds. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { idOf, journal, put } from './deployments.mjs';
import { forEachStore, waitFor, withInstallation } from './harness.mjs';
import { seedMail } from './mail.mjs';
import { allItems, expect, people, small } from './support.mjs';

/* Notices of the sign-ins above go out by mail when their turn comes: until then the log of mail moves. */
async function noticesSent(server, token) {
    const notices = (await allItems(server, '/v1/notifications', token)).filter(({ kind }) => kind === 'new_device');
    assert.ok(notices.length > 0);
    await waitFor('the notices by mail', async () => {
        const mails = (await allItems(server, '/v1/email-monitoring/logs', token)).filter(({ template }) => template === 'security');
        return mails.length === notices.length && mails.every(({ status }) => status === 'sent');
    });
}

async function withLists(store, use) {
    await withInstallation({ store, env: small }, async (installation) => {
        const { admin, operator } = await people(installation);
        const server = await installation.start();
        const grants = [];
        for (const device of ['phone', 'tablet', 'laptop', 'desktop', 'watch', 'car', 'fridge']) {
            const headers = { 'user-agent': device };
            grants.push(expect(await server.api('POST', '/auth/login', { headers, body: { email: admin.email, password: admin.password } }), 200));
        }
        const addresses = ['a', 'b', 'c', 'd', 'e'].map((name) => `${name}@example.org`), token = grants.at(-1).accessToken;
        await seedMail(installation, addresses.map((to) => ({ tenantId: admin.tenantId, to })));
        for (const address of addresses) expect(await server.api('POST', '/v1/email-monitoring/suppressions', { token, body: { address } }), 201);
        for (const i of [1, 2, 3, 4]) await journal(installation, idOf(i), 'done', { environment: 'prod', release: `v${i}` });
        await put(installation, ...[1, 2, 3, 4].map(idOf));
        const operators = (await server.login(operator.email)).accessToken;
        await noticesSent(server, token);
        const document = expect(await server.api('GET', '/openapi.json'), 200);
        const lists = Object.entries(document.paths)
            .filter(([, { get }]) => get?.parameters?.some(({ name }) => name === 'cursor'))
            .map(([path, { get }]) => ({ path, token: get['x-permission'] === 'operator' ? operators : token }));
        assert.ok(lists.length >= 4);
        await use({ server, lists });
    });
}

forEachStore((store) => {
    test('limit and cursor have bounds, and what is out of them is named', async () => {
        await withLists(store, async ({ server, lists }) => {
            for (const { path: list, token } of lists) {
                const ask = (query) => server.api('GET', `${list}?${query}`, { token });
                for (const limit of ['0', '-1', '201', '1e2', '+5', ' 5', '5.0', '', 'x', '99999999999999999999'])
                    assert.equal(expect(await ask(`limit=${encodeURIComponent(limit)}`), 400).field, 'limit', `${list} limit=${limit}`);
                for (const cursor of ['', 'x', '-1', '0x1', 'a'.repeat(101), "1' OR 1=1 --"])
                    assert.equal(expect(await ask(`cursor=${encodeURIComponent(cursor)}`), 400).field, 'cursor', `${list} cursor=${cursor}`);
                assert.ok(expect(await ask('limit=1&limit=2'), 400), `${list}: twice`);
                assert.equal(expect(await ask('page=2'), 400).field, 'page', list);
                for (const limit of [1, 200]) {
                    const body = expect(await ask(`limit=${limit}`), 200);
                    assert.deepEqual(Object.keys(body), ['items', 'nextCursor']);
                    assert.ok(body.items.length <= limit);
                }
            }
        });
    });

    test('pages of any size make the same whole', async () => {
        await withLists(store, async ({ server, lists }) => {
            const stable = lists.filter(({ path }) => path !== '/v1/audit-log'); // reading it adds to it
            for (const { path: list, token } of stable) {
                const whole = await allItems(server, list, token);
                assert.ok(whole.length > 1, list);
                for (const size of [1, 2, 3]) assert.deepEqual(await allItems(server, list, token, size), whole, `${list} by ${size}`);
            }
        });
    });
});

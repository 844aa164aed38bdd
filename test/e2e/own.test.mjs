/* What everyone has of their own: sessions, notices, preferences. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { forEachStore, withInstallation } from './harness.mjs';
import { allItems, expect, nobody, small } from './support.mjs';

async function withTwo(store, use) {
    await withInstallation({ store, env: small }, async (installation) => {
        const ann = await installation.addUser();
        const bob = await installation.addUser();
        const server = await installation.start();
        await use({ installation, server, ann, bob });
    });
}

const get = (server, token, target) => server.api('GET', target, { token });

forEachStore((store) => {
    test('one sees one\'s sessions and ends the one that was lost', async () => {
        await withTwo(store, async ({ server, ann, bob }) => {
            const grants = [];
            for (let i = 0; i < 3; i++) grants.push(await server.login(ann.email));
            const other = await server.login(bob.email);
            const [, lost, here] = grants;
            const token = here.accessToken;
            const { items, nextCursor } = expect(await get(server, token, '/v1/sessions'), 200);
            assert.equal(nextCursor, null);
            assert.deepEqual(items.map(({ id }) => id), grants.map(({ sessionId }) => sessionId).reverse(), 'newest first, only one\'s own');
            assert.deepEqual(items.map(({ current }) => current), [true, false, false]);
            assert.deepEqual(Object.keys(items[0]).sort(), ['createdAt', 'current', 'expiresAt', 'generation', 'id', 'ip', 'lastUsedAt', 'userAgent']);

            expect(await server.api('DELETE', `/v1/sessions/${lost.sessionId}`, { token }), 204);
            expect(await get(server, lost.accessToken, '/auth/me'), 401, 'token_revoked');
            expect(await server.api('POST', '/auth/refresh', { body: { refreshToken: lost.refreshToken } }), 401, 'token_revoked');
            assert.equal(expect(await get(server, token, '/v1/sessions'), 200).items.length, 2);
            for (const id of [other.sessionId, nobody, 'no-id'])
                expect(await server.api('DELETE', `/v1/sessions/${id}`, { token }), 404, 'not_found');
            expect(await get(server, other.accessToken, '/auth/me'), 200);

            expect(await server.api('DELETE', `/v1/sessions/${here.sessionId}`, { token }), 204);
            expect(await get(server, token, '/auth/me'), 401, 'token_revoked');
            expect(await get(server, grants[0].accessToken, '/auth/me'), 200);
        });
    });

    test('notices are read, marked, filtered, and paged', async () => {
        await withTwo(store, async ({ server, ann, bob }) => {
            for (const agent of ['a', 'b', 'c', 'd', 'e'])
                await server.api('POST', '/auth/login', { headers: { 'user-agent': agent }, body: { email: ann.email, password: ann.password } });
            const { accessToken: token } = await server.login(ann.email);
            const { accessToken: bobs } = await server.login(bob.email);
            const list = (query = '') => get(server, token, `/v1/notifications${query}`);
            const all = expect(await list(), 200).items;
            assert.ok(all.length >= 4, `${all.length} notices of new devices`);
            assert.deepEqual(Object.keys(all[0]).sort(), ['body', 'createdAt', 'id', 'kind', 'readAt', 'title']);
            assert.deepEqual(await allItems(server, '/v1/notifications', token, 1), all, 'pages of one make the whole');
            assert.deepEqual(await allItems(server, '/v1/notifications', token, 3), all);

            const mark = (id, read, by = token) => server.api('PATCH', `/v1/notifications/${id}`, { token: by, body: { read } });
            const read = expect(await mark(all[0].id, true), 200);
            assert.match(read.readAt, /Z$/);
            assert.deepEqual(expect(await mark(all[0].id, true), 200), read, 'marking again keeps the time');
            assert.equal(expect(await list('?unread=true'), 200).items.length, all.length - 1);
            assert.equal(expect(await mark(all[0].id, false), 200).readAt, null);
            assert.equal(expect(await list('?unread=true'), 200).items.length, all.length);

            expect(await mark(all[0].id, true, bobs), 404, 'not_found');
            for (const id of ['0', '-1', 'x', '99999999999999999999', nobody]) expect(await mark(id, true), 404, 'not_found');
            for (const body of [{}, { read: 1 }, { read: null }, { read: true, extra: 1 }])
                expect(await server.api('PATCH', `/v1/notifications/${all[0].id}`, { token, body }), 400);
            expect(await list('?unread=maybe'), 400);
        });
    });

    test('preferences are kept, on record, and one\'s own', async () => {
        await withTwo(store, async ({ installation, server, ann, bob }) => {
            const { accessToken: token } = await server.login(ann.email);
            const { accessToken: bobs } = await server.login(bob.email);
            const before = expect(await get(server, token, '/v1/preferences'), 200);
            assert.deepEqual(Object.keys(before).sort(), ['emailProduct', 'emailSecurity']);
            const wanted = { emailSecurity: !before.emailSecurity, emailProduct: !before.emailProduct };
            assert.deepEqual(expect(await server.api('PUT', '/v1/preferences', { token, body: wanted }), 200), wanted);
            assert.deepEqual(expect(await get(server, token, '/v1/preferences'), 200), wanted);
            assert.deepEqual(expect(await get(server, bobs, '/v1/preferences'), 200), before);
            expect(await server.api('PUT', '/v1/preferences', { token, body: { emailSecurity: true } }), 400);
            assert.deepEqual(expect(await get(server, token, '/v1/preferences'), 200), wanted);
            const { stdout } = await installation.cli(['trail', 'export']);
            const changes = stdout.trim().split('\n').map((line) => JSON.parse(line)).filter(({ action }) => action === 'preferences.update');
            assert.deepEqual(changes.map(({ actorId, detail }) => ({ actorId, detail })), [{ actorId: ann.id, detail: wanted }]);
            await server.restart();
            assert.deepEqual(expect(await get(server, token, '/v1/preferences'), 200), wanted);
        });
    });
});

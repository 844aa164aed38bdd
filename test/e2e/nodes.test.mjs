/* What one process ends, every other knows within a second. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { forEachStore, waitFor, withInstallation } from './harness.mjs';
import { expect, people, signIn, small } from './support.mjs';

const SECOND = 1000;
const me = (server, grant) => server.api('GET', '/auth/me', { token: grant.accessToken });

/* Waits until the server refuses the grant, a second at most. */
async function assertEnds(server, grant, what) {
    const from = Date.now();
    const refused = await waitFor(what, async () => {
        const answer = await me(server, grant);
        return answer.status === 401 && answer;
    }, { timeout: SECOND, every: 10 });
    assert.equal(refused.body.code, 'token_revoked', what);
    return Date.now() - from;
}

forEachStore((store) => {
    test('a second node follows every kind of end and change', async () => {
        await withInstallation({ store, env: small }, async (installation) => {
            const everyone = await people(installation);
            const { admin, member } = everyone;
            const a = await installation.start();
            const b = await installation.start();
            const grants = await signIn(a, everyone);
            const token = grants.admin.accessToken;
            const onBoth = async () => {
                const grant = await a.login(member.email);
                expect(await me(a, grant), 200);
                expect(await me(b, grant), 200); // the account is in b's memory now
                return grant;
            };

            let grant = await onBoth();
            expect(await a.api('DELETE', `/v1/sessions/revoke-family/${grant.sessionId}`, { token }), 200);
            expect(await me(a, grant), 401, 'token_revoked');
            await assertEnds(b, grant, 'revoke-family');

            grant = await onBoth();
            expect(await a.api('DELETE', `/v1/sessions/revoke-user/${member.id}`, { token }), 200);
            expect(await me(a, grant), 401, 'token_revoked');
            await assertEnds(b, grant, 'revoke-user');

            grant = await onBoth();
            expect(await a.api('POST', '/v1/sessions/revoke-users', { token, body: { userIds: [member.id], reason: 'x' } }), 200);
            expect(await me(a, grant), 401, 'token_revoked');
            await assertEnds(b, grant, 'revoke-users');

            grant = await onBoth();
            expect(await a.api('POST', '/auth/logout', { token: grant.accessToken }), 204);
            await assertEnds(b, grant, 'logout');

            grant = await onBoth();
            expect(await a.api('PATCH', `/v1/users/${member.id}`, { token, body: { role: 'admin' } }), 200);
            assert.equal(expect(await me(a, grant), 200).role, 'admin');
            await waitFor('the role on the second node', async () => (await me(b, grant)).body.role === 'admin', { timeout: SECOND });

            expect(await a.api('PATCH', `/v1/users/${member.id}`, { token, body: { disabled: true } }), 200);
            expect(await me(a, grant), 401, 'token_revoked');
            await assertEnds(b, grant, 'disabling');

            expect(await a.api('PATCH', `/v1/users/${member.id}`, { token, body: { disabled: false } }), 200);
            grant = await onBoth();
            expect(await a.api('DELETE', `/v1/users/${member.id}`, { token }), 204);
            expect(await me(a, grant), 401, 'token_revoked');
            await assertEnds(b, grant, 'deletion');
            assert.equal(expect(await me(b, { accessToken: token }), 200).email, admin.email);
        });
    });

    test('a running server follows the command line within a second', async () => {
        await withInstallation({ store, env: small }, async (installation) => {
            const everyone = await people(installation);
            const { member } = everyone;
            const server = await installation.start();
            const run = async (...args) => {
                const { code, stderr } = await installation.cli(args);
                assert.equal(code, 0, stderr);
            };
            const fresh = async () => {
                const grant = await server.login(member.email);
                expect(await me(server, grant), 200);
                return grant;
            };

            let grant = await fresh();
            await run('revoke-sessions', '--users', member.email, '--reason', 'by hand', '--yes');
            await assertEnds(server, grant, 'revoke-sessions');

            grant = await fresh();
            await run('users', 'set-role', member.id, 'admin');
            await waitFor('the role', async () => (await me(server, grant)).body.role === 'admin', { timeout: SECOND });

            await run('users', 'disable', member.email);
            await assertEnds(server, grant, 'users disable');

            await run('users', 'enable', member.id);
            grant = await fresh();
            await run('users', 'reset-password', member.id);
            await assertEnds(server, grant, 'users reset-password');
        });
    });

    test('a command that revokes works with the server down', async () => {
        await withInstallation({ store }, async (installation) => {
            const member = await installation.addUser();
            const server = await installation.start();
            const grant = await server.login(member.email);
            await server.stop();
            const { code, stderr } = await installation.cli(['revoke-sessions', '--users', member.id, '--reason', 'night', '--yes']);
            assert.equal(code, 0, stderr);
            await server.restart();
            expect(await me(server, grant), 401, 'token_revoked');
            expect(await server.api('POST', '/auth/refresh', { body: { refreshToken: grant.refreshToken } }), 401, 'token_revoked');
            const { accessToken } = await server.login(member.email);
            const notices = expect(await server.api('GET', '/v1/notifications', { token: accessToken }), 200).items;
            assert.ok(notices.some(({ body }) => body.includes('night')));
        });
    });
});

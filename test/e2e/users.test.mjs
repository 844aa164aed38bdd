/* Accounts: made, changed and deleted by administrators, each within the walls of a tenant. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { forEachStore, password, withInstallation } from './harness.mjs';
import { allItems, expect, nobody, people, signIn, small } from './support.mjs';

async function withPeople(store, use) {
    await withInstallation({ store, env: small }, async (installation) => {
        const everyone = await people(installation);
        const server = await installation.start();
        const grants = await signIn(server, everyone);
        const tokens = Object.fromEntries(Object.entries(grants).map(([name, grant]) => [name, grant.accessToken]));
        const users = (token, method, rest = '', body) => server.api(method, `/v1/users${rest}`, { token, body });
        await use({ installation, server, ...everyone, grants, tokens, users });
    });
}

const view = ['createdAt', 'disabled', 'email', 'emailStatus', 'id', 'locked', 'mfaEnabled', 'role', 'tenantId', 'updatedAt'];

forEachStore((store) => {
    test('an account is made, found, changed and deleted', async () => {
        await withPeople(store, async ({ server, admin, tokens, users }) => {
            const made = expect(await users(tokens.admin, 'POST', '', { email: 'New@Example.COM', role: 'member', password }), 201);
            assert.deepEqual(Object.keys(made).sort(), view);
            assert.equal(made.email, 'new@example.com');
            assert.equal(made.tenantId, admin.tenantId);
            expect(await users(tokens.admin, 'POST', '', { email: 'new@example.com', role: 'member', password }), 409, 'conflict');
            expect(await users(tokens.stranger, 'POST', '', { email: 'NEW@example.com', role: 'member', password }), 409, 'conflict');

            assert.deepEqual(expect(await users(tokens.admin, 'GET', `/${made.id}`), 200), made);
            const found = expect(await users(tokens.admin, 'GET', '?email=new@'), 200).items;
            assert.deepEqual(found, [made]);
            const { sessionId, accessToken } = await server.login('new@example.com');

            const patched = expect(await users(tokens.admin, 'PATCH', `/${made.id}`, { email: 'newer@example.com' }), 200);
            assert.equal(patched.email, 'newer@example.com');
            assert.equal((await server.api('GET', '/auth/me', { token: accessToken })).body.email, 'newer@example.com');
            expect(await server.api('POST', '/auth/login', { body: { email: 'new@example.com', password } }), 401, 'invalid_credentials');
            expect(await users(tokens.admin, 'PATCH', `/${made.id}`, { email: admin.email }), 409, 'conflict');

            expect(await users(tokens.admin, 'DELETE', `/${made.id}`), 204);
            expect(await users(tokens.admin, 'DELETE', `/${made.id}`), 404, 'not_found');
            expect(await users(tokens.admin, 'GET', `/${made.id}`), 404, 'not_found');
            expect(await server.api('GET', '/auth/me', { token: accessToken }), 401, 'token_revoked');
            expect(await server.api('POST', '/auth/login', { body: { email: 'newer@example.com', password } }), 401, 'invalid_credentials');
            expect(await server.api('DELETE', `/v1/sessions/revoke-family/${sessionId}`, { token: tokens.admin }), 404);

            const records = await allItems(server, `/v1/audit-log?subject=${made.id}`, tokens.admin);
            assert.deepEqual(records.map(({ action }) => action).filter((action) => action.startsWith('user.') && action !== 'user.login'),
                ['user.delete', 'user.update', 'user.create']);
            assert.deepEqual(records.find(({ action }) => action === 'user.update').detail.email, ['new@example.com', 'newer@example.com']);
        });
    });

    test('without a password one is made, shown once, and must be replaced first', async () => {
        await withPeople(store, async ({ server, tokens, users }) => {
            const made = expect(await users(tokens.admin, 'POST', '', { email: 'temp@example.com', role: 'admin' }), 201);
            assert.ok(made.password.length >= 20);
            assert.ok(!('password' in expect(await users(tokens.admin, 'GET', `/${made.id}`), 200)));
            const grant = await server.login('temp@example.com', made.password);
            assert.equal(grant.user.passwordChangeRequired, true);
            const token = grant.accessToken;
            expect(await users(token, 'GET'), 403, 'password_change_required');
            expect(await server.api('GET', '/v1/sessions', { token }), 403, 'password_change_required');
            expect(await server.api('POST', '/auth/password', { token, body: { currentPassword: made.password, newPassword: password } }), 204);
            expect(await users(token, 'GET'), 200);
        });
    });

    test('a change of role holds at once for tokens that are out', async () => {
        await withPeople(store, async ({ member, tokens, users, server }) => {
            expect(await users(tokens.member, 'GET'), 403, 'forbidden');
            expect(await users(tokens.admin, 'PATCH', `/${member.id}`, { role: 'admin' }), 200);
            expect(await users(tokens.member, 'GET'), 200);
            expect(await users(tokens.member, 'PATCH', `/${member.id}`, { role: 'member' }), 200);
            expect(await users(tokens.member, 'GET'), 403, 'forbidden');
            const notices = expect(await server.api('GET', '/v1/notifications', { token: tokens.member }), 200).items;
            assert.deepEqual(notices.filter(({ kind }) => kind === 'role_changed').length, 2);
        });
    });

    test('disabling ends the sessions at once; enabling does not bring them back', async () => {
        await withPeople(store, async ({ server, member, grants, tokens, users }) => {
            expect(await server.api('GET', '/auth/me', { token: tokens.member }), 200);
            assert.equal(expect(await users(tokens.admin, 'PATCH', `/${member.id}`, { disabled: true }), 200).disabled, true);
            expect(await server.api('GET', '/auth/me', { token: tokens.member }), 401, 'token_revoked');
            const refresh = () => server.api('POST', '/auth/refresh', { body: { refreshToken: grants.member.refreshToken } });
            expect(await refresh(), 401, 'token_revoked');
            expect(await server.api('POST', '/auth/login', { body: { email: member.email, password } }), 401, 'invalid_credentials');
            expect(await users(tokens.admin, 'PATCH', `/${member.id}`, { disabled: false }), 200);
            expect(await server.api('GET', '/auth/me', { token: tokens.member }), 401, 'token_revoked');
            expect(await refresh(), 401, 'token_revoked');
            await server.login(member.email);
            const records = await allItems(server, `/v1/audit-log?subject=${member.id}`, tokens.admin);
            const actions = records.map(({ action }) => action);
            assert.ok(actions.indexOf('user.enable') < actions.indexOf('user.disable'));
        });
    });

    test('the last enabled operator stays', async () => {
        await withPeople(store, async ({ operator, member, tokens, users }) => {
            const last = [
                await users(tokens.operator, 'PATCH', `/${operator.id}`, { disabled: true }),
                await users(tokens.operator, 'PATCH', `/${operator.id}`, { role: 'admin' }),
                await users(tokens.operator, 'DELETE', `/${operator.id}`),
            ];
            for (const answer of last) expect(answer, 409, 'conflict');
            expect(await users(tokens.operator, 'PATCH', `/${member.id}`, { role: 'operator' }), 200);
            expect(await users(tokens.operator, 'PATCH', `/${operator.id}`, { role: 'admin' }), 200);
            expect(await users(tokens.member, 'PATCH', `/${member.id}`, { disabled: true }), 409, 'conflict');
        });
    });

    test('of operators who depose each other at the same time one stays', async () => {
        await withPeople(store, async ({ installation, server, operator, tokens, users }) => {
            const other = await installation.addUser({ role: 'operator', tenant: 'Holdfast' });
            const { accessToken } = await server.login(other.email);
            const answers = await Promise.all([
                users(tokens.operator, 'PATCH', `/${other.id}`, { role: 'member' }),
                users(accessToken, 'PATCH', `/${operator.id}`, { role: 'member' }),
            ]);
            const done = answers.filter(({ status }) => status === 200);
            assert.equal(done.length, 1, JSON.stringify(answers.map(({ status }) => status)));
            const { stdout } = await installation.cli(['users', 'list', '--json']);
            const roles = stdout.trim().split('\n').map((line) => JSON.parse(line).role);
            assert.equal(roles.filter((role) => role === 'operator').length, 1);
        });
    });

    test('an administrator ends at the walls of the tenant, and below operators', async () => {
        await withPeople(store, async ({ operator, admin, member, stranger, tokens, users }) => {
            expect(await users(tokens.admin, 'POST', '', { email: 'o@example.com', role: 'operator', password }), 403, 'forbidden');
            expect(await users(tokens.admin, 'PATCH', `/${member.id}`, { role: 'operator' }), 403, 'forbidden');
            expect(await users(tokens.admin, 'POST', '', { email: 'o@example.com', role: 'member', password, tenantId: stranger.tenantId }), 404);
            expect(await users(tokens.admin, 'POST', '', { email: 'o@example.com', role: 'member', password, tenantId: nobody }), 404);
            for (const id of [operator.id, stranger.id, nobody]) {
                expect(await users(tokens.admin, 'GET', `/${id}`), 404, 'not_found');
                expect(await users(tokens.admin, 'PATCH', `/${id}`, { disabled: true }), 404, 'not_found');
                expect(await users(tokens.admin, 'DELETE', `/${id}`), 404, 'not_found');
            }
            const seen = expect(await users(tokens.admin, 'GET'), 200).items.map(({ id }) => id);
            assert.deepEqual(seen.sort(), [admin.id, member.id].sort());
            assert.equal(expect(await users(tokens.operator, 'GET'), 200).items.length, 4);

            const inTenant = expect(await users(tokens.operator, 'POST', '', { email: 'op2@example.com', role: 'operator', password, tenantId: admin.tenantId }), 201);
            expect(await users(tokens.admin, 'PATCH', `/${inTenant.id}`, { disabled: true }), 403, 'forbidden');
            expect(await users(tokens.admin, 'DELETE', `/${inTenant.id}`), 403, 'forbidden');
        });
    });

    test('malformed accounts are refused by the field', async () => {
        await withPeople(store, async ({ member, tokens, users }) => {
            const bad = [
                [{ role: 'member' }, 'email'], [{ email: 'no address', role: 'member' }, 'email'],
                [{ email: 'a@example.com' }, 'role'], [{ email: 'a@example.com', role: 'root' }, 'role'],
                [{ email: 'a@example.com', role: 'member', password: 'short' }, 'password'],
                [{ email: 'a@example.com', role: 'member', password: 'password' }, 'password'],
                [{ email: 'a@example.com', role: 'member', password: 'x'.repeat(129) }, 'password'],
                [{ email: 'a@example.com', role: 'member', tenantId: 'x' }, 'tenantId'],
                [{ email: 'a@example.com', role: 'member', admin: true }, 'admin'],
            ];
            for (const [body, field] of bad)
                assert.equal(expect(await users(tokens.admin, 'POST', '', body), 400).field, field, JSON.stringify(body));
            for (const [body, field] of [[{ role: 7 }, 'role'], [{ disabled: 'yes' }, 'disabled'], [{ email: 'x' }, 'email'], [{ id: nobody }, 'id']])
                assert.equal(expect(await users(tokens.admin, 'PATCH', `/${member.id}`, body), 400).field, field);
            expect(await users(tokens.admin, 'POST', '', '{"email":"a@example.com","email":"b@example.com","role":"member"}'), 400);
            expect(await users(tokens.admin, 'POST', '', '{'), 400, 'bad_request');
        });
    });
});

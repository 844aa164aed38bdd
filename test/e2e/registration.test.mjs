/* Registration: a stranger makes a tenant of their own, where that is allowed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { forEachStore, password, withInstallation } from './harness.mjs';
import { expect } from './support.mjs';

const register = (server, changes = {}) =>
    server.api('POST', '/auth/register', { body: { email: 'first@example.com', password, tenantName: 'Éclair & Söhne', ...changes } });

forEachStore((store) => {
    test('a stranger registers, and is the admin of a tenant that sees nobody else', async () => {
        await withInstallation({ store }, async (installation) => {
            const other = await installation.addUser({ tenant: 'Other' });
            const server = await installation.start();
            const { status, body } = await register(server, { email: 'First@Example.com' });
            assert.equal(status, 201);
            assert.equal(body.tenant.name, 'Éclair & Söhne');
            assert.equal(body.user.email, 'first@example.com');
            assert.equal(body.user.role, 'admin');
            assert.equal(body.user.tenantId, body.tenant.id);
            const { accessToken: token } = await server.login('first@example.com');
            const users = await server.api('GET', '/v1/users', { token });
            assert.deepEqual(users.body.items.map((user) => user.email), ['first@example.com']);
            expect(await server.api('GET', `/v1/users/${other.id}`, { token }), 404, 'not_found');
            expect(await register(server), 409, 'conflict');
        });
    });

    test('what is not acceptable is refused by its field', async () => {
        await withInstallation({ store }, async (installation) => {
            const server = await installation.start();
            const unacceptable = [
                ['password', 'short7!'],
                ['password', 'x'.repeat(129)],
                ['password', 'password123'],
                ['email', 'no address'],
                ['email', `${'a'.repeat(250)}@example.com`],
                ['tenantName', ''],
                ['tenantName', ' blank'],
                ['tenantName', 'bell\u0007'],
            ];
            for (const [field, value] of unacceptable) {
                const answer = await register(server, { [field]: value });
                expect(answer, 400, 'invalid_field');
                assert.equal(answer.body.field, field, value);
            }
            assert.equal((await register(server, { password: 'é'.repeat(128) })).status, 201, 'characters are counted, not bytes');
            await server.login('first@example.com', 'é'.repeat(128));
        });
    });

    test('registration can be turned off', async () => {
        await withInstallation({ store, env: { REGISTRATION_ENABLED: 'false' } }, async (installation) => {
            const server = await installation.start();
            expect(await register(server), 403, 'registration_disabled');
            assert.equal((await server.api('POST', '/auth/login', { body: { email: 'first@example.com', password } })).status, 401);
        });
    });
});

/* Attacks on sessions and passwords that have to fail. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';

import { forEachStore, password, waitFor, withInstallation } from './harness.mjs';

const me = (server, token) => server.api('GET', '/auth/me', { token });

async function reload(installation, server, settings) {
    const before = server.lines.filter((line) => /^configuration reloaded/.test(line.event)).length;
    await writeFile(path.join(installation.dir, '.env'), settings);
    server.child.kill('SIGHUP');
    await waitFor('the reload', () => server.lines.filter((line) => /^configuration reloaded/.test(line.event)).length > before);
}

forEachStore((store) => {
    /* What is revoked is remembered for one life of a token; a longer-lived one must not outlast it. */
    test('a token of longer lives ends when lives are shortened', async () => {
        await withInstallation({ store }, async (installation) => {
            await writeFile(path.join(installation.dir, '.env'), 'ACCESS_TOKEN_TTL_SECONDS=300\n');
            const user = await installation.addUser();
            const server = await installation.start();
            const { accessToken } = await server.login(user.email);
            assert.equal((await me(server, accessToken)).status, 200);
            await reload(installation, server, 'ACCESS_TOKEN_TTL_SECONDS=5\n');
            const refused = await waitFor('its end', async () => {
                const answer = await me(server, accessToken);
                return answer.status !== 200 && answer;
            });
            assert.equal(refused.status, 401);
            assert.equal(refused.body.code, 'token_expired');
        });
    });

    test('of parallel password changes from one password, one is done', async () => {
        await withInstallation({ store }, async (installation) => {
            const user = await installation.addUser();
            const server = await installation.start();
            const { accessToken } = await server.login(user.email);
            const chosen = [1, 2, 3, 4, 5, 6].map((i) => `another password ${i}`);
            const answers = await Promise.all(
                chosen.map((newPassword) =>
                    server.api('POST', '/auth/password', { token: accessToken, body: { currentPassword: password, newPassword } }),
                ),
            );
            const done = chosen.filter((_, i) => answers[i].status === 204);
            assert.equal(done.length, 1, JSON.stringify(answers.map((answer) => answer.status)));
            for (const answer of answers) if (answer.status !== 204) assert.equal(answer.body.code, 'invalid_credentials');
            await server.login(user.email, done[0]);
        });
    });

    test('a session that is ended while it changes the password changes nothing', async () => {
        await withInstallation({ store, env: { PASSWORD_THREADS: '1' } }, async (installation) => {
            const admin = await installation.addUser({ role: 'admin' });
            const user = await installation.addUser();
            const server = await installation.start();
            const power = (await server.login(admin.email)).accessToken;
            const thief = await server.login(user.email);
            /* The change waits behind these for the only hashing thread, or hashes itself. */
            const crowd = Array.from({ length: 4 }, () => server.api('POST', '/auth/login', { body: { email: 'nobody@example.com', password } }));
            const change = server.api('POST', '/auth/password', {
                token: thief.accessToken,
                body: { currentPassword: password, newPassword: 'the password of a thief' },
            });
            const ended = await server.api('DELETE', `/v1/sessions/revoke-user/${user.id}`, { token: power });
            assert.equal(ended.status, 200);
            const { status } = await change;
            await Promise.all(crowd);
            /* 204 only where the change had been done before the session was ended. */
            const { status: old } = await server.api('POST', '/auth/login', { body: { email: user.email, password } });
            assert.equal(old === 200, status === 401, `change ${status}, old password ${old}`);
        });
    });

    test('lists of users tell nothing of other tenants, and count a repeated address once', async () => {
        await withInstallation({ store }, async (installation) => {
            const admin = await installation.addUser({ role: 'admin' });
            const own = await installation.addUser();
            const foreign = await installation.addUser({ tenant: 'Elsewhere' });
            const nobody = { id: admin.id.replace(/.{12}$/, '0123456789ab'), email: 'nobody@example.com' };
            const server = await installation.start();
            const { accessToken } = await server.login(admin.email);
            const count = async (userIds) => {
                const { status, body } = await server.api('POST', '/v1/sessions/revoke-users', {
                    token: accessToken,
                    body: { userIds, reason: 'test', dryRun: true },
                });
                assert.equal(status, 200);
                return { requested: body.requested, matched: body.matched, unknown: body.unknown.length };
            };
            assert.deepEqual(await count([foreign.email, foreign.id]), await count([nobody.email, nobody.id]));
            assert.deepEqual(await count([foreign.email, foreign.email.toUpperCase()]), await count([nobody.email, nobody.email.toUpperCase()]));
            assert.deepEqual(await count([own.email, own.email.toUpperCase(), own.id]), { requested: 1, matched: 1, unknown: 0 });
        });
    });
});

forEachStore((store) => {
    test('who registers a name beforehand is given nobody of it', async () => {
        /* In development whoever registers is the one who operates. */
        const env = {
            HOLDFAST_ENV: 'staging',
            REGISTRATION_ENABLED: 'true',
            JWT_SECRET: randomBytes(64).toString('hex'),
            ENCRYPTION_KEY: randomBytes(32).toString('hex'),
        };
        await withInstallation({ store, env }, async (installation) => {
            const server = await installation.start();
            const register = (tenantName, email) => server.api('POST', '/auth/register', { body: { email, password, tenantName } });
            const { status, body } = await register('Globex', 'squatter@example.com');
            assert.equal(status, 201);
            const add = (email, tenant) => installation.cli(['users', 'add', '--email', email, '--role', 'member', '--tenant', tenant, '--json']);
            const refused = await add('a@example.com', 'Globex');
            assert.equal(refused.code, 1);
            assert.match(refused.stderr, /was registered by somebody/);
            const meant = await add('b@example.com', body.tenant.id);
            assert.equal(JSON.parse(meant.stdout).tenantId, body.tenant.id);
            /* A tenant of the operator's own stays the one that its name means. */
            const first = JSON.parse((await add('c@example.com', 'Initech')).stdout);
            assert.equal((await register('Initech', 'squatter2@example.com')).status, 201);
            assert.equal(JSON.parse((await add('d@example.com', 'Initech')).stdout).tenantId, first.tenantId);
        });
    });
});

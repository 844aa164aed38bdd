/* A database that is put back under a running server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { psql, stores, waitFor, withInstallation } from './harness.mjs';

const postgres = stores.find((store) => store.name === 'postgresql');

test('revocations are followed after an older feed was put in place', { skip: !postgres && 'needs PostgreSQL' }, async () => {
    await withInstallation({ store: postgres }, async (installation) => {
        const users = [await installation.addUser(), await installation.addUser()];
        const server = await installation.start();
        const me = (token) => server.api('GET', '/auth/me', { token });
        const tokens = [];
        for (const user of users) tokens.push((await server.login(user.email)).accessToken);
        const revoke = async (user) => {
            const { code, stderr } = await installation.cli(['revoke-sessions', '--users', user.id, '--reason', 'test', '--yes']);
            assert.equal(code, 0, stderr);
        };
        await me(tokens[1]);
        await revoke(users[0]);
        await waitFor('the first end', async () => (await me(tokens[0])).status === 401, { timeout: 2000 });

        /* Numbers begin again, as they do in a copy from before the first revocation. */
        await psql(installation.database.url, 'TRUNCATE feed RESTART IDENTITY');
        await server.waitForLine('the restoration to be seen', (line) => /feed was put back/.test(line.event), { timeout: 5000 });
        assert.equal((await me(tokens[1])).status, 200);
        await revoke(users[1]);
        await waitFor('the second end', async () => (await me(tokens[1])).status === 401, { timeout: 2000 });
    });
});

/* A list of users that names some of them more than once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { forEachStore, withInstallation } from './harness.mjs';

forEachStore((store) => {
    test('a repeated address is a repetition, and not unknown', async () => {
        await withInstallation({ store }, async (installation) => {
            const ada = await installation.addUser(), bob = await installation.addUser();
            const server = await installation.start();
            await server.login(ada.email);
            const named = [ada.email, bob.email, ada.email.toUpperCase(), bob.id, ada.email, 'eve@example.com'];
            const args = ['revoke-sessions', '--users', named.join(','), '--reason', 'Leaked', '--yes', '--json'];
            const { code, stdout, stderr } = await installation.cli(args);
            assert.equal(code, 0, stderr);
            const { requested, matched, unknown, duplicates, revokedSessions, unknownUsers } = JSON.parse(stdout);
            assert.deepEqual(unknownUsers, ['eve@example.com']);
            assert.deepEqual({ requested, matched, unknown, duplicates, revokedSessions },
                { requested: 3, matched: 2, unknown: 1, duplicates: 3, revokedSessions: 1 });
        });
    });
});

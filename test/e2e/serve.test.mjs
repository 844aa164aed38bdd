/* Starting, answering, ending. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { forEachStore, withInstallation } from './harness.mjs';

forEachStore((store) => {
    test('serves, ends when told to, and serves again on the same data', async () => {
        await withInstallation({ store }, async (installation) => {
            const user = await installation.addUser({ role: 'admin' });
            const server = await installation.start();
            const { status, headers, body } = await server.api('GET', '/health');
            assert.equal(status, 200);
            assert.deepEqual(body, { status: 'ok' });
            assert.ok(headers['x-request-id']);
            const { sessionId } = await server.login(user.email);
            await server.restart();
            const again = await server.login(user.email);
            assert.notEqual(again.sessionId, sessionId);
            await server.kill();
            await server.restart();
            await server.login(user.email);
        });
    });
});

/* How long access tokens live when the setting changes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { forEachStore, waitFor, withInstallation } from './harness.mjs';

forEachStore((store) => {
    test('a shorter life holds for tokens that are out already', async () => {
        await withInstallation({ store, env: { ACCESS_TOKEN_TTL_SECONDS: '86400' } }, async (installation) => {
            const user = await installation.addUser();
            const server = await installation.start();
            const { accessToken, expiresIn } = await server.login(user.email);
            assert.equal(expiresIn, 86400);
            await server.restart({ env: { ACCESS_TOKEN_TTL_SECONDS: '5' } });
            const { code } = await waitFor('the token to expire', async () => {
                const { status, body } = await server.api('GET', '/auth/me', { token: accessToken });
                return status === 401 && body;
            });
            assert.equal(code, 'token_expired');
        });
    });
});

/*
 * The loop of mail on a laptop with nothing set: a message goes out, what became of it comes back as
 * a signed event, and changes what is sent next.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { freePort, withInstallation } from './harness.mjs';

test('email simulate says what stands against it', async () => {
    await withInstallation({}, async (installation) => {
        const simulate = (env, ...args) => installation.cli(['email', 'simulate', ...args], { env });
        const nobody = `http://127.0.0.1:${await freePort()}`;
        const production = { HOLDFAST_ENV: 'production', JWT_SECRET: 'f01a23b4c5d6e789'.repeat(8), ENCRYPTION_KEY: 'f01a23b4c5d6e789'.repeat(4) };
        for (const [env, args, code, said] of [
            [{}, ['--url', nobody], 3, /no server answers at http:\/\/127\.0\.0\.1:\d+ .*\n.*holdfast serve/],
            [{}, ['--url', nobody, '--json'], 3, /no server answers/],
            [{}, ['--url', 'ftp://localhost'], 2, /--url: "ftp:\/\/localhost" is not the URL of a server/],
            [{}, ['--url', ''], 2, /--url/],
            [{ PORT: '0' }, [], 2, /PORT is 0.*--url/],
            [{}, ['--fate', 'glory'], 2, /--fate: "glory" is none of/],
            [{}, ['--timeout', '0'], 2, /--timeout: "0" is not a number from 1 to 3600/],
            [{}, ['--timeout', '3601'], 2, /--timeout/],
            [{ EMAIL_TRANSPORT: 'none' }, [], 2, /EMAIL_TRANSPORT is none/],
            [{ EMAIL_MONITORING_ENABLED: 'false' }, [], 2, /EMAIL_MONITORING_ENABLED is false/],
            [{ ...production, EMAIL_TRANSPORT: 'none' }, [], 2, /in production a simulated bounce would count/],
        ]) {
            const result = await simulate(env, ...args);
            assert.equal(result.code, code, `${JSON.stringify([env, args])}: ${result.stderr}`);
            assert.match(result.stderr, said);
            assert.equal(result.stdout, '');
        }
        const server = await installation.start();
        const url = `http://127.0.0.1:${server.port}`;
        const stranger = await simulate({}, '--url', url, '--tenant', 'Nobody');
        assert.equal(stranger.code, 2);
        assert.match(stranger.stderr, /--tenant: there is no tenant "Nobody"/);
    });
});

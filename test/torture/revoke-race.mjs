#!/usr/bin/env node
/*
 * A refresh and a revocation of one session at the same time, 1,000 times: whoever comes first, in
 * the end no token of the session lives. On each store there is.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { forEachStore, withInstallation } from '../e2e/harness.mjs';
import { newSecret, refresh, statusOf } from '../e2e/steps.mjs';
import { sql } from '../e2e/support.mjs';

const ROUNDS = 1000;
const LANES = 8;

const client = { OAUTH_CLIENT_ID: 'gateway', OAUTH_CLIENT_SECRET: newSecret() };

/* Each way to end a session. */
const revocations = [
    (server, grant, admin) => server.api('DELETE', `/v1/sessions/revoke-family/${grant.sessionId}`, { token: admin }),
    (server, grant) => server.api('POST', '/auth/logout', { token: grant.accessToken }),
    (server, grant) => server.api('DELETE', `/v1/sessions/${grant.sessionId}`, { token: grant.accessToken }),
    (server, grant) => server.api('POST', '/oauth/revoke', { form: { token: grant.accessToken, client_id: client.OAUTH_CLIENT_ID, client_secret: client.OAUTH_CLIENT_SECRET } }),
];

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

forEachStore((store) => {
    test(`${ROUNDS} races of a refresh and a revocation`, async () => {
        await withInstallation({ store, env: client }, async (installation) => {
            const user = await installation.addUser();
            const operator = await installation.addUser({ role: 'operator' });
            const server = await installation.start();
            const { accessToken: admin } = await server.login(operator.email);
            const outcomes = { 200: 0, 401: 0 };
            let next = 0;

            const race = async (round) => {
                const grant = await server.login(user.email);
                const revoke = revocations[round % revocations.length];
                // The head start goes to either, by fractions of what a request takes.
                const lead = (Math.floor(round / revocations.length) % 5) - 2;
                const [refreshed, revoked] = await Promise.all([
                    pause(Math.max(0, lead)).then(() => refresh(server, grant.refreshToken)),
                    pause(Math.max(0, -lead)).then(() => revoke(server, grant, admin)),
                ]);
                assert.ok([200, 204].includes(revoked.status), `round ${round}: ${JSON.stringify(revoked.body)}`);
                assert.ok(refreshed.status in outcomes, `round ${round}: ${JSON.stringify(refreshed.body)}`);
                outcomes[refreshed.status]++;
                for (const one of [grant, refreshed.body]) {
                    if (!one.accessToken) continue;
                    assert.equal(await statusOf(server, one.accessToken), 401, `round ${round}`);
                    assert.equal((await refresh(server, one.refreshToken)).status, 401, `round ${round}`);
                }
            };
            const lane = async () => {
                while (next < ROUNDS) await race(next++);
            };
            await Promise.all(Array.from({ length: LANES }, lane));
            assert.ok(outcomes[200] > 0 && outcomes[401] > 0, `the races were none: ${JSON.stringify(outcomes)}`);
            const [alive] = await sql(installation, 'SELECT count(*) FROM families WHERE revoked_at IS NULL');
            assert.equal(alive, '1', 'only the operator is signed in');
        });
    });
});

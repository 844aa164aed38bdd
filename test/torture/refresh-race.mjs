#!/usr/bin/env node
/*
 * Fifty refreshes of one token at once, 200 rounds: each round has exactly one successor, and every
 * one of the fifty gets it. On each store there is.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { forEachStore, withInstallation } from '../e2e/harness.mjs';
import { refresh, statusOf } from '../e2e/steps.mjs';
import { sql, sqlId } from '../e2e/support.mjs';

const PARALLEL = 50;
const ROUNDS = 200;

forEachStore((store) => {
    test(`${ROUNDS} rounds of ${PARALLEL} refreshes at once`, async () => {
        await withInstallation({ store }, async (installation) => {
            const user = await installation.addUser();
            const server = await installation.start();
            const grant = await server.login(user.email);
            const seen = new Set([grant.refreshToken]);
            let token = grant.refreshToken;
            let access = grant.accessToken;
            for (let round = 1; round <= ROUNDS; round++) {
                const answers = await Promise.all(Array.from({ length: PARALLEL }, () => refresh(server, token)));
                for (const answer of answers) assert.equal(answer.status, 200, `round ${round}: ${JSON.stringify(answer.body)}`);
                const successors = new Set(answers.map((answer) => answer.body.refreshToken));
                assert.equal(successors.size, 1, `round ${round}`);
                [token] = successors;
                access = answers[round % PARALLEL].body.accessToken;
                assert.ok(!seen.has(token), `round ${round}: an older token came back`);
                seen.add(token);
            }
            assert.equal(await statusOf(server, access), 200);
            const rows = await sql(installation, `SELECT generation, revoked_at FROM families WHERE id = ${sqlId(installation, grant.sessionId)}`);
            assert.deepEqual(rows, [`${ROUNDS}|`], 'the row moved once a round');
        });
    });
});

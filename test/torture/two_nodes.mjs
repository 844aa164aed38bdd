#!/usr/bin/env node
/*
 * Two nodes on one database under mixed load. Each answer comes from either; an end that was
 * acknowledged holds on the node that acknowledged it at once, on the other within a second, and
 * for good; nothing else is ever refused.
 */
import assert from 'node:assert/strict';

import { stores, withInstallation } from '../e2e/harness.mjs';
import { sleep, small } from '../e2e/support.mjs';

const CLIENTS = 8, FOR_MS = 12_000, SECOND = 1000;

const random = (n) => Math.floor(Math.random() * n);
const me = (node, token) => node.api('GET', '/auth/me', { token });

function expectStatus(answer, status, about) {
    assert.equal(answer.status, status, `${about}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
}

/* Both nodes refuse the token: the first at once, the second within a second, both for good. */
async function assertEnded(first, second, session, tally) {
    const from = performance.now();
    assert.equal((await me(first, session.accessToken)).status, 401, 'at once, where it was acknowledged');
    while ((await me(second, session.accessToken)).status !== 401) {
        assert.ok(performance.now() - from < SECOND, 'the other node follows within a second');
        await sleep(2);
    }
    tally.lags.push(performance.now() - from);
    for (const node of [first, second]) {
        assert.equal((await me(node, session.accessToken)).status, 401);
        const { status, body } = await node.api('POST', '/auth/refresh', { body: { refreshToken: session.refreshToken } });
        assert.deepEqual([status, body.code], [401, 'token_revoked']);
    }
}

const ends = [
    (node, admin, user, session) => node.api('POST', '/auth/logout', { token: session.accessToken }),
    (node, admin, user, session) => node.api('DELETE', `/v1/sessions/${session.sessionId}`, { token: session.accessToken }),
    (node, admin, user, session) => node.api('DELETE', `/v1/sessions/revoke-family/${session.sessionId}`, { token: admin }),
    (node, admin, user) => node.api('DELETE', `/v1/sessions/revoke-user/${user.id}`, { token: admin }),
    (node, admin, user) => node.api('POST', '/v1/sessions/revoke-users', { token: admin, body: { userIds: [user.id], reason: 'x' } }),
];

/* One user on one device, over and over. */
async function live(nodes, admin, user, until, tally) {
    while (Date.now() < until) {
        let session = expectStatus(await nodes[random(2)].api('POST', '/auth/login', { body: { email: user.email, password: user.password } }), 200, 'sign-in');
        for (let i = 2 + random(6); i > 0; i--) {
            const node = nodes[random(2)];
            expectStatus(await me(node, session.accessToken), 200, 'a live token');
            session = expectStatus(await node.api('POST', '/auth/refresh', { body: { refreshToken: session.refreshToken } }), 200, 'a live session');
            tally.rotations++;
        }
        const first = random(2);
        const answer = await ends[random(ends.length)](nodes[first], admin, user, session);
        assert.ok(answer.status === 200 || answer.status === 204, `the end: ${answer.status} ${JSON.stringify(answer.body)}`);
        await assertEnded(nodes[first], nodes[1 - first], session, tally);
    }
}

async function torture(store) {
    await withInstallation({ store, env: { ...small, LOG_LEVEL: 'warn' } }, async (installation) => {
        const operator = await installation.addUser({ role: 'operator' });
        const users = [];
        for (let i = 0; i < CLIENTS; i++) users.push(await installation.addUser());
        const nodes = [await installation.start(), await installation.start()];
        const { accessToken: admin } = await nodes[0].login(operator.email);
        const tally = { lags: [], rotations: 0 };
        const until = Date.now() + FOR_MS;
        await Promise.all(users.map((user) => live(nodes, admin, user, until, tally)));
        for (const node of nodes) await node.stop();
        const { code, stderr } = await installation.cli(['trail', 'verify']);
        assert.equal(code, 0, stderr);
        const lags = tally.lags.sort((a, b) => a - b);
        assert.ok(lags.length >= 2 * CLIENTS, `${lags.length} ends`);
        const at = (share) => lags[Math.floor((lags.length - 1) * share)].toFixed(1);
        console.log(`${store.name}: ${tally.rotations} rotations, ${lags.length} ends; the other node followed in ${at(0.5)} ms (median), ${at(1)} ms (worst)`);
    });
}

for (const store of stores) await torture(store);

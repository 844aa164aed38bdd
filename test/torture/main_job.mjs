#!/usr/bin/env node
/*
 * The main job, under load: people sign in on several devices and work; some of them are revoked,
 * each on every device within a second, by the API and by the command line; and the trail proves
 * who did what to whom, and why.
 */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';

import { stores, waitFor, withInstallation } from '../e2e/harness.mjs';
import { sleep, small } from '../e2e/support.mjs';

const PEOPLE = 24, DEVICES = 3, SECOND = 1000;

const answered = (answer, status) => {
    assert.equal(answer.status, status, JSON.stringify(answer.body));
    return answer.body;
};

/* A device that works until it is refused; then it says when, and why. */
class Device {
    constructor(node, user, name) {
        Object.assign(this, { node, user, name, requests: 0, endedAt: null });
    }

    async signIn() {
        const { email, password } = this.user;
        this.grant = answered(await this.node.api('POST', '/auth/login', { headers: { 'user-agent': this.name }, body: { email, password } }), 200);
    }

    async work(isOver) {
        while (!isOver()) {
            for (let i = 0; i < 5; i++) {
                this.requests++;
                const { status, body } = await this.node.api('GET', '/auth/me', { token: this.grant.accessToken });
                if (status === 401) return this.#over(body.code);
                assert.equal(status, 200, JSON.stringify(body));
                await sleep(5);
            }
            const { status, body } = await this.node.api('POST', '/auth/refresh', { body: { refreshToken: this.grant.refreshToken } });
            if (status === 401) return this.#over(body.code);
            this.grant = answered({ status, body }, 200);
        }
    }

    #over(code) {
        this.endedAt = performance.now();
        assert.equal(code, 'token_revoked');
    }
}

async function prove(installation, operator, users, revoked, requests) {
    const { code, stdout, stderr } = await installation.cli(['trail', 'verify', '--json']);
    assert.equal(code, 0, stderr);
    const records = (await installation.cli(['trail', 'export'])).stdout.trim().split('\n').map((line) => JSON.parse(line));
    assert.ok(JSON.parse(stdout).records >= PEOPLE * DEVICES, 'the trail has a record for each sign-in at least');
    for (const user of users) {
        const about = records.filter(({ subjectId, action }) => subjectId === user.id && action === 'user.login');
        assert.equal(about.length, DEVICES, 'each sign-in');
    }
    const single = records.filter(({ action }) => action === 'session.revoke_user');
    assert.deepEqual(single.map(({ subjectId }) => subjectId).sort(), revoked.byApi.map(({ id }) => id).sort());
    for (const record of single) {
        assert.equal(record.actorId, operator.id);
        assert.equal(record.detail.reason, 'stolen bag');
        assert.equal(record.detail.sessions, DEVICES);
        assert.ok(requests.has(record.requestId));
    }
    const mass = records.filter(({ action }) => action === 'session.revoke_mass');
    assert.equal(mass.length, 1);
    assert.match(mass[0].actor, /^cli:/);
    assert.equal(mass[0].detail.users, revoked.byCommand.length);
    assert.equal(mass[0].detail.sessions, revoked.byCommand.length * DEVICES);
}

async function run(store) {
    await withInstallation({ store, env: { ...small, LOG_LEVEL: 'warn' } }, async (installation) => {
        const operator = await installation.addUser({ role: 'operator' });
        const users = await Promise.all(Array.from({ length: PEOPLE }, () => installation.addUser()));
        const nodes = [await installation.start(), await installation.start()];
        const devices = users.flatMap((user) => Array.from({ length: DEVICES }, (_, i) => new Device(nodes[i % 2], user, ['phone', 'laptop', 'tablet'][i])));
        await Promise.all(devices.map((device) => device.signIn()));
        let over = false;
        const working = Promise.all(devices.map((device) => device.work(() => over)));
        working.catch(() => {});
        const goOn = (some) => {
            const enough = new Map(some.map((device) => [device, device.requests + 10]));
            return () => some.every((device) => device.endedAt !== null || device.requests >= enough.get(device));
        };
        await waitFor('all to work', goOn(devices));

        const third = PEOPLE / 3;
        const revoked = { byApi: users.slice(0, third), byCommand: users.slice(third, 2 * third) };
        const { accessToken: token } = await nodes[0].login(operator.email);
        const acknowledged = new Map(), requests = new Set();
        for (const user of revoked.byApi) {
            const answer = await nodes[0].api('DELETE', `/v1/sessions/revoke-user/${user.id}`, { token, body: { reason: 'stolen bag' } });
            acknowledged.set(user, performance.now());
            assert.equal(answered(answer, 200).revokedSessions, DEVICES);
            requests.add(answer.headers['x-request-id']);
        }
        await writeFile(path.join(installation.dir, 'users.txt'), revoked.byCommand.map(({ email }) => email).join('\n'));
        const command = await installation.cli(['revoke-sessions', '--file', 'users.txt', '--reason', 'leaked list', '--yes']);
        assert.equal(command.code, 0, command.stderr);
        for (const user of revoked.byCommand) acknowledged.set(user, performance.now());

        const ended = devices.filter(({ user }) => acknowledged.has(user));
        await waitFor('the devices of the revoked to be refused', () => ended.every(({ endedAt }) => endedAt !== null));
        await waitFor('the others to work on', goOn(devices.filter((device) => !ended.includes(device))));
        over = true;
        await working;
        const lags = [];
        for (const device of devices) {
            const at = acknowledged.get(device.user);
            if (at === undefined) {
                assert.equal(device.endedAt, null, 'nobody else is touched');
                continue;
            }
            lags.push(Math.max(0, device.endedAt - at));
        }
        assert.ok(Math.max(...lags) < SECOND, `the last device was refused after ${Math.max(...lags)} ms`);
        for (const { grant } of devices.filter(({ endedAt }) => endedAt !== null))
            for (const node of nodes) answered(await node.api('POST', '/auth/refresh', { body: { refreshToken: grant.refreshToken } }), 401);
        await prove(installation, operator, users, revoked, requests);
        const total = devices.reduce((sum, device) => sum + device.requests, 0);
        console.log(`${store.name}: ${devices.length} devices, ${total} requests; ${lags.length} devices refused, the last ${Math.max(...lags).toFixed(0)} ms after the acknowledgement`);
    });
}

for (const store of stores) await run(store);

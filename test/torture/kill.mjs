#!/usr/bin/env node
/*
 * kill -9 in the middle of load, KILLS times on each store. The clients write down what was
 * acknowledged; after each restart all of it has to hold: no ended session lives, no rotation is
 * undone, no live session is lost, and the trail has a record of each revocation.
 */
import assert from 'node:assert/strict';

import { stores, withInstallation } from '../e2e/harness.mjs';
import { small, sql } from '../e2e/support.mjs';

const KILLS = Number(process.env.KILLS ?? 50);
const CLIENTS = 6;
const ANSWERS = [5, 60]; // how many a server may acknowledge before it is killed

const random = (n) => Math.floor(Math.random() * n);

/* The request's answer, or null where the server died before it came. */
async function attempt(server, method, target, options) {
    try {
        return await server.api(method, target, options);
    } catch {
        return null;
    }
}

/* Counts answers; enough is a promise of as many. */
class Meter {
    constructor(wanted) {
        this.left = wanted;
        this.enough = new Promise((resolve) => (this.reached = resolve));
    }

    count() {
        if (--this.left === 0) this.reached();
    }
}

/*
 * What a client knows of a session: the newest tokens that it was given, how often it was given
 * new ones, and whether it ended: "no", "yes" (acknowledged), "perhaps" (asked for, no answer).
 */
class Client {
    constructor(user, admin) {
        Object.assign(this, { user, admin, sessions: [], revocations: [], rotations: 0 });
    }

    /* Until the server is gone. Two devices are signed in most of the time. */
    async work(server, meter) {
        for (let goesOn = true; goesOn; meter.count()) {
            const open = this.sessions.filter(({ ended }) => ended === 'no');
            if (open.length < 2) goesOn = await this.#signIn(server);
            else if (random(8)) goesOn = await this.#refresh(server, open[random(open.length)]);
            else goesOn = await this.#end(server, open[random(open.length)]);
        }
    }

    async #signIn(server) {
        const answer = await attempt(server, 'POST', '/auth/login', { body: { email: this.user.email, password: this.user.password } });
        if (!answer) return false;
        assert.equal(answer.status, 200, JSON.stringify(answer.body));
        const { sessionId, accessToken, refreshToken } = answer.body;
        this.sessions.push({ sessionId, accessToken, refreshToken, generation: 0, ended: 'no' });
        return true;
    }

    async #refresh(server, session) {
        const answer = await attempt(server, 'POST', '/auth/refresh', { body: { refreshToken: session.refreshToken } });
        if (!answer) return false;
        assert.equal(answer.status, 200, JSON.stringify(answer.body));
        this.#take(session, answer.body, session.generation + 1);
        return true;
    }

    #take(session, { accessToken, refreshToken }, generation) {
        Object.assign(session, { accessToken, refreshToken, generation });
        this.rotations++;
    }

    async #end(server, session) {
        const { accessToken: token } = this.admin;
        const open = this.sessions.filter(({ ended }) => ended === 'no');
        const ways = [
            [[session], 'POST', '/auth/logout', { token: session.accessToken }],
            [[session], 'DELETE', `/v1/sessions/revoke-family/${session.sessionId}`, { token, body: { reason: 'torture' } }],
            [open, 'DELETE', `/v1/sessions/revoke-user/${this.user.id}`, { token, body: { reason: 'torture' } }],
            [open, 'POST', '/v1/sessions/revoke-users', { token, body: { userIds: [this.user.id], reason: 'torture' } }],
        ];
        const [ending, method, target, options] = ways[random(ways.length)];
        for (const one of ending) one.ended = 'perhaps';
        const answer = await attempt(server, method, target, options);
        if (!answer) return false;
        assert.ok(answer.status === 200 || answer.status === 204, `${target}: ${answer.status} ${JSON.stringify(answer.body)}`);
        for (const one of ending) one.ended = 'yes';
        this.revocations.push(answer.headers['x-request-id']);
        return true;
    }

    /* After the restart; rows are what the store holds of the sessions. What lives is kept. */
    async check(server, rows) {
        const checked = this.sessions;
        this.sessions = [];
        for (const session of checked) {
            const about = JSON.stringify({ ...session, accessToken: undefined, refreshToken: undefined });
            const row = rows.get(session.sessionId);
            assert.ok(row, `an acknowledged sign-in is lost: ${about}`);
            assert.ok(row.generation >= session.generation, `an acknowledged rotation is lost: ${about}, the store has ${row.generation}`);
            const access = await server.api('GET', '/auth/me', { token: session.accessToken });
            const refresh = await server.api('POST', '/auth/refresh', { body: { refreshToken: session.refreshToken } });
            const answers = `${access.status} ${access.body.code ?? ''}, ${refresh.status} ${refresh.body.code ?? ''}`;
            const dead = '401 token_revoked, 401 token_revoked', alive = '200 , 200 ';
            if (session.ended === 'yes') assert.equal(answers, dead, `an acknowledged end is lost: ${about}`);
            else if (session.ended === 'no') assert.equal(answers, alive, `a session is lost: ${about}`);
            else assert.ok(answers === dead || answers === alive, `half an end: ${about}: ${answers}`);
            if (answers === dead) continue;
            session.ended = 'no';
            // The store may have had a rotation whose answer was lost: then this gave it again.
            this.#take(session, refresh.body, Math.max(row.generation, session.generation + 1));
            this.sessions.push(session);
        }
        return checked.length;
    }
}

/* Every family of the store by its id. */
async function readFamilies(installation) {
    const hex = installation.database.url.startsWith('sqlite:') ? 'lower(hex(id))' : "encode(id, 'hex')";
    const lines = await sql(installation, `SELECT ${hex}, generation FROM families`);
    return new Map(lines.map((line) => {
        const [id, generation] = line.split('|');
        return [id.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'), { generation: Number(generation) }];
    }));
}

async function torture(store) {
    const env = { ...small, REFRESH_GRACE_SECONDS: '300', LOG_LEVEL: 'warn' };
    await withInstallation({ store, env }, async (installation) => {
        const operator = await installation.addUser({ role: 'operator' });
        const users = [];
        for (let i = 0; i < CLIENTS; i++) users.push(await installation.addUser());
        const server = await installation.start();
        const admin = await server.login(operator.email);
        const clients = users.map((user) => new Client(user, admin));
        let sessions = 0;
        for (let kill = 0; kill < KILLS; kill++) {
            const meter = new Meter(ANSWERS[0] + random(ANSWERS[1] - ANSWERS[0]));
            const working = clients.map((client) => client.work(server, meter));
            await Promise.race([meter.enough, Promise.all(working)]);
            await Promise.all([server.kill(), ...working]);
            await server.restart();
            const rows = await readFamilies(installation);
            for (const count of await Promise.all(clients.map((client) => client.check(server, rows)))) sessions += count;
        }
        await server.stop();

        const { code, stdout, stderr } = await installation.cli(['trail', 'verify']);
        assert.equal(code, 0, stdout + stderr);
        const records = (await installation.cli(['trail', 'export'])).stdout.trim().split('\n').map((line) => JSON.parse(line));
        const byRequest = new Set(records.map(({ requestId }) => requestId));
        const acknowledged = clients.flatMap(({ revocations }) => revocations);
        for (const id of acknowledged) assert.ok(byRequest.has(id), `the trail has no record of the revocation ${id}`);
        // A token ahead of its row would be moved forward, and hide that a rotation was lost.
        assert.equal(records.filter(({ action }) => action === 'session.forward').length, 0);
        const rotations = clients.reduce((sum, client) => sum + client.rotations, 0);
        const told = `${rotations} rotations and ${acknowledged.length} revocations acknowledged, ${sessions} sessions checked`;
        assert.ok(sessions > 3 * KILLS && rotations > 4 * KILLS && acknowledged.length > KILLS / 2, `too little was in flight: ${told}`);
        console.log(`${store.name}: killed ${KILLS} times; ${told}`);
    });
}

for (const store of stores) await torture(store);

#!/usr/bin/env node
/*
 * kill -9 while messages are accepted and handed over, KILLS times on each store. Whatever was
 * acknowledged has an end; nothing has two copies but what an account's safety depends on, and of that
 * at least one arrived.
 */
import assert from 'node:assert/strict';

import { stores, waitFor, withInstallation } from '../e2e/harness.mjs';
import { passLeases, serviceToken, withMailServer } from '../e2e/sending.mjs';
import { small, sql } from '../e2e/support.mjs';

const KILLS = Number(process.env.KILLS ?? 30);
const CLIENTS = 4, SENDERS = 4, ANSWER_SECONDS = 0.05;

const random = (n) => Math.floor(Math.random() * n);

/* The requests of one client, each under a key of its own until it is acknowledged. */
class Client {
    constructor(name, token) {
        Object.assign(this, { name, token, sent: [] });
    }

    /* Until the server is gone. */
    async work(server, acknowledged) {
        for (;;) {
            const last = this.sent.at(-1);
            const request = last && !last.id ? last : this.#next();
            const body = { to: request.to, subject: request.key, text: 'Hello.', purpose: request.purpose, idempotencyKey: request.key };
            let answer;
            try {
                answer = await server.api('POST', '/v1/emails', { token: this.token, body });
            } catch {
                return;
            }
            assert.equal(answer.status, 202, JSON.stringify(answer.body));
            request.id = answer.body.id;
            acknowledged();
        }
    }

    #next() {
        const key = `${this.name}-${this.sent.length}`;
        const purpose = random(4) ? 'product' : 'security';
        const to = Array.from({ length: 1 + random(3) }, (_, i) => `${key}-${i}@example.com`);
        this.sent.push({ key, purpose, to });
        return this.sent.at(-1);
    }
}

/* Runs the clients until some answers have come, and kills the server in the middle of it. */
async function killInTheMiddle(server, clients) {
    let left = 5 + random(25), enough;
    const reached = new Promise((resolve) => (enough = resolve));
    const working = Promise.all(clients.map((client) => client.work(server, () => --left === 0 && enough())));
    await Promise.race([reached, working]);
    await server.kill();
    await working;
}

async function check(server, token, peer, clients) {
    const told = { messages: 0, copies: 0, uncertain: 0, again: 0 };
    const copies = new Map();
    for (const { to, headers } of peer.messages) {
        assert.equal(to.length, 1);
        copies.set(to[0], [...(copies.get(to[0]) ?? []), headers['message-id']]);
    }
    for (const { sent } of clients) for (const request of sent.filter(({ id }) => id)) {
        const { status, body } = await server.api('GET', `/v1/emails/${request.id}`, { token });
        assert.equal(status, 200, `an acknowledged message is lost: ${request.key}`);
        told.messages++;
        for (const { recipient, status: state, errorCode } of body.recipients) {
            const of = copies.get(recipient) ?? [], about = `${recipient}: ${request.purpose}, ${state} ${errorCode}, ${of.length} copies`;
            told.copies += of.length;
            copies.delete(recipient);
            if (request.purpose === 'security') {
                assert.ok(state === 'sent' && of.length >= 1 && new Set(of).size === 1, about);
                told.again += of.length - 1;
            } else if (state === 'sent') {
                assert.equal(of.length, 1, about);
            } else {
                assert.ok(state === 'rejected' && errorCode === 'uncertain' && of.length <= 1, about);
                told.uncertain++;
            }
        }
    }
    return { told, strangers: [...copies.keys()] };
}

async function torture(store, peer) {
    const env = { ...small, LOG_LEVEL: 'warn', EMAIL_TRANSPORT: 'smtp', SMTP_URL: peer.url, EMAIL_FROM: 'mail@acme.example', EMAIL_SENDERS: String(SENDERS) };
    await withInstallation({ store, env }, async (installation) => {
        const { tenantId } = await installation.addUser({ role: 'admin' });
        const { tokens: [token], env: services } = serviceToken(tenantId);
        const server = await installation.start({ env: services });
        const clients = Array.from({ length: CLIENTS }, (_, i) => new Client(`c${i}`, token));
        for (let kill = 0; kill < KILLS; kill++) {
            await killInTheMiddle(server, clients);
            await passLeases(installation);
            await server.restart();
        }
        // What was asked for and not acknowledged is asked for again, under its key.
        for (const { sent } of clients) {
            const last = sent.at(-1);
            const body = { to: last.to, subject: last.key, text: 'Hello.', purpose: last.purpose, idempotencyKey: last.key };
            last.id = (await server.api('POST', '/v1/emails', { token, body })).body.id;
        }
        await waitFor('the outbox to be empty', async () => {
            await sql(installation, "UPDATE email_outbox SET next_at = 0 WHERE lease = '' AND attempts > 0");
            return (await sql(installation, 'SELECT count(*) FROM email_outbox'))[0] === '0';
        }, { timeout: 120_000, every: 200 });
        const { told, strangers } = await check(server, token, peer, clients);
        assert.deepEqual(strangers, [], 'copies of what nobody asked for');
        const [rows] = await sql(installation, 'SELECT count(DISTINCT message_id) FROM email_logs');
        assert.equal(Number(rows), told.messages, 'each request made one message');
        assert.ok(told.uncertain + told.again > 0 && told.uncertain <= KILLS * SENDERS, `nothing was in flight: ${JSON.stringify(told)}`);
        await server.stop();
        console.log(`${store.name}: killed ${KILLS} times; ${JSON.stringify(told)}`);
    });
}

for (const store of stores) await withMailServer((peer) => torture(store, peer), { seconds: ANSWER_SECONDS });

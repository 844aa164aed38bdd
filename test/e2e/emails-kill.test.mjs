/*
 * kill -9 between the acceptance of a message and its end: what was not taken yet goes out once; of
 * what was just being handed over there is no second copy, unless an account's safety depends on it.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { forEachStore, waitFor, withInstallation } from './harness.mjs';
import { MailServer, passLeases, passWait, serviceToken, settled, withMailServer } from './sending.mjs';
import { expect, small } from './support.mjs';

/* One server, which hands over two messages at a time. */
async function withSender(store, url, use) {
    const env = { ...small, EMAIL_TRANSPORT: 'smtp', SMTP_URL: url, EMAIL_FROM: 'mail@acme.example', EMAIL_SENDERS: '2' };
    await withInstallation({ store, env }, async (installation) => {
        const { tenantId } = await installation.addUser({ role: 'admin' });
        const { tokens: [token], env: services } = serviceToken(tenantId);
        await use({ installation, token, server: await installation.start({ env: services }) });
    });
}

const get = async (server, token, id) => expect(await server.api('GET', `/v1/emails/${id}`, { token }), 200);

async function send(server, token, to, more) {
    const body = { to, subject: `To ${to}`, text: 'Hello.', idempotencyKey: `key of ${to}`, ...more };
    return expect(await server.api('POST', '/v1/emails', { token, body }), 202).id;
}

forEachStore((store) => {
    test('what was accepted and not taken goes out once after the restart', async () => {
        await withMailServer(async (peer) => {
            await withSender(store, peer.url, async ({ installation, server, token }) => {
                const hanging = [await send(server, token, 'hang-a@example.com'), await send(server, token, 'hang-b@example.com')];
                await waitFor('both to be in flight', () => peer.messages.length === 2);
                const waiting = [];
                for (let i = 0; i < 5; i++) waiting.push(await send(server, token, `ada${i}@example.com`));
                await server.kill();
                assert.equal(peer.messages.length, 2, 'nothing else was begun');

                await server.restart();
                for (const id of waiting) assert.equal((await settled(server, token, id)).status, 'sent');
                for (let i = 0; i < 5; i++) {
                    assert.equal(peer.to(`ada${i}@example.com`).length, 1);
                    assert.equal(await send(server, token, `ada${i}@example.com`), waiting[i], 'the key is known');
                }
                for (const id of hanging) assert.equal((await get(server, token, id)).status, 'queued', 'another node may still answer for it');
                assert.equal(peer.messages.length, 7);
            });
        });
    });

    test('of what was in flight there is no second copy, but of what an account\'s safety depends on', async () => {
        await withMailServer(async (peer) => {
            await withSender(store, peer.url, async ({ installation, server, token }) => {
                const product = await send(server, token, ['ada@example.com', 'hang-a@example.com', 'zoe@example.com']);
                const security = await send(server, token, 'hang-b@example.com', { purpose: 'security' });
                await waitFor('both to be in flight', () => peer.to('hang-a@example.com').length + peer.to('hang-b@example.com').length === 2);
                await server.kill();
                await passLeases(installation);
                await server.restart();

                const { status, recipients } = await settled(server, token, product);
                assert.equal(status, 'mixed');
                assert.deepEqual(recipients.map((r) => [r.recipient, r.status, r.errorCode]), [
                    ['ada@example.com', 'sent', null], ['hang-a@example.com', 'rejected', 'uncertain'], ['zoe@example.com', 'sent', null],
                ]);
                for (const { recipient } of recipients) assert.equal(peer.to(recipient).length, 1, recipient);
                assert.equal(await send(server, token, ['ada@example.com', 'hang-a@example.com', 'zoe@example.com']), product);

                await waitFor('the attempt to be noted', async () => (await get(server, token, security)).nextAttemptAt);
                await passWait(installation, security);
                assert.equal((await settled(server, token, security)).status, 'sent');
                const copies = peer.to('hang-b@example.com');
                assert.equal(copies.length, 2);
                assert.equal(copies[0].data, copies[1].data, 'the same, with the same Message-ID');
                assert.equal(peer.messages.length, 5);
            });
        });
    });

    test('while the mail server is gone messages wait, over a kill -9 too', async () => {
        const before = await MailServer.start();
        await before.stop();
        await withSender(store, before.url, async ({ server, token }) => {
            const ids = [];
            for (let i = 0; i < 10; i++) ids.push(await send(server, token, `ada${i}@example.com`));
            await server.waitForLine('the trouble to be told of', ({ event, msg }) => /mail cannot be handed over/.test(event ?? msg));
            await server.kill();
            await withMailServer(async (peer) => {
                await server.restart();
                for (const id of ids) assert.equal((await settled(server, token, id)).status, 'sent');
                assert.equal(peer.messages.length, 10);
            }, { port: before.port });
        });
    });

    test('the end of a server waits for what it is handing over', async () => {
        await withMailServer(async (peer) => {
            await withSender(store, peer.url, async ({ server, token }) => {
                const ids = [];
                for (let i = 0; i < 6; i++) ids.push(await send(server, token, `ada${i}@example.com`));
                await waitFor('one to be in flight', () => peer.messages.length > 0);
                await server.stop();
                const begun = peer.messages.length;
                assert.ok(begun < 6, `${begun} were begun`);
                await server.restart();
                for (const id of ids) assert.equal((await settled(server, token, id)).status, 'sent');
                assert.equal(peer.messages.length, 6);
            });
        }, { seconds: 2 });
    });
});

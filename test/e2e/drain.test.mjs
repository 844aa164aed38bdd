/* The end of a server in order, and the limits on those who will not come to an end. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';

import { forEachStore, waitFor, withInstallation } from './harness.mjs';
import { expect, small } from './support.mjs';

/* A connection in the test's hands. */
async function connect(server) {
    const socket = net.connect({ host: '127.0.0.1', port: server.port, noDelay: true });
    const link = { socket, text: '', ended: false };
    socket.setEncoding('latin1').on('data', (part) => (link.text += part));
    socket.on('error', () => {});
    link.closed = new Promise((resolve) => socket.on('close', () => resolve((link.ended = true))));
    await once(socket, 'connect');
    return link;
}

const idle = async (server) => {
    const link = await connect(server);
    link.socket.write('GET /health HTTP/1.1\r\nHost: a\r\n\r\n');
    await waitFor('an answer', () => link.text.includes('{"status":"ok"}'));
    return link;
};

/* A sign-in of which the last byte is missing. */
async function inFlight(server, { email, password }) {
    const link = await connect(server);
    const body = JSON.stringify({ email, password });
    link.last = body.slice(-1);
    link.socket.write(`POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, -1)}`);
    return link;
}

const refused = (server) => new Promise((resolve) => {
    const socket = net.connect({ host: '127.0.0.1', port: server.port });
    socket.on('connect', () => resolve(false) || socket.destroy());
    socket.on('error', () => resolve(true));
});

forEachStore((store) => {
    test('gives notice, then lets what is in flight finish, and ends with 0', async () => {
        await withInstallation({ store, env: { ...small, DRAIN_NOTICE_SECONDS: '2', DRAIN_SECONDS: '10' } }, async (installation) => {
            const user = await installation.addUser();
            const server = await installation.start();
            const resting = await idle(server);
            const begun = await inFlight(server, user);
            expect(await server.api('GET', '/ready'), 200);

            server.child.kill('SIGTERM');
            const notice = Date.now();
            const ready = await waitFor('/ready to say so', async () => {
                const answer = await server.api('GET', '/ready');
                return answer.status === 503 && answer;
            }, { timeout: 1000 });
            assert.equal(ready.body.checks.server, 'draining');
            assert.equal((await server.login(user.email)).tokenType, 'Bearer', 'during the notice it serves as ever');
            assert.equal(resting.ended, false);
            server.agent.destroy();

            await waitFor('connections to be refused', () => refused(server), { timeout: 4000 });
            assert.ok(Date.now() - notice >= 1900, 'not before the notice is over');
            await resting.closed;
            assert.equal(server.exit, undefined, 'it waits for what is in flight');
            begun.socket.write(begun.last);
            await begun.closed;
            assert.match(begun.text, /^HTTP\/1\.1 200 OK\r\n/);
            assert.match(begun.text, /connection: close/i);
            const answer = JSON.parse(begun.text.slice(begun.text.indexOf('\r\n\r\n') + 4));
            await server.stop();
            assert.ok(Date.now() - notice < 6000, 'at once when the last is done');

            await server.restart();
            expect(await server.api('GET', '/auth/me', { token: answer.accessToken }), 200);
            const { stdout } = await installation.cli(['trail', 'export']);
            assert.match(stdout, /"action":"server\.stop"/);
        });
    });

    test('idle connections close at once, and the drain limit cuts off the rest', async () => {
        await withInstallation({ store, env: { ...small, DRAIN_SECONDS: '1' } }, async (installation) => {
            const user = await installation.addUser();
            const server = await installation.start();
            const resting = await Promise.all(Array.from({ length: 50 }, () => idle(server)));
            const begun = await inFlight(server, user);
            const from = Date.now();
            server.child.kill('SIGTERM');
            await Promise.all(resting.map(({ closed }) => closed));
            assert.ok(Date.now() - from < 500, `idle connections stayed for ${Date.now() - from} ms`);
            assert.equal(server.exit, undefined);
            await server.stop();
            const took = Date.now() - from;
            assert.ok(took >= 900 && took < 3000, `ended after ${took} ms`);
            assert.ok(server.lines.some((line) => /cut off/.test(JSON.stringify(line))));
            await begun.closed;
            assert.doesNotMatch(begun.text, /200 OK/);
        });
    });

    test('a second SIGTERM ends the notice', async () => {
        await withInstallation({ store, env: { ...small, DRAIN_NOTICE_SECONDS: '60' } }, async (installation) => {
            const server = await installation.start();
            server.child.kill('SIGTERM');
            await waitFor('/ready to say so', async () => (await server.api('GET', '/ready')).status === 503, { timeout: 1000 });
            const from = Date.now();
            server.child.kill('SIGTERM');
            await server.stop();
            assert.ok(Date.now() - from < 3000);
        });
    });
});

test('a head and a body that do not come are answered 408, however they trickle', async () => {
    await withInstallation({ env: { HEAD_TIMEOUT_SECONDS: '1', BODY_TIMEOUT_SECONDS: '1', IDLE_TIMEOUT_SECONDS: '2' } }, async (installation) => {
        const user = await installation.addUser();
        const server = await installation.start();
        const trickle = async (begin) => {
            const link = await connect(server);
            const from = Date.now();
            link.socket.write(begin);
            const timer = setInterval(() => link.socket.writable && link.socket.write('a'), 100); // progress must not help
            await link.closed;
            clearInterval(timer);
            const took = Date.now() - from;
            assert.match(link.text, /^HTTP\/1\.1 408 /, JSON.stringify(begin));
            assert.match(link.text, /"code":"timeout"/);
            assert.match(link.text, /connection: close/i);
            assert.ok(took >= 900 && took < 3000, `${JSON.stringify(begin)}: after ${took} ms`);
        };
        await trickle('GET /heal');
        await trickle('GET /health HTTP/1.1\r\nHost: a\r\nX-Slow: ');
        await trickle('POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{');
        await trickle('POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1ff\r\n');

        const silent = await connect(server);
        const resting = await idle(server);
        const from = Date.now();
        await Promise.all([silent.closed, resting.closed]);
        assert.ok(Date.now() - from < 4000);
        assert.doesNotMatch(silent.text, /200/);
        assert.doesNotMatch(resting.text.slice(resting.text.indexOf('}')), /HTTP/, 'an idle connection closes without a word');
        await server.login(user.email);
    });
});

test('an address has so many connections and no more', async () => {
    await withInstallation({ env: { MAX_CONNECTIONS_PER_ADDRESS: '8' } }, async (installation) => {
        const server = await installation.start();
        server.agent.destroy();
        const held = [];
        await waitFor('eight connections', async () => {
            const link = await connect(server);
            link.socket.write('GET /health HTTP/1.1\r\nHost: a\r\n\r\n');
            await waitFor('an answer or the end', () => link.ended || link.text.includes('{"status":"ok"}'));
            if (!link.ended && !/ 503 /.test(link.text)) held.push(link);
            return held.length === 8;
        });
        for (let i = 0; i < 5; i++) {
            const more = await connect(server);
            more.socket.write('GET /health HTTP/1.1\r\nHost: a\r\n\r\n');
            await more.closed;
            assert.doesNotMatch(more.text, / 200 /);
        }
        held.pop().socket.destroy();
        await waitFor('the place to be free again', async () => {
            const link = await connect(server);
            link.socket.write('GET /health HTTP/1.1\r\nHost: a\r\n\r\n');
            await waitFor('an answer or the end', () => link.ended || link.text.includes('}'));
            return / 200 /.test(link.text);
        });
        for (const link of held) {
            link.text = '';
            link.socket.write('GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
            await link.closed;
            assert.match(link.text, / 200 /, 'those who were there are not disturbed');
        }
    });
});

test('bodies and heads have a longest', async () => {
    await withInstallation({ env: { MAX_BODY_BYTES: '2048', MAX_HEADER_BYTES: '2048' } }, async (installation) => {
        const server = await installation.start();
        const body = (n) => ({ body: JSON.stringify({ refreshToken: 'x'.repeat(n - 19) }) });
        expect(await server.api('POST', '/auth/refresh', body(2048)), 400, 'invalid_field');
        expect(await server.api('POST', '/auth/refresh', body(2049)), 413, 'too_large');
        assert.match(await server.raw(`GET /health HTTP/1.1\r\nHost: a\r\nX: ${'y'.repeat(2100)}\r\n\r\n`), /^HTTP\/1\.1 431 /);
        const chunked = 'POST /auth/refresh HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n';
        assert.match(await server.raw([chunked, `401\r\n${'x'.repeat(1025)}\r\n`, `401\r\n${'x'.repeat(1025)}\r\n0\r\n\r\n`]), /^HTTP\/1\.1 413 /);
    });
});

/* What strangers and slow clients may not hold. */
import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';

import { forEachStore, withInstallation, waitFor } from './harness.mjs';

const head = (method, target, length, more = '') =>
    `${method} ${target} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n${more}\r\n`;

forEachStore((store) => {
    test('a body is received from those only who may send one', async () => {
        await withInstallation({ store }, async (installation) => {
            const admin = await installation.addUser({ role: 'admin' });
            const member = await installation.addUser();
            const server = await installation.start();
            const status = async (text) => (await server.raw(text, { until: (got) => /^HTTP\/1.1 (?!100)/.test(got) })).slice(9, 12);
            const bearer = async (user) => {
                const { accessToken: token } = await server.login(user.email);
                await server.api('GET', '/auth/me', { token }); // from here on its role is in memory
                return `Authorization: Bearer ${token}\r\n`;
            };

            /* None of these ever sends its body. */
            assert.equal(await status(head('POST', '/auth/login', 16385)), '413');
            assert.equal(await status(head('POST', '/auth/refresh', 1000000)), '413');
            assert.equal(await status(head('POST', '/v1/users', 1000000)), '401');
            assert.equal(await status(head('POST', '/v1/users', 1000000, 'Authorization: Bearer x.y.z\r\n')), '401');
            assert.equal(await status(head('POST', '/v1/users', 1000000, await bearer(member))), '403');
            assert.equal(await status(head('POST', '/v1/users', 2000000, await bearer(admin))), '413');

            /* At the limit it is read, and a list of users may be longer. */
            const login = { email: admin.email, password: admin.password };
            const filled = JSON.stringify(login).replace(/}$/, '') + ' '.repeat(16384 - JSON.stringify(login).length) + '}';
            assert.equal(filled.length, 16384);
            assert.equal((await server.api('POST', '/auth/login', { body: filled })).status, 200);
            const { accessToken } = await server.login(admin.email);
            const userIds = Array.from({ length: 900 }, (_, i) => `nobody${i}.with.a.long.name@example.com`);
            const { status: listed } = await server.api('POST', '/v1/sessions/revoke-users', { token: accessToken, body: { userIds, reason: 'x'.repeat(100), dryRun: true } });
            assert.equal(listed, 200);
        });
    });

    test('what a proxy forwards is no local request for metrics', async () => {
        await withInstallation({ store }, async (installation) => {
            const server = await installation.start();
            assert.equal((await server.api('GET', '/metrics')).status, 200);
            for (const name of ['X-Forwarded-For', 'X-Real-IP', 'Forwarded', 'Via'])
                assert.equal((await server.api('GET', '/metrics', { headers: { [name]: '192.0.2.1' } })).status, 401, name);
        });
    });

    test('exports that nobody reads leave workers to others', async () => {
        await withInstallation({ store, env: { WORKER_THREADS: '4' } }, async (installation) => {
            const admin = await installation.addUser({ role: 'admin' });
            const member = await installation.addUser();
            const server = await installation.start();
            const { accessToken, refreshToken } = await server.login(admin.email);
            /* Enough records that an export does not fit into the sockets' buffers. */
            const reason = '\u{1F600}'.repeat(200);
            for (let i = 0; i < 100; i++)
                await Promise.all(
                    Array.from({ length: 64 }, () => server.api('DELETE', `/v1/sessions/revoke-user/${member.id}`, { token: accessToken, body: { reason } })),
                );
            const sockets = Array.from({ length: 8 }, () => {
                const socket = net.connect({ host: '127.0.0.1', port: server.port });
                socket.on('error', () => {});
                socket.pause();
                socket.write(`GET /v1/audit-log HTTP/1.1\r\nHost: h\r\nAccept: text/csv\r\nAuthorization: Bearer ${accessToken}\r\n\r\n`);
                return socket;
            });
            try {
                await waitFor('a refused export', () => server.lines.find((line) => line.path === '/v1/audit-log' && line.status === 503));
                const { status } = await server.api('POST', '/auth/refresh', { body: { refreshToken } });
                assert.equal(status, 200);
            } finally {
                for (const socket of sockets) socket.destroy();
            }
            // Nothing to wake anybody for: an error in the log would fail the test.
            await waitFor('the log to tell', () => server.lines.find(({ event }) => event === 'a client left before its reply was complete'));
        });
    });

    test('lists that never come leave exports to other tenants, and are nobody\'s fault', async () => {
        await withInstallation({ store, env: { WORKER_THREADS: '8', BODY_TIMEOUT_SECONDS: '5' } }, async (installation) => {
            const admin = await installation.addUser({ role: 'admin' });
            const other = await installation.addUser({ role: 'admin', tenant: 'Elsewhere' });
            const server = await installation.start();
            const { accessToken } = await server.login(admin.email);
            const { accessToken: theirs } = await server.login(other.email);
            const path = '/v1/email-monitoring/suppressions';
            const slow = () => server.raw(`POST ${path}/import HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer ${accessToken}\r\nContent-Type: text/csv\r\nContent-Length: 1000\r\n\r\naddress\n`);
            const read = async (token) => (await server.api('GET', path, { token, headers: { accept: 'text/csv' } })).status;
            // Begun alone, since an export of our own would hold the place; and begun again where it was over too soon.
            let answered, seen = false;
            await waitFor('the tenant\'s share to be taken', async () => {
                if (answered) return seen = (await read(accessToken)) === 503 && answered !== undefined;
                const begun = answered = slow().then((text) => {
                    if (!seen && answered === begun) answered = undefined;
                    return text;
                });
            }, { timeout: 60_000, every: 200 });
            assert.equal(await read(theirs), 200);
            assert.match(await answered, /^HTTP\/1\.1 408 /);
            assert.equal(await read(accessToken), 200, 'its place is free again');
        });
    });

    test('an administrator who adds users in masses leaves sign-in to others', async () => {
        await withInstallation({ store, env: { PASSWORD_QUEUE: '8', PASSWORD_THREADS: '1' } }, async (installation) => {
            const admin = await installation.addUser({ role: 'admin' });
            const other = await installation.addUser({ tenant: 'Elsewhere' });
            const server = await installation.start();
            const { accessToken } = await server.login(admin.email);
            let over = false, made = 0, refused = 0;
            const flood = async (i) => {
                for (let n = 0; !over; n++) {
                    const { status, headers } = await server.api('POST', '/v1/users', { token: accessToken, body: { email: `f${i}.${n}@example.com`, role: 'member' } });
                    assert.ok(status === 201 || (status === 503 && headers['retry-after']), `${status}`);
                    if (status === 201) made++;
                    else refused++;
                }
            };
            const crowd = Array.from({ length: 40 }, (_, i) => flood(i));
            try {
                await waitFor('refusals', () => refused > 10 && made > 0);
                for (let i = 0; i < 5; i++) await server.login(other.email);
            } finally {
                over = true;
                await Promise.all(crowd);
            }
            /* All seats are free again. */
            const { status } = await server.api('POST', '/v1/users', { token: accessToken, body: { email: 'last@example.com', role: 'member' } });
            assert.equal(status, 201);
        });
    });
});

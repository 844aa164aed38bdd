/*
 * What a core, a swap file or whoever reads the server's memory would find: no password that was
 * used before, no token that was given out. Only root may read the memory of a server.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { open, readFile } from 'node:fs/promises';
import net from 'node:net';
import { test } from 'node:test';

import { forEachStore, waitFor, withInstallation } from './harness.mjs';
import { expect } from './support.mjs';
import { base32Decode, enrollFactor, refresh } from './steps.mjs';

/* Longer ones are no memory of a program but room that a sanitizer reserved. */
const MAPPING_MAX = 2 ** 30;
const PIECE = 2 ** 20;

/* The first bytes of freed memory are the allocator's: what is left of a secret begins later. */
const marked = (mark) => randomBytes(24).toString('hex') + mark + randomBytes(24).toString('hex');

/* Names of the secrets that are in the memory of process pid, with the mapping they are in. */
async function findSecrets(pid, secrets) {
    const found = [];
    const longest = Math.max(...Object.values(secrets).map((bytes) => bytes.length));
    const memory = await open(`/proc/${pid}/mem`);
    try {
        for (const line of (await readFile(`/proc/${pid}/maps`, 'latin1')).split('\n')) {
            const [, from, to, mapping] = line.match(/^([0-9a-f]+)-([0-9a-f]+) rw.{2} +\S+ +\S+ +\d+ *(.*)$/) ?? [];
            if (from === undefined || Number(`0x${to}`) - Number(`0x${from}`) > MAPPING_MAX) continue;
            const end = Number(`0x${to}`);
            for (let at = Number(`0x${from}`); at < end; at += PIECE) {
                const bytes = Buffer.alloc(Math.min(PIECE + longest, end - at));
                // Memory of a mapping that ended meanwhile cannot be read.
                const { bytesRead } = await memory.read(bytes, 0, bytes.length, at).catch(() => ({ bytesRead: 0 }));
                for (const [name, secret] of Object.entries(secrets))
                    if (bytes.subarray(0, bytesRead).includes(secret)) found.push(`${name} in ${mapping || from}`);
            }
        }
    } finally {
        await memory.close();
    }
    return found;
}

/* A body that makes its buffer grow after the password was put into it. */
const loginText = (email, password) => JSON.stringify({ email, password, totp: null }).replace(',"totp"', `${' '.repeat(400)},"totp"`);

const head = (length) =>
    'POST /auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: close\r\n' +
    (length === undefined ? 'transfer-encoding: chunked\r\n\r\n' : `content-length: ${length}\r\n\r\n`);

const cut = (text, n) => text.match(new RegExp(`.{1,${n}}`, 'gs'));
const chunk = (text) => `${text.length.toString(16)}\r\n${text}\r\n`;
const whole = (text) => head(text.length) + text;

/* The ways in which a password comes: the status of the last answer, and what is sent for it. */
const rawWays = {
    'a body in two parts': [200, (text) => [head(text.length), ...cut(text, 180)]],
    'a body in small chunks': [200, (text) => [head(), ...cut(text, 60).map(chunk), chunk('')]],
    'a request in small pieces': [200, (text) => cut(whole(text), 23)],
    'a request behind another': [200, (text) => `GET /health HTTP/1.1\r\nhost: x\r\n\r\n${whole(text)}`],
    'a body with escapes': [401, (text) => whole(text.replace('"password":"', '"password":"\\u0041'))],
    'a body that is no JSON': [400, (text) => whole(text.slice(0, -1))],
};

const ways = {
    'a sign-in': [200, (server, email, password) => server.api('POST', '/auth/login', { body: { email, password } })],
    'a sign-in with a wrong password': [401, (server, email, password) => server.api('POST', '/auth/login', { body: { email, password: `${password}x` } })],
    'a field that is unknown': [400, (server, email, password) => server.api('POST', '/auth/login', { body: { email, passwort: password } })],
    'a field that is too long': [400, (server, email, password) => server.api('POST', '/auth/login', { body: { email, password: password.repeat(20) } })],
    'a registration': [201, (server, email, password) => server.api('POST', '/auth/register', { body: { email: `new-${email}`, password, tenantName: 'New' } })],
    'a change of password': [204, async (server, email, password) => {
        const { accessToken: token } = await server.login(email, password);
        return server.api('POST', '/auth/password', { token, body: { currentPassword: password, newPassword: `${password}x` } });
    }],
    'a connection that breaks off': [undefined, async (server, email, password) => {
        const text = loginText(email, password);
        const socket = net.connect({ host: '127.0.0.1', port: server.port });
        await once(socket, 'connect');
        await new Promise((resolve) => socket.write(head(text.length + 1) + text, resolve));
        socket.destroy();
        return { status: undefined };
    }],
};
for (const [way, [status, pieces]] of Object.entries(rawWays))
    ways[way] = [status, async (server, email, password) => {
        const answers = await server.raw(pieces(loginText(email, password)));
        return { status: Number(answers.match(/HTTP\/1\.1 \d+/g).at(-1).slice(9)) };
    }];

async function usePasswords(installation, server) {
    const secrets = {};
    for (const [way, [status, send]] of Object.entries(ways)) {
        const password = marked('-pw-');
        const user = await installation.addUser({ password });
        assert.equal((await send(server, user.email, password)).status, status, way);
        secrets[`the password of ${way}`] = Buffer.from(password.slice(34, 66));
    }
    return secrets;
}

/*
 * Secrets that the server made: tokens, and a second factor. Not its text: libqrencode gives its
 * copy of the URI back as it is.
 */
async function useTokens(installation, server) {
    const user = await installation.addUser();
    const first = await server.login(user.email);
    const second = expect(await refresh(server, first.refreshToken), 200);
    const factor = await enrollFactor(server, second.accessToken);
    const signature = (token) => Buffer.from(token.slice(-32));
    return {
        'the access token of a sign-in': signature(first.accessToken),
        'the refresh token of a sign-in': signature(first.refreshToken),
        'the access token of a refresh': signature(second.accessToken),
        'the refresh token of a refresh': signature(second.refreshToken),
        'the secret of a second factor': base32Decode(factor.secret),
        'a recovery code': Buffer.from(factor.recoveryCodes[0]),
    };
}

forEachStore((store) => {
    test('no secret stays in memory', async (context) => {
        await withInstallation({ store, env: { REGISTRATION_ENABLED: 'true' } }, async (installation) => {
            const server = await installation.start();
            if (process.getuid() !== 0) {
                await assert.rejects(open(`/proc/${server.child.pid}/mem`), { code: 'EACCES' });
                context.skip('only root may read the memory of a server');
                return;
            }
            const secrets = { ...(await usePasswords(installation, server)), ...(await useTokens(installation, server)) };
            const gone = async () => (await findSecrets(server.child.pid, secrets)).length === 0;
            // The last of them may be in use while its answer is on its way.
            await waitFor('memory without secrets', gone, { timeout: 2000, every: 200 }).catch(() => {});
            assert.deepEqual(await findSecrets(server.child.pid, secrets), []);

            // What is known to be there is found: nothing was overlooked for not being read.
            const admin = await installation.addUser({ role: 'admin' });
            const { accessToken: token } = await server.login(admin.email);
            expect(await server.api('GET', '/auth/me', { token }), 200);
            const found = await findSecrets(server.child.pid, { 'a cached address': Buffer.from(admin.email) });
            assert.ok(found.length > 0);
        });
    });
});

/* Signing in: what a stranger may learn, how often anyone may try, and when an account locks. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { forEachStore, password, waitFor, withInstallation } from './harness.mjs';
import { claimsOf, noticesOf, statusOf } from './steps.mjs';
import { expect, sql } from './support.mjs';

const limits = (minute, hour = 100_000) => ({
    LOGIN_ATTEMPTS_PER_MINUTE: String(minute),
    LOGIN_ATTEMPTS_PER_HOUR: String(hour),
});

/* Behind a proxy, so that a test can speak from many addresses. */
const behindProxy = { TRUSTED_PROXIES: '127.0.0.0/8, 10.0.0.0/8' };
const from = (address) => ({ 'x-forwarded-for': address });

const attempt = (server, email, secret = 'wrong but long enough', headers = {}) =>
    server.api('POST', '/auth/login', { body: { email, password: secret }, headers });

const countOf = (answers, status) => answers.filter((answer) => answer.status === status).length;

/* An account of each state that must not be told from the outside. */
async function someAccounts(installation, server) {
    const admin = await installation.addUser({ role: 'admin' });
    const accounts = {
        wrong: await installation.addUser(),
        disabled: await installation.addUser(),
        locked: await installation.addUser(),
        unknown: { email: 'nobody.at.all@example.com' },
    };
    const { accessToken } = await server.login(admin.email);
    const disabling = await server.api('PATCH', `/v1/users/${accounts.disabled.id}`, { token: accessToken, body: { disabled: true } });
    assert.equal(disabling.status, 200);
    for (let i = 0; i < 3; i++) expect(await attempt(server, accounts.locked.email), 401, 'invalid_credentials');
    await waitFor('the account is locked', async () => {
        const { body } = await server.api('GET', `/v1/users/${accounts.locked.id}`, { token: accessToken });
        return body.locked;
    });
    return { accounts, adminToken: accessToken };
}

/*
 * Whether one series of times is mostly longer than the other, by the sign test: of pairs taken
 * close together, under no difference each is the longer one as by a coin, whatever else the
 * machine does. Beyond 4.5 standard deviations is chance once in 150,000.
 */
function tellsApart(a, b) {
    const longer = a.filter((time, i) => time > b[i]).length;
    return Math.abs(longer - a.length / 2) > 4.5 * (Math.sqrt(a.length) / 2);
}

const median = (times) => [...times].sort((a, b) => a - b)[times.length >> 1];

forEachStore((store) => {
    test('whoever has the right password gets a session', async () => {
        await withInstallation({ store }, async (installation) => {
            const user = await installation.addUser({ role: 'admin' });
            const server = await installation.start();
            const { status, headers, body } = await attempt(server, user.email.toUpperCase(), password);
            assert.equal(status, 200);
            assert.equal(headers['cache-control'], 'no-store');
            assert.deepEqual(Object.keys(body).sort(), ['accessToken', 'expiresIn', 'refreshToken', 'sessionId', 'tokenType', 'user']);
            assert.equal(body.tokenType, 'Bearer');
            assert.equal(body.expiresIn, 900);
            assert.match(body.refreshToken, /^hfr_[\w-]+$/);
            assert.equal(body.user.id, user.id);
            assert.equal(body.user.email, user.email);
            const claims = claimsOf(body.accessToken);
            assert.equal(claims.sub, user.id);
            assert.equal(claims.tid, user.tenantId);
            assert.equal(claims.sid, body.sessionId);
            assert.equal(claims.role, 'admin');
            assert.deepEqual(claims.amr, ['pwd']);
            assert.equal(claims.exp - claims.iat, 900);
            const me = await server.api('GET', '/auth/me', { token: body.accessToken });
            assert.equal(me.status, 200);
            assert.deepEqual(me.body, {
                id: user.id,
                email: user.email,
                role: 'admin',
                tenantId: user.tenantId,
                sessionId: body.sessionId,
                emailStatus: 'ok',
                mfaEnabled: false,
            });
            const verified = await server.api('GET', '/auth/verify', { token: body.accessToken });
            assert.ok([200, 204].includes(verified.status));
            assert.equal(verified.headers['x-auth-user'], user.id);
            assert.equal(verified.headers['x-auth-tenant'], user.tenantId);
            assert.equal(verified.headers['x-auth-role'], 'admin');
            assert.equal(verified.headers['x-auth-session'], body.sessionId);
            expect(await server.api('GET', '/auth/verify'), 401, 'unauthenticated');
        });
    });

    test('unknown, wrong, locked and disabled accounts get one and the same answer', async () => {
        await withInstallation({ store, env: { LOGIN_LOCK_AFTER: '3' } }, async (installation) => {
            const server = await installation.start();
            const { accounts } = await someAccounts(installation, server);
            const seen = new Map();
            for (const [state, account] of Object.entries(accounts)) {
                const secret = state === 'disabled' || state === 'locked' ? password : undefined;
                const answer = await attempt(server, account.email, secret);
                expect(answer, 401, 'invalid_credentials');
                delete answer.body.requestId;
                delete answer.headers['x-request-id'];
                delete answer.headers.date;
                seen.set(state, { status: answer.status, headers: answer.headers, body: answer.body });
            }
            for (const [state, answer] of seen) assert.deepEqual(answer, seen.get('unknown'), state);
        });
    });

    test('nor does the time tell them apart', async () => {
        await withInstallation({ store, env: { LOGIN_LOCK_AFTER: '3' } }, async (installation) => {
            const server = await installation.start();
            const { accounts, adminToken } = await someAccounts(installation, server);
            const times = { unknown: [], wrong: [], locked: [], disabled: [], nothing: [] };
            const kinds = Object.keys(times);
            const timed = async (kind) => {
                const begin = performance.now();
                if (kind === 'nothing') await server.api('POST', '/auth/login', { body: { email: 'a@example.com' } });
                else await attempt(server, accounts[kind].email);
                return performance.now() - begin;
            };
            for (let round = 0; round < 60; round++) {
                for (let i = 0; i < kinds.length; i++) {
                    const kind = kinds[(round + i) % kinds.length];
                    times[kind].push(await timed(kind));
                }
                // Else the account with the wrong password would be locked as well.
                const unlocking = await server.api('PATCH', `/v1/users/${accounts.wrong.id}`, { token: adminToken, body: { locked: false } });
                assert.equal(unlocking.status, 200);
            }
            const medians = Object.fromEntries(kinds.map((kind) => [kind, median(times[kind])]));
            assert.ok(tellsApart(times.nothing, times.unknown), 'the test sees where no password is hashed');
            for (const kind of ['wrong', 'locked', 'disabled'])
                assert.ok(!tellsApart(times[kind], times.unknown), `${kind} is told from unknown: ${JSON.stringify(medians)}`);
        });
    });

    test('the sixth attempt on an account within a minute is refused, wherever from', async () => {
        await withInstallation({ store, env: { ...limits(5, 30), ...behindProxy } }, async (installation) => {
            const user = await installation.addUser();
            const server = await installation.start();
            for (const email of [user.email, 'unknown@example.com']) {
                for (let i = 1; i <= 5; i++)
                    expect(await attempt(server, email, undefined, from(`203.0.113.${i}`)), 401, 'invalid_credentials');
                const answer = await attempt(server, email, password, from('203.0.113.6'));
                expect(answer, 429, 'rate_limited');
                const seconds = Number(answer.headers['retry-after']);
                assert.ok(seconds >= 1 && seconds <= 60, `Retry-After: ${seconds}`);
                assert.equal(answer.headers['ratelimit-limit'], '5');
                assert.equal(answer.headers['ratelimit-remaining'], '0');
                assert.equal(answer.headers['ratelimit-reset'], String(seconds));
            }
            const other = await installation.addUser();
            assert.equal((await attempt(server, other.email, password, from('203.0.113.7'))).status, 200);
        });
    });

    test('the sixth attempt from an address within a minute is refused, whatever the account', async () => {
        await withInstallation({ store, env: { ...limits(5), ...behindProxy } }, async (installation) => {
            const user = await installation.addUser();
            const server = await installation.start();
            for (let i = 1; i <= 5; i++)
                assert.equal((await attempt(server, `guess${i}@example.com`, undefined, from('198.51.100.7'))).status, 401);
            expect(await attempt(server, user.email, password, from('198.51.100.7')), 429, 'rate_limited');
            assert.equal((await attempt(server, user.email, password, from('198.51.100.8'))).status, 200);
            // One customer has a whole /64 of IPv6.
            for (let i = 1; i <= 5; i++)
                assert.equal((await attempt(server, `six${i}@example.com`, undefined, from(`2001:db8:0:1::${i}`))).status, 401);
            assert.equal((await attempt(server, user.email, password, from('2001:db8:0:1:ffff::9'))).status, 429);
            assert.equal((await attempt(server, user.email, password, from('2001:db8:0:2::1'))).status, 200);
        });
    });

    test('of a hundred guesses at once exactly the limit\'s worth is looked at', async () => {
        await withInstallation({ store, env: limits(5) }, async (installation) => {
            const user = await installation.addUser();
            const server = await installation.start();
            const answers = await Promise.all(Array.from({ length: 100 }, () => attempt(server, user.email)));
            assert.equal(countOf(answers, 401), 5);
            assert.equal(countOf(answers, 429), 95);
            assert.equal((await attempt(server, user.email, password)).status, 429);
        });
    });

    test('without a trusted proxy, nobody gets more attempts by X-Forwarded-For', async () => {
        await withInstallation({ store, env: limits(5) }, async (installation) => {
            const server = await installation.start();
            for (let i = 1; i <= 5; i++)
                assert.equal((await attempt(server, `who${i}@example.com`, undefined, from(`203.0.113.${i}`))).status, 401);
            assert.equal((await attempt(server, 'who6@example.com', undefined, from('203.0.113.6'))).status, 429);
        });
    });

    test('a trusted proxy is believed from the right of the list only', async () => {
        await withInstallation({ store, env: { ...limits(5), ...behindProxy } }, async (installation) => {
            const user = await installation.addUser({ role: 'admin' });
            const server = await installation.start();
            // What the client itself put before is worth nothing, also through two proxies.
            for (let i = 1; i <= 5; i++)
                assert.equal((await attempt(server, `x${i}@example.com`, undefined, from(`203.0.113.${i}, 198.51.100.1, 10.0.0.${i}`))).status, 401);
            assert.equal((await attempt(server, 'x6@example.com', undefined, from('203.0.113.6, 198.51.100.1'))).status, 429);
            const { status, body } = await attempt(server, user.email, password, from('198.51.100.1, 192.0.2.44'));
            assert.equal(status, 200);
            const { body: mine } = await server.api('GET', '/v1/sessions', { token: body.accessToken });
            assert.deepEqual(mine.items.map((session) => session.ip), ['192.0.2.44']);
        });
    });

    test('an account has a slower limit by the hour', async () => {
        await withInstallation({ store, env: limits(1000, 7) }, async (installation) => {
            const user = await installation.addUser();
            const server = await installation.start();
            for (let i = 0; i < 7; i++) assert.equal((await attempt(server, user.email)).status, 401);
            const answer = await attempt(server, user.email, password);
            expect(answer, 429, 'rate_limited');
            const seconds = Number(answer.headers['retry-after']);
            assert.ok(seconds > 60 && seconds <= 3600, `Retry-After: ${seconds}`);
            assert.equal(answer.headers['ratelimit-limit'], '7');
        });
    });

    test('an account locks after too many failures, its owner is told, an admin unlocks it', async () => {
        await withInstallation({ store, env: { LOGIN_LOCK_AFTER: '4' } }, async (installation) => {
            const admin = await installation.addUser({ role: 'admin' });
            const user = await installation.addUser();
            const server = await installation.start();
            const { accessToken: token } = await server.login(admin.email);
            const before = await server.login(user.email);
            // Only consecutive failures count.
            for (let i = 0; i < 3; i++) await attempt(server, user.email);
            await server.login(user.email);
            for (let i = 0; i < 4; i++) await attempt(server, user.email);
            expect(await attempt(server, user.email, password), 401, 'invalid_credentials');
            const view = () => server.api('GET', `/v1/users/${user.id}`, { token });
            await waitFor('the lock is in the store', async () => (await view()).body.locked);
            assert.equal(await statusOf(server, before.accessToken), 200, 'sessions live on: guessing ends nobody\'s');
            const unlocked = await server.api('PATCH', `/v1/users/${user.id}`, { token, body: { locked: false } });
            assert.equal(unlocked.status, 200);
            assert.equal(unlocked.body.locked, false);
            const after = await server.login(user.email);
            const kinds = (await noticesOf(server, after.accessToken)).map((notice) => notice.kind);
            assert.ok(kinds.includes('account_locked'), kinds.join());
            assert.ok(kinds.includes('account_unlocked'), kinds.join());
            for (const action of ['user.locked', 'user.unlock']) {
                const { body } = await server.api('GET', `/v1/audit-log?action=${action}`, { token });
                assert.deepEqual(body.items.map((record) => record.subjectId), [user.id], action);
            }
        });
    });

    test('a lock from failed sign-ins passes by itself; an administrator\'s does not', async () => {
        await withInstallation({ store, env: { LOGIN_LOCK_AFTER: '3' } }, async (installation) => {
            const operator = await installation.addUser({ role: 'operator' });
            const other = await installation.addUser();
            const server = await installation.start();
            const { accessToken: token } = await server.login(operator.email);
            const shut = await server.api('PATCH', `/v1/users/${other.id}`, { token, body: { locked: true } });
            assert.equal(shut.body.locked, true);
            for (let i = 0; i < 3; i++) await attempt(server, operator.email);
            const view = async (id) => (await server.api('GET', `/v1/users/${id}`, { token })).body.locked;
            await waitFor('the lock is in the store', () => view(operator.id));
            await sql(installation, 'UPDATE users SET locked_until = 1 WHERE locked_until IS NOT NULL');
            await waitFor('the lock has passed', async () => !await view(operator.id));
            await server.login(operator.email);
            assert.equal(await view(other.id), true);
        });
    });

    test('guesses at once lock the account just as guesses in a row do', async () => {
        await withInstallation({ store, env: { LOGIN_LOCK_AFTER: '5' } }, async (installation) => {
            const user = await installation.addUser();
            const server = await installation.start();
            const wrong = await Promise.all(Array.from({ length: 20 }, () => attempt(server, user.email)));
            assert.equal(countOf(wrong, 401), 20);
            expect(await attempt(server, user.email, password), 401, 'invalid_credentials');
        });
    });

    test('JSON is taken under its names and under curl\'s default; all else is refused', async () => {
        await withInstallation({ store }, async (installation) => {
            const user = await installation.addUser();
            const server = await installation.start();
            const body = JSON.stringify({ email: user.email, password });
            for (const type of ['application/json', 'application/json; charset=utf-8', 'Application/JSON', 'application/x-www-form-urlencoded'])
                assert.equal((await server.api('POST', '/auth/login', { body, headers: { 'content-type': type } })).status, 200, type);
            for (const type of ['text/plain', 'multipart/form-data; boundary=x', 'application/xml', 'application/jsonp', 'text/json'])
                expect(await server.api('POST', '/auth/login', { body, headers: { 'content-type': type } }), 415, 'unsupported_media_type');
        });
    });

    test('a sign-in from a new device is told to the user, once', async () => {
        await withInstallation({ store }, async (installation) => {
            const user = await installation.addUser();
            const server = await installation.start();
            const signIn = async (agent) => {
                const { status, body } = await attempt(server, user.email, password, { 'user-agent': agent });
                assert.equal(status, 200);
                const notices = await noticesOf(server, body.accessToken);
                return notices.filter((notice) => notice.kind === 'new_device');
            };
            const laptop = 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Firefox/128.0';
            assert.equal((await signIn(laptop)).length, 0, 'the very first is no news');
            assert.equal((await signIn(laptop.replaceAll('128', '129'))).length, 0, 'an update is no new device');
            const told = await signIn('Phone <script>/1.0');
            assert.equal(told.length, 1);
            assert.match(told[0].body, /127\.0\.0\.1 \(Phone <script>\/1\.0\)/);
            assert.equal((await signIn('Phone <script>/1.0')).length, 1);
            assert.equal((await signIn(laptop)).length, 1);
        });
    });
});

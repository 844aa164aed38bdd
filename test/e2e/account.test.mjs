/* One's own account: signing out, changing the password, beginning with a one-time password. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { forEachStore, password, stores, waitFor, withInstallation } from './harness.mjs';
import { noticesOf, refresh, statusOf } from './steps.mjs';
import { expect, sql, sqlId, startCommand } from './support.mjs';

const another = 'a quite different passphrase';

const change = (server, token, currentPassword, newPassword) =>
    server.api('POST', '/auth/password', { token, body: { currentPassword, newPassword } });

forEachStore((store) => {
    test('signing out ends this session at once, and no other', async () => {
        await withInstallation({ store }, async (installation) => {
            const user = await installation.addUser({ role: 'admin' });
            const server = await installation.start();
            const laptop = await server.login(user.email);
            const phone = await server.login(user.email);
            const { status, body } = await server.api('POST', '/auth/logout', { token: laptop.accessToken });
            assert.equal(status, 204);
            assert.equal(body, null);
            expect(await server.api('GET', '/auth/me', { token: laptop.accessToken }), 401, 'token_revoked');
            expect(await server.api('POST', '/auth/logout', { token: laptop.accessToken }), 401, 'token_revoked');
            expect(await refresh(server, laptop.refreshToken), 401, 'token_revoked');
            assert.equal(await statusOf(server, phone.accessToken), 200);
            assert.equal((await refresh(server, phone.refreshToken)).status, 200);
            const log = await server.api('GET', '/v1/audit-log?action=session.logout', { token: phone.accessToken });
            assert.deepEqual(log.body.items.map((record) => record.actor), [user.email]);
            // It was their own doing: nobody need tell them.
            assert.deepEqual((await noticesOf(server, phone.accessToken)).map((notice) => notice.kind), []);
            expect(await server.api('POST', '/auth/logout'), 401, 'unauthenticated');
        });
    });

    test('a changed password ends the other sessions and keeps this one', async () => {
        await withInstallation({ store }, async (installation) => {
            const user = await installation.addUser({ role: 'admin' });
            const server = await installation.start();
            const mine = await server.login(user.email);
            const others = [await server.login(user.email), await server.login(user.email)];
            assert.equal((await change(server, mine.accessToken, password, another)).status, 204);
            for (const other of others) {
                expect(await server.api('GET', '/auth/me', { token: other.accessToken }), 401, 'token_revoked');
                expect(await refresh(server, other.refreshToken), 401, 'token_revoked');
            }
            assert.equal(await statusOf(server, mine.accessToken), 200);
            const next = await refresh(server, mine.refreshToken);
            assert.equal(next.status, 200);
            expect(await server.api('POST', '/auth/login', { body: { email: user.email, password } }), 401, 'invalid_credentials');
            await server.login(user.email, another);
            const notices = await noticesOf(server, mine.accessToken);
            assert.deepEqual(notices.map((notice) => notice.kind), ['password_changed']);
            const log = await server.api('GET', '/v1/audit-log?action=password.change', { token: mine.accessToken });
            assert.equal(log.body.items.length, 1);
            const audit = await server.api('GET', `/v1/sessions/security-audit/${user.id}`, { token: mine.accessToken });
            const reasons = audit.body.families.filter((family) => family.revokedAt).map((family) => family.revokedReason);
            assert.deepEqual(reasons, ['password changed', 'password changed']);
        });
    });

    test('a password that would be guessed, or is not the user\'s to change, is refused', async () => {
        await withInstallation({ store }, async (installation) => {
            const user = await installation.addUser();
            const server = await installation.start();
            const { accessToken: token } = await server.login(user.email);
            const other = await server.login(user.email);
            for (const unfit of ['short7!', '1234567890', 'password1', 'Password1', 'x'.repeat(129), password]) {
                const answer = await change(server, token, password, unfit);
                expect(answer, 400, 'invalid_field');
                assert.equal(answer.body.field, 'newPassword', unfit);
            }
            expect(await change(server, token, 'not my password', another), 401, 'invalid_credentials');
            expect(await server.api('POST', '/auth/password', { body: { currentPassword: password, newPassword: another } }), 401, 'unauthenticated');
            assert.equal(await statusOf(server, other.accessToken), 200, 'nothing was ended');
            assert.equal((await change(server, token, password, '8 letter')).status, 204, 'eight characters are enough');
        });
    });

    test('guessing the present password in a stolen session is limited like signing in', async () => {
        await withInstallation({ store, env: { LOGIN_ATTEMPTS_PER_MINUTE: '5' } }, async (installation) => {
            const user = await installation.addUser();
            const server = await installation.start();
            const { accessToken: token } = await server.login(user.email);
            for (let i = 0; i < 4; i++) expect(await change(server, token, `guess number ${i}`, another), 401, 'invalid_credentials');
            const answer = await change(server, token, password, another);
            expect(answer, 429, 'rate_limited');
            assert.ok(Number(answer.headers['retry-after']) >= 1);
        });
    });

    test('the first operator gets a one-time password, good for replacing it and nothing else', async () => {
        await withInstallation({ store }, async (installation) => {
            const server = await installation.start();
            const shown = await waitFor('the password is printed', () => /^One-time password: +(\S+)$/m.exec(server.stdout));
            const [, address] = /^Operator: +(\S+)$/m.exec(server.stdout);
            const oneTime = shown[1];
            assert.ok(!server.stderr.includes(oneTime), 'it is not in the log');
            const grant = await server.login(address, oneTime);
            assert.equal(grant.user.role, 'operator');
            assert.equal(grant.user.passwordChangeRequired, true);
            const { accessToken: token } = grant;
            assert.equal(await statusOf(server, token), 200);
            for (const [method, target] of [['GET', '/v1/users'], ['GET', '/v1/sessions'], ['GET', '/v1/notifications'], ['GET', '/v1/audit-log'],
                ['POST', '/auth/mfa/enroll'], ['DELETE', `/v1/sessions/revoke-user/${grant.user.id}`], ['PUT', '/v1/preferences']])
                expect(await server.api(method, target, { token }), 403, 'password_change_required');
            const other = await server.login(address, oneTime);
            const next = await refresh(server, other.refreshToken);
            expect(await server.api('GET', '/v1/users', { token: next.body.accessToken }), 403, 'password_change_required');
            assert.equal((await change(server, token, oneTime, another)).status, 204);
            assert.equal((await server.api('GET', '/v1/users', { token })).status, 200, 'at once, by the same token');
            assert.equal(await statusOf(server, other.accessToken), 401);
            expect(await server.api('POST', '/auth/login', { body: { email: address, password: oneTime } }), 401, 'invalid_credentials');
            const again = await server.login(address, another);
            assert.equal(again.user.passwordChangeRequired, false);
            await server.restart();
            assert.doesNotMatch(server.stdout, /One-time password/, 'once');
        });
    });

    test('who uses the one-time password only to sign out may do so', async () => {
        await withInstallation({ store }, async (installation) => {
            const admin = await installation.addUser({ role: 'admin' });
            const server = await installation.start();
            assert.doesNotMatch(server.stdout, /One-time password/, 'there is someone who may begin');
            const { accessToken } = await server.login(admin.email);
            const created = await server.api('POST', '/v1/users', { token: accessToken, body: { email: 'new@example.com', role: 'member' } });
            assert.equal(created.status, 201);
            const grant = await server.login('new@example.com', created.body.password);
            assert.equal(grant.user.passwordChangeRequired, true);
            expect(await server.api('GET', '/v1/sessions', { token: grant.accessToken }), 403, 'password_change_required');
            assert.equal((await server.api('POST', '/auth/logout', { token: grant.accessToken })).status, 204);
            assert.equal(await statusOf(server, grant.accessToken), 401);
        });
    });
});

/* The lock that the trail and the feed are written under: its number in what holds locks of ours apart. */
const trailLock = BigInt('0x486f6c6466617374') ^ 1n;
const postgres = stores.find((store) => store.name === 'postgresql');

/*
 * A mass revocation takes no user's row, so it can commit between a change's first look and its own
 * turn under the lock. On SQLite one transaction writes at a time.
 */
test('a session that is ended while it changes the password changes nothing', { skip: !postgres && 'needs PostgreSQL' }, async () => {
    await withInstallation({ store: postgres }, async (installation) => {
        const user = await installation.addUser();
        const server = await installation.start();
        const grant = await server.login(user.email);
        const revocation = startCommand(installation, ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-d', installation.database.url], { command: ['psql'] });
        const say = (text) => revocation.child.stdin.write(`${text}\n`);
        say(`BEGIN; SELECT pg_advisory_xact_lock(${trailLock} # hashtextextended(current_schema(), 0)); SELECT 'locked';`);
        await waitFor('the lock', () => revocation.stdout.includes('locked'));
        const changing = change(server, grant.accessToken, password, another);
        await waitFor('the change to wait for the lock', async () =>
            (await sql(installation, "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()")).join() === '1');
        const now = Date.now();
        say(`INSERT INTO epochs (user_id, not_before, at, reason) VALUES (${sqlId(installation, user.id)}, ${now}, ${now}, 'mass'); COMMIT;`);
        revocation.child.stdin.end();
        const { code, stderr } = await revocation.ended;
        assert.equal(code, 0, stderr);
        expect(await changing, 401, 'token_revoked');
        await server.login(user.email);
        expect(await server.api('POST', '/auth/login', { body: { email: user.email, password: another } }), 401, 'invalid_credentials');
    });
});

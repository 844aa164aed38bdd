/* The second factor, with an authenticator app of the test's own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { forEachStore, password, waitFor, withInstallation } from './harness.mjs';
import { base32Decode, claimsOf, enrollFactor, noticesOf, passHalfMinute, refresh, statusOf, totp } from './steps.mjs';
import { expect } from './support.mjs';

const signIn = (server, email, code) =>
    server.api('POST', '/auth/login', { body: code === undefined ? { email, password } : { email, password, totp: code } });

const countOf = (answers, status) => answers.filter((answer) => answer.status === status).length;

/* A user whose second factor is active. */
async function withFactor(store, use, { role = 'member', env = {} } = {}) {
    await withInstallation({ store, env }, async (installation) => {
        const user = await installation.addUser({ role });
        const server = await installation.start();
        const grant = await server.login(user.email);
        const enrolment = await enrollFactor(server, grant.accessToken);
        await use({ installation, server, user, grant, enrolment });
    });
}

forEachStore((store) => {
    test('enrolling shows secret, URI, QR code and ten recovery codes; a first code activates', async () => {
        await withInstallation({ store, env: { MFA_ISSUER: 'Größe & Co' } }, async (installation) => {
            const user = await installation.addUser();
            const server = await installation.start();
            const { accessToken: token, refreshToken } = await server.login(user.email);
            expect(await server.api('POST', '/auth/mfa/activate', { token, body: { code: '123456' } }), 409, 'conflict');
            const { status, body } = await server.api('POST', '/auth/mfa/enroll', { token });
            assert.equal(status, 200);
            assert.ok(base32Decode(body.secret).length >= 20);
            const uri = new URL(body.otpauthUri);
            assert.equal(uri.protocol, 'otpauth:');
            assert.equal(uri.host, 'totp');
            assert.equal(uri.searchParams.get('secret'), body.secret);
            assert.equal(uri.searchParams.get('issuer'), 'Größe & Co');
            assert.equal(decodeURIComponent(uri.pathname), `/Größe & Co:${user.email}`);
            assert.match(body.qrSvg, /^(<\?xml[^>]*\?>\s*)?<svg [^>]*xmlns="http:\/\/www\.w3\.org\/2000\/svg"[\s\S]*<\/svg>\s*$/);
            assert.equal(body.recoveryCodes.length, 10);
            assert.equal(new Set(body.recoveryCodes).size, 10);
            // Until a code of the app has arrived, nothing has changed.
            assert.equal((await signIn(server, user.email)).status, 200);
            const wrong = totp(body.secret).replace(/.$/, (digit) => (Number(digit) + 5) % 10);
            expect(await server.api('POST', '/auth/mfa/activate', { token, body: { code: wrong } }), 401, 'invalid_credentials');
            expect(await server.api('POST', '/auth/mfa/activate', { token, body: { code: body.recoveryCodes[0] } }), 401, 'invalid_credentials');
            const again = await server.api('POST', '/auth/mfa/enroll', { token });
            assert.notEqual(again.body.secret, body.secret, 'who lost the page begins anew');
            expect(await server.api('POST', '/auth/mfa/activate', { token, body: { code: totp(body.secret) } }), 401, 'invalid_credentials');
            assert.equal((await server.api('POST', '/auth/mfa/activate', { token, body: { code: totp(again.body.secret) } })).status, 204);
            assert.equal((await server.api('GET', '/auth/me', { token })).body.mfaEnabled, true);
            expect(await server.api('POST', '/auth/mfa/enroll', { token }), 409, 'conflict');
            expect(await server.api('POST', '/auth/mfa/activate', { token, body: { code: totp(again.body.secret, 1) } }), 409, 'conflict');
            assert.deepEqual(claimsOf(token).amr, ['pwd']);
            const next = await refresh(server, refreshToken);
            assert.deepEqual(claimsOf(next.body.accessToken).amr, ['pwd', 'otp', 'mfa'], 'a refresh carries the factor just proved');
            assert.deepEqual((await noticesOf(server, token)).map((notice) => notice.kind), ['mfa_enabled']);
        });
    });

    test('signing in then needs a code, and says so only to who knows the password', async () => {
        await withFactor(store, async ({ installation, server, user, enrolment }) => {
            expect(await signIn(server, user.email), 401, 'mfa_required');
            expect(await server.api('POST', '/auth/login', { body: { email: user.email, password: 'not the password' } }), 401, 'invalid_credentials');
            await passHalfMinute(installation, user.id);
            expect(await server.api('POST', '/auth/login', { body: { email: user.email, password: 'not the password', totp: totp(enrolment.secret) } }), 401, 'invalid_credentials');
            const { status, body } = await signIn(server, user.email, totp(enrolment.secret));
            assert.equal(status, 200, 'a code that a wrong password came with is not used up');
            assert.deepEqual(claimsOf(body.accessToken).amr, ['pwd', 'otp', 'mfa']);
            assert.equal(body.user.mfaEnabled, true);
            for (const code of ['000000', '12345', '1234567', 'abcdef', totp(enrolment.secret, -20), totp(enrolment.secret, 20)])
                expect(await signIn(server, user.email, code), 401, 'invalid_credentials');
        });
    });

    test('a code works once, also when many bring it at the same time', async () => {
        await withFactor(store, async ({ installation, server, user, enrolment }) => {
            const used = totp(enrolment.secret);
            expect(await signIn(server, user.email, used), 401, 'invalid_credentials');
            await passHalfMinute(installation, user.id);
            const code = totp(enrolment.secret);
            const answers = await Promise.all(Array.from({ length: 10 }, () => signIn(server, user.email, code)));
            assert.equal(countOf(answers, 200), 1);
            assert.equal(countOf(answers, 401), 9);
        });
    });

    test('a recovery code works once, also when many bring it at the same time', async () => {
        await withFactor(store, async ({ server, user, enrolment }) => {
            const [first, second] = enrolment.recoveryCodes;
            const { status, body } = await signIn(server, user.email, first);
            assert.equal(status, 200);
            assert.deepEqual(claimsOf(body.accessToken).amr, ['pwd', 'otp', 'mfa']);
            expect(await signIn(server, user.email, first), 401, 'invalid_credentials');
            const answers = await Promise.all(Array.from({ length: 10 }, () => signIn(server, user.email, second)));
            assert.equal(countOf(answers, 200), 1);
            assert.equal(countOf(answers, 401), 9);
            const told = (await noticesOf(server, body.accessToken)).filter((notice) => notice.kind === 'recovery_code_used');
            assert.deepEqual(told.map((notice) => /Codes left: (\d+)/.exec(notice.body)[1]), ['8', '9']);
            // As people type it from paper.
            const typed = enrolment.recoveryCodes[2].toLowerCase().replaceAll('-', ' ');
            assert.equal((await signIn(server, user.email, typed)).status, 200, typed);
        });
    });

    test('removing the factor takes a code; the password alone then signs in, old codes are void', async () => {
        await withFactor(store, async ({ installation, server, user, grant, enrolment }) => {
            const { accessToken: token } = grant;
            const remove = (code) => server.api('DELETE', '/auth/mfa', { token, body: { code } });
            expect(await remove('000000'), 401, 'invalid_credentials');
            expect(await server.api('DELETE', '/auth/mfa', { token }), 400, 'bad_request');
            await passHalfMinute(installation, user.id);
            assert.equal((await remove(totp(enrolment.secret))).status, 204);
            expect(await remove(enrolment.recoveryCodes[0]), 409, 'conflict');
            const { status, body } = await signIn(server, user.email);
            assert.equal(status, 200);
            assert.deepEqual(claimsOf(body.accessToken).amr, ['pwd']);
            assert.equal((await server.api('GET', '/auth/me', { token })).body.mfaEnabled, false);
            const kinds = (await noticesOf(server, token)).map((notice) => notice.kind);
            assert.ok(kinds.includes('mfa_disabled'), kinds.join());
            // Enrolled anew, by a recovery code it can be removed as well; codes of before are void.
            const anew = await enrollFactor(server, token);
            expect(await remove(enrolment.recoveryCodes[1]), 401, 'invalid_credentials');
            assert.equal((await remove(anew.recoveryCodes[0])).status, 204);
        });
    });

    test('guessing codes is limited, and wrong codes lock the account', async () => {
        await withFactor(store, async ({ server, user, grant, enrolment }) => {
            // Two of the eight attempts went into signing in and activating.
            const codes = Array.from({ length: 6 }, (_, i) => String(i).padStart(6, '9'));
            for (const code of codes) expect(await server.api('DELETE', '/auth/mfa', { token: grant.accessToken, body: { code } }), 401, 'invalid_credentials');
            const answer = await server.api('DELETE', '/auth/mfa', { token: grant.accessToken, body: { code: enrolment.recoveryCodes[0] } });
            expect(answer, 429, 'rate_limited');
            expect(await signIn(server, user.email, enrolment.recoveryCodes[0]), 429, 'rate_limited');
            assert.equal(await statusOf(server, grant.accessToken), 200);
        }, { env: { LOGIN_ATTEMPTS_PER_MINUTE: '8' } });
        await withFactor(store, async ({ server, user, enrolment }) => {
            for (const code of ['999991', '999992', '999993']) expect(await signIn(server, user.email, code), 401, 'invalid_credentials');
            expect(await signIn(server, user.email, enrolment.recoveryCodes[0]), 401, 'invalid_credentials');
            expect(await signIn(server, user.email), 401, 'invalid_credentials');
        }, { env: { LOGIN_LOCK_AFTER: '3' } });
        // Also those that a session's holder tries, removing or activating.
        await withFactor(store, async ({ server, user, grant, enrolment }) => {
            const remove = (code) => server.api('DELETE', '/auth/mfa', { token: grant.accessToken, body: { code } });
            for (const code of ['999991', '999992', '999993']) expect(await remove(code), 401, 'invalid_credentials');
            expect(await remove(enrolment.recoveryCodes[0]), 401, 'invalid_credentials');
            expect(await signIn(server, user.email, enrolment.recoveryCodes[0]), 401, 'invalid_credentials');
            await waitFor('the owner is told', async () => (await noticesOf(server, grant.accessToken)).some(({ kind }) => kind === 'account_locked'));
        }, { env: { LOGIN_LOCK_AFTER: '3', LOGIN_ATTEMPTS_PER_MINUTE: '20' } });
        await withInstallation({ store, env: { LOGIN_LOCK_AFTER: '2' } }, async (installation) => {
            const user = await installation.addUser();
            const server = await installation.start();
            const { accessToken: token } = await server.login(user.email);
            const { body } = await server.api('POST', '/auth/mfa/enroll', { token });
            const activate = (code) => server.api('POST', '/auth/mfa/activate', { token, body: { code } });
            for (const code of ['999991', '999992']) expect(await activate(code), 401, 'invalid_credentials');
            expect(await activate(totp(body.secret)), 401, 'invalid_credentials');
            expect(await signIn(server, user.email), 401, 'invalid_credentials');
        });
    });

    test('where administration demands a second factor, a session without one gets nowhere', async () => {
        await withInstallation({ store, env: { ADMIN_MFA_REQUIRED: 'true' } }, async (installation) => {
            const admin = await installation.addUser({ role: 'admin' });
            const member = await installation.addUser();
            const server = await installation.start();
            const { accessToken: token, refreshToken } = await server.login(admin.email);
            const administrative = [['GET', '/v1/users'], ['GET', `/v1/users/${member.id}`], ['GET', '/v1/audit-log'],
                ['DELETE', `/v1/sessions/revoke-user/${member.id}`], ['GET', `/v1/sessions/security-audit/${member.id}`]];
            for (const [method, target] of administrative)
                expect(await server.api(method, target, { token }), 403, 'second_factor_needed');
            assert.equal((await server.api('GET', '/v1/sessions', { token })).status, 200, 'one\'s own account needs none');
            const { secret } = await enrollFactor(server, token);
            expect(await server.api('GET', '/v1/users', { token }), 403, 'second_factor_needed');
            const next = await refresh(server, refreshToken);
            assert.equal((await server.api('GET', '/v1/users', { token: next.body.accessToken })).status, 200);
            await passHalfMinute(installation, admin.id);
            const fresh = await signIn(server, admin.email, totp(secret));
            for (const [method, target] of administrative)
                assert.equal((await server.api(method, target, { token: fresh.body.accessToken })).status, 200, target);
            const own = await server.login(member.email);
            expect(await server.api('GET', '/v1/users', { token: own.accessToken }), 403, 'forbidden');
        });
    });
});

/* The token family: how it goes on, how it survives mistakes, and how theft ends it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { forEachStore, withInstallation } from './harness.mjs';
import { changeFamily, claimsOf, newSecret, noticesOf, refresh, statusOf } from './steps.mjs';
import { expect, sql, sqlId } from './support.mjs';

const DAY = 24 * 60 * 60 * 1000;

/* A server with one user signed in once. */
async function withSession(store, use, { env = {}, role = 'member' } = {}) {
    await withInstallation({ store, env }, async (installation) => {
        const user = await installation.addUser({ role });
        const server = await installation.start();
        await use({ installation, server, user, grant: await server.login(user.email) });
    });
}

async function refreshed(server, refreshToken) {
    const { status, body } = await refresh(server, refreshToken);
    assert.equal(status, 200, JSON.stringify(body));
    return body;
}

/* As if ms had passed since the session's last rotation. */
const wait = (installation, id, ms) => changeFamily(installation, id, `rotated_at = rotated_at - ${ms}`);

async function generationOf(installation, id) {
    const [row] = await sql(installation, `SELECT generation FROM families WHERE id = ${sqlId(installation, id)}`);
    return Number(row);
}

forEachStore((store) => {
    test('each refresh gives new tokens of the same session', async () => {
        await withSession(store, async ({ installation, server, user, grant }) => {
            let { refreshToken } = grant;
            const seen = new Set([refreshToken]);
            for (let i = 1; i <= 5; i++) {
                const next = await refreshed(server, refreshToken);
                assert.equal(next.sessionId, grant.sessionId);
                assert.equal(next.expiresIn, 900);
                assert.equal(next.user.id, user.id);
                assert.equal(claimsOf(next.accessToken).sid, grant.sessionId);
                assert.notEqual(claimsOf(next.accessToken).jti, claimsOf(grant.accessToken).jti);
                assert.equal(await statusOf(server, next.accessToken), 200);
                seen.add((refreshToken = next.refreshToken));
                assert.equal(await generationOf(installation, grant.sessionId), i);
            }
            assert.equal(seen.size, 6);
            assert.equal(await statusOf(server, grant.accessToken), 200, 'an access token lives its time');
            const [rows] = await sql(installation, 'SELECT count(*) FROM families');
            assert.equal(rows, '1', 'one row, however often it rotates');
        });
    });

    test('whose answer was lost gets the very same successor again', async () => {
        await withSession(store, async ({ installation, server, grant }) => {
            const lost = await refreshed(server, grant.refreshToken);
            for (let i = 0; i < 3; i++) {
                const again = await refreshed(server, grant.refreshToken);
                assert.equal(again.refreshToken, lost.refreshToken);
                assert.equal(await statusOf(server, again.accessToken), 200);
            }
            assert.equal(await generationOf(installation, grant.sessionId), 1);
            await refreshed(server, lost.refreshToken);
        });
    });

    test('the grace does not slide: it ends by the rotation\'s time, however often it is used', async () => {
        await withSession(store, async ({ installation, server, grant }) => {
            await refreshed(server, grant.refreshToken);
            await wait(installation, grant.sessionId, 4_000);
            await refreshed(server, grant.refreshToken);
            await wait(installation, grant.sessionId, 4_000);
            await refreshed(server, grant.refreshToken);
            await wait(installation, grant.sessionId, 4_000);
            expect(await refresh(server, grant.refreshToken), 401, 'token_reused');
        });
    });

    test('the predecessor\'s predecessor is reuse, even within the grace', async () => {
        await withSession(store, async ({ server, grant }) => {
            const second = await refreshed(server, grant.refreshToken);
            const third = await refreshed(server, second.refreshToken);
            expect(await refresh(server, grant.refreshToken), 401, 'token_reused');
            expect(await refresh(server, third.refreshToken), 401, 'token_revoked');
        });
    });

    test('without grace, the predecessor is reuse at once', async () => {
        await withSession(store, async ({ server, grant }) => {
            const next = await refreshed(server, grant.refreshToken);
            expect(await refresh(server, grant.refreshToken), 401, 'token_reused');
            assert.equal(await statusOf(server, next.accessToken), 401);
        }, { env: { REFRESH_GRACE_SECONDS: '0' } });
    });

    test('reuse ends the session and its access tokens, and nothing else of the user', async () => {
        await withSession(store, async ({ installation, server, user, grant: stolen }) => {
            const phone = await server.login(user.email);
            const stranger = await installation.addUser();
            const others = await server.login(stranger.email);
            const thief = await refreshed(server, stolen.refreshToken);
            await wait(installation, stolen.sessionId, 11_000);
            const answer = await refresh(server, stolen.refreshToken, { headers: { 'user-agent': 'The owner/1' } });
            expect(answer, 401, 'token_reused');
            // Of this session, nothing works any more.
            for (const token of [stolen.accessToken, thief.accessToken])
                expect(await server.api('GET', '/auth/me', { token }), 401, 'token_revoked');
            for (const token of [stolen.refreshToken, thief.refreshToken])
                expect(await refresh(server, token), 401, 'token_revoked');
            // All else does.
            for (const grant of [phone, others]) {
                assert.equal(await statusOf(server, grant.accessToken), 200);
                await refreshed(server, grant.refreshToken);
            }
            // The user is told, once; the audit log and the counters know.
            const notices = (await noticesOf(server, phone.accessToken)).filter((notice) => notice.kind === 'token_reused');
            assert.equal(notices.length, 1);
            assert.match(notices[0].body, /127\.0\.0\.1 \(The owner\/1\)/);
            const admin = await installation.addUser({ role: 'admin' });
            const { accessToken: token } = await server.login(admin.email);
            const log = await server.api('GET', '/v1/audit-log?action=session.reuse', { token });
            assert.equal(log.body.items.length, 1);
            assert.equal(log.body.items[0].subjectId, user.id);
            assert.equal(log.body.items[0].requestId, answer.headers['x-request-id']);
            assert.equal(log.body.items[0].detail.sessions, 1);
            const audit = await server.api('GET', `/v1/sessions/security-audit/${user.id}`, { token });
            assert.equal(audit.body.reuseDetections, 1);
            assert.equal(audit.body.activeSessions, 1);
            const family = audit.body.families.find((one) => one.familyId === stolen.sessionId);
            assert.equal(family.revokedReason, 'token reused');
            assert.match((await server.api('GET', '/metrics')).body, /^holdfast_\w*reuse\w*(\{[^}]*\})? 1$/m);
        });
    });

    test('a token ahead of a restored database moves the row forward', async () => {
        await withSession(store, async ({ installation, server, grant }) => {
            const tokens = [grant];
            for (let i = 0; i < 5; i++) tokens.push(await refreshed(server, tokens[i].refreshToken));
            await changeFamily(installation, grant.sessionId, 'generation = 2');
            const next = await refreshed(server, tokens[5].refreshToken);
            assert.equal(await generationOf(installation, grant.sessionId), 6);
            assert.equal((await refreshed(server, tokens[5].refreshToken)).refreshToken, next.refreshToken);
            const log = await server.api('GET', '/v1/audit-log?action=session.forward', { token: next.accessToken });
            assert.equal(log.body.items.length, 1);
            expect(await refresh(server, tokens[2].refreshToken), 401, 'token_reused');
        }, { role: 'admin' });
    });

    test('a session ends by its age and by idleness, and a refresh postpones only the latter', async () => {
        await withSession(store, async ({ installation, server, user, grant }) => {
            const read = async (id) => (await sql(installation, `SELECT created_at, expires_at, idle_expires_at, rotated_at FROM families WHERE id = ${sqlId(installation, id)}`))[0].split('|').map(Number);
            const [created, expires, idle] = await read(grant.sessionId);
            assert.equal(expires - created, 90 * DAY);
            assert.equal(idle - created, 14 * DAY);
            await changeFamily(installation, grant.sessionId, `idle_expires_at = ${Date.now() + 60_000}`);
            const next = await refreshed(server, grant.refreshToken);
            const after = await read(grant.sessionId);
            assert.equal(after[1], expires);
            assert.equal(after[2] - after[3], 14 * DAY);
            await changeFamily(installation, grant.sessionId, `idle_expires_at = ${Date.now()}`);
            expect(await refresh(server, next.refreshToken), 401, 'token_expired');
            const old = await server.login(user.email);
            await changeFamily(installation, old.sessionId, `expires_at = ${Date.now()}`);
            expect(await refresh(server, old.refreshToken), 401, 'token_expired');
            // An expired session is over, not stolen.
            const [ended] = await sql(installation, 'SELECT count(*) FROM families WHERE revoked_at IS NOT NULL');
            assert.equal(ended, '0');
        });
    });

    test('no forged or damaged token is taken, and none ends the session that it names', async () => {
        await withSession(store, async ({ installation, server, grant }) => {
            let live = grant;
            for (let i = 0; i < 3; i++) live = await refreshed(server, live.refreshToken);
            const bytes = Buffer.from(live.refreshToken.slice(4), 'base64url');
            assert.equal(bytes.length, 52);
            const encode = (changed) => `hfr_${Buffer.from(changed).toString('base64url')}`;
            const forged = [];
            for (let i = 0; i < bytes.length; i++) {
                const changed = Buffer.from(bytes);
                changed[i] ^= 1 << (i % 8);
                forged.push(encode(changed));
            }
            for (const generation of [0, 1, 2, 4, 0xffffffff]) {
                const changed = Buffer.from(bytes);
                changed.writeUInt32BE(generation, 16);
                forged.push(encode(changed));
            }
            const text = live.refreshToken;
            forged.push(text.slice(0, -1), `${text}A`, `${text}=`, ` ${text}`, text.slice(4), text.replace('hfr_', 'hfx_'), text.toUpperCase(),
                encode(bytes.subarray(0, 51)), encode(Buffer.concat([bytes, Buffer.of(0)])), `hfr_${newSecret()}`, 'hfr_', 'x',
                live.accessToken.slice(0, 512), `${text.slice(0, 20)}é${text.slice(21)}`);
            for (const token of forged) expect(await refresh(server, token), 401, 'token_invalid');
            for (const token of ['', 'x'.repeat(513), `${text}\u0000`]) expect(await refresh(server, token), 400, 'invalid_field');
            assert.equal(await statusOf(server, live.accessToken), 200);
            const next = await refreshed(server, live.refreshToken);
            assert.equal(await generationOf(installation, grant.sessionId), 4);
            assert.equal(await statusOf(server, live.refreshToken), 401, 'a refresh token is no access token');
            assert.equal(await statusOf(server, next.accessToken), 200);
        });
    });

    test('the last character of a token has one spelling only', async () => {
        await withSession(store, async ({ server, grant }) => {
            // 52 bytes leave four bits of the last character unused.
            const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
            const at = alphabet.indexOf(grant.refreshToken.at(-1));
            for (let i = 1; i < 16; i++)
                expect(await refresh(server, grant.refreshToken.slice(0, -1) + alphabet[at ^ i]), 401, 'token_invalid');
            await refreshed(server, grant.refreshToken);
        });
    });

    test('fifty refreshes of one token at once give one successor', async () => {
        await withSession(store, async ({ installation, server, grant }) => {
            const answers = await Promise.all(Array.from({ length: 50 }, () => refresh(server, grant.refreshToken)));
            assert.deepEqual([...new Set(answers.map((answer) => answer.status))], [200]);
            assert.equal(new Set(answers.map((answer) => answer.body.refreshToken)).size, 1);
            assert.equal(await generationOf(installation, grant.sessionId), 1);
        });
    });

    test('a session goes on over a restart', async () => {
        await withSession(store, async ({ server, grant }) => {
            const next = await refreshed(server, grant.refreshToken);
            await server.restart();
            assert.equal(await statusOf(server, grant.accessToken), 200);
            assert.equal((await refreshed(server, grant.refreshToken)).refreshToken, next.refreshToken);
            await refreshed(server, next.refreshToken);
        });
    });
});

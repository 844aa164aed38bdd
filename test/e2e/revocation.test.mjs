/* An administrator ends sessions: one, all of a user's, those of a list. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { forEachStore, withInstallation } from './harness.mjs';
import { expect, nobody, people, signIn, withoutRequest } from './support.mjs';

const me = (server, token) => server.api('GET', '/auth/me', { token });
const refresh = (server, refreshToken) => server.api('POST', '/auth/refresh', { body: { refreshToken } });
const revoke = (server, token, what, body) => server.api('DELETE', `/v1/sessions/${what}`, { token, body });
const revokeList = (server, token, body) => server.api('POST', '/v1/sessions/revoke-users', { token, body });
const log = async (server, token, query) => expect(await server.api('GET', `/v1/audit-log?${query}`, { token }), 200).items;

async function assertDead(server, grant) {
    expect(await me(server, grant.accessToken), 401, 'token_revoked');
    expect(await refresh(server, grant.refreshToken), 401, 'token_revoked');
}

async function assertAlive(server, grant) {
    expect(await me(server, grant.accessToken), 200);
}

async function withPeople(options, use) {
    await withInstallation(options, async (installation) => {
        const everyone = await people(installation);
        const server = await installation.start();
        await use({ installation, server, ...everyone, grants: await signIn(server, everyone) });
    });
}

forEachStore((store) => {
    test('one session ends, and nothing else of the user', async () => {
        await withPeople({ store }, async ({ server, admin, member, grants }) => {
            const laptop = await server.login(member.email);
            const path = `revoke-family/${grants.member.sessionId}`;
            const answer = await revoke(server, grants.admin.accessToken, path, { reason: 'phone lost' });
            assert.deepEqual(expect(answer, 200), { familyId: grants.member.sessionId, revokedSessions: 1 });
            await assertDead(server, grants.member);
            await assertAlive(server, laptop);

            const again = await revoke(server, grants.admin.accessToken, path, { reason: 'phone lost' });
            assert.deepEqual(expect(again, 200), { familyId: grants.member.sessionId, revokedSessions: 0 });

            const notices = expect(await server.api('GET', '/v1/notifications', { token: laptop.accessToken }), 200).items;
            const told = notices.filter((notice) => notice.kind === 'session_revoked');
            assert.equal(told.length, 1);
            assert.match(told[0].body, /phone lost/);

            const records = await log(server, grants.admin.accessToken, 'action=session.revoke');
            assert.equal(records.length, 1);
            const [record] = records;
            assert.equal(record.actor, admin.email);
            assert.equal(record.actorId, admin.id);
            assert.equal(record.subject, member.email);
            assert.equal(record.subjectId, member.id);
            assert.equal(record.tenantId, member.tenantId);
            assert.equal(record.ip, '127.0.0.1');
            assert.equal(record.requestId, answer.headers['x-request-id']);
            assert.equal(record.detail.reason, 'phone lost');
        });
    });

    test('all sessions of a user end, and the user can sign in again', async () => {
        await withPeople({ store }, async ({ server, member, grants }) => {
            const more = [await server.login(member.email), await server.login(member.email)];
            const path = `revoke-user/${member.id}`;
            const answer = expect(await revoke(server, grants.admin.accessToken, path, { reason: 'left his desk' }), 200);
            assert.deepEqual(answer, { userId: member.id, revokedSessions: 3 });
            for (const grant of [grants.member, ...more]) await assertDead(server, grant);
            assert.equal(expect(await revoke(server, grants.admin.accessToken, path), 200).revokedSessions, 0);
            await assertAlive(server, grants.admin);

            const fresh = await server.login(member.email);
            await assertAlive(server, fresh);
            const notices = expect(await server.api('GET', '/v1/notifications', { token: fresh.accessToken }), 200).items;
            const told = notices.filter((notice) => notice.kind === 'sessions_revoked');
            assert.equal(told.length, 1, 'told once');
            assert.match(told[0].body, /left his desk/);
        });
    });

    test('a list of users: counted first, ended once, the unknown named', async () => {
        await withPeople({ store }, async ({ server, admin, member, stranger, grants }) => {
            await server.login(member.email);
            const userIds = [member.id, member.email.toUpperCase(), admin.id, stranger.id, nobody, 'no address', member.id];
            const body = { userIds, reason: 'credentials leaked', dryRun: true };
            const counted = expect(await revokeList(server, grants.admin.accessToken, body), 200);
            assert.equal(counted.matched, 2);
            assert.equal(counted.revokedSessions, 3);
            assert.deepEqual(counted.unknown, [stranger.id, nobody, 'no address']);
            assert.equal(counted.dryRun, true);
            await assertAlive(server, grants.member);
            await assertAlive(server, grants.stranger);

            const done = expect(await revokeList(server, grants.admin.accessToken, { ...body, dryRun: false }), 200);
            assert.deepEqual(done, { ...counted, dryRun: false });
            await assertDead(server, grants.member);
            await assertDead(server, grants.admin);
            await assertAlive(server, grants.stranger);

            const fresh = await server.login(admin.email);
            const again = expect(await revokeList(server, fresh.accessToken, { userIds: [member.id], reason: 'again' }), 200);
            assert.equal(again.revokedSessions, 0);
            const records = await log(server, fresh.accessToken, 'action=session.revoke_mass');
            assert.equal(records.length, 2);
            assert.equal(records[1].detail.reason, 'credentials leaked');
            assert.equal(records[1].detail.sessions, 3);
            const { accessToken } = await server.login(member.email);
            const notices = expect(await server.api('GET', '/v1/notifications', { token: accessToken }), 200).items;
            assert.equal(notices.filter((notice) => notice.kind === 'sessions_revoked').length, 1);
        });
    });

    test('what belongs to another tenant answers exactly as what does not exist', async () => {
        await withPeople({ store }, async ({ server, member, grants }) => {
            const token = grants.stranger.accessToken;
            const compare = async (method, path, id, body) => {
                const foreign = await server.api(method, path + id, { token, body });
                const unknown = await server.api(method, path + nobody, { token, body });
                expect(foreign, 404, 'not_found');
                assert.deepEqual(withoutRequest(foreign), withoutRequest(unknown));
            };
            await compare('DELETE', '/v1/sessions/revoke-family/', grants.member.sessionId, { reason: 'x' });
            await compare('DELETE', '/v1/sessions/revoke-user/', member.id, { reason: 'x' });
            await compare('GET', '/v1/sessions/security-audit/', member.id);
            await compare('DELETE', '/v1/sessions/', grants.member.sessionId);
            await compare('GET', '/v1/users/', member.id);
            await compare('PATCH', '/v1/users/', member.id, { disabled: true });
            await compare('DELETE', '/v1/users/', member.id);
            const list = await revokeList(server, token, { userIds: [member.id, nobody], reason: 'x' });
            assert.deepEqual(expect(list, 200).unknown, [member.id, nobody]);
            await assertAlive(server, grants.member);

            const { familyId, revokedSessions } = expect(
                await revoke(server, grants.operator.accessToken, `revoke-family/${grants.member.sessionId}`), 200);
            assert.equal(familyId, grants.member.sessionId);
            assert.equal(revokedSessions, 1, 'an operator reaches every tenant');
        });
    });

    test('malformed requests name their field and change nothing', async () => {
        await withPeople({ store }, async ({ server, member, grants }) => {
            const token = grants.admin.accessToken;
            const bad = [
                [{ reason: 'x' }, 'userIds'],
                [{ userIds: [member.id] }, 'reason'],
                [{ userIds: [], reason: 'x' }, 'userIds'],
                [{ userIds: member.id, reason: 'x' }, 'userIds'],
                [{ userIds: [7], reason: 'x' }, 'userIds'],
                [{ userIds: [member.id], reason: '' }, 'reason'],
                [{ userIds: [member.id], reason: 'x'.repeat(201) }, 'reason'],
                [{ userIds: [member.id], reason: 'x', dryRun: 'no' }, 'dryRun'],
                [{ userIds: [member.id], reason: 'x', force: true }, 'force'],
            ];
            for (const [body, field] of bad) {
                const problem = expect(await revokeList(server, token, body), 400);
                assert.match(problem.field ?? '', new RegExp(`^${field}`), JSON.stringify(body).slice(0, 100));
            }
            expect(await revoke(server, token, 'revoke-user/not-an-id'), 404, 'not_found');
            expect(await revoke(server, token, `revoke-user/${member.id}`, { reason: 7 }), 400);
            const longest = 'é'.repeat(200);
            await assertAlive(server, grants.member);
            assert.equal(expect(await revoke(server, token, `revoke-user/${member.id}`, { reason: longest }), 200).revokedSessions, 1);
            const audit = expect(await server.api('GET', `/v1/sessions/security-audit/${member.id}`, { token }), 200);
            assert.equal(audit.families[0].revokedReason, longest);
        });
    });

    test('the security audit shows what the contract names', async () => {
        await withPeople({ store }, async ({ server, admin, member, grants }) => {
            const token = grants.admin.accessToken;
            await server.api('POST', '/auth/login', { body: { email: member.email, password: 'not the password' } });
            const rotated = expect(await refresh(server, grants.member.refreshToken), 200);
            await revoke(server, token, `revoke-family/${grants.member.sessionId}`, { reason: 'audited' });
            const live = await server.login(member.email);
            const audit = expect(await server.api('GET', `/v1/sessions/security-audit/${member.id}`, { token }), 200);
            assert.equal(rotated.sessionId, grants.member.sessionId);
            assert.equal(audit.userId, member.id);
            assert.equal(audit.activeSessions, 1);
            assert.equal(audit.failedLogins24h, 1);
            assert.equal(audit.reuseDetections, 0);
            assert.equal(audit.mfaEnabled, false);
            assert.equal(audit.emailStatus, 'ok');
            assert.deepEqual(audit.families.map((family) => family.familyId), [live.sessionId, grants.member.sessionId]);
            const [open, ended] = audit.families;
            assert.deepEqual(Object.keys(open).sort(), ['createdAt', 'familyId', 'generation', 'ip', 'lastUsedAt', 'revokedAt', 'revokedReason', 'userAgent']);
            assert.equal(open.revokedAt, null);
            assert.equal(open.revokedReason, null);
            assert.equal(open.generation, 0);
            assert.equal(ended.generation, 1);
            assert.equal(ended.revokedReason, 'audited');
            assert.match(ended.revokedAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
            assert.equal(ended.ip, '127.0.0.1');
            const event = audit.recentEvents.find(({ action }) => action === 'session.revoke');
            assert.equal(event.actor, admin.email);
            assert.equal(event.detail.reason, 'audited');
        });
    });

    test('a token that comes back is counted in the audit', async () => {
        await withPeople({ store, env: { REFRESH_GRACE_SECONDS: '0' } }, async ({ server, member, grants }) => {
            expect(await refresh(server, grants.member.refreshToken), 200);
            expect(await refresh(server, grants.member.refreshToken), 401, 'token_reused');
            const audit = expect(
                await server.api('GET', `/v1/sessions/security-audit/${member.id}`, { token: grants.admin.accessToken }), 200);
            assert.equal(audit.reuseDetections, 1);
            assert.equal(audit.activeSessions, 0);
        });
    });

    describe('settings', () => {
        test('SESSION_REVOCATION_ENABLED=false turns it off, but not the end of one\'s own', async () => {
            await withPeople({ store, env: { SESSION_REVOCATION_ENABLED: 'false' } }, async ({ installation, server, member, grants }) => {
                const token = grants.operator.accessToken;
                expect(await revoke(server, token, `revoke-family/${grants.member.sessionId}`), 403, 'revocation_disabled');
                expect(await revoke(server, token, `revoke-user/${member.id}`), 403, 'revocation_disabled');
                expect(await revokeList(server, token, { userIds: [member.id], reason: 'x' }), 403, 'revocation_disabled');
                expect(await server.api('GET', `/v1/sessions/security-audit/${member.id}`, { token }), 200);
                const command = await installation.cli(['revoke-sessions', '--users', member.id, '--reason', 'x', '--yes']);
                assert.equal(command.code, 1);
                assert.match(command.stderr, /SESSION_REVOCATION_ENABLED/);
                await assertAlive(server, grants.member);
                expect(await server.api('POST', '/auth/logout', { token: grants.member.accessToken }), 204);
                await assertDead(server, grants.member);
            });
        });

        test('ADMIN_ROLE_REQUIRED=false lets members administer their tenant, in development only', async () => {
            await withPeople({ store, env: { ADMIN_ROLE_REQUIRED: 'false' } }, async ({ installation, server, admin, stranger, grants }) => {
                const token = grants.member.accessToken;
                assert.equal(expect(await revoke(server, token, `revoke-user/${admin.id}`), 200).revokedSessions, 1);
                expect(await revoke(server, token, `revoke-user/${stranger.id}`), 404, 'not_found');
                expect(await server.api('POST', '/v1/users', { token, body: { email: 'a@b.example', role: 'operator' } }), 403, 'forbidden');
                const staging = await installation.cli(['serve'], {
                    env: { HOLDFAST_ENV: 'staging', JWT_SECRET: '0123456789abcdef'.repeat(8), ENCRYPTION_KEY: '0123456789abcdef'.repeat(4) },
                });
                assert.equal(staging.code, 2);
                assert.match(staging.stderr, /ADMIN_ROLE_REQUIRED/);
            });
        });
    });
});

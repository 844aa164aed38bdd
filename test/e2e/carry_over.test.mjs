/*
 * Holdfast's tables are in the product's own database. It gets its backup back, and what was ended,
 * forbidden or recorded meanwhile is there before anybody is served.
 */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';

import { forEachStore, password, psql, stores, waitFor, withInstallation } from './harness.mjs';
import { enrollFactor, passHalfMinute, refresh, totp } from './steps.mjs';
import { expect, sql, sqlId } from './support.mjs';

const postgresql = stores.find((store) => store.name === 'postgresql');
const another = 'another horse, another battery';

async function run(installation, ...args) {
    const { code, stdout, stderr } = await installation.cli(args);
    assert.equal(code, 0, `${args.join(' ')}: ${stdout}${stderr}`);
    return stdout;
}

async function backUp(installation) {
    return JSON.parse(await run(installation, 'backup', 'create', '--json')).path;
}

async function restore(installation, file, ...more) {
    return JSON.parse(await run(installation, 'backup', 'restore', '--yes', '--accept-data-loss', '--json', ...more, file));
}

/* What restores set aside, on the same server. */
async function dropAside(installation) {
    const { url } = installation.database;
    if (url.startsWith('sqlite:')) return;
    const name = new URL(url).pathname.slice(1);
    for (const aside of await psql(url, `SELECT datname FROM pg_database WHERE datname LIKE '${name}\\_failed\\_%'`))
        await psql(url, `DROP DATABASE ${aside} WITH (FORCE)`);
}

const withOne = (store, use) =>
    withInstallation({ store }, async (installation) => {
        try {
            await use(installation);
        } finally {
            await dropAside(installation);
        }
    });

const logIn = (server, user, secret = password, more = {}) => server.api('POST', '/auth/login', { body: { email: user.email, password: secret, ...more } });

forEachStore((store) => {
    test('what was ended, forbidden or recorded since the backup is in the restored database', async () => {
        await withOne(store, async (installation) => {
            const operator = await installation.addUser({ role: 'operator', tenant: 'Holdfast' });
            const users = {}, grants = {};
            for (const name of ['single', 'mass', 'forward', 'disabled', 'deleted', 'password', 'factor'])
                users[name] = await installation.addUser({ email: `${name}@example.com` });
            users.lowered = await installation.addUser({ email: 'lowered@example.com', role: 'admin' });
            let server = await installation.start();
            const { accessToken: power } = await server.login(operator.email);
            for (const [name, user] of Object.entries(users)) grants[name] = await server.login(user.email);
            const file = await backUp(installation);

            expect(await server.api('DELETE', `/v1/sessions/revoke-user/${users.single.id}`, { token: power }), 200);
            await run(installation, 'revoke-sessions', '--users', users.mass.id, '--reason', 'leaked', '--yes');
            const second = expect(await refresh(server, grants.forward.refreshToken), 200);
            const third = expect(await refresh(server, second.refreshToken), 200);
            await run(installation, 'users', 'disable', users.disabled.email);
            expect(await server.api('DELETE', `/v1/users/${users.deleted.id}`, { token: power }), 204);
            expect(await server.api('POST', '/auth/password', { token: grants.password.accessToken, body: { currentPassword: password, newPassword: another } }), 204);
            const { secret } = await enrollFactor(server, grants.factor.accessToken);
            await run(installation, 'users', 'set-role', users.lowered.email, 'member');
            await run(installation, 'email', 'suppressions', 'add', 'gone@example.net', '--reason', 'bounce');
            // As a complaint does.
            const id = sqlId(installation, users.factor.id);
            await sql(installation, `UPDATE users SET email_status = 'unsubscribed' WHERE id = ${id}`);
            await sql(installation, `INSERT INTO preferences VALUES (${id}, 0, 0, 1)`);
            const late = await installation.addUser({ email: 'late@example.com' });
            await server.stop();
            const [last] = await sql(installation, 'SELECT seq FROM trail_head');

            const { carriedOver, restored } = await restore(installation, file);
            assert.equal(restored, true);
            const { accountsNew, accountsDisabled, accountsDeleted, rolesLowered, passwordsChanged, secondFactors, mailEnded, preferencesNew, suppressions } = carriedOver;
            assert.deepEqual({ accountsNew, accountsDisabled, accountsDeleted, rolesLowered, passwordsChanged, secondFactors, mailEnded, preferencesNew, suppressions },
                { accountsNew: 1, accountsDisabled: 1, accountsDeleted: 1, rolesLowered: 1, passwordsChanged: 1, secondFactors: 1, mailEnded: 1, preferencesNew: 1, suppressions: 1 });
            assert.deepEqual([carriedOver.trail, carriedOver.trailTo, carriedOver.trailBreaks], ['extended', Number(last), 0]);
            assert.match(await run(installation, 'trail', 'verify'), /intact/i);

            server = await installation.start();
            for (const name of ['single', 'mass', 'disabled', 'deleted', 'lowered']) {
                const answer = await refresh(server, grants[name].refreshToken);
                if (name !== 'lowered') assert.equal(answer.status, 401, name);
                else expect(answer, 200);
            }
            for (const name of ['single', 'mass']) expect(await server.api('GET', '/auth/me', { token: grants[name].accessToken }), 401, 'token_revoked');
            for (const gone of [users.disabled, users.deleted, late]) expect(await logIn(server, gone), 401);
            expect(await logIn(server, users.password), 401, 'invalid_credentials');
            expect(await logIn(server, users.password, another), 200);
            await passHalfMinute(installation, users.factor.id);
            expect(await logIn(server, users.factor, password, { totp: totp(secret) }), 200);
            const me = expect(await server.api('GET', '/auth/me', { token: grants.lowered.accessToken }), 200);
            assert.equal(me.role, 'member');
            // What goes on, goes on; a token that was used up stays so.
            expect(await refresh(server, third.refreshToken), 200);
            expect(await refresh(server, grants.forward.refreshToken), 401);
            assert.deepEqual(await sql(installation, "SELECT reason FROM suppressions WHERE address = 'gone@example.net'"), ['bounce']);
            assert.deepEqual(await sql(installation, `SELECT email_security, email_product FROM preferences WHERE user_id = ${id}`), ['0|0']);
            await server.stop();
            assert.match(await run(installation, 'trail', 'verify'), /intact/i);
        });
    });
});

test('servers that run meanwhile go on, and a revocation after it reaches them', { skip: !postgresql }, async () => {
    await withOne(postgresql, async (installation) => {
        const users = [await installation.addUser(), await installation.addUser({ role: 'operator' })];
        const server = await installation.start({ expectErrors: [/database|connection|unavailable|feed/] }), me = (token) => server.api('GET', '/auth/me', { token });
        const tokens = [];
        for (const user of users) tokens.push((await server.login(user.email)).accessToken);
        const file = await backUp(installation);
        expect(await server.api('DELETE', `/v1/sessions/revoke-user/${users[0].id}`, { token: tokens[1] }), 200);
        await restore(installation, file);
        await waitFor('the node to serve', async () => (await me(tokens[1])).status === 200);
        expect(await me(tokens[0]), 401, 'token_revoked');
        await run(installation, 'revoke-sessions', '--users', users[1].id, '--reason', 'test', '--yes');
        await waitFor('the end of a session', async () => (await me(tokens[1])).status === 401, { timeout: 5000 });
    });
});

test('a restore whose live database has lost the tables says so, and takes an export', { skip: !postgresql }, async () => {
    await withOne(postgresql, async (installation) => {
        const users = {}, grants = {};
        for (const name of ['disabled', 'password']) users[name] = await installation.addUser({ email: `${name}@example.com` });
        let server = await installation.start();
        for (const [name, user] of Object.entries(users)) grants[name] = await server.login(user.email);
        const file = await backUp(installation);
        await run(installation, 'users', 'disable', users.disabled.email);
        expect(await server.api('POST', '/auth/password', { token: grants.password.accessToken, body: { currentPassword: password, newPassword: another } }), 204);
        await run(installation, 'email', 'suppressions', 'add', 'gone@example.net', '--reason', 'complaint');
        await server.stop();
        await writeFile(path.join(installation.dir, 'trail.jsonl'), await run(installation, 'trail', 'export'));
        await sql(installation, 'DROP TABLE families CASCADE');

        const { code, stderr } = await installation.cli(['backup', 'restore', '--yes', '--accept-data-loss', file]);
        assert.equal(code, 1, stderr); // before the fence
        assert.match(stderr, /not restored: .*the live database has not: what was revoked since cannot be carried over/);
        assert.deepEqual(await sql(installation, "SELECT count(*) FROM pg_tables WHERE tablename = 'families'"), ['0']);
        const { carriedOver } = await restore(installation, file, '--trail-export', 'trail.jsonl');
        assert.deepEqual([carriedOver.fromExport, carriedOver.trail, carriedOver.accountsRestricted, carriedOver.allEnded, carriedOver.suppressions], [true, 'unknown', 2, 2, 1]);
        const { code: verified, stdout } = await installation.cli(['trail', 'verify']);
        assert.deepEqual([verified, /TAMPERED/.test(stdout)], [1, true], 'records that the checkpoints have are missing');
        server = await installation.start({ expectErrors: [/does not follow the checkpoint/] });
        for (const name of Object.keys(users)) expect(await refresh(server, grants[name].refreshToken), 401);
        expect(await logIn(server, users.disabled), 401);
        expect(await logIn(server, users.password), 401);
        assert.deepEqual(await sql(installation, "SELECT reason FROM suppressions WHERE address = 'gone@example.net'"), ['complaint']);
    });
});

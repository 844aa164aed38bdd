/* revoke-sessions: the list of a bad morning. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdir, readFile, stat, symlink, writeFile, mkdir } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { binary, forEachStore, waitFor, withInstallation } from './harness.mjs';
import { expect, nobody, small, sql, startCommand } from './support.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');

async function withUsers(store, count, use) {
    await withInstallation({ store, env: small }, async (installation) => {
        const users = [];
        for (let i = 0; i < count; i++) users.push(await installation.addUser());
        const server = await installation.start();
        for (const user of users) user.grant = await server.login(user.email);
        const revoke = (args, options) => installation.cli(['revoke-sessions', ...args], options);
        const alive = async () => {
            const states = [];
            for (const { grant } of users)
                states.push((await server.api('POST', '/auth/refresh', { body: { refreshToken: grant.refreshToken } })).status === 200);
            return states;
        };
        await use({ installation, server, users, revoke, alive });
    });
}

async function reports(installation) {
    const names = (await readdir(path.join(installation.dir, 'logs')).catch(() => [])).filter((name) => name.startsWith('mass-revoke-'));
    return names.sort().map((name) => path.join(installation.dir, 'logs', name));
}

/* Changes anywhere that a dry run must not make. */
const fingerprint = (installation) => sql(installation,
    'SELECT (SELECT count(*) FROM notifications), (SELECT count(*) FROM feed), (SELECT count(*) FROM trail), '
    + '(SELECT count(*) FROM families WHERE revoked_at IS NOT NULL), (SELECT count(*) FROM epochs)');

forEachStore((store) => {
    test('a file as people make them: counted, then done, then on paper', async () => {
        await withUsers(store, 4, async ({ installation, server, users, revoke, alive }) => {
            const [a, b, c] = users;
            await server.login(a.email);
            const lines = [
                '\ufeff# taken on Monday', a.id, '', `  ${b.email.toUpperCase()}  # by address`, a.id, a.email, nobody,
                'nobody@example.com', 'not a user', `\t${c.id}\t`, '#', 'x'.repeat(5000),
            ];
            await writeFile(path.join(installation.dir, 'users.txt'), lines.join('\r\n'));
            const before = await fingerprint(installation);
            const dry = await revoke(['--file', 'users.txt', '--dry-run', '--json']);
            assert.equal(dry.code, 0, dry.stderr);
            assert.deepEqual(await fingerprint(installation), before, 'a dry run changes nothing');
            assert.deepEqual(await reports(installation), []);
            const predicted = JSON.parse(dry.stdout);
            assert.equal(predicted.matched, 3);
            assert.equal(predicted.duplicates, 2);
            assert.equal(predicted.unknown, 4);
            assert.equal(predicted.revokedSessions, 4);
            assert.equal(predicted.usersWithSessions, 3);
            assert.equal(predicted.dryRun, true);
            assert.deepEqual(predicted.unknownUsers.map((text) => text.slice(0, 20)), [nobody.slice(0, 20), 'nobody@example.com', 'not a user', 'x'.repeat(20)]);

            const done = await revoke(['--file', 'users.txt', '--reason', 'stolen laptop', '--yes', '--json']);
            assert.equal(done.code, 0, done.stderr);
            const { report: written, ...result } = JSON.parse(done.stdout);
            assert.deepEqual(result, { ...predicted, dryRun: false }, 'exactly as predicted');
            assert.deepEqual(await alive(), [false, false, false, true]);

            const [file] = await reports(installation);
            assert.equal(path.resolve(installation.dir, written), file);
            assert.match(path.basename(file), /^mass-revoke-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d{3}Z\.json$/);
            assert.equal((await stat(file)).mode & 0o777, 0o600);
            const report = JSON.parse(await readFile(file, 'utf8'));
            assert.equal(report.reason, 'stolen laptop');
            assert.equal(report.completed, true);
            assert.match(report.by, /^cli:/);
            assert.ok(report.startedAt <= report.finishedAt);
            assert.equal(report.revokedSessions, 4);
            assert.deepEqual(report.users.map(({ user, result: r, revokedSessions }) => [user.slice(0, 36), r, revokedSessions]), [
                [a.id, 'revoked', 2], [b.email.toUpperCase(), 'revoked', 1], [a.id, 'duplicate', 0], [a.email, 'duplicate', 0],
                [nobody, 'unknown', 0], ['nobody@example.com', 'unknown', 0], ['not a user', 'malformed', 0], [c.id, 'revoked', 1],
                ['x'.repeat(36), 'malformed', 0],
            ]);

            const { accessToken } = await server.login(a.email);
            const notices = expect(await server.api('GET', '/v1/notifications', { token: accessToken }), 200).items;
            const told = notices.filter(({ kind }) => kind === 'sessions_revoked');
            assert.equal(told.length, 1, 'told once, however often listed');
            assert.match(told[0].body, /stolen laptop/);

            const again = JSON.parse((await revoke(['--users', `${b.id},${c.email}`, '--reason', 'again', '--yes', '--json'])).stdout);
            assert.equal(again.revokedSessions, 0);
            assert.deepEqual(await sql(installation, "SELECT count(*) FROM notifications WHERE kind = 'sessions_revoked'"), ['3']);
            assert.equal((await reports(installation)).length, 2);
        });
    });

    test('nothing happens without a reason, a user, and a yes', async () => {
        await withUsers(store, 1, async ({ installation, users: [user], revoke, alive }) => {
            await writeFile(path.join(installation.dir, 'empty.txt'), '# nobody\n\n');
            await writeFile(path.join(installation.dir, 'zero.txt'), '');
            const before = await fingerprint(installation);
            const one = ['--users', user.id, '--reason', 'x'];
            const cases = [
                [2, /--reason is needed/, ['--users', user.id, '--yes']],
                [2, /--reason/, ['--users', user.id, '--reason', '', '--yes']],
                [2, /1 to 200/, ['--users', user.id, '--reason', 'x'.repeat(201), '--yes']],
                [2, /--users or --file/, ['--reason', 'x', '--yes']],
                [2, /no user is named/, ['--users', ' , ,', '--reason', 'x', '--yes']],
                [2, /no user is named/, ['--file', 'empty.txt', '--reason', 'x', '--yes']],
                [2, /no user is named/, ['--file', 'zero.txt', '--reason', 'x', '--yes']],
                [2, /cannot read/, ['--file', 'absent.txt', '--reason', 'x', '--yes']],
                [2, /no file/, ['--file', '.', '--reason', 'x', '--yes']],
                [1, /nothing was changed/, one, 'n\n'],
                [1, /nothing was changed/, one, ''],
                [1, /nothing was changed/, one, '\n'],
                [1, /no user of the list is in the database/, ['--users', 'nobody@example.com', '--reason', 'x', '--dry-run']],
            ];
            for (const [code, said, args, input = ''] of cases) {
                const result = await revoke(args, { input });
                assert.equal(result.code, code, `${args.join(' ')}: ${result.stderr}`);
                assert.match(result.stderr, said);
            }
            assert.deepEqual(await fingerprint(installation), before);
            assert.deepEqual(await reports(installation), []);

            const yes = await revoke(one, { input: 'y\n' });
            assert.equal(yes.code, 0, yes.stderr);
            assert.match(yes.stderr, /End 1 session of 1 user/);
            assert.doesNotMatch(yes.stderr, /\r\[/, 'no progress bar without a terminal');
            assert.deepEqual(await alive(), [false]);
        });
    });

    test('a session that begins while the question stands is ended too, and at once', async () => {
        await withUsers(store, 1, async ({ installation, server, users: [user] }) => {
            const run = startCommand(installation, ['revoke-sessions', '--users', user.id, '--reason', 'late']);
            await waitFor('the question', () => run.stderr.includes('[y/N]'));
            const late = await server.login(user.email);
            expect(await server.api('GET', '/auth/me', { token: late.accessToken }), 200);
            run.child.stdin.end('y\n');
            const { code, stderr } = await run.ended;
            assert.equal(code, 0, stderr);
            const ended = await waitFor('the access token to die', async () => {
                const answer = await server.api('GET', '/auth/me', { token: late.accessToken });
                return answer.status === 401 && answer;
            }, { timeout: 1000 });
            assert.equal(ended.body.code, 'token_revoked');
            expect(await server.api('POST', '/auth/refresh', { body: { refreshToken: late.refreshToken } }), 401, 'token_revoked');
        });
    });

    test('the npm script of the checklist does the same', async () => {
        await withUsers(store, 1, async ({ installation, users: [user], alive }) => {
            // The script names the binary from the repository; its files go where the settings say.
            await mkdir(path.join(installation.dir, 'build'));
            await symlink(binary, path.join(installation.dir, 'build/holdfast'));
            // As npm runs it, which the tests do not need otherwise.
            const { scripts } = JSON.parse(await readFile(path.join(root, 'package.json'), 'utf8'));
            const npm = (...args) => promisify(execFile)('sh', ['-c', `${scripts['revoke:sessions']} "$@"`, 'sh', ...args],
                { cwd: installation.dir, env: installation.env });
            const dry = JSON.parse((await npm('--users', user.id, '--dry-run', '--json')).stdout);
            assert.equal(dry.revokedSessions, 1);
            assert.deepEqual(await alive(), [true]);
            const done = JSON.parse((await npm('--users', user.id, '--reason', 'by the checklist', '--yes', '--json')).stdout);
            assert.equal(done.revokedSessions, 1);
        });
    });

    test('on a terminal it shows how far it is', async () => {
        await withUsers(store, 1, async ({ installation, users: [user] }) => {
            const command = `${binary} revoke-sessions --users ${user.id} --reason x --yes`;
            const run = startCommand(installation, ['-qec', command, '/dev/null'], { command: ['script'] });
            const { code, stdout } = await run.ended;
            assert.equal(code, 0, stdout);
            assert.match(stdout, /\r\[#{40}\] 1\/1/);
        });
    });
});

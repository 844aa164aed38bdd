/* The command line: accounts, and what it says to wrong usage. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { forEachStore, password, waitFor, withInstallation } from './harness.mjs';
import { expect, nobody, small } from './support.mjs';

forEachStore((store) => {
    test('accounts are added, listed, changed, by id and by address', async () => {
        await withInstallation({ store, env: small }, async (installation) => {
            const run = async (args, options) => {
                const result = await installation.cli(['users', ...args], options);
                assert.equal(result.code, 0, `users ${args.join(' ')}: ${result.stderr}`);
                return result;
            };
            const add = (email, ...more) => run(['add', '--email', email, '--role', 'admin', '--tenant', 'Acme', ...more]);

            const plain = await add('Plain@Example.com');
            const id = plain.stdout.trim();
            assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
            assert.match(plain.stderr, /Password \(shown this once\): \S{20,}\n/, 'beside the id, not in it');

            const made = JSON.parse((await add('json@example.com', '--json')).stdout);
            assert.deepEqual(Object.keys(made), ['id', 'email', 'role', 'tenantId', 'password']);
            const given = JSON.parse((await run(
                ['add', '-e', 'given@example.com', '-r', 'member', '-t', made.tenantId, '-j', '--password-stdin'], { input: `${password}\r\n` })).stdout);
            assert.deepEqual(Object.keys(given), ['id', 'email', 'role', 'tenantId']);
            assert.equal(given.tenantId, made.tenantId, 'a tenant is named by its id too');

            const list = async () => (await run(['list', '--json'])).stdout.trim().split('\n').map((line) => JSON.parse(line));
            assert.deepEqual((await list()).map(({ email }) => email), ['plain@example.com', 'json@example.com', 'given@example.com']);
            assert.match((await run(['list'])).stdout, new RegExp(`^${id}  admin .*plain@example\\.com$`, 'm'));

            await run(['disable', 'GIVEN@example.com']);
            assert.equal((await list())[2].disabled, true);
            assert.equal(JSON.parse((await run(['enable', given.id, '--json'])).stdout).disabled, false);
            assert.match((await run(['set-role', given.id, 'operator'])).stdout, /given@example\.com: operator/);
            await run(['unlock', given.id]);

            const server = await installation.start();
            await server.login('given@example.com');
            expect(await server.api('GET', '/v1/users', { token: (await server.login('json@example.com', made.password)).accessToken }), 200);
            const reset = JSON.parse((await run(['reset-password', given.id, '--json'])).stdout);
            const grant = await server.login('given@example.com', reset.password);
            assert.equal(grant.user.passwordChangeRequired, true);
            const verified = await installation.cli(['trail', 'verify']);
            assert.equal(verified.code, 0, verified.stderr);
        });
    });

    test('a locked account is unlocked', async () => {
        await withInstallation({ store, env: { ...small, LOGIN_LOCK_AFTER: '3' } }, async (installation) => {
            const { email, id } = await installation.addUser();
            const server = await installation.start();
            for (let i = 0; i < 3; i++)
                expect(await server.api('POST', '/auth/login', { body: { email, password: 'wrong password' } }), 401, 'invalid_credentials');
            expect(await server.api('POST', '/auth/login', { body: { email, password } }), 401, 'invalid_credentials');
            await waitFor('the lock', async () => / locked /.test((await installation.cli(['users', 'list'])).stdout));
            assert.equal((await installation.cli(['users', 'unlock', id])).code, 0);
            const signIn = () => server.api('POST', '/auth/login', { body: { email, password } });
            await waitFor('the running server to follow', async () => (await signIn()).status === 200, { timeout: 1000 });
        });
    });

    test('what fails says so, with 1 for the matter and 2 for the usage', async () => {
        await withInstallation({ store, env: small }, async (installation) => {
            const operator = await installation.addUser({ role: 'operator' });
            const add = ['users', 'add', '--email', 'a@example.com', '--role', 'member'];
            const cases = [
                [1, /account with this address/, ['users', 'add', '--email', operator.email, '--role', 'member']],
                [1, /no such user/, ['users', 'disable', nobody]],
                [1, /no user x@example.com/, ['users', 'disable', 'x@example.com']],
                [1, /one enabled operator/, ['users', 'disable', operator.id]],
                [1, /one enabled operator/, ['users', 'set-role', operator.email, 'member']],
                [2, /--email and --role/, ['users', 'add']],
                [2, /--email and --role/, ['users', 'add', '--email', 'a@example.com']],
                [2, /not a mail address/, ['users', 'add', '--email', 'a', '--role', 'member']],
                [2, /none of member, admin, operator/, ['users', 'add', '--email', 'a@example.com', '--role', 'root']],
                [2, /none of member, admin, operator/, ['users', 'set-role', operator.id, 'root']],
                [2, /tenant's name/, [...add, '--tenant', '']],
                [2, /fewer than 8/, [...add, '--password-stdin'], 'short\n'],
                [2, /commonest/, [...add, '--password-stdin'], 'password1\n'],
                [2, /more than 128|too long/, [...add, '--password-stdin'], 'x'.repeat(2000)],
                [2, /UTF-8/, [...add, '--password-stdin'], Buffer.from('ff'.repeat(12), 'hex')],
                [2, /fewer than 8/, [...add, '--password-stdin'], ''],
                [2, /neither an id nor an address/, ['users', 'disable', 'x']],
                [2, /missing/, ['users', 'disable']],
                [2, /missing/, ['users', 'set-role', operator.id]],
                [2, /one argument too many/, ['users', 'disable', operator.id, operator.id]],
                [2, /no such option: --force/, ['users', 'disable', operator.id, '--force']],
                [2, /value is missing/, ['users', 'add', '--email']],
                [2, /no verb remove/, ['users', 'remove']],
                [2, /Usage/, ['users']],
                [2, /no command sing/, ['sing']],
                [2, /Usage/, []],
            ];
            for (const [code, said, args, input = ''] of cases) {
                const result = await installation.cli(args, { input });
                assert.equal(result.code, code, `${args.join(' ')}: ${result.stderr}`);
                assert.match(result.stderr + result.stdout, said, args.join(' '));
            }
            const { stdout } = await installation.cli(['users', 'list', '--json']);
            assert.deepEqual(stdout.trim().split('\n').map((line) => JSON.parse(line).email), [operator.email], 'nothing was changed');
        });
    });
});

test('every command has a page of help, and --version tells the version', async () => {
    await withInstallation({}, async (installation) => {
        const overview = await installation.cli(['--help']);
        assert.equal(overview.code, 0);
        const commands = [...overview.stdout.matchAll(/^ {2}(\S+(?: \S+)?) {2,}\S/gm)].map((match) => match[1].split(' '));
        assert.ok(commands.length >= 11, overview.stdout);
        for (const words of commands) {
            const { code, stdout } = await installation.cli([...words, '--help']);
            assert.equal(code, 0, words.join(' '));
            assert.match(stdout, new RegExp(`^Usage: holdfast ${words.join(' ')}`));
            assert.match(stdout, /--help/);
        }
        assert.match((await installation.cli(['--version'])).stdout, /^holdfast \d+\.\d+\.\d+\n$/);
    });
});

test('a database out of reach is told apart: 3', async () => {
    await withInstallation({}, async (installation) => {
        const env = { DATABASE_URL: 'postgresql://holdfast@127.0.0.1:1/none' };
        for (const args of [['users', 'list'], ['trail', 'verify'], ['revoke-sessions', '--users', nobody, '--dry-run']]) {
            const { code, stderr } = await installation.cli(args, { env });
            assert.equal(code, 3, `${args.join(' ')}: ${stderr}`);
            assert.ok(stderr.length > 20);
        }
    });
});

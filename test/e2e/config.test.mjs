/* Settings: where they come from, what is refused, what changes while it runs. */
import assert from 'node:assert/strict';
import { readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';

import { forEachStore, waitFor, withInstallation } from './harness.mjs';
import { expect, small, sql } from './support.mjs';

const good = { HOLDFAST_ENV: 'production', JWT_SECRET: '0123456789abcdef'.repeat(8), ENCRYPTION_KEY: 'fedcba9876543210'.repeat(4) };
const serve = (installation, env, ...args) => installation.cli(['serve', ...args], { env });

/* Each line that the start names, after the first. */
function reasons({ stderr }) {
    return stderr.trim().split('\n').slice(1);
}

test('production refuses to start insecurely, and lists every reason at once', async () => {
    await withInstallation({}, async (installation) => {
        const result = await serve(installation, {
            HOLDFAST_ENV: 'production', DATABASE_URL: 'postgresql://app@db.example/app', JWT_SECRET: 'secret',
            FRONTEND_URL: '*', ADMIN_ROLE_REQUIRED: 'false', METRICS_TOKEN: 'short', OAUTH_CLIENT_ID: 'gateway',
            JWT_RETIRED_SECRETS: 'old', PORT: '99999', HOLDFAST_TYPO: '1', TRUSTED_PROXIES: '10.0.0.0/99',
        });
        assert.equal(result.code, 2);
        const said = reasons(result);
        for (const key of ['DATABASE_URL', 'JWT_SECRET', 'ENCRYPTION_KEY', 'FRONTEND_URL', 'ADMIN_ROLE_REQUIRED', 'METRICS_TOKEN',
            'OAUTH_CLIENT_SECRET', 'JWT_RETIRED_SECRETS', 'PORT', 'HOLDFAST_TYPO', 'TRUSTED_PROXIES'])
            assert.equal(said.filter((line) => line.startsWith(`${key}: `)).length, 1, `${key} in\n${result.stderr}`);
        assert.equal(said.length, 11, result.stderr);
        assert.doesNotMatch(result.stderr, /"secret"|"short"/, 'no secret is shown');
    });
});

test('each single reason stops a production start', async () => {
    await withInstallation({}, async (installation) => {
        const cases = [
            [{ JWT_SECRET: undefined }, /JWT_SECRET: is not set/],
            [{ JWT_SECRET: 'a'.repeat(128) }, /JWT_SECRET: is not random/],
            [{ JWT_SECRET: 'g'.repeat(128) }, /JWT_SECRET: is not 128/],
            [{ JWT_SECRET: '0123456789abcdef'.repeat(8) + '0' }, /JWT_SECRET: is not 128/],
            [{ ENCRYPTION_KEY: '0'.repeat(64) }, /ENCRYPTION_KEY: is not random/],
            [{ DATABASE_URL: 'postgresql://app@db.example/app?sslmode=require' }, /DATABASE_URL: .*verif/],
            [{ DATABASE_URL: 'mysql://x' }, /DATABASE_URL: begins with neither/],
            [{ FRONTEND_URL: 'https://*.example.com' }, /FRONTEND_URL: a wildcard/],
            [{ FRONTEND_URL: 'https://app.example.com/path' }, /FRONTEND_URL: .*not an origin/],
            [{ ADMIN_ROLE_REQUIRED: 'false' }, /ADMIN_ROLE_REQUIRED/],
            [{ HOLDFAST_ENV: 'prod' }, /HOLDFAST_ENV: "prod" is none of/],
        ];
        for (const [env, said] of cases) {
            const result = await serve(installation, { ...good, ...env });
            assert.equal(result.code, 2, `${JSON.stringify(env)}: ${result.stderr}`);
            assert.equal(reasons(result).length, 1, result.stderr);
            assert.match(result.stderr, said);
        }
    });
});

test('numbers, switches and choices have bounds', async () => {
    await withInstallation({}, async (installation) => {
        for (const [key, value] of [['PORT', '-1'], ['PORT', '65536'], ['PORT', '0x50'], ['PORT', ' 80'], ['PORT', ''], ['LOGIN_ATTEMPTS_PER_MINUTE', '0'],
            ['REFRESH_GRACE_SECONDS', '301'], ['ACCESS_TOKEN_TTL_SECONDS', '4'], ['REGISTRATION_ENABLED', 'yes'],
            ['JWT_ALGORITHM', 'none'], ['LOG_LEVEL', 'loud'], ['HOLDFAST_', '1'], ['DATABASE_POOL_SIZE', '513']]) {
            const result = await serve(installation, { [key]: value });
            assert.equal(result.code, 2, `${key}=${value}: ${result.stderr}`);
            assert.match(result.stderr, new RegExp(`^${key}: `, 'm'));
        }
        const port = await serve(installation, {}, '--port', '65536');
        assert.equal(port.code, 2);
        assert.match(port.stderr, /--port/);
    });
});

test('development makes its secrets once, for its owner alone', async () => {
    await withInstallation({}, async (installation) => {
        const server = await installation.start();
        const file = path.join(installation.dir, 'data/secrets.env');
        assert.equal((await stat(file)).mode & 0o777, 0o600);
        const made = await readFile(file, 'utf8');
        assert.match(made, /^JWT_SECRET=[0-9a-f]{128}$/m);
        assert.match(made, /^ENCRYPTION_KEY=[0-9a-f]{64}$/m);
        assert.match(made, /^SES_WEBHOOK_SECRET=[0-9a-f]{64}$/m);
        const { email } = await installation.addUser();
        const { accessToken } = await server.login(email);
        await server.restart();
        assert.equal(await readFile(file, 'utf8'), made);
        expect(await server.api('GET', '/auth/me', { token: accessToken }), 200);
        for (const secret of made.match(/=([0-9a-f]+)$/gm)) assert.ok(!server.stderr.includes(secret.slice(1)));

        const together = await Promise.all([1, 2, 3, 4].map(() => installation.cli(['users', 'list'], { env: { DATA_DIR: 'fresh', DATABASE_URL: 'sqlite:fresh/x.db' } })));
        assert.deepEqual(together.map(({ code }) => code), [0, 0, 0, 0], 'of several first starts all agree on the secrets');
    });
});

test('.env is read in development, --config anywhere, the environment wins', async () => {
    await withInstallation({}, async (installation) => {
        const at = (name) => path.join(installation.dir, name);
        await writeFile(at('.env'), '# local\nexport SECURITY_CONTACT="mailto:env@example.com"\nFRONTEND_URL=http://localhost:8080\n');
        const server = await installation.start();
        const contact = async () => (await server.api('GET', '/.well-known/security.txt')).body;
        assert.match(await contact(), /env@example\.com/);
        await server.stop();

        await writeFile(at('settings'), "SECURITY_CONTACT='file@example.com'\nLOG_LEVEL=warn\n");
        server.args = ['--config', 'settings'];
        await server.restart();
        assert.match(await contact(), /mailto:file@example\.com/, 'in place of .env');
        await server.restart({ env: { SECURITY_CONTACT: 'environment@example.com' } });
        assert.match(await contact(), /environment@example\.com/);

        assert.match((await serve(installation, {}, '--config', 'absent')).stderr, /there is no file absent/);
        await writeFile(at('broken'), 'PORT=3000\nthis is no assignment\nHOLDFAST_X=1\nPORT=many\n');
        const broken = await serve(installation, { PORT: undefined }, '--config', 'broken');
        assert.equal(broken.code, 2);
        for (const said of [/broken.*2|line 2/, /HOLDFAST_X/, /PORT: "many"/]) assert.match(broken.stderr, said);

        await writeFile(at('.env'), 'HOLDFAST_X=1\n');
        assert.equal((await installation.cli(['users', 'list'], { env: { ...good } })).code, 0, 'production does not read .env');
        assert.equal((await installation.cli(['users', 'list'])).code, 2);
        await rm(at('.env'));
    });
});

test('SIGHUP takes over what can change, names what needs a restart, and keeps what is right', async () => {
    await withInstallation({}, async (installation) => {
        const file = path.join(installation.dir, 'settings');
        const write = async (text) => {
            await writeFile(`${file}.new`, text);
            await rename(`${file}.new`, file);
        };
        await write('FRONTEND_URL=https://old.example.com\n');
        const admin = await installation.addUser({ role: 'operator' });
        const server = await installation.start({ args: ['--config', 'settings'] });
        const { accessToken: token } = await server.login(admin.email);
        const allowed = async (origin) =>
            (await server.api('GET', '/health', { headers: { origin } })).headers['access-control-allow-origin'] === origin;
        const reload = async (text, event) => {
            await write(text);
            const from = server.lines.length;
            server.child.kill('SIGHUP');
            await waitFor(String(event), () => server.lines.slice(from).some((line) => event.test(JSON.stringify(line))));
            return server.lines.slice(from).map((line) => JSON.stringify(line)).join('\n');
        };
        assert.equal(await allowed('https://old.example.com'), true);
        assert.equal(await allowed('https://new.example.com'), false);

        const said = await reload('FRONTEND_URL=https://new.example.com\nMAX_BODY_BYTES=2048\n', /reloaded, 1 settings changed/);
        assert.match(said, /MAX_BODY_BYTES: the change needs a restart/);
        assert.equal(await allowed('https://old.example.com'), false);
        assert.equal(await allowed('https://new.example.com'), true);

        await reload('FRONTEND_URL=*\nHOLDFAST_X=1\n', /was not reloaded/);
        assert.equal(await allowed('https://new.example.com'), true, 'a wrong file changes nothing');
        await reload('FRONTEND_URL=https://new.example.com\nSESSION_REVOCATION_ENABLED=false\n', /reloaded, 1 settings changed/);
        expect(await server.api('DELETE', `/v1/sessions/revoke-user/${admin.id}`, { token }), 403, 'revocation_disabled');
        const records = expect(await server.api('GET', '/v1/audit-log?action=config.reload', { token }), 200).items;
        assert.equal(records.length, 2, 'each change of settings is on record');
    });
});

forEachStore((store) => {
    test('a schema newer than the binary is refused, unchanged', async () => {
        await withInstallation({ store, env: small }, async (installation) => {
            await installation.addUser();
            await sql(installation, "INSERT INTO schema_migrations SELECT version + 1000, 'of the future', checksum, applied_at FROM schema_migrations");
            const before = await sql(installation, 'SELECT count(*) FROM trail');
            for (const args of [['serve'], ['users', 'list'], ['trail', 'verify']]) {
                const { code, stderr } = await installation.cli(args);
                assert.equal(code, 2, `${args.join(' ')}: ${stderr}`);
                assert.match(stderr, /newer version/);
            }
            assert.deepEqual(await sql(installation, 'SELECT count(*) FROM trail'), before);
        });
    });

    test('several servers that start on an empty database agree', async () => {
        await withInstallation({ store, env: small }, async (installation) => {
            const servers = await Promise.all([1, 2, 3].map(() => installation.start()));
            const told = servers.filter(({ stdout }) => /One-time password/.test(stdout));
            assert.equal(told.length, 1, 'one operator, one password');
            const { stdout } = await installation.cli(['users', 'list']);
            assert.equal(stdout.trim().split('\n').length, 1, stdout);
            const [, secret] = /One-time password:\s+(\S+)/.exec(told[0].stdout);
            for (const server of servers) await server.login('operator@localhost', secret);
        });
    });
});

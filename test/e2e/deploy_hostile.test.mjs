/*
 * Deployments of the unlucky, and by the hostile: what people and other programs do between their
 * steps, and what they leave where a deployment looks.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, test } from 'node:test';

import { binary } from './harness.mjs';
import { exit, postgresql, says, Shop } from './shop.mjs';

const adds = ['20240201000000_age', 'ALTER TABLE "User" ADD age int;\n'];
const drops = ['20240301000000_drop', 'ALTER TABLE "User" DROP email;\n'];
const without = { migrations: false };

const database = (shop) => new URL(shop.url).pathname.slice(1);

/* By a shell, for what spawn cannot give: streams that are closed, bytes that are no text. */
const shell = (shop, command) => spawnSync('bash', ['-c', command, binary], { cwd: shop.dir, env: shop.installation.env, encoding: 'utf8' });

/* A deployment that is killed when it says something. */
async function killedAt(shop, pattern, release, ...args) {
    const run = shop.start(release, args);
    await says(run, pattern);
    run.child.kill('SIGKILL');
    await run.ended;
}

describe('a hostile place', { concurrency: 4 }, () => {
    test('standard streams that are closed leave the journal whole', () => Shop.with(async (shop) => {
        const { status } = shell(shop, '"$0" deploy --env prod --release v1 <&- >&- 2>&-');
        assert.equal(status, exit.done);
        const { journal } = (await shop.deployments()).at(-1);
        assert.equal(journal.at(-1).data.result, 'done');
        assert.equal(await shop.serving(), 'v1');
    }, without));

    test('a release is text of one line', () => Shop.with(async (shop) => {
        for (const release of ["$'a\\nb'", "$'\\e[31mred'", "$'\\xff\\xfe'", 'x'.repeat(256)]) {
            const { status, stderr } = shell(shop, `"$0" deploy --env prod --release ${release}`);
            assert.equal(status, exit.usage, stderr);
            assert.match(stderr, /--release: (has a control|is no UTF-8|is longer)/);
        }
        assert.ok(!existsSync(path.join(shop.dir, 'logs/deployments')));
        for (const release of ['$(touch pwned)', '; touch pwned', '../../etc', '%s%n', 'x'.repeat(255)]) {
            await shop.deploy(release);
            assert.equal(await shop.serving(), release);
        }
        assert.ok(!existsSync(path.join(shop.dir, 'pwned')));
    }, without));

    test('a journal that cannot be read is named, and stops nobody', () => Shop.with(async (shop) => {
        await shop.deploy('v1');
        const [{ directory }] = await shop.deployments();
        const text = await readFile(path.join(directory, 'journal.jsonl'));
        const flipped = Buffer.from(text);
        flipped[flipped.length >> 1] ^= 0xff;
        const left = path.join(shop.dir, 'logs/deployments/0193a5b0-0000-7000-8000-000000000001');
        const journal = path.join(left, 'journal.jsonl');
        for (const make of [() => writeFile(journal, 'garbage\n'), () => writeFile(journal, flipped), () => mkdir(journal),
            () => execFileSync('mkfifo', [journal]), async () => { await writeFile(journal, ''); await truncate(journal, 100 << 20); }]) {
            await mkdir(left);
            await make();
            const { stderr } = await shop.deploy('v2');
            assert.match(stderr, /warning: .*0193a5b0-0000-7000-8000-000000000001\/journal\.jsonl cannot be read/);
            await rm(left, { recursive: true });
        }
        await mkdir(left);
        assert.doesNotMatch((await shop.deploy('v3')).stderr, /warning/);
    }, without));

    test('--to means one deployment, or none', () => Shop.with(async (shop) => {
        for (const release of ['v1', 'v2']) await shop.deploy(release);
        const { id } = (await shop.deployments()).at(-1);
        assert.match((await shop.rollback(exit.usage, '--to', '')).stderr, /has the id ""/);
        assert.match((await shop.rollback(exit.usage, '--to', id.slice(0, 4))).stderr, /2 deployments of prod/);
        assert.match((await shop.rollback(exit.usage, '--to', id)).stderr, /nothing is newer/);
        assert.equal(await shop.serving(), 'v2');
    }, without));

    test('the first release is none to go back from', () => Shop.with(async (shop) => {
        for (const release of ['v1', 'v2']) await shop.deploy(release);
        await shop.rollback();
        assert.match((await shop.rollback(exit.failed)).stderr, /of v1 nothing served: it stays/);
        assert.equal(await shop.serving(), 'v1');
        await shop.deploy('v3');
    }, without));

    test('an interrupt while a dead one is seen to begins no other', () => Shop.with(async (shop) => {
        await shop.deploy('v1');
        await shop.configure((e) => (e.health.successes = 40));
        await killedAt(shop, /accepts connections/, 'stubborn-2');
        const run = shop.start('v3');
        await says(run, /left unfinished/);
        run.child.kill('SIGINT');
        const { code, stderr } = await run.ended;
        assert.equal(code, exit.failed, stderr);
        assert.match(stderr, /nothing else was begun/);
        assert.equal(await shop.serving(), 'v1');
        assert.equal((await shop.deployments()).length, 2);
    }, { ...without, target: { stop_timeout: '3s' } }));

    test('a URL that is none is told without its password', { skip: !postgresql }, () => Shop.with(async (shop) => {
        for (const url of ['postgresql://u:Pa55word@[::/x', 'postgresql://u:Pa55word%zz@h/x', 'postgresql://u:Pa55word@h/x?y']) {
            await shop.configure((e) => (e.database = { url }));
            const { stdout, stderr } = await shop.installation.cli(['deploy', '--env', 'prod', '--release', 'v1']);
            assert.match(stderr, /URL/);
            assert.doesNotMatch(stdout + stderr, /Pa55/);
        }
    }, without));
});

describe('a hostile database', { skip: !postgresql && 'HOLDFAST_TEST_POSTGRES is not set', concurrency: 4 }, () => {
    test('what is written after a person has lifted the fence is not lost', () => Shop.with(async (shop) => {
        await shop.deploy('v1');
        await shop.migration(...drops);
        await killedAt(shop, /Wait until it is well/, 'deaf-2', '--yes');
        await assert.rejects(shop.sql('INSERT INTO "User" DEFAULT VALUES'), /read-only/);
        execFileSync('psql', ['-X', '-q', '-d', shop.url, '-c', 'SET default_transaction_read_only = off', '-c', `ALTER DATABASE ${database(shop)} RESET default_transaction_read_only`]);
        await shop.sql('INSERT INTO "User" DEFAULT VALUES');
        const { stderr } = await shop.rollback(exit.incomplete);
        assert.match(stderr, /written since the backup: table public\."User": 1 rows, there were 0/);
        assert.deepEqual(await shop.sql('SELECT count(*) FROM "User"'), ['1']);
    }, { fence: true }));

    test('a role that a fence does not keep out is named before anything is done', () => Shop.with(async (shop) => {
        await shop.deploy('v1');
        await shop.sql(`ALTER ROLE holdfast IN DATABASE ${database(shop)} SET default_transaction_read_only = off`);
        await shop.migration(...drops);
        assert.match((await shop.deploy('v2', exit.rolledBack, '--yes')).stdout, /cannot be kept out: .*holdfast/);
        assert.deepEqual(await shop.columns(), ['id', 'email']);
    }, { fence: true }));

    test('a fence that could not be set needs no lifting', () => Shop.with(async (shop) => {
        const role = `weak_${database(shop)}`;
        await shop.deploy('v1');
        await shop.sql(`CREATE ROLE ${role} LOGIN; GRANT ALL ON SCHEMA public TO ${role}; GRANT ALL ON ALL TABLES IN SCHEMA public TO ${role}; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO ${role}`);
        try {
            await shop.configure((e) => (e.database.url = shop.url.replace('//holdfast@', `//${role}@`)));
            await shop.migration(...adds);
            assert.match((await shop.deploy('v2', exit.rolledBack)).stdout, /must be owner of database/);
            await shop.configure((e) => (e.database.url = shop.url));
            await shop.deploy('v2');
        } finally {
            await shop.sql(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
        }
    }, { fence: true }));

    test('a fence that a deployment from elsewhere left is told', () => Shop.with(async (shop) => {
        await shop.deploy('v1');
        await shop.migration(...adds);
        await killedAt(shop, /Wait until it is well/, 'deaf-2');
        await rename(path.join(shop.dir, 'logs'), path.join(shop.dir, 'logs.elsewhere'));
        assert.match((await shop.deploy('v3')).stderr, /warning: the database refuses writes/);
    }, { fence: true }));

    test('a migration that was changed after the check is not run', () => Shop.with(async (shop) => {
        await shop.deploy('v1');
        await shop.migration(...adds);
        const file = path.join('prisma/migrations', adds[0], 'migration.sql');
        await shop.configure((e) => (e.hooks = { before_migrations: [['sh', '-c', `printf 'ALTER TABLE "User" DROP email;' > ${file}`]] }));
        assert.match((await shop.deploy('v2', exit.rolledBack)).stdout, /age\/migration\.sql was changed since the check/);
        await shop.configure((e) => (e.hooks = { before_migrations: [['cp', '-r', `prisma/migrations/${adds[0]}`, 'prisma/migrations/20240202000000_new']] }));
        await shop.migration(...adds);
        assert.match((await shop.deploy('v2', exit.rolledBack)).stdout, /new\/migration\.sql has come since the check/);
        assert.deepEqual(await shop.columns(), ['id', 'email']);
        assert.equal(await shop.serving(), 'v1');
    }));

    test('the backup of a deployment that was rolled back may be thinned out', () => Shop.with(async (shop) => {
        await shop.deploy('v1');
        await shop.migration(...adds);
        await shop.deploy('ill-2', exit.rolledBack, '--health-check-timeout', '1');
        const backups = path.join(shop.dir, 'backups');
        const manifests = (await readdir(backups)).filter((name) => name.endsWith('.json'));
        assert.ok(manifests.length > 0);
        for (const name of manifests) assert.ok(!JSON.parse(await readFile(path.join(backups, name), 'utf8')).kept, name);
    }));

    test('the first interrupt is heard after a dead deployment was undone', () => Shop.with(async (shop) => {
        await shop.deploy('v1');
        await shop.migration(...adds);
        await killedAt(shop, /Wait until it is well/, 'deaf-2');
        const run = shop.start('deaf-3');
        await says(run, /left unfinished[^]*Wait until it is well/);
        run.child.kill('SIGINT');
        const { code, stdout } = await run.ended;
        assert.equal(code, exit.rolledBack);
        assert.match(stdout, /Why: interrupted/);
        assert.equal(await shop.serving(), 'v1');
    }));
});

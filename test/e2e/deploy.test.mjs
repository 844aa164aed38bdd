/*
 * A product is taken from release to release while people use it and write to it. Whatever goes
 * wrong, it serves, nothing acknowledged is lost, and what happened is told.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { describe, test } from 'node:test';

import { waitFor } from './harness.mjs';
import { exit, postgresql, says, Shop } from './shop.mjs';

const adds = ['20240201000000_age', 'ALTER TABLE "User" ADD age int;\n'];
const drops = ['20240301000000_drop', 'ALTER TABLE "User" DROP email;\n'];

/* A product whose release v1 serves, in use. */
async function inUse(use, options = {}) {
    await Shop.with(async (shop) => {
        await shop.deploy('v1');
        const clients = shop.clients(), writer = shop.url && shop.writer();
        if (writer) await waitFor('the first row', () => writer.acknowledged.length > 0);
        await use(shop, { clients, writer });
        await clients.stop();
        assert.deepEqual(clients.failed, [], 'no request failed');
        if (!writer) return;
        await writer.stop();
        await shop.keeps(writer);
    }, options);
}

describe('holdfast deploy', { skip: !postgresql && 'HOLDFAST_TEST_POSTGRES is not set', concurrency: 4 }, () => {
    test('takes a product to a release, migrations first, and tells of it', () => inUse(async (shop) => {
        await shop.installation.addUser({ email: 'ops@example.com', role: 'operator' });
        await shop.migration(...adds);
        const plan = await shop.deploy('v2', exit.done, '--plan');
        assert.match(plan.stdout, /removes backups past the 10 newest, and those older than 30 days/);
        assert.match(plan.stdout, /Nothing was done/);
        assert.deepEqual(await shop.columns(), ['id', 'email']);

        const { stderr, stdout } = await shop.deploy('v2');
        assert.match(stderr, /20240201000000_age: applied/);
        assert.match(stdout, /^prod: v1 -> v2, done after/m);
        assert.equal(await shop.serving(), 'v2');
        assert.deepEqual(await shop.columns(), ['id', 'email', 'age']);

        const report = await shop.report();
        assert.equal(report.result, 'done');
        const { directory, id } = (await shop.deployments()).at(-1);
        assert.match(await readFile(path.join(directory, 'report.html'), 'utf8'), /v2/);
        assert.match(await readFile(path.join(directory, '06-migrate.log'), 'utf8'), /applied in/);
        const listed = JSON.parse((await shop.installation.cli(['deployments', 'list', '--json'])).stdout);
        assert.deepEqual(listed.items.map(({ release, result }) => [release, result]), [['v2', 'done'], ['v1', 'done']]);
        const trail = (await shop.installation.cli(['trail', 'export'])).stdout;
        assert.match(trail, new RegExp(`deployment.start.*${id}|${id}.*deployment.start`));
        assert.match(trail, new RegExp(`deployment.done.*${id}|${id}.*deployment.done`));
    }));

    test('finds a bad migration on a copy of the database, before anything is changed', () => inUse(async (shop) => {
        await shop.migration('20240201000000_bad', 'ALTER TABLE "User" ADD age int;\nSELECT 1 / 0;\n');
        const { stdout } = await shop.deploy('v2', exit.failed);
        assert.match(stdout, /20240201000000_bad\/migration\.sql:2: division by zero \(22012\)/);
        assert.equal(await shop.serving(), 'v1');
        assert.deepEqual(await shop.columns(), ['id', 'email']);
        assert.deepEqual(await shop.sql('SELECT migration_name FROM _prisma_migrations'), ['20240101000000_init']);
    }));

    test('stops at a migration that gets no lock, and says who holds it', () => inUse(async (shop) => {
        await shop.configure((e) => (e.migrations = { lock_timeout: '1s', retries: 0 }));
        await shop.migration(...adds);
        const holder = spawn('psql', ['-X', '-q', '-d', shop.url], { stdio: ['pipe', 'pipe', 'ignore'], env: { ...process.env, PGAPPNAME: 'a long report' } });
        holder.stdin.write('BEGIN; LOCK TABLE "User" IN ROW SHARE MODE; SELECT 1;\n');
        await once(holder.stdout, 'data');
        const { stdout } = await shop.deploy('v2', exit.rolledBack);
        assert.match(stdout, /lock timeout.*55P03.*a long report/s);
        holder.stdin.end('ROLLBACK;\n');
        await once(holder, 'close');
        assert.equal(await shop.serving(), 'v1');
        assert.deepEqual(await shop.columns(), ['id', 'email']);
    }));

    test('goes back from a release that is not well; a schema that fits stays', () => inUse(async (shop, { clients }) => {
        await shop.migration(...adds);
        for (const release of ['ill-2', 'crash-3', 'deaf-4']) {
            const { stdout } = await shop.deploy(release, exit.rolledBack, '--health-check-timeout', '2');
            assert.match(stdout, new RegExp(`${release}, rolled back`));
            assert.equal(await shop.serving(), 'v1');
        }
        assert.deepEqual(await shop.columns(), ['id', 'email', 'age']);
        assert.ok(!Object.keys(clients.answered).some((release) => /ill|crash|deaf/.test(release)));
        await shop.deploy('v6');
        assert.equal(await shop.serving(), 'v6');
    }));

    test('asks before it destroys, and takes that back by a reviewed down.sql', () => inUse(async (shop) => {
        await shop.migration('20240301000000_widen', 'ALTER TABLE "User" ALTER email TYPE varchar(300);\n', 'ALTER TABLE "User" ALTER email TYPE text;\n');
        const { stdout, stderr } = await shop.deploy('v2', exit.failed);
        assert.match(stderr, /destroys: 20240301000000_widen:1/);
        assert.match(stdout, /--yes/);
        await shop.deploy('ill-2', exit.rolledBack, '--yes');
        assert.deepEqual(await shop.sql("SELECT data_type FROM information_schema.columns WHERE column_name = 'email' AND table_name = 'User'"), ['text']);
        assert.deepEqual(await shop.sql("SELECT count(*) FROM _prisma_migrations WHERE migration_name LIKE '%widen' AND rolled_back_at IS NULL"), ['0']);
        assert.equal(await shop.serving(), 'v1');
    }));
});

describe('the last rung: the backup', { skip: !postgresql && 'HOLDFAST_TEST_POSTGRES is not set', concurrency: 4 }, () => {
    test('is restored by itself where writes were kept out', () => Shop.with(async (shop) => {
        await shop.deploy('v1');
        await shop.sql('INSERT INTO "User" (email) VALUES (\'a\'), (\'b\')');
        await shop.migration(...drops);
        const run = shop.start('ill-2', ['--yes']);
        await says(run, /Migrate/);
        await assert.rejects(shop.sql('UPDATE "User" SET id = id'), /read-only/);
        const { code, stdout } = await run.ended;
        assert.equal(code, exit.rolledBack, run.stderr);
        assert.match(stdout, /rolled back/);
        assert.deepEqual(await shop.columns(), ['id', 'email']);
        await shop.sql('INSERT INTO "User" (email) VALUES (\'c\')');
        assert.deepEqual(await shop.sql('SELECT string_agg(email, \'\' ORDER BY id) FROM "User"'), ['abc']);
        assert.equal(await shop.serving(), 'v1');
    }, { fence: true }));

    test('is not restored over what was written since, until somebody accepts that', () => Shop.with(async (shop) => {
        await shop.deploy('v1');
        await shop.sql('INSERT INTO "User" (email) VALUES (\'a\')');
        await shop.migration(...drops);
        const { stdout } = await shop.deploy('ill-2', exit.incomplete, '--yes');
        assert.match(stdout, /What a person has to do/);
        assert.match(stdout, /holdfast rollback --env prod --accept-data-loss/);
        assert.equal(await shop.serving(), 'v1');
        assert.deepEqual(await shop.columns(), ['id']);
        await shop.rollback(exit.done, '--accept-data-loss');
        assert.deepEqual(await shop.columns(), ['id', 'email']);
        assert.deepEqual(await shop.sql('SELECT email FROM "User"'), ['a']);
    }));

    test('or until somebody goes on from the database as it is', () => Shop.with(async (shop) => {
        await shop.deploy('v1');
        await shop.migration(...drops);
        await shop.deploy('ill-2', exit.incomplete, '--yes');
        await shop.deploy('v3', exit.incomplete);
        const { stderr } = await shop.deploy('v3', exit.done, '--keep-schema');
        assert.match(stderr, /the schema stays as it is: that was asked for/);
        assert.equal(await shop.serving(), 'v3');
        assert.deepEqual(await shop.columns(), ['id']);
    }));

    test('going back on request breaks nothing that works', () => inUse(async (shop) => {
        await shop.migration('20240301000000_rename', 'ALTER TABLE "User" ADD age int; ALTER TABLE "User" RENAME age TO years;\n');
        await shop.deploy('v2', exit.done, '--yes');
        const { stderr } = await shop.rollback(exit.failed);
        assert.match(stderr, /nothing was undone: the database was written to since its backup/);
        assert.equal(await shop.serving(), 'v2');
        await rm(path.join(shop.dir, 'backups'), { recursive: true });
        const { stderr: without } = await shop.rollback(exit.failed, '--accept-data-loss');
        assert.match(without, /nothing was undone: /);
        assert.equal(await shop.serving(), 'v2');
        await shop.rollback(exit.done, '--keep-schema');
        assert.equal(await shop.serving(), 'v1');
        assert.deepEqual(await shop.columns(), ['id', 'email', 'years']);
    }));

    test('carries over what Holdfast keeps in the same database', () => Shop.with(async (shop) => {
        await shop.sql('CREATE SCHEMA holdfast');
        shop.installation.env.DATABASE_URL = `${shop.url}?options=-csearch_path%3Dholdfast`;
        const user = await shop.installation.addUser();
        await shop.deploy('v1');
        await shop.migration(...drops);
        await shop.deploy('ill-2', exit.incomplete, '--yes');
        assert.equal((await shop.installation.cli(['users', 'disable', user.email])).code, 0);
        const { stdout, stderr } = await shop.rollback(exit.done, '--accept-data-loss');
        assert.match(stderr + stdout, /carried over: accounts disabled: 1\n/);
        assert.deepEqual(await shop.columns(), ['id', 'email']);
        assert.deepEqual(await shop.sql('SELECT disabled FROM holdfast.users'), ['1']);
        const verified = await shop.installation.cli(['trail', 'verify']);
        assert.equal(verified.code, 0, verified.stdout + verified.stderr);
        const listed = JSON.parse((await shop.installation.cli(['deployments', 'list', '--json'])).stdout);
        assert.deepEqual(listed.items.map(({ release }) => release), ['ill-2', 'v1']);
    }));
});

describe('what comes between', { concurrency: 4 }, () => {
    test('a second deployer is told who deploys', () => inUse(async (shop) => {
        const first = shop.start('late-2');
        await says(first, /Wait until it is well/);
        const { stderr } = await shop.deploy('v3', exit.locked);
        assert.match(stderr, /deploy/);
        const { code } = await first.ended;
        assert.equal(code, exit.done, first.stderr);
        assert.equal(await shop.serving(), 'late-2');
    }, { migrations: false }));

    test('a lock that was lost and is another\'s ends the deployment where it is', { skip: !postgresql }, () => Shop.with(async (shop) => {
        await shop.deploy('v1');
        const first = shop.start('late-2');
        await says(first, /Wait until it is well/);
        const lost = await shop.sql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND ((classid::bigint << 32) | objid::bigint) = hashtextextended('holdfast deploy of prod to ' || current_database(), 0)");
        assert.deepEqual(lost, ['t']);
        const second = shop.start('deaf-3', [], { env: { LOGS_DIR: 'elsewhere' } });
        const { code, stderr, stdout } = await first.ended;
        assert.equal(code, exit.incomplete, stderr);
        assert.match(stdout, /another deployment is under way: holdfast /);
        assert.equal((await second.ended).code, exit.rolledBack, second.stderr);
        assert.equal(await shop.serving(), 'v1');
        await shop.deploy('v4');
        assert.equal(await shop.serving(), 'v4');
    }));

    test('an interrupt goes back; two give up at once, and the next run sees to the rest', () => inUse(async (shop) => {
        const first = shop.start('deaf-2');
        await says(first, /Wait until it is well/);
        first.child.kill('SIGINT');
        assert.equal((await first.ended).code, exit.rolledBack, first.stderr);
        assert.equal(await shop.serving(), 'v1');

        const twice = shop.start('deaf-3');
        await says(twice, /Wait until it is well/);
        twice.child.kill('SIGINT');
        twice.child.kill('SIGTERM');
        const { code, stdout } = await twice.ended;
        assert.ok([exit.rolledBack, exit.incomplete].includes(code), twice.stderr);
        if (code === exit.incomplete) assert.match(stdout, /What a person has to do/);
        const { stderr } = await shop.deploy('v4');
        if (code === exit.incomplete) assert.match(stderr, /was left unfinished/);
        assert.equal(await shop.serving(), 'v4');
    }, { migrations: false }));

    test('a release that is down is no reason to go on without a word', () => Shop.with(async (shop) => {
        await shop.deploy('v1');
        await shop.configure((e) => (e.health.url = `${shop.address}/missing-port`.replace(/:\d+/, ':9')));
        const { stdout } = await shop.deploy('v2', exit.failed);
        assert.match(stdout, /--from-unhealthy/);
    }, { migrations: false }));

    test('going back on request: the newest, or down to one', () => inUse(async (shop) => {
        for (const release of ['v2', 'v3', 'v4']) await shop.deploy(release);
        await shop.rollback();
        assert.equal(await shop.serving(), 'v3');
        const [{ id }] = await shop.deployments();
        await shop.rollback(exit.done, '--to', id);
        assert.equal(await shop.serving(), 'v1');
        await shop.deploy('v5');
        await shop.deploy('unused', exit.done, '--force-rollback');
        assert.equal(await shop.serving(), 'v1');
        await shop.rollback(exit.usage, '--to', '0193a5b0');
    }, { migrations: false }));

    test('wrong usage is named before anything is done', () => Shop.with(async (shop) => {
        const { installation } = shop;
        const fails = async (args, pattern, code = exit.usage) => {
            const end = await installation.cli(args);
            assert.equal(end.code, code, end.stderr);
            assert.match(end.stderr, pattern);
        };
        await fails(['deploy'], /--env is needed/);
        await fails(['deploy', '--env', 'prd', '--release', 'v1'], /there are: prod/);
        await fails(['deploy', '--env', 'prod'], /--release is needed/);
        await fails(['deploy', '--env', 'prod', '--release', 'v1', '--max-retries', '0'], /--max-retries: "0"/);
        await fails(['deploy', '--env', 'prod', '--release', 'v1', '--health-check-timeout', '1.5'], /--health-check-timeout/);
        await fails(['deploy', '--env', 'prod', '--release', 'v1', '--file', 'no.yml'], /no\.yml/);
        await shop.configure((e) => { e.health.intervall = '5s'; delete e.target.command; });
        await fails(['deploy', '--env', 'prod', '--release', 'v1'], /holdfast\.yml:1: environments\.prod\.(health\.intervall|target\.command)/);
        assert.ok(!existsSync(path.join(shop.dir, 'logs/deployments')));
    }, { migrations: false }));

    test('a database out of reach is told apart', { skip: !postgresql }, () => Shop.with(async (shop) => {
        await shop.configure((e) => (e.database = { url: 'postgresql://nobody@127.0.0.1:9/none' }));
        const { stderr } = await shop.deploy('v1', exit.unreachable);
        assert.match(stderr, /127\.0\.0\.1/);
    }));

    test('a full disk stops it where it is; the next run undoes it', { skip: process.getuid() !== 0 && 'mounting takes root' }, () => Shop.with(async (shop) => {
        const logs = path.join(shop.dir, 'logs');
        await mkdir(logs);
        execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', logs]);
        try {
            await shop.deploy('v1');
            const filler = path.join(logs, 'filler');
            const run = shop.start('deaf-2');
            await says(run, /Wait until it is well/);
            try { execFileSync('dd', ['if=/dev/zero', `of=${filler}`, 'bs=4k'], { stdio: 'ignore' }); } catch { /* full */ }
            const { code } = await run.ended;
            assert.equal(code, exit.incomplete, run.stderr);
            assert.match(run.stderr, /No space left/);
            assert.equal(await shop.serving(), 'v1');
            await rm(filler);
            await shop.deploy('v3');
            assert.equal(await shop.serving(), 'v3');
        } finally {
            execFileSync('umount', ['-l', logs]);
        }
    }, { migrations: false }));
});

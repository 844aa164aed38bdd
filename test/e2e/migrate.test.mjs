/*
 * holdfast migrate: how a team takes its product's database from one release to the next, and what
 * it is told when a migration is not what it should be, or dies half-way.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { describe, test } from 'node:test';

import { Installation, psql, stores, waitFor } from './harness.mjs';
import { startCommand } from './support.mjs';

const postgres = stores.find((store) => store.name === 'postgresql');

/* A product: its repository with migrations, and its database. */
class Shop {
    static async open(use) {
        const installation = await Installation.create({ store: postgres });
        const shop = new Shop();
        Object.assign(shop, { installation, dir: installation.dir, url: installation.database.url });
        installation.env.PRODUCT_DATABASE_URL = shop.url;
        delete installation.env.DATABASE_URL;
        await mkdir(path.join(shop.dir, 'prisma/migrations'), { recursive: true });
        await writeFile(path.join(shop.dir, 'prisma/migrations/migration_lock.toml'), 'provider = "postgresql"\n');
        try {
            await use(shop);
        } finally {
            await installation.remove();
        }
    }

    async put(name, sql) {
        const dir = path.join(this.dir, 'prisma/migrations', name);
        await mkdir(dir, { recursive: true });
        await writeFile(path.join(dir, 'migration.sql'), sql);
    }

    migrate(verb, ...args) {
        return this.installation.cli(['migrate', verb, ...args]);
    }

    start(verb, ...args) {
        return startCommand(this.installation, ['migrate', verb, ...args]);
    }

    sql(statement) {
        return psql(this.url, statement);
    }

    tables() {
        return this.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> '_prisma_migrations' ORDER BY 1");
    }

    history() {
        return this.sql("SELECT migration_name || ' ' || CASE WHEN rolled_back_at IS NOT NULL THEN 'rolled back' WHEN finished_at IS NOT NULL THEN 'applied' ELSE 'open' END FROM _prisma_migrations ORDER BY started_at");
    }

    /* Waits until the migration sleeps in the database; returns its process there. */
    async untilAsleep() {
        const [pid] = await waitFor('the migration to sleep', async () => {
            const rows = await this.sql("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'holdfast migrate' AND wait_event = 'PgSleep'");
            return rows.length > 0 && rows;
        });
        return pid;
    }
}

const init = '20240101000000_init';
const second = '20240201000000_second';
const users = 'CREATE TABLE "User" (id serial PRIMARY KEY, email text NOT NULL, age int);\n';

describe('holdfast migrate', { skip: !postgres && 'HOLDFAST_TEST_POSTGRES is not set' }, () => {
    test('shows what is pending, applies it, and then finds nothing to do', () => Shop.open(async (shop) => {
        await shop.put(init, users);
        await shop.put(second, 'CREATE INDEX CONCURRENTLY "User_email" ON "User" (email);\n');
        const before = await shop.migrate('status');
        assert.equal(before.code, 1);
        assert.match(before.stdout, /2 pending/);
        assert.match(before.stdout, /1 statement in one transaction/);
        assert.match(before.stdout, /one by one, as line 1 cannot run in a transaction: CREATE INDEX CONCURRENTLY/);
        assert.deepEqual(await shop.tables(), [], 'status changes nothing');

        const deployed = await shop.migrate('deploy');
        assert.equal(deployed.code, 0, deployed.stderr);
        assert.match(deployed.stdout, /2 of 2 applied/);
        assert.deepEqual(await shop.history(), [`${init} applied`, `${second} applied`]);
        const after = await shop.migrate('status');
        assert.equal(after.code, 0, after.stdout);
        assert.match(after.stdout, /2 applied\.\n$/);
        const again = await shop.migrate('deploy');
        assert.equal(again.code, 0);
        assert.match(again.stdout, /Nothing is to be applied/);
        assert.equal(existsSync(path.join(shop.dir, 'data')), false, 'no secrets are made for it');
    }));

    test('takes the URL as Prisma has it, and shows no password', () => Shop.open(async (shop) => {
        await shop.put(init, users);
        const url = new URL(shop.url);
        url.password = 'hunter2secret';
        shop.installation.env.DATABASE_URL = `${url}?schema=app&connection_limit=3`;
        delete shop.installation.env.PRODUCT_DATABASE_URL;
        const { code, stdout, stderr } = await shop.migrate('deploy');
        assert.equal(code, 0, stderr);
        assert.match(stdout, /schema app/);
        assert.doesNotMatch(stdout + stderr, /hunter2/);
        assert.deepEqual(await shop.sql('SELECT count(*) FROM app."User"'), ['0']);
    }));

    test('lists what a migration destroys, and applies it with consent only', () => Shop.open(async (shop) => {
        await shop.put(init, `${users}INSERT INTO "User" (email) SELECT 'x' FROM generate_series(1, 2000);`);
        assert.equal((await shop.migrate('deploy')).code, 0);
        await shop.sql('ANALYZE "User"');
        await shop.put(second, 'ALTER TABLE "User"\n  DROP COLUMN age,\n  ALTER COLUMN email TYPE varchar(20);\n');
        const refused = await shop.migrate('deploy');
        assert.equal(refused.code, 1);
        assert.match(refused.stdout, /drops the column "User"\.age \(about 2,000 rows, /);
        assert.match(refused.stdout, /changes "User"\.email from text to varchar\(20\): which holds less; rewrites the table/);
        assert.match(refused.stderr, /nothing was applied: what is destroyed takes consent, by --yes/);
        assert.deepEqual(await shop.history(), [`${init} applied`]);
        const { dangers, code, error } = JSON.parse((await shop.migrate('deploy', '--json')).stdout);
        assert.deepEqual(dangers.map(({ name, line, destroys }) => [name, line, destroys]), [[second, 1, true], [second, 1, true]]);
        assert.equal(code, null);
        assert.match(error, /consent/);
        const applied = await shop.migrate('deploy', '--yes');
        assert.equal(applied.code, 0, applied.stderr);
        assert.match(applied.stdout, /held "User" \(ACCESS EXCLUSIVE\) for \d+ ms/);
    }));

    test('undoes a migration that fails, names the place, and applies it once it is mended', () => Shop.open(async (shop) => {
        await shop.put(init, users);
        await shop.put(second, 'CREATE TABLE a (id int);\n\nINSERT INTO nowhere\n  VALUES (1);\n');
        const failed = await shop.migrate('deploy');
        assert.equal(failed.code, 1);
        assert.match(failed.stdout, new RegExp(`${second}/migration\\.sql:3:13\\n`));
        assert.match(failed.stdout, /relation "nowhere" does not exist \(42P01\)/);
        assert.match(failed.stdout, /1 of 2 applied/);
        assert.match(failed.stderr, new RegExp(`P3018: ${second}: rolled back: `));
        assert.deepEqual(await shop.tables(), ['User']);
        assert.deepEqual(await shop.history(), [`${init} applied`, `${second} rolled back`]);
        assert.match((await shop.migrate('status')).stdout, /rolled back +to be applied again/);
        await shop.put(second, 'CREATE TABLE a (id int);\n');
        assert.equal((await shop.migrate('deploy')).code, 0);
        assert.deepEqual(await shop.tables(), ['User', 'a']);
    }));

    test('asks for a person where a part of a migration stays, and goes on once it is resolved', () => Shop.open(async (shop) => {
        const third = '20240301000000_third';
        await shop.put(init, users);
        await shop.put(second, 'CREATE TABLE a (id int);\nCREATE INDEX CONCURRENTLY i ON a (nothing);\n');
        await shop.put(third, 'CREATE TABLE b (id int);\nVACUUM nowhere;\n');
        const failed = await shop.migrate('deploy');
        assert.equal(failed.code, 5);
        assert.match(failed.stderr, new RegExp(`P3018: ${second}: partly applied: column "nothing" does not exist`));
        assert.match(failed.stdout, new RegExp(`holdfast migrate resolve --rolled-back ${second}`));
        const stuck = await shop.migrate('deploy');
        assert.equal(stuck.code, 1);
        assert.match(stuck.stderr, /P3009: /);
        const status = await shop.migrate('status');
        assert.equal(status.code, 1);
        assert.match(status.stdout, /failed +began .*\n {6}line 1: done in \d+ ms: CREATE TABLE a \(id int\)\n {6}line 2, column 1: column "nothing"/);

        assert.match((await shop.migrate('resolve', '--applied', 'nothing')).stderr, /P3017: /);
        assert.match((await shop.migrate('resolve', '--rolled-back', third)).stderr, /P3011: /);
        assert.match((await shop.migrate('resolve', '--rolled-back', init)).stderr, /P3012: /);
        assert.match((await shop.migrate('resolve', '--applied', init)).stderr, /P3008: /);
        assert.equal((await shop.migrate('resolve')).code, 2);

        await shop.sql('DROP TABLE a');
        assert.equal((await shop.migrate('resolve', '--rolled-back', second)).code, 0);
        await shop.put(second, 'CREATE TABLE a (id int);\nCREATE INDEX CONCURRENTLY i ON a (id);\n');
        assert.equal((await shop.migrate('deploy')).code, 5);
        assert.equal((await shop.migrate('resolve', '--applied', third)).code, 0);
        assert.equal((await shop.migrate('status')).code, 0);
        assert.deepEqual(await shop.history(), [
            `${init} applied`, `${second} rolled back`, `${second} applied`, `${third} rolled back`, `${third} applied`]);
    }));

    test('refuses a file that was edited after it was applied, with both checksums', () => Shop.open(async (shop) => {
        await shop.put(init, users);
        assert.equal((await shop.migrate('deploy')).code, 0);
        const [{ checksum }] = JSON.parse((await shop.migrate('status', '--json')).stdout).migrations;
        await shop.put(init, users.replaceAll('\n', '\r\n'));
        assert.equal((await shop.migrate('status')).code, 0, 'line ends are no edit');
        await shop.put(init, `${users}-- and more\n`);
        await shop.put(second, 'SELECT 1;');
        const { code, stderr } = await shop.migrate('deploy');
        assert.equal(code, 1);
        assert.match(stderr, new RegExp(`${init} was edited after it was applied: its file has the checksum [0-9a-f]{64}, and what was applied had ${checksum}`));
        assert.match((await shop.migrate('status')).stdout, new RegExp(`edited .*\n.*the file: +[0-9a-f]{64}\n.*what was run: +${checksum}`));
        assert.deepEqual(await shop.history(), [`${init} applied`]);
    }));

    test('leaves a database alone that has tables and no history, until they are taken for applied', () => Shop.open(async (shop) => {
        await shop.put(init, users);
        await shop.sql(users);
        const { code, stderr } = await shop.migrate('deploy');
        assert.equal(code, 1);
        assert.match(stderr, /P3005: .*holdfast migrate resolve --applied/);
        assert.equal((await shop.migrate('resolve', '--applied', init)).code, 0);
        assert.equal((await shop.migrate('status')).code, 0);
    }));

    test('leaves nothing of a migration in a transaction when it is killed', () => Shop.open(async (shop) => {
        await shop.put(init, `${users}SELECT pg_sleep(3);\n`);
        const run = shop.start('deploy');
        await shop.untilAsleep();
        run.child.kill('SIGKILL');
        assert.equal((await run.ended).signal, 'SIGKILL');
        const again = await shop.migrate('deploy'); // it waits for what the server has not ended yet
        assert.equal(again.code, 0, again.stderr);
        assert.deepEqual(await shop.history(), [`${init} applied`]);
        assert.deepEqual(await shop.tables(), ['User']);
    }));

    test('knows what was done when it is killed between statements', () => Shop.open(async (shop) => {
        await shop.put(init, `${users}SELECT pg_sleep(600);\nVACUUM;\n`);
        const run = shop.start('deploy');
        await shop.untilAsleep();
        run.child.kill('SIGKILL');
        await run.ended;
        await shop.sql("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'holdfast migrate' AND datname = current_database()");
        const again = await shop.migrate('deploy');
        assert.equal(again.code, 1);
        assert.match(again.stderr, /P3009: /);
        assert.match((await shop.migrate('status')).stdout, /line 1: done in \d+ ms: CREATE TABLE "User".*\n +line 2: begun: SELECT pg_sleep\(600\)/);
    }));

    test('lets two of them take turns', () => Shop.open(async (shop) => {
        await shop.put(init, `${users}SELECT pg_sleep(1);\n`);
        await shop.put(second, 'CREATE TABLE a (id int);\nVACUUM a;\n');
        const runs = await Promise.all([1, 2, 3].map(() => shop.migrate('deploy')));
        assert.deepEqual(runs.map(({ code }) => code), [0, 0, 0], runs.map(({ stderr }) => stderr).join('\n'));
        assert.equal(runs.filter(({ stdout }) => /2 of 2 applied/.test(stdout)).length, 1);
        assert.deepEqual(await shop.history(), [`${init} applied`, `${second} applied`]);
    }));

    test('tries again for a lock, names who holds it, and passes once it is free', () => Shop.open(async (shop) => {
        await shop.put(init, users);
        assert.equal((await shop.migrate('deploy')).code, 0);
        const report = spawn('psql', ['-X', '-q', '-d', `${shop.url}?application_name=nightly%20report`]);
        report.stdin.write('BEGIN; SELECT count(*) FROM "User" WHERE email = \'someone@example.com\';\n');
        await waitFor('the report', async () => (await shop.sql("SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'")).length);
        await shop.put(second, 'CREATE TABLE a (id int);\nALTER TABLE "User" ADD COLUMN name text;\n');
        const run = shop.start('deploy', '--lock-timeout', '1');
        await waitFor('a further attempt', () => /tried again in/.test(run.stderr));
        report.stdin.end('COMMIT;\n');
        await once(report, 'close');
        const { code, stdout, stderr } = await run.ended;
        assert.equal(code, 0, stderr);
        assert.match(stderr, /waiting for a lock: "User" is locked by process \d+ \(nightly report, user \w+ at 127\.0\.0\.1, idle in transaction for \d+ s\); its last: SELECT count\(\*\) FROM "User" WHERE email = …/);
        assert.doesNotMatch(stderr, /someone@example/);
        assert.match(stdout, /1 of 1 applied/);
    }));

    test('ends a statement that takes too long', () => Shop.open(async (shop) => {
        await shop.put(init, `${users}SELECT pg_sleep(600);\n`);
        const { code, stderr } = await shop.migrate('deploy', '--statement-timeout', '1');
        assert.equal(code, 1);
        assert.match(stderr, /P3018: .*rolled back: canceling statement due to statement timeout/);
        assert.deepEqual(await shop.tables(), []);
    }));

    test('is undone by the first interrupt', () => Shop.open(async (shop) => {
        await shop.put(init, `${users}SELECT pg_sleep(600);\n`);
        const run = shop.start('deploy');
        await shop.untilAsleep();
        run.child.kill('SIGINT');
        const { code, stderr } = await run.ended;
        assert.equal(code, 1);
        assert.match(stderr, /rolled back: interrupted/);
        assert.deepEqual(await shop.tables(), []);
        assert.deepEqual(await shop.history(), [`${init} rolled back`]);
    }));

    test('proves that a migration was undone whose connection was ended', () => Shop.open(async (shop) => {
        await shop.put(init, `${users}SELECT pg_sleep(600);\n`);
        const run = shop.start('deploy', '--json');
        await shop.sql(`SELECT pg_terminate_backend(${await shop.untilAsleep()})`);
        const { code, stdout } = await run.ended;
        assert.equal(code, 3);
        const { results, applied } = JSON.parse(stdout);
        assert.equal(applied, 0);
        assert.equal(results[0].fate, 'rolled back');
        assert.equal(results[0].failure.line, 2);
        assert.deepEqual(await shop.history(), [`${init} rolled back`]);
    }));

    /* A connection that breaks between COMMIT and its answer leaves nobody to guess. */
    test('finds out that a migration is applied whose commit was not answered', () => Shop.open(async (shop) => {
        await shop.put(init, users);
        const { hostname, port } = new URL(shop.url);
        const sockets = new Set();
        const proxy = net.createServer((near) => {
            const far = net.connect(Number(port), hostname);
            let commits = false;
            for (const socket of [near, far]) {
                sockets.add(socket);
                socket.on('error', () => {}).on('close', () => (near.destroy(), far.destroy()));
            }
            near.on('data', (part) => {
                commits ||= part.includes('COMMIT\0');
                far.write(part);
            });
            far.on('data', (part) => (commits ? near.destroy() : near.write(part)));
        });
        proxy.listen(0, '127.0.0.1');
        await once(proxy, 'listening');
        const url = new URL(shop.url);
        url.port = proxy.address().port;
        shop.installation.env.PRODUCT_DATABASE_URL = String(url);
        const { code, stdout } = await shop.migrate('deploy', '--json');
        proxy.close();
        for (const socket of sockets) socket.destroy();
        assert.equal(code, 3);
        const { results, applied } = JSON.parse(stdout);
        assert.equal(results[0].fate, 'applied');
        assert.equal(applied, 1);
        assert.deepEqual(await shop.history(), [`${init} applied`]);
        assert.deepEqual(await shop.tables(), ['User']);
    }));

    test('names an index that is not valid', () => Shop.open(async (shop) => {
        await shop.put(init, `${users}INSERT INTO "User" (email) VALUES ('x'), ('x');`);
        await shop.put(second, 'CREATE UNIQUE INDEX CONCURRENTLY one_each ON "User" (email);');
        const { code, stdout } = await shop.migrate('deploy');
        assert.equal(code, 5);
        assert.match(stdout, /Indexes that are not valid, so that no query uses them:\n {2}one_each on "User"\n {6}REINDEX INDEX CONCURRENTLY one_each;/);
    }));

    test('tells wrong files, settings and databases apart', () => Shop.open(async (shop) => {
        const { env } = shop.installation;
        assert.equal((await shop.migrate('status')).code, 0, 'there are none');
        await shop.put(init, `${users}\\i other.sql\n`);
        const psqls = await shop.migrate('deploy');
        assert.equal(psqls.code, 1);
        assert.match(psqls.stderr, /prisma\/migrations\/20240101000000_init\/migration\.sql: line 2: a backslash begins a command of psql's/);
        await writeFile(path.join(shop.dir, 'prisma/migrations/migration_lock.toml'), 'provider = "mysql"\n');
        const mysql = await shop.migrate('deploy');
        assert.equal(mysql.code, 1);
        assert.match(mysql.stderr, /P3019: .*migration_lock\.toml: the migrations are written for mysql/);
        await rm(path.join(shop.dir, 'prisma/migrations/migration_lock.toml'));
        await mkdir(path.join(shop.dir, 'prisma/migrations/empty'));
        assert.match((await shop.migrate('deploy')).stderr, /P3015: .*empty\/migration\.sql: is not there/);
        const nowhere = await shop.migrate('status', '--directory', 'nowhere');
        assert.equal(nowhere.code, 2);
        assert.match(nowhere.stderr, /nowhere: cannot be read: No such file or directory/);
        await rm(path.join(shop.dir, 'prisma/migrations/empty'), { recursive: true });

        assert.equal((await shop.migrate('deploy', '--lock-timeout', '0')).code, 2);
        assert.equal((await shop.migrate('deploy', '--statement-timeout', 'x')).code, 2);
        env.PRODUCT_DATABASE_URL = 'postgresql://u:hunter2@127.0.0.1:1/d';
        const away = await shop.migrate('status');
        assert.equal(away.code, 3);
        assert.doesNotMatch(away.stderr, /hunter2/);
        env.PRODUCT_DATABASE_URL = `${shop.url}?pgbouncer=true`;
        const pooled = await shop.migrate('status');
        assert.equal(pooled.code, 2);
        assert.match(pooled.stderr, /PRODUCT_DATABASE_URL: .*PgBouncer/);
        delete env.PRODUCT_DATABASE_URL;
        const none = await shop.migrate('status');
        assert.equal(none.code, 2);
        assert.match(none.stderr, /PRODUCT_DATABASE_URL: is not set/);
    }));
});

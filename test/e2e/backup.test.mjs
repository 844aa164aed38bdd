/*
 * A product's database is backed up, the backups are tried in every way they go bad, and the
 * product gets one back while its writers go on, whoever is killed meanwhile.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdir, open, readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';

import { Installation, psql, stores, waitFor } from './harness.mjs';
import { startCommand } from './support.mjs';

const postgresql = stores.find((store) => store.name === 'postgresql');
const needed = postgresql ? {} : { skip: 'HOLDFAST_TEST_POSTGRES is not set' };
const server = process.env.HOLDFAST_TEST_POSTGRES;

const schema = `
    CREATE TABLE orders (id bigserial PRIMARY KEY, what text NOT NULL, paid boolean DEFAULT false);
    CREATE TABLE customers (id int PRIMARY KEY, name text);
    INSERT INTO customers SELECT i, 'customer ' || i FROM generate_series(1, 500) i;
    INSERT INTO orders (what) SELECT md5(i::text) FROM generate_series(1, 5000) i`;

/* A product with its database, and commands that know it. */
async function withProduct(use) {
    const installation = await Installation.create();
    const product = await postgresql.create();
    const name = new URL(product.url).pathname.slice(1);
    installation.env.PRODUCT_DATABASE_URL = product.url;
    const databases = async (pattern) => psql(server, `SELECT datname FROM pg_database WHERE datname LIKE '${pattern}' ORDER BY 1`);
    const backup = (...args) => installation.cli(['backup', ...args]);
    const sql = (statement) => psql(product.url, statement);
    try {
        await sql(schema);
        await use({ installation, url: product.url, name, sql, backup, databases,
            directory: path.join(installation.dir, 'backups'),
            async create(...args) {
                const { code, stdout, stderr } = await backup('create', '--json', ...args);
                assert.equal(code, 0, stderr);
                return JSON.parse(stdout);
            } });
    } finally {
        for (const aside of await databases(`${name}\\_failed\\_%`)) await psql(server, `DROP DATABASE ${aside} WITH (FORCE)`);
        await product.drop();
        await installation.remove();
    }
}

const files = async (directory) => (existsSync(directory) ? (await readdir(directory)).sort() : []);

/* Another program of that name stands first in PATH. */
async function withTool({ installation }, name, script) {
    const bin = path.join(installation.dir, 'bin');
    await mkdir(bin, { recursive: true });
    await writeFile(path.join(bin, name), `#!/bin/sh\n${script}\n`);
    await chmod(path.join(bin, name), 0o755);
    return { env: { PATH: `${bin}:${process.env.PATH}` } };
}

/*
 * Writes one row after the other, as a product does: what was acknowledged counts, and where the
 * connection is lost it connects again.
 */
class Writer {
    constructor(url) {
        Object.assign(this, { url, acknowledged: 0, longestGap: 0, last: Date.now() });
        this.done = this.#run();
    }

    async #session() {
        const child = spawn('psql', ['-X', '-q', '-A', '-t', '-d', this.url], { stdio: ['pipe', 'pipe', 'ignore'] });
        this.child = child;
        child.stdin.on('error', () => {});
        const write = () => child.stdin.write("INSERT INTO customers VALUES (1000 + random() * 2e9, 'w') RETURNING id;\n");
        child.stdout.setEncoding('utf8').on('data', (text) => {
            if (!/\d/.test(text)) return;
            this.acknowledged++;
            this.longestGap = Math.max(this.longestGap, Date.now() - this.last);
            this.last = Date.now();
            if (!this.stopped) write();
        });
        write();
        await once(child, 'close');
    }

    async #run() {
        while (!this.stopped) await this.#session();
    }

    async stop() {
        this.stopped = true;
        this.child.stdin.end();
        await this.done;
    }
}

test('a backup is taken, listed, verified and thinned out', needed, async () => {
    await withProduct(async (product) => {
        const { backup, directory, name, create } = product;
        let { code, stdout, stderr } = await backup('list');
        assert.deepEqual([code, stdout], [0, 'There are no backups in backups.\n']);

        ({ code, stdout, stderr } = await backup('create'));
        assert.equal(code, 0, stderr);
        assert.match(stderr, /^Counting the rows of .*\nDumping 2 tables, 5500 rows\n/);
        assert.match(stdout, /^backups\/.*\.dump\n  2 tables, 5,500 rows; .* kB of a database of .* MB, in /);
        const [dump, manifest] = await files(directory);
        assert.match(dump, new RegExp(`^${name}-\\d{8}T\\d{6}Z-[0-9a-f]{8}\\.dump$`));
        assert.equal(manifest, `${dump}.json`);
        for (const file of [dump, manifest]) assert.equal((await stat(path.join(directory, file))).mode & 0o777, 0o600);
        assert.equal((await stat(directory)).mode & 0o777, 0o700);
        const told = JSON.parse(await readFile(path.join(directory, manifest)));
        assert.equal(told.format, 1);
        assert.deepEqual(told.tables, [{ name: 'public.customers', rows: 500 }, { name: 'public.orders', rows: 5000 }]);
        assert.equal(told.sequences[0].value, 5000);
        assert.match(told.snapshot, /^\d+:\d+:/);
        assert.match(told.walLsn, /^[0-9A-F]+\/[0-9A-F]+$/);

        ({ code, stdout, stderr } = await backup('verify', `backups/${dump}`));
        assert.equal(code, 0, stderr);
        assert.match(stdout, /is whole: it restores to 2 tables, 5,500 rows/);
        const pinned = await create('--pin', 'before the move');
        const verified = await create('--verify');
        assert.ok(verified.verifiedAt);
        const { removed, path: newest } = await create('--keep', '1');
        assert.equal(removed, 1, 'neither the pinned one nor the newest that was verified');
        ({ code, stdout } = await backup('list', '--json'));
        const listed = stdout.trim().split('\n').map((line) => JSON.parse(line));
        assert.deepEqual(listed.map((entry) => entry.path), [newest, verified.path, pinned.path]);
        assert.deepEqual(listed.map((entry) => entry.state), ['not verified', 'verified', 'not verified']);
        ({ stdout } = await backup('list'));
        assert.match(stdout, /not verified, pinned: before the move\n/);
        assert.equal((await product.databases('holdfast\\_scratch\\_%')).length, 0);
        for (const args of [['--keep', '0'], ['--keep-days', 'x'], ['surplus']])
            assert.equal((await backup('create', ...args)).code, 2, args.join(' '));
    });
});

test('a backup that went bad is told from a good one', needed, async () => {
    await withProduct(async ({ installation, backup, create }) => {
        const { path: file, bytes } = await create();
        const whole = path.join(installation.dir, file);
        const content = await readFile(whole);
        const bad = async (pattern) => {
            for (const args of [['verify', file], ['verify', '--quick', file], ['restore', '--yes', '--accept-data-loss', file]]) {
                const { code, stderr } = await backup(...args);
                assert.equal(code, 1, args.join(' '));
                assert.match(stderr, pattern, args.join(' '));
            }
            const { stdout } = await backup('verify', '--json', file);
            assert.match(JSON.parse(stdout).reason, pattern);
        };
        await truncate(whole, bytes - 1);
        await bad(/is cut short: it has \d+ bytes of \d+/);
        const handle = await open(whole, 'r+');
        for (const at of [10, Math.floor(bytes / 2), bytes - 1]) {
            await handle.write(content, 0, content.length, 0);
            await handle.write(Buffer.from([content[at] ^ 0x10]), 0, 1, at);
            await bad(/was changed since it was written: its SHA-256 is [0-9a-f]{16}/);
        }
        assert.match((await backup('list')).stdout, /was changed since it was written/);
        await handle.write(content, 0, content.length, 0);
        await handle.close();
        assert.equal((await backup('verify', file)).code, 0);
        await truncate(`${whole}.json`, 100);
        assert.match((await backup('verify', file)).stderr, /the manifest .* cannot be read/);
        assert.equal((await backup('verify', 'backups/none.dump')).code, 1);
    });
});

test('a pg_dump older than the server is refused by both versions, and nothing is left', needed, async () => {
    await withProduct(async (product) => {
        const { installation, directory } = product;
        const older = await withTool(product, 'pg_dump', 'echo "pg_dump (PostgreSQL) 12.22 (Debian 12.22-1)"');
        let { code, stderr } = await installation.cli(['backup', 'create'], older);
        assert.equal(code, 1);
        assert.match(stderr, /pg_dump \(PostgreSQL\) 12\.22 .*is older than the server, which is PostgreSQL 1\d\.\d+/);
        const failing = await withTool(product, 'pg_dump', 'case $1 in --version) echo "pg_dump (PostgreSQL) 99.0";; *) head -c 100000 /dev/zero; echo "pg_dump: error: the rest is lost" >&2; exit 1;; esac');
        ({ code, stderr } = await installation.cli(['backup', 'create'], failing));
        assert.equal(code, 1);
        assert.match(stderr, /no backup was taken: pg_dump: error: the rest is lost/);
        assert.deepEqual(await files(directory), []);
        ({ code, stderr } = await installation.cli(['backup', 'create'], { env: { PRODUCT_DATABASE_URL: 'postgresql://u:secret@127.0.0.1:1/x' } }));
        assert.equal(code, 3);
        assert.doesNotMatch(stderr, /secret/);
        assert.equal((await installation.cli(['backup', 'create'], { env: { PRODUCT_DATABASE_URL: 'mysql://x' } })).code, 2);
    });
});

/* A disk of so many bytes, or nothing where none can be mounted. */
function mountDisk(at, bytes) {
    try {
        execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', at], { stdio: 'ignore' });
        return true;
    } catch {
        return false;
    }
}

test('a full disk leaves no half backup', needed, async (t) => {
    await withProduct(async ({ installation, sql, backup, create }) => {
        // What does not compress: a dump of it is a little longer than its table.
        await sql(`TRUNCATE orders, customers; CREATE TABLE noise AS SELECT decode(string_agg(md5(random()::text), ''), 'hex') AS bytes
                   FROM generate_series(1, 500000) i GROUP BY i % 4000`);
        const { bytes } = await create();
        const [size] = await sql("SELECT sum(pg_table_size(oid)) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace");
        assert.ok(bytes > Number(size) + 100_000, `${bytes} of ${size}`);
        const disk = path.join(installation.dir, 'disk');
        for (const [room, pattern] of [[Number(size) / 2, /disk has room for \d+ MB, and the database's tables are \d+ MB/], [(Number(size) + bytes) / 2, /No space left on device/]]) {
            await mkdir(disk, { recursive: true });
            if (!mountDisk(disk, Math.ceil(room))) return t.skip('no tmpfs can be mounted here');
            try {
                const { code, stderr } = await backup('create', '--directory', 'disk');
                assert.equal(code, 1, stderr);
                assert.match(stderr, pattern);
                assert.deepEqual(await files(disk), []);
            } finally {
                execFileSync('umount', [disk]);
            }
        }
    });
});

test('a killed backup, and a killed verification, are seen to by the next', needed, async () => {
    await withProduct(async (product) => {
        const { installation, directory, sql, create, databases } = product;
        await sql(`INSERT INTO orders (what) SELECT repeat(md5(i::text), 10) FROM generate_series(1, 30000) i`);
        let run = startCommand(installation, ['backup', 'create']);
        await waitFor('the dump', async () => (await files(directory)).some((file) => file.endsWith('.partial')));
        run.child.kill('SIGKILL');
        await run.ended;
        assert.equal((await files(directory)).length, 1);
        const { path: file } = await create();
        assert.deepEqual((await files(directory)).map((name) => path.extname(name)), ['.dump', '.json']);

        run = startCommand(installation, ['backup', 'verify', file]);
        await waitFor('the scratch database', async () => (await databases('holdfast\\_scratch\\_%')).length === 1);
        run.child.kill('SIGKILL');
        await run.ended;
        await waitFor('the end of its connections', async () => (await psql(server, "SELECT pid FROM pg_stat_activity WHERE application_name = 'holdfast verify'")).length === 0);
        assert.equal((await installation.cli(['backup', 'verify', file])).code, 0);
        assert.deepEqual(await databases('holdfast\\_scratch\\_%'), []);
    });
});

test('an interrupted backup leaves nothing', needed, async () => {
    await withProduct(async ({ installation, directory, sql }) => {
        await sql(`INSERT INTO orders (what) SELECT repeat(md5(i::text), 10) FROM generate_series(1, 30000) i`);
        const run = startCommand(installation, ['backup', 'create']);
        await waitFor('the dump', async () => (await files(directory)).some((file) => file.endsWith('.partial')));
        run.child.kill('SIGINT');
        const { code, stderr } = await run.ended;
        assert.equal(code, 1);
        assert.match(stderr, /interrupted/);
        assert.deepEqual(await files(directory), []);
    });
});

test('a restore under writers refuses, and where that is accepted loses nothing that it does not name', needed, async (t) => {
    await withProduct(async (product) => {
        const { url, name, sql, backup, create, databases } = product;
        const { path: file } = await create();
        const writers = [new Writer(url), new Writer(url)];
        t.after(() => Promise.all(writers.map((writer) => writer.stop())));
        await waitFor('writes', () => writers.every((writer) => writer.acknowledged > 5));

        let { code, stdout, stderr } = await backup('restore', '--yes', file);
        assert.equal(code, 1);
        assert.match(stderr, /table public\.customers: \d+ rows, there were 500; \d+ written since/);
        assert.match(stderr, /was written to since the backup/);
        ({ code, stdout, stderr } = await backup('restore', file)); // nobody answers
        assert.equal(code, 1);
        assert.match(stderr, /nothing was changed/);
        assert.deepEqual(await databases(`${name}\\_failed\\_%`), []);

        ({ code, stdout, stderr } = await backup('restore', '--yes', '--accept-data-loss', '--json', file));
        assert.equal(code, 0, stderr);
        const report = JSON.parse(stdout);
        const before = writers.map((writer) => writer.acknowledged);
        await waitFor('writes after it', () => writers.every((writer, i) => writer.acknowledged > before[i] + 5));
        for (const writer of writers) await writer.stop();
        assert.equal(report.restored, true);
        assert.match(report.writtenSince[0], /^table public\.customers: /);
        const [aside] = await databases(`${name}\\_failed\\_%`);
        assert.equal(aside, report.setAside);
        const [[kept], [now]] = [await psql(url.replace(name, aside), 'SELECT count(*) - 500 FROM customers'), await sql('SELECT count(*) - 500 FROM customers')];
        const acknowledged = writers[0].acknowledged + writers[1].acknowledged;
        // A commit whose acknowledgement its session did not live to send is there too.
        const lost = acknowledged - Number(kept) - Number(now);
        assert.ok(lost <= 0 && lost >= -writers.length, `${acknowledged} acknowledged, ${kept} kept aside, ${now} since`);
        assert.ok(report.interruptionMs < 2000, `${report.interruptionMs} ms`);
        t.diagnostic(`interrupted for ${report.interruptionMs} ms; the longest a writer waited: ${Math.max(...writers.map((writer) => writer.longestGap))} ms`);
    });
});

test('a restore that is killed at any moment locks nobody out, and is completed by the next', needed, async () => {
    await withProduct(async (product) => {
        const { installation, url, name, sql, backup, create, databases } = product;
        const { path: file } = await create();
        const moments = [/Reading/, /Looking for/, /Restoring into/, /Gathering/, /Putting/];
        for (const [i, moment] of [...moments, ...moments.map(() => /Putting/)].entries()) {
            await sql("DELETE FROM orders WHERE id <= 100; UPDATE customers SET name = 'late' WHERE id = 1");
            const run = startCommand(installation, ['backup', 'restore', '--yes', '--accept-data-loss', file]);
            await waitFor(`${moment}`, () => moment.test(run.stderr) || run.child.exitCode !== null, { every: 1 });
            if (i >= moments.length) await new Promise((resolve) => setTimeout(resolve, 8 * (i - moments.length)));
            run.child.kill('SIGKILL');
            await run.ended;
            // Its connections end with it; until then it counts as alive.
            await waitFor('the end of its connections', async () => (await psql(server, `SELECT pid FROM pg_stat_activity WHERE application_name = 'holdfast restore'`)).length === 0);
            // Any command on the database lifts a fence.
            assert.equal((await backup('create', '--directory', 'others')).code, 0);
            const [orders] = await sql('SELECT count(*) FROM orders');
            assert.ok(['4900', '5000'].includes(orders), 'the old database, or the restored one');
            const { code, stdout, stderr } = await backup('restore', '--yes', '--accept-data-loss', '--json', file);
            assert.equal(code, 0, stderr);
            assert.equal(JSON.parse(stdout).restored, true);
            assert.deepEqual(await sql("SELECT count(*), count(*) FILTER (WHERE paid) FROM orders UNION ALL SELECT count(*), count(*) FILTER (WHERE name = 'late') FROM customers"), ['5000|0', '500|0']);
            assert.deepEqual(await databases('holdfast\\_restore\\_%'), []);
        }
        assert.ok((await databases(`${name}\\_failed\\_%`)).length >= moments.length, url);
    });
});

test('an SQLite product is backed up, verified and restored', async () => {
    const installation = await Installation.create();
    const run = (statement) => execFileSync('sqlite3', [path.join(installation.dir, 'shop.db'), statement], { encoding: 'utf8' }).trim();
    installation.env.PRODUCT_DATABASE_URL = 'sqlite:shop.db';
    try {
        run("PRAGMA journal_mode = WAL; CREATE TABLE orders (id INTEGER PRIMARY KEY, what TEXT); INSERT INTO orders (what) VALUES ('a'), ('b'), ('c')");
        let { code, stdout, stderr } = await installation.cli(['backup', 'create', '--verify', '--json']);
        assert.equal(code, 0, stderr);
        const { path: file, rows } = JSON.parse(stdout);
        assert.equal(rows, 3);
        run("DELETE FROM orders WHERE what = 'b'");
        ({ code, stderr } = await installation.cli(['backup', 'restore', '--yes', file]));
        assert.equal(code, 1);
        assert.match(stderr, /table orders: 2 rows, there were 3/);
        assert.equal(run('SELECT count(*) FROM orders'), '2');
        ({ code, stdout, stderr } = await installation.cli(['backup', 'restore', '--yes', '--accept-data-loss', file]));
        assert.equal(code, 0, stderr);
        assert.match(stdout, /What it was until now is kept as \.\/shop\.db_failed_[0-9a-f]{8}/);
        assert.equal(run('SELECT count(*) FROM orders'), '3');
        const handle = await open(path.join(installation.dir, file), 'r+');
        await handle.write(randomBytes(16), 0, 16, 4096);
        await handle.close();
        assert.equal((await installation.cli(['backup', 'verify', file])).code, 1);
    } finally {
        await installation.remove();
    }
});

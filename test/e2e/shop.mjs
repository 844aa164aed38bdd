/*
 * A product that is deployed by "holdfast deploy": its repository with migrations, its database,
 * its releases as processes; with clients that never stop asking, and a writer that never stops
 * writing.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';

import { ask, Clients, isAlive, killAndWait, productFile } from './deploying.mjs';
import { freePort, Installation, psql, stores, waitFor } from './harness.mjs';
import { startCommand } from './support.mjs';

export const postgresql = stores.find((store) => store.name === 'postgresql');
const server = process.env.HOLDFAST_TEST_POSTGRES;

export const exit = { done: 0, failed: 1, usage: 2, unreachable: 3, rolledBack: 4, incomplete: 5, locked: 6 };

/* Writes one row after the other; each that was acknowledged has to be there in the end. */
class Writer {
    acknowledged = [];
    #stopped = false;

    constructor(url) {
        this.url = url;
        this.done = this.#run();
    }

    async #session() {
        const child = spawn('psql', ['-X', '-q', '-A', '-t', '-d', this.url], { stdio: ['pipe', 'pipe', 'ignore'] });
        this.child = child;
        child.stdin.on('error', () => {});
        const write = () => child.stdin.write('INSERT INTO "User" (email) VALUES (\'w\') RETURNING id;\n');
        child.stdout.setEncoding('utf8').on('data', (text) => {
            this.acknowledged.push(...text.split('\n').filter(Boolean).map(Number));
            if (!this.#stopped) write();
        });
        write();
        await once(child, 'close');
    }

    async #run() {
        while (!this.#stopped) await this.#session();
    }

    async stop() {
        this.#stopped = true;
        this.child.stdin.end();
        await this.done;
        return this;
    }
}

export class Shop {
    static async with(use, { migrations = true, fence = false, environment = {}, target = {} } = {}) {
        const installation = await Installation.create();
        const product = migrations && await postgresql.create();
        const shop = new Shop();
        Object.assign(shop, { installation, dir: installation.dir, url: product?.url, port: await freePort() });
        installation.env.FICKLE_PORT = String(shop.port);
        shop.address = `http://127.0.0.1:${shop.port}`;
        shop.environment = {
            target: { kind: 'process', command: ['node', productFile], port: shop.port, stop_timeout: '500ms', ...target },
            health: { url: `${shop.address}/health`, interval: '50ms', timeout: '1s', within: '3s', successes: 2, failing_for: '500ms', retries: 20 },
            ...(product && { database: { url: product.url, fence } }),
            ...environment,
        };
        await shop.configure();
        if (product) await shop.migration('20240101000000_init', 'CREATE TABLE "User" (id serial PRIMARY KEY, email text NOT NULL);\n');
        try {
            await use(shop);
        } finally {
            await shop.#end();
            if (product) {
                const name = new URL(product.url).pathname.slice(1);
                for (const aside of await psql(server, `SELECT datname FROM pg_database WHERE datname LIKE '${name}\\_failed\\_%'`))
                    await psql(server, `DROP DATABASE ${aside} WITH (FORCE)`);
                await product.drop();
            }
            await installation.remove();
        }
    }

    /* JSON is YAML. */
    async configure(change = () => {}) {
        change(this.environment);
        await writeFile(path.join(this.dir, 'holdfast.yml'), JSON.stringify({ environments: { prod: this.environment } }));
    }

    async migration(name, sql, down) {
        const dir = path.join(this.dir, 'prisma/migrations', name);
        await mkdir(dir, { recursive: true });
        await writeFile(path.join(dir, 'migration.sql'), sql);
        if (down) await writeFile(path.join(dir, 'down.sql'), down);
    }

    async deploy(release, wanted = exit.done, ...args) {
        const end = await this.installation.cli(['deploy', '--env', 'prod', '--release', release, ...args]);
        assert.equal(end.code, wanted, end.stderr + end.stdout);
        return end;
    }

    async rollback(wanted = exit.done, ...args) {
        const end = await this.installation.cli(['rollback', '--env', 'prod', ...args]);
        assert.equal(end.code, wanted, end.stderr + end.stdout);
        return end;
    }

    start(release, args = [], options = {}) {
        return startCommand(this.installation, ['deploy', '--env', 'prod', '--release', release, ...args], options);
    }

    sql(statement) {
        return psql(this.url, statement);
    }

    async columns() {
        return this.sql('SELECT column_name FROM information_schema.columns WHERE table_name = \'User\' ORDER BY ordinal_position');
    }

    async serving() {
        return (await ask(`${this.address}/`)).body;
    }

    clients() {
        this.asking = new Clients(this.address);
        return this.asking;
    }

    writer() {
        this.writing = new Writer(this.url);
        return this.writing;
    }

    /* No acknowledged row is missing. */
    async keeps(writer) {
        const there = new Set((await this.sql('SELECT id FROM "User"')).map(Number));
        assert.deepEqual(writer.acknowledged.filter((id) => !there.has(id)), [], 'rows that were acknowledged are missing');
    }

    async deployments() {
        const directory = path.join(this.dir, 'logs/deployments');
        const ids = existsSync(directory) ? (await readdir(directory)).filter((name) => /^[0-9a-f-]{36}$/.test(name)).sort() : [];
        return Promise.all(ids.map(async (id) => ({ id, directory: path.join(directory, id), journal: await this.#journal(path.join(directory, id)) })));
    }

    async report() {
        const { directory } = (await this.deployments()).at(-1);
        return JSON.parse(await readFile(path.join(directory, 'report.json'), 'utf8'));
    }

    async #journal(directory) {
        const text = await readFile(path.join(directory, 'journal.jsonl'), 'utf8');
        return text.split('\n').slice(0, -1).map((line) => JSON.parse(line));
    }

    /* The supervisor ends in order, and all it keeps running with it. */
    async #end() {
        await this.asking?.stop();
        await this.writing?.stop();
        const file = path.join(this.dir, 'data/process/prod/pid.json');
        if (!existsSync(file)) return;
        const { keeper, supervisor } = JSON.parse(readFileSync(file));
        for (const { pid } of [keeper, supervisor]) if (isAlive(pid)) await killAndWait(pid, 'SIGTERM');
    }
}

/* Waits until what a command says on its terminal matches. */
export const says = (run, pattern) => waitFor(`${pattern}`, () => pattern.test(run.stderr) || (run.child.exitCode !== null && assert.fail(run.stderr)), { timeout: 30_000 });

/*
 * Prisma itself and holdfast migrate take turns on one database: each finds what the other did.
 * Most of their time is a timer of Prisma's, which outlives its lock; so they run at once.
 * Prisma is that of test/interop/prisma, which script/bootstrap installs where there is npm.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { Installation, stores } from './harness.mjs';
import { sql } from './support.mjs';

const home = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../interop/prisma');
const program = path.join(home, 'node_modules/prisma/build/index.js');
const postgres = stores.find((store) => store.name === 'postgresql');
const skip = !postgres ? 'HOLDFAST_TEST_POSTGRES is not set' : !existsSync(program) && 'Prisma is not installed: npm ci in test/interop/prisma';

const first = '20240101000000_first';
const second = '20240201000000_second';

/* Runs Prisma over the installation's directory; returns { code, output }. */
function prisma(installation, ...args) {
    const env = {
        PATH: process.env.PATH,
        HOME: installation.dir,
        DATABASE_URL: installation.database.url,
        MIGRATIONS: path.join(installation.dir, 'prisma/migrations'),
        PRISMA_SCHEMA_ENGINE_BINARY: '/bin/true', // the engine is the one in JavaScript
        PRISMA_QUERY_ENGINE_LIBRARY: '/bin/true',
        PRISMA_HIDE_UPDATE_MESSAGE: '1',
        CHECKPOINT_DISABLE: '1',
    };
    return new Promise((resolve) => {
        execFile(process.execPath, [program, ...args], { cwd: home, env }, (error, stdout, stderr) =>
            resolve({ code: error ? error.code : 0, output: stdout + stderr }));
    });
}

async function put(installation, name, text) {
    const dir = path.join(installation.dir, 'prisma/migrations', name);
    await mkdir(dir, { recursive: true });
    await writeFile(path.join(dir, 'migration.sql'), text);
    await writeFile(path.join(dir, '../migration_lock.toml'), 'provider = "postgresql"\n');
}

async function withProduct(use) {
    const installation = await Installation.create({ store: postgres });
    try {
        await put(installation, first, '-- CreateTable\nCREATE TABLE "User" ("id" SERIAL NOT NULL, "name" TEXT,\n  CONSTRAINT "User_pkey" PRIMARY KEY ("id"));\n');
        await use(installation, (verb, ...args) => installation.cli(['migrate', verb, ...args]), (...args) => prisma(installation, 'migrate', ...args));
    } finally {
        await installation.remove();
    }
}

async function upToDate(ours, theirs) {
    const own = await ours('status');
    assert.equal(own.code, 0, own.stdout + own.stderr);
    const other = await theirs('status');
    assert.equal(other.code, 0, other.output);
    assert.match(other.output, /Database schema is up to date!/);
}

describe('Prisma and holdfast migrate', { skip, concurrency: 6 }, () => {
    test('Prisma is content with what we applied', () => withProduct(async (installation, ours, theirs) => {
        await put(installation, second, 'CREATE INDEX CONCURRENTLY "User_name" ON "User" ("name");\nALTER TABLE "User" ADD COLUMN "age" INT;\n');
        const before = await theirs('status');
        assert.equal(before.code, 1);
        assert.match(before.output, new RegExp(`not yet been applied:\n${first}\n${second}`));
        const deployed = await ours('deploy');
        assert.equal(deployed.code, 0, deployed.stderr);
        await upToDate(ours, theirs);
        const again = await theirs('deploy');
        assert.equal(again.code, 0, again.output);
        assert.match(again.output, /No pending migrations to apply/);
    }));

    test('we are content with what Prisma applied, and go on', () => withProduct(async (installation, ours, theirs) => {
        const deployed = await theirs('deploy');
        assert.equal(deployed.code, 0, deployed.output);
        await upToDate(ours, theirs);
        await put(installation, second, 'ALTER TABLE "User" ADD COLUMN "age" INT;\n');
        assert.equal((await ours('status')).code, 1);
        assert.equal((await ours('deploy')).code, 0);
        await upToDate(ours, theirs);
        const rows = await sql(installation, "SELECT count(*) FILTER (WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL AND applied_steps_count = 1), count(DISTINCT length(id)) FROM _prisma_migrations");
        assert.deepEqual(rows, ['2|1']);
    }));

    test('what failed with Prisma is P3009 for both, and either resolves it', () => withProduct(async (installation, ours, theirs) => {
        await put(installation, second, 'ALTER TABLE "User" ADD COLUMN "age" nosuchtype;\n');
        const failed = await theirs('deploy');
        assert.equal(failed.code, 1);
        assert.match(failed.output, /type "nosuchtype" does not exist/);
        assert.match((await theirs('deploy')).output, /P3009/);
        assert.match((await ours('deploy')).stderr, /P3009: /);
        assert.match((await ours('status')).stdout, /nosuchtype/, "Prisma's log is shown");
        assert.equal((await ours('resolve', '--rolled-back', second)).code, 0);
        await put(installation, second, 'ALTER TABLE "User" ADD COLUMN "age" INT;\n');
        assert.equal((await ours('deploy')).code, 0);
        await upToDate(ours, theirs);
    }));

    test('what failed with us is P3009 for both where a part stays, and Prisma resolves it', () => withProduct(async (installation, ours, theirs) => {
        await put(installation, second, 'CREATE TABLE "Part" (id INT);\nCREATE INDEX CONCURRENTLY i ON "Part" (nothing);\n');
        assert.equal((await ours('deploy')).code, 5);
        const stuck = await theirs('deploy');
        assert.equal(stuck.code, 1);
        assert.match(stuck.output, /P3009/);
        const resolved = await theirs('resolve', '--applied', second);
        assert.equal(resolved.code, 0, resolved.output);
        await upToDate(ours, theirs);
        assert.match((await ours('resolve', '--applied', second)).stderr, /P3008: /);
        assert.match((await theirs('resolve', '--applied', second)).output, /P3008/);
    }));

    test('what we undid is pending for Prisma, which applies it', () => withProduct(async (installation, ours, theirs) => {
        await put(installation, second, 'ALTER TABLE "User" ADD COLUMN "age" nosuchtype;\n');
        assert.equal((await ours('deploy')).code, 1);
        // Prisma's status tells only of what has no row at all, and so does it after its own resolve.
        assert.equal((await ours('status')).code, 1);
        await put(installation, second, 'ALTER TABLE "User" ADD COLUMN "age" INT;\n');
        const deployed = await theirs('deploy');
        assert.equal(deployed.code, 0, deployed.output);
        await upToDate(ours, theirs);
    }));

    test('a baseline that we resolve is one for Prisma', () => withProduct(async (installation, ours, theirs) => {
        await sql(installation, 'CREATE TABLE "User" (id INT)');
        assert.match((await theirs('deploy')).output, /P3005/);
        assert.match((await ours('deploy')).stderr, /P3005: /);
        assert.equal((await ours('resolve', '--applied', first)).code, 0);
        await upToDate(ours, theirs);
    }));
});

/*
 * What stands around a deployment: hooks, a team's own migration command, verification from
 * outside, routes that are told, a health that flaps, connections that are lost, a product on
 * SQLite.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import { describe, test } from 'node:test';

import { waitFor } from './harness.mjs';
import { exit, postgresql, says, Shop } from './shop.mjs';

const adds = ['20240201000000_age', 'ALTER TABLE "User" ADD age int;\n'];
const needsPostgres = { skip: !postgresql && 'HOLDFAST_TEST_POSTGRES is not set' };

/* A program of the team's. */
async function program(shop, name, script) {
    const file = path.join(shop.dir, name);
    await writeFile(file, `#!/bin/sh\n${script}\n`);
    await chmod(file, 0o755);
    return file;
}

/* Whoever is told, by a webhook. */
async function listener() {
    const heard = [];
    const server = http.createServer((request, response) => {
        let body = '';
        request.on('data', (data) => (body += data)).on('end', () => {
            heard.push(JSON.parse(body));
            response.end();
        });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    return { heard, url: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() };
}

describe('around a deployment', { concurrency: 4 }, () => {
    test('hooks run where they belong, and know the release', needsPostgres, () => Shop.with(async (shop) => {
        const note = await program(shop, 'note', 'echo "$1 $RELEASE $(psql -XAtq -d "$DATABASE_URL" -c "SELECT 1")" >> notes');
        await shop.configure((e) => (e.hooks = { before_migrations: [[note, 'before']], after_rollout: [[note, 'after']], after_rollback: [[note, 'back']] }));
        await shop.deploy('v1');
        await shop.deploy('ill-2', exit.rolledBack);
        assert.deepEqual((await readFile(path.join(shop.dir, 'notes'), 'utf8')).trim().split('\n'), ['before v1 1', 'after v1 1', 'back ill-2 1']);
        await shop.migration(...adds);
        await shop.configure((e) => (e.hooks.before_migrations = [["false"]]));
        const { stdout } = await shop.deploy('v3', exit.rolledBack);
        assert.match(stdout, /before_migrations: /);
        assert.deepEqual(await shop.columns(), ['id', 'email'], 'nothing was migrated');
        await shop.configure((e) => (e.hooks = { after_rollout: [['false']] }));
        const late = await shop.deploy('v4');
        assert.match(late.stdout, /The release serves; this is left to see to/);
        assert.equal(await shop.serving(), 'v4');
    }));

    test('a team may bring its own migration command', needsPostgres, () => Shop.with(async (shop) => {
        const migrate = await program(shop, 'migrate', 'exec psql -X -v ON_ERROR_STOP=1 -d "$DATABASE_URL" -f next.sql');
        await shop.configure((e) => (e.migrations = { command: [migrate] }));
        await writeFile(path.join(shop.dir, 'next.sql'), 'CREATE TABLE "User" (id serial PRIMARY KEY, email text NOT NULL);\n');
        await shop.deploy('v1');
        assert.deepEqual(await shop.columns(), ['id', 'email']);
        await writeFile(path.join(shop.dir, 'next.sql'), 'BEGIN;\nALTER TABLE "User" ADD age int;\nSELECT 1 / 0;\nCOMMIT;\n');
        const { stdout } = await shop.deploy('v2', exit.rolledBack);
        assert.match(stdout, /migrations\.command: .*(status|code) 3/);
        assert.deepEqual(await shop.columns(), ['id', 'email']);
        assert.equal(await shop.serving(), 'v1');
        assert.equal((await shop.report()).steps.find(({ name }) => name === 'backup').state, 'done');
    }));

    test('what is seen from outside decides', () => Shop.with(async (shop) => {
        await shop.deploy('v1');
        await shop.configure((e) => (e.verify = { url: `${shop.address}/`, token: 'secret-token' }));
        const { stdout } = await shop.deploy('v2', exit.rolledBack);
        assert.match(stdout, /no-token: answered 200/);
        assert.equal(await shop.serving(), 'v1');
        const report = await shop.report();
        assert.equal(report.verification.find(({ name }) => name === 'no-token').verdict, 'failed');
        for (const { directory } of await shop.deployments())
            assert.throws(() => execFileSync('grep', ['-r', 'secret-token', directory]), 'the token is nowhere on disk');
    }, { migrations: false }));

    test('routes hear of the beginning and of the end', () => Shop.with(async (shop) => {
        const route = await listener();
        const file = JSON.stringify({ environments: { prod: { ...shop.environment, notify: ['ci'] } }, notify: { ci: { webhook: route.url } } });
        await writeFile(path.join(shop.dir, 'holdfast.yml'), file);
        try {
            await shop.deploy('v1');
            await shop.deploy('v2');
            await shop.deploy('ill-3', exit.rolledBack);
            await shop.rollback();
            assert.deepEqual(route.heard.map(({ event, deployment }) => [event, deployment.release]), [
                ['deployment.started', 'v1'], ['deployment.done', 'v1'],
                ['deployment.started', 'v2'], ['deployment.done', 'v2'],
                ['deployment.started', 'ill-3'], ['deployment.rolled_back', 'ill-3'],
                ['deployment.rolled_back', 'v2'],
            ]);
        } finally {
            route.close();
        }
        const { stderr } = await shop.deploy('v4');
        assert.match(stderr, /ci/, 'who could not be told is named');
    }, { migrations: false }));

    test('a health that flaps neither proves a release nor condemns it at once', () => Shop.with(async (shop) => {
        await shop.deploy('v1');
        const { stderr } = await shop.deploy('flapping-2', exit.done, '--health-check-timeout', '20');
        assert.match(stderr, /not well/);
        assert.equal(await shop.serving(), 'flapping-2');
    }, { migrations: false }));

    test('a connection that is lost in a migration leaves nothing of it', needsPostgres, () => Shop.with(async (shop) => {
        await shop.deploy('v1');
        await shop.configure((e) => (e.backup = { verify: false }));
        await shop.migration('20240201000000_slow', 'ALTER TABLE "User" ADD age int;\nSELECT pg_sleep(30);\n');
        const run = shop.start('v2');
        await says(run, /20240201000000_slow: begins/);
        await waitFor('the migration to sleep', async () => (await shop.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'")).length > 0);
        const { code } = await run.ended;
        assert.equal(code, exit.rolledBack, run.stderr);
        assert.deepEqual(await shop.columns(), ['id', 'email']);
        assert.equal(await shop.serving(), 'v1');
        await shop.migration('20240201000000_slow', 'ALTER TABLE "User" ADD age int;\n');
        await shop.deploy('v3');
        assert.deepEqual(await shop.columns(), ['id', 'email', 'age']);
    }));

    test('a migration that is broken off half-way through statements of their own says what is left', needsPostgres, () => Shop.with(async (shop) => {
        await shop.deploy('v1');
        await shop.configure((e) => (e.backup = { verify: false }));
        await shop.migration('20240201000000_index', 'CREATE INDEX CONCURRENTLY one ON "User" (email);\nCREATE INDEX CONCURRENTLY two ON "User" (nothing);\n', 'DROP INDEX CONCURRENTLY IF EXISTS one;\n');
        const { stdout } = await shop.deploy('v2', exit.rolledBack);
        assert.match(stdout, /migration\.sql:2: column "nothing" does not exist/);
        assert.deepEqual(await shop.sql("SELECT indexname FROM pg_indexes WHERE indexname = 'one'"), []);
        assert.equal(await shop.serving(), 'v1');
        await shop.migration('20240201000000_index', 'CREATE INDEX CONCURRENTLY one ON "User" (email);\n');
        await shop.deploy('v3');
    }));

    test('a product on SQLite is backed up before its own command migrates it', () => Shop.with(async (shop) => {
        const file = path.join(shop.dir, 'shop.db');
        execFileSync('sqlite3', [file, 'CREATE TABLE a (id int); INSERT INTO a VALUES (1);']);
        const migrate = await program(shop, 'migrate', 'sqlite3 shop.db "ALTER TABLE a ADD b int"');
        await shop.configure((e) => Object.assign(e, { database: { url: `sqlite:${file}` }, migrations: { command: [migrate] } }));
        await shop.deploy('v1');
        assert.match(execFileSync('sqlite3', [file, '.schema a']).toString(), /b int/);
        const { facts } = (await shop.report()).steps.find(({ name }) => name === 'backup');
        assert.ok(existsSync(path.join(shop.dir, facts[0].text)), facts[0].text);
    }, { migrations: false }));
});

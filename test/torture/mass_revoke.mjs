#!/usr/bin/env node
/*
 * A mass revocation of many users is cut off, by SIGINT and by SIGKILL, and run again: it completes,
 * nobody's sessions are ended twice, and nobody is told twice.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

import { binary, stores, waitFor, withInstallation } from '../e2e/harness.mjs';
import { expect, small, sql, startCommand } from '../e2e/support.mjs';

const USERS = 100_000;
const seed = path.join(path.dirname(binary), 'bench/seed');

async function number(installation, query) {
    return Number((await sql(installation, query))[0]);
}

async function reportsOf(installation) {
    const logs = path.join(installation.dir, 'logs');
    const names = (await readdir(logs)).filter((name) => name.startsWith('mass-revoke-')).sort();
    return Promise.all(names.map(async (name) => JSON.parse(await readFile(path.join(logs, name), 'utf8'))));
}

/* Starts the command, and sends the signal when some are done and some are not. */
async function cutOff(installation, signal) {
    const run = startCommand(installation, ['revoke-sessions', '--file', 'users.txt', '--reason', 'leaked', '--yes']);
    await waitFor('the first users', async () => (await number(installation, "SELECT count(*) FROM notifications WHERE kind = 'sessions_revoked'")) > 0,
        { timeout: 60_000, every: 1 });
    run.child.kill(signal);
    const end = await run.ended;
    const done = await number(installation, "SELECT count(*) FROM families WHERE revoked_at IS NOT NULL");
    assert.ok(done > 0 && done < USERS, `${signal} came at ${done} of ${USERS}`);
    return { ...end, done };
}

async function torture(store, signal) {
    await withInstallation({ store, env: small }, async (installation) => {
        const lender = await installation.addUser({ tenant: 'Acme' });
        const { stdout } = await promisify(execFile)(seed, [installation.database.url, lender.email, String(USERS)],
            { cwd: installation.dir, maxBuffer: 1 << 26 });
        await writeFile(path.join(installation.dir, 'users.txt'), stdout);
        const server = await installation.start();

        const { code, stderr, done } = await cutOff(installation, signal);
        if (signal === 'SIGINT') {
            assert.equal(code, 1, stderr);
            assert.match(stderr, /interrupted; run it again/);
            const [report] = await reportsOf(installation);
            assert.equal(report.completed, false);
            assert.equal(report.users.filter(({ result }) => result === 'revoked').length, done);
            assert.equal(report.users.filter(({ result }) => result === 'not reached').length, USERS - done);
        }
        expect(await server.api('GET', '/health'), 200);

        const again = await installation.cli(['revoke-sessions', '--file', 'users.txt', '--reason', 'leaked', '--yes', '--json']);
        assert.equal(again.code, 0, again.stderr);
        const result = JSON.parse(again.stdout);
        assert.equal(result.revokedSessions, USERS - done, 'only what was left');
        assert.equal(result.matched, USERS);
        assert.equal(await number(installation, 'SELECT count(*) FROM families WHERE revoked_at IS NULL'), 0);
        assert.equal(await number(installation, "SELECT count(*) FROM notifications WHERE kind = 'sessions_revoked'"), USERS);
        assert.equal(await number(installation, "SELECT count(DISTINCT user_id) FROM notifications WHERE kind = 'sessions_revoked'"), USERS);

        const exported = (await installation.cli(['trail', 'export'])).stdout.trim().split('\n').map((line) => JSON.parse(line));
        const recorded = exported.filter(({ action }) => action === 'session.revoke_mass').reduce((sum, { detail }) => sum + detail.sessions, 0);
        assert.equal(recorded, USERS, 'each session is on record once');
        const verified = await installation.cli(['trail', 'verify']);
        assert.equal(verified.code, 0, verified.stderr);
        console.log(`${store.name}, ${signal}: cut off after ${done} of ${USERS}, completed`);
    });
}

for (const store of stores) for (const signal of ['SIGINT', 'SIGKILL']) await torture(store, signal);

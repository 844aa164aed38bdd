#!/usr/bin/env node
/*
 * A mass revocation of many users is cut off by SIGINT, run again and cut off by SIGKILL, and run
 * again: it completes, nobody's sessions are ended twice, and nobody is told twice.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

import { binary, stores, withInstallation } from '../e2e/harness.mjs';
import { expect, small, sql, startCommand } from '../e2e/support.mjs';

const USERS = 200_000; // some of the command's chunks
const seed = path.join(path.dirname(binary), 'bench/seed');

async function number(installation, query) {
    return Number((await sql(installation, query))[0]);
}

async function reportsOf(installation) {
    const logs = path.join(installation.dir, 'logs');
    const names = (await readdir(logs)).filter((name) => name.startsWith('mass-revoke-')).sort();
    return Promise.all(names.map(async (name) => JSON.parse(await readFile(path.join(logs, name), 'utf8'))));
}

const countEnded = (installation) => number(installation,
    'SELECT count(*) FROM families f WHERE EXISTS (SELECT 1 FROM epochs e WHERE e.user_id = f.user_id AND e.not_before >= f.created_at)');

/*
 * Starts the command on a terminal, where it tells how far it is, and sends the signal when more
 * are done than before, but not all.
 */
async function cutOff(installation, signal, before) {
    const command = `echo "pid $$"; exec ${binary} revoke-sessions --file users.txt --reason leaked --yes`;
    const run = startCommand(installation, ['-qefc', command, '/dev/null'], { command: ['script'], env: { SHELL: '/bin/sh' } });
    const far = () => Math.max(0, ...[...run.stdout.matchAll(/\] (\d+)\//g)].map(([, done]) => Number(done)));
    await Promise.race([new Promise((resolve) => run.child.stdout.on('data', () => far() > before && resolve())), run.ended]);
    assert.equal(run.child.exitCode, null, `it ended before it was cut off: ${run.stdout}`);
    process.kill(Number(/pid (\d+)/.exec(run.stdout)[1]), signal);
    const { code, stdout } = await run.ended;
    const done = await countEnded(installation);
    assert.ok(done > before && done < USERS, `${signal} came at ${done} of ${USERS}: ${stdout}`);
    return { code, stdout, done };
}

async function torture(store) {
    await withInstallation({ store, env: small }, async (installation) => {
        const lender = await installation.addUser({ tenant: 'Acme' });
        const { stdout } = await promisify(execFile)(seed, [installation.database.url, lender.email, String(USERS)],
            { cwd: installation.dir, maxBuffer: 1 << 26 });
        await writeFile(path.join(installation.dir, 'users.txt'), stdout);
        const server = await installation.start();

        const interrupted = await cutOff(installation, 'SIGINT', 0);
        assert.equal(interrupted.code, 1, interrupted.stdout);
        assert.match(interrupted.stdout, /interrupted; run it again/);
        const [report] = await reportsOf(installation);
        assert.equal(report.completed, false);
        const results = (wanted) => report.users.filter(({ result }) => result === wanted).length;
        assert.equal(results('revoked'), interrupted.done);
        assert.equal(results('not reached'), USERS - interrupted.done);

        const killed = await cutOff(installation, 'SIGKILL', interrupted.done);
        expect(await server.api('GET', '/health'), 200);

        const again = await installation.cli(['revoke-sessions', '--file', 'users.txt', '--reason', 'leaked', '--yes', '--json']);
        assert.equal(again.code, 0, again.stderr);
        const result = JSON.parse(again.stdout);
        assert.equal(result.revokedSessions, USERS - killed.done, 'only what was left');
        assert.equal(result.matched, USERS);
        assert.equal(await countEnded(installation), USERS);
        assert.equal(await number(installation, "SELECT count(*) FROM notifications WHERE kind = 'sessions_revoked'"), USERS);
        assert.equal(await number(installation, "SELECT count(DISTINCT user_id) FROM notifications WHERE kind = 'sessions_revoked'"), USERS);

        const exported = (await installation.cli(['trail', 'export'])).stdout.trim().split('\n').map((line) => JSON.parse(line));
        const recorded = exported.filter(({ action }) => action === 'session.revoke_mass').reduce((sum, { detail }) => sum + detail.sessions, 0);
        assert.equal(recorded, USERS, 'each session is on record once');
        const verified = await installation.cli(['trail', 'verify']);
        assert.equal(verified.code, 0, verified.stderr);
        console.log(`${store.name}: of ${USERS}, interrupted after ${interrupted.done}, killed after ${killed.done}, completed`);
    });
}

for (const store of stores) await torture(store);

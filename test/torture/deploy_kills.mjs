#!/usr/bin/env node
/*
 * kill -9 before and after each single write of a deployment's journal, of one that goes well and of
 * one that does not. The next run finishes or undoes it: the product serves the one release or the
 * other, all the time; the schema fits it; no row that was acknowledged is lost; no database, no
 * process and no lock is left behind.
 */
import assert from 'node:assert/strict';
import os from 'node:os';
import path from 'node:path';

import { binary, psql } from '../e2e/harness.mjs';
import { exit, Shop } from '../e2e/shop.mjs';

const preload = path.join(path.dirname(binary), 'test/die_at.so');
const LANES = Number(process.env.LANES ?? 2 * os.cpus().length);

const stories = [
    { name: 'one that goes well', release: 'v', code: exit.done },
    { name: 'one whose release is ill', release: 'ill-', code: exit.rolledBack },
];

/* A lane's product, with what is known of it. */
async function withLane(use) {
    await Shop.with(async (shop) => {
        await shop.configure((e) => Object.assign(e.health, { successes: 1, retries: 4 }));
        await shop.deploy('v0');
        const clients = shop.clients(), writer = shop.writer();
        await use({ shop, deployed: 0, serves: 'v0', writer, clients });
        await clients.stop();
        assert.deepEqual(clients.failed, [], 'requests failed');
        await writer.stop();
        await shop.keeps(writer);
    });
}

/* What has to be so whatever died: asked of the product, not of the deployment. */
async function holds(lane, at, release, column) {
    const serves = await lane.shop.serving(), columns = await lane.shop.columns();
    assert.ok([lane.serves, release].includes(serves), `${at}: ${serves} serves`);
    if (serves === release) assert.ok(columns.includes(column), `${at}: ${serves} without its schema`);
    const [fenced] = await lane.shop.sql("SELECT string_agg(datname, ', ') FROM pg_database WHERE NOT datallowconn AND datname <> 'template0'");
    assert.equal(fenced ?? '', '', `${at}: fenced off`);
    return serves;
}

/* Whether it died of the N-th write. */
async function kill(lane, story, n, when) {
    const at = `${story.name}, ${when} write ${n}`, { shop } = lane, number = ++lane.deployed;
    const release = `${story.release}${number}`, column = `c${number}`;
    await shop.migration(`20240201${String(number).padStart(6, '0')}_${column}`, `ALTER TABLE "User" ADD ${column} int;\n`);
    const { code, signal, stderr } = await shop.start(release, [], { env: { LD_PRELOAD: preload, DIE_AT: String(n), DIE_WHEN: when } }).ended;
    assert.ok(signal === 'SIGKILL' || code === story.code, `${at}: ${code}, ${stderr}`);
    await holds(lane, at, release, column);

    const { journal } = (await shop.deployments()).at(-1);
    if (journal.length > 0 && journal.at(-1).phase !== 'end') {
        const next = await shop.installation.cli(['deploy', '--env', 'prod', '--force-rollback']);
        assert.equal(next.code, exit.done, `${at}: ${next.stderr}`);
        assert.match(next.stderr, /was left unfinished/, at);
        const { journal: now } = (await shop.deployments()).at(-1);
        assert.equal(now.at(-1).phase, 'end', `${at}: not ended`);
    }
    lane.serves = await holds(lane, at, release, column);
    return signal === 'SIGKILL';
}

/* Numbers are handed out until a run outlives its own. */
async function tell(lanes, story, when) {
    let next = 1, last = Infinity;
    await Promise.all(lanes.map(async (lane) => {
        while (next < last) {
            const n = next++;
            if (!(await kill(lane, story, n, when))) last = Math.min(last, n);
        }
    }));
    assert.ok(last > 20, `${story.name}: only ${last - 1} writes`);
    console.log(`${story.name}: killed ${when} each of ${last - 1} writes of the journal`);
}

/* So many lanes at once, then what is to be done in all of them. */
async function withLanes(n, use, lanes = []) {
    if (n === 0) return use(lanes);
    return withLane((lane) => withLanes(n - 1, use, [...lanes, lane]));
}

await withLanes(LANES, async (lanes) => {
    for (const story of stories)
        for (const when of ['before', 'after']) await tell(lanes, story, when);
});
const left = await psql(process.env.HOLDFAST_TEST_POSTGRES, "SELECT datname FROM pg_database WHERE datname LIKE 'holdfast\\_scratch%' OR datname LIKE 'holdfast\\_restore%'");
assert.deepEqual(left, [], 'databases are left behind');

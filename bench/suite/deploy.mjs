// Deployments: what a restore interrupts, what a deployment of nothing costs, and backups against
// PostgreSQL's own tools.
import fs from 'node:fs';
import path from 'node:path';

import { median } from './measure.mjs';
import { freePort, holdfast, root, run } from './places.mjs';
import * as servers from './servers.mjs';

const product = path.join(root, 'test/e2e/product/server.cjs');
const MB = 1e6;

function environment(scene, url) {
  const own = Object.fromEntries(Object.entries(process.env).filter(([key]) => !key.startsWith('HOLDFAST_')));
  return {
    ...own,
    PRODUCT_DATABASE_URL: url ?? '',
    DATABASE_URL: `sqlite:${path.join(scene.dir, 'none.db')}`,
    DATA_DIR: path.join(scene.dir, 'data'),
    LOGS_DIR: path.join(scene.dir, 'logs'),
  };
}

const command = (scene, args, url) => run(holdfast, args, { cwd: scene.dir, env: environment(scene, url) });

const seconds = (from) => Number(process.hrtime.bigint() - from) / 1e9;

// A product's tables: an account's rows are as wide as pgbench has them.
function fill(url, megabytes) {
  const rows = Math.round(megabytes * 7100);
  run('psql', ['-qX', '-d', url, '-c', `
    CREATE TABLE accounts (id int PRIMARY KEY, branch int, balance int, filler text);
    INSERT INTO accounts SELECT i, i % 100, random() * 1e6, md5(i::text) || md5((i * 7)::text) FROM generate_series(1, ${rows}) i;
    CREATE INDEX ON accounts (branch);
    ANALYZE accounts`]);
  return Number(run('psql', ['-qAtX', '-d', url, '-c', 'SELECT pg_database_size(current_database())']));
}

function ours(scene, url) {
  const from = process.hrtime.bigint();
  const { file } = JSON.parse(command(scene, ['backup', 'create', '--json'], url));
  command(scene, ['backup', 'verify', file ?? newest(scene), '--json'], url);
  const took = seconds(from);
  fs.rmSync(path.join(scene.dir, 'backups'), { recursive: true });
  return took;
}

function newest(scene) {
  const directory = path.join(scene.dir, 'backups');
  return path.join(directory, fs.readdirSync(directory).find((name) => name.endsWith('.dump')));
}

function theirs(scene, url) {
  const file = path.join(scene.dir, 'plain.dump');
  const copy = url.replace(/[^/]*$/, 'plain_copy');
  const from = process.hrtime.bigint();
  run('pg_dump', ['-Fc', '-f', file, '-d', url]);
  run('psql', ['-qX', '-d', url, '-c', 'CREATE DATABASE plain_copy']);
  run('pg_restore', ['-d', copy, file]);
  const took = seconds(from);
  run('psql', ['-qX', '-d', url, '-c', 'DROP DATABASE plain_copy']);
  fs.rmSync(file);
  return took;
}

// A backup with its verification, against a plain dump that is restored.
export async function backup(scene) {
  const postgres = await servers.startPostgres(scene.dir);
  const url = postgres.database('shop');
  const size = fill(url, scene.quick ? 20 : 1000);
  scene.say(`  a database of ${Math.round(size / MB)} MB`);
  const pairs = [];
  for (let i = 0; i < Math.min(scene.count, 3); i++) {
    pairs.push([ours(scene, url), theirs(scene, url)]);
    scene.say(`  round ${i + 1}: ${pairs.at(-1).map((s) => `${s.toFixed(1)} s`).join(' against ')}`);
  }
  const ratios = pairs.map(([a, b]) => a / b);
  const middle = median(ratios);
  return {
    lines: [{
      what: `\`backup create\` and \`backup verify\`, ${Math.round(size / MB)} MB on PostgreSQL`,
      ours: `${median(pairs.map(([a]) => a)).toFixed(1)} s`,
      against: '`pg_dump -Fc` and `pg_restore`',
      theirs: `${median(pairs.map(([, b]) => b)).toFixed(1)} s`,
      ratio: `${middle.toFixed(2)} (${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)})`,
      target: '≤ 1.1 ×',
      reached: middle <= 1.1,
    }],
  };
}

// How long the database refuses connections while a restored one takes its place.
export async function restore(scene) {
  const postgres = await servers.startPostgres(scene.dir);
  const url = postgres.database('shop');
  fill(url, scene.quick ? 5 : 100);
  command(scene, ['backup', 'create', '--json'], url);
  const interruptions = [];
  for (let i = 0; i < scene.count; i++) {
    const said = command(scene, ['backup', 'restore', newest(scene), '--yes', '--accept-data-loss', '--json'], url);
    interruptions.push(JSON.parse(said).interruptionMs);
  }
  scene.say(`  ${interruptions.join(', ')} ms`);
  const most = Math.max(...interruptions);
  return { lines: [{ what: 'interruption by a fenced restore and swap, the longest', ours: `${most} ms`, target: '≤ 100 ms', reached: most <= 100 }] };
}

// The release that runs, deployed once more: what a deployment takes beyond its checks and probes.
export async function nothing(scene) {
  const port = await freePort();
  const environment_ = {
    target: { kind: 'process', command: ['node', product], port },
    health: { url: `http://127.0.0.1:${port}/health`, interval: '50ms', successes: 1 },
  };
  fs.writeFileSync(path.join(scene.dir, 'holdfast.yml'), JSON.stringify({ environments: { dev: environment_ } }));
  const deploy = () => JSON.parse(command(scene, ['deploy', '--env', 'dev', '--release', 'v1', '--json']));
  deploy();
  const beyond = [];
  for (let i = 0; i < scene.count; i++) {
    const from = process.hrtime.bigint();
    const { steps } = deploy();
    const took = (name) => steps.find((step) => step.name === name).durationMs ?? 0;
    beyond.push(seconds(from) * 1000 - took('check'));
  }
  const { keeper } = JSON.parse(fs.readFileSync(path.join(scene.dir, 'data/process/dev/pid.json')));
  process.kill(keeper.pid, 'SIGTERM');
  const most = Math.max(...beyond);
  scene.say(`  ${beyond.map((ms) => Math.round(ms)).join(', ')} ms`);
  return { lines: [{ what: 'a deployment that changes nothing, beyond its checks, the longest', ours: `${Math.round(most)} ms`, target: '≤ 1 s', reached: most <= 1000 }] };
}

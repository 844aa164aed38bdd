// What is measured: one entry a row, each with the lines that it adds to the table.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

import { measureWith, median, ratio, rounds } from './measure.mjs';
import { holdfast, run, tool } from './places.mjs';
import * as deploy from './deploy.mjs';
import * as servers from './servers.mjs';

const CLIENTS = 64;
const EVENT_CLIENTS = 512;
const IDLE = 20_000;
const SPARE_DESCRIPTORS = 100;
const MIB = 1 << 20;

// What rows have in common: how long, how often, and the directory of their data.
class Scene {
  constructor(context) {
    Object.assign(this, context);
  }

  async holdfastOn(url) {
    await servers.seedHoldfast(this.dir, url, CLIENTS);
    return servers.startHoldfast(this.dir, url, this.keepLog);
  }

  async peerOn(url, workers) {
    return servers.startPeer(this.dir, url, workers);
  }

  // PostgreSQL with the peer's database seeded.
  async peerDatabase(users = CLIENTS) {
    const postgres = await servers.startPostgres(this.dir);
    const url = postgres.database('peer');
    await servers.seedPeer(url, users);
    return { postgres, url };
  }

  sqlite() {
    return `sqlite:${path.join(this.dir, 'holdfast.db')}`;
  }

  rounds(contestants) {
    return rounds(contestants.filter(Boolean), this);
  }
}

function compared(what, ours, theirs, target) {
  const r = ours && ratio(ours, theirs);
  return {
    what,
    ours: ours && perSecond(ours),
    against: theirs.name,
    theirs: perSecond(theirs),
    ratio: r && `${r.median.toFixed(2)} (${r.min.toFixed(2)}–${r.max.toFixed(2)})`,
    target: target ? `≥ ${target} ×` : 'none',
    reached: ours && target ? r.median >= target : undefined,
  };
}

function alone(what, ours, target, reached) {
  return { what, ours, target, reached };
}

const perSecond = (result) => `${Math.round(median(result.perSecond)).toLocaleString('en')}/s`;

async function meContestant(scene, server) {
  const tokens = await servers.signIn(scene.dir, server, CLIENTS);
  return { server, mode: 'me', connections: CLIENTS, options: ['--input', tokens.access] };
}

async function me(scene) {
  const { url } = await scene.peerDatabase();
  const ours = scene.peersOnly
    ? undefined
    : await meContestant(scene, await scene.holdfastOn(scene.sqlite()));
  const both = await meContestant(scene, await scene.peerOn(url));
  const one = await meContestant(scene, await scene.peerOn(url, 1));
  const { bodyBytes } = await measureWith('load', [
    'me',
    ...['--port', (ours ?? both).server.port, '--duration', 1, '--warmup', 0],
    ...(ours ?? both).options,
  ]);
  const nginx = { ...(ours ?? both), server: await servers.startNginx(scene.dir, bodyBytes) };
  const results = await scene.rounds([nginx, ours, both, one]);
  const [bound, mine, two, single] = ours ? results : [results[0], undefined, ...results.slice(1)];
  bound.name = 'nginx `return 200`';
  const what = '`GET /auth/me`, 64 connections';
  return {
    loads: results,
    lines: [
      compared(what, mine, bound, 0.75),
      compared(what, mine, two, 6),
      compared(what, mine, single, undefined),
    ],
  };
}

async function refreshContestant(scene, server) {
  const { refresh } = await servers.signIn(scene.dir, server, CLIENTS);
  const options = ['--input', refresh, '--output', refresh];
  return { server, mode: 'refresh', connections: CLIENTS, options };
}

async function refreshPostgres(scene) {
  const { postgres, url } = await scene.peerDatabase();
  const ours = scene.peersOnly
    ? undefined
    : await refreshContestant(scene, await scene.holdfastOn(postgres.database('holdfast')));
  const both = await refreshContestant(scene, await scene.peerOn(url));
  const one = await refreshContestant(scene, await scene.peerOn(url, 1));
  const results = await scene.rounds([ours, both, one]);
  const [mine, two, single] = ours ? results : [undefined, ...results];
  const what = '`POST /auth/refresh` on PostgreSQL, 64 clients';
  return {
    loads: results,
    lines: [compared(what, mine, two, 6), compared(what, mine, single, undefined)],
  };
}

async function refreshSqlite(scene) {
  const contestant = await refreshContestant(scene, await scene.holdfastOn(scene.sqlite()));
  const results = await scene.rounds([contestant]);
  const rate = median(results[0].perSecond);
  const what = '`POST /auth/refresh` on SQLite, durable, 64 clients';
  return {
    loads: results,
    lines: [alone(what, perSecond(results[0]), '≥ 10,000/s', rate >= 10_000)],
  };
}

// Each event is told of another message that is in the log. The store has as many of them as would
// be asked for at twice the rate that is wanted.
async function eventsContestant(scene, url) {
  const messages = 30_000 * (scene.warmup + (scene.count + 1) * scene.seconds);
  const server = await scene.holdfastOn(url);
  scene.say(`  ${messages.toLocaleString('en')} messages in the log`);
  servers.seedSent(scene.dir, url, messages);
  const contestant = { server, mode: 'events', connections: EVENT_CLIENTS };
  contestant.options = () => {
    if (contestant.next > messages) {
      throw new Error(`${contestant.next} messages were told of, ${messages} are there`);
    }
    const prepared = 20_000 * Math.max(scene.seconds, scene.warmup);
    return [
      ...['--input', servers.webhookSecret(scene.dir), '--first', contestant.next ?? 1],
      ...['--prepared', prepared, '--sources', 4],
    ];
  };
  return contestant;
}

// That each event took effect is looked up in the end.
async function events(scene, url, store, wanted) {
  const contestant = await eventsContestant(scene, url);
  const results = await scene.rounds([contestant]);
  const delivered = servers.countMessages(url, scene.dir, 'delivered');
  if (delivered !== contestant.next - 1) {
    throw new Error(`${delivered} messages are delivered, ${contestant.next - 1} were told of`);
  }
  const rate = median(results[0].perSecond);
  const what = `events of mail on ${store}, signed, verified, durable, ${EVENT_CLIENTS} clients`;
  const target = wanted && `≥ ${wanted.toLocaleString('en')}/s`;
  return {
    loads: results,
    lines: [alone(what, perSecond(results[0]), target ?? 'none', wanted && rate >= wanted)],
  };
}

const eventsSqlite = (scene) => events(scene, scene.sqlite(), 'SQLite', 15_000);

async function eventsPostgres(scene) {
  const postgres = await servers.startPostgres(scene.dir);
  return events(scene, postgres.database('holdfast'), 'PostgreSQL');
}

// Accepted and handed over: the clock stops when nothing is left of what the clients sent.
async function sending(scene, url, store) {
  const { server, input } = await servers.startSending(scene.dir, url, scene.keepLog);
  let next = 1;
  const once = async (seconds) => {
    const began = process.hrtime.bigint();
    const result = await measureWith('load', [
      ...['emails', '--port', server.port, '--connections', CLIENTS, '--duration', seconds],
      ...['--warmup', 0, '--input', input, '--first', next],
    ]);
    await servers.outboxEmpty(url, scene.dir);
    const took = Number(process.hrtime.bigint() - began) / 1e9;
    const messages = result.next - next;
    next = result.next;
    return { perSecond: messages / took };
  };
  const results = await scene.rounds([{ server, once }]);
  const sent = servers.countMessages(url, scene.dir, 'sent');
  if (sent !== next - 1) {
    throw new Error(`${sent} messages are sent, ${next - 1} were accepted`);
  }
  const rate = median(results[0].perSecond);
  const what = `\`POST /v1/emails\` on ${store}, durable, and handed over to the sandbox, ${CLIENTS} clients`;
  return { loads: results, lines: [alone(what, perSecond(results[0]), '≥ 500/s', rate >= 500)] };
}

const sendSqlite = (scene) => sending(scene, scene.sqlite(), 'SQLite');

async function sendPostgres(scene) {
  const postgres = await servers.startPostgres(scene.dir);
  return sending(scene, postgres.database('holdfast'), 'PostgreSQL');
}

// Verifying a message of SNS, whose certificate is known, on one thread.
async function sns(scene) {
  const contestant = {
    server: { name: 'Holdfast' },
    once: (seconds) => measureWith('sns', [seconds]),
  };
  const results = await scene.rounds([contestant]);
  const what = 'messages of SNS verified (RSA 2048, SHA-256), one thread';
  return { loads: results, lines: [alone(what, perSecond(results[0]), 'none')] };
}

// Four times as many clients as cores keep every core hashing, and never fill the hashing queue.
async function login(scene) {
  const { url } = await scene.peerDatabase();
  const connections = 4 * scene.cores;
  const options = ['--input', servers.credentials(scene.dir, CLIENTS)];
  const contestant = (server) => ({ server, mode: 'login', connections, options });
  const ours = scene.peersOnly ? undefined : contestant(await scene.holdfastOn(scene.sqlite()));
  const peer = contestant(await scene.peerOn(url));
  const raw = {
    server: { name: 'libsodium alone' },
    once: (seconds) => measureWith('argon', [seconds]),
  };
  const results = await scene.rounds([raw, ours, peer]);
  const mine = ours && results[1];
  const what = '`POST /auth/login` (Argon2id, 19 MiB, t=2)';
  return {
    loads: results,
    lines: [compared(what, mine, results[0], 0.95), compared(what, mine, results.at(-1), undefined)],
  };
}

// The command's own count is believed only when it names every user.
function revoke(file, env, dir) {
  const began = process.hrtime.bigint();
  const args = ['revoke-sessions', '--file', file, '--reason', 'benchmark', '--yes', '--json'];
  return new Promise((resolve, reject) => {
    const child = spawn(holdfast, args, { env, cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] });
    const out = [];
    let err = '';
    child.stdout.on('data', (bytes) => out.push(bytes));
    child.stderr.on('data', (bytes) => (err = (err + bytes).slice(-2000)));
    child.once('error', reject);
    child.once('close', (code) => {
      const seconds = Number(process.hrtime.bigint() - began) / 1e9;
      if (code !== 0) {
        reject(new Error(`revoke-sessions ended with ${code}: ${err}`));
      } else {
        resolve({ seconds, ...JSON.parse(Buffer.concat(out).toString()) });
      }
    });
  });
}

async function massRevocation(scene, url, store) {
  const { env } = await servers.holdfastCommand(url);
  await servers.seedHoldfast(scene.dir, url, 1);
  const users = scene.quick ? 100_000 : 1_000_000;
  scene.say(`  inserting ${users.toLocaleString('en')} users`);
  const file = path.join(scene.dir, 'users.txt');
  const email = 'user1@bench.example';
  fs.writeFileSync(file, run(tool('seed'), [url, email, String(users)]));
  const result = await revoke(file, env, scene.dir);
  if (result.revokedSessions !== users) {
    throw new Error(`revoke-sessions ended ${result.revokedSessions} of ${users} sessions`);
  }
  scene.say(`  ${result.seconds.toFixed(2)} s`);
  const what = `\`revoke-sessions --file\` with ${users.toLocaleString('en')} users on ${store}`;
  return { lines: [alone(what, `${result.seconds.toFixed(2)} s`, '≤ 10 s', result.seconds <= 10)] };
}

const revokeSqlite = (scene) => massRevocation(scene, scene.sqlite(), 'SQLite');

async function revokePostgres(scene) {
  const postgres = await servers.startPostgres(scene.dir);
  return massRevocation(scene, postgres.database('holdfast'), 'PostgreSQL');
}

// As many connections as the system's limit of descriptors lets both sides hold.
async function idle(scene) {
  const limit = Number(run('sh', ['-c', 'ulimit -Hn']).trim().replace('unlimited', '1000000'));
  const connections = Math.min(scene.quick ? 2000 : IDLE, limit - SPARE_DESCRIPTORS);
  const contestants = [];
  if (!scene.peersOnly) {
    contestants.push(await meContestant(scene, await scene.holdfastOn(scene.sqlite())));
  }
  const nginx = await servers.startNginx(scene.dir, 230);
  contestants.push({ server: nginx, connections: CLIENTS, mode: 'me', options: [] });
  const measured = [];
  for (const contestant of contestants) {
    const { server, options } = contestant;
    await measureWith('load', ['me', '--port', server.port, '--duration', 1, ...options]);
    const result = await measureWith('load', [
      'idle',
      ...['--port', server.port, '--pid', server.pid, '--connections', connections],
      ...['--sources', 100, '--duration', 3, ...options],
    ]);
    scene.say(`  ${server.name}: ${Math.round(result.bytesPerConnection)} bytes`);
    measured.push(Math.round(result.bytesPerConnection));
  }
  const mine = scene.peersOnly ? undefined : measured[0];
  const line = {
    what: `memory an idle keep-alive connection, ${connections.toLocaleString('en')} held`,
    ours: mine === undefined ? undefined : `${mine} bytes`,
    against: 'nginx',
    theirs: `${measured.at(-1)} bytes`,
    target: '≤ 1,024 bytes',
    reached: mine === undefined ? undefined : mine <= 1024,
  };
  return { lines: [line] };
}

async function startOnce(scene, { port, command, args, env }, path) {
  return measureWith('start', [port, path, command, ...args], { env, cwd: scene.dir });
}

// On a database that exists: what a restart costs.
async function start(scene) {
  const { url: peerUrl } = await scene.peerDatabase(1);
  if (!scene.peersOnly) {
    await servers.seedHoldfast(scene.dir, scene.sqlite(), 1);
  }
  const ours = [];
  const theirs = [];
  for (let round = 0; round < scene.count; round++) {
    if (!scene.peersOnly) {
      ours.push(await startOnce(scene, await servers.holdfastCommand(scene.sqlite()), '/health'));
    }
    theirs.push(await startOnce(scene, await servers.peerCommand(peerUrl), '/health'));
  }
  const of = (list, field) => (list.length ? median(list.map((r) => r[field])) : undefined);
  const line = (what, field, text, target, limit) => ({
    what,
    ours: ours.length ? text(of(ours, field)) : undefined,
    against: 'peer',
    theirs: text(of(theirs, field)),
    target,
    reached: ours.length ? of(ours, field) <= limit : undefined,
  });
  const ms = (value) => `${value.toFixed(1)} ms`;
  const mib = (value) => `${(value / MIB).toFixed(1)} MiB`;
  return {
    lines: [
      line('from exec to the first answer', 'firstAnswerMs', ms, '≤ 50 ms', 50),
      line('resident memory a second after start', 'pssBytes', mib, '≤ 20 MB', 20_000_000),
    ],
  };
}

const DAY = 86_400_000;
const MOST_MS = 10;

// One request after the other, as what is measured is how long each takes.
async function latencyOf(scene, server, input, name, path) {
  const { latencyUs, perSecond } = await measureWith('load', [
    ...['me', '--port', server.port, '--connections', 1],
    ...['--duration', scene.seconds, '--warmup', scene.warmup],
    ...['--path', path, '--input', input],
  ]);
  scene.say(`  ${name}: ${(latencyUs.p99 / 1000).toFixed(2)} ms`);
  return { name, perSecond: [perSecond], p50: latencyUs.p50, p99: latencyUs.p99 };
}

// What an administrator whose tenant has nine tenths of the messages looks at.
async function measureMail(scene, url, store) {
  const count = scene.quick ? 100_000 : 10_000_000;
  scene.say(`  inserting ${count.toLocaleString('en')} messages`);
  await servers.seedMail(scene.dir, url, count);
  const server = await servers.startHoldfast(scene.dir, url, scene.keepLog);
  const signed = await fetch(`${server.url}/auth/login`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ email: 'bench@bench.example', password: servers.PASSWORD }),
  });
  const { accessToken } = await signed.json();
  const input = path.join(scene.dir, 'token');
  fs.writeFileSync(input, `${accessToken}\n`, { mode: 0o600 });
  const base = '/v1/email-monitoring';
  const headers = { Authorization: `Bearer ${accessToken}` };
  const cursorAt = async (days) => {
    const until = new Date(Date.now() - days * DAY).toISOString();
    const page = await fetch(`${server.url}${base}/logs?limit=1&until=${until}`, { headers });
    return (await page.json()).nextCursor;
  };
  const [middle, oldest] = [await cursorAt(42), await cursorAt(84)];
  const figures = [];
  for (const [name, target] of [
    ['figures of 24 hours by domain', '/metrics?window=24h&bucket=1h&groupBy=domain'],
    ['figures of 7 days by domain', '/metrics?window=7d&bucket=1h&groupBy=domain'],
    ['figures of 90 days by domain', '/metrics?window=90d&groupBy=domain'],
    ['figures of 90 days by template, every 7 hours', '/metrics?window=90d&bucket=7h&groupBy=template'],
  ]) {
    figures.push(await latencyOf(scene, server, input, name, base + target));
  }
  const pages = [];
  for (const [name, target] of [
    ['log, newest', '/logs'],
    ['log, from the middle', `/logs?cursor=${middle}`],
    ['log, oldest', `/logs?cursor=${oldest}`],
    ['log, of a state that none is in', '/logs?status=rejected'],
    ['log, bounced, oldest', `/logs?status=bounced&cursor=${oldest}`],
  ]) {
    pages.push(await latencyOf(scene, server, input, name, base + target));
  }
  const worst = Math.max(...pages.map(({ p99 }) => p99)) / 1000;
  const line = (what, ms) =>
    alone(`${what}, ${count.toLocaleString('en')} messages on ${store}`, `${ms.toFixed(2)} ms`, `≤ ${MOST_MS} ms`, ms <= MOST_MS);
  return {
    loads: [...figures, ...pages],
    lines: [
      ...figures.map(({ name, p99 }) => line(`\`GET /v1/email-monitoring/metrics\`, ${name}, p99`, p99 / 1000)),
      line('`GET /v1/email-monitoring/logs`, p99 at the worst depth', worst),
    ],
  };
}

const mailSqlite = (scene) => measureMail(scene, scene.sqlite(), 'SQLite');

async function mailPostgres(scene) {
  const postgres = await servers.startPostgres(scene.dir);
  return measureMail(scene, postgres.database('holdfast'), 'PostgreSQL');
}

export const rows = [
  { name: 'me', run: me, peers: true },
  { name: 'refresh-postgres', run: refreshPostgres, peers: true },
  { name: 'refresh-sqlite', run: refreshSqlite },
  { name: 'login', run: login, peers: true },
  { name: 'revoke-sqlite', run: revokeSqlite },
  { name: 'revoke-postgres', run: revokePostgres },
  { name: 'mail-sqlite', run: mailSqlite },
  { name: 'mail-postgres', run: mailPostgres },
  { name: 'send-sqlite', run: sendSqlite },
  { name: 'send-postgres', run: sendPostgres },
  { name: 'events-sqlite', run: eventsSqlite },
  { name: 'events-postgres', run: eventsPostgres },
  { name: 'sns', run: sns },
  { name: 'backup', run: deploy.backup },
  { name: 'restore', run: deploy.restore },
  { name: 'deploy', run: deploy.nothing },
  { name: 'idle', run: idle, peers: true },
  { name: 'start', run: start, peers: true },
];

export async function measureRow(row, context) {
  const scene = new Scene(context);
  try {
    return await row.run(scene);
  } finally {
    await servers.stopAll();
  }
}

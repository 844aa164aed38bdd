// The servers under measurement, each on loopback with data that is thrown away.
import { spawn } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { freePort, holdfast, peer, root, run, tool } from './places.mjs';

export const PASSWORD = 'correct horse battery';
const WEBHOOK_SECRET = 'a secret of webhooks in benchmarks';
const START_MS = 30_000;
const STOP_MS = 30_000;
const HAND_OVER_MS = 300_000;

const running = new Set();

// A process of ours; stopAll ends it, whatever happened meanwhile.
class Server {
  constructor(name, port, command, args, options) {
    this.name = name;
    this.port = port;
    this.url = `http://127.0.0.1:${port}`;
    this.log = options.log;
    this.stopSignal = options.stopSignal ?? 'SIGTERM';
    const log = fs.openSync(options.log ?? '/dev/null', 'a');
    this.child = spawn(command, args, { ...options, stdio: ['ignore', log, log] });
    fs.closeSync(log);
    this.ended = new Promise((resolve) => {
      this.child.once('exit', resolve);
      this.child.once('error', resolve);
    });
    running.add(this);
    this.ended.then(() => {
      this.over = true;
      running.delete(this);
    });
  }

  get pid() {
    return this.child.pid;
  }

  async answers(path) {
    const until = Date.now() + START_MS;
    while (!(await fetch(this.url + path).then((a) => a.ok, () => false))) {
      if (this.over || Date.now() > until) {
        const said = this.log ? fs.readFileSync(this.log, 'utf8').slice(-2000) : '';
        throw new Error(`${this.name} does not answer on ${this.url}${path}\n${said}`);
      }
      await delay(20);
    }
    return this;
  }

  async stop() {
    if (!this.over) {
      this.child.kill(this.stopSignal);
      const killer = setTimeout(() => this.child.kill('SIGKILL'), STOP_MS);
      await this.ended;
      clearTimeout(killer);
    }
  }
}

export async function stopAll() {
  // The latest first: servers before their database.
  for (const server of [...running].reverse()) {
    await server.stop();
  }
}

// A temporary PostgreSQL cluster, durable as in production.
export async function startPostgres(dir) {
  const bin = run('pg_config', ['--bindir']).trim();
  const data = path.join(dir, 'postgres');
  const identity = asPostgres(dir);
  run(path.join(bin, 'initdb'), ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8'], identity);
  const port = await freePort();
  const settings = {
    port,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: dir,
    max_connections: 200,
    shared_buffers: '512MB',
    max_wal_size: '4GB',
    fsync: 'on',
    synchronous_commit: 'on',
  };
  const args = Object.entries(settings).flatMap(([key, value]) => ['-c', `${key}=${value}`]);
  const server = new Server('PostgreSQL', port, path.join(bin, 'postgres'), ['-D', data, ...args], {
    ...identity,
    log: path.join(dir, 'postgres.log'),
    stopSignal: 'SIGINT', // SIGTERM would wait for every client
  });
  const psql = (database, sql) =>
    run('psql', ['-qAtX', '-h', '127.0.0.1', '-p', port, '-U', 'postgres', '-c', sql, database]);
  const until = Date.now() + START_MS;
  for (;;) {
    try {
      psql('postgres', 'SELECT 1');
      break;
    } catch (error) {
      if (server.over || Date.now() > until) {
        throw error;
      }
      await delay(50);
    }
  }
  server.database = (name) => {
    psql('postgres', `CREATE DATABASE ${name}`);
    return `postgresql://postgres@127.0.0.1:${port}/${name}`;
  };
  return server;
}

// PostgreSQL refuses to run as root.
function asPostgres(dir) {
  if (process.getuid() !== 0) {
    return {};
  }
  const uid = Number(run('id', ['-u', 'postgres']));
  const gid = Number(run('id', ['-g', 'postgres']));
  fs.chownSync(dir, uid, gid);
  return { uid, gid, cwd: dir };
}

export async function nginxConfig(dir, bodyBytes) {
  const port = await freePort();
  const file = path.join(dir, 'nginx.conf');
  const text = fs
    .readFileSync(path.join(root, 'bench/nginx.conf'), 'utf8')
    .replaceAll('@PORT@', port)
    .replaceAll('@DIR@', dir)
    .replaceAll('@BODY@', 'x'.repeat(bodyBytes));
  fs.writeFileSync(file, text);
  return { port, command: 'nginx', args: ['-c', file, '-e', path.join(dir, 'nginx.log')] };
}

export async function startNginx(dir, bodyBytes) {
  const { port, command, args } = await nginxConfig(dir, bodyBytes);
  const options = { log: path.join(dir, 'nginx.out') };
  return new Server('nginx', port, command, args, options).answers('/');
}

export async function peerCommand(databaseUrl, workers) {
  const port = await freePort();
  const env = {
    PATH: process.env.PATH,
    NODE_ENV: 'production',
    DATABASE_URL: databaseUrl,
    JWT_SECRET: crypto.randomBytes(64).toString('hex'),
    PORT: String(port),
    ...(workers ? { WORKERS: String(workers) } : {}),
  };
  return { port, command: 'node', args: [path.join(peer, 'dist/main.js')], env };
}

// workers: processes; without it the peer takes one a core.
export async function startPeer(dir, databaseUrl, workers) {
  const { port, command, args, env } = await peerCommand(databaseUrl, workers);
  const name = workers === 1 ? 'peer, one process' : 'peer';
  const log = path.join(dir, `peer-${port}.log`);
  return new Server(name, port, command, args, { env, log }).answers('/health');
}

export async function seedPeer(databaseUrl, users) {
  const { env } = await peerCommand(databaseUrl);
  run('node', [path.join(peer, 'dist/seed.js'), String(users)], { env, input: PASSWORD });
}

// What is lifted are the limits of attempts: the rate of hashing is measured, not the refusal.
export async function holdfastCommand(databaseUrl, settings = {}) {
  const port = await freePort();
  const env = {
    PATH: process.env.PATH,
    HOLDFAST_ENV: 'development',
    DATABASE_URL: databaseUrl,
    PORT: String(port),
    RATE_LIMIT_PER_MINUTE: '0',
    LOGIN_ATTEMPTS_PER_MINUTE: '100000',
    LOGIN_ATTEMPTS_PER_HOUR: '100000',
    EMAIL_TRANSPORT: 'none', // as in production: no sandbox beside, and no notices by mail
    SES_WEBHOOK_SECRET: WEBHOOK_SECRET,
    ...settings,
  };
  return { port, command: holdfast, args: ['serve'], env };
}

// Each request's log line goes where its standard error does: to keepLog's file or /dev/null.
export async function startHoldfast(dir, databaseUrl, keepLog, settings) {
  const { port, command, args, env } = await holdfastCommand(databaseUrl, settings);
  const log = keepLog ? path.join(dir, `holdfast-${port}.log`) : undefined;
  const server = new Server('Holdfast', port, command, args, { env, cwd: dir, log });
  return server.answers('/health');
}

export async function seedHoldfast(dir, databaseUrl, users) {
  const { env } = await holdfastCommand(databaseUrl);
  for (let i = 1; i <= users; i++) {
    const args = ['users', 'add', '--email', `user${i}@bench.example`, '--role', 'member'];
    run(holdfast, [...args, '--tenant', 'bench', '--password-stdin', '--json'], {
      env,
      cwd: dir,
      input: PASSWORD,
    });
  }
}

// A tenant with an administrator. Returns its id.
async function seedTenant(dir, databaseUrl, tenant) {
  const { env } = await holdfastCommand(databaseUrl);
  const args = ['users', 'add', '--email', `${tenant}@bench.example`, '--role', 'admin'];
  const options = { env, cwd: dir, input: PASSWORD };
  return JSON.parse(run(holdfast, [...args, '--tenant', tenant, '--password-stdin', '--json'], options)).tenantId;
}

// Tenants "bench" and "other", and that many messages of theirs.
export async function seedMail(dir, databaseUrl, count) {
  const tenants = [await seedTenant(dir, databaseUrl, 'bench'), await seedTenant(dir, databaseUrl, 'other')];
  run(tool('seed_mail'), [databaseUrl, ...tenants, String(count)]);
}

// A server whose tenant "bench" sends to the sandbox, and the file of its program's token.
export async function startSending(dir, databaseUrl, keepLog) {
  const tenant = await seedTenant(dir, databaseUrl, 'bench');
  const token = crypto.randomBytes(32).toString('hex');
  const input = path.join(dir, 'service-token');
  fs.writeFileSync(input, `${token}\n`, { mode: 0o600 });
  const settings = {
    EMAIL_TRANSPORT: 'sandbox',
    EMAIL_SERVICE_TOKENS: `${tenant}:${token}`,
    SANDBOX_SMTP_PORT: '-1',
    SANDBOX_HTTP_PORT: '-1',
  };
  return { server: await startHoldfast(dir, databaseUrl, keepLog, settings), input };
}

// Signs user1@… to userN@… in, and returns the files of their tokens.
export async function signIn(dir, server, users) {
  const access = [];
  const refresh = [];
  for (let i = 1; i <= users; i++) {
    const answer = await fetch(`${server.url}/auth/login`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ email: `user${i}@bench.example`, password: PASSWORD }),
    });
    if (!answer.ok) {
      throw new Error(`${server.name}: sign-in answered ${answer.status}: ${await answer.text()}`);
    }
    const session = await answer.json();
    access.push(session.accessToken);
    refresh.push(session.refreshToken);
  }
  const write = (kind, lines) => {
    const file = path.join(dir, `${kind}-${server.port}`);
    fs.writeFileSync(file, lines.map((line) => `${line}\n`).join(''), { mode: 0o600 });
    return file;
  };
  return { access: write('access', access), refresh: write('refresh', refresh) };
}

export function credentials(dir, users) {
  const file = path.join(dir, 'credentials');
  const lines = Array.from({ length: users }, (_, i) => `user${i + 1}@bench.example ${PASSWORD}\n`);
  fs.writeFileSync(file, lines.join(''));
  return file;
}

export function webhookSecret(dir) {
  const file = path.join(dir, 'webhook-secret');
  fs.writeFileSync(file, `${WEBHOOK_SECRET}\n`, { mode: 0o600 });
  return file;
}

// SQL on Holdfast's tables by the engine's own client. Returns what it printed.
function sql(url, dir, text) {
  if (!url.startsWith('sqlite:')) {
    return run('psql', ['-qAtX', '-v', 'ON_ERROR_STOP=1', '-d', url], { input: text, cwd: dir });
  }
  const file = url.slice('sqlite:'.length);
  return run('sqlite3', ['-batch', '-bail', '-cmd', '.timeout 20000', file], { input: text });
}

// Messages m1 to mN that were sent, each to another address, as bench/events.c tells of them; in the
// log and in the figures of one hour.
export function seedSent(dir, url, n) {
  const lite = url.startsWith('sqlite:');
  const id = lite ? "CAST(printf('%016d', n) AS BLOB)" : "decode(lpad(to_hex(n), 32, '0'), 'hex')";
  const from = lite ? `WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < ${n})` : '';
  const source = lite ? 's' : `generate_series(1, ${n}) AS s(n)`;
  const tenant = 'SELECT id FROM tenants LIMIT 1';
  const at = Math.floor(Date.now() / 3_600_000) * 3_600_000;
  const counters = 'queued, sent, delayed, delivered, suppressed, rejected, bounced, complained, bounced_counted, complained_counted';
  const figures = [300_000, 3_600_000, 86_400_000].flatMap((span) =>
    [[1, "''"], [2, 'domain'], [3, 'template']].map(([kind, name]) => `
    INSERT INTO email_figures (tenant_id, kind, span, bucket, name, ${counters})
    SELECT tenant_id, ${kind}, ${span}, ${at - (at % span)}, ${name}, 0, count(*), 0, 0, 0, 0, 0, 0, 0, 0
    FROM email_logs GROUP BY tenant_id${kind === 1 ? '' : `, ${name}`};`));
  sql(url, dir, `BEGIN;
    ${from} INSERT INTO email_logs (id, message_id, tenant_id, provider_id, recipient, domain, template, subject,
      transport, state, counted, error_code, detail, created_at, sent_at, state_at)
    SELECT ${id}, ${id}, (${tenant}), 'm' || n, 'user' || n || '@d' || (n % 100) || '.example',
      'd' || (n % 100) || '.example', 'receipt', 'Your receipt', 'ses', 'sent', 0, '', '', ${at}, ${at}, ${at}
    FROM ${source};
    ${figures.join('')}
    COMMIT;
    ANALYZE;`);
}

export const countMessages = (url, dir, state) =>
  Number(sql(url, dir, `SELECT count(*) FROM email_logs WHERE state = '${state}';`));

// Until nothing that was accepted is left to be handed over.
export async function outboxEmpty(url, dir) {
  const until = Date.now() + HAND_OVER_MS;
  while (sql(url, dir, 'SELECT count(*) FROM (SELECT 1 FROM email_outbox LIMIT 1) o;').trim() !== '0') {
    if (Date.now() > until) {
      throw new Error('messages are not handed over');
    }
    await delay(20);
  }
}

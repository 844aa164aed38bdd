// What the figures were measured on, and with.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { peer, root, run } from './places.mjs';

const SYNC_MS = 1000;

// How often a second the disk below dir makes 4 KiB durable: the bound of unshared commits.
function syncsPerSecond(dir) {
  const file = path.join(dir, 'sync');
  const fd = fs.openSync(file, 'w');
  const block = Buffer.alloc(4096);
  const until = Date.now() + SYNC_MS;
  let n = 0;
  for (; Date.now() < until; n++) {
    fs.writeSync(fd, block);
    fs.fdatasyncSync(fd);
  }
  fs.closeSync(fd);
  fs.unlinkSync(file);
  return n;
}

function versionOf(command, args) {
  try {
    return /\d+(\.\d+)+/.exec(run('sh', ['-c', `${command} ${args} 2>&1`]))?.[0] ?? 'unknown';
  } catch {
    return 'absent';
  }
}

function peerVersions() {
  const lock = JSON.parse(fs.readFileSync(path.join(peer, 'package-lock.json'), 'utf8'));
  const wanted = ['@nestjs/core', 'fastify', '@nestjs/jwt', 'pg', '@node-rs/argon2'];
  return wanted.map((name) => `${name} ${lock.packages[`node_modules/${name}`].version}`).join(', ');
}

export function describe(dir) {
  const memory = Math.round(os.totalmem() / 2 ** 30);
  const cpus = os.cpus();
  const files = run('stat', ['-f', '-c', '%T', dir]).trim();
  const syncs = syncsPerSecond(dir).toLocaleString('en');
  return {
    processor: `${cpus[0].model}, ${cpus.length} cores`,
    memory: `${memory} GiB`,
    system: `${os.type()} ${os.release()}`,
    disk: `${files}, ${syncs} durable 4 KiB writes a second`,
    nginx: versionOf('nginx', '-v'),
    PostgreSQL: versionOf('pg_config', '--version'),
    SQLite: versionOf('pkg-config', '--modversion sqlite3'),
    libsodium: versionOf('pkg-config', '--modversion libsodium'),
    'Node.js': process.versions.node,
    peer: peerVersions(),
  };
}

export const commit = () => run('git', ['-C', root, 'describe', '--always', '--dirty']).trim();

// Loads, rounds, medians.
import { spawn } from 'node:child_process';
import fs from 'node:fs';

import { tool } from './places.mjs';

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

// Runs one of our programs and reads its line of JSON. Not synchronous: servers' pipes and exits
// are to be served meanwhile.
export function measureWith(name, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(tool(name), args.map(String), {
      ...options,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let out = '';
    let err = '';
    child.stdout.on('data', (bytes) => (out += bytes));
    child.stderr.on('data', (bytes) => (err += bytes));
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) {
        resolve(JSON.parse(out));
      } else {
        reject(new Error(`${name} ${args.join(' ')} failed: ${err}${out}`));
      }
    });
  });
}

// User and system time of a process and its descendants so far, in µs (clock ticks are 10 ms).
export function cpuOf(pid) {
  const stats = new Map();
  for (const name of fs.readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) {
      continue;
    }
    try {
      const text = fs.readFileSync(`/proc/${name}/stat`, 'utf8');
      const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
      stats.set(Number(name), { parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) });
    } catch {
      // It has ended since.
    }
  }
  const sum = (id) =>
    (stats.get(id)?.ticks ?? 0) +
    [...stats].reduce((total, [child, { parent }]) => (parent === id ? total + sum(child) : total), 0);
  return sum(pid) * 10_000;
}

// One load on one server: load's result, with cpuUs: the server's CPU time a request.
async function loadOnce(contestant, seconds) {
  const { options = [] } = contestant;
  const before = cpuOf(contestant.server.pid);
  const result = await measureWith('load', [
    contestant.mode,
    ...['--port', contestant.server.port, '--connections', contestant.connections],
    ...['--duration', seconds, '--warmup', 0],
    ...(typeof options === 'function' ? options() : options),
  ]);
  contestant.next = result.next;
  result.cpuUs = (cpuOf(contestant.server.pid) - before) / result.requests;
  return result;
}

// Interleaved rounds: A B C A B C; a contestant is a server with its load, or has a measurement of
// its own in once. Before them an unmeasured pass warms each up.
export async function rounds(contestants, { count, seconds, warmup, say }) {
  const once = (contestant, duration) =>
    contestant.once ? contestant.once(duration) : loadOnce(contestant, duration);
  for (const contestant of contestants) {
    await once(contestant, warmup);
  }
  for (let round = 1; round <= count; round++) {
    for (const contestant of contestants) {
      const result = await once(contestant, seconds);
      (contestant.results ??= []).push(result);
      say(`  round ${round} ${contestant.server.name}: ${Math.round(result.perSecond)}/s`);
    }
  }
  return contestants.map(({ server, results, once: own }) => ({
    name: server.name,
    perSecond: results.map((r) => r.perSecond),
    ...(own ? {} : details(results)),
  }));
}

function details(results) {
  return {
    p50: median(results.map((r) => r.latencyUs.p50)),
    p99: median(results.map((r) => r.latencyUs.p99)),
    cpuUs: median(results.map((r) => r.cpuUs)),
  };
}

// The ratio of two in each round: its median, least and greatest.
export function ratio(ours, theirs) {
  const each = ours.perSecond.map((value, i) => value / theirs.perSecond[i]);
  return { median: median(each), min: Math.min(...each), max: Math.max(...each) };
}

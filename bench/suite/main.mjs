// bench/run: measures the rows and writes the report.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { commit, describe } from './machine.mjs';
import { build, holdfast, prepare, root } from './places.mjs';
import { report } from './report.mjs';
import { measureRow, rows } from './rows.mjs';
import { stopAll } from './servers.mjs';

const usage = `usage: bench/run [option ...]
Measures Holdfast against its peers and writes docs/BENCHMARKS.md.

  --only NAME     measure one row (may be given again), keep the others' figures:
                  ${rows.map((row) => row.name).join(', ')}
  --rounds N      interleaved rounds (5)
  --seconds N     that each load lasts (5)
  --quick         one round of one second, fewer users and connections; the report goes to
                  build/bench-quick.md: it says that everything runs, not how fast
  --peers-only    leave Holdfast out, write the report to build/bench-peers.md
  --keep-log      keep the servers' logs and data, and say where
`;

function wrongUsage(message) {
  process.stderr.write(`bench/run: ${message}\n${usage}`);
  process.exit(2);
}

function number(text, name) {
  if (!/^[1-9]\d{0,3}$/.test(text)) {
    wrongUsage(`--${name} takes a number from 1 to 9999, not "${text}"`);
  }
  return Number(text);
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        only: { type: 'string', multiple: true },
        rounds: { type: 'string', default: '5' },
        seconds: { type: 'string', default: '5' },
        quick: { type: 'boolean', default: false },
        'peers-only': { type: 'boolean', default: false },
        'keep-log': { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    return values;
  } catch (error) {
    return wrongUsage(error.message);
  }
}

function chooseRows(options) {
  const wanted = options.only ?? rows.map((row) => row.name);
  const unknown = wanted.filter((name) => !rows.some((row) => row.name === name));
  if (unknown.length) {
    wrongUsage(`there is no row "${unknown[0]}"`);
  }
  return rows.filter((row) => wanted.includes(row.name) && (row.peers || !options['peers-only']));
}

// The report, and the results that it is made of, so that one row can be measured again alone.
function outputs(options) {
  if (options.quick) {
    return [path.join(build, 'bench-quick.md'), path.join(build, 'bench-quick.json')];
  }
  if (options['peers-only']) {
    return [path.join(build, 'bench-peers.md'), path.join(build, 'bench-peers.json')];
  }
  return [path.join(root, 'docs/BENCHMARKS.md'), path.join(root, 'docs/benchmarks.json')];
}

// The figures of earlier runs, unless they are another machine's.
function earlier(file, machine) {
  if (!fs.existsSync(file)) {
    return {};
  }
  const found = JSON.parse(fs.readFileSync(file, 'utf8'));
  const same = ['processor', 'memory'].every((key) => found.machine[key] === machine[key]);
  return same ? found.rows : {};
}

async function measureAll(chosen, context) {
  const results = {};
  for (const row of chosen) {
    const loadAverage = os.loadavg()[0];
    const dir = fs.mkdtempSync(path.join(context.top, `${row.name}-`));
    fs.chmodSync(dir, 0o755);
    context.say(row.name);
    const result = await measureRow(row, { ...context, dir });
    results[row.name] = {
      name: row.name,
      at: new Date().toISOString(),
      rounds: context.count,
      seconds: context.seconds,
      commit: commit(),
      loadAverage,
      ...result,
    };
    if (!context.keepLog) {
      fs.rmSync(dir, { recursive: true, force: true });
    }
  }
  return results;
}

function contextOf(options) {
  const top = fs.mkdtempSync(path.join(os.tmpdir(), 'holdfast-bench-'));
  fs.chmodSync(top, 0o755);
  return {
    top,
    count: options.quick ? 1 : number(options.rounds, 'rounds'),
    seconds: options.quick ? 1 : number(options.seconds, 'seconds'),
    warmup: options.quick ? 1 : 5,
    quick: options.quick,
    peersOnly: options['peers-only'],
    keepLog: options['keep-log'],
    cores: os.availableParallelism(),
    say: (line) => process.stderr.write(`${line}\n`),
    clear() {
      if (this.keepLog) {
        this.say(`kept: ${this.top}`);
      } else {
        fs.rmSync(this.top, { recursive: true, force: true });
      }
    },
  };
}

async function measureAndWrite(options, chosen, context) {
  const machine = describe(context.top);
  const measured = await measureAll(chosen, context);
  const [text, data] = outputs(options);
  const all = { ...(options.quick ? {} : earlier(data, machine)), ...measured };
  fs.mkdirSync(path.dirname(data), { recursive: true });
  fs.writeFileSync(data, `${JSON.stringify({ machine, rows: all }, null, 2)}\n`);
  fs.writeFileSync(text, report(machine, all));
  context.say(`written: ${text}`);
}

async function main() {
  const options = readOptions();
  if (options.help) {
    process.stdout.write(usage);
    return;
  }
  const chosen = chooseRows(options);
  prepare();
  if (!options['peers-only'] && !fs.existsSync(holdfast)) {
    wrongUsage(`${holdfast} is not built; --peers-only measures the others`);
  }
  const context = contextOf(options);
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, async () => {
      await stopAll();
      context.clear();
      process.exit(1);
    });
  }
  try {
    await measureAndWrite(options, chosen, context);
  } finally {
    context.clear();
  }
}

try {
  await main();
} catch (error) {
  process.stderr.write(`bench/run: ${error.message}\n`);
  process.exitCode = 1;
}

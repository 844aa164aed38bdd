// docs/BENCHMARKS.md, made of the results of the latest run of each row.
import { rows } from './rows.mjs';

const dash = '–';

function table(head, lines) {
  const row = (cells) => `| ${cells.join(' | ')} |`;
  return [row(head), row(head.map(() => '---')), ...lines.map(row)].join('\n');
}

function verdict(reached) {
  return reached === undefined ? dash : reached ? 'yes' : '**no**';
}

function mainTable(results) {
  const lines = results.flatMap(({ name, lines }) =>
    lines.map((line) => [
      line.what,
      line.ours ?? dash,
      line.against ? `${line.against}: ${line.theirs}` : dash,
      line.ratio ?? dash,
      line.target,
      verdict(line.reached),
      `\`bench/run --only ${name}\``,
    ]),
  );
  return table(
    ['what', 'Holdfast', 'compared with', 'ratio (least–greatest)', 'target', 'reached', 'command'],
    lines,
  );
}

function loadTable(results) {
  const lines = results.flatMap(({ name, loads }) =>
    (loads ?? []).map((load) => [
      name,
      load.name,
      load.perSecond.map((value) => Math.round(value).toLocaleString('en')).join(', '),
      load.p50 === undefined ? dash : `${(load.p50 / 1000).toFixed(2)} ms`,
      load.p99 === undefined ? dash : `${(load.p99 / 1000).toFixed(2)} ms`,
      load.cpuUs === undefined ? dash : `${load.cpuUs.toFixed(1)} µs`,
    ]),
  );
  return table(['row', 'server', 'requests/s, round by round', 'p50', 'p99', 'CPU a request'], lines);
}

function runsTable(results) {
  const lines = results.map(({ name, at, commit, rounds, seconds, loadAverage }) => [
    name,
    at,
    commit,
    `${rounds} × ${seconds} s`,
    loadAverage.toFixed(2),
  ]);
  return table(['row', 'measured at', 'commit', 'rounds', 'load average before'], lines);
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

// A ratio above what nginx reaches with a constant answer is one that this machine does not allow.
function bounds(byName) {
  const loads = Object.fromEntries((byName.me?.loads ?? []).map((load) => [load.name, load]));
  const [nginx, ours, peer] = ['nginx `return 200`', 'Holdfast', 'peer'].map((name) => loads[name]);
  if (!nginx || !ours || !peer) {
    return '';
  }
  const most = median(nginx.perSecond.map((rate, i) => rate / peer.perSecond[i]));
  return `
## What the machine does not allow

- \`GET /auth/me\`: the load generator takes as much of the two cores as a fast server does, so the ratio
  to the peer on both cores says more of the generator than of the servers: nginx, which answers a
  constant, reaches ${most.toFixed(1)} × the peer. By the CPU that a request takes of the server itself, Holdfast
  needs ${ours.cpuUs.toFixed(1)} µs and the peer ${peer.cpuUs.toFixed(1)} µs: ${(peer.cpuUs / ours.cpuUs).toFixed(1)} ×. Against the peer on one core, as many a container
  runs it, the ratio is in the table.
- \`POST /auth/login\`: a hash takes 19 MiB anew from the kernel and gives them back, as libsodium is
  built; that is two fifths of its time, and threads of one process wait for each other meanwhile. The
  ratio to libsodium alone is what the sign-in adds: a look at the account, a session, a record in
  the trail, and their durable commit.
`;
}

export function report(machine, byName) {
  const results = rows.map(({ name }) => byName[name]).filter(Boolean);
  const facts = Object.entries(machine).map(([key, value]) => `- ${key}: ${value}`);
  return `# Benchmarks

Written by \`bench/run\`, which measures all of it again; \`bench/run --only NAME\` measures one row.

${mainTable(results)}

A ratio is taken within each round and its median is given, because the machine's speed drifts
between rounds.
${bounds(byName)}
## How it was measured

Load generator and servers share the machine and talk over loopback. Rounds are interleaved: each
server once, then each again. All servers of a row run throughout; each is warmed up before the
first round. Connections are kept alive, without pipelining, and one request is under way on each
(\`build/bench/load --help\`). Every status is checked: a single answer that is not 2xx fails the run.

- **Holdfast** runs with its defaults, but for the limits of attempts, which are lifted; each
  request's log line is written, to /dev/null.
- **nginx** answers \`return 200\` from memory with a body of the same length and reads the same
  request (\`bench/nginx.conf\`).
- **The peer** (\`bench/peer\`) does the same work as a NestJS team would write it: Fastify adapter,
  compiled answer schemas, HS256 with a KeyObject, users and revocations from memory,
  Argon2id in libuv's threads, a rotation as one transaction (\`SELECT … FOR UPDATE\`, reuse check,
  \`UPDATE\`, \`INSERT\`, \`COMMIT\`) of named statements over pg's pipeline mode, one process a core.
  It keeps no request log, no trail, no rate limit. "peer, one process" is the same without cluster.
- PostgreSQL is one temporary cluster for both, reached over TCP, with fsync and synchronous
  commit on. SQLite commits with \`synchronous=FULL\`.
- libsodium alone: \`build/bench/argon\` checks one password on as many threads as there are cores.
- Sending: each request is one message of some 1,400 bytes to another address, of one tenant by its program's
  token; 202 comes when it is on disk. 16 senders hand messages over to the sandbox, which keeps the newest 500 in
  the same database. A round's rate is of all that was accepted, over the time until the last of it is handed over.
- Events of mail: each request is one delivery as SES publishes it, some 800 bytes, signed by
  HMAC-SHA256, of another message of the log, to one of a hundred domains; 202 comes when it is on disk and
  message and figures have changed. They are signed before the clock starts. In the end as many messages are delivered as were told of.
- Messages of SNS: \`build/bench/sns\` verifies one again and again, certificate known.
- Mass revocation: the users, each with one live session, are inserted by \`build/bench/seed\`; the
  time is that of the whole command, which must report every session as ended.
- Mail: the messages are inserted by \`build/bench/seed_mail\`, over 85 days, 200 domains, 10 templates and two
  tenants; one request at a time by the administrator of the larger one. A log's worst depth is the
  slowest of its newest page, the middle, the end, the end of those that bounced, and those of a state that no message is in.
- Backup: the two commands, each a process of its own, against \`pg_dump -Fc\` and \`pg_restore\` into a new database,
  with their defaults. Restore: by the tool's own clock, from the fence until the restored database could be reached.
  Deployment: of a process, the release that runs once more; from exec to the end, less the step that checks.
- Idle connections: each makes a request, is held for three seconds and must answer another; the
  growth of the server's proportional set size (\`smaps_rollup\`) is divided by their number.
- Start: \`build/bench/start\`, on a database that exists; memory is the proportional set size of
  all processes.

## Rounds, latencies, CPU

CPU a request is the server's own user and system time, without PostgreSQL's; it is the steadiest
figure.

${loadTable(results)}

## Machine and versions

${facts.join('\n')}

${runsTable(results)}
`;
}

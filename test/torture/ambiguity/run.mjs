// Sends malformed and ambiguous requests to our engine, to Node's http and to nginx side by side,
// each followed by a marker request, and compares where each says that a request ends.
//
//   node run.mjs HTTP_ECHO [-v]
//
// Fails where ours takes a request for complete that another of the three frames differently, that
// the other two frame differently from each other, or that the corpus says must be refused; and
// where ours refuses what the corpus says is well-formed. Without nginx it compares with Node.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';

const MARKER = 'GET /marker HTTP/1.1\r\nHost: a.example\r\n\r\n';
const MARKED = 'GET /marker 0';
// A server that waits for more bytes can only be told by its silence.
const SILENCE_MS = 1500;

const cases = JSON.parse(fs.readFileSync(new URL('cases.json', import.meta.url), 'utf8'));
const cleanups = [];

function describe(req, res) {
  let length = 0;
  req.on('data', (piece) => { length += piece.length; });
  req.on('end', () => {
    const target = req.url.replace(/^https?:\/\/[^/]*/, ''); // an absolute form is no matter here
    const text = `${req.method} ${target} ${length}\n`;
    res.writeHead(200, { 'Content-Length': Buffer.byteLength(text) });
    res.end(text);
  });
  req.on('error', () => {});
}

function startNode(where) {
  const server = http.createServer(describe);
  cleanups.push(() => { server.close(); server.closeAllConnections(); });
  return new Promise((resolve) => {
    server.listen(where, () => resolve(server.address().port));
  });
}

function startOurs(program) {
  const child = spawn(program, ['0', '1'], { stdio: ['ignore', 'pipe', 'inherit'] });
  cleanups.push(() => child.kill());
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => reject(new Error(`our server ended with ${code}`)));
    child.stdout.on('data', (text) => {
      const port = /listening on (\d+)/.exec(text);
      if (port) resolve(Number(port[1]));
    });
  });
}

function freePort() {
  const probe = net.createServer();
  return new Promise((resolve) => {
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

function canConnect(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('connect', () => { socket.destroy(); resolve(true); });
    socket.on('error', () => resolve(false));
  });
}

const findNginx = () => ['/usr/sbin', ...process.env.PATH.split(':')]
  .map((dir) => path.join(dir, 'nginx')).find((file) => fs.existsSync(file));

// nginx reads each body whole and passes it, framed anew, to a Node that describes what arrived.
async function startNginx() {
  const program = findNginx();
  if (!program) return null;
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'ambiguity-'));
  fs.chmodSync(dir, 0o755);
  const upstream = path.join(dir, 'upstream.sock');
  await startNode(upstream);
  fs.chmodSync(upstream, 0o777);
  const port = await freePort();
  const temps = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${dir}/${name};`).join(' ');
  fs.writeFileSync(path.join(dir, 'nginx.conf'), `
    daemon off; master_process off; pid ${dir}/pid; error_log /dev/null crit;
    events { worker_connections 1024; }
    http { access_log off; ${temps}
      server { listen 127.0.0.1:${port}; server_name a.example;
        location / { proxy_pass http://unix:${upstream}:; proxy_http_version 1.1; } } }`);
  const child = spawn(program, ['-p', dir, '-c', path.join(dir, 'nginx.conf')],
    { stdio: ['ignore', 'ignore', 'inherit'] });
  let ended = false;
  child.on('exit', () => { ended = true; });
  cleanups.push(() => { child.kill(); fs.rmSync(dir, { recursive: true, force: true }); });
  while (!await canConnect(port)) {
    if (ended) throw new Error('nginx did not start');
    await new Promise((resolve) => { setTimeout(resolve, 20); });
  }
  return port;
}

// Takes complete answers off the front of text: their status and first line of body.
function parseAnswers(text) {
  const answers = [];
  for (;;) {
    const end = text.indexOf('\r\n\r\n');
    if (end < 0) return { answers, rest: text };
    const head = text.slice(0, end);
    const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1]);
    const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
    const stop = end + 4 + (status < 200 ? 0 : length);
    if (text.length < stop) return { answers, rest: text };
    if (status >= 200) answers.push({ status, body: text.slice(end + 4, stop).trim() });
    text = text.slice(stop);
  }
}

function observe(port, bytes) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    let text = '';
    let timer;
    const finish = (end) => {
      clearTimeout(timer);
      socket.destroy();
      const { answers } = parseAnswers(text);
      const accepted = answers.filter((a) => a.status === 200).map((a) => a.body);
      const refused = answers.find((a) => a.status !== 200)?.status;
      resolve({ accepted, refused, end });
    };
    const listen = () => {
      clearTimeout(timer);
      timer = setTimeout(finish, SILENCE_MS, 'waits');
    };
    socket.on('connect', () => { socket.write(Buffer.from(bytes, 'latin1')); listen(); });
    socket.on('data', (piece) => {
      text += piece.toString('latin1');
      listen();
    });
    socket.on('end', () => finish('closed'));
    socket.on('error', () => finish('closed'));
    // Once the marker is answered there is nothing to wait for.
    socket.on('data', () => {
      const last = parseAnswers(text).answers.at(-1);
      if (last?.status === 200 && last.body === MARKED) finish('marker');
    });
  });
}

const accepts = (seen) => seen.accepted.length > 0;
const refuses = (seen) => seen.accepted.length === 0 && seen.end === 'closed'
  && ((seen.refused >= 400 && seen.refused < 500) || [501, 505].includes(seen.refused));
const framing = (seen) => JSON.stringify([seen.accepted, seen.end]);

function show(seen) {
  const words = seen.accepted.map((a) => JSON.stringify(a));
  if (seen.refused) words.push(seen.refused);
  return [...words, seen.end].join(' ');
}

// What is wrong with how ours took the case, or undefined.
function judge(test, seen) {
  const framings = new Set(Object.values(seen).filter(accepts).map(framing));
  if (test.want === 'accept') {
    if (seen.ours.end !== 'marker') return 'is well-formed, but ours does not accept it';
    return framings.size > 1 ? 'is framed differently, and ours accepts it' : undefined;
  }
  if (refuses(seen.ours)) return undefined;
  return framings.size > 1 ? 'is framed differently, and ours does not refuse it'
    : 'must be refused with 4xx, 501 or 505 and the connection closed';
}

async function main() {
  const [program, verbose] = process.argv.slice(2);
  if (!program) throw new Error('usage: node run.mjs HTTP_ECHO [-v]');
  const servers = { ours: await startOurs(program), node: await startNode(0) };
  const nginx = await startNginx();
  if (nginx) servers.nginx = nginx;
  else console.log('nginx is not installed: comparing with Node only');

  let failures = 0;
  let differing = 0;
  await Promise.all(cases.map(async (test) => {
    const names = Object.keys(servers);
    const results = await Promise.all(
      names.map((name) => observe(servers[name], test.bytes + MARKER)));
    const seen = Object.fromEntries(names.map((name, i) => [name, results[i]]));
    const wrong = judge(test, seen);
    const others = new Set(names.filter((n) => n !== 'ours').map((n) => framing(seen[n])));
    differing += others.size > 1 ? 1 : 0;
    failures += wrong ? 1 : 0;
    if (wrong || verbose) {
      console.log(`${wrong ? 'FAIL' : 'ok'} ${test.name}${wrong ? `: ${wrong}` : ''}`);
      names.forEach((name) => console.log(`    ${name.padEnd(5)} ${show(seen[name])}`));
    }
  }));
  console.log(`${cases.length} cases, ${differing} treated differently by the others, `
    + `${failures} failures`);
  return failures ? 1 : 0;
}

main().then((code) => { process.exitCode = code; }, (error) => {
  console.error(error);
  process.exitCode = 1;
}).finally(() => cleanups.forEach((cleanup) => cleanup()));

/*
 * Runs the built binary for the end-to-end tests and the torture scripts, and watches over it:
 * a server that is stopped has to end with 0, with no error in its log that the test did not
 * announce, and with no report of a sanitizer.
 *
 *     forEachStore((store) => {
 *         test('answers', async () => {
 *             await withInstallation({ store }, async (installation) => {
 *                 const server = await installation.start();
 *                 const { status, body } = await server.api('GET', '/health');
 *             });
 *         });
 *     });
 *
 * HOLDFAST_BINARY names the binary (build/holdfast); HOLDFAST_TEST_POSTGRES a PostgreSQL whose
 * user may create databases, as script/with-postgres sets it.
 */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { describe } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const START_MS = 30_000;
const STOP_MS = 40_000; // longer than the longest drain
const REQUEST_MS = 30_000;

export const binary = path.resolve(root, process.env.HOLDFAST_BINARY ?? 'build/holdfast');
export const password = 'correct horse battery staple';

/* What a sanitizer writes when it found something. */
const sanitizerReport = /(Address|Thread|Leak|Memory|UndefinedBehavior)Sanitizer|runtime error:/;

/* Of our own environment only what programs need: no setting of a developer reaches a test. */
const passedOn = ['PATH', 'HOME', 'TMPDIR', 'USER', 'ASAN_OPTIONS', 'UBSAN_OPTIONS', 'TSAN_OPTIONS', 'LSAN_OPTIONS'];

/* For tests that sign in more often than people do; a test of the limits sets its own. */
const defaults = {
    LOG_FORMAT: 'json',
    LOGIN_ATTEMPTS_PER_MINUTE: '100000',
    LOGIN_ATTEMPTS_PER_HOUR: '100000',
    SANDBOX_SMTP_PORT: '0', // many servers run at once; see Server.sandbox()
    SANDBOX_HTTP_PORT: '0',
};

const running = new Set();
process.on('exit', () => {
    for (const child of running) child.kill('SIGKILL');
});

/* Waits until condition() gives something true, and returns it. */
export async function waitFor(what, condition, { timeout = 10_000, every = 20 } = {}) {
    const end = Date.now() + timeout;
    for (;;) {
        const result = await condition();
        if (result) return result;
        if (Date.now() > end) assert.fail(`${what}: not within ${timeout} ms`);
        await new Promise((resolve) => setTimeout(resolve, every));
    }
}

/*
 * A port that nobody listens on, from twenty that are this process's own: below those that the
 * kernel gives to clients, and two servers that shared one by SO_REUSEPORT would not notice.
 */
let nextPort = 0;
export async function freePort() {
    for (let attempt = 0; attempt < 20; attempt++) {
        const port = 10_000 + (process.pid % 500) * 20 + (nextPort++ % 20);
        const server = net.createServer();
        const free = await new Promise((resolve) => {
            server.on('error', () => resolve(false));
            server.listen(port, () => server.close(() => resolve(true)));
        });
        if (free) return port;
    }
    throw new Error('none of the twenty ports of this process is free');
}

/* One SQL statement by psql, as someone outside the product would run it. Returns its rows. */
export async function psql(url, sql) {
    const { stdout } = await promisify(execFile)('psql', ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-d', url, '-c', sql]);
    return stdout.split('\n').filter((line) => line !== '');
}

const sqlite = {
    name: 'sqlite',
    async create() {
        return { url: 'sqlite:data/holdfast.db', drop: async () => {} };
    },
};

const postgres = {
    name: 'postgresql',
    async create() {
        const server = process.env.HOLDFAST_TEST_POSTGRES;
        const name = `holdfast_${randomBytes(6).toString('hex')}`;
        await psql(server, `CREATE DATABASE ${name}`);
        return {
            url: server.replace(/^(\w+:\/\/[^/?]*)(\/[^?]*)?/, `$1/${name}`),
            drop: () => psql(server, `DROP DATABASE ${name} WITH (FORCE)`),
        };
    },
};

export const stores = process.env.HOLDFAST_TEST_POSTGRES ? [sqlite, postgres] : [sqlite];

/* Registers the suite once for each store there is. */
export function forEachStore(suite) {
    for (const store of stores) describe(`on ${store.name}`, () => suite(store));
}

/* A directory, a database and settings: what the servers and commands of one installation share. */
export class Installation {
    static async create({ store = sqlite, env = {}, program = [binary] } = {}) {
        const installation = new Installation();
        installation.dir = await mkdtemp(path.join(os.tmpdir(), 'holdfast-e2e-'));
        installation.database = await store.create();
        installation.program = program;
        installation.servers = [];
        installation.env = { ...defaults, DATABASE_URL: installation.database.url, ...env };
        for (const name of passedOn)
            if (process.env[name] !== undefined) installation.env[name] ??= process.env[name];
        return installation;
    }

    /* Starts a server and waits until it is healthy; several may run at once. */
    async start(options = {}) {
        const server = new Server(this, options);
        this.servers.push(server);
        await server.start();
        return server;
    }

    /* Runs a command. Returns { code, stdout, stderr }; it is the caller who judges the code. */
    async cli(args, { input = '', env = {} } = {}) {
        const child = spawn(this.program[0], [...this.program.slice(1), ...args], {
            cwd: this.dir,
            env: { ...this.env, ...env },
        });
        running.add(child);
        const result = { code: null, stdout: '', stderr: '' };
        child.stdout.setEncoding('utf8').on('data', (text) => (result.stdout += text));
        child.stderr.setEncoding('utf8').on('data', (text) => (result.stderr += text));
        child.stdin.on('error', () => {}); // a command need not read its input
        child.stdin.end(input);
        [result.code] = await once(child, 'close');
        running.delete(child);
        assert.doesNotMatch(result.stderr, sanitizerReport);
        return result;
    }

    /* Returns { id, email, role, tenantId, password }. */
    async addUser({ email = `${randomBytes(6).toString('hex')}@example.com`, role = 'member', tenant = 'Acme', password: secret = password } = {}) {
        const args = ['users', 'add', '--email', email, '--role', role, '--tenant', tenant, '--json', '--password-stdin'];
        const { code, stdout, stderr } = await this.cli(args, { input: `${secret}\n` });
        assert.equal(code, 0, `users add ended with ${code}: ${stderr}`);
        return { ...JSON.parse(stdout), password: secret };
    }

    /* Stops what runs and removes everything. Every server is stopped before a failure is told. */
    async remove() {
        const failures = [];
        for (const server of this.servers)
            await server.stop().catch((error) => failures.push(error));
        await this.database.drop();
        await rm(this.dir, { recursive: true, force: true });
        if (failures.length) throw failures[0];
    }
}

/* An installation for the length of use(); its servers are stopped and judged at the end. */
export async function withInstallation(options, use) {
    const installation = await Installation.create(options);
    let failure;
    try {
        await use(installation);
    } catch (error) {
        failure = error;
    }
    try {
        await installation.remove();
    } catch (error) {
        failure ??= error;
    }
    if (failure) throw failure;
}

export class Server {
    constructor(installation, { port, env = {}, args = [], expectErrors = [] } = {}) {
        Object.assign(this, { installation, port, env, args });
        this.expected = [...expectErrors];
        this.stderr = '';
        this.lines = []; // the log, parsed
    }

    async start() {
        for (let attempt = 0; ; attempt++) {
            const chosen = this.port ?? (await freePort());
            this.#spawn(chosen);
            if (await this.#untilHealthy(chosen)) {
                this.port = chosen;
                return;
            }
            const taken = /in use|EADDRINUSE/i.test(this.stderr);
            if (!taken || this.port !== undefined || attempt === 4)
                assert.fail(`the server did not start (${JSON.stringify(this.exit)}):\n${this.stderr}`);
        }
    }

    #spawn(port) {
        const [command, ...args] = [...this.installation.program, 'serve', ...this.args];
        this.stderr = '';
        this.lines = [];
        this.exit = undefined;
        this.judged = false;
        this.agent = new http.Agent({ keepAlive: true, maxSockets: 512 });
        this.child = spawn(command, args, {
            cwd: this.installation.dir,
            env: { ...this.installation.env, ...this.env, PORT: String(port) },
            stdio: ['ignore', 'pipe', 'pipe'],
        });
        running.add(this.child);
        this.stdout = '';
        this.child.stdout.setEncoding('utf8').on('data', (text) => (this.stdout += text));
        let rest = '';
        this.child.stderr.setEncoding('utf8').on('data', (text) => {
            this.stderr += text;
            const whole = (rest + text).split('\n');
            rest = whole.pop();
            for (const line of whole) this.#take(line);
        });
        this.closed = new Promise((resolve) => {
            this.child.on('error', (error) => (this.stderr += `${error.message}\n`));
            this.child.on('close', (code, signal) => {
                running.delete(this.child);
                this.exit = { code, signal };
                resolve(this.exit);
            });
        });
    }

    #take(line) {
        if (!line.startsWith('{')) return; // what is said to people, such as the first password
        try {
            this.lines.push(JSON.parse(line));
        } catch {
            this.lines.push({ level: 'error', event: 'a line of the log is not JSON', line });
        }
    }

    async #untilHealthy(port) {
        const end = Date.now() + START_MS;
        while (this.exit === undefined && Date.now() < end) {
            const answer = await this.#request(port, 'GET', '/health', {}).catch(() => undefined);
            // Whoever answers must be ours: another program may have taken the port meanwhile.
            if (answer?.status === 200 && this.exit === undefined) return true;
            await new Promise((resolve) => setTimeout(resolve, 20));
        }
        if (this.exit === undefined) this.child.kill('SIGKILL');
        await this.closed;
        this.judged = true;
        return false;
    }

    #request(port, method, target, { token, body, form, headers = {} }) {
        const sent = { ...headers };
        let bytes;
        if (token !== undefined) sent.authorization = `Bearer ${token}`;
        if (form !== undefined) {
            bytes = new URLSearchParams(form).toString();
            sent['content-type'] ??= 'application/x-www-form-urlencoded';
        } else if (body !== undefined) {
            bytes = typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
            sent['content-type'] ??= 'application/json';
        }
        if (bytes !== undefined) sent['content-length'] ??= Buffer.byteLength(bytes);
        return new Promise((resolve, reject) => {
            const request = http.request({ host: '127.0.0.1', port, method, path: target, headers: sent, agent: this.agent, timeout: REQUEST_MS });
            request.on('timeout', () => request.destroy(new Error(`${method} ${target}: no answer within ${REQUEST_MS} ms`)));
            request.on('error', reject);
            request.on('response', (response) => {
                const parts = [];
                response.on('data', (part) => parts.push(part));
                response.on('error', reject);
                response.on('end', () => {
                    const text = Buffer.concat(parts).toString('utf8');
                    try {
                        const json = /^application\/(.*\+)?json\b/.test(response.headers['content-type'] ?? '');
                        resolve({
                            status: response.statusCode,
                            headers: response.headers,
                            body: text === '' ? null : json ? JSON.parse(text) : text,
                        });
                    } catch (error) {
                        reject(new Error(`${method} ${target}: ${error.message}: ${text}`));
                    }
                });
            });
            request.end(bytes);
        });
    }

    /*
     * One request. body is sent as JSON (a string or Buffer as it is), form URL-encoded. Returns
     * { status, headers, body }, the body parsed where it is JSON, null where it is empty.
     */
    api(method, target, options = {}) {
        return this.#request(this.port, method, target, options);
    }

    /* Where the sandbox listens: { smtpPort, httpPort }, either undefined where it goes without. */
    sandbox() {
        return this.waitForLine('the sandbox', ({ event }) => event === 'sandbox');
    }

    /* Signs in and returns the answer's body. */
    async login(email, secret = password, more = {}) {
        const { status, body } = await this.api('POST', '/auth/login', { body: { email, password: secret, ...more } });
        assert.equal(status, 200, `signing in ${email}: ${status} ${JSON.stringify(body)}`);
        return body;
    }

    /*
     * Writes the pieces to a connection, each in a write of its own, and returns as latin1 text
     * what came back until the server closed, or until(text) was true.
     */
    async raw(pieces, { until = () => false, timeout = 10_000 } = {}) {
        const socket = net.connect({ host: '127.0.0.1', port: this.port, noDelay: true });
        let text = '';
        const over = new Promise((resolve, reject) => {
            socket.setTimeout(timeout, () => reject(new Error(`the connection stayed open for ${timeout} ms after: ${JSON.stringify(text)}`)));
            socket.on('data', (part) => {
                text += part.toString('latin1');
                if (until(text)) resolve();
            });
            socket.on('close', () => resolve());
            socket.on('error', (error) => (error.code === 'ECONNRESET' || error.code === 'EPIPE' ? resolve() : reject(error)));
        });
        try {
            await once(socket, 'connect');
            for (const piece of [pieces].flat()) {
                if (!socket.writable) break;
                await new Promise((resolve) => socket.write(Buffer.isBuffer(piece) ? piece : Buffer.from(piece, 'latin1'), resolve));
            }
            await over;
        } finally {
            over.catch(() => {});
            socket.destroy();
        }
        return text;
    }

    /* Announces that lines of level error that match may be in the log. */
    expectError(pattern) {
        this.expected.push(pattern);
    }

    /* Fails where the log tells of something that the test did not announce. */
    assertClean() {
        assert.doesNotMatch(this.stderr, sanitizerReport);
        const errors = this.lines
            .filter((line) => line.level === 'error')
            .map((line) => JSON.stringify(line))
            .filter((line) => !this.expected.some((pattern) => pattern.test(line)));
        assert.deepEqual(errors, [], 'errors in the log');
    }

    /* Waits for a line of the log; match is a function of the parsed line. */
    waitForLine(what, match, options) {
        return waitFor(what, () => this.lines.find(match), options);
    }

    /* Ends the server as an operator does, and judges how it ended. Again: does nothing. */
    async stop() {
        if (this.judged) return;
        this.judged = true;
        this.agent.destroy();
        if (this.exit === undefined) this.child.kill('SIGTERM');
        const timer = setTimeout(() => this.child.kill('SIGKILL'), STOP_MS);
        const exit = await this.closed;
        clearTimeout(timer);
        assert.deepEqual(exit, { code: 0, signal: null }, `how the server ended, after:\n${this.stderr.slice(-4000)}`);
        this.assertClean();
    }

    /* kill -9. What was acknowledged before has to be there after restart(). */
    async kill() {
        this.judged = true;
        this.agent.destroy();
        this.child.kill('SIGKILL');
        await this.closed;
        this.assertClean();
    }

    /* Starts again on the same data and port, with changed settings if any. */
    async restart({ env } = {}) {
        if (this.exit === undefined) await this.stop();
        if (env) this.env = { ...this.env, ...env };
        await this.start();
    }
}

/*
 * What tests of targets share: a place with a holdfast.yml, the driver that takes it from release
 * to release (test/deploy_target.c), and clients that never stop asking.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { binary, freePort, waitFor } from './harness.mjs';

const driver = path.join(path.dirname(binary), 'test/deploy_target');
export const productFile = path.join(path.dirname(fileURLToPath(import.meta.url)), 'product/server.cjs');

/* The steps_result of a deployment. */
export const result = { done: 0, failed: 1, unreachable: 2, rolledBack: 3, incomplete: 4 };

const sanitizerReport = /(Address|Thread|Leak|Memory|UndefinedBehavior)Sanitizer|runtime error:/;

/* A port that is free, and that no place has that has not bound it yet. */
const portsTaken = new Set();
async function ownPort(place) {
    for (;;) {
        const port = await freePort();
        if (portsTaken.has(port)) continue;
        portsTaken.add(port);
        place.ports.push(port);
        return port;
    }
}

export class Place {
    ports = [];

    static async create(target, { environment = {}, health = {} } = {}) {
        const place = new Place();
        place.directory = await mkdtemp(path.join(os.tmpdir(), 'holdfast-deploy-'));
        place.port = await ownPort(place);
        place.spare = await ownPort(place);
        place.url = `http://127.0.0.1:${place.port}`;
        place.environment = { ...process.env, ...environment, FICKLE_PORT: String(place.port) };
        place.state = path.join(place.directory, 'state');
        await mkdir(place.state);
        const conf = {
            environments: {
                test: {
                    target: target(place),
                    health: {
                        url: `${place.url}/health`, interval: '50ms', timeout: '1s', within: '1s', successes: 2,
                        failing_for: '500ms', retries: 20, ...health,
                    },
                },
            },
        };
        place.conf = path.join(place.directory, 'holdfast.yml');
        await writeFile(place.conf, JSON.stringify(conf)); // which is YAML too
        return place;
    }

    /* Starts the driver. Returns the process; its end is a promise of { result, signal, output }. */
    start(what, { dieAt, environment = {} } = {}) {
        const child = spawn(driver, [this.conf, 'test', what, this.state], {
            cwd: this.directory,
            env: { ...this.environment, ...(dieAt ? { DIE_AT: dieAt } : {}), ...environment },
        });
        let output = '', answer = '';
        child.stderr.on('data', (data) => (output += data));
        child.stdout.on('data', (data) => (answer += data));
        child.ended = once(child, 'close').then(([code, signal]) => {
            assert.doesNotMatch(output, sanitizerReport);
            if (!signal) assert.equal(code, 0, output);
            return { result: Number(answer.trim().split('\n').at(-1)), signal, output, answer };
        });
        return child;
    }

    run(what, options) {
        return this.start(what, options).ended;
    }

    async deploy(release, wanted = result.done, options = {}) {
        const end = await this.run(release, options);
        assert.equal(end.result, wanted, end.output);
        return end;
    }

    /* Which release answers at the product's port. */
    async serving() {
        return (await ask(`${this.url}/`)).body;
    }

    async deployments() {
        return (await readdir(path.join(this.state, 'deployments'))).sort();
    }

    /* What a step of a deployment noted. */
    async notes(id, step) {
        const lines = (await this.read('deployments', id, 'journal.jsonl')).trim().split('\n');
        return lines.map((line) => JSON.parse(line))
            .filter((r) => r.step === step && r.phase === 'note').map(({ data }) => data);
    }

    read(...names) {
        return readFile(path.join(this.state, ...names), 'utf8');
    }

    /* Clients of the product; they end with the place at the latest. */
    clients(options) {
        const clients = new Clients(this.url, options);
        this.#clients.push(clients);
        return clients;
    }

    #clients = [];

    async remove() {
        for (const clients of this.#clients) await clients.stop();
        await rm(this.directory, { recursive: true, force: true });
        for (const port of this.ports) portsTaken.delete(port);
    }
}

/* One request. Returns { status, headers, body }. */
export function ask(url, { agent = false, method = 'GET', body, timeout = 15_000 } = {}) {
    return new Promise((resolve, reject) => {
        const request = http.request(url, { agent, method, timeout }, (response) => {
            const parts = [];
            response.on('data', (part) => parts.push(part));
            response.on('error', reject);
            response.on('end', () => resolve({
                status: response.statusCode, headers: response.headers, body: Buffer.concat(parts).toString(),
            }));
        });
        request.on('timeout', () => request.destroy(new Error('timed out')));
        request.on('error', (error) => reject(Object.assign(error, { reused: request.reusedSocket })));
        request.end(body);
    });
}

/*
 * Clients that ask one request after the other until stop(), which returns how many were answered by
 * which release, and what failed. With keep half of them keep their connections, which a release that
 * ends then waits for; a connection that was ended between two requests is no failure, as RFC 9110,
 * section 9.2.2, has it: they ask again.
 */
export class Clients {
    answered = {};
    failed = [];
    asked = 0;
    #going = true;

    constructor(url, { n = 4, keep = false } = {}) {
        this.n = n;
        this.#all = Array.from({ length: n }, (_, i) => this.#go(`${url}/slow?ms=20`, keep && i % 2 === 1));
    }

    #all;

    async #go(url, keeps) {
        const agent = keeps && new http.Agent({ keepAlive: true, maxSockets: 1 });
        while (this.#going) {
            this.asked++;
            try {
                const { status, headers } = await ask(url, { agent });
                assert.equal(status, 200);
                const release = headers['x-release'];
                this.answered[release] = (this.answered[release] ?? 0) + 1;
            } catch (error) {
                if (error.reused && ['ECONNRESET', 'EPIPE'].includes(error.code)) continue;
                this.failed.push(error.message);
                await new Promise((resolve) => setTimeout(resolve, 5));
            }
        }
        if (agent) agent.destroy();
    }

    async stop() {
        this.#going = false;
        await Promise.all(this.#all);
        return this;
    }
}

/* One that has ended, and that nobody has waited for yet, is not alive. */
export const isAlive = (pid) => {
    try {
        return !/\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
    } catch {
        return false;
    }
};

export async function killAndWait(pid, signal = 'SIGKILL') {
    process.kill(pid, signal);
    await waitFor(`the end of ${pid}`, () => !isAlive(pid), { timeout: 20_000 });
}

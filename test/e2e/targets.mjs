/* Runs the operations of a target of deployments, one by one, as a deployment does. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

import { binary } from './harness.mjs';

const program = path.join(path.dirname(binary), 'test/target_operation');
const inherited = ['PATH', 'HOME', 'ASAN_OPTIONS', 'UBSAN_OPTIONS', 'LSAN_OPTIONS'];
const running = new Set();
process.on('exit', () => {
    for (const child of running) child.kill('SIGKILL');
});

/* A deployment of the environment "prod", whose target's lines of holdfast.yml are given. */
export class Deployment {
    static async create(target, { env = {}, release = '2', limit = 20_000, id = '0191f8a0-0000-7000-8000-00000000abcd' } = {}) {
        const deployment = new Deployment();
        deployment.dir = await mkdtemp(path.join(os.tmpdir(), 'holdfast-target-'));
        await mkdir(path.join(deployment.dir, 'logs'));
        await writeFile(path.join(deployment.dir, 'holdfast.yml'), `environments:\n  prod:\n    health: {url: "http://127.0.0.1:1/"}\n    target:\n${target.trim().split('\n').map((line) => `      ${line.trim()}\n`).join('')}`);
        deployment.env = { ...Object.fromEntries(inherited.filter((name) => process.env[name] !== undefined).map((name) => [name, process.env[name]])),
            RELEASE: release, DEPLOYMENT: id, LOGS: path.join(deployment.dir, 'logs'), LIMIT_MS: String(limit), ...env };
        deployment.id = id;
        deployment.state = {};
        return deployment;
    }

    /* Starts an operation. Returns the child, whose member result is a promise of what run gives. */
    begin(operation, env = {}) {
        const child = spawn(program, [path.join(this.dir, 'holdfast.yml'), 'prod', operation], { env: { ...this.env, ...env }, cwd: this.dir });
        running.add(child);
        const heard = { stdout: '', stderr: '' };
        for (const name of ['stdout', 'stderr']) child[name].setEncoding('utf8').on('data', (text) => (heard[name] += text));
        child.heard = heard;
        child.stdin.on('error', () => {}).end(JSON.stringify(this.state));
        child.result = once(child, 'close').then(([code, signal]) => {
            running.delete(child);
            if (/(Address|Leak|UndefinedBehavior)Sanitizer|runtime error:/.test(heard.stderr)) throw new Error(heard.stderr);
            if (code === 99 || signal === 'SIGKILL') return { outcome: 'died' };
            if (!heard.stdout) throw new Error(`${operation}: code ${code}: ${heard.stderr}`);
            const result = JSON.parse(heard.stdout);
            this.state = result.state;
            return result;
        });
        return child;
    }

    /* Runs an operation: { outcome, message, said, text, state }; the state is kept for the next. */
    run(operation, env) {
        return this.begin(operation, env).result;
    }

    /* Runs operations that have to be done. */
    async done(...operations) {
        for (const operation of operations) {
            const { outcome, message } = await this.run(operation);
            if (outcome !== 'done') throw new Error(`${operation}: ${outcome}: ${message}`);
        }
    }

    /* Runs an operation that is killed behind the change of this number; what it noted is lost. */
    async dies(operation, moments, at) {
        const child = this.begin(operation);
        moments.kill(child, at);
        const { outcome } = await child.result;
        assert.equal(outcome, 'died', `${operation} makes ${at} changes`);
    }

    evidence(name) {
        return readFile(path.join(this.dir, 'logs', name), 'utf8');
    }

    remove() {
        return rm(this.dir, { recursive: true, force: true });
    }
}

/* How many changes each of the operations makes, one after the other; a second time they make none. */
async function count(world, deployment, operations) {
    const found = [];
    for (const operation of operations) {
        const { count: before } = world.moments;
        await deployment.done(operation);
        const { count: behind } = world.moments;
        await deployment.done(operation);
        assert.equal(world.moments.count, behind, `${operation} again changes nothing`);
        found.push(behind - before);
    }
    return found;
}

async function inTurns(jobs, atOnce) {
    const left = [...jobs];
    await Promise.all(Array.from({ length: atOnce }, async () => {
        while (left.length) await left.shift()();
    }));
}

const forwards = ['roll_out', 'wait_stable', 'prove', 'clean_up_proven'];
const backwards = ['roll_back', 'clean_up'];

/*
 * Does each operation twice; and kills each behind each change that it makes, and then goes on, and
 * goes back. within(use) gives use a world with its moments and a deployment; expectNew and
 * expectOld(world, deployment) look at what runs then.
 */
export async function dieEverywhere(within, expectNew, expectOld, { atOnce = 6 } = {}) {
    const jobs = [];
    const add = (before, operation, at, after, expect) => jobs.push(() => within(async (world, deployment) => {
        await deployment.done('snapshot', ...before);
        await deployment.dies(operation, world.moments, at);
        await deployment.done(...after);
        await expect(world, deployment);
    }).catch((e) => {
        e.message = `killed behind change ${at} of ${operation}, then ${after.join(', ')}: ${e.message}`;
        throw e;
    }));
    await within(async (world, deployment) => {
        await deployment.done('snapshot');
        const there = await count(world, deployment, forwards), back = await count(world, deployment, backwards);
        assert.ok(there[0] > 0 && back[0] > 0, 'there and back again');
        for (const [i, operation] of forwards.entries()) {
            for (let at = 1; at <= there[i]; at++) {
                add(forwards.slice(0, i), operation, at, forwards.slice(i), expectNew);
                if (operation !== 'clean_up_proven') add(forwards.slice(0, i), operation, at, backwards, expectOld);
            }
        }
        for (const [i, operation] of backwards.entries())
            for (let at = 1; at <= back[i]; at++) add([...forwards, ...backwards.slice(0, i)], operation, at, backwards, expectOld);
    });
    await inTurns(jobs, atOnce);
    return jobs.length;
}

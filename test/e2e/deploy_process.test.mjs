/*
 * Releases as processes: a good one takes over without a request lost, a bad one never gets one, and
 * whoever is killed, wherever, the product comes to serve what it is to serve.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { readdir, stat, writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';

import { ask, isAlive, killAndWait, Place, productFile, result } from './deploying.mjs';
import { waitFor } from './harness.mjs';

class ProcessPlace {
    static async with(run, target = {}) {
        const place = await Place.create(({ port }) => ({
            kind: 'process', command: ['node', productFile], port, stop_timeout: '2s', ...target,
        }));
        place.home = path.join(place.state, 'data/process/test');
        place.pids = () => JSON.parse(readFileSync(path.join(place.home, 'pid.json')));
        place.releases = () => readdir(path.join(place.home, 'releases'));
        /* The processes of releases that are to run. */
        place.running = async () => {
            const found = [];
            for (const id of await place.releases()) {
                const file = path.join(place.home, 'releases', id, 'run.json');
                if (existsSync(file)) found.push({ id, ...JSON.parse(readFileSync(file)) });
            }
            return found;
        };
        try {
            await run(place);
        } finally {
            await end(place).finally(() => place.remove());
        }
    }
}

/* Ends the supervisor in order; all it kept running ends with it. */
async function end(place) {
    if (existsSync(path.join(place.home, 'pid.json'))) {
        const { keeper, supervisor } = place.pids();
        const left = (await place.running()).filter((r) => isAlive(r.pid));
        const who = [keeper, supervisor].find(({ pid }) => isAlive(pid));
        if (who) await killAndWait(who.pid, 'SIGTERM');
        if (isAlive(supervisor.pid)) await killAndWait(supervisor.pid, 'SIGTERM');
        if (who) for (const { pid } of left) assert.ok(!isAlive(pid), 'a release outlives its supervisor');
        else for (const { pid } of left) process.kill(-pid, 'SIGKILL');
        const log = readFileSync(path.join(place.home, 'supervisor.log'), 'utf8');
        assert.doesNotMatch(log, /Sanitizer|runtime error:/);
    }
}

const onlyFailed = (clients, most) =>
    assert.ok(clients.failed.length <= most, `${clients.failed.length} of ${clients.asked}: ${clients.failed}`);

/* What serves once a deployment that was killed there has been taken up. */
const points = [];
for (const step of ['check', 'snapshot', 'roll_out', 'stabilise', 'prove', 'verify', 'finish'])
    for (const phase of ['begin', 'done'])
        points.push([`${step}:${phase}`, ['verify:done', 'finish:begin', 'finish:done'].includes(`${step}:${phase}`)]);

/* They wait more than they work; each has two of the twenty ports of a file of tests. */
const few = { concurrency: 2 };
describe('releases as processes', { concurrency: 4 }, () => {
    describe('a rollout', few, () => {
        test('loses no request, and ends the previous release', () => ProcessPlace.with(async (place) => {
            await place.deploy('good-1');
            assert.equal(await place.serving(), 'good-1');
            const [before] = await place.running();
            const clients = place.clients({ n: 8, keep: true });
            await place.deploy('late-2');
            await place.deploy('good-3');
            await clients.stop();
            onlyFailed(clients, 0);
            for (const release of ['good-1', 'late-2', 'good-3']) assert.ok(clients.answered[release] > 0, release);
            assert.equal(await place.serving(), 'good-3');
            assert.ok(!isAlive(before.pid));
            assert.equal((await place.running()).length, 1);
            assert.equal((await place.releases()).length, 3, 'the ways back are kept');
            const snapshots = [];
            for (const id of await place.deployments()) snapshots.push((await place.notes(id, 'snapshot'))[0]);
            assert.deepEqual(snapshots.map(({ runs, release }) => [runs, release]),
                [[false, ''], [true, 'good-1'], [true, 'late-2']]);
        }));

        for (const [bad, why] of [
            ['crash-2', /it ended with code 7; it said: cannot find module "left-pad"/],
            ['deaf-2', /does not accept connections/],
            ['ill-2', /answered 500/],
        ])
            test(`of ${bad} gives it no request`, () => ProcessPlace.with(async (place) => {
                await place.deploy('good-1');
                const clients = place.clients();
                const { output } = await place.deploy(bad, result.rolledBack, { environment: { LIMIT_MS: '2000' } });
                await clients.stop();
                assert.match(output, why);
                onlyFailed(clients, 0);
                assert.deepEqual(Object.keys(clients.answered), ['good-1']);
                assert.equal((await place.running()).length, 1);
                const evidence = await place.read('deployments', (await place.deployments()).at(-1), 'release.log');
                assert.match(evidence, /started as process \d+/);
                assert.equal((await place.releases()).length, 1, 'nothing is kept of it');
            }));

        test('that fails after the switch goes back without a request lost', () => ProcessPlace.with(async (place) => {
            await place.deploy('good-1');
            const clients = place.clients({ keep: true });
            const { output } = await place.deploy('fickle-2', result.rolledBack);
            await clients.stop();
            assert.match(output, /prove:done[^]*verify:failed/);
            onlyFailed(clients, 0);
            assert.equal(await place.serving(), 'good-1');
        }));

        test('of a first release that is bad leaves nothing', () => ProcessPlace.with(async (place) => {
            await place.deploy('ill-1', result.rolledBack);
            await waitFor('the end of the supervisor', () => !isAlive(place.pids().keeper.pid));
            assert.deepEqual(await place.releases(), []);
            await assert.rejects(ask(place.url), { code: 'ECONNREFUSED' });
            await place.deploy('good-2');
            assert.equal(await place.serving(), 'good-2');
        }));

        test('can be undone later, which starts the previous release again', () => ProcessPlace.with(async (place) => {
            await place.deploy('good-1', result.done, { environment: { COLOUR: 'red' } });
            await place.deploy('good-2', result.done, { environment: { COLOUR: 'blue' } });
            const clients = place.clients();
            assert.equal((await place.run('back')).result, result.rolledBack);
            await clients.stop();
            onlyFailed(clients, 0);
            assert.equal(await place.serving(), 'good-1');
            const { body } = await ask(`${place.url}/environment`);
            assert.equal(JSON.parse(body).COLOUR, 'red', 'with the environment that it had');
            assert.equal((await place.running()).length, 1);
        }));

        test('ends a release by force that does not end by itself', () => ProcessPlace.with(async (place) => {
            await place.deploy('stubborn-1');
            const [{ pid }] = await place.running();
            await place.deploy('good-2');
            assert.ok(!isAlive(pid));
        }));

        test('is refused where another has the port', () => ProcessPlace.with(async (place) => {
            const other = net.createServer().listen(place.port, '127.0.0.1');
            const { output } = await place.deploy('good-1', result.failed);
            assert.match(output, /cannot take port \d+ of localhost: Address already in use/);
            other.close();
        }));

        test('is refused where there is no such program', () => ProcessPlace.with(async (place) => {
            const { output } = await place.deploy('good-1', result.unreachable);
            assert.match(output, /there is no program no-such-program/);
        }, { command: ['no-such-program'] }));

        test('says what it will do', () => ProcessPlace.with(async (place) => {
            const { answer } = await place.run('plan');
            assert.match(answer, /^start release .* in \.: node /);
            assert.match(answer, new RegExp(`port ${place.port} of localhost`));
            assert.ok(!existsSync(path.join(place.state, 'data')), 'and changes nothing');
        }));
    });

    describe('a deployment that is killed', { concurrency: 4 }, () => {
        test('after any record is finished or undone by the next', () => ProcessPlace.with(async (place) => {
            await place.deploy('good-0');
            let live = 'good-0';
            const clients = place.clients();
            for (const [n, [dieAt, proven]] of points.entries()) {
                const release = `good-${n + 1}`;
                assert.equal((await place.run(release, { dieAt })).signal, 'SIGKILL', dieAt);
                await place.deploy('resume', dieAt === 'finish:done' || proven ? result.done
                    : ['check:begin', 'check:done', 'snapshot:begin', 'snapshot:done'].includes(dieAt) ? result.failed
                        : result.rolledBack);
                if (proven) live = release;
                assert.equal(await place.serving(), live, dieAt);
                assert.equal((await place.running()).length, 1, dieAt);
            }
            await clients.stop();
            onlyFailed(clients, 0);
        }));

        test('while it is being undone is undone by the next', () => ProcessPlace.with(async (place) => {
            await place.deploy('good-0');
            const clients = place.clients();
            for (const dieAt of ['prove:undoing', 'prove:undone', 'roll_out:undoing', 'roll_out:undone']) {
                assert.equal((await place.run('fickle-1', { dieAt })).signal, 'SIGKILL', dieAt);
                // Nothing was left to do of the last.
                await place.deploy('resume', dieAt === 'roll_out:undone' ? result.failed : result.rolledBack);
                assert.equal(await place.serving(), 'good-0', dieAt);
                assert.equal((await place.running()).length, 1, dieAt);
            }
            await clients.stop();
            onlyFailed(clients, 0);
        }));

        test('at any moment', () => ProcessPlace.with(async (place) => {
            await place.deploy('good-0');
            const clients = place.clients();
            for (let n = 1; n <= 12; n++) {
                const child = place.start(`good-${n}`);
                await new Promise((resolve) => setTimeout(resolve, n * 50));
                child.kill('SIGKILL');
                await child.ended;
                await place.run('resume');
                const [{ id }, ...others] = await place.running();
                assert.deepEqual(others, []);
                const { live } = JSON.parse(readFileSync(path.join(place.home, 'live.json')));
                assert.equal(id, live);
            }
            await clients.stop();
            onlyFailed(clients, 0);
        }));

        test('in its first deployment leaves nothing that runs', () => ProcessPlace.with(async (place) => {
            for (const dieAt of ['roll_out:begin', 'roll_out:done', 'prove:done']) {
                await place.run('good-1', { dieAt });
                await place.deploy('resume', result.rolledBack);
                await assert.rejects(ask(place.url), { code: 'ECONNREFUSED' }, dieAt);
            }
            await place.deploy('good-2');
        }));
    });

    describe('when it is killed', few, () => {
        test('the supervisor is replaced, and no connection is refused', () => ProcessPlace.with(async (place) => {
            await place.deploy('good-1');
            const [{ pid }] = await place.running();
            const clients = place.clients({ n: 6 });
            for (let i = 0; i < 3; i++) {
                const { supervisor } = place.pids();
                await killAndWait(supervisor.pid);
                await waitFor('another supervisor', () => place.pids().supervisor.pid !== supervisor.pid);
                await waitFor('an answer', () => ask(place.url).then(() => true));
            }
            await clients.stop();
            onlyFailed(clients, 3 * 6); // those that were in flight
            assert.ok(clients.failed.every((message) => !/REFUSED|timed out/.test(message)), String(clients.failed));
            assert.equal((await ask(place.url)).headers['x-pid'], String(pid), 'the release goes on');
            await place.deploy('good-2');
            assert.equal(await place.serving(), 'good-2');
        }));

        test('the supervisor is waited for by a deployment', () => ProcessPlace.with(async (place) => {
            await place.deploy('good-1');
            const { keeper, supervisor } = place.pids();
            process.kill(keeper.pid, 'SIGSTOP');
            await killAndWait(supervisor.pid);
            const child = place.start('good-2');
            await once(child.stderr, 'data');
            process.kill(keeper.pid, 'SIGCONT');
            const { result: got, output } = await child.ended;
            assert.equal(got, result.done, output);
            assert.equal(await place.serving(), 'good-2');
        }));

        test('the supervisor with its keeper is started by the next deployment', () => ProcessPlace.with(async (place) => {
            await place.deploy('good-1');
            const [{ pid }] = await place.running();
            const { keeper, supervisor } = place.pids();
            await killAndWait(keeper.pid);
            assert.equal(await place.serving(), 'good-1', 'a supervisor needs no keeper');
            await killAndWait(supervisor.pid);
            await assert.rejects(ask(place.url));
            await place.deploy('ill-2', result.rolledBack);
            assert.equal((await ask(place.url)).headers['x-pid'], String(pid), 'the release was taken up');
            await place.deploy('good-3');
            assert.ok(!isAlive(pid));
        }));

        test('everything comes back with the next deployment', () => ProcessPlace.with(async (place) => {
            await place.deploy('good-1');
            const { keeper, supervisor } = place.pids();
            await killAndWait(keeper.pid);
            await killAndWait(supervisor.pid);
            await killAndWait((await place.running())[0].pid);
            await place.deploy('crash-2', result.rolledBack);
            assert.equal(await place.serving(), 'good-1');
            assert.equal((await place.running()).length, 1);
        }));

        test('a release is started again, and requests wait for it', () => ProcessPlace.with(async (place) => {
            await place.deploy('good-1');
            const clients = place.clients();
            for (let i = 0; i < 3; i++) {
                const pid = (await ask(place.url)).headers['x-pid'];
                await killAndWait(Number(pid));
                /* One that was taken by the process as it died is reset. */
                await waitFor('another process', () => ask(place.url).then(({ headers }) => headers['x-pid'] !== pid, () => false));
            }
            await clients.stop();
            onlyFailed(clients, 3 * clients.n);
            assert.ok(clients.failed.every((message) => !/REFUSED|timed out/.test(message)), String(clients.failed));
            const [id] = await place.releases();
            assert.match(await place.read('data/process/test/releases', id, 'output.log'), /ended by signal 9/);
        }));

        test('the supervisor in a rollout does not stop it', () => ProcessPlace.with(async (place) => {
            await place.deploy('good-0');
            for (let n = 1; n <= 5; n++) {
                const child = place.start(`good-${n}`);
                await new Promise((resolve) => setTimeout(resolve, n * 100));
                if (isAlive(place.pids().supervisor.pid)) process.kill(place.pids().supervisor.pid, 'SIGKILL');
                const { result: got, output } = await child.ended;
                assert.ok([result.done, result.rolledBack].includes(got), output);
                const [one, ...others] = await place.running();
                assert.deepEqual(others, []);
                assert.equal(await place.serving(), got === result.done ? `good-${n}` : await place.serving());
                assert.ok(isAlive(one.pid));
            }
        }));

        test('asked to end, it stops all, and a deployment brings all back', () => ProcessPlace.with(async (place) => {
            await place.deploy('good-1');
            const [{ pid }] = await place.running();
            await killAndWait(place.pids().keeper.pid, 'SIGTERM');
            assert.ok(!isAlive(pid));
            await place.deploy('ill-2', result.rolledBack);
            assert.equal(await place.serving(), 'good-1');
        }));
    });

    describe('the relay', { concurrency: 1 }, () => {
        const memory = (pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);

        test('carries what is sent, however large, both ways', () => ProcessPlace.with(async (place) => {
            await place.deploy('good-1');
            const body = 'abcdefghij'.repeat(800_000);
            const answers = await Promise.all([1, 2, 3].map(() => ask(`${place.url}/echo`, { method: 'POST', body })));
            for (const answer of answers) assert.ok(answer.body === body);
            const large = await ask(`${place.url}/large?bytes=30000000`);
            assert.equal(large.body.length, 30_000_000);
        }));

        test('reads no faster than it is read from', () => ProcessPlace.with(async (place) => {
            await place.deploy('good-1');
            const { pid } = place.pids().supervisor;
            const before = memory(pid);
            const sockets = Array.from({ length: 50 }, () => {
                const socket = net.connect(place.port, '127.0.0.1');
                socket.pause();
                socket.write('GET /large?bytes=20000000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
                return socket;
            });
            await waitFor('the answers to begin', () => sockets.every((s) => s.bytesWritten > 0));
            for (let i = 0; i < 20; i++) assert.equal((await ask(place.url)).body, 'good-1');
            assert.ok(memory(pid) - before < 50 * 80 + 4000, `${memory(pid) - before} KiB more`);
            for (const socket of sockets) socket.destroy();
        }));

        test('keeps a bound of what a release prints', () => ProcessPlace.with(async (place) => {
            await place.deploy('loud-1');
            const directory = path.join(place.home, 'releases', (await place.releases())[0]);
            await waitFor('the bound', async () => {
                const sizes = await Promise.all(['output.log', 'output.log.1'].map((f) =>
                    stat(path.join(directory, f)).then((s) => s.size, () => 0)));
                return sizes[0] <= 8 << 20 && sizes[1] > 0 && sizes[1] <= 16 << 20;
            });
            assert.equal(await place.serving(), 'loud-1');
        }));

        test('the files are its user\'s alone, and no secret is told', () => ProcessPlace.with(async (place) => {
            await place.deploy('good-1', result.done, { environment: { TOKEN: 'open sesame' } });
            assert.equal(JSON.parse((await ask(`${place.url}/environment`)).body).TOKEN, 'open sesame');
            const { keeper, supervisor } = place.pids();
            for (const { pid } of [keeper, supervisor, ...await place.running()])
                assert.doesNotMatch(readFileSync(`/proc/${pid}/cmdline`, 'utf8'), /sesame/);
            const telling = await promisify(execFile)('grep', ['-rl', 'open sesame', place.state]);
            assert.deepEqual(telling.stdout.trim().split('\n').map((file) => path.basename(file)), ['release.json']);
            for (const name of ['control', 'pid.json', 'live.json', 'lock', 'supervisor.log',
                `releases/${(await place.releases())[0]}/release.json`])
                assert.equal((await stat(path.join(place.home, name))).mode & 0o077, 0, name);
            await writeFile(path.join(place.home, 'unrelated'), ''); // and others do not trouble it
            await place.deploy('good-2');
        }));
    });
});

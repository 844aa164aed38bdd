/*
 * Releases by compose: on a stand-in for Docker, and some of it on a Docker engine of the tests' own
 * where one runs (all of it with COMPOSE_TESTS=all).
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';

import { has } from './aws.mjs';
import { Docker, whyNoDocker } from './docker.mjs';
import { DockerStandIn } from './docker_stand_in.mjs';
import { waitFor } from './harness.mjs';
import { Deployment, dieEverywhere } from './targets.mjs';

const healthcheck = { test: ['CMD', '/app', 'check'], interval: '300ms', timeout: '5s', retries: 2 };

const composeFile = ({ restart = 'no', image = 'shop:${RELEASE}', checked = true } = {}) => JSON.stringify({
    version: '3.4',
    services: {
        web: { image, network_mode: 'none', restart, environment: { PASSWORD: 'open sesame', RELEASE: '${RELEASE}' }, healthcheck },
        worker: { image, network_mode: 'none', restart, ...(checked && { healthcheck }) },
        db: { image: 'db:1', network_mode: 'none' },
    },
});
const lines = `kind: compose
    services: [web, worker]
    stop_timeout: 2s`;

/* The images that tests begin with; their ids. */
async function lay(docker) {
    await docker.image('db:1');
    return { 1: await docker.image('shop:1'), 2: await docker.image('shop:2'), crash: await docker.image('shop:crash', 'crash'), sick: await docker.image('shop:sick', 'sick') };
}

/* The running containers of a service: [[name of the image, id of the image]]. */
async function running(deployment, service, ...fields) {
    const { docker } = deployment;
    const ids = (await docker.run('ps', '-q', '--filter', `label=com.docker.compose.project=${deployment.project}`, '--filter', `label=com.docker.compose.service=${service}`)).split('\n').filter(Boolean);
    if (ids.length === 0) return [];
    const found = JSON.parse(await docker.run('inspect', ...ids));
    return found.map((c) => (fields.length ? fields.map((field) => c[field]) : [c.Config.Image, c.Image]));
}

const both = async (deployment) => [await running(deployment, 'web'), await running(deployment, 'worker')];
const names = async (deployment) => (await both(deployment)).map((all) => all.map(([name]) => name));
const kept = async ({ docker, project }, what) => (await docker.run('image', 'ls', '--format', '{{.Tag}}', `holdfast-${what}/${project}`)).split('\n').filter(Boolean).sort();
const left = async ({ docker, project }) => (await docker.run('ps', '-aq', '--filter', `label=com.docker.compose.project=${project}`)).split('\n').filter(Boolean);

let next = 0;

/* A project of its own on the engine, whose services run release 1, and a deployment of another to it. */
async function withProject(docker, { target = lines, project = `p${process.pid}x${next++}`, file = {}, from = '1', scale = [], ...options }, use) {
    const deployment = await Deployment.create(`${target}${project ? `\nproject: ${project}` : ''}`, { limit: 60_000, ...options, env: { ...docker.env, ...options.env } });
    Object.assign(deployment, { docker, project: project ? project.toLowerCase() : path.basename(deployment.dir).toLowerCase() });
    try {
        await writeFile(path.join(deployment.dir, 'docker-compose.yml'), composeFile(file));
        if (from) await docker.compose(deployment.dir, from, ...(project ? ['-p', project] : []), 'up', '-d', ...scale);
        await use(deployment);
    } finally {
        const all = await left(deployment);
        if (all.length) await docker.run('rm', '-f', ...all);
        await deployment.remove();
    }
}

const expectFailure = async (deployment, operation, outcome, message) => {
    const result = await deployment.run(operation);
    assert.equal(result.outcome, outcome, result.message);
    assert.match(result.message, message);
};

/* What any engine has to bring about: [name, whether the real one is always asked, what]. */
const everywhere = [
    ['a release goes through, and back once it was proven', true, (on, ids) => on({}, async (deployment) => {
        const [[db]] = await running(deployment, 'db', 'Id');
        await deployment.done('check', 'snapshot');
        const { runs, release, previous } = deployment.state;
        assert.deepEqual([runs, release, previous.project, previous.services.web.id], [true, '1', deployment.project, ids[1]]);
        assert.doesNotMatch(JSON.stringify(deployment.state), /open sesame/);
        await deployment.done('roll_out', 'wait_stable', 'prove');
        assert.deepEqual(await both(deployment), [[['shop:2', ids[2]]], [['shop:2', ids[2]]]]);
        const [[web]] = await running(deployment, 'web', 'Id');
        await deployment.done('roll_out', 'clean_up_proven');
        assert.deepEqual(await running(deployment, 'web', 'Id'), [[web]], 'again changes nothing');
        assert.deepEqual(await kept(deployment, 'previous'), [`${deployment.id}-web`, `${deployment.id}-worker`]);
        await deployment.done('roll_back', 'clean_up', 'roll_back', 'clean_up');
        assert.deepEqual(await both(deployment), [[['shop:1', ids[1]]], [['shop:1', ids[1]]]]);
        assert.deepEqual(await running(deployment, 'db', 'Id'), [[db]], 'what is no part of it is left alone');
        assert.deepEqual(await kept(deployment, 'previous'), []);
    })],
    ['one that ends: what it said is kept, and the previous one comes back', false, (on, ids) => on({ release: 'crash' }, async (deployment) => {
        await deployment.done('snapshot', 'roll_out');
        await expectFailure(deployment, 'wait_stable', 'failed', /^(web|worker) has ended with code 3$/);
        await deployment.done('roll_back', 'clean_up');
        assert.deepEqual(await both(deployment), [[['shop:1', ids[1]]], [['shop:1', ids[1]]]]);
        const evidence = await deployment.evidence('compose.log');
        assert.match(evidence, /^-- web, container \/\S+ of shop:crash: exited, code 3, 0 restarts/m);
        assert.match(evidence, /crash begins/);
        assert.doesNotMatch(evidence, /open sesame/);
    })],
    ['one that ends again and again', false, (on, ids) => on({ release: 'crash', file: { restart: 'always' } }, async (deployment) => {
        await deployment.done('snapshot', 'roll_out');
        await expectFailure(deployment, 'wait_stable', 'failed', /restarted \d+ times, at last with code/);
        await deployment.done('roll_back', 'clean_up');
        assert.deepEqual(await both(deployment), [[['shop:1', ids[1]]], [['shop:1', ids[1]]]]);
    })],
    ['one that is not healthy', false, (on, ids) => on({ release: 'sick' }, async (deployment) => {
        await deployment.done('snapshot', 'roll_out');
        await expectFailure(deployment, 'wait_stable', 'failed', /^web is unhealthy/);
        await deployment.done('roll_back', 'clean_up');
        assert.match(await deployment.evidence('compose.log'), /health check: code 1: asked how it is/);
        assert.deepEqual(await both(deployment), [[['shop:1', ids[1]]], [['shop:1', ids[1]]]]);
    })],
    ['a name that was moved to another image', true, async (on, ids, docker) => {
        const old = await docker.image('shop:latest');
        await on({ from: 'latest', release: 'latest' }, async (deployment) => {
            const fresh = await docker.image('shop:latest', 'crash');
            await deployment.done('snapshot', 'roll_out');
            await expectFailure(deployment, 'wait_stable', 'failed', /has ended with code 3/);
            await deployment.done('roll_back', 'clean_up');
            assert.deepEqual(await both(deployment), [[['shop:latest', old]], [['shop:latest', old]]]);
            assert.equal(await docker.run('image', 'inspect', '--format', '{{.Id}}', 'shop:latest'), old);
            assert.deepEqual(await kept(deployment, 'moved'), [`${deployment.id}-web`]);
            assert.equal(await docker.run('image', 'inspect', '--format', '{{.Id}}', `holdfast-moved/${deployment.project}:${deployment.id}-web`), fresh);
        });
    }],
    ['a previous image that lost its name is still there', false, async (on, ids, docker) => {
        const old = await docker.image('shop:old');
        await on({ from: 'old' }, async (deployment) => {
            await deployment.done('snapshot', 'roll_out', 'wait_stable', 'clean_up_proven');
            await docker.run('image', 'rm', 'shop:old');
            await docker.run('image', 'prune', '-f');
            await deployment.done('roll_back', 'clean_up');
            assert.deepEqual(await both(deployment), [[['shop:old', old]], [['shop:old', old]]]);
        });
    }],
    ['a previous image of another name', false, async (on, ids, docker) => {
        const other = await docker.image('other/name:7');
        await on({ file: { image: 'other/name:7' } }, async (deployment) => {
            await expectFailure(deployment, 'check', 'failed', /^the image of the service web does not take the release: write it as in shop:\$\{RELEASE\}$/);
            await writeFile(path.join(deployment.dir, 'docker-compose.yml'), composeFile());
            await deployment.done('check', 'snapshot');
            assert.deepEqual([deployment.state.runs, deployment.state.release], [true, '']);
            await deployment.done('roll_out', 'wait_stable', 'roll_back', 'clean_up');
            for (const [[, id]] of await both(deployment)) assert.equal(id, other);
        });
    }],
    ['services that ran different releases each get their own back', false, async (on, ids, docker) => {
        await docker.image('shop:3');
        await on({ release: '3' }, async (deployment) => {
            await docker.compose(deployment.dir, '2', '-p', deployment.project, 'up', '-d', '--no-deps', 'worker');
            assert.deepEqual(await names(deployment), [['shop:1'], ['shop:2']]);
            await deployment.done('snapshot');
            assert.equal(deployment.state.release, '');
            await deployment.done('roll_out', 'wait_stable');
            assert.deepEqual(await names(deployment), [['shop:3'], ['shop:3']]);
            await deployment.done('roll_back', 'clean_up', 'roll_back');
            assert.deepEqual(await both(deployment), [[['shop:1', ids[1]]], [['shop:2', ids[2]]]]);
            assert.deepEqual(await kept(deployment, 'moved'), []);
        });
    }],
    ['where nothing ran before, nothing does behind it', false, (on) => on({ from: '' }, async (deployment) => {
        await deployment.done('check', 'snapshot');
        assert.deepEqual([deployment.state.runs, deployment.state.release], [false, '']);
        await deployment.done('roll_out', 'wait_stable', 'roll_back', 'clean_up');
        assert.deepEqual(await both(deployment), [[], []]);
        await deployment.done('roll_back');
    })],
    ['as many containers as there were', false, (on) => on({ scale: ['--scale', 'worker=3'], file: { checked: false } }, async (deployment) => {
        await deployment.done('snapshot', 'roll_out');
        const { said } = await deployment.run('wait_stable');
        assert.ok(said.includes('all run; a moment more'), said.join());
        assert.deepEqual(await names(deployment), [['shop:2'], ['shop:2', 'shop:2', 'shop:2']]);
        await deployment.done('roll_back', 'clean_up');
        assert.deepEqual(await names(deployment), [['shop:1'], ['shop:1', 'shop:1', 'shop:1']]);
    })],
    ['killed in the middle of it, the next one brings the previous one back', false, (on) => on({ scale: ['--scale', 'worker=4'] }, async (deployment) => {
        await deployment.done('snapshot');
        const { state } = deployment;
        const rolling = deployment.begin('roll_out');
        await waitFor('the first of the new ones', async () => (await names(deployment)).flat().includes('shop:2'), { timeout: 60_000 });
        rolling.kill('SIGKILL');
        await rolling.result;
        deployment.state = state;
        await deployment.done('roll_back', 'clean_up');
        assert.deepEqual(await names(deployment), [['shop:1'], ['shop:1', 'shop:1', 'shop:1', 'shop:1']]);
        assert.equal((await left(deployment)).length, 6, 'none is left over');
    })],
    ['an image that there is not changes nothing', false, (on) => on({ release: 'none' }, async (deployment) => {
        const ran = await running(deployment, 'web', 'Id', 'RestartCount');
        await deployment.done('snapshot');
        assert.equal((await deployment.run('roll_out')).outcome, 'failed');
        await deployment.done('roll_back', 'clean_up');
        assert.deepEqual(await running(deployment, 'web', 'Id', 'RestartCount'), ran);
    })],
    ['what somebody else has put in place since is left', false, async (on, ids, docker) => {
        await docker.image('shop:hotfix');
        await on({}, async (deployment) => {
            await deployment.done('snapshot', 'roll_out', 'wait_stable');
            await docker.compose(deployment.dir, 'hotfix', '-p', deployment.project, 'up', '-d', '--no-deps', 'web');
            await expectFailure(deployment, 'wait_stable', 'failed', /^web runs shop:hotfix$/);
            await expectFailure(deployment, 'roll_back', 'failed', /^somebody else has shop:hotfix run; left as it is$/);
        });
    }],
    ['it is interrupted', false, (on) => on({ file: { checked: false } }, async (deployment) => {
        await deployment.done('snapshot', 'roll_out');
        const waiting = deployment.begin('wait_stable');
        await waitFor('its first look', () => waiting.heard.stderr !== '', { timeout: 60_000 });
        waiting.kill('SIGINT');
        assert.equal((await waiting.result).outcome, 'cancelled');
        await deployment.done('roll_back', 'clean_up');
    })],
    ['check tells what there is not', false, async (on) => {
        await on({ target: lines.replace('worker]', 'none]') }, (deployment) => expectFailure(deployment, 'check', 'failed', /^the compose file has no service none with an image$/));
        await on({}, async (deployment) => {
            deployment.env.DOCKER_HOST = 'unix:///nonexistent';
            await expectFailure(deployment, 'check', 'unreachable', /Cannot connect to the Docker daemon|error during connect/);
            deployment.env.PATH = '/nonexistent';
            await expectFailure(deployment, 'check', 'unreachable', /^cannot run docker: No such file or directory$/);
        });
    }],
];

describe('on a stand-in', { concurrency: 16 }, () => {
    for (const [name, , use] of everywhere) test(name, () => onStandIn({}, use));

    test('by the plugin, where docker has it', () => onStandIn({ plugin: true }, (on, ids, docker) => on({}, async (deployment) => {
        await deployment.done('check', 'snapshot', 'roll_out', 'wait_stable', 'roll_back', 'clean_up');
        assert.deepEqual(await both(deployment), [[['shop:1', ids[1]]], [['shop:1', ids[1]]]]);
        assert.ok(docker.asked.some((line) => line.startsWith('docker compose -p ')));
    })));

    // Its list of a service's containers is an error where there are none.
    for (const project of ['none-yet', '']) {
        test(`by the plugin, where nothing ran before${project && ', in a project that is named'}`, () => onStandIn({ plugin: true }, (on) => on({ from: '', project }, async (deployment) => {
            await deployment.done('check', 'snapshot', 'roll_out', 'wait_stable', 'roll_back', 'clean_up');
            assert.deepEqual(await both(deployment), [[], []]);
        })));
    }

    test('a project whose name docker-compose writes otherwise', () => onStandIn({}, (on, ids) => on({ project: 'MyShop' }, async (deployment) => {
        await deployment.done('check', 'snapshot');
        assert.deepEqual([deployment.state.runs, deployment.state.previous.project], [true, 'myshop']);
        await deployment.done('roll_out', 'wait_stable', 'roll_back', 'clean_up');
        assert.deepEqual(await both(deployment), [[['shop:1', ids[1]]], [['shop:1', ids[1]]]]);
    })));

    test('neither compose', () => onStandIn({}, (on, ids, docker) => on({}, async (deployment) => {
        await rm(path.join(docker.standIn.bin, 'docker-compose'));
        await expectFailure(deployment, 'check', 'unreachable', /^there is neither docker compose nor docker-compose$/);
        assert.match((await deployment.run('describe')).text, /RELEASE=2 docker compose up -d --no-deps --no-build -t 2 web worker\n/);
        assert.equal((await deployment.run('probe_url')).text, '');
    })));

    test('an image that is gone from here is fetched by its digest', () => onStandIn({}, async (on, ids, docker) => {
        docker.pushed(ids[1]);
        await on({}, async (deployment) => {
            await deployment.done('snapshot', 'roll_out', 'wait_stable');
            docker.images.delete(ids[1]);
            await deployment.done('roll_back', 'clean_up');
            assert.deepEqual(await both(deployment), [[['shop:1', ids[1]]], [['shop:1', ids[1]]]]);
        });
        await on({}, async (deployment) => {
            await deployment.done('snapshot', 'roll_out', 'wait_stable');
            docker.images.delete(ids[1]);
            docker.registry.clear();
            await expectFailure(deployment, 'roll_back', 'failed', /^the image sha256:\w+ of shop:1 is not here any more$/);
        });
    }));

    test('an engine that is away for a moment', () => onStandIn({}, (on, ids, docker) => on({}, async (deployment) => {
        await deployment.done('snapshot', 'roll_out');
        docker.hanging = true;
        const waiting = deployment.begin('wait_stable');
        await waitFor('its first look', () => waiting.heard.stderr !== '');
        docker.down = true;
        await waitFor('its word of it', () => /Cannot connect/.test(waiting.heard.stderr));
        docker.hanging = false;
        docker.down = false;
        assert.equal((await waiting.result).outcome, 'done');
        docker.down = true;
        await expectFailure(deployment, 'roll_back', 'unreachable', /Cannot connect/);
        await expectFailure(deployment, 'clean_up', 'unreachable', /Cannot connect/);
        docker.down = false;
        await deployment.done('roll_back', 'clean_up');
    })));

    test('what was paused, or ended again and again, was the release all the same', () => onStandIn({}, (on, ids, docker) => on({}, async (deployment) => {
        for (const c of docker.containers) if (c.Config.Image === 'shop:1') c.State.Status = 'paused';
        await deployment.done('snapshot');
        assert.deepEqual([deployment.state.runs, deployment.state.release], [true, '1']);
        const before = docker.moments.count;
        await deployment.done('roll_back', 'clean_up');
        assert.equal(docker.moments.count, before, 'nothing was done, so nothing is undone');
    })));

    test('whatever it dies in', async () => {
        const target = lines.replace(', worker', '');
        const within = (use) => onStandIn({}, (on, ids, docker) => on({ target }, (deployment) => use(docker, Object.assign(deployment, { ids }))));
        const expect = (release) => async (docker, deployment) => {
            const { ids } = deployment;
            assert.deepEqual(await both(deployment), [[[`shop:${release}`, ids[release]]], [['shop:1', ids[1]]]]);
            assert.equal((await left(deployment)).length, 3, 'none is left over');
        };
        const done = await dieEverywhere(within, expect('2'), expect('1'), { atOnce: 10 });
        assert.equal(done, 18);
    });
});

/* Gives use a project on a stand-in of its own. */
async function onStandIn(options, use) {
    const docker = await DockerStandIn.start(options);
    try {
        const ids = await lay(docker);
        await use((more, inside) => withProject(docker, more, inside), ids, docker);
    } finally {
        await docker.stop();
    }
}

describe('on a Docker engine', { skip: whyNoDocker(), concurrency: 4 }, () => {
    let docker, ids;

    before(async () => {
        docker = await Docker.start();
        ids = docker && await lay(docker);
    });
    after(() => docker?.stop());

    for (const [name, always, use] of everywhere) {
        if (!always && process.env.COMPOSE_TESTS !== 'all') continue;
        test(name, async (t) => (docker ? use((more, inside) => withProject(docker, more, inside), ids, docker) : t.skip('the Docker engine does not run here')));
    }
});

/* What the two programs say is what the stand-in does, as far as it is read. */
for (const [name, plugin] of [['docker-compose', false], ['docker', true]]) {
    const there = has(name) && (!plugin || await promisify(execFile)('docker', ['compose', 'version']).then(() => true, () => false));
    test(`the stand-in's configuration is that of ${plugin ? 'docker compose' : name}`, { skip: !there && `there is no ${plugin ? 'docker compose' : name}` }, async () => {
        const dir = await mkdtemp(path.join(os.tmpdir(), 'holdfast-compose-'));
        const docker = await DockerStandIn.start({ plugin });
        try {
            await writeFile(path.join(dir, 'docker-compose.yml'), composeFile());
            const args = [...(plugin ? ['compose'] : []), '-p', 'shop', 'config'];
            const real = await promisify(execFile)(name, args, { cwd: dir, env: { ...process.env, RELEASE: 'holdfast-marker' } });
            const ours = await promisify(execFile)(name, args, { cwd: dir, env: { ...docker.env, RELEASE: 'holdfast-marker' } });
            const read = ({ stdout }) => stdout.split('\n').filter((line) => /^(name|services|version|networks):|^ {2}\w+:|^ {4}image:/.test(line) && !/^(networks|version)/.test(line));
            assert.deepEqual(read(ours), read(real).slice(0, read(ours).length));
        } finally {
            await docker.stop();
            await rm(dir, { recursive: true, force: true });
        }
    });
}

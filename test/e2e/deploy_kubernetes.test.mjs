/*
 * Releases on Kubernetes: by a stand-in for kubectl, and some of it by the real one over an API
 * server of ours (all of it with KUBECTL_TESTS=all).
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';

import { has } from './aws.mjs';
import { waitFor } from './harness.mjs';
import { standInForKubectl } from './kubectl_stand_in.mjs';
import { Kubernetes } from './kubernetes.mjs';
import { Deployment, dieEverywhere } from './targets.mjs';

const one = 'registry.example/shop:1', two = 'registry.example/shop:2';
const annotation = 'holdfast/deployment';
const lines = `kind: kubernetes
    deployment: shop
    container: web
    image: registry.example/shop`;

/* real: by the real kubectl. */
async function withCluster(real, { lay = {}, target = lines, ...options }, use) {
    const cluster = await Kubernetes.start(lay);
    const standIn = real ? undefined : await standInForKubectl(cluster);
    const deployment = await Deployment.create(target, { limit: 40_000, ...options, env: { ...cluster.env, ...standIn?.env, ...options.env } });
    try {
        await use(cluster, deployment);
    } finally {
        await deployment.remove();
        await standIn?.stop();
        await cluster.stop();
    }
}

const expectFailure = async (deployment, operation, outcome, message) => {
    const result = await deployment.run(operation);
    assert.equal(result.outcome, outcome, result.message);
    assert.match(result.message, message);
};
const changes = (cluster) => cluster.calls.splice(0).filter((call) => !call.startsWith('GET '));

/* What either kubectl has to bring about: [name, whether the real one is always asked, what]. */
const everywhere = [
    ['a release goes through, and back once it was proven', true, async (on) => {
        await on({}, async (cluster, deployment) => {
            await deployment.done('check', 'snapshot');
            assert.deepEqual(changes(cluster), []);
            assert.doesNotMatch(JSON.stringify(deployment.state), /open sesame/);
            const [before] = cluster.sets;
            assert.equal(deployment.state.previous.replicaSet, before.metadata.name);
            await deployment.done('roll_out', 'roll_out', 'wait_stable', 'prove', 'clean_up_proven');
            assert.deepEqual(changes(cluster), ['PATCH /apis/apps/v1/namespaces/default/deployments/shop']);
            assert.deepEqual(cluster.running(), { [two]: 2 });
            const { spec: { template } } = cluster.deployment;
            assert.equal(template.metadata.annotations[annotation], deployment.id);
            assert.deepEqual(template.spec.containers, before.spec.template.spec.containers.map((c) => (c.name === 'web' ? { ...c, image: two } : c)));
            await deployment.done('roll_back', 'clean_up');
            assert.deepEqual(cluster.running(), { [one]: 2 });
            assert.deepEqual(cluster.sets.map(({ metadata }) => metadata.name), [before.metadata.name], 'the other one is deleted');
            assert.equal(cluster.deployment.spec.template.metadata.annotations?.[annotation], undefined);
            changes(cluster);
            await deployment.done('roll_back', 'clean_up');
            assert.deepEqual(changes(cluster), []);
        });
    }],

    ['one that crashes: its reasons are kept, and it goes back', false, async (on) => {
        await on({}, async (cluster, deployment) => {
            cluster.behave[two] = 'crashes';
            Object.assign(cluster.logs, { now: 'starting again\n', previous: 'Error: no such column\n' });
            await deployment.done('snapshot', 'roll_out');
            await expectFailure(deployment, 'wait_stable', 'failed', /^no progress within its deadline: ReplicaSet "shop-\w+" has timed out progressing\.$/);
            assert.deepEqual(cluster.running(), { [one]: 2 });
            cluster.lingering = 8; // and all the while the failed one's deadline is told of
            await deployment.done('roll_back', 'clean_up');
            assert.deepEqual(cluster.running(), { [one]: 2 });
            assert.equal(cluster.sets.length, 1);
            const evidence = await deployment.evidence('kubernetes.log');
            for (const said of [/Progressing is False: ProgressDeadlineExceeded/, /Pod shop-\S+ BackOff: Back-off restarting failed container web/, /pod shop-\S+: Pending/, /not Ready: ContainersNotReady/,
                /container web: \d+ restarts, waiting CrashLoopBackOff \(back-off 10s.*\), before terminated Error with code 7/, /^starting again$/m, /^Error: no such column$/m]) assert.match(evidence, said);
            assert.equal(evidence.match(/^-- pod /gm).length, 1, 'of the failed release alone');
            assert.doesNotMatch(evidence, /open sesame/);
        });
    }],

    ['one that is not there in time, or is interrupted', false, async (on) => {
        await on({}, async (cluster, deployment) => {
            cluster.behave[two] = 'hangs';
            await deployment.done('snapshot', 'roll_out');
            deployment.env.LIMIT_MS = '5000';
            await expectFailure(deployment, 'wait_stable', 'timeout', /^not stable in time: 1 of 2 replicas are updated, 2 available, 2 old ones left$/);
            deployment.env.LIMIT_MS = '40000';
            const waiting = deployment.begin('wait_stable');
            await waitFor('its first look', () => waiting.heard.stderr.includes('1 of 2'));
            waiting.kill('SIGINT');
            assert.equal((await waiting.result).outcome, 'cancelled');
            await deployment.done('roll_back', 'clean_up');
            assert.deepEqual(cluster.running(), { [one]: 2 });
        });
    }],

    ['what somebody else has put in place since is left', false, async (on) => {
        await on({}, async (cluster, deployment) => {
            await deployment.done('snapshot', 'roll_out', 'wait_stable');
            cluster.change(({ spec }) => {
                spec.template.spec.containers[0].image = 'registry.example/shop:hotfix';
                delete spec.template.metadata.annotations;
            });
            await expectFailure(deployment, 'wait_stable', 'failed', /^somebody else has changed the Deployment: it is of no deployment of ours, at registry.example\/shop:hotfix$/);
            await expectFailure(deployment, 'roll_back', 'failed', /^somebody else has changed the Deployment shop, to registry.example\/shop:hotfix; left as it is$/);
            assert.equal(cluster.image(), 'registry.example/shop:hotfix');
        });
        await on({}, async (cluster, deployment) => {
            await deployment.done('snapshot', 'roll_out', 'wait_stable');
            cluster.change(({ spec }) => { spec.template.spec.containers[0].image = 'registry.example/shop:hotfix'; });
            await expectFailure(deployment, 'wait_stable', 'failed', /at registry.example\/shop:hotfix$/);
            await expectFailure(deployment, 'roll_back', 'failed', /left as it is$/);
        });
    }],

    ['a template that was changed under the release comes back whole', false, async (on) => {
        await on({}, async (cluster, deployment) => {
            await deployment.done('snapshot', 'roll_out', 'wait_stable');
            cluster.change(({ spec }) => spec.template.spec.containers[0].env.push({ name: 'EXTRA', value: '1' }));
            await deployment.done('roll_back');
            assert.deepEqual(cluster.deployment.spec.template.spec.containers[0], { name: 'web', image: one, resources: {}, env: [{ name: 'PASSWORD', value: 'open sesame' }] });
        });
    }],

    ['without its ReplicaSet the image is set back', false, async (on) => {
        await on({}, async (cluster, deployment) => {
            await deployment.done('snapshot', 'roll_out', 'wait_stable');
            cluster.history = false;
            cluster.settle();
            assert.equal(cluster.sets.length, 1);
            await deployment.done('roll_back', 'clean_up');
            assert.deepEqual(cluster.running(), { [one]: 2 });
            assert.deepEqual(cluster.deployment.spec.template.metadata.annotations, {});
        });
    }],

    ['nothing was done, so there is nothing to go back from', false, async (on) => {
        await on({}, async (cluster, deployment) => {
            cluster.behave[one] = 'crashes';
            await deployment.done('snapshot', 'roll_back', 'clean_up');
            assert.deepEqual(changes(cluster), []);
        });
    }],

    ["in the middle of somebody's rollout, what serves is what it goes back to", false, async (on) => {
        await on({}, async (cluster, deployment) => {
            cluster.behave['broken:1'] = 'crashes';
            cluster.change(({ spec }) => { spec.template.spec.containers[0].image = 'broken:1'; });
            cluster.settle();
            await deployment.done('check', 'snapshot');
            assert.equal(deployment.state.previous.image, one);
            await deployment.done('roll_out', 'wait_stable', 'roll_back', 'clean_up');
            assert.deepEqual(cluster.running(), { [one]: 2 });
        });
    }],

    ['one that wants no replica proves nothing', false, async (on) => {
        await on({}, async (cluster, deployment) => {
            await deployment.done('snapshot', 'roll_out');
            cluster.change(({ spec }) => { spec.replicas = 0; });
            await expectFailure(deployment, 'wait_stable', 'failed', /wants 0 replicas/);
            await deployment.done('roll_back', 'clean_up');
            assert.equal(cluster.image(), one);
            await expectFailure(deployment, 'check', 'failed', /wants 0 replicas/);
        });
    }],

    ['an API server that is away for a moment', false, async (on) => {
        await on({}, async (cluster, deployment) => {
            await deployment.done('snapshot', 'roll_out');
            cluster.refuse.push({ method: 'GET', part: 'deployments', code: 503, reason: 'ServiceUnavailable', times: 2 });
            await deployment.done('wait_stable');
            assert.deepEqual(cluster.running(), { [two]: 2 });
        });
    }],

    ['what it may not do is said', false, async (on) => {
        await on({}, async (cluster, deployment) => {
            await deployment.done('snapshot');
            cluster.refuse.push({ method: 'PATCH', part: 'deployments', code: 403, reason: 'Forbidden', message: 'deployments.apps "shop" is forbidden: User "me" cannot patch' });
            await expectFailure(deployment, 'roll_out', 'failed', /\(Forbidden\).*cannot patch/);
            await deployment.done('roll_back', 'clean_up');
        });
    }],

    ['check tells what there is not', true, async (on) => {
        for (const [target, outcome, message] of [
            [lines.replace('deployment: shop', 'deployment: none'), 'failed', /\(NotFound\): deployments(\.apps)? "none" not found/],
            [lines.replace('container: web', 'container: none'), 'failed', /^the Deployment shop has no container none$/],
            [`${lines}\ncontext: away`, 'unreachable', /connection to the server 127.0.0.1:1 was refused/],
            [`${lines}\ncontext: none`, 'failed', /context "none" does not exist/],
        ]) await on({ target }, (cluster, deployment) => expectFailure(deployment, 'check', outcome, message));
        await on({}, async (cluster, deployment) => {
            cluster.change(({ spec }) => { spec.paused = true; });
            await expectFailure(deployment, 'check', 'failed', /^the Deployment shop is paused$/);
        });
    }],
];

describe('by a stand-in for kubectl', { concurrency: 8 }, () => {
    for (const [name, , use] of everywhere) test(name, () => use((options, inside) => withCluster(false, options, inside)));

    test('whatever it dies in', async () => {
        const expect = (image, sets) => (cluster) => {
            assert.deepEqual(cluster.running(), { [image]: 2 });
            assert.equal(cluster.sets.length, sets);
        };
        const done = await dieEverywhere((use) => withCluster(false, {}, use), expect(two, 2), expect(one, 1));
        assert.equal(done, 4);
    });
});

describe('by kubectl', { skip: !has('kubectl') && 'there is no kubectl', concurrency: 4 }, () => {
    for (const [name, always, use] of everywhere)
        if (always || process.env.KUBECTL_TESTS === 'all') test(name, () => use((options, inside) => withCluster(true, options, inside)));

    test('what is under way does not count as done', async () => {
        await withCluster(true, {}, async (cluster, deployment) => {
            await deployment.done('snapshot', 'roll_out');
            cluster.frozen = true;
            const kubectl = (...args) => promisify(execFile)('kubectl', args, { env: deployment.env });
            // What kubectl says with 0 in the middle of it.
            const { stdout } = await kubectl('rollout', 'status', 'deployment/shop', '--watch=false');
            assert.match(stdout, /^Waiting for deployment/);
            cluster.frozen = false;
            await deployment.done('wait_stable');
            assert.deepEqual(cluster.running(), { [two]: 2 });
        });
    });

    test('the stand-in says what it says', async () => {
        const cluster = await Kubernetes.start();
        const standIn = await standInForKubectl(cluster);
        const ask = (args, env) => promisify(execFile)('kubectl', ['--namespace', 'default', ...args], { env: { PATH: process.env.PATH, ...env } }).then(({ stdout }) => ({ code: 0, stdout }), ({ code, stderr }) => ({ code, stderr: stderr.trim().split('\n').at(-1) }));
        const read = ({ stdout, ...end }) => ({ ...end, ...(stdout && { stdout: stdout.startsWith('{') ? JSON.parse(stdout) : stdout }) });
        const compare = async (...args) => {
            const [real, ours] = [await ask(args, cluster.env), await ask(args, standIn.env)].map(read);
            for (const { stdout } of [real, ours]) if (stdout?.metadata?.resourceVersion !== undefined) delete stdout.metadata.resourceVersion;
            assert.deepEqual(ours, real, args.join(' '));
        };
        try {
            cluster.frozen = true;
            cluster.change(({ spec }) => { spec.template.metadata.annotations = { a: 'b' }; });
            cluster.settle();
            const [{ metadata: { name } }] = cluster.sets, [{ metadata: { name: pod } }] = cluster.pods;
            await Promise.all([
                compare('get', 'deployment', 'shop', '-o', 'json', '--request-timeout=15s'),
                compare('get', 'deployment', 'none', '-o', 'json'),
                compare('get', 'replicasets', '-l', 'app=shop', '-o', 'json'),
                compare('get', 'replicaset', name, '-o', 'json'),
                compare('get', 'replicaset', 'none', '-o', 'json'),
                compare('get', 'pods', '-l', 'app=other', '-o', 'json'),
                compare('get', 'events', '--sort-by=.lastTimestamp', '-o', 'json'),
                compare('rollout', 'status', 'deployment', 'shop', '--timeout=30s'),
                compare('logs', pod, '-c', 'web', '--tail=200', '--limit-bytes=262144'),
                compare('delete', 'replicaset', 'none', '--ignore-not-found', '--wait=false'),
            ]);
            await compare('patch', 'deployment', 'shop', '--type', 'strategic', '--patch', '{"spec":{"template":{"metadata":{"annotations":{"a":"c"}}}}}', '-o', 'name');
            await compare('rollout', 'undo', 'deployment', 'shop', '--to-revision=1');
            await compare('rollout', 'undo', 'deployment', 'shop', '--to-revision=9');
            cluster.refuse.push({ method: 'PATCH', part: 'shop', code: 403, reason: 'Forbidden', message: 'no', times: 2 });
            await compare('patch', 'deployment', 'shop', '--type', 'strategic', '--patch', '{}');
        } finally {
            await standIn.stop();
            await cluster.stop();
        }
    });
});

test('without kubectl it is out of reach', async () => {
    await withCluster(true, { env: { PATH: '/nonexistent' } }, async (cluster, deployment) => {
        await expectFailure(deployment, 'check', 'unreachable', /cannot run kubectl/);
        assert.match((await deployment.run('describe')).text, /^kubectl patch deployment shop in default: the container web at registry.example\/shop:2/);
    });
});

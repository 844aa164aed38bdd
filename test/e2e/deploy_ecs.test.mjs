/* Releases on ECS, by its own deployments and by task sets, and the way back from each. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';

import { has, keys, region, temporary } from './aws.mjs';
import { Ecs } from './ecs.mjs';
import { waitFor } from './harness.mjs';
import { Deployment, dieEverywhere } from './targets.mjs';

const together = { concurrency: 6 }; // they wait more than they work
const one = 'registry.example/shop:1', two = 'registry.example/shop:2';
const lines = `kind: ecs
    cluster: main
    service: shop
    container: web
    image: registry.example/shop`;

/* A service of its own, and a deployment of release 2 to it. */
async function withService({ lay = {}, ...options }, use) {
    const ecs = await Ecs.start(lay);
    const deployment = await Deployment.create(lay.external ? `${lines}\nstrategy: task-sets` : lines, { ...options, env: { ...ecs.env, ...options.env } });
    try {
        await use(ecs, deployment);
    } finally {
        await deployment.remove();
        await ecs.stop();
    }
}

const expectFailure = async (deployment, operation, outcome, message) => {
    const result = await deployment.run(operation);
    assert.equal(result.outcome, outcome, result.message);
    assert.match(result.message, message);
    return result;
};

describe('on ECS', together, () => {
    describe('a rolling deployment', together, () => {
        test('goes through, and back once it was proven', async () => {
            await withService({}, async (ecs, deployment) => {
                await deployment.done('check', 'snapshot');
                assert.deepEqual([...new Set(ecs.asked())].sort(), ['DescribeServices', 'DescribeTaskDefinition'], 'nothing was changed');
                assert.doesNotMatch(JSON.stringify(deployment.state), /open sesame/);
                await deployment.done('roll_out', 'wait_stable', 'prove', 'clean_up_proven');
                assert.deepEqual(ecs.running(), { [two]: 2 });
                assert.equal(ecs.service.deployments.length, 1);
                const [, made] = ecs.definitions;
                assert.deepEqual(made.tags, [{ key: 'team', value: 'shop' }, { key: 'holdfast-deployment', value: deployment.id }]);
                assert.deepEqual(made.containerDefinitions, ecs.definitions[0].containerDefinitions.map((c) => (c.name === 'web' ? { ...c, image: two } : c)));
                assert.deepEqual([made.cpu, made.networkMode], ['256', 'awsvpc']);
                await deployment.done('roll_back', 'clean_up');
                assert.deepEqual(ecs.running(), { [one]: 2 });
                assert.deepEqual(ecs.active(), ['shop:1']);
            });
        });

        test('by its digest', async () => {
            const digest = `sha256:${'ab'.repeat(32)}`;
            await withService({ release: digest, env: { AWS_ACCESS_KEY_ID: temporary.id, AWS_SECRET_ACCESS_KEY: temporary.secret, AWS_SESSION_TOKEN: temporary.token } }, async (ecs, deployment) => {
                await deployment.done('snapshot', 'roll_out', 'wait_stable');
                assert.deepEqual(ecs.running(), { [`registry.example/shop@${digest}`]: 2 });
            });
        });

        test('whose tasks fail: the reasons are kept, and it goes back', async () => {
            await withService({}, async (ecs, deployment) => {
                ecs.behave[two] = 'crashes';
                await deployment.done('check', 'snapshot', 'roll_out');
                await expectFailure(deployment, 'wait_stable', 'failed', /^3 tasks in a row have failed$/);
                assert.deepEqual(ecs.running(), { [one]: 2 });
                await deployment.done('roll_back', 'clean_up');
                assert.deepEqual(ecs.running(), { [one]: 2 });
                assert.equal(ecs.service.deployments.length, 1);
                assert.deepEqual(ecs.active(), ['shop:1']);
                const evidence = await deployment.evidence('ecs.log');
                assert.match(evidence, /is unable to consistently start tasks successfully/);
                assert.equal(evidence.match(/EssentialContainerExited Essential container in task exited/g).length, ecs.tasks.length);
                assert.ok(ecs.tasks.length >= 3);
                assert.match(evidence, /container web: STOPPED, health UNKNOWN, exit code 137 OutOfMemoryError/);
            });
        });

        test('that ECS gives up', async () => {
            await withService({ lay: { breaker: { enable: true, rollback: false } } }, async (ecs, deployment) => {
                ecs.behave[two] = 'crashes';
                await deployment.done('snapshot', 'roll_out');
                await expectFailure(deployment, 'wait_stable', 'failed', /^ECS gave the deployment up: ECS deployment circuit breaker: tasks failed to start\.$/);
                await deployment.done('roll_back', 'clean_up');
                assert.deepEqual(ecs.running(), { [one]: 2 });
            });
        });

        test('that ECS rolls back itself is not a success, and is not rolled back twice', async () => {
            await withService({ lay: { breaker: { enable: true, rollback: true } } }, async (ecs, deployment) => {
                ecs.behave[two] = 'crashes';
                await deployment.done('snapshot', 'roll_out');
                // All of it goes on between two looks: to our eyes the service is stable again.
                ecs.frozen = true;
                for (let i = 0; i < 12; i++) {
                    ecs.frozen = false;
                    ecs.doDescribeServices({ cluster: 'main', services: ['shop'] });
                }
                assert.equal(ecs.service.deployments.length, 1);
                assert.equal(ecs.service.deployments[0].rolloutState, 'COMPLETED');
                await expectFailure(deployment, 'wait_stable', 'failed', /^the deployment ecs-svc\/\d+ is gone$/);
                ecs.asked();
                await deployment.done('roll_back', 'clean_up');
                assert.ok(!ecs.asked().includes('UpdateService'));
                assert.deepEqual(ecs.running(), { [one]: 2 });
            });
            await withService({ lay: { breaker: { enable: true, rollback: true } } }, async (ecs, deployment) => {
                ecs.behave[two] = 'crashes';
                await deployment.done('snapshot', 'roll_out');
                await expectFailure(deployment, 'wait_stable', 'failed', /circuit breaker/);
                await deployment.done('roll_back');
                assert.deepEqual(ecs.running(), { [one]: 2 });
                assert.equal(ecs.service.deployments.length, 1);
            });
        });

        test('that does not get there in time, or is interrupted', async () => {
            await withService({}, async (ecs, deployment) => {
                ecs.behave[two] = 'hangs';
                await deployment.done('snapshot', 'roll_out');
                deployment.env.LIMIT_MS = '2000';
                await expectFailure(deployment, 'wait_stable', 'timeout', /^not stable in time: 0 of 2 tasks run, 2 start, 0 failed; those of before are still there$/);
                deployment.env.LIMIT_MS = '20000';
                const waiting = deployment.begin('wait_stable');
                await waitFor('its first look', () => waiting.heard.stderr.includes('0 of 2'));
                waiting.kill('SIGINT');
                assert.equal((await waiting.result).outcome, 'cancelled');
                await deployment.done('roll_back', 'clean_up');
                assert.deepEqual(ecs.running(), { [one]: 2 });
            });
        });

        test('of a service that wants no task proves nothing', async () => {
            await withService({}, async (ecs, deployment) => {
                await deployment.done('snapshot', 'roll_out');
                ecs.service.desiredCount = 0;
                await expectFailure(deployment, 'wait_stable', 'failed', /wants 0 tasks/);
                await deployment.done('roll_back', 'clean_up');
                assert.equal(ecs.image(ecs.service.taskDefinition), one);
                await expectFailure(deployment, 'check', 'failed', /wants 0 tasks/);
            });
        });

        test('what somebody else has put in place since is left', async () => {
            await withService({}, async (ecs, deployment) => {
                await deployment.done('snapshot', 'roll_out', 'wait_stable');
                const { family, containerDefinitions } = ecs.definitions[0];
                const { taskDefinitionArn } = ecs.register({ family, containerDefinitions: [{ ...containerDefinitions[0], image: 'registry.example/shop:hotfix' }] });
                ecs.doUpdateService({ cluster: 'main', service: 'shop', taskDefinition: taskDefinitionArn });
                await expectFailure(deployment, 'wait_stable', 'failed', /was replaced by ecs-svc\/\d+ of arn:.*shop:3/);
                await expectFailure(deployment, 'roll_back', 'failed', /was updated by someone else to .*shop:3; left as it is/);
                assert.equal(ecs.image(ecs.service.taskDefinition), 'registry.example/shop:hotfix');
            });
        });

        test('in the middle of somebody\'s, what serves is what it goes back to', async () => {
            await withService({}, async (ecs, deployment) => {
                const { family, containerDefinitions } = ecs.definitions[0];
                ecs.behave['broken:1'] = 'hangs';
                const { taskDefinitionArn } = ecs.register({ family, containerDefinitions: [{ ...containerDefinitions[0], image: 'broken:1' }] });
                ecs.doUpdateService({ cluster: 'main', service: 'shop', taskDefinition: taskDefinitionArn });
                await deployment.done('check', 'snapshot');
                assert.equal(deployment.state.previous.image, one);
                await deployment.done('roll_out', 'wait_stable');
                assert.deepEqual(ecs.running(), { [two]: 2 });
            });
        });
    });

    describe('asked for what there is not', together, () => {
        const refused = async (change, message, lay = {}) => {
            await withService({ lay }, async (ecs, deployment) => {
                await change(ecs, deployment);
                await expectFailure(deployment, 'check', 'failed', message);
                assert.ok(ecs.calls.every(({ operation }) => operation.startsWith('Describe')));
            });
        };

        test('check says so', async () => {
            const other = (from, to) => async (ecs, deployment) => {
                const made = await Deployment.create(lines.replace(from, to), { env: ecs.env });
                await deployment.remove();
                Object.assign(deployment, made);
            };
            await refused(other('service: shop', 'service: none'), /^the cluster main has no service none \(MISSING\)$/);
            await refused(other('cluster: main', 'cluster: none'), /ClusterNotFound: Cluster not found/);
            await refused(other('container: web', 'container: none'), /task-definition\/shop:1 has no container none$/);
            await refused((ecs) => { ecs.service.status = 'DRAINING'; }, /^the service shop is DRAINING$/);
            await refused((ecs) => { ecs.service.deploymentController.type = 'CODE_DEPLOY'; }, /deployment controller CODE_DEPLOY; the strategy rolling needs ECS/);
            await refused((ecs) => { ecs.service.deploymentConfiguration.strategy = 'BLUE_GREEN'; }, /BLUE_GREEN, not ROLLING/);
            await refused((ecs) => { ecs.service.deploymentController.type = 'ECS'; }, /controller ECS; the strategy task-sets needs EXTERNAL/, { external: true });
            await refused((ecs) => { ecs.service.taskSets = []; }, /has no primary task set/, { external: true });
            await refused((ecs, deployment) => { deployment.env.AWS_REGION = ''; }, /neither target.region nor AWS_REGION/);
        });

        test('or that it cannot be asked', async () => {
            await withService({ limit: 3000 }, async (ecs, deployment) => {
                deployment.env.AWS_SECRET_ACCESS_KEY = 'other';
                await expectFailure(deployment, 'check', 'unreachable', /not permitted: InvalidSignature/);
                deployment.env.AWS_SECRET_ACCESS_KEY = '';
                await expectFailure(deployment, 'check', 'unreachable', /AWS_/);
                Object.assign(deployment.env, ecs.env, { AWS_ENDPOINT_URL: 'http://127.0.0.1:1' });
                await expectFailure(deployment, 'check', 'unreachable', /DescribeServices out of reach: Unreachable/);
            });
        });
    });

    describe('calls that go wrong', together, () => {
        test('what is throttled or failing is tried again', async () => {
            await withService({}, async (ecs, deployment) => {
                ecs.failures.push({ operation: 'DescribeServices', code: 'ThrottlingException', status: 400, times: 2 }, { operation: 'DescribeTaskDefinition', code: 'ServerException', status: 500 },
                    { operation: 'RegisterTaskDefinition', code: 'ClientException', status: 400, message: 'Too many concurrent attempts to create a new revision of the specified family.' },
                    { operation: 'UpdateService', code: 'ThrottlingException', status: 400 });
                await deployment.done('check', 'snapshot', 'roll_out', 'wait_stable');
                assert.deepEqual(ecs.running(), { [two]: 2 });
                assert.ok(ecs.failures.every(({ times }) => times === 0));
            });
        });

        test('what is refused is not', async () => {
            await withService({}, async (ecs, deployment) => {
                await deployment.done('snapshot');
                ecs.asked();
                ecs.failures.push({ operation: 'UpdateService', code: 'AccessDeniedException', status: 400, message: 'no ecs:UpdateService', times: 9 });
                await expectFailure(deployment, 'roll_out', 'unreachable', /UpdateService not permitted: AccessDenied: no ecs:UpdateService/);
                assert.equal(ecs.asked().filter((operation) => operation === 'UpdateService').length, 1);
                await deployment.done('roll_back', 'clean_up');
                assert.deepEqual(ecs.active(), ['shop:1']);
            });
        });

        for (const operation of ['RegisterTaskDefinition', 'UpdateService', 'DeregisterTaskDefinition']) {
            test(`an answer of ${operation} that is lost`, async () => {
                await withService({}, async (ecs, deployment) => {
                    ecs.failures.push({ operation });
                    await deployment.done('snapshot', 'roll_out', 'wait_stable');
                    assert.equal(ecs.definitions.length, 2, 'it is registered once');
                    await deployment.done('roll_back', 'clean_up');
                    assert.deepEqual([ecs.running(), ecs.active()], [{ [one]: 2 }, ['shop:1']]);
                });
            });
        }

        test('one that died before it could note what it registered finds it', async () => {
            await withService({}, async (ecs, deployment) => {
                const { family, containerDefinitions } = ecs.definitions[0];
                ecs.pageSize = 2;
                await deployment.done('snapshot');
                assert.equal((await deployment.run('roll_out', { DIE_AT_NOTE: '1' })).outcome, 'died');
                for (let i = 0; i < 3; i++) ecs.register({ family, containerDefinitions });
                ecs.register({ family: 'shopping', containerDefinitions });
                await deployment.done('roll_out', 'wait_stable');
                assert.equal(ecs.definitions.length, 6);
                assert.deepEqual(ecs.running(), { [two]: 2 });
                deployment.state = { previous: deployment.state.previous };
                await deployment.done('roll_out', 'wait_stable', 'roll_back', 'roll_back', 'clean_up', 'clean_up');
                assert.deepEqual(ecs.running(), { [one]: 2 });
                assert.deepEqual(ecs.active(), ['shop:1', 'shop:3', 'shop:4', 'shop:5', 'shopping:1']);
            });
        });
    });

    describe('task sets', together, () => {
        const lay = { external: true };
        const sets = (ecs) => ecs.service.taskSets.map((set) => [ecs.image(set.taskDefinition), set.status]);

        test('the previous one has its part until the new one is proven', async () => {
            await withService({ lay }, async (ecs, deployment) => {
                await deployment.done('check', 'snapshot', 'roll_out', 'wait_stable');
                assert.deepEqual(ecs.running(), { [one]: 2, [two]: 2 });
                assert.deepEqual(sets(ecs), [[one, 'PRIMARY'], [two, 'ACTIVE']]);
                const [before, made] = ecs.service.taskSets;
                for (const name of ['networkConfiguration', 'launchType', 'platformVersion', 'scale']) assert.deepEqual(made[name], before[name], name);
                await deployment.done('prove', 'prove');
                assert.deepEqual(sets(ecs), [[one, 'ACTIVE'], [two, 'PRIMARY']]);
                assert.deepEqual(ecs.running(), { [one]: 2, [two]: 2 });
                await deployment.done('clean_up_proven', 'clean_up_proven');
                assert.deepEqual(sets(ecs), [[two, 'PRIMARY']]);
                // And back, long after.
                await deployment.done('roll_back', 'roll_back', 'clean_up');
                assert.deepEqual(sets(ecs).filter(([, status]) => status !== 'DRAINING'), [[one, 'PRIMARY']]);
                assert.deepEqual(ecs.running(), { [one]: 2 });
                assert.deepEqual(ecs.active(), ['shop:1']);
            });
        });

        test('one that fails is removed with its reasons kept, and the previous one never touched', async () => {
            await withService({ lay }, async (ecs, deployment) => {
                ecs.behave[two] = 'crashes';
                await deployment.done('snapshot', 'roll_out');
                deployment.env.LIMIT_MS = '2000';
                await expectFailure(deployment, 'wait_stable', 'timeout', /^not stable in time: 0 of 2 tasks run/);
                deployment.env.LIMIT_MS = '20000';
                await deployment.done('roll_back', 'clean_up', 'roll_back', 'clean_up');
                assert.deepEqual(sets(ecs), [[one, 'PRIMARY']]);
                assert.deepEqual(ecs.active(), ['shop:1']);
                assert.ok(!ecs.asked().includes('UpdateServicePrimaryTaskSet'));
                assert.match(await deployment.evidence('ecs.log'), /container web: .* exit code 137 OutOfMemoryError/);
            });
        });

        test('it goes back from between the proof and the end', async () => {
            await withService({ lay }, async (ecs, deployment) => {
                await deployment.done('snapshot', 'roll_out', 'wait_stable', 'prove', 'roll_back', 'clean_up', 'check');
                assert.deepEqual(sets(ecs), [[one, 'PRIMARY']]);
            });
        });

        test('one that vanishes, and one that wants nothing', async () => {
            await withService({ lay }, async (ecs, deployment) => {
                await deployment.done('snapshot', 'roll_out');
                ecs.service.taskSets.pop();
                await expectFailure(deployment, 'wait_stable', 'failed', /^the task set ecs-svc\/\d+ is gone$/);
                await expectFailure(deployment, 'prove', 'failed', /is gone/);
                await deployment.done('roll_back', 'clean_up');
                assert.deepEqual(sets(ecs), [[one, 'PRIMARY']]);
            });
            await withService({ lay }, async (ecs, deployment) => {
                await deployment.done('snapshot', 'roll_out');
                ecs.service.desiredCount = 0;
                await expectFailure(deployment, 'wait_stable', 'failed', /wants 0 tasks/);
            });
        });

        test('a primary one of somebody else is left', async () => {
            await withService({ lay }, async (ecs, deployment) => {
                await deployment.done('snapshot', 'roll_out', 'wait_stable');
                const { taskSet } = ecs.doCreateTaskSet({ cluster: 'main', service: 'shop', taskDefinition: 'shop:1' });
                ecs.doUpdateServicePrimaryTaskSet({ cluster: 'main', service: 'shop', primaryTaskSet: taskSet.id });
                await expectFailure(deployment, 'roll_back', 'failed', /someone else has made .* the primary task set of shop; left as it is/);
                assert.equal(taskSet.status, 'PRIMARY');
            });
        });

        test('answers that are lost, and notes that were not taken, make no second one', async () => {
            await withService({ lay }, async (ecs, deployment) => {
                ecs.failures.push({ operation: 'CreateTaskSet' }, { operation: 'UpdateServicePrimaryTaskSet' }, { operation: 'DeleteTaskSet' });
                await deployment.done('snapshot', 'roll_out');
                deployment.state = { previous: deployment.state.previous };
                await deployment.done('roll_out', 'wait_stable');
                assert.equal(ecs.service.taskSets.length, 2);
                deployment.state = { previous: deployment.state.previous };
                await deployment.done('prove', 'clean_up_proven');
                assert.deepEqual(ecs.running(), { [two]: 2 });
                assert.ok(ecs.failures.every(({ times }) => times === 0));
            });
        });
    });

    describe('whatever it dies in', together, () => {
        const none = ({ service }) => service.taskSets.filter(({ status }) => status === 'DRAINING').length === 0;
        const goneBack = async (ecs) => {
            ecs.doDescribeServices({ cluster: 'main', services: ['shop'] });
            assert.deepEqual(ecs.running(), { [one]: 2 });
            assert.deepEqual(ecs.active(), ['shop:1']);
            assert.ok(none(ecs));
        };
        const goneOn = async (ecs) => {
            ecs.doDescribeServices({ cluster: 'main', services: ['shop'] });
            assert.deepEqual(ecs.running(), { [two]: 2 });
            assert.deepEqual(ecs.active(), ['shop:1', 'shop:2']);
            assert.ok(none(ecs));
        };

        test('rolling', async () => assert.equal(await dieEverywhere((use) => withService({}, use), goneOn, goneBack), 6));
        test('with task sets', async () => assert.equal(await dieEverywhere((use) => withService({ lay: { external: true } }, use), goneOn, goneBack), 11));
    });

    test('the plan names what will be done, and changes nothing', async () => {
        await withService({}, async (ecs, deployment) => {
            const { text } = await deployment.run('describe');
            assert.match(text, /^Register the task definition of main\/shop with the container web at registry.example\/shop:2\nUpdate the service/);
            assert.equal((await deployment.run('probe_url')).text, '');
            assert.deepEqual(ecs.calls, []);
        });
    });
});

const aws = (url, ...args) => promisify(execFile)('aws', ['--endpoint-url', url, '--output', 'json', 'ecs', ...args], {
    env: { PATH: process.env.PATH, HOME: '/nonexistent', AWS_ACCESS_KEY_ID: keys.id, AWS_SECRET_ACCESS_KEY: keys.secret, AWS_DEFAULT_REGION: region },
}).then(({ stdout }) => JSON.parse(stdout));

test('the fake is to AWS\'s own client what ECS is', { skip: !has('aws') && 'there is no aws client' }, async () => {
    const ecs = await Ecs.start();
    const external = await Ecs.start({ external: true });
    const place = ['--cluster', 'main', '--service', 'shop'];
    const roll = async () => {
        const registered = await aws(ecs.url, 'register-task-definition', '--family', 'shop', '--tags', 'key=a,value=b', '--container-definitions', JSON.stringify([{ name: 'web', image: two, memory: 64 }]));
        const arn = registered.taskDefinition.taskDefinitionArn;
        assert.deepEqual(registered.tags, [{ key: 'a', value: 'b' }]);
        const [deployment] = (await aws(ecs.url, 'update-service', ...place, '--task-definition', 'shop:2')).service.deployments;
        for (let i = 0; i < 3; i++) ecs.doDescribeServices({ cluster: 'main', services: ['shop'] });
        const [listed, described, { services: [service] }] = await Promise.all([
            aws(ecs.url, 'list-task-definitions', '--family-prefix', 'shop', '--sort', 'DESC'),
            aws(ecs.url, 'describe-task-definition', '--task-definition', 'shop:2', '--include', 'TAGS'),
            aws(ecs.url, 'describe-services', '--cluster', 'main', '--services', 'shop'),
        ]);
        assert.equal(listed.taskDefinitionArns[0], arn);
        assert.equal(described.tags[0].value, 'b');
        assert.deepEqual(service.deployments.map(({ id }) => id), [deployment.id]);
        assert.equal((await aws(ecs.url, 'deregister-task-definition', '--task-definition', 'shop:1')).taskDefinition.status, 'INACTIVE');
    };
    const replace = async () => {
        const { taskSet } = await aws(external.url, 'create-task-set', ...place, '--task-definition', 'shop:1', '--external-id', 'x', '--client-token', 'y', '--scale', 'value=50,unit=PERCENT');
        assert.deepEqual([taskSet.externalId, taskSet.scale.value, taskSet.stabilityStatus], ['x', 50, 'STABILIZING']);
        assert.equal((await aws(external.url, 'update-service-primary-task-set', ...place, '--primary-task-set', taskSet.id)).taskSet.status, 'PRIMARY');
        await assert.rejects(aws(external.url, 'delete-task-set', ...place, '--task-set', taskSet.id), /primary task set/);
    };
    try {
        await Promise.all([roll(), replace()]);
    } finally {
        await ecs.stop();
        await external.stop();
    }
});

/* It looks at no signature but for the region in it. */
async function askMoto(url, operation, body) {
    const response = await fetch(url, {
        method: 'POST', body: JSON.stringify(body),
        headers: { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': `AmazonEC2ContainerServiceV20141113.${operation}`, authorization: `AWS4-HMAC-SHA256 Credential=${keys.id}/20260101/${region}/ecs/aws4_request, SignedHeaders=host, Signature=0` },
    });
    assert.equal(response.status, 200, operation);
    return response.json();
}

test('the wire, by moto', { skip: !has('moto_server') && 'there is no moto_server' }, async () => {
    const moto = spawn('moto_server', ['-H', '127.0.0.1', '-p', '0'], { stdio: ['ignore', 'ignore', 'pipe'] });
    try {
        let url;
        for await (const line of createInterface(moto.stderr)) if ((url = /Running on (\S+)/.exec(line)?.[1])) break;
        moto.stderr.resume();
        const ask = (operation, body) => askMoto(url, operation, body);
        await ask('CreateCluster', { clusterName: 'main' });
        await ask('RegisterTaskDefinition', { family: 'shop', tags: [{ key: 'team', value: 'shop' }], containerDefinitions: [{ name: 'web', image: one, memory: 64 }] });
        await ask('CreateService', { cluster: 'main', serviceName: 'shop', taskDefinition: 'shop:1', desiredCount: 2 });
        const deployment = await Deployment.create(lines, { env: { AWS_ENDPOINT_URL: url, AWS_REGION: region, AWS_ACCESS_KEY_ID: keys.id, AWS_SECRET_ACCESS_KEY: keys.secret } });
        await deployment.done('check', 'snapshot');
        // It changes the service, but simulates no deployment of it.
        await expectFailure(deployment, 'roll_out', 'failed', /^ECS began no deployment of .*shop:2$/);
        const described = await ask('DescribeTaskDefinition', { taskDefinition: 'shop:2', include: ['TAGS'] });
        assert.equal(described.taskDefinition.containerDefinitions[0].image, two);
        assert.deepEqual(described.tags, [{ key: 'team', value: 'shop' }, { key: 'holdfast-deployment', value: deployment.id }]);
        const service = async () => (await ask('DescribeServices', { cluster: 'main', services: ['shop'] })).services[0].taskDefinition.split('/').pop();
        assert.equal(await service(), 'shop:2');
        deployment.state = { previous: deployment.state.previous };
        await expectFailure(deployment, 'roll_out', 'failed', /^ECS began no deployment of .*shop:2$/);
        await deployment.done('clean_up');
        assert.equal((await ask('DescribeTaskDefinition', { taskDefinition: 'shop:2' })).taskDefinition.status, 'INACTIVE');
        await deployment.remove();
    } finally {
        moto.kill();
        await once(moto, 'close');
    }
});

/*
 * Elastic Container Service, as far as deployments ask it, with the state that they change: what it
 * is asked to do goes on a step further whenever it is asked how it stands. Each request's signature
 * (Signature Version 4) is checked by the words of AWS's documentation.
 */
import { createHash, createHmac, randomUUID, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';

import { account, keys, region, temporary } from './aws.mjs';
import { Died, Moments } from './stand_in.mjs';

const prefix = 'AmazonEC2ContainerServiceV20141113.';
const secrets = new Map([keys, temporary].map((key) => [key.id, key]));

export class Refusal extends Error {
    constructor(code, message, status = 400) {
        super(message);
        Object.assign(this, { code, status });
    }
}

const digest = (data) => createHash('sha256').update(data).digest('hex');
const mac = (key, text) => createHmac('sha256', key).update(text).digest();

function checkSignature(request, body) {
    const match = /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})$/.exec(request.headers.authorization ?? '');
    if (!match) throw new Refusal('MissingAuthenticationTokenException', 'the request is not signed', 403);
    const [, id, day, where, service, list, signature] = match;
    const key = secrets.get(id);
    if (!key || request.headers['x-amz-security-token'] !== key.token) throw new Refusal('UnrecognizedClientException', 'The security token included in the request is invalid.');
    const names = list.split(';');
    const needed = ['content-type', 'host', 'x-amz-date', 'x-amz-target', ...(key.token ? ['x-amz-security-token'] : [])];
    const date = request.headers['x-amz-date'] ?? '';
    const at = Date.parse(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
    const canonical = [request.method, '/', '', ...names.map((name) => `${name}:${(request.headers[name] ?? '').trim().replace(/ +/g, ' ')}`), '', list, digest(body)].join('\n');
    const scope = `${day}/${where}/${service}/aws4_request`;
    const signing = [day, where, service, 'aws4_request'].reduce(mac, `AWS4${key.secret}`);
    const wanted = mac(signing, ['AWS4-HMAC-SHA256', date, scope, digest(canonical)].join('\n'));
    if (list !== [...names].sort().join(';') || needed.some((name) => !names.includes(name)) || !date.startsWith(day) || !(Math.abs(Date.now() - at) < 300_000)
        || where !== region || service !== 'ecs' || !timingSafeEqual(wanted, Buffer.from(signature, 'hex')))
        throw new Refusal('InvalidSignatureException', 'The request signature we calculated does not match the signature you provided.');
}

/* What registering takes; another member is a mistake of the caller. */
const registrable = new Set(['family', 'taskRoleArn', 'executionRoleArn', 'networkMode', 'containerDefinitions', 'volumes', 'placementConstraints', 'requiresCompatibilities', 'cpu', 'memory', 'tags', 'pidMode',
    'ipcMode', 'proxyConfiguration', 'inferenceAccelerators', 'ephemeralStorage', 'runtimePlatform', 'enableFaultInjection']);
const seconds = () => Date.now() / 1000;

export class Ecs {
    /* A cluster "main" with a service "shop" of two tasks, which run shop:1. */
    static async start({ external = false, breaker, desired = 2 } = {}) {
        const ecs = new Ecs();
        Object.assign(ecs, { definitions: [], tasks: [], calls: [], failures: [], behave: {}, frozen: false, tokens: new Map(), pageSize: 100, moments: new Moments() });
        ecs.server = http.createServer((request, response) => ecs.#serve(request, response));
        await once(ecs.server.listen(0, '127.0.0.1'), 'listening');
        ecs.url = `http://127.0.0.1:${ecs.server.address().port}`;
        ecs.env = { AWS_ENDPOINT_URL: ecs.url, AWS_REGION: region, AWS_ACCESS_KEY_ID: keys.id, AWS_SECRET_ACCESS_KEY: keys.secret };
        const first = ecs.register({
            family: 'shop', tags: [{ key: 'team', value: 'shop' }, { key: 'aws:cloudformation:stack-name', value: 'x' }], cpu: '256', memory: '512', networkMode: 'awsvpc', requiresCompatibilities: ['FARGATE'],
            containerDefinitions: [{ name: 'web', image: 'registry.example/shop:1', environment: [{ name: 'PASSWORD', value: 'open sesame' }] }, { name: 'proxy', image: 'envoy:1' }],
        }, true);
        const service = {
            serviceName: 'shop', serviceArn: `arn:aws:ecs:${region}:${account}:service/main/shop`, clusterArn: `arn:aws:ecs:${region}:${account}:cluster/main`, status: 'ACTIVE',
            desiredCount: desired, runningCount: desired, pendingCount: 0, taskDefinition: first.taskDefinitionArn, deployments: [], taskSets: [], events: [],
            deploymentController: { type: external ? 'EXTERNAL' : 'ECS' },
            deploymentConfiguration: { maximumPercent: 200, minimumHealthyPercent: 100, ...(breaker && { deploymentCircuitBreaker: breaker }) },
        };
        ecs.service = service;
        if (external) {
            const set = ecs.#makeSet({ taskDefinition: first.taskDefinitionArn, launchType: 'FARGATE', platformVersion: '1.4.0', scale: { value: 100, unit: 'PERCENT' }, networkConfiguration: { awsvpcConfiguration: { subnets: ['subnet-1'], securityGroups: [], assignPublicIp: 'DISABLED' } } });
            Object.assign(set, { status: 'PRIMARY', runningCount: desired, pendingCount: 0, stabilityStatus: 'STEADY_STATE' });
        } else {
            ecs.#deploy(first.taskDefinitionArn, 'ECS deployment ecs-svc/0 completed.');
            Object.assign(service.deployments[0], { runningCount: desired, rolloutState: 'COMPLETED' });
        }
        return ecs;
    }

    async stop() {
        this.server.closeAllConnections();
        this.server.close();
    }

    /* The operations that it was asked for since the last time. */
    asked() {
        return this.calls.splice(0).map(({ operation }) => operation);
    }

    /* The image of the container in a task definition. */
    image(arn, name = 'web') {
        return this.#definition(arn).containerDefinitions.find((container) => container.name === name).image;
    }

    /* What serves: images by the number of tasks that run them. */
    running() {
        const found = {};
        for (const { runningCount, taskDefinition } of [...this.service.deployments, ...this.service.taskSets])
            if (runningCount) found[this.image(taskDefinition)] = (found[this.image(taskDefinition)] ?? 0) + runningCount;
        return found;
    }

    active() {
        return this.definitions.filter(({ status }) => status === 'ACTIVE').map(({ family, revision }) => `${family}:${revision}`);
    }

    async #serve(request, response) {
        const body = Buffer.concat(await request.toArray());
        const answer = (status, value) => response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' }).end(JSON.stringify(value));
        try {
            checkSignature(request, body);
            const target = request.headers['x-amz-target'] ?? '';
            const operation = target.slice(prefix.length);
            if (!target.startsWith(prefix) || !(`do${operation}` in this) || request.headers['content-type'] !== 'application/x-amz-json-1.1') throw new Refusal('UnknownOperationException', '');
            const parameters = JSON.parse(body);
            this.calls.push({ operation, parameters });
            const failure = this.failures.find((f) => f.operation === operation && (f.times ??= 1) > 0);
            if (failure) failure.times--;
            if (failure?.code) throw new Refusal(failure.code, failure.message ?? 'said so', failure.status);
            const result = this[`do${operation}`](parameters);
            if (!/^(Describe|List)/.test(operation)) this.moments.pass();
            if (failure) return request.socket.destroy(); // done, but nobody hears of it
            answer(200, result);
        } catch (e) {
            if (e instanceof Died) return void request.socket.destroy();
            if (!(e instanceof Refusal)) console.error(e);
            answer(e.status ?? 500, { __type: e.code ?? 'ServerException', message: e.message });
        }
    }

    #event(message) {
        this.service.events.unshift({ id: randomUUID(), createdAt: seconds(), message: `(service shop) ${message}` });
    }

    #definition(name) {
        const found = this.definitions.find((d) => d.taskDefinitionArn === name || `${d.family}:${d.revision}` === name);
        if (!found) throw new Refusal('ClientException', 'Unable to describe task definition.');
        return found;
    }

    #find({ cluster, service, services }) {
        if (cluster !== 'main') throw new Refusal('ClusterNotFoundException', 'Cluster not found.');
        const name = service ?? services[0];
        return name === 'shop' || name === this.service.serviceArn ? this.service : undefined;
    }

    #known(parameters) {
        const service = this.#find(parameters);
        if (!service) throw new Refusal('ServiceNotFoundException', 'Service not found.');
        if (service.status !== 'ACTIVE') throw new Refusal('ServiceNotActiveException', 'Service was not ACTIVE.');
        return service;
    }

    register({ tags = [], ...definition }, laid = false) {
        const wrong = Object.keys({ ...definition }).find((name) => !registrable.has(name));
        if (wrong) throw new Refusal('InvalidParameterException', `Unknown parameter in input: "${wrong}"`);
        if (!laid && tags.some(({ key }) => key.startsWith('aws:'))) throw new Refusal('InvalidParameterException', 'Tag keys may not begin with aws:');
        const revision = this.definitions.filter(({ family }) => family === definition.family).length + 1;
        const made = {
            ...definition, revision, status: 'ACTIVE', taskDefinitionArn: `arn:aws:ecs:${region}:${account}:task-definition/${definition.family}:${revision}`,
            compatibilities: ['EC2', 'FARGATE'], requiresAttributes: [{ name: 'ecs.capability.task-eni' }], registeredAt: seconds(), registeredBy: `arn:aws:iam::${account}:user/deploy`,
        };
        this.definitions.push(made);
        Object.defineProperty(made, 'tags', { value: tags });
        return made;
    }

    doRegisterTaskDefinition(parameters) {
        const made = this.register(parameters);
        return { taskDefinition: made, tags: made.tags };
    }

    doDeregisterTaskDefinition({ taskDefinition }) {
        const found = this.#definition(taskDefinition);
        if (found.status !== 'ACTIVE') throw new Refusal('ClientException', 'The specified task definition is already inactive.');
        found.status = 'INACTIVE';
        found.deregisteredAt = seconds();
        return { taskDefinition: found };
    }

    doDescribeTaskDefinition({ taskDefinition, include = [] }) {
        const found = this.#definition(taskDefinition);
        return { taskDefinition: found, ...(include.includes('TAGS') && { tags: found.tags }) };
    }

    doListTaskDefinitions({ familyPrefix, status = 'ACTIVE', sort = 'ASC', nextToken = '0', maxResults = 100 }) {
        const all = this.definitions.filter((d) => d.family === familyPrefix && d.status === status).map((d) => d.taskDefinitionArn);
        if (sort === 'DESC') all.reverse();
        const first = Number(nextToken), size = Math.min(maxResults, this.pageSize);
        return { taskDefinitionArns: all.slice(first, first + size), ...(first + size < all.length && { nextToken: String(first + size) }) };
    }

    doDescribeServices(parameters) {
        const service = this.#find(parameters);
        if (!service) return { services: [], failures: [{ arn: `arn:aws:ecs:${region}:${account}:service/${parameters.services[0]}`, reason: 'MISSING' }] };
        if (!this.frozen) this.#step();
        return { services: [service], failures: [] };
    }

    #deploy(taskDefinition, rolloutStateReason) {
        const { service } = this;
        for (const d of service.deployments) d.status = 'ACTIVE';
        const made = {
            id: `ecs-svc/${String(Math.random()).slice(2)}`, status: 'PRIMARY', taskDefinition, desiredCount: service.desiredCount, pendingCount: 0, runningCount: 0, failedTasks: 0,
            createdAt: seconds(), updatedAt: seconds(), rolloutState: 'IN_PROGRESS', rolloutStateReason,
        };
        service.deployments.unshift(made);
        service.taskDefinition = taskDefinition;
        return made;
    }

    doUpdateService(parameters) {
        const service = this.#known(parameters);
        if (parameters.desiredCount !== undefined) service.desiredCount = parameters.desiredCount;
        const { taskDefinition } = parameters;
        if (taskDefinition && service.deploymentController.type !== 'ECS') throw new Refusal('InvalidParameterException', 'Unable to update task definition on services with an EXTERNAL deployment controller.');
        if (taskDefinition) {
            const { taskDefinitionArn, status } = this.#definition(taskDefinition);
            if (status !== 'ACTIVE') throw new Refusal('ClientException', 'TaskDefinition is inactive');
            if (taskDefinitionArn !== service.taskDefinition || parameters.forceNewDeployment) this.#deploy(taskDefinitionArn, 'ECS deployment in progress.');
        }
        return { service };
    }

    #stopTask(taskDefinition, startedBy) {
        this.tasks.push({
            taskArn: `arn:aws:ecs:${region}:${account}:task/main/${randomUUID().replaceAll('-', '')}`, taskDefinitionArn: taskDefinition, startedBy, lastStatus: 'STOPPED', desiredStatus: 'STOPPED',
            stopCode: 'EssentialContainerExited', stoppedReason: 'Essential container in task exited', stoppedAt: seconds(),
            containers: [{ name: 'web', lastStatus: 'STOPPED', exitCode: 137, reason: 'OutOfMemoryError: Container killed due to memory usage', healthStatus: 'UNKNOWN' }],
        });
    }

    /* Another task of what is being rolled out runs, or fails. */
    #step() {
        for (const set of [...this.service.taskSets]) this.#stepSet(set);
        const [now, ...before] = this.service.deployments;
        if (!now || now.rolloutState !== 'IN_PROGRESS') return;
        const how = this.behave[this.image(now.taskDefinition)] ?? 'runs';
        now.desiredCount = this.service.desiredCount;
        if (how === 'crashes') return this.#fail(now, before);
        if (how === 'hangs') return void (now.pendingCount = now.desiredCount);
        if (now.runningCount < now.desiredCount) {
            now.runningCount++;
            now.pendingCount = now.desiredCount - now.runningCount;
            const old = before.find(({ runningCount }) => runningCount > 0);
            if (old) old.runningCount--;
        } else {
            this.service.deployments = [now];
            now.rolloutState = 'COMPLETED';
            now.rolloutStateReason = `ECS deployment ${now.id} completed.`;
            this.#event('has reached a steady state.');
        }
    }

    #fail(now, before) {
        now.failedTasks++;
        this.#stopTask(now.taskDefinition, now.id);
        this.#event('is unable to consistently start tasks successfully.');
        const breaker = this.service.deploymentConfiguration.deploymentCircuitBreaker;
        if (!breaker?.enable || now.failedTasks < 3) return;
        now.rolloutState = 'FAILED';
        now.rolloutStateReason = 'ECS deployment circuit breaker: tasks failed to start.';
        if (!breaker.rollback) return;
        now.rolloutStateReason += ' rolling back';
        const back = this.#deploy(before[0].taskDefinition, `ECS deployment circuit breaker: rolling back to deploymentId ${before[0].id}.`);
        Object.assign(back, { runningCount: before[0].runningCount });
        before[0].runningCount = 0;
    }

    #makeSet(parameters) {
        const made = {
            id: `ecs-svc/${String(Math.random()).slice(2)}`, status: 'ACTIVE', computedDesiredCount: this.service.desiredCount, pendingCount: this.service.desiredCount, runningCount: 0,
            stabilityStatus: 'STABILIZING', createdAt: seconds(), loadBalancers: [], serviceRegistries: [], tags: [], ...parameters,
        };
        made.taskSetArn = `arn:aws:ecs:${region}:${account}:task-set/main/shop/${made.id}`;
        this.service.taskSets.push(made);
        return made;
    }

    #stepSet(set) {
        const how = this.behave[this.image(set.taskDefinition)] ?? 'runs';
        if (set.status === 'DRAINING') this.service.taskSets = this.service.taskSets.filter((other) => other !== set);
        else if (how === 'crashes') this.#stopTask(set.taskDefinition, set.id);
        else if (how === 'hangs') return;
        else if (set.pendingCount) Object.assign(set, { pendingCount: set.pendingCount - 1, runningCount: set.runningCount + 1 });
        else set.stabilityStatus = 'STEADY_STATE';
    }

    #set(parameters, name) {
        const service = this.#known(parameters);
        const found = service.taskSets.find(({ id, taskSetArn }) => [id, taskSetArn].includes(parameters[name]));
        if (!found) throw new Refusal('TaskSetNotFoundException', 'The specified task set was not found.');
        return found;
    }

    doCreateTaskSet({ cluster, service, clientToken, ...parameters }) {
        const { deploymentController } = this.#known({ cluster, service });
        if (deploymentController.type !== 'EXTERNAL') throw new Refusal('InvalidParameterException', 'The service is not EXTERNAL.');
        if (clientToken?.length > 36) throw new Refusal('InvalidParameterException', 'clientToken is too long');
        if (parameters.launchType && parameters.capacityProviderStrategy) throw new Refusal('InvalidParameterException', 'Specifying both a launch type and capacity provider strategy is not supported.');
        if (this.#definition(parameters.taskDefinition).status !== 'ACTIVE') throw new Refusal('ClientException', 'TaskDefinition is inactive');
        const there = clientToken && this.tokens.get(clientToken);
        const taskSet = there ?? this.#makeSet(parameters);
        if (clientToken) this.tokens.set(clientToken, taskSet);
        return { taskSet };
    }

    doUpdateServicePrimaryTaskSet(parameters) {
        const set = this.#set(parameters, 'primaryTaskSet');
        if (set.status === 'DRAINING') throw new Refusal('InvalidParameterException', 'The task set is draining.');
        for (const other of this.service.taskSets) if (other.status === 'PRIMARY') other.status = 'ACTIVE';
        set.status = 'PRIMARY';
        this.service.taskDefinition = set.taskDefinition;
        return { taskSet: set };
    }

    doDeleteTaskSet(parameters) {
        const set = this.#set(parameters, 'taskSet');
        if (set.status === 'PRIMARY') throw new Refusal('InvalidParameterException', 'The primary task set cannot be deleted.');
        if (set.runningCount && !parameters.force) throw new Refusal('InvalidParameterException', 'The task set is not scaled down to zero.');
        Object.assign(set, { status: 'DRAINING', runningCount: 0, pendingCount: 0 });
        return { taskSet: set };
    }

    doListTasks({ cluster, family, desiredStatus = 'RUNNING' }) {
        this.#find({ cluster, services: ['shop'] });
        return { taskArns: this.tasks.filter((t) => t.desiredStatus === desiredStatus && t.taskDefinitionArn.includes(`/${family}:`)).map((t) => t.taskArn) };
    }

    doDescribeTasks({ tasks }) {
        return { tasks: this.tasks.filter(({ taskArn }) => tasks.includes(taskArn)), failures: [] };
    }
}

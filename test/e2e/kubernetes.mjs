/*
 * A Kubernetes cluster with an API server for kubectl: one Deployment, its ReplicaSets, pods and
 * events. What is asked of it goes on a step further whenever the Deployment is read or watched.
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';

import { Died, Moments } from './stand_in.mjs';

const revision = 'deployment.kubernetes.io/revision';
const now = () => new Date().toISOString().replace(/\.\d+Z$/, 'Z');
const copy = (value) => structuredClone(value);

const resources = {
    '/api/v1': [['pods', 'Pod', 'po'], ['events', 'Event', 'ev'], ['pods/log', 'Pod']],
    '/apis/apps/v1': [['deployments', 'Deployment', 'deploy'], ['replicasets', 'ReplicaSet', 'rs']],
};

const collections = Object.fromEntries(Object.entries(resources).flatMap(([place, all]) => all.map(([kind]) => [kind, place])));
const names = Object.fromEntries(Object.values(resources).flat());

/* Strategic merge (of what is patched here, lists are merged by name), and JSON patch. */
function merge(into, patch) {
    for (const [key, value] of Object.entries(patch)) {
        if (value === null) delete into[key];
        else if (key === 'containers') for (const item of value) {
            const there = into[key].find(({ name }) => name === item.name);
            if (there) merge(there, item);
            else into[key].push(item);
        }
        else if (typeof value === 'object' && !Array.isArray(value)) merge((into[key] ??= {}), value);
        else into[key] = value;
    }
}

function jsonPatch(into, operations) {
    for (const { op, path: where, value } of operations) {
        const names = where.slice(1).split('/').map((name) => name.replaceAll('~1', '/').replaceAll('~0', '~'));
        const last = names.pop();
        const at = names.reduce((object, name) => (object[name] ??= {}), into);
        if (op === 'remove') delete at[last];
        else at[last] = value;
    }
}

class Failure extends Error {
    constructor(code, reason, message) {
        super(message);
        Object.assign(this, { code, reason });
    }
}

export class Kubernetes {
    /* A Deployment "shop" of two replicas, whose container "web" runs shop:1. */
    static async start({ replicas = 2 } = {}) {
        const k = new Kubernetes();
        Object.assign(k, { sets: [], pods: [], events: [], behave: {}, calls: [], refuse: [], version: 1, logs: {}, history: true, frozen: false, lingering: 0, moments: new Moments() });
        const labels = { app: 'shop' };
        k.deployment = {
            apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'shop', namespace: 'default', uid: randomUUID(), generation: 1, annotations: {}, labels, creationTimestamp: now() },
            spec: {
                replicas, selector: { matchLabels: labels }, strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } }, progressDeadlineSeconds: 600, revisionHistoryLimit: 10,
                template: { metadata: { labels, creationTimestamp: null }, spec: { containers: [
                    { name: 'web', image: 'registry.example/shop:1', resources: {}, env: [{ name: 'PASSWORD', value: 'open sesame' }] }, { name: 'proxy', image: 'envoy:1', resources: {} }] } },
            },
            status: {},
        };
        k.server = http.createServer((request, response) => k.#serve(request, response));
        await once(k.server.listen(0, '127.0.0.1'), 'listening');
        k.url = `http://127.0.0.1:${k.server.address().port}`;
        k.dir = await mkdtemp(path.join(os.tmpdir(), 'holdfast-kubectl-'));
        const config = (context) => JSON.stringify({
            apiVersion: 'v1', kind: 'Config', 'current-context': context, users: [{ name: 'me', user: {} }],
            clusters: [{ name: 'here', cluster: { server: k.url } }, { name: 'away', cluster: { server: 'http://127.0.0.1:1' } }],
            contexts: ['here', 'away'].map((name) => ({ name, context: { cluster: name, user: 'me' } })),
        });
        await writeFile(path.join(k.dir, 'config'), config('here'));
        k.env = { KUBECONFIG: path.join(k.dir, 'config'), HOME: k.dir };
        k.settle();
        k.calls = [];
        return k;
    }

    async stop() {
        this.server.closeAllConnections();
        this.server.close();
        await rm(this.dir, { recursive: true, force: true });
    }

    /* Until nothing changes any more. */
    settle() {
        for (let before; before !== JSON.stringify(this.deployment.status);) {
            before = JSON.stringify(this.deployment.status);
            this.step();
        }
    }

    image(object = this.deployment) {
        return object.spec.template.spec.containers.find(({ name }) => name === 'web').image;
    }

    /* What serves: images by available replicas. */
    running() {
        return Object.fromEntries(this.sets.filter(({ status }) => status.availableReplicas > 0).map((set) => [this.image(set), set.status.availableReplicas]));
    }

    /* As somebody else would. */
    change(edit) {
        const before = JSON.stringify(this.deployment.spec);
        edit(this.deployment);
        if (JSON.stringify(this.deployment.spec) !== before) this.deployment.metadata.generation++;
        this.deployment.metadata.resourceVersion = String(++this.version);
    }

    #event(kind, name, reason, message) {
        this.events.push({
            apiVersion: 'v1', kind: 'Event', metadata: { name: `${name}.${this.events.length}`, namespace: 'default', uid: randomUUID(), creationTimestamp: now() },
            involvedObject: { kind, name, namespace: 'default' }, reason, message, type: 'Warning', count: 1, firstTimestamp: now(), lastTimestamp: now(),
        });
    }

    /* The ReplicaSet of the template that is wanted. */
    #current() {
        const { metadata, spec } = this.deployment;
        const same = (set) => {
            const template = copy(set.spec.template);
            delete template.metadata.labels['pod-template-hash'];
            return isDeepStrictEqual(template, spec.template);
        };
        const next = Math.max(0, ...this.sets.map((set) => Number(set.metadata.annotations[revision]))) + 1;
        let set = this.sets.find(same);
        if (!set) {
            const hash = randomUUID().slice(0, 8);
            const template = copy(spec.template);
            template.metadata.labels = { ...template.metadata.labels, 'pod-template-hash': hash };
            set = {
                apiVersion: 'apps/v1', kind: 'ReplicaSet', spec: { replicas: 0, selector: spec.selector, template }, status: { replicas: 0, availableReplicas: 0 },
                metadata: {
                    name: `shop-${hash}`, namespace: 'default', uid: randomUUID(), labels: template.metadata.labels, creationTimestamp: now(), annotations: { [revision]: String(next) },
                    ownerReferences: [{ apiVersion: 'apps/v1', kind: 'Deployment', name: 'shop', uid: metadata.uid, controller: true }],
                },
            };
            this.sets.push(set);
            this.deployment.status.conditions = [];
        } else if (set.metadata.annotations[revision] !== String(next - 1)) {
            set.metadata.annotations[revision] = String(next);
        }
        metadata.annotations[revision] = set.metadata.annotations[revision];
        return set;
    }

    #scale(set, by) {
        set.spec.replicas += by;
        set.status.replicas += by;
        if (by > 0) {
            this.pods.push({
                apiVersion: 'v1', kind: 'Pod', metadata: { name: `${set.metadata.name}-${randomUUID().slice(0, 5)}`, namespace: 'default', uid: randomUUID(), labels: set.metadata.labels, annotations: set.spec.template.metadata.annotations },
                spec: set.spec.template.spec, status: { phase: 'Pending', conditions: [{ type: 'Ready', status: 'False', reason: 'ContainersNotReady', message: 'containers with unready status: [web]' }], containerStatuses: [{ name: 'web', restartCount: 0, state: { waiting: { reason: 'ContainerCreating' } } }] },
            });
        } else {
            this.pods.splice(this.pods.findIndex(({ metadata }) => metadata.labels['pod-template-hash'] === set.metadata.labels['pod-template-hash']), 1);
            set.status.availableReplicas = Math.min(set.status.availableReplicas, set.status.replicas);
        }
    }

    /* A replica more of what is wanted, and one less of the others. */
    step() {
        const { spec, metadata } = this.deployment;
        const set = this.#current();
        const how = this.behave[this.image()] ?? 'runs';
        const old = this.sets.find((other) => other !== set && other.status.replicas > 0);
        if (this.lingering > 0) this.lingering--; // what is to go takes its time
        else if (set.status.replicas > spec.replicas) this.#scale(set, -1);
        else if (set.status.replicas === set.status.availableReplicas && set.status.replicas < spec.replicas) this.#scale(set, 1);
        else if (how === 'runs' && set.status.availableReplicas < set.status.replicas) {
            set.status.availableReplicas++;
            if (old) this.#scale(old, -1);
        } else if (old && set.status.availableReplicas >= spec.replicas) this.#scale(old, -1);
        if (how === 'crashes') this.#crash(set);
        const sum = (name) => this.sets.reduce((all, { status }) => all + status[name], 0);
        const late = set.crashes >= 3;
        // As the controller has it: this word stays until something progresses, or all is complete.
        const stale = this.deployment.status.conditions?.find(({ reason }) => reason === 'ProgressDeadlineExceeded');
        const complete = set.status.availableReplicas === spec.replicas && sum('replicas') === spec.replicas;
        Object.assign(this.deployment.status, {
            observedGeneration: metadata.generation, replicas: sum('replicas'), updatedReplicas: set.status.replicas, availableReplicas: sum('availableReplicas'), readyReplicas: sum('availableReplicas'),
            conditions: [{ type: 'Available', status: 'True', reason: 'MinimumReplicasAvailable', message: 'Deployment has minimum availability.' },
                stale && !complete ? stale : late ? { type: 'Progressing', status: 'False', reason: 'ProgressDeadlineExceeded', message: `ReplicaSet "${set.metadata.name}" has timed out progressing.` }
                    : { type: 'Progressing', status: 'True', reason: complete ? 'NewReplicaSetAvailable' : 'ReplicaSetUpdated', message: '' }],
        });
        if (!this.history) this.sets = this.sets.filter((other) => other === set || other.status.replicas > 0);
        metadata.resourceVersion = String(++this.version);
    }

    #crash(set) {
        const pod = this.pods.find(({ metadata }) => metadata.labels['pod-template-hash'] === set.metadata.labels['pod-template-hash']);
        set.crashes = (set.crashes ?? 0) + 1;
        if (!pod) return;
        Object.assign(pod.status.containerStatuses[0], { restartCount: set.crashes, state: { waiting: { reason: 'CrashLoopBackOff', message: 'back-off 10s restarting failed container' } },
            lastState: { terminated: { reason: 'Error', exitCode: 7 } } });
        this.#event('Pod', pod.metadata.name, 'BackOff', 'Back-off restarting failed container web');
    }

    async #serve(request, response) {
        const url = new URL(request.url, 'http://x');
        const body = Buffer.concat(await request.toArray()).toString();
        const answer = (code, value) => response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(value));
        try {
            const found = this.#discover(url.pathname);
            if (found) return answer(200, found);
            await this.#answer(request, url, body, response, answer);
        } catch (e) {
            if (e instanceof Died || e.code === 'EOF') return request.socket.destroy();
            if (!(e instanceof Failure)) console.error(e);
            answer(e.code ?? 500, { kind: 'Status', apiVersion: 'v1', status: 'Failure', code: e.code, reason: e.reason, message: e.message });
        }
    }

    #discover(name) {
        if (name === '/version') return { major: '1', minor: '32', gitVersion: 'v1.32.4' };
        if (name === '/api') return { kind: 'APIVersions', versions: ['v1'] };
        if (name === '/apis') return { kind: 'APIGroupList', apiVersion: 'v1', groups: [{ name: 'apps', versions: [{ groupVersion: 'apps/v1', version: 'v1' }], preferredVersion: { groupVersion: 'apps/v1', version: 'v1' } }] };
        return resources[name] && { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: name.replace(/^\/apis?\//, ''),
            resources: resources[name].map(([plural, kind, short]) => ({ name: plural, singularName: kind.toLowerCase(), namespaced: true, kind, verbs: ['get', 'list', 'watch', 'patch', 'delete'], shortNames: short && [short] })) };
    }

    /*
     * What is asked of the API server: an object, a list of them ({ items }, those of the selector),
     * or a log. patch is merged, edit(object) changes it; each is a moment of whoever asks.
     */
    request(method, kind, name, { selector = '', log, patch, edit = (object) => merge(object, patch) } = {}) {
        const place = `${collections[kind] ?? ''}/namespaces/default/${kind}${name ? `/${name}` : ''}`;
        this.calls.push(`${method} ${place}`);
        const refused = this.refuse.find((r) => r.method === method && place.includes(r.part) && (r.times ?? 1) > 0);
        if (refused) {
            refused.times = (refused.times ?? 1) - 1;
            throw new Failure(refused.code ?? 'EOF', refused.reason, refused.message ?? 'said so');
        }
        if (kind === 'deployments' && method === 'GET' && !this.frozen) for (let i = 0; i < 2; i++) this.step();
        const wanted = selector.split(',').filter(Boolean).map((pair) => pair.split('='));
        const all = { deployments: [this.deployment], replicasets: this.sets, pods: this.pods, events: this.events }[kind]
            .filter(({ metadata }) => wanted.every(([label, value]) => metadata.labels?.[label] === value));
        if (!name) return { items: all };
        const object = all.find(({ metadata }) => metadata.name === name);
        if (!object) throw new Failure(404, 'NotFound', `${kind}${collections[kind].startsWith('/apis') ? '.apps' : ''} "${name}" not found`);
        if (log) return this.logs[log] ?? 'nothing\n';
        if (method === 'PATCH') this.change(edit);
        if (method === 'DELETE') this.sets = this.sets.filter((set) => set !== object);
        if (method !== 'GET') this.moments.pass();
        return object;
    }

    async #answer(request, url, body, response, answer) {
        const match = /^\/(?:api|apis\/apps)\/v1\/namespaces\/default\/(pods|events|deployments|replicasets)(?:\/([^/]+))?(?:\/(log))?$/.exec(url.pathname);
        if (!match) throw new Failure(404, 'NotFound', 'the server could not find the requested resource');
        const [, kind, name, log] = match;
        if (url.searchParams.get('watch')) return this.#watch(response);
        const patches = () => (request.headers['content-type'].startsWith('application/json-patch') ? jsonPatch : merge);
        const found = this.request(request.method, kind, name, {
            selector: url.searchParams.get('labelSelector') ?? '', log: log && (url.searchParams.get('previous') ? 'previous' : 'now'), edit: (object) => patches()(object, JSON.parse(body)),
        });
        const apiVersion = collections[kind].replace(/^\/apis?\//, ''), resourceVersion = String(this.version);
        if (log) response.end(found);
        else if (!name) answer(200, { apiVersion, kind: `${names[kind]}List`, metadata: { resourceVersion }, items: found.items });
        else if (request.method === 'DELETE') answer(200, { kind: 'Status', apiVersion: 'v1', status: 'Success', details: { name, kind, uid: found.metadata.uid } });
        else answer(200, found);
    }

    #watch(response) {
        response.writeHead(200, { 'content-type': 'application/json' });
        const timer = setInterval(() => {
            this.step();
            response.write(`${JSON.stringify({ type: 'MODIFIED', object: this.deployment })}\n`);
        }, 50);
        response.on('close', () => clearInterval(timer));
    }
}

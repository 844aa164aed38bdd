/*
 * An engine, `docker` and either compose in one, in the place of the programs: as much of them as
 * deployments and their tests ask for. Compose files are JSON, which is YAML too.
 */
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';

import { Died, Moments, StandIn } from './stand_in.mjs';

class Refusal extends Error {}

const label = (name) => `com.docker.compose.${name}`;
const fresh = () => randomBytes(32).toString('hex');
const lines = (list) => list.map((line) => `${line}\n`).join('');

/* { options: { name: [values] }, rest } of arguments; taking: the options that take a value. */
function parse(args, taking = '') {
    const options = {}, rest = [], takes = taking.split(' ');
    for (let i = 0; i < args.length; i++) {
        const [name, given] = args[i].startsWith('--') ? args[i].split(/=(.*)/s) : [args[i]];
        if (!name.startsWith('-')) rest.push(args[i]);
        else (options[name] ??= []).push(given ?? (takes.includes(name) ? args[++i] : true));
    }
    return { options, rest };
}

const digestOf = (name) => createHash('sha256').update(name).digest('hex');

export class DockerStandIn {
    /* plugin: there is `docker compose`, else `docker-compose`. What is set afterwards: down, the engine
     * does not answer; hanging, no health check ends. */
    static async start({ plugin = false } = {}) {
        const docker = new DockerStandIn();
        Object.assign(docker, { plugin, images: new Map(), containers: [], registry: new Map(), moments: new Moments(), asked: [] });
        docker.standIn = await StandIn.start(plugin ? ['docker'] : ['docker', 'docker-compose'], (asked) => docker.#answer(asked));
        docker.env = docker.standIn.env;
        return docker;
    }

    stop() {
        return this.standIn.stop();
    }

    #answer({ name, args, env, cwd }) {
        this.asked.push([name, ...args].join(' '));
        try {
            return { out: this.#do(name, args, env, cwd) ?? '' };
        } catch (e) {
            if (!(e instanceof Refusal)) throw e;
            return { code: 1, out: e.out, err: `${e.message}\n` };
        }
    }

    #do(name, args, env, cwd) {
        if (name === 'docker' && args[0] !== 'compose') return this.#docker(args, env);
        if (name === 'docker' && !this.plugin) throw new Refusal("docker: 'compose' is not a docker command.\nSee 'docker --help'");
        return this.#compose(name === 'docker' ? args.slice(1) : args, env, cwd);
    }

    /* As somebody else would; what is printed, without the end of its last line. */
    async run(...args) {
        return (this.#do('docker', args, {}, '/') ?? '').trim();
    }

    async compose(cwd, release, ...args) {
        return this.#compose(args, { RELEASE: release }, cwd);
    }

    /* An image that does so, under a name; its id. */
    async image(name, does = 'good') {
        const id = `sha256:${fresh()}`;
        this.images.set(id, { does, names: new Set(), digests: [] });
        this.#tag(id, name);
        return id;
    }

    /* The image's name in a registry, from which it can be pulled. */
    pushed(id) {
        const digest = `shop@sha256:${digestOf(id)}`, image = this.images.get(id);
        image.digests.push(digest);
        this.registry.set(digest, [id, image]);
    }

    #tag(id, name) {
        for (const image of this.images.values()) image.names.delete(name);
        this.images.get(id).names.add(name);
    }

    #find(name) {
        for (const [id, image] of this.images) if (id === name || image.names.has(name) || image.names.has(`${name}:latest`)) return id;
        throw Object.assign(new Refusal(`Error: No such image: ${name}`), { out: '\n' });
    }

    #needEngine(env) {
        if (this.down || env.DOCKER_HOST) throw new Refusal(`Cannot connect to the Docker daemon at ${env.DOCKER_HOST ?? 'unix:///var/run/docker.sock'}. Is the docker daemon running?`);
    }

    /* --- docker */

    #docker(args, env) {
        const two = ['image'].includes(args[0]) ? 2 : 1;
        const command = args.slice(0, two).join(' ');
        const { options, rest } = parse(args.slice(two), '--format --filter --tail');
        this.#needEngine(env);
        switch (command) {
            case 'version': return '20.10.24\n';
            case 'ps': return lines(this.#ps(options).map(({ Id }) => Id));
            case 'inspect': return this.#inspect(rest);
            case 'logs': return lines([`2026-01-01T00:00:00Z ${this.images.get(this.#container(rest[0]).Image).does} begins`]);
            case 'rm': return void rest.forEach((id) => this.#remove(this.#container(id)));
            case 'image inspect': return this.#inspectImage(rest[0], options['--format'][0]);
            case 'image tag':
                if (!this.images.get(this.#find(rest[0])).names.has(rest[1])) {
                    this.#tag(this.#find(rest[0]), rest[1]);
                    this.moments.pass();
                }
                return;
            case 'image rm': return void this.#removeName(rest[0]);
            case 'image ls': return lines([...this.images.values()].flatMap(({ names }) => [...names]).filter((name) => name.startsWith(`${rest[0]}:`))
                .map((name) => options['--format'][0].replace('{{.Repository}}', rest[0]).replace('{{.Tag}}', name.slice(rest[0].length + 1))));
            case 'image pull': return void this.#pull(rest[0]);
            case 'image prune': return void this.#prune();
            default: throw new Refusal(`docker: '${command}' is not a docker command.`);
        }
    }

    #ps(options) {
        const wanted = (options['--filter'] ?? []).map((filter) => /^label=([^=]+)=(.*)$/.exec(filter).slice(1));
        const all = '-a' in options || '-aq' in options;
        return this.containers.filter((c) => (all || ['running', 'restarting', 'paused'].includes(c.State.Status)) && wanted.every(([name, value]) => c.Config.Labels[name] === value));
    }

    #container(id) {
        const found = this.containers.find(({ Id }) => Id === id);
        if (!found) throw Object.assign(new Refusal(`Error: No such container: ${id}`), { out: '[]\n' });
        return found;
    }

    /* A look at containers is what makes their time go on. */
    #inspect(ids) {
        const found = ids.map((id) => this.#container(id));
        const text = `${JSON.stringify(found, null, 4)}\n`;
        for (const c of found) this.#age(c);
        return text;
    }

    #age(c) {
        const { does } = this.images.get(c.Image), { State } = c;
        if (does === 'crash' && c.restart === 'always') Object.assign(c, { RestartCount: c.RestartCount + 1 }, { State: { ...State, Status: 'restarting', ExitCode: 3 } });
        if (State.Health?.Status !== 'starting' || this.hanging) return;
        State.Health.Log.push({ ExitCode: does === 'sick' ? 1 : 0, Output: 'asked how it is\n' });
        if (does !== 'sick') State.Health.Status = 'healthy';
        else if (State.Health.Log.length === 2) State.Health.Status = 'unhealthy';
    }

    #inspectImage(name, format) {
        const id = this.#find(name);
        return `${format === '{{.Id}}' ? id : JSON.stringify(this.images.get(id).digests)}\n`;
    }

    #removeName(name) {
        const id = this.#find(name), { names } = this.images.get(id);
        const user = this.containers.find(({ Image }) => Image === id);
        if (names.size === 1 && user) throw new Refusal(`Error response from daemon: conflict: unable to remove repository reference "${name}" (must force) - container ${user.Id.slice(0, 12)} is using its referenced image`);
        names.delete(name);
        if (names.size === 0) this.images.delete(id);
        this.moments.pass();
    }

    #pull(name) {
        if (!this.registry.has(name)) throw new Refusal(`Error response from daemon: pull access denied for ${name.split(/[:@]/)[0]}, repository does not exist or may require 'docker login': denied`);
        const [id, image] = this.registry.get(name);
        if (!this.images.has(id)) this.images.set(id, { ...image, names: new Set() });
        if (!name.includes('@')) this.#tag(id, name);
        this.moments.pass();
    }

    #prune() {
        for (const [id, { names }] of this.images) if (names.size === 0 && !this.containers.some(({ Image }) => Image === id)) this.images.delete(id);
    }

    #remove(c) {
        this.containers.splice(this.containers.indexOf(c), 1);
        this.moments.pass();
    }

    /* --- compose */

    #compose(args, env, cwd) {
        const at = args.findIndex((arg, i) => !arg.startsWith('-') && !['-p', '-f'].includes(args[i - 1]));
        const { options: { '-p': [project] = [path.basename(cwd).toLowerCase()], '-f': files = ['docker-compose.yml'] } } = parse(args.slice(0, at), '-p -f');
        const text = () => readFileSync(path.resolve(cwd, files[0]), 'utf8').replaceAll('${RELEASE}', env.RELEASE);
        const { options, rest } = parse(args.slice(at + 1), '--scale -t');
        const command = args[at];
        if (command === 'version') return 'docker compose version 0.0.0\n';
        const { services } = JSON.parse(text());
        if (command === 'config') return this.#config(project, services);
        this.#needEngine(env);
        const p = { project: this.plugin ? project : project.toLowerCase(), services };
        switch (command) {
            case 'ps': return lines(this.#listed(p, rest[0]).map(({ Id }) => Id));
            case 'pull': return void this.#pull(services[rest[0]].image);
            case 'rm': return void this.#of(p, rest[0]).forEach((c) => this.#remove(c));
            case 'up': return this.#up(p, rest, options['--scale'] ?? []);
            default: throw new Refusal(`no such command: ${command}`);
        }
    }

    /* As each of the two prints it; of a service what is read of it. */
    #config(project, services) {
        const all = Object.entries(services).sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, service]) => `  ${name}:\n    image: ${service.image}\n`);
        return this.plugin ? `name: ${project}\nservices:\n${all.join('')}` : `services:\n${all.join('')}version: '3.4'\n`;
    }

    #of({ project }, service) {
        return this.containers.filter(({ Config: { Labels } }) => Labels[label('project')] === project && Labels[label('service')] === service);
    }

    #listed(p, service) {
        const found = this.#of(p, service);
        // https://github.com/docker/compose/issues/9951
        if (this.plugin && found.length === 0) throw new Refusal(`no such service: ${service}`);
        return found;
    }

    #up(p, names, scales) {
        const scale = Object.fromEntries(scales.map((pair) => pair.split('=')));
        for (const name of names.length ? names : Object.keys(p.services)) {
            const service = p.services[name], wanted = Number(scale[name] ?? 1);
            const image = this.#found(service.image);
            const there = this.#of(p, name);
            for (const extra of there.splice(wanted)) this.#remove(extra);
            for (const c of there) this.#converge(p, name, service, image, c);
            for (let i = there.length; i < wanted; i++) this.#start(this.#create(p, name, service, image));
        }
        return '';
    }

    #found(name) {
        try {
            return this.#find(name);
        } catch (e) {
            if (e instanceof Died) throw e;
            this.#pull(name);
            return this.#find(name);
        }
    }

    /* What is not of the image and the settings of now is set aside, and goes once the new one runs. */
    #converge(p, name, service, image, c) {
        if (c.Image === image && c.settings === JSON.stringify(service)) {
            if (!['running', 'restarting'].includes(c.State.Status)) this.#start(c);
            return;
        }
        Object.assign(c.State, { Status: 'exited', ExitCode: 0 });
        this.moments.pass();
        c.Name = `/${c.Id.slice(0, 12)}_${c.Name.slice(1)}`;
        this.moments.pass();
        this.#start(this.#create(p, name, service, image));
        this.#remove(c);
    }

    #create({ project }, name, service, image) {
        const Labels = { [label('project')]: project, [label('service')]: name, [label('oneoff')]: 'False' };
        const made = {
            Id: fresh(), Name: `/${project}_${name}_${this.containers.length}`, Image: image, RestartCount: 0, restart: service.restart, settings: JSON.stringify(service),
            Config: { Image: service.image, Labels, Env: Object.entries(service.environment ?? {}).map(([key, value]) => `${key}=${value}`) },
            State: { Status: 'created', ExitCode: 0, Error: '', OOMKilled: false, StartedAt: '0001-01-01T00:00:00Z', ...(service.healthcheck && { Health: { Status: 'starting', Log: [] } }) },
        };
        this.containers.push(made);
        this.moments.pass();
        return made;
    }

    #start(c) {
        const crashes = this.images.get(c.Image).does === 'crash';
        Object.assign(c.State, { Status: crashes && c.restart !== 'always' ? 'exited' : 'running', ExitCode: crashes ? 3 : 0, StartedAt: new Date().toISOString() });
        this.moments.pass();
    }
}

/* kubectl in the place of the program, over the same cluster (kubernetes.mjs), as far as it is asked. */
import { StandIn } from './stand_in.mjs';

const plurals = { deployment: 'deployments', replicaset: 'replicasets', pod: 'pods', event: 'events' };

/* What kubectl prints and ends with. */
const said = (out) => ({ out });
const failed = (err) => ({ code: 1, err: `${err}\n` });

/* { flags: { name: value }, words } of arguments; "-o json" and "--flag value" take the next one. */
function parse(args) {
    const taking = ['-o', '-l', '-c', '--type', '--patch', '--namespace', '--context'];
    const flags = {}, words = [];
    for (let i = 0; i < args.length; i++) {
        const [name, given] = args[i].startsWith('--') ? args[i].split(/=(.*)/s) : [args[i]];
        if (!name.startsWith('-')) words.push(name);
        else flags[name] = given ?? (taking.includes(name) ? args[++i] : true);
    }
    return { flags, words };
}

async function get(cluster, kind, name, flags) {
    const plural = plurals[kind] ?? kind;
    if (name) return said(`${JSON.stringify(cluster.request('GET', plural, name), null, 4)}\n`);
    const { items } = cluster.request('GET', plural, undefined, { selector: flags['-l'] });
    const by = flags['--sort-by']?.slice(1);
    if (by) items.sort((a, b) => (a[by] < b[by] ? -1 : 1));
    return said(`${JSON.stringify({ apiVersion: 'v1', items, kind: 'List', metadata: { resourceVersion: '' } }, null, 4)}\n`);
}

/* Waits as kubectl does, by the Deployment's own status. */
async function status(cluster, name) {
    for (;;) {
        const { metadata, spec, status: s } = cluster.request('GET', 'deployments', name);
        const late = s.conditions.find(({ reason }) => reason === 'ProgressDeadlineExceeded');
        if (metadata.generation <= s.observedGeneration) {
            if (late) return failed(`error: deployment "${name}" exceeded its progress deadline`);
            if (s.updatedReplicas >= spec.replicas && s.replicas <= s.updatedReplicas && s.availableReplicas >= s.updatedReplicas) return said(`deployment "${name}" successfully rolled out\n`);
        }
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
}

function undo(cluster, name, revision) {
    cluster.request('GET', 'deployments', name);
    const set = cluster.sets.find(({ metadata }) => metadata.annotations['deployment.kubernetes.io/revision'] === revision);
    if (!set) return failed(`error: unable to find specified revision ${revision} in history`);
    const template = structuredClone(set.spec.template);
    delete template.metadata.labels['pod-template-hash'];
    cluster.request('PATCH', 'deployments', name, { edit: ({ spec }) => { spec.template = template; } });
    return said(`deployment.apps/${name} rolled back\n`);
}

async function run(cluster, { flags, words: [verb, ...words] }) {
    switch (verb) {
        case 'get': return get(cluster, words[0], words[1], flags);
        case 'patch':
            cluster.request('PATCH', plurals[words[0]], words[1], { patch: JSON.parse(flags['--patch']) });
            return said(`${words[0]}.apps/${words[1]}\n`);
        case 'rollout': return words[0] === 'undo' ? undo(cluster, words[2], flags['--to-revision']) : status(cluster, words[2]);
        case 'delete':
            cluster.request('DELETE', plurals[words[0]], words[1]);
            return said(`${words[0]}.apps "${words[1]}" deleted\n`);
        case 'logs': return said(cluster.request('GET', 'pods', words[0], { log: flags['--previous'] ? 'previous' : 'now' }));
        default: return failed(`error: unknown command "${verb}" for "kubectl"`);
    }
}

async function answer(cluster, { args }) {
    const { flags, words } = parse(args);
    if (flags['--context'] === 'away') return failed('The connection to the server 127.0.0.1:1 was refused - did you specify the right host or port?');
    if ((flags['--context'] ?? 'here') !== 'here') return failed(`error: context "${flags['--context']}" does not exist`);
    try {
        return await run(cluster, { flags, words });
    } catch (e) {
        if (!e.code) throw e;
        if (e.code === 404 && flags['--ignore-not-found']) return said('');
        if (e.code === 'EOF') return failed('Unable to connect to the server: EOF');
        return failed(`Error from server (${e.reason}): ${e.message}`);
    }
}

/* Stands in for kubectl; its env is what finds it. */
export const standInForKubectl = (cluster) => StandIn.start(['kubectl'], (asked) => answer(cluster, asked));

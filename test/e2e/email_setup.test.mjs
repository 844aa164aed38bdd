/*
 * "holdfast email setup" against a fake of Amazon's services that checks every signature, keeps what
 * it is told and records what it was asked; and against moto, where the machine has it.
 */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

import { Aws, has, keys, startContainer, temporary } from './aws.mjs';
import { Installation } from './harness.mjs';

const topic = 'arn:aws:sns:eu-west-1:123456789012:holdfast-mail';
const publicUrl = 'https://mail.example.com';
const endpoint = `${publicUrl}/v1/email-monitoring/ses/events`;
const everything = { Bounce: topic, Complaint: topic, Delivery: topic };
const verified = { verification: 'Success', dkim: 'Success', dkimEnabled: true, topics: everything, headers: { Bounce: true, Complaint: true, Delivery: true } };
const subscribed = { arn: `${topic}:1`, topic, protocol: 'https', endpoint, pending: false, attributes: {} };
const complete = { identities: { 'example.com': verified }, topics: { [topic]: { TopicArn: topic } }, subscriptions: [subscribed] };

let installation, aws;
const isRead = (action) => /^(Get|List)/.test(action);

before(async () => {
    aws = await Aws.start();
    installation = await Installation.create({
        env: { ...aws.env, EMAIL_FROM: 'Acme Mail <mail@example.com>', PUBLIC_URL: publicUrl, SNS_TOPIC_ARNS: topic },
    });
});
after(async () => {
    await aws.stop();
    await installation.remove();
});

/* Runs the command; every answer is one that keeps the secret. */
async function setup(args = [], env = {}) {
    const result = await installation.cli(['email', 'setup', ...args], { env });
    for (const word of [keys.secret, temporary.secret, temporary.token])
        assert.ok(!(result.stdout + result.stderr).includes(word), 'a secret was printed');
    return result;
}

async function report(args = [], env = {}) {
    const { code, stdout, stderr } = await setup(['--json', ...args], env);
    assert.ok(stdout, stderr);
    const said = JSON.parse(stdout);
    assert.equal(code, said.complete ? 0 : 1);
    return { ...said, states: Object.fromEntries(said.checks.map(({ name, state }) => [name, state])) };
}

test('a dry run shows what is missing and changes nothing', async () => {
    await aws.lay();
    const before = await aws.state();
    const { code, stdout } = await setup();
    assert.equal(code, 1);
    assert.match(stdout, /^Amazon SES for example\.com in eu-west-1$/m);
    assert.match(stdout, /^ {2}sending +ok +production access; 50000 a day \(120 used\), 14 a second$/m);
    assert.match(stdout, /^ {2}identity +missing +SES does not know example\.com$/m);
    assert.match(stdout, /^ {2}bounces +missing +go to no topic$/m);
    assert.match(stdout, /^ +aws ses verify-domain-dkim --region eu-west-1 --domain example\.com$/m);
    assert.match(stdout, new RegExp(`^ +aws ses set-identity-notification-topic --region eu-west-1 --identity example\\.com --notification-type Bounce --sns-topic ${topic}$`, 'm'));
    const actions = await aws.asked();
    assert.deepEqual(actions.sort(), ['GetAccount', 'GetIdentityDkimAttributes', 'GetIdentityNotificationAttributes', 'GetIdentityVerificationAttributes', 'GetTopicAttributes']);
    assert.deepEqual(actions.filter((action) => !isRead(action)), []);
    assert.deepEqual(await aws.state(), before);
});

/* What the trail says was changed, from its beginning. */
async function records() {
    const { code, stdout, stderr } = await installation.cli(['trail', 'export']);
    assert.equal(code, 0, stderr);
    return stdout.trim().split('\n').map((line) => JSON.parse(line)).filter(({ action }) => action === 'mail.setup');
}

test('with --yes it is set up, and a second run finds nothing to do', async () => {
    await aws.lay();
    const { code, stdout } = await setup(['--yes']);
    assert.equal(code, 1, 'the domain is still to be verified');
    assert.equal(stdout.match(/^done {4}/gm).length, 9);
    assert.match(stdout, /^ {2}dkim +waiting /m);
    const records = [...stdout.matchAll(/^ +(\w+)\._domainkey\.example\.com\. CNAME (\w+)\.dkim\.amazonses\.com\.$/gm)];
    assert.equal(records.length, 3);
    for (const [, name, value] of records) assert.equal(name, value);
    const state = await aws.state();
    assert.deepEqual(state.identities['example.com'], { ...verified, verification: 'Pending', dkim: 'Pending' });
    assert.equal(state.topics[topic].SignatureVersion, '2');
    assert.deepEqual(state.subscriptions.map(({ endpoint: e, protocol, pending }) => [e, protocol, pending]), [[endpoint, 'https', false]]);

    await aws.asked();
    const again = await report(['--yes']);
    assert.deepEqual(again.missing, []);
    assert.deepEqual(again.tried, []);
    assert.equal(again.dns.length, 3);
    assert.deepEqual((await aws.asked()).filter((action) => !isRead(action)), []);

    state.identities['example.com'].verification = state.identities['example.com'].dkim = 'Success';
    await aws.change({ identities: state.identities });
    const done = await setup(['--yes']);
    assert.equal(done.code, 0, done.stdout);
    assert.match(done.stdout, /\nAll in place\.\n$/);
    assert.deepEqual((await aws.asked()).filter((action) => !isRead(action)), []);
});

test('what is changed is on record, and nothing else', async () => {
    await aws.lay({ ...complete, subscriptions: [], identities: { 'example.com': { ...verified, topics: { Delivery: topic } } } });
    const before = (await records()).length;
    const { missing } = await report();
    assert.equal((await records()).length, before, 'a look changes nothing');
    await aws.change({ failures: [{ action: 'SetIdentityNotificationTopic', status: 403, code: 'AccessDenied', message: 'not authorized', times: 1 }] });
    const { tried } = await report(['--yes']);
    const made = (await records()).slice(before);
    assert.deepEqual(made.map(({ actor, subject, tenantId }) => [actor, subject, tenantId]), Array(3).fill([`cli:${userInfo().username}`, 'example.com', null]));
    assert.deepEqual(made.map(({ detail }) => detail), tried);
    assert.deepEqual(made.map(({ detail }) => detail.command), missing.map(({ command }) => command));
    assert.deepEqual(made.map(({ detail }) => detail.error?.code), ['AccessDenied', undefined, undefined], 'as well what was refused');
    assert.equal((await report(['--yes'])).tried.length, 1);
    assert.equal((await records()).length, before + 4);
    assert.ok((await report(['--yes'])).complete);
    assert.equal((await records()).length, before + 4, 'there was nothing to do');
});

test('what cannot be recorded is not done', async () => {
    await aws.lay();
    const { code, stdout, stderr } = await setup(['--yes'], { DATABASE_URL: 'sqlite:/dev/null/holdfast.db' });
    assert.notEqual(code, 0);
    assert.match(stderr, /cannot open the database/);
    assert.equal(stdout, '');
    assert.deepEqual((await aws.asked()).filter((action) => !isRead(action)), []);
});

test('the commands that are shown do the same', { skip: !has('aws') && 'no aws client' }, async () => {
    await aws.lay({ verification: 'Success' });
    for (const { command } of (await report()).missing) {
        const [program, ...words] = command.split(' ');
        await promisify(execFile)(program, ['--endpoint-url', aws.url, ...words], {
            env: { PATH: process.env.PATH, HOME: installation.dir, AWS_ACCESS_KEY_ID: keys.id, AWS_SECRET_ACCESS_KEY: keys.secret },
        });
    }
    const { complete: whole, checks } = await report();
    assert.ok(whole, JSON.stringify(checks));
});

/* Each: what is there, how a check then stands, what of it is said, and what --yes does about it. */
const cases = [
    ['all in place', {}, {}],
    ['SES in its sandbox', { account: { ProductionAccessEnabled: false } }, { sending: ['note', /sandbox: to verified addresses only/] }],
    ['sending paused', { account: { SendingEnabled: false } }, { sending: ['waiting', /switched off/] }],
    ['shut down', { account: { EnforcementStatus: 'SHUTDOWN' } }, { sending: ['waiting', /switched off/] }],
    ['under review', { account: { EnforcementStatus: 'PROBATION' } }, { sending: ['note', /SES says PROBATION/] }],
    ['not allowed to ask for the account', { failures: [{ action: 'GetAccount', status: 403, code: 'AccessDeniedException' }] }, { sending: ['unknown', /AccessDenied/] }],
    ['a domain that is not verified', { identity: { verification: 'Pending', dkim: 'Pending' } }, { identity: ['waiting', /not verified yet/], dkim: ['waiting', /not found in the DNS/] }],
    ['a domain verified by a record of its own', { identity: { dkim: 'NotStarted' } }, { dkim: ['missing', /no keys/, ['VerifyDomainDkim']] }],
    ['keys that were not found for days', { identity: { verification: 'Failed', dkim: 'Failed' } }, { identity: ['waiting', /Failed/], dkim: ['missing', /three days/, ['VerifyDomainDkim']] }],
    ['signing switched off', { identity: { dkimEnabled: false } }, { dkim: ['missing', /switched off/, ['SetIdentityDkimEnabled']] }],
    ['an address beside the domain', { identities: { 'mail@example.com': verified } }, { sender: ['waiting', /identity of its own/] }],
    ['a topic that SES cannot write to', { topic: { KmsMasterKeyId: 'alias/aws/sns' } }, { topic: ['waiting', /key of SNS/] }],
    ['a topic with a key', { topic: { KmsMasterKeyId: 'alias/own' } }, { topic: ['note', /alias\/own/] }],
    ['complaints elsewhere', { identity: { topics: { ...everything, Complaint: `${topic}-other` } } }, { complaints: ['missing', /another topic, .*-other/, ['SetIdentityNotificationTopic']] }],
    ['no deliveries', { identity: { topics: { Bounce: topic, Complaint: topic } } }, { deliveries: ['missing', /no topic/, ['SetIdentityNotificationTopic']] }],
    ['no headers', { identity: { headers: { Complaint: true, Delivery: true } } }, { bounces: ['missing', /without the messages' headers/, ['SetIdentityHeadersInNotificationsEnabled']] }],
    ['no subscription', { subscriptions: [] }, { subscription: ['missing', /not subscribed/, ['Subscribe']] }],
    ['another endpoint subscribed', { subscriptions: [{ ...subscribed, endpoint: `${endpoint}/x` }] }, { subscription: ['missing', /not subscribed/, ['Subscribe']] }],
    ['a subscription to confirm', { subscriptions: [{ ...subscribed, pending: true }] }, { subscription: ['missing', /not confirmed yet/, ['Subscribe']] }],
    ['messages without signatures', { subscriptions: [{ ...subscribed, attributes: { RawMessageDelivery: 'true' } }] }, { subscription: ['missing', /raw/, ['SetSubscriptionAttributes']] }],
    ['many subscriptions', { pageSize: 2, subscriptions: [...[1, 2, 3, 4].map((i) => ({ ...subscribed, arn: `${topic}:x${i}`, endpoint: `https://other${i}.example.com/` })), subscribed] }, {}],
];

for (const [name, { identity, account, topic: attributes, identities, ...state }, expected] of cases) {
    test(`what it finds: ${name}`, async () => {
        const there = () => aws.lay({
            ...complete,
            identities: { 'example.com': { ...verified, ...identity }, ...identities },
            topics: { [topic]: { TopicArn: topic, ...attributes } },
            account: { ...aws.account, ...account },
            ...structuredClone(state),
        });
        await there();
        const { checks, complete: whole, missing } = await report();
        const wrong = Object.fromEntries(checks.filter(({ state: s }) => s !== 'ok').map(({ name: n, state: s, found }) => [n, [s, found]]));
        assert.deepEqual(Object.keys(wrong), Object.keys(expected), JSON.stringify(wrong));
        for (const [check, [expectedState, said]] of Object.entries(expected)) {
            assert.equal(wrong[check][0], expectedState, check);
            assert.match(wrong[check][1], said);
        }
        const blocks = ([s]) => s === 'missing' || s === 'waiting';
        assert.equal(whole, !Object.values(expected).some(blocks));

        await there();
        const actions = Object.values(expected).flatMap(([, , list]) => list ?? []);
        assert.equal(missing.length, actions.length);
        const after = await report(['--yes']);
        assert.deepEqual((await aws.asked()).filter((action) => !isRead(action)), actions);
        assert.deepEqual(after.missing, [], 'it is mended');
        assert.deepEqual(after.tried.map(({ error }) => error), actions.map(() => null));
    });
}

test('an address is verified by the link in a message', async () => {
    await aws.lay({ ...complete, identities: {} });
    const args = ['--identity', 'Mail@Example.com'];
    const first = await report([...args, '--yes']);
    assert.equal(first.identity, 'mail@example.com');
    assert.equal(first.states.dkim, undefined);
    assert.equal(first.states.identity, 'waiting');
    assert.match(first.checks.find(({ name }) => name === 'identity').todo, /Open the link/);
    assert.match(first.tried[0].command, /^aws ses verify-email-identity --region eu-west-1 --email-address mail@example\.com$/);
    assert.deepEqual((await report([...args, '--yes'])).tried, [], 'no second message');
    const state = await aws.state();
    state.identities['mail@example.com'].verification = 'Failed'; // the link was not opened in time
    await aws.change({ identities: state.identities });
    assert.deepEqual((await report(args)).missing.map(({ check }) => check), ['identity']);
});

test('the endpoint is subscribed only once the server listens to the topic', async () => {
    await aws.lay({ ...complete, topics: {}, subscriptions: [] });
    const args = ['--topic-name', 'another'];
    const arn = topic.replace('holdfast-mail', 'another');
    const first = await report([...args, '--yes']);
    assert.equal(first.topicArn, arn);
    assert.deepEqual([first.states.setting, first.states.subscription], ['waiting', 'waiting']);
    const { todo } = first.checks.find(({ name }) => name === 'setting');
    assert.ok(todo.includes(`SNS_TOPIC_ARNS=${arn}`) && todo.includes('beside what it names already'), todo);
    assert.ok(!(await aws.asked()).includes('Subscribe'));
    const second = await report([...args, '--yes'], { SNS_TOPIC_ARNS: `${topic},${arn}` });
    assert.deepEqual(second.tried.map(({ check }) => check), ['subscription']);
    assert.ok(second.complete);
});

test('an endpoint that does not confirm is waited for, and asked anew', async () => {
    await aws.lay({ ...complete, subscriptions: [], confirms: false });
    const { code, stdout } = await setup(['--yes']);
    assert.equal(code, 1);
    assert.match(stdout, /^ {2}subscription +missing +\S+ has not confirmed yet$/m);
    assert.match(stdout, /See that the server runs/);
    await aws.change({ confirms: true });
    assert.match((await setup(['--yes'])).stdout, /^done {4}Have SNS ask the endpoint anew to confirm$/m);
    assert.equal((await setup()).code, 0);
});

test('what AWS asks to be patient with is asked again', async () => {
    const slow = (action) => ({ action, status: 400, code: 'Throttling', message: 'Rate exceeded', times: 1 });
    await aws.lay({ ...complete, subscriptions: [], failures: ['GetIdentityDkimAttributes', 'Subscribe'].map(slow) });
    assert.ok((await report(['--yes'])).complete);
    const actions = await aws.asked();
    assert.equal(actions.filter((action) => action === 'Subscribe').length, 2);
});

test('an action that is refused is told, and the others are done', async () => {
    await aws.lay({
        ...complete, subscriptions: [], identities: { 'example.com': { ...verified, topics: {} } },
        failures: [{ action: 'SetIdentityNotificationTopic', status: 403, code: 'AccessDenied', message: 'not authorized to perform: ses:SetIdentityNotificationTopic', times: 1 }],
    });
    const { code, stdout } = await setup(['--yes']);
    assert.equal(code, 1);
    assert.match(stdout, /^failed {2}Send bounces to the topic: not permitted: AccessDenied: not authorized to perform/m);
    assert.equal(stdout.match(/^done {4}/gm).length, 3);
    assert.match(stdout, /^ {2}bounces +missing /m);
    assert.match(stdout, /^ {2}deliveries +ok /m);
});

test('what cannot be asked is told apart', async () => {
    const nowhere = 'http://127.0.0.1:1';
    const failing = (status, code) => ({ failures: [{ action: 'GetTopicAttributes', status, code, message: 'said so', times: 99 }] });
    for (const [exit, said, state, env] of [
        [3, /SES's GetAccount is out of reach: Unreachable: /, {}, { AWS_ENDPOINT_URL: nowhere }],
        [3, /SNS's GetTopicAttributes is failing: InternalError: said so/, failing(500, 'InternalError'), {}],
        [1, /SNS's GetTopicAttributes is not permitted: AuthorizationError: said so/, failing(403, 'AuthorizationError'), {}],
        [1, /SNS's GetTopicAttributes is refused: InvalidParameter: said so/, failing(400, 'InvalidParameter'), {}],
        [1, /is not permitted: InvalidClientTokenId/, {}, { AWS_ACCESS_KEY_ID: 'AKIDOTHER' }],
        [1, /is not permitted: SignatureDoesNotMatch/, {}, { AWS_SECRET_ACCESS_KEY: 'other' }],
        [1, /this machine's clock is 60 minutes behind that of AWS/, { dateOffset: 3630 }, {}],
        [1, /NoCredentials: AWS_ACCESS_KEY_ID is not set/, {}, { AWS_ACCESS_KEY_ID: '', AWS_EC2_METADATA_DISABLED: 'true' }],
        [1, /NoCredentials: the machine's metadata gives no credentials/, {}, { AWS_ACCESS_KEY_ID: '', AWS_EC2_METADATA_SERVICE_ENDPOINT: nowhere }],
    ]) {
        await aws.lay({ ...complete, ...state });
        const { code, stdout, stderr } = await setup(['--yes'], env);
        assert.equal(code, exit, stderr);
        assert.match(stderr, said);
        assert.equal(stdout, '');
        assert.deepEqual((await aws.asked()).filter((action) => !isRead(action)), []);
    }
});

test('wrong usage and settings are told: 2', async () => {
    await aws.lay();
    for (const [said, args, env = {}] of [
        [/--region: "EU" is not a region/, ['--region', 'EU']],
        [/no region: set AWS_REGION/, [], { AWS_REGION: '' }],
        [/--topic: "arn:aws:sns:x" is not the ARN of a topic/, ['--topic', 'arn:aws:sns:x']],
        [/SES writes to no FIFO topic/, ['--topic', `${topic}.fifo`]],
        [/the topic is in us-east-1, but SES is asked in eu-west-1/, ['--topic', topic.replace('eu-west-1', 'us-east-1')]],
        [/exclude each other/, ['--topic', topic, '--topic-name', 'x']],
        [/--topic-name: takes/, ['--topic-name', 'a b']],
        [/--topic-name: takes/, ['--topic-name', 'x'.repeat(257)]],
        [/--topic-name: takes/, ['--topic-name', '']],
        [/--identity: "nowhere" is neither/, ['--identity', 'nowhere']],
        [/--identity: "a b@example.com" is neither/, ['--identity', 'a b@example.com']],
        [/no identity: set EMAIL_FROM/, [], { EMAIL_FROM: 'Holdfast <holdfast@localhost>' }],
        [/PUBLIC_URL: is not the https/, [], { AWS_ENDPOINT_URL: '', PUBLIC_URL: 'http://mail.example.com' }],
        [/PUBLIC_URL: is not the https/, [], { AWS_ENDPOINT_URL: '', PUBLIC_URL: '' }],
        [/no such option: --force/, ['--force']],
        [/one argument too many/, ['example.com']],
    ]) {
        const { code, stdout, stderr } = await setup(args, env);
        assert.equal(code, 2, stderr + stdout);
        assert.match(stderr, said);
    }
    assert.deepEqual(await aws.asked(), [], 'AWS was asked nothing');
});

test('the topic tells the region, and the settings the topic', async () => {
    await aws.lay(complete);
    assert.ok((await report(['--topic', topic], { AWS_REGION: '', SNS_TOPIC_ARNS: `arn:aws:sns:us-east-1:123456789012:x,${topic}` })).complete);
    assert.equal((await report([], { SNS_TOPIC_ARNS: `arn:aws:sns:us-east-1:123456789012:x,${topic}-second,${topic}` })).topicArn, `${topic}-second`);
    const other = await report(['--identity', 'example.org']);
    assert.equal(other.states.sender, 'note');
    const below = await report([], { EMAIL_FROM: 'mail@news.example.com' });
    assert.equal(below.identity, 'news.example.com');
    assert.equal((await report(['--identity', 'example.com'], { EMAIL_FROM: 'mail@news.example.com' })).states.sender, undefined);
});

test('credentials come from where a container finds them', async () => {
    const container = await startContainer();
    try {
        await aws.lay(complete);
        const file = path.join(installation.dir, 'token');
        await writeFile(file, 'of the pod\n');
        const { code, stderr } = await setup([], {
            AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '',
            AWS_CONTAINER_CREDENTIALS_FULL_URI: container.url,
            AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: file,
        });
        assert.equal(code, 0, stderr);
        assert.deepEqual(container.seen, [['/v1/credentials', 'of the pod']], 'asked once for all calls');
    } finally {
        container.close();
    }
});

test('against moto', { skip: !has('moto_server') && 'no moto_server' }, async () => {
    const moto = spawn('moto_server', ['-H', '127.0.0.1', '-p', '0'], { stdio: ['ignore', 'ignore', 'pipe'] });
    try {
        let url;
        for await (const line of createInterface(moto.stderr)) {
            url = /Running on (http:\S+)/.exec(line)?.[1];
            if (url) break;
        }
        moto.stderr.resume();
        const env = { AWS_ENDPOINT_URL: url };
        const first = await report(['--topic-name', 'moto'], env);
        assert.deepEqual([first.states.identity, first.states.topic], ['missing', 'missing']);
        const arn = first.topicArn;
        assert.match(arn, /^arn:aws:sns:eu-west-1:\d{12}:moto$/);

        // Moto tells of no topics and headers of notifications, and knows no action for headers.
        const { tried, states } = await report(['--topic-name', 'moto', '--yes'], { ...env, SNS_TOPIC_ARNS: arn });
        const failed = tried.filter(({ error }) => error).map(({ command }) => command.split(' ')[2]);
        assert.ok(failed.every((name) => name === 'set-identity-headers-in-notifications-enabled'), failed.join());
        assert.equal(tried.length - failed.length, 6);
        assert.deepEqual([states.identity, states.dkim, states.topic, states.setting, states.subscription], ['ok', 'ok', 'ok', 'ok', 'ok']);
        assert.deepEqual([states.sending, states.bounces], ['unknown', 'missing']);
    } finally {
        moto.kill();
        await once(moto, 'close');
    }
});

/* Sending by Amazon SES, from a product's request to what SES was asked and what became of it. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Aws, keys, startContainer, temporary } from './aws.mjs';
import { forEachStore, waitFor, withInstallation } from './harness.mjs';
import { parseMessage, passWait, serviceToken, settled } from './sending.mjs';
import { expect, people, signIn, small } from './support.mjs';

const hello = { to: 'ada@example.com', subject: 'Hello', text: 'Hello Ada.\n', template: 'welcome' };

let aws;
before(async () => {
    aws = await Aws.start();
});
after(() => aws.stop());

/* An installation that sends by SES, and a program's token for Acme. */
async function withSes(store, env, use) {
    await aws.lay();
    const settings = { ...small, ...aws.env, EMAIL_TRANSPORT: 'ses', EMAIL_FROM: 'Acme <mail@acme.example>', PUBLIC_URL: 'https://mail.example.com', ...env };
    await withInstallation({ store, env: settings }, async (installation) => {
        const everyone = await people(installation);
        const { admin } = everyone;
        const { tokens: [token], env: services } = serviceToken(admin.tenantId);
        const server = await installation.start({ env: services });
        const send = async (body) => expect(await server.api('POST', '/v1/emails', { token, body: { ...hello, ...body } }), 202).id;
        const view = async (id) => expect(await server.api('GET', `/v1/emails/${id}`, { token }), 200);
        await use({ installation, server, token, everyone, send, view, tenantId: admin.tenantId });
        for (const word of [keys.secret, temporary.secret, temporary.token]) assert.ok(!server.stderr.includes(word), 'a secret is in the log');
    });
}

/* The next SendEmail is answered so. */
const fail = (status, code, message = 'said so') => aws.change({ failures: [{ action: 'SendEmail', status, code, message }] });

/* Waits until an attempt has failed. */
const putOff = (view, id) => waitFor('an attempt', async () => {
    const message = await view(id);
    return message.lastError && message;
});

forEachStore((store) => {
    test('a copy for each goes out, tagged, under the credentials of the container', async () => {
        const container = await startContainer();
        const env = { AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '', AWS_CONTAINER_CREDENTIALS_FULL_URI: container.url, SES_CONFIGURATION_SET: 'own' };
        try {
            await withSes(store, env, async ({ server, token, send, tenantId }) => {
                const id = await send({ to: ['ada@example.com', 'bob@example.com'] });
                const message = await settled(server, token, id);
                assert.deepEqual([message.status, message.transport], ['sent', 'ses']);
                const { messages } = await aws.state();
                assert.deepEqual(messages.map(({ from, to, tags, configurationSet }) => [from, to, tags, configurationSet]), ['ada@example.com', 'bob@example.com'].map((to) =>
                    ['mail@acme.example', [to], { tenant: tenantId, template: 'welcome' }, 'own']));
                const { headers, body } = parseMessage(messages[0].raw);
                assert.equal(headers.from, 'Acme <mail@acme.example>');
                assert.match(body, /Hello Ada\./);
                for (const { providerId } of message.recipients) assert.match(providerId, /^0102018c/);
                assert.equal(new Set(message.recipients.map(({ providerId }) => providerId)).size, 2);
                await settled(server, token, await send({ template: 'one that is no tag' }));
                assert.deepEqual((await aws.state()).messages[2].tags, { tenant: tenantId });
                assert.equal(container.seen.length, 1, 'they are asked for once');
            });
        } finally {
            container.close();
        }
    });

    test('what SES refuses of a message is final', async () => {
        await withSes(store, {}, async ({ server, token, everyone, send }) => {
            const tokens = Object.fromEntries(Object.entries(await signIn(server, everyone)).map(([name, grant]) => [name, grant.accessToken]));
            await fail(400, 'MessageRejected', 'Email address is not verified.');
            const { id, status, recipients: [{ errorCode, detail }] } = await settled(server, token, await send());
            assert.deepEqual([status, errorCode, detail], ['rejected', 'MessageRejected', null]);
            const get = async (who, path) => expect(await server.api('GET', path, { token: who }), 200);
            for (const [who, shown] of [[tokens.admin, null], [tokens.operator, 'Email address is not verified.']]) {
                const [row] = (await get(who, '/v1/email-monitoring/logs')).items;
                assert.deepEqual([row.messageId, row.detail], [id, shown]);
                assert.equal((await get(who, `/v1/email-monitoring/logs/${row.id}`)).detail, shown);
                assert.equal((await get(who, `/v1/emails/${id}`)).recipients[0].detail, shown);
                const csv = (await server.api('GET', '/v1/email-monitoring/logs', { token: who, headers: { accept: 'text/csv' } })).body;
                assert.equal(csv.includes('not verified'), shown !== null);
            }
            assert.equal((await settled(server, token, await send())).status, 'sent');
        });
    });

    test('what is wrong with the account, or with SES, lets a message wait', async () => {
        await withSes(store, {}, async ({ installation, server, token, everyone, send, view }) => {
            const operator = (await signIn(server, everyone)).operator.accessToken;
            for (const [status, code, shown] of [
                [400, 'SendingPausedException', 'SendingPaused'],
                [400, 'MailFromDomainNotVerifiedException', 'MailFromDomainNotVerified'],
                [429, 'TooManyRequestsException', 'TooManyRequests'],
                [403, 'AccessDeniedException', 'AccessDenied'],
                [500, 'InternalFailure', 'InternalFailure'],
            ]) {
                await fail(status, code);
                const id = await send();
                const { status: now, lastError } = await putOff(view, id);
                assert.equal(now, 'queued');
                assert.ok(lastError.includes(shown) && !lastError.includes('said so'), lastError);
                const whole = expect(await server.api('GET', `/v1/emails/${id}`, { token: operator }), 200).lastError;
                assert.ok(whole.includes(shown) && whole.includes('said so'), whole);
                await passWait(installation, id);
                assert.equal((await settled(server, token, id)).status, 'sent', code);
            }
        });
    });
});

/*
 * What providers tell of mail, from the signature to what the user sees: the plain bodies of the
 * checklist and of SES, duplicates, orders, crashes, forgers, limits. Messages of SNS need a
 * certificate of Amazon's, so here they are refused; src/api/email_webhooks_test.c has some taken.
 */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';

import { forEachStore, waitFor, withInstallation } from './harness.mjs';
import { serviceToken, settled } from './sending.mjs';
import { noticesOf } from './steps.mjs';
import { expect, sql } from './support.mjs';

const secret = 'the secret of webhooks in these tests';
const former = 'the secret that it was before this one';
const bounce = '/v1/email-monitoring/ses/bounce';
const complaint = '/v1/email-monitoring/ses/complaint';
const events = '/v1/email-monitoring/ses/events';
const env = { SES_WEBHOOK_SECRET: secret, SES_WEBHOOK_RETIRED_SECRETS: former };

/* The header for a body, signed so many seconds from now. */
function sign(body, { by = secret, seconds = 0 } = {}) {
    const time = Math.floor(Date.now() / 1000) + seconds;
    return `t=${time},v1=${createHmac('sha256', by).update(`${time}.`).update(body).digest('hex')}`;
}

async function post(server, path, body, { signature, headers = {}, ...signing } = {}) {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    return server.api('POST', path, { body: text, headers: { 'x-webhook-signature': signature ?? sign(text, signing), ...headers } });
}

/* Posts an event that has to be taken; returns the counts as a list. */
async function take(server, path, body, options) {
    const { accepted, duplicates, unmatched, ...rest } = expect(await post(server, path, body, options), 202);
    assert.deepEqual(rest, {});
    return [accepted, duplicates, unmatched];
}

/* The bodies of the checklist, to the letter, for an address of ours. */
const checklistBounce = (address) => `{
  "bounce": {
    "bounceType": "Permanent",
    "bounceSubType": "Suppressed",
    "bouncedRecipients": [
      {
        "emailAddress": "${address}"
      }
    ],
    "timestamp": "2024-01-01T12:00:00Z",
    "feedbackId": "feedback-id-123"
  }
}`;
const checklistComplaint = (address, type) => `{
  "complaint": {
    "complainedRecipients": [
      {
        "emailAddress": "${address}"
      }
    ],
    "complaintFeedbackType": "${type}",
    "timestamp": "2024-01-01T12:00:00Z",
    "feedbackId": "feedback-id-456"
  }
}`;

/* Events of one message, as event publishing tells them. */
const tellings = (messageId, to = 'who@example.net', mail = { messageId, timestamp: '2026-09-21T12:00:00.000Z', destination: [to] }) => [
    { eventType: 'Send', mail, send: {} },
    { eventType: 'DeliveryDelay', mail, deliveryDelay: { timestamp: '2026-09-21T12:00:01.000Z', delayType: 'TransientCommunicationFailure', delayedRecipients: [{ emailAddress: to, status: '4.4.1' }] } },
    { eventType: 'Delivery', mail, delivery: { timestamp: '2026-09-21T12:00:05.000Z', recipients: [to], smtpResponse: '250 ok' } },
    { eventType: 'Bounce', mail, bounce: { bounceType: 'Permanent', bounceSubType: 'General', bouncedRecipients: [{ emailAddress: to, status: '5.1.1' }], timestamp: '2026-09-21T12:00:04.000Z', feedbackId: `b-${messageId}` } },
    { eventType: 'Complaint', mail, complaint: { complainedRecipients: [{ emailAddress: to }], complaintFeedbackType: 'abuse', timestamp: '2026-09-21T12:00:03.000Z', feedbackId: `c-${messageId}` } },
];

/* All orders of a list. */
function* permutations(list) {
    if (list.length === 0) yield [];
    for (const [i, first] of list.entries())
        for (const rest of permutations([...list.slice(0, i), ...list.slice(i + 1)])) yield [first, ...rest];
}

const counters = async (server) => (await server.api('GET', '/metrics')).body;
const metric = (text, name) => Number(new RegExp(`^${name.replace(/[{}"]/g, '\\$&')} (\\d+)$`, 'm').exec(text)?.[1]);

forEachStore((store) => {
    test('the checklist\'s bodies do what the checklist says', async () => {
        await withInstallation({ store, env }, async (installation) => {
            const user = await installation.addUser();
            const calm = await installation.addUser();
            const server = await installation.start();
            const { accessToken: token } = await server.login(user.email);
            const { accessToken: calmToken } = await server.login(calm.email);
            const statusOf = async (of) => (await server.api('GET', '/auth/me', { token: of })).body.emailStatus;

            assert.deepEqual(await take(server, complaint, checklistComplaint(calm.email, 'not-spam')), [1, 0, 1]);
            assert.equal(await statusOf(calmToken), 'ok');
            assert.deepEqual(await noticesOf(server, calmToken), []);

            assert.deepEqual(await take(server, bounce, checklistBounce(user.email)), [1, 0, 1]);
            await waitFor('the bounce in the account', async () => (await statusOf(token)) === 'invalid');
            assert.deepEqual((await noticesOf(server, token)).map(({ kind }) => kind), ['email_bounced']);
            assert.deepEqual(await take(server, bounce, checklistBounce(user.email)), [0, 1, 0]);
            assert.equal((await noticesOf(server, token)).length, 1);
            // By the secret that is being retired, and as curl -d sends it.
            assert.deepEqual(await take(server, complaint, checklistComplaint(calm.email, 'abuse').replace('456', '457'), {
                by: former, headers: { 'content-type': 'application/x-www-form-urlencoded' },
            }), [1, 0, 1]);
            await waitFor('the complaint in the account', async () => (await statusOf(calmToken)) === 'unsubscribed');
            assert.deepEqual(await sql(installation, 'SELECT address, reason FROM suppressions ORDER BY reason'),
                [`${user.email}|bounce`, `${calm.email}|complaint`]);
        });
    });

    test('twenty at once count once', async () => {
        await withInstallation({ store, env }, async (installation) => {
            const user = await installation.addUser();
            const server = await installation.start();
            const counts = await Promise.all(Array.from({ length: 20 }, () => take(server, bounce, checklistBounce(user.email))));
            const sum = counts.reduce((a, b) => a.map((n, i) => n + b[i]));
            assert.deepEqual(sum, [1, 19, 1]);
            assert.deepEqual(await sql(installation, 'SELECT count(*) FROM email_events'), ['1']);
            assert.deepEqual(await sql(installation, "SELECT count(*) FROM notifications WHERE kind = 'email_bounced'"), ['1']);
        });
    });

    test('whatever the order of what is told, a message ends in one state', async () => {
        await withInstallation({ store, env }, async (installation) => {
            const admin = await installation.addUser({ role: 'admin' });
            const { tokens: [token], env: services } = serviceToken(admin.tenantId);
            const server = await installation.start({ env: services });
            const cases = [['complained', [1, 2, 3, 4]], ['bounced', [0, 2, 3]], ['delivered', [0, 1, 2]]]
                .flatMap(([wanted, names]) => [...permutations(names)].map((order) => [wanted, order]));
            for (const [number, [wanted, order]] of cases.entries()) {
                const to = `who${number}@example.net`;
                const { id } = expect(await server.api('POST', '/v1/emails', { token, body: { to, subject: 'Hello', text: 'Hello.' } }), 202);
                const [{ providerId }] = (await settled(server, token, id)).recipients;
                for (const name of order) assert.deepEqual(await take(server, events, tellings(providerId, to)[name]), [1, 0, 0]);
                const message = expect(await server.api('GET', `/v1/emails/${id}`, { token }), 200);
                assert.equal(message.status, wanted, `${order}`);
                assert.equal(message.recipients[0].events.length, order.length);
            }
            for (const span of [300_000, 3_600_000, 86_400_000])
                assert.deepEqual(await sql(installation, `SELECT sum(sent), sum(delayed), sum(delivered), sum(bounced_counted), sum(complained_counted) FROM email_figures WHERE kind = 1 AND span = ${span}`), ['0|0|6|6|24']);
        });
    });

    test('kill -9 right after 202 loses nothing', async () => {
        await withInstallation({ store, env }, async (installation) => {
            const server = await installation.start();
            let taken = [];
            for (let round = 0; round < 5; round++) {
                const acknowledged = [];
                let open = true;
                const clients = Array.from({ length: 8 }, async (_, client) => {
                    for (let i = 0; open; i++) {
                        const id = `${round}-${client}-${i}`;
                        const answer = await post(server, events, tellings(id)[3]).catch(() => null);
                        if (!answer) return;
                        assert.equal(answer.status, 202, JSON.stringify(answer.body));
                        acknowledged.push(`b-${id}`);
                        if (acknowledged.length === 40 + round) {
                            open = false;
                            await server.kill();
                        }
                    }
                });
                await Promise.all(clients);
                taken = taken.concat(acknowledged);
                await server.restart();
            }
            const known = new Set(await sql(installation, 'SELECT feedback_id FROM email_events'));
            assert.ok(taken.length >= 200);
            assert.deepEqual(taken.filter((id) => !known.has(id)), []);
            assert.deepEqual(await take(server, events, tellings(taken[0].slice(2))[3]), [0, 1, 0]);
        });
    });

    test('one bad entry of 5,000 costs the others nothing', async () => {
        await withInstallation({ store, env }, async (installation) => {
            const server = await installation.start();
            const recipients = Array.from({ length: 5000 }, (_, i) => ({ emailAddress: i === 2500 ? 'nobody' : `u${i}@example.net` }));
            const body = { bounce: { bounceType: 'Permanent', bounceSubType: 'General', bouncedRecipients: recipients, timestamp: '2026-09-21T12:00:00Z', feedbackId: 'f' } };
            assert.deepEqual(await take(server, bounce, body), [4999, 0, 4999]);
            assert.deepEqual(await take(server, bounce, body), [0, 4999, 0]);
            assert.deepEqual(await sql(installation, 'SELECT count(*) FROM suppressions'), ['4999']);
            assert.equal(metric(await counters(server), 'holdfast_mail_recipients_unreadable_total'), 2);
            recipients.push({ emailAddress: 'one@example.net' });
            const answer = await post(server, bounce, body);
            expect(answer, 400, 'bad_request');
            assert.match(answer.body.detail, /too many recipients/);
        });
    });

    test('what a server or a provider writes costs no event', async () => {
        await withInstallation({ store, env }, async (installation) => {
            const user = await installation.addUser();
            const server = await installation.start();
            const bounced = (diagnostic, feedbackId) => checklistBounce(user.email)
                .replace(`"${user.email}"`, `"${user.email}", "diagnosticCode": "${diagnostic}"`).replace('feedback-id-123', feedbackId);
            assert.deepEqual(await take(server, bounce, bounced('550 \\u0000\\ud83d\\u001b[2J\\r\\nno', 'nul')), [1, 0, 1]);
            assert.deepEqual(await take(server, complaint, checklistComplaint(user.email, 'x'.repeat(65))), [1, 0, 1]);
            assert.deepEqual(await sql(installation, 'SELECT detail, subtype FROM email_events ORDER BY id'),
                ['550 \ufffd\ufffd [2J  no|Permanent/Suppressed', `|${'x'.repeat(64)}`]);
            assert.deepEqual(await sql(installation, 'SELECT reason FROM suppressions ORDER BY reason'), ['bounce', 'complaint']);
        });
    });

    test('a server that refuses mail speaks for nobody but its recipient', async () => {
        await withInstallation({ store, env }, async (installation) => {
            const victim = await installation.addUser();
            const admin = await installation.addUser({ role: 'admin', tenant: 'Bolt' });
            const server = await installation.start();
            const { accessToken: token } = await server.login(admin.email);
            const { id } = expect(await server.api('POST', '/v1/emails', { token, body: { to: 'mallory@evil.example', subject: 's', text: 't' } }), 202);
            await settled(server, token, id);
            const [provider] = await sql(installation, 'SELECT provider_id FROM email_logs');
            const report = (destination, feedbackId) => ({
                notificationType: 'Bounce', mail: { messageId: provider, timestamp: new Date().toISOString(), destination },
                bounce: { bounceType: 'Permanent', bounceSubType: 'General', feedbackId, timestamp: new Date().toISOString(),
                    bouncedRecipients: [{ emailAddress: victim.email, status: '5.1.1' }] },
            });
            assert.deepEqual(await take(server, events, report(['mallory@evil.example', 'other@evil.example'], 'two')), [1, 0, 1]);
            assert.deepEqual(await sql(installation, 'SELECT address FROM suppressions'), []);
            assert.deepEqual(await take(server, events, report(['mallory@evil.example'], 'one')), [1, 0, 0]);
            assert.deepEqual(await sql(installation, 'SELECT address FROM suppressions'), ['mallory@evil.example']);
            assert.deepEqual(await sql(installation, 'SELECT recipient, state FROM email_logs'), ['mallory@evil.example|bounced']);
            assert.deepEqual(await sql(installation, `SELECT email_status FROM users WHERE email = '${victim.email}'`), ['ok']);
        });
    });

    test('forgers are told so, are on record, and after a while not listened to', async () => {
        await withInstallation({ store, env: { ...env, SNS_TOPIC_ARNS: 'arn:aws:sns:us-east-1:123456789012:ses-events', EMAIL_WEBHOOK_REFUSALS_PER_MINUTE: '12' } }, async (installation) => {
            const operator = await installation.addUser({ role: 'operator' });
            const server = await installation.start();
            const heard = [];
            const listener = net.createServer((socket) => {
                heard.push(socket.remotePort);
                socket.destroy();
            });
            listener.listen(0, '127.0.0.1');
            await once(listener, 'listening');
            const there = `127.0.0.1:${listener.address().port}`;
            const body = checklistBounce('victim@example.com');
            const envelope = (more) => JSON.stringify({
                Type: 'Notification', MessageId: '22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324', TopicArn: 'arn:aws:sns:us-east-1:123456789012:ses-events',
                Message: body, Timestamp: new Date().toISOString(), SignatureVersion: '1', Signature: Buffer.alloc(256, 1).toString('base64'),
                SigningCertURL: `https://${there}/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem`, ...more,
            });
            const sns = (text) => server.api('POST', events, { body: text, headers: { 'content-type': 'text/plain; charset=UTF-8', 'x-amz-sns-message-type': 'Notification' } });
            const forged = [
                () => server.api('POST', bounce, { body }),
                () => post(server, bounce, body, { signature: '' }),
                () => post(server, bounce, body, { signature: 't=1,v1=zz' }),
                () => post(server, bounce, body, { by: 'another secret of thirty-two bytes' }),
                () => post(server, bounce, body, { signature: sign(`${body} `) }),
                () => post(server, bounce, body, { seconds: -301 }),
                () => post(server, bounce, body, { seconds: 302 }),
                () => sns(envelope({})),
                () => sns(envelope({ SigningCertURL: `http://${there}/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem` })),
                () => sns(envelope({ Type: 'SubscriptionConfirmation', Token: 'x', SubscribeURL: `http://${there}/` })),
            ];
            for (const [i, send] of forged.entries()) {
                const answer = await send();
                expect(answer, 401, 'signature_invalid');
                assert.match(answer.headers['www-authenticate'], /^X-Webhook-Signature/, `${i}`);
                assert.ok(!JSON.stringify(answer.body).includes('victim'), 'nothing of a body is said back');
            }
            expect(await sns(envelope({ TopicArn: 'arn:aws:sns:us-east-1:999999999999:theirs' })), 403, 'topic_not_allowed');
            expect(await sns('{"Type":"Notification"}'), 400, 'bad_request');

            const limited = await post(server, bounce, body);
            expect(limited, 429, 'rate_limited');
            assert.ok(Number(limited.headers['retry-after']) > 0);
            assert.equal(limited.headers['ratelimit-limit'], '12');
            listener.close();
            assert.deepEqual(heard, [], 'nobody was called');
            assert.deepEqual(await sql(installation, 'SELECT count(*) FROM email_events'), ['0']);

            const text = await counters(server);
            const reasons = { unsigned: 1, bad_header: 2, bad_signature: 2, stale: 2, sns_certificate: 3, sns_topic: 1, sns_malformed: 1, limited: 1 };
            for (const [reason, n] of Object.entries(reasons))
                assert.equal(metric(text, `holdfast_mail_webhooks_refused_total{reason="${reason}"}`), n, reason);
            const token = (await server.login(operator.email)).accessToken;
            const told = () => server.lines.filter(({ event, msg }) => /webhooks were refused/.test(event ?? msg ?? '')).length;
            const records = await waitFor('the record of each line', async () => {
                const lines = told();
                const { items } = expect(await server.api('GET', '/v1/audit-log?action=webhook.refused', { token }), 200);
                return lines > 0 && lines <= items.length && items.some(({ detail }) => detail.status === 429) && items;
            });
            assert.ok(records.length <= 6, `${records.length} records`);
            assert.ok(!server.stderr.includes('victim'));
        });
    });

    test('authentic but not to be used: the answer says why', async () => {
        await withInstallation({ store, env }, async (installation) => {
            const server = await installation.start();
            const wrong = [
                ['', /not one JSON object/], ['[]', /not one JSON object/], ['{}', /does not say/], ['{"bounce":1}', /does not say/],
                ['{"bounce":{},"bounce":{}}', /not one JSON object/],
                ['{"bounce":{}}', /no recipients/], ['{"bounce":{"bouncedRecipients":[]}}', /no recipients/],
                ['{"bounce":{"bouncedRecipients":["x"]}}', /none of the event's recipients/i],
                ['{"bounce":{"bouncedRecipients":[{"emailAddress":"a@b.example"}],"timestamp":"yesterday"}}', /timestamp/],
                ['{"bounce":{"bouncedRecipients":[{"emailAddress":"a@b.example"}],"timestamp":"2999-01-01T00:00:00Z"}}', /future/],
                ['{"bounce":{"bouncedRecipients":[{"emailAddress":"a@b.example"}],"feedbackId":7}}', /member/],
                [checklistComplaint('a@b.example', 'abuse'), /kind/],
                [JSON.stringify(tellings('m')[2]), /kind/],
            ];
            for (const [body, why] of wrong) {
                const answer = await post(server, bounce, body);
                expect(answer, 400, 'bad_request');
                assert.match(answer.body.detail, why, body);
            }
            assert.deepEqual(await sql(installation, 'SELECT count(*) FROM email_events'), ['0']);
            // Those were signed well, so that the sender is still listened to.
            assert.deepEqual(await take(server, events, tellings('m')[2]), [1, 0, 1]);
            const long = `{"bounce":{"x":"${'x'.repeat(512 * 1024)}"}}`;
            expect(await post(server, bounce, long), 413, 'too_large');
            expect(await post(server, bounce, long.slice(0, 300 * 1024)), 400, 'bad_request');
            expect(await server.api('GET', bounce), 405, 'method_not_allowed');
        });
    });

    test('where it is off, or has no secret, nothing is taken', async () => {
        await withInstallation({ store, env: { ...env, EMAIL_MONITORING_ENABLED: 'false' } }, async (installation) => {
            const server = await installation.start();
            expect(await post(server, bounce, checklistBounce('a@example.com')), 403, 'email_monitoring_disabled');
            await server.restart({ env: { EMAIL_MONITORING_ENABLED: 'true', SES_WEBHOOK_SECRET: '', SES_WEBHOOK_RETIRED_SECRETS: '' } });
            const answer = await post(server, bounce, checklistBounce('a@example.com'));
            expect(answer, 401, 'signature_invalid');
            assert.deepEqual(await sql(installation, 'SELECT count(*) FROM email_events'), ['0']);
        });
    });
});

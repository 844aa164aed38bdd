/* What users are told in the application reaches them by mail as well, where it can and may. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { forEachStore, password, waitFor, withInstallation } from './harness.mjs';
import { sandboxMessages } from './sending.mjs';
import { expect, people, signIn, small, sql } from './support.mjs';

const another = 'a staple of batteries, correct';
const number = async (installation, query) => Number((await sql(installation, query))[0]);

/* The messages to an address, once there are so many. */
const received = (installation, address, n = 1) => waitFor(`mail to ${address}`, async () => {
    const messages = (await sandboxMessages(installation)).filter(({ to }) => to.includes(address));
    return messages.length >= n ? messages : undefined;
});

/* A body of parts in quoted-printable, as text. */
const plain = (body) => body.replaceAll('=\r\n', '').replace(/=([0-9A-F]{2})/g, (_, hex) => String.fromCharCode(parseInt(hex, 16)));

const changePassword = (server, grant) =>
    server.api('POST', '/auth/password', { token: grant.accessToken, body: { currentPassword: password, newPassword: another } });

forEachStore((store) => {
    test('a changed password is told by mail, unless the user wants none', async () => {
        await withInstallation({ store, env: { ...small, FRONTEND_URL: 'https://app.example.com' } }, async (installation) => {
            const everyone = await people(installation);
            const server = await installation.start();
            const { admin, member, stranger } = await signIn(server, everyone);
            expect(await server.api('PUT', '/v1/preferences', { token: stranger.accessToken, body: { emailSecurity: false, emailProduct: true } }), 200);
            expect(await changePassword(server, stranger), 204);
            expect(await changePassword(server, member), 204);

            const [told] = await received(installation, everyone.member.email);
            assert.equal(told.headers.subject, 'Your password was changed');
            assert.equal(told.headers['auto-submitted'], 'auto-generated');
            for (const words of ['Your password was changed', 'Your other devices were signed out', 'https://app.example.com', 'safety of your account', '/v1/emails/unsubscribe?token='])
                assert.ok(plain(told.body).includes(words), `${words} in:\n${told.body}`);
            // It is kept before it is on record that it is.
            const items = await waitFor('the log to say so', async () => {
                const page = expect(await server.api('GET', `/v1/email-monitoring/logs?recipient=${everyone.member.email}`, { token: admin.accessToken }), 200);
                return page.items[0]?.status === 'sent' ? page.items : undefined;
            });
            assert.deepEqual(items.map(({ template, subject }) => [template, subject]), [['security', 'Your password was changed']]);

            // Who wanted none was passed over before that.
            const seen = await number(installation, "SELECT seen FROM notice_mail WHERE lane = 'urgent'");
            assert.equal(seen, await number(installation, 'SELECT max(id) FROM notifications'));
            assert.equal(await number(installation, 'SELECT count(*) FROM email_logs'), 1);
            const inApp = expect(await server.api('GET', '/v1/notifications', { token: stranger.accessToken }), 200);
            assert.deepEqual(inApp.items.map(({ kind }) => kind), ['password_changed'], 'in the application it is told all the same');
        });
    });

    test('what was told while the server was down is mailed once, by one of several nodes', async () => {
        await withInstallation({ store, env: { ...small, EMAIL_NOTICES_PER_MINUTE: '3000' } }, async (installation) => {
            const users = [];
            for (let i = 0; i < 12; i++) users.push(await installation.addUser());
            const first = await installation.start();
            for (const { email } of users) await first.login(email);
            await first.stop();
            const { code, stderr } = await installation.cli(['revoke-sessions', '--users', users.map(({ id }) => id).join(','), '--reason', 'a drill', '--yes']);
            assert.equal(code, 0, stderr);
            await Promise.all([installation.start(), installation.start()]);
            for (const { email } of users) {
                const [told] = await received(installation, email);
                assert.equal(told.headers.subject, 'Your sessions were ended');
                assert.match(plain(told.body), /Reason: a drill/);
            }
            assert.equal(await number(installation, 'SELECT count(*) FROM email_logs'), users.length);
            await waitFor('the outbox to be empty', async () => (await number(installation, 'SELECT count(*) FROM email_outbox')) === 0);
            assert.equal((await sandboxMessages(installation)).length, users.length);
        });
    });
});

test('without a transport, or at a rate of 0, notices stay in the application', async () => {
    await withInstallation({}, async (installation) => {
        for (const [index, env] of [{ EMAIL_TRANSPORT: 'none' }, { EMAIL_NOTICES_PER_MINUTE: '0' }].entries()) {
            const user = await installation.addUser();
            const server = await installation.start({ env });
            expect(await changePassword(server, await server.login(user.email)), 204);
            await server.stop();
            assert.equal(await number(installation, 'SELECT count(*) FROM notifications'), index + 1);
            assert.equal(await number(installation, 'SELECT count(*) FROM email_logs'), 0);
        }
        // Nothing is forgotten: what is a day old at most is told when it can be.
        await installation.start();
        await waitFor('both', async () => (await number(installation, 'SELECT count(*) FROM email_logs')) === 2);
    });
});

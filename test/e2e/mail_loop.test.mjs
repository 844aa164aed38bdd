/*
 * The loop of mail on a laptop with nothing set: a message goes out, what became of it comes back as
 * a signed event, and changes what is sent next.
 */
import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';

import { forEachStore, freePort, password, waitFor, withInstallation } from './harness.mjs';
import { sandboxMessages } from './sending.mjs';
import { expect, small, sql } from './support.mjs';

const at = (label) => `${label}@simulator.amazonses.com`;

/* The operator of a first start, past the one-time password. Returns a token. */
async function operator(server) {
    const shown = await waitFor('the one-time password', () => /One-time password: +(\S+)/.exec(server.stdout)?.[1]);
    const { accessToken } = await server.login('operator@localhost', shown);
    expect(await server.api('POST', '/auth/password', { token: accessToken, body: { currentPassword: shown, newPassword: password } }), 204);
    return (await server.login('operator@localhost')).accessToken;
}

const send = (server, token, to) => server.api('POST', '/v1/emails', { token, body: { to, subject: 'Hello', text: 'Hello.\n' } });

/* The newest log row of an address, once it has the status. */
const logged = (server, token, recipient, status) => waitFor(`${recipient} ${status}`, async () => {
    const { items } = expect(await server.api('GET', `/v1/email-monitoring/logs?recipient=${encodeURIComponent(recipient)}`, { token }), 200);
    return items[0]?.status === status ? items[0] : undefined;
});

const suppressed = async (server, token, address) =>
    expect(await server.api('GET', `/v1/email-monitoring/suppressions?address=${encodeURIComponent(address)}`, { token }), 200).items;

forEachStore((store) => {
    test('with nothing set, a bounce comes back, and nothing more is sent to the address', async () => {
        await withInstallation({ store }, async (installation) => {
            const server = await installation.start();
            const token = await operator(server);
            const { id } = expect(await send(server, token, at('bounce')), 202);
            const row = await logged(server, token, at('bounce'), 'bounced');
            assert.equal(row.errorCode, '5.1.1');
            const message = expect(await server.api('GET', `/v1/emails/${id}`, { token }), 200);
            assert.deepEqual(message.recipients.map(({ recipient, status }) => [recipient, status]), [[at('bounce'), 'bounced']]);
            assert.deepEqual(message.recipients[0].events.map(({ kind, subtype }) => [kind, subtype]), [['bounce', 'Permanent/General']]);
            const [{ address, reason }] = await suppressed(server, token, at('bounce'));
            assert.deepEqual([address, reason], [at('bounce'), 'bounce']);
            expect(await send(server, token, at('bounce')), 409, 'suppressed');
            await logged(server, token, at('bounce'), 'suppressed');
            assert.equal((await sandboxMessages(installation)).filter(({ to }) => to.includes(at('bounce'))).length, 1);

            // The same of the others; a label is an address of its own.
            for (const [label, status, reasons] of [['success', 'delivered', []], ['complaint', 'complained', ['complaint']], ['ooto', 'delivered', []],
                ['suppressionlist', 'bounced', ['bounce']], ['bounce+again', 'bounced', ['bounce']]]) {
                expect(await send(server, token, at(label)), 202);
                await logged(server, token, at(label), status);
                assert.deepEqual((await suppressed(server, token, at(label))).map(({ reason: why }) => why), reasons, label);
            }
            const { items } = expect(await server.api('GET', `/v1/email-monitoring/logs?recipient=${at('ooto')}`, { token }), 200);
            const ooto = await waitFor('the answer of the absent', async () => {
                const { events } = expect(await server.api('GET', `/v1/emails/${items[0].messageId}`, { token }), 200).recipients[0];
                return events.length === 2 ? events : undefined;
            });
            assert.deepEqual(ooto.map(({ kind, subtype }) => `${kind} ${subtype ?? ''}`.trim()), ['delivery', 'bounce Transient/General']);
            assert.ok(!server.lines.some(({ event }) => /dropped/.test(event)));
        });
    });

    test('a user whose mail bounces is told in the application, and not by mail', async () => {
        await withInstallation({ store, env: small }, async (installation) => {
            const bounced = await installation.addUser({ email: at('bounce+user') }), complains = await installation.addUser({ email: at('complaint+user') });
            const admin = await installation.addUser({ role: 'admin' });
            const server = await installation.start();
            const token = (await server.login(admin.email)).accessToken;
            for (const [user, status, kind, state] of [[bounced, 'bounced', 'email_bounced', 'invalid'], [complains, 'complained', 'email_unsubscribed', 'unsubscribed']]) {
                expect(await send(server, token, user.email), 202);
                await logged(server, token, user.email, status);
                const own = (await server.login(user.email)).accessToken;
                assert.equal(expect(await server.api('GET', '/auth/me', { token: own }), 200).emailStatus, state);
                assert.deepEqual(expect(await server.api('GET', '/v1/notifications', { token: own }), 200).items.map((notice) => notice.kind), [kind]);
                const wishes = expect(await server.api('GET', '/v1/preferences', { token: own }), 200);
                assert.deepEqual([wishes.emailSecurity, wishes.emailProduct], [false, false]);
            }
            await waitFor('all notices to be looked at', async () => (await sql(installation,
                "SELECT count(*) FROM notifications WHERE id > (SELECT seen FROM notice_mail WHERE lane = 'urgent')"))[0] === '0');
            assert.equal((await sandboxMessages(installation)).length, 2);
        });
    });

    test('email simulate shows the whole loop', async () => {
        await withInstallation({ store, env: small }, async (installation) => {
            const server = await installation.start();
            const simulate = (...args) => installation.cli(['email', 'simulate', '--url', `http://localhost:${server.port}`, ...args]);
            for (const [fate, state] of [['success', 'delivered'], ['bounce', 'bounced'], ['complaint', 'complained'], ['ooto', 'delivered'], ['suppressionlist', 'bounced']]) {
                const { code, stdout, stderr } = await simulate('--fate', fate, '--json');
                assert.equal(code, 0, stderr + stdout);
                const result = JSON.parse(stdout);
                assert.equal(result.fate, fate);
                assert.equal(result.ok, true);
                assert.equal(result.state, state);
                assert.match(result.recipient, new RegExp(`^${fate}\\+[0-9a-f]{8}@simulator\\.amazonses\\.com$`));
                assert.equal(result.suppressed, ['bounce', 'complaint', 'suppressionlist'].includes(fate));
                assert.ok(result.events.length >= 1);
            }
            const { code, stdout, stderr } = await simulate();
            assert.equal(code, 0, stderr + stdout);
            const steps = stdout.trim().split('\n').map((line) => /^ *\d+ ms {2}(.{11}) (.*)$/.exec(line).slice(1).map((part) => part.trim()));
            assert.deepEqual(steps.map(([what]) => what), ['accepted', 'sent', 'came back', 'log', 'suppressed', 'done']);
            assert.match(steps[2][1], /^bounce Permanent\/General 5\.1\.1: /);

            // Another installation's server does not know of it.
            await withInstallation({ store, env: small }, async (elsewhere) => {
                const stranger = await elsewhere.start();
                const lost = await simulate('--timeout', '1', '--url', `http://localhost:${stranger.port}`, '--tenant', 'Holdfast');
                assert.equal(lost.code, 0, 'the server that is on this database sends it');
                await server.stop();
                const waiting = await simulate('--timeout', '1', '--url', `http://localhost:${stranger.port}`);
                assert.equal(waiting.code, 1);
                assert.match(waiting.stderr, /nobody has handed it over/);
            });
        });
    });
});

test('mail that came by SMTP has its events too; they are of no message that was sent here', async () => {
    await withInstallation({}, async (installation) => {
        const server = await installation.start();
        const { smtpPort } = await server.sandbox();
        const socket = net.connect({ port: smtpPort, host: '127.0.0.1' });
        let said = '';
        socket.setEncoding('latin1').on('data', (text) => (said += text));
        socket.write(`EHLO me.test\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<${at('Bounce')}>\r\nRCPT TO:<ada@example.com>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\nQUIT\r\n`);
        await waitFor('the message to be kept', () => /^250 2\.0\.0 Kept/m.test(said));
        const events = await waitFor('its event', async () => {
            const rows = await sql(installation, 'SELECT kind, recipient, log_id IS NULL FROM email_events');
            return rows.length ? rows : undefined;
        });
        assert.deepEqual(events, [`bounce|${at('bounce')}|1`]);
        assert.deepEqual(await sql(installation, 'SELECT count(*) FROM email_logs'), ['0']);
        assert.deepEqual(await sql(installation, `SELECT reason FROM suppressions WHERE address = '${at('bounce')}'`), ['bounce']);
    });
});

test('email simulate says what stands against it', async () => {
    await withInstallation({}, async (installation) => {
        const simulate = (env, ...args) => installation.cli(['email', 'simulate', ...args], { env });
        const nobody = `http://127.0.0.1:${await freePort()}`;
        const production = { HOLDFAST_ENV: 'production', JWT_SECRET: 'f01a23b4c5d6e789'.repeat(8), ENCRYPTION_KEY: 'f01a23b4c5d6e789'.repeat(4) };
        for (const [env, args, code, said] of [
            [{}, ['--url', nobody], 3, /no server answers at http:\/\/127\.0\.0\.1:\d+ .*\n.*holdfast serve/],
            [{}, ['--url', nobody, '--json'], 3, /no server answers/],
            [{}, ['--url', 'ftp://localhost'], 2, /--url: "ftp:\/\/localhost" is not the URL of a server/],
            [{}, ['--url', ''], 2, /--url/],
            [{ PORT: '0' }, [], 2, /PORT is 0.*--url/],
            [{}, ['--fate', 'glory'], 2, /--fate: "glory" is none of/],
            [{}, ['--timeout', '0'], 2, /--timeout: "0" is not a number from 1 to 3600/],
            [{}, ['--timeout', '3601'], 2, /--timeout/],
            [{ EMAIL_TRANSPORT: 'none' }, [], 2, /EMAIL_TRANSPORT is none/],
            [{ EMAIL_MONITORING_ENABLED: 'false' }, [], 2, /EMAIL_MONITORING_ENABLED is false/],
            [{ ...production, EMAIL_TRANSPORT: 'none' }, [], 2, /in production a simulated bounce would count/],
        ]) {
            const result = await simulate(env, ...args);
            assert.equal(result.code, code, `${JSON.stringify([env, args])}: ${result.stderr}`);
            assert.match(result.stderr, said);
            assert.equal(result.stdout, '');
        }
        const server = await installation.start();
        const url = `http://127.0.0.1:${server.port}`;
        const stranger = await simulate({}, '--url', url, '--tenant', 'Nobody');
        assert.equal(stranger.code, 2);
        assert.match(stranger.stderr, /--tenant: there is no tenant "Nobody"/);
    });
});

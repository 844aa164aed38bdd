/*
 * Mail in development as a laptop's set-up meets it: an SMTP port and MailHog's API, beside the
 * server and with nothing set. Python's smtplib sends.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';

import { forEachStore, freePort, waitFor, withInstallation } from './harness.mjs';

const sender = `
import json, smtplib, sys
from email.message import EmailMessage
job = json.load(sys.stdin)
with smtplib.SMTP(job["host"], job["port"], timeout=20) as client:
    for mail in job["mails"]:
        m = EmailMessage()
        m["From"], m["To"], m["Subject"] = mail["from"], ", ".join(mail["to"]), mail["subject"]
        m.set_content(mail.get("text", "text"))
        if "html" in mail:
            m.add_alternative(mail["html"], subtype="html")
        if "file" in mail:
            m.add_attachment(bytes(range(256)), maintype="application", subtype="zip", filename=mail["file"])
        client.send_message(m)
`;

async function send(port, mails, host = '127.0.0.1') {
    const child = spawn('python3', ['-c', sender], { stdio: ['pipe', 'inherit', 'inherit'] });
    child.stdin.end(JSON.stringify({ host, port, mails: mails.map((mail) => ({ from: 'shop@example.com', subject: 'Hi', ...mail })) }));
    const [code] = await once(child, 'close');
    assert.equal(code, 0, 'smtplib');
}

function call(port, method, path, { host = '127.0.0.1', headers = {} } = {}) {
    return new Promise((resolve, reject) => {
        const request = http.request({ host, port, method, path, headers, timeout: 20_000, agent: false }, (response) => {
            const parts = [];
            response.on('data', (part) => parts.push(part));
            response.on('end', () => {
                const bytes = Buffer.concat(parts);
                const json = /json/.test(response.headers['content-type'] ?? '') && bytes.length > 0;
                resolve({ status: response.statusCode, headers: response.headers, bytes, body: json ? JSON.parse(bytes) : bytes.toString() });
            });
        });
        request.on('timeout', () => request.destroy(new Error('no answer')));
        request.on('error', reject);
        request.end();
    });
}

const listens = (port, host = '127.0.0.1') => new Promise((resolve) => {
    const socket = net.connect({ port, host });
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
});

forEachStore((store) => {
    test('what is sent by SMTP is kept, and had by the API of MailHog', async () => {
        await withInstallation({ store }, async (installation) => {
            const server = await installation.start();
            const { smtpPort, httpPort } = await server.sandbox();
            await send(smtpPort, [
                { to: ['ada@example.com'], subject: 'Grüße', text: 'schön\n', html: '<p>schön <b>hier</b></p>', file: 'a.zip' },
                { to: ['grace@example.com', 'joan@example.com'], subject: 'Second' },
                { from: 'other@example.com', to: ['ada@example.com'], subject: 'Third' },
            ]);
            const { body: page } = await call(httpPort, 'GET', '/api/v2/messages?start=0&limit=2');
            assert.deepEqual([page.total, page.count, page.start], [3, 2, 0]);
            const [third, second] = page.items;
            assert.deepEqual(third.Content.Headers.Subject, ['Third']);
            assert.deepEqual(second.To.map((to) => `${to.Mailbox}@${to.Domain}`), ['grace@example.com', 'joan@example.com']);
            assert.equal(second.Raw.From, 'shop@example.com');

            const found = (await call(httpPort, 'GET', '/api/v2/search?kind=to&query=ADA%40')).body;
            assert.deepEqual(found.items.map((item) => item.ID).slice(0, 1), [third.ID]);
            assert.equal(found.total, 2);
            const first = found.items[1];
            assert.equal((await call(httpPort, 'GET', '/api/v2/search?kind=from&query=other')).body.total, 1);
            assert.equal((await call(httpPort, 'GET', '/api/v2/search?kind=containing&query=Second')).body.total, 1);

            assert.deepEqual((await call(httpPort, 'GET', `/api/v1/messages/${first.ID}`)).body, first);
            assert.equal((await call(httpPort, 'GET', '/api/v1/messages')).body.length, 3);
            const html = await call(httpPort, 'GET', `/messages/${first.ID}/html`);
            assert.match(html.body, /^<p>schön <b>hier<\/b><\/p>/);
            assert.match(html.headers['content-security-policy'], /^default-src 'none';.*sandbox/);
            assert.equal((await call(httpPort, 'GET', `/messages/${first.ID}/text`)).body, 'schön\r\n');
            const file = await call(httpPort, 'GET', `/api/v1/messages/${first.ID}/mime/part/1/download`);
            assert.deepEqual([...file.bytes], [...Array(256).keys()]);
            assert.match((await call(httpPort, 'GET', `/api/v1/messages/${first.ID}/download`)).body, /^From: shop@example\.com\r\n/);

            assert.equal((await call(httpPort, 'DELETE', `/api/v1/messages/${second.ID}`)).status, 200);
            assert.equal((await call(httpPort, 'GET', `/api/v1/messages/${second.ID}`)).status, 404);
            await server.kill();
            await server.start();
            const again = await server.sandbox();
            assert.equal((await call(again.httpPort, 'GET', '/api/v2/messages')).body.total, 2, 'what was taken is on disk');
            assert.equal((await call(again.httpPort, 'DELETE', '/api/v1/messages')).status, 200);
            assert.equal((await call(again.httpPort, 'GET', '/api/v2/messages')).body.total, 0);
        });
    });
});

test('pages of the web have no way in through a browser of this machine', async () => {
    await withInstallation({}, async (installation) => {
        const server = await installation.start();
        const { httpPort } = await server.sandbox();
        for (const host of ['evil.example.com', `evil.example.com:${httpPort}`, 'localhost.example.com'])
            for (const [method, path] of [['GET', '/api/v2/messages'], ['GET', '/'], ['DELETE', '/api/v1/messages']])
                assert.equal((await call(httpPort, method, path, { headers: { host } })).status, 400, `${host} ${path}`);
        for (const host of ['localhost', `localhost:${httpPort}`, '127.0.0.1', '[::1]'])
            assert.equal((await call(httpPort, 'GET', '/api/v2/messages', { headers: { host } })).status, 200, host);
        const headers = { origin: 'https://evil.example.com', 'access-control-request-method': 'DELETE' };
        const preflight = await call(httpPort, 'OPTIONS', '/api/v1/messages', { headers });
        assert.equal(preflight.status, 405);
        const answer = await call(httpPort, 'GET', '/api/v2/messages', { headers });
        for (const { headers: got } of [preflight, answer])
            assert.deepEqual(Object.keys(got).filter((name) => name.startsWith('access-control')), []);
        assert.equal(answer.headers['cross-origin-resource-policy'], 'same-origin');
    });
});

test('it listens on loopback alone, in both versions of IP; elsewhere where it is told to', async () => {
    const addresses = Object.values(os.networkInterfaces()).flat();
    const outside = addresses.find((a) => a.family === 'IPv4' && !a.internal)?.address;
    await withInstallation({}, async (installation) => {
        const server = await installation.start();
        const ports = Object.values(await server.sandbox()).filter(Number.isInteger);
        assert.equal(ports.length, 2);
        for (const port of ports) {
            assert.ok(await listens(port));
            if (addresses.some((a) => a.address === '::1')) assert.ok(await listens(port, '::1'));
            assert.ok(!await listens(port, '127.0.0.2'));
            if (outside) assert.ok(!await listens(port, outside));
        }
        await server.restart({ env: { SANDBOX_ADDRESS: '0.0.0.0' } });
        const { smtpPort, httpPort } = await server.sandbox();
        assert.ok(await listens(smtpPort, '127.0.0.2'));
        assert.equal((await call(httpPort, 'GET', '/api/v2/messages', { headers: { host: `mailhog:${httpPort}` } })).status, 200);
        assert.equal((await call(httpPort, 'GET', '/api/v2/messages', { headers: { host: 'evil.example.com' } })).status, 400);
    });
});

test('a second server on the machine goes without ports that are taken', async () => {
    const env = { SANDBOX_SMTP_PORT: String(await freePort()), SANDBOX_HTTP_PORT: String(await freePort()) };
    await withInstallation({ env }, async (installation) => {
        const first = await installation.start();
        const { smtpPort, httpPort } = await first.sandbox();
        assert.deepEqual([String(smtpPort), String(httpPort)], Object.values(env));
        const second = await installation.start();
        const { smtpPort: none, httpPort: neither } = await second.sandbox();
        assert.deepEqual([none, neither], [undefined, undefined]);
        const warnings = second.lines.filter(({ level }) => level === 'warn').map(({ event }) => event);
        for (const port of Object.values(env)) assert.ok(warnings.some((text) => text.includes(`port ${port}`)), warnings.join('\n'));
        await send(smtpPort, [{ to: ['ada@example.com'] }]);
        await second.stop();
        assert.equal((await call(httpPort, 'GET', '/api/v2/messages')).body.total, 1);
    });
});

test('it is there for the transport sandbox alone, and without the ports that are not wanted', async () => {
    await withInstallation({}, async (installation) => {
        const server = await installation.start({ env: { EMAIL_TRANSPORT: 'none' } });
        await server.waitForLine('serving', ({ event }) => event === 'serving');
        await server.stop();
        assert.ok(!server.lines.some(({ event }) => event === 'sandbox'));
        await server.restart({ env: { EMAIL_TRANSPORT: 'sandbox', SANDBOX_HTTP_PORT: '-1' } });
        const { smtpPort, httpPort } = await server.sandbox();
        assert.ok(smtpPort > 0);
        assert.equal(httpPort, undefined);
    });
});

test('no more than SANDBOX_KEEP messages are kept, and SIGHUP changes how many', async () => {
    await withInstallation({}, async (installation) => {
        const settings = path.join(installation.dir, '.env');
        await writeFile(settings, 'SANDBOX_KEEP=3\n');
        const server = await installation.start();
        const { smtpPort, httpPort } = await server.sandbox();
        const subjects = async () => (await call(httpPort, 'GET', '/api/v2/messages')).body.items.map((item) => item.Content.Headers.Subject[0]);
        await send(smtpPort, Array.from({ length: 5 }, (_, i) => ({ to: ['ada@example.com'], subject: `${i}` })));
        assert.deepEqual(await subjects(), ['4', '3', '2']);
        await writeFile(settings, 'SANDBOX_KEEP=2\n');
        server.child.kill('SIGHUP');
        await server.waitForLine('the reload', ({ event }) => /^configuration reloaded/.test(event));
        await send(smtpPort, [{ to: ['ada@example.com'], subject: '5' }]);
        assert.deepEqual(await subjects(), ['5', '4']);
    });
});

test('a message on its way when the server stops is taken or left to its sender, never lost', async () => {
    await withInstallation({}, async (installation) => {
        const server = await installation.start();
        const { smtpPort } = await server.sandbox();
        const socket = net.connect({ port: smtpPort, host: '127.0.0.1' });
        let said = '';
        socket.setEncoding('latin1').on('data', (text) => (said += text));
        socket.on('error', () => {});
        socket.write('EHLO me.test\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nSubject: last\r\n');
        await waitFor('354', () => /^354/m.test(said));
        const stopped = server.stop();
        socket.write('\r\nx\r\n.\r\n');
        await waitFor('its end', () => /^(250 2\.0\.0 Kept|421)/m.test(said));
        await stopped;
        const kept = /^250 2\.0\.0 Kept/m.test(said);
        await server.start();
        const { httpPort } = await server.sandbox();
        assert.equal((await call(httpPort, 'GET', '/api/v2/messages')).body.total, kept ? 1 : 0);
    });
});

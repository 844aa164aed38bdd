/* What every client meets, whatever it asks for: strict bodies, limits, headers, documents. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';

import { forEachStore, password, waitFor, withInstallation } from './harness.mjs';
import { expect } from './support.mjs';

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

async function withServer(store, env, use) {
    await withInstallation({ store, env }, async (installation) => {
        const server = await installation.start();
        await use(server, installation);
    });
}

/* The answer to raw bytes: { status, headers, body }, as the first of a connection that closes. */
async function rawAnswer(server, pieces) {
    const text = await server.raw(pieces);
    const [head, ...rest] = text.split('\r\n\r\n');
    const [line, ...fields] = head.split('\r\n');
    const headers = Object.fromEntries(fields.map((field) => [field.slice(0, field.indexOf(':')).toLowerCase(), field.slice(field.indexOf(':') + 2)]));
    const body = rest.join('\r\n\r\n');
    assert.match(line, /^HTTP\/1\.1 \d{3} /, text);
    return { status: Number(line.split(' ')[1]), headers, body: headers['content-type']?.includes('json') ? JSON.parse(body) : body };
}

const login = (server, body, headers = {}) => server.api('POST', '/auth/login', { body, headers });

function assertSecured({ status, headers }, policy = /default-src 'none'; frame-ancestors 'none'/) {
    const told = `of ${status}`;
    assert.match(headers['content-security-policy'], policy, told);
    assert.match(headers['content-security-policy'], /frame-ancestors 'none'/, told);
    assert.equal(headers['x-content-type-options'], 'nosniff', told);
    assert.equal(headers['x-frame-options'], 'DENY', told);
    assert.equal(headers['referrer-policy'], 'no-referrer', told);
    assert.equal(headers['cross-origin-opener-policy'], 'same-origin', told);
    assert.equal(headers['cross-origin-resource-policy'], 'same-origin', told);
    assert.match(headers['permissions-policy'], /camera=\(\)/, told);
    assert.equal(headers['cache-control'], 'no-store', told);
    assert.match(headers['x-request-id'] ?? '', uuid, told);
    assert.equal(headers.server, undefined, 'what runs here is nobody\'s business');
    assert.equal(headers['x-powered-by'], undefined);
}

forEachStore((store) => {
    test('a body is taken as it is meant, or refused by the field that is wrong', async () => {
        await withServer(store, {}, async (server) => {
            const email = 'a@example.com';
            const wrong = [
                [{ email, password, extra: 1 }, 'extra'],
                [{ email, password, Email: email }, 'Email'],
                [{ email, password, __proto__x: 1 }, '__proto__x'],
                [`{"email":"${email}","password":"${password}","password":"x"}`, 'password'],
                [`{"email":"${email}","password":"${password}","p\\u0061ssword":"x"}`, 'password'],
                [{ email: 1, password }, 'email'],
                [{ email, password: true }, 'password'],
                [{ email, password: null }, 'password'],
                [{ email: [email], password }, 'email'],
                [{ email: { $ne: '' }, password }, 'email'],
                [{ email, password, totp: 123456 }, 'totp'],
                [{ password }, 'email'],
                [{ email }, 'password'],
                [{}, 'email'],
                [{ email: '', password }, 'email'],
                [{ email: 'x'.repeat(255), password }, 'email'],
                [{ email, password: 'x'.repeat(129) }, 'password'],
            ];
            for (const [body, field] of wrong) {
                const answer = await login(server, body);
                expect(answer, 400, 'invalid_field');
                assert.equal(answer.body.field, field, JSON.stringify(body));
                assert.ok(answer.body.detail.length > 0);
                assert.ok(!JSON.stringify(answer.body).includes(password), 'a secret is not said back');
            }
            const good = JSON.stringify({ email, password });
            const malformed = ['', ' ', '{', '[]', 'null', '"x"', '1', `${good}x`, `${good}${good}`, good.replace('"email"', 'email'), good.replace(',', ',,'), good.replace('}', ',}'),
                good.replaceAll('"', "'"), `/**/${good}`, '[[[[[[[[[[', `{"email":${'['.repeat(10_000)}`, Buffer.from(good.replace('a@', '\xff@'), 'latin1'),
                good.replace('a@', '\\ud800@'), good.replace('a@', 'a\n@'), `\ufeff${good}`, '{"email":NaN}'];
            for (const body of malformed) {
                const answer = await login(server, body);
                assert.equal(answer.status, 400, String(body).slice(0, 60));
                assert.ok(['bad_request', 'invalid_field'].includes(answer.body.code));
            }
            expect(await login(server, ` \r\n\t${good} `), 401, 'invalid_credentials');
            expect(await login(server, { email, password, totp: null }), 401, 'invalid_credentials');
        });
    });

    test('so is a query', async () => {
        await withServer(store, {}, async (server, installation) => {
            const admin = await installation.addUser({ role: 'admin' });
            const { accessToken: token } = await server.login(admin.email);
            for (const [query, field] of [['limit=0', 'limit'], ['limit=201', 'limit'], ['limit=x', 'limit'], ['limit=1&limit=2', 'limit'], ['limt=5', 'limt'], ['cursor=x', 'cursor'], ['limit=1.5', 'limit'], ['limit=%2B5', 'limit']]) {
                const answer = await server.api('GET', `/v1/users?${query}`, { token });
                expect(answer, 400, 'invalid_field');
                assert.equal(answer.body.field, field, query);
            }
            assert.equal((await server.api('GET', '/v1/users?limit=200', { token })).status, 200);
            expect(await server.api('GET', '/auth/me?x=1', { token }), 400, 'invalid_field');
            assert.equal((await server.api('GET', '/v1/users?limit=%zz', { token })).status, 400);
        });
    });

    test('what is too long is refused as such, as soon as it shows', async () => {
        await withServer(store, { MAX_BODY_BYTES: '1024', MAX_HEADER_BYTES: '2048' }, async (server) => {
            const of = (n) => {
                const body = JSON.stringify({ email: 'a@example.com', password: '' });
                return body.replace('""', `"${'x'.repeat(n - body.length)}"`);
            };
            assert.equal((await login(server, of(1024))).status, 400, 'as long as may be: read, and found wanting');
            expect(await login(server, of(1025)), 413, 'too_large');
            // Announced, nothing sent yet: no need to wait for it.
            const announced = await rawAnswer(server, 'POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000000000\r\n\r\n');
            expect(announced, 413, 'too_large');
            const chunked = await rawAnswer(server, ['POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n', `400\r\n${'x'.repeat(1024)}\r\n`, '1\r\nx\r\n']);
            expect(chunked, 413, 'too_large');
            assertSecured(chunked);
            const header = (n) => server.api('GET', '/health', { headers: { 'x-long': 'x'.repeat(n) } });
            assert.equal((await header(1500)).status, 200);
            const tooLong = await header(2100);
            expect(tooLong, 431, 'headers_too_large');
            assertSecured(tooLong);
            const many = await rawAnswer(server, `GET /health HTTP/1.1\r\nHost: a\r\n${'A: b\r\n'.repeat(300)}\r\n`);
            expect(many, 431, 'headers_too_large');
            const target = await rawAnswer(server, `GET /${'x'.repeat(20_000)} HTTP/1.1\r\nHost: a\r\n\r\n`);
            expect(target, 414, 'uri_too_long');
            assertSecured(target);
            assert.equal((await server.api('GET', '/health')).status, 200);
        });
    });

    test('every answer is secured and has an id, whoever made it', async () => {
        await withServer(store, { PASSWORD_THREADS: '1', PASSWORD_QUEUE: '1' }, async (server, installation) => {
            const user = await installation.addUser();
            const { accessToken: token } = await server.login(user.email);
            const answers = {
                ok: [200, await server.api('GET', '/health')],
                me: [200, await server.api('GET', '/auth/me', { token })],
                nothing: [204, await server.api('OPTIONS', '/auth/me')],
                malformed: [400, await login(server, '{')],
                parser: [400, await rawAnswer(server, 'GET /health HTTP/1.1\r\nHost : a\r\n\r\n')],
                nonsense: [400, await rawAnswer(server, 'hello\r\n\r\n')],
                anonymous: [401, await server.api('GET', '/auth/me')],
                forbidden: [403, await server.api('GET', '/v1/users', { token })],
                unknown: [404, await server.api('GET', '/no/such/path')],
                method: [405, await server.api('DELETE', '/auth/login')],
                type: [415, await login(server, '{}', { 'content-type': 'text/plain' })],
                coding: [501, await rawAnswer(server, 'POST /auth/login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n')],
                version: [505, await rawAnswer(server, 'GET /health HTTP/2.0\r\nHost: a\r\n\r\n')],
            };
            const flood = await Promise.all(Array.from({ length: 30 }, () => login(server, { email: user.email, password })));
            const refused = flood.filter((answer) => answer.status !== 200);
            assert.ok(refused.length > 0 && refused.length < 30, 'a flood of sign-ins is served as far as it goes');
            answers.overloaded = [503, refused[0]];
            assert.ok(Number(refused[0].headers['retry-after']) >= 1);
            for (const [name, [status, answer]] of Object.entries(answers)) {
                assert.equal(answer.status, status, name);
                assertSecured(answer);
                if (status >= 400) {
                    assert.equal(answer.headers['content-type'], 'application/problem+json', name);
                    assert.deepEqual(Object.keys(answer.body).filter((key) => !['detail', 'field'].includes(key)), ['type', 'title', 'status', 'code', 'requestId'], name);
                    assert.equal(answer.body.requestId, answer.headers['x-request-id'], name);
                }
                assert.equal(answer.headers['strict-transport-security'], undefined, 'this is no TLS');
            }
            assert.match(answers.anonymous[1].headers['www-authenticate'], /^Bearer realm=/);
            assert.equal(answers.method[1].headers.allow.split(', ').sort().join(), 'OPTIONS,POST');
            const ids = Object.values(answers).map(([, answer]) => answer.headers['x-request-id']);
            assert.equal(new Set(ids).size, ids.length);
            const given = await server.api('GET', '/health', { headers: { 'x-request-id': 'mine' } });
            assert.match(given.headers['x-request-id'], uuid, 'nobody else writes our log');
            for (const [name, [, answer]] of Object.entries(answers))
                await server.waitForLine(`the log has the id of ${name}`, (line) => line.id === answer.headers['x-request-id']);
        });
    });

    test('behind TLS of a trusted proxy, browsers are told to stay with it', async () => {
        const https = { headers: { 'x-forwarded-proto': 'https' } };
        await withServer(store, { TRUSTED_PROXIES: '127.0.0.1' }, async (server) => {
            assert.match((await server.api('GET', '/health', https)).headers['strict-transport-security'], /^max-age=\d{8}/);
            assert.equal((await server.api('GET', '/health')).headers['strict-transport-security'], undefined);
        });
        await withServer(store, {}, async (server) => {
            assert.equal((await server.api('GET', '/health', https)).headers['strict-transport-security'], undefined);
        });
    });

    test('browsers may call from the frontend, exactly, and from nowhere else', async () => {
        await withServer(store, { FRONTEND_URL: 'https://app.example.com, http://localhost:5173' }, async (server) => {
            const ask = (method, target, origin, more = {}) => server.api(method, target, { headers: { origin, ...more } });
            for (const origin of ['https://app.example.com', 'http://localhost:5173']) {
                for (const answer of [await ask('GET', '/health', origin), await ask('GET', '/auth/me', origin), await ask('GET', '/nowhere', origin)]) {
                    assert.equal(answer.headers['access-control-allow-origin'], origin);
                    assert.equal(answer.headers['access-control-allow-credentials'], 'true');
                    assert.match(answer.headers.vary, /\bOrigin\b/);
                    assert.match(answer.headers['access-control-expose-headers'], /X-Request-Id/);
                }
                const preflight = await ask('OPTIONS', '/auth/login', origin, { 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type,authorization' });
                assert.equal(preflight.status, 204);
                assert.equal(preflight.headers['access-control-allow-origin'], origin);
                assert.equal(preflight.headers['access-control-allow-credentials'], 'true');
                assert.match(preflight.headers['access-control-allow-methods'], /\bPOST\b/);
                assert.match(preflight.headers['access-control-allow-headers'], /authorization/i);
                assert.match(preflight.headers['access-control-allow-headers'], /content-type/i);
                assert.ok(Number(preflight.headers['access-control-max-age']) > 0);
            }
            for (const origin of ['https://app.example.com.evil.test', 'https://evil.test', 'http://app.example.com', 'https://app.example.com:8443', 'https://APP.example.com', 'https://app.example.com/', 'null', '*', 'https://sub.app.example.com', 'http://localhost:51730', '']) {
                for (const answer of [await ask('GET', '/health', origin), await ask('OPTIONS', '/auth/login', origin, { 'access-control-request-method': 'POST' })]) {
                    for (const name of Object.keys(answer.headers)) assert.ok(!name.startsWith('access-control-'), `${origin}: ${name}`);
                    assert.match(answer.headers.vary, /\bOrigin\b/, 'a cache must not mix them up');
                }
            }
            assert.match((await server.api('GET', '/health')).headers.vary, /\bOrigin\b/);
        });
        await withServer(store, {}, async (server) => {
            const answer = await server.api('GET', '/health', { headers: { origin: 'http://localhost:3000' } });
            assert.equal(answer.headers['access-control-allow-origin'], undefined, 'without a frontend, nobody');
        });
    });

    test('HEAD answers as GET does, without the body; OPTIONS names the methods', async () => {
        await withServer(store, {}, async (server) => {
            for (const target of ['/health', '/openapi.json', '/auth/me', '/nowhere', '/docs']) {
                const get = await server.api('GET', target);
                const head = await server.api('HEAD', target);
                assert.equal(head.status, get.status, target);
                assert.equal(head.body, null);
                // Two ids in a problem have the same length.
                for (const name of ['content-type', 'content-length', 'content-security-policy']) assert.equal(head.headers[name], get.headers[name], `${target}: ${name}`);
            }
            const kept = await server.raw(['HEAD /health HTTP/1.1\r\nHost: a\r\n\r\n', 'GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n']);
            assert.equal(kept.match(/HTTP\/1\.1 200/g).length, 2);
            assert.equal(kept.match(/"status":"ok"/g).length, 1);
            assert.equal((await server.api('HEAD', '/auth/login')).status, 405);
            expect(await server.api('GET', '/auth/login'), 405, 'method_not_allowed');
            const options = async (target) => {
                const answer = await server.api('OPTIONS', target);
                assert.equal(answer.status, 204);
                return answer.headers.allow.split(', ').sort();
            };
            assert.deepEqual(await options('/auth/me'), ['GET', 'HEAD', 'OPTIONS']);
            assert.deepEqual(await options('/auth/login'), ['OPTIONS', 'POST']);
            assert.deepEqual(await options('/v1/users/018f0000-0000-7000-8000-000000000000'), ['DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH']);
            assert.ok((await options('*')).length >= 6);
            assert.equal((await server.api('OPTIONS', '/nowhere')).status, 404);
        });
    });

    test('metrics are for this machine, or for who has the token', async () => {
        await withServer(store, { METRICS_TOKEN: 'a token of 32 characters or more!', TRUSTED_PROXIES: '127.0.0.1' }, async (server, installation) => {
            const ask = (headers = {}) => server.api('GET', '/metrics', { headers });
            const { status, headers, body } = await ask();
            assert.equal(status, 200);
            assert.match(headers['content-type'], /^text\/plain; version=0\.0\.4/);
            for (const line of body.trimEnd().split('\n')) assert.match(line, /^(# (HELP|TYPE) \w+ .+|[a-z_]+(_bucket)?(\{[^{}]*\})? -?[0-9.e+-]+(Inf|NaN)?)$/, line);
            for (const [name, value] of Object.entries({ 'x-forwarded-for': '127.0.0.1', 'x-real-ip': '127.0.0.1', forwarded: 'for=127.0.0.1', via: '1.1 proxy' }))
                expect(await ask({ [name]: value }), 401, 'unauthenticated'); // what is passed on is not local
            const outside = { 'x-forwarded-for': '203.0.113.9' };
            expect(await ask(outside), 401, 'unauthenticated');
            expect(await ask({ ...outside, authorization: 'Bearer wrong' }), 401, 'unauthenticated');
            expect(await ask({ authorization: 'Bearer wrong' }), 401, 'unauthenticated');
            const user = await installation.addUser({ role: 'operator' });
            const { accessToken } = await server.login(user.email);
            expect(await ask({ ...outside, authorization: `Bearer ${accessToken}` }), 401, 'unauthenticated');
            const token = { ...outside, authorization: 'Bearer a token of 32 characters or more!' };
            const after = await ask(token);
            assert.equal(after.status, 200);
            assert.match(after.body, /route="\/auth\/login"[^\n]*status="200"[^\n]* 1$/m);
        });
    });

    test('health and readiness', async () => {
        await withServer(store, { DRAIN_NOTICE_SECONDS: '30' }, async (server) => {
            assert.deepEqual((await server.api('GET', '/health')).body, { status: 'ok' });
            const ready = await server.api('GET', '/ready');
            assert.equal(ready.status, 200);
            assert.deepEqual(ready.body, { status: 'ok', checks: { database: 'ok', feed: 'ok', server: 'ok' } });
            server.child.kill('SIGTERM');
            const draining = await waitFor('it says that it drains', async () => {
                const answer = await server.api('GET', '/ready');
                return answer.status === 503 && answer;
            });
            assert.equal(draining.body.checks.server, 'draining');
            assert.equal((await server.api('GET', '/health')).status, 200, 'until then it works');
            server.child.kill('SIGTERM'); // once more: at once
            await server.stop();
        });
    });

    test('the document describes what is there, and all of it is guarded', async () => {
        await withServer(store, { SECURITY_CONTACT: 'security@example.com, https://example.com/security', OAUTH_CLIENT_ID: 'gateway' , OAUTH_CLIENT_SECRET: 'x1'.repeat(20) }, async (server) => {
            const { status, headers, body: document } = await server.api('GET', '/openapi.json');
            assert.equal(status, 200);
            assert.match(headers['content-type'], /^application\/json/);
            assert.match(document.openapi, /^3\.1\./);
            // However small the answer before it on the same connection was.
            const kept = await server.raw(['GET /.well-known/jwks.json HTTP/1.1\r\nHost: a\r\n\r\n', 'GET /openapi.json HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n']);
            assert.equal(kept.match(/HTTP\/1\.1 200/g).length, 2);
            const open = new Set();
            let count = 0;
            for (const [template, item] of Object.entries(document.paths)) {
                const target = template.replace(/\{\w+\}/g, '018f0000-0000-7000-8000-000000000000');
                for (const [method, operation] of Object.entries(item)) {
                    if (!['get', 'put', 'post', 'delete', 'patch'].includes(method)) continue;
                    count++;
                    const answer = await server.api(method.toUpperCase(), target);
                    const told = `${method} ${template}: ${answer.status}`;
                    assert.ok(![404, 405, 500, 501].includes(answer.status), told);
                    assert.ok(operation.responses[answer.status], `${told} is not in the document`);
                    if (answer.status !== 401) open.add(`${method} ${template}`);
                }
            }
            assert.ok(count >= 30, `${count} operations`);
            assert.deepEqual([...open].sort(), ['get /.well-known/jwks.json', 'get /.well-known/security.txt', 'get /docs', 'get /docs/app.js', 'get /docs/style.css', 'get /health',
                'get /metrics', 'get /openapi.json', 'get /ready', 'get /v1/emails/unsubscribe', 'post /auth/login', 'post /auth/refresh', 'post /auth/register', 'post /oauth/introspect', 'post /oauth/revoke',
                'post /v1/emails/unsubscribe']);
            // Every reference leads somewhere.
            const text = JSON.stringify(document);
            for (const [, pointer] of text.matchAll(/"\$ref":"#\/([^"]+)"/g))
                assert.ok(pointer.split('/').reduce((at, key) => at?.[key], document), pointer);
        });
    });

    test('the page that shows it loads all it names from here', async () => {
        await withServer(store, {}, async (server) => {
            const page = await server.api('GET', '/docs');
            assert.equal(page.status, 200);
            assert.match(page.headers['content-type'], /^text\/html; charset=utf-8/);
            assertSecured(page, /script-src 'self'/);
            assert.doesNotMatch(page.headers['content-security-policy'], /unsafe-inline|unsafe-eval|\*/);
            const named = [...page.body.matchAll(/(?:src|href)="([^"#]+)"/g)].map(([, target]) => target);
            assert.ok(named.length >= 2);
            for (const target of named) {
                const answer = await server.api('GET', new URL(target, 'http://x/docs').pathname);
                assert.equal(answer.status, 200, target);
                assert.match(target, /^[^:]*$/, 'no other host');
                if (target.endsWith('.js')) assert.match(answer.headers['content-type'], /^text\/javascript/);
                if (target.endsWith('.css')) assert.match(answer.headers['content-type'], /^text\/css/);
            }
        });
    });

    test('who finds a weakness learns whom to tell', async () => {
        await withServer(store, { SECURITY_CONTACT: 'security@example.com, https://example.com/security' }, async (server) => {
            const { status, headers, body } = await server.api('GET', '/.well-known/security.txt');
            assert.equal(status, 200);
            assert.equal(headers['content-type'], 'text/plain; charset=utf-8');
            const [, expires] = /^Expires: (.+?)\r?$/m.exec(body);
            assert.deepEqual([...body.matchAll(/^Contact: (.+?)\r?$/gm)].map(([, contact]) => contact), ['mailto:security@example.com', 'https://example.com/security']);
            const days = (Date.parse(expires) - Date.now()) / 86_400_000;
            assert.ok(days > 30 && days <= 366, expires);
        });
        await withServer(store, {}, async (server) => expect(await server.api('GET', '/.well-known/security.txt'), 404, 'not_found'));
    });

    test('requests over all routes are limited by address where that is set', async () => {
        await withServer(store, { RATE_LIMIT_PER_MINUTE: '100', TRUSTED_PROXIES: '127.0.0.1' }, async (server) => {
            const ask = (address) => server.api('GET', '/health', { headers: { 'x-forwarded-for': address } });
            const answers = await Promise.all(Array.from({ length: 120 }, () => ask('203.0.113.5')));
            assert.equal(answers.filter((answer) => answer.status === 200).length, 100);
            const refused = answers.find((answer) => answer.status !== 200);
            expect(refused, 429, 'rate_limited');
            assertSecured(refused);
            assert.equal(refused.headers['ratelimit-limit'], '100');
            assert.ok(Number(refused.headers['retry-after']) >= 1);
            assert.equal((await ask('203.0.113.6')).status, 200);
        });
    });

    test('whoever is slow is told so, and does not stop the others', async () => {
        await withServer(store, { HEAD_TIMEOUT_SECONDS: '1', BODY_TIMEOUT_SECONDS: '1' }, async (server) => {
            const slow = [
                rawAnswer(server, 'GET /health HTTP/1.1\r\nHost: a'),
                rawAnswer(server, 'POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{'),
            ];
            assert.equal((await server.api('GET', '/health')).status, 200);
            for (const answer of await Promise.all(slow)) {
                expect(answer, 408, 'timeout');
                assertSecured(answer);
            }
        });
    });

    test('connections of one address are limited', async () => {
        await withServer(store, { MAX_CONNECTIONS_PER_ADDRESS: '5' }, async (server) => {
            server.agent.destroy();
            const open = async () => /^holdfast_connections_open 1$/m.test(await server.raw('GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'));
            await waitFor('no other connection is open', open);
            const sockets = [];
            try {
                for (let i = 0; i < 5; i++) {
                    const socket = net.connect({ host: '127.0.0.1', port: server.port });
                    await once(socket, 'connect');
                    socket.write('GET /health HTTP/1.1\r\nHost: a\r\n\r\n');
                    sockets.push(socket);
                    const [first] = await once(socket, 'data');
                    assert.match(first.toString('latin1'), /^HTTP\/1\.1 200/);
                }
                assert.doesNotMatch(await server.raw('GET /health HTTP/1.1\r\nHost: a\r\n\r\n'), /^HTTP\/1\.1 200/);
            } finally {
                for (const socket of sockets) socket.destroy();
            }
            await waitFor('there is room again', async () => /^HTTP\/1\.1 200/.test(await server.raw('GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')));
        });
    });
});

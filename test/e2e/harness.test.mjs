/* Whether the harness sees what it is there to see, by programs that misbehave on purpose. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';

import { Installation, psql, stores, withInstallation } from './harness.mjs';

const standIn = `
import http from 'node:http';
const mode = process.env.MODE;
const log = (line) => console.error(JSON.stringify(line));
const server = http.createServer((request, response) => {
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => {
        if (request.url === '/error') log({ level: 'error', event: 'on purpose' });
        response.setHeader('content-type', 'application/json');
        response.end(JSON.stringify({
            method: request.method, token: request.headers.authorization, pid: process.pid,
            type: request.headers['content-type'], body: Buffer.concat(parts).toString(),
        }));
    });
});
if (mode === 'refuses') {
    console.error('JWT_SECRET: too short');
    process.exit(2);
}
server.listen(Number(process.env.PORT), '127.0.0.1');
process.on('SIGTERM', () => {
    if (mode === 'sanitizer') console.error('==1==ERROR: AddressSanitizer: heap-use-after-free');
    if (mode === 'undefined') console.error('a.c:1:2: runtime error: signed integer overflow');
    if (mode === 'broken') console.error('{"level":"info"');
    process.exit(mode === 'fails' ? 1 : 0);
});
`;

async function withStandIn(mode, use) {
    await withInstallation({ env: { MODE: mode } }, async (installation) => {
        const script = path.join(installation.dir, 'stand-in.mjs');
        await writeFile(script, standIn);
        installation.program = [process.execPath, script];
        await use(installation);
    });
}

test('a server that ends well is accepted', async () => {
    await withStandIn('well', async (installation) => {
        const server = await installation.start();
        const { status, body } = await server.api('POST', '/x', { token: 't', body: { a: 1 } });
        assert.equal(status, 200);
        assert.equal(body.token, 'Bearer t');
        assert.equal(body.type, 'application/json');
        assert.equal(body.body, '{"a":1}');
        const form = await server.api('POST', '/x', { form: { a: 'b c' } });
        assert.equal(form.body.body, 'a=b+c');
    });
});

for (const [mode, told] of Object.entries({ sanitizer: /heap-use-after-free/, undefined: /signed integer overflow/, broken: /errors in the log/, fails: /how the server ended/ })) {
    test(`a server that ends badly is not: ${mode}`, async () => {
        await assert.rejects(withStandIn(mode, (installation) => installation.start()), told);
    });
}

test('a server that does not start is told at once, with what it said', async () => {
    await assert.rejects(withStandIn('refuses', (installation) => installation.start()), /JWT_SECRET: too short/);
});

test('an error in the log fails the test that did not announce it', async () => {
    const provoke = async (installation) => {
        const server = await installation.start();
        await server.api('GET', '/error');
        return server;
    };
    await assert.rejects(withStandIn('well', provoke), /errors in the log/);
    await withStandIn('well', async (installation) => {
        (await provoke(installation)).expectError(/on purpose/);
    });
});

test('a killed server starts again on the same port, in the same directory', async () => {
    await withStandIn('well', async (installation) => {
        const server = await installation.start();
        const { port } = server;
        const before = await server.api('GET', '/');
        await server.kill();
        await server.restart();
        const after = await server.api('GET', '/');
        assert.equal(server.port, port);
        assert.notEqual(before.body.pid, after.body.pid);
    });
});

test('raw bytes go out piece by piece, and what comes back is returned', async () => {
    await withStandIn('well', async (installation) => {
        const server = await installation.start();
        const text = await server.raw(['GET / HT', 'TP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n']);
        assert.match(text, /^HTTP\/1\.1 200 OK\r\n/);
        const part = await server.raw('GET / HTTP/1.1\r\nHost: a\r\n\r\n', { until: (got) => got.includes('\r\n\r\n') });
        assert.match(part, /^HTTP\/1\.1 200/);
        await assert.rejects(server.raw('GET', { timeout: 100 }), /stayed open/);
    });
});

test('each installation on PostgreSQL has a database of its own', { skip: stores.length < 2 }, async () => {
    const a = await Installation.create({ store: stores[1] });
    const b = await Installation.create({ store: stores[1] });
    assert.notEqual(a.database.url, b.database.url);
    await psql(a.database.url, 'CREATE TABLE only_here (x INT)');
    await assert.rejects(psql(b.database.url, 'SELECT * FROM only_here'));
    await a.remove();
    await b.remove();
});

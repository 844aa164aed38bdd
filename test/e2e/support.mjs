/*
 * What the end-to-end tests share beyond the harness: the people of a story, a look into the store
 * from outside, and comparisons.
 */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { promisify } from 'node:util';

import { psql } from './harness.mjs';

/* No id of ours: its time is long past. */
export const nobody = '01890000-0000-7000-8000-000000000000';

/* Limits and pools for tests that run many servers on one PostgreSQL. */
export const small = { DATABASE_POOL_SIZE: '8', WORKER_THREADS: '8' };

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/* An operator, and of the tenant Acme an administrator and a member; a stranger administers Bolt. */
export async function people(installation) {
    const operator = await installation.addUser({ role: 'operator', tenant: 'Holdfast' });
    const admin = await installation.addUser({ role: 'admin' });
    const member = await installation.addUser({ role: 'member' });
    const stranger = await installation.addUser({ role: 'admin', tenant: 'Bolt' });
    return { operator, admin, member, stranger };
}

/* The same people, each signed in: tokens by name. */
export async function signIn(server, everyone) {
    const grants = {};
    for (const [name, user] of Object.entries(everyone)) grants[name] = await server.login(user.email);
    return grants;
}

/* SQL run by someone outside the product. Returns the rows, columns joined by "|". */
export async function sql(installation, statement) {
    const { url } = installation.database;
    if (!url.startsWith('sqlite:')) return psql(url, statement);
    const file = path.resolve(installation.dir, url.slice('sqlite:'.length));
    const { stdout } = await promisify(execFile)('sqlite3', ['-cmd', '.timeout 20000', '-batch', file, statement], { maxBuffer: 1 << 26 });
    return stdout.split('\n').filter((line) => line !== '');
}

/* An id as the installation's engine writes it in SQL. */
export function sqlId(installation, id) {
    const hex = id.replaceAll('-', '');
    return installation.database.url.startsWith('sqlite:') ? `X'${hex}'` : `'\\x${hex}'::bytea`;
}

/*
 * Fails unless the answer has this status and, where given, this problem code; a refusal has to be
 * a whole problem. Returns the body.
 */
export function expect(answer, status, code) {
    const { headers, body } = answer;
    const said = `${answer.status} ${JSON.stringify(body)}`;
    assert.equal(answer.status, status, said);
    if (code !== undefined) assert.equal(body?.code, code, said);
    if (status >= 400) {
        assert.equal(headers['content-type'], 'application/problem+json', said);
        assert.equal(body.status, status, said);
        assert.ok(body.requestId, said);
        assert.equal(body.requestId, headers['x-request-id'], said);
    }
    return body;
}

/* An answer without what differs from one request to the next. */
export function withoutRequest({ status, headers, body }) {
    const { 'x-request-id': id, date, ...rest } = headers;
    const { requestId, ...said } = body;
    assert.equal(requestId, id);
    return { status, headers: rest, body: said };
}

/* All items of a list, by pages of this size. */
export async function allItems(server, target, token, limit = 200) {
    const items = [];
    let cursor = null;
    do {
        const query = `${target.includes('?') ? '&' : '?'}limit=${limit}${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`;
        const page = expect(await server.api('GET', target + query, { token }), 200);
        assert.ok(page.items.length <= limit);
        items.push(...page.items);
        cursor = page.nextCursor;
    } while (cursor);
    return items;
}

/* A command whose input and life are in the test's hands. */
export function startCommand(installation, args, { command = installation.program, env = {} } = {}) {
    const child = spawn(command[0], [...command.slice(1), ...args], { cwd: installation.dir, env: { ...installation.env, ...env } });
    const run = { child, stdout: '', stderr: '' };
    child.stdin.on('error', () => {});
    child.stdout.setEncoding('utf8').on('data', (text) => (run.stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text) => (run.stderr += text));
    run.ended = once(child, 'close').then(([code, signal]) => ({ code, signal, stdout: run.stdout, stderr: run.stderr }));
    return run;
}

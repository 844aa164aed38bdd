/*
 * The database goes and comes back. PostgreSQL only, and a cluster of its own, because what is
 * stopped here would be stopped for others.
 */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { psql, stores, waitFor, withInstallation } from './harness.mjs';
import { expect, people, signIn, small } from './support.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');

/* A cluster for the length of use(): { url, ctl(verb) }. */
async function withCluster(use) {
    const child = spawn(path.join(root, 'script/with-postgres'), ['sh', '-c', 'echo "$HOLDFAST_TEST_POSTGRES $HOLDFAST_TEST_POSTGRES_CTL"; exec sleep 600'],
        { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = await once(createInterface({ input: child.stdout }), 'line');
    const [url, command] = line.split(' ');
    try {
        await use({ url, ctl: (verb) => promisify(execFile)(command, [verb]) });
    } finally {
        child.kill('SIGTERM');
        await once(child, 'close');
    }
}

/* The harness's store on that cluster. */
const storeOn = ({ url }) => ({
    name: 'postgresql',
    async create() {
        await psql(url, 'CREATE DATABASE outage');
        return { url: url.replace(/\/postgres$/, '/outage'), drop: async () => {} };
    },
});

/* Whoever has an answer's requestId finds the reason. */
const reasonIsLogged = (server, id) => 
    server.waitForLine('the reason in the log', (line) => line.event === 'a request failed' && line.id === id && line.fault === 'unavailable' && line.detail);

const skip = stores.length < 2 ? 'needs PostgreSQL' : false;

test('the database goes and comes back: 503, and nothing wrong in between', { skip }, async () => {
    await withCluster(async (cluster) => {
        await withInstallation({ store: storeOn(cluster), env: small }, async (installation) => {
            const everyone = await people(installation);
            const server = await installation.start({ expectErrors: [/"fault":"unavailable"/] });
            const grants = await signIn(server, everyone);
            const { admin, member } = grants;
            const ask = (method, target, more) => server.api(method, target, more);
            expect(await ask('GET', '/auth/me', { token: member.accessToken }), 200);

            for (const verb of ['stop', 'kill']) {
                const went = Date.now();
                await cluster.ctl(verb);
                const down = [
                    ['POST', '/auth/refresh', { body: { refreshToken: member.refreshToken } }],
                    ['POST', '/auth/login', { body: { email: everyone.member.email, password: everyone.member.password } }],
                    ['DELETE', `/v1/sessions/revoke-user/${everyone.member.id}`, { token: admin.accessToken }],
                    ['GET', '/v1/users', { token: admin.accessToken }],
                    ['GET', '/ready', {}],
                ];
                for (const [method, target, more] of down) {
                    const answer = await ask(method, target, more);
                    assert.equal(answer.status, 503, `${method} ${target} ${JSON.stringify(answer.body)}`);
                    if (answer.body.requestId) await reasonIsLogged(server, answer.body.requestId);
                }
                // Within the five seconds a token that was good may pass; after them none does.
                const stale = await waitFor('tokens to be refused', async () => {
                    const answer = await ask('GET', '/auth/me', { token: member.accessToken });
                    assert.ok([200, 503].includes(answer.status), JSON.stringify(answer.body));
                    return answer.status === 503 && answer;
                }, { timeout: 8000 });
                expect(stale, 503, 'unavailable');
                assert.ok(Date.now() - went < 8000);
                const health = await ask('GET', '/health');
                assert.equal(health.status, 503);
                assert.deepEqual(Object.keys(health.body), ['status', 'checks']);
                expect(await ask('GET', '/auth/me'), 401, 'unauthenticated');
                expect(await ask('GET', '/auth/me', { token: 'forged' }), 401, 'token_invalid');
                expect(await ask('GET', '/openapi.json'), 200);

                await cluster.ctl('start');
                const back = Date.now();
                await waitFor('health', async () => (await ask('GET', '/health')).status === 200, { timeout: 10_000 });
                expect(await ask('GET', '/ready'), 200);
                expect(await ask('GET', '/auth/me', { token: member.accessToken }), 200);
                assert.ok(Date.now() - back < 10_000);
                const refreshed = expect(await ask('POST', '/auth/refresh', { body: { refreshToken: member.refreshToken } }), 200);
                member.refreshToken = refreshed.refreshToken; // what was answered 503 had not happened
                assert.equal(refreshed.sessionId, member.sessionId);
            }
            const { code, stderr } = await installation.cli(['trail', 'verify']);
            assert.equal(code, 0, stderr);
            await server.stop();
        });
    });
});

test('what was ended while a node could not see it is ended when it sees again', { skip }, async () => {
    await withCluster(async (cluster) => {
        await withInstallation({ store: storeOn(cluster), env: small }, async (installation) => {
            const { member } = await people(installation);
            const server = await installation.start({ expectErrors: [/"fault":"unavailable"/] });
            const grant = await server.login(member.email);
            const other = await server.login(member.email);
            expect(await server.api('GET', '/auth/me', { token: grant.accessToken }), 200);

            // The network to this node is cut, and only to it: its user may not connect.
            const admin = cluster.url;
            await psql(admin, "CREATE ROLE elsewhere SUPERUSER LOGIN");
            const elsewhere = installation.database.url.replace('holdfast@', 'elsewhere@');
            await psql(elsewhere, 'ALTER DATABASE outage CONNECTION LIMIT 0');
            await psql(elsewhere, "ALTER ROLE holdfast NOSUPERUSER");
            await psql(elsewhere, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'holdfast' AND datname = 'outage'");
            await waitFor('the node to fail closed', async () => (await server.api('GET', '/auth/me', { token: grant.accessToken })).status === 503, { timeout: 8000 });

            const ended = await installation.cli(['revoke-sessions', '--users', member.id, '--reason', 'unseen', '--yes'], { env: { DATABASE_URL: elsewhere } });
            assert.equal(ended.code, 0, ended.stderr);
            await psql(elsewhere, 'ALTER DATABASE outage CONNECTION LIMIT -1');
            await waitFor('the node to see again', async () => (await server.api('GET', '/health')).status === 200, { timeout: 10_000 });
            for (const { accessToken } of [grant, other]) expect(await server.api('GET', '/auth/me', { token: accessToken }), 401, 'token_revoked');
        });
    });
});

test('a refresh whose commit hangs is given up in time to be repeated', { skip }, async () => {
    await withCluster(async (cluster) => {
        await withInstallation({ store: storeOn(cluster), env: { ...small, REFRESH_GRACE_SECONDS: '20' } }, async (installation) => {
            const { member } = await people(installation);
            const server = await installation.start({ expectErrors: [/"fault":"unavailable"/] });
            const grant = await server.login(member.email);
            const refresh = () => server.api('POST', '/auth/refresh', { body: { refreshToken: grant.refreshToken } });

            // The server keeps each commit until a standby has it, and there is none.
            const awaitStandby = async (names) => {
                await psql(cluster.url, `ALTER SYSTEM SET synchronous_standby_names = '${names}'`);
                await psql(cluster.url, 'SELECT pg_reload_conf()');
                await waitFor('the setting', async () => (await psql(cluster.url, 'SHOW synchronous_standby_names')).join() === names);
            };
            await awaitStandby('nobody');
            const began = Date.now();
            const lost = await refresh();
            expect(lost, 503, 'unavailable');
            assert.equal(lost.headers['retry-after'], '1');
            assert.ok(Date.now() - began < 6000, `${Date.now() - began} ms`);
            // Its row is held by the commit that hangs, so the repetition is not served, and harms nothing.
            expect(await refresh(), 503, 'unavailable');
            await awaitStandby('');
            const again = expect(await refresh(), 200);
            assert.equal(again.sessionId, grant.sessionId);
            expect(await server.api('POST', '/auth/refresh', { body: { refreshToken: again.refreshToken } }), 200);
            await server.stop();
        });
    });
});

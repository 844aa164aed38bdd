/* Introspection and revocation, for services that hold a client's secret. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { forEachStore, withInstallation } from './harness.mjs';
import { claimsOf, newSecret, noticesOf, refresh, statusOf } from './steps.mjs';
import { expect } from './support.mjs';

const id = 'gateway:é 1';
const secret = `p%+ &${newSecret(32)}`;
const env = { OAUTH_CLIENT_ID: id, OAUTH_CLIENT_SECRET: secret };

/* RFC 6749, section 2.3.1: both parts are form-encoded first. */
const basic = (user, pass) => {
    const encode = (text) => new URLSearchParams({ x: text }).toString().slice(2);
    return { authorization: `Basic ${Buffer.from(`${encode(user)}:${encode(pass)}`).toString('base64')}` };
};
const client = basic(id, secret);

async function withGrant(store, use) {
    await withInstallation({ store, env }, async (installation) => {
        const user = await installation.addUser({ role: 'admin' });
        const server = await installation.start();
        await use({ installation, server, user, grant: await server.login(user.email) });
    });
}

const introspect = (server, form, headers = client) => server.api('POST', '/oauth/introspect', { form, headers });
const revoke = (server, form, headers = client) => server.api('POST', '/oauth/revoke', { form, headers });

forEachStore((store) => {
    test('a service learns of a token what it needs to know', async () => {
        await withGrant(store, async ({ server, user, grant }) => {
            const claims = claimsOf(grant.accessToken);
            for (const [form, headers] of [
                [{ token: grant.accessToken }, client],
                [{ token: grant.accessToken, token_type_hint: 'access_token' }, client],
                [{ token: grant.accessToken, token_type_hint: 'refresh_token' }, client],
                [{ token: grant.accessToken, client_id: id, client_secret: secret }, {}],
            ]) {
                const { status, body } = await introspect(server, form, headers);
                assert.equal(status, 200);
                assert.deepEqual(body, {
                    active: true,
                    token_type: 'access_token',
                    sub: user.id,
                    sid: grant.sessionId,
                    tid: user.tenantId,
                    role: 'admin',
                    username: user.email,
                    iss: 'holdfast',
                    aud: 'holdfast',
                    iat: claims.iat,
                    exp: claims.exp,
                });
            }
            const { body } = await introspect(server, { token: grant.refreshToken });
            assert.equal(body.active, true);
            assert.equal(body.token_type, 'refresh_token');
            assert.equal(body.sid, grant.sessionId);
            assert.equal(body.username, user.email);
            assert.ok(body.exp > Date.now() / 1000 + 13 * 24 * 3600);
        });
    });

    test('of anything else it learns that it is not active, and no more', async () => {
        await withGrant(store, async ({ server, user, grant }) => {
            const ended = await server.login(user.email);
            await server.api('POST', '/auth/logout', { token: ended.accessToken });
            const used = await server.login(user.email);
            const next = await refresh(server, used.refreshToken);
            await refresh(server, next.body.refreshToken);
            for (const token of ['x', grant.accessToken.slice(0, -2), `${grant.refreshToken}x`, grant.refreshToken.replace(/.{5}$/, 'AAAAA'),
                ended.accessToken, ended.refreshToken, used.refreshToken, 'hfr_', '..']) {
                const { status, body } = await introspect(server, { token });
                assert.equal(status, 200, token);
                assert.deepEqual(body, { active: false }, token);
            }
            assert.equal((await introspect(server, { token: used.accessToken })).body.active, true, 'asking about a used token ends nothing');
        });
    });

    test('a service ends a token\'s session; an unknown token is answered like one that was ended', async () => {
        await withGrant(store, async ({ server, user, grant }) => {
            const byRefresh = await server.login(user.email);
            const other = await server.login(user.email);
            for (const [ended, token] of [[grant, grant.accessToken], [byRefresh, byRefresh.refreshToken]]) {
                for (let i = 0; i < 2; i++) {
                    const { status, body } = await revoke(server, { token });
                    assert.equal(status, 200);
                    assert.equal(body, null);
                }
                expect(await server.api('GET', '/auth/me', { token: ended.accessToken }), 401, 'token_revoked');
                expect(await refresh(server, ended.refreshToken), 401, 'token_revoked');
            }
            for (const token of ['x', 'hfr_x', other.refreshToken.replace(/.{5}$/, 'AAAAA')]) assert.equal((await revoke(server, { token })).status, 200);
            assert.equal(await statusOf(server, other.accessToken), 200);
            assert.equal((await noticesOf(server, other.accessToken)).filter((notice) => notice.kind === 'session_revoked').length, 2);
            const log = await server.api('GET', '/v1/audit-log?action=session.revoke', { token: other.accessToken });
            assert.deepEqual(log.body.items.map((record) => record.actor), [id, id]);
        });
    });

    test('without the client\'s secret nothing is said or done', async () => {
        await withGrant(store, async ({ server, grant }) => {
            const token = grant.accessToken;
            for (const call of [introspect, revoke]) {
                for (const [form, headers] of [
                    [{ token }, {}],
                    [{ token }, basic(id, `${secret}x`)],
                    [{ token }, basic(id, '')],
                    [{ token }, basic('other', secret)],
                    [{ token }, { authorization: 'Basic !!!' }],
                    [{ token }, { authorization: `Basic ${Buffer.from('no colon').toString('base64')}` }],
                    [{ token }, { authorization: `Bearer ${token}` }],
                    [{ token, client_id: id }, {}],
                    [{ token, client_id: id, client_secret: 'wrong' }, {}],
                    [{ token, client_id: '', client_secret: '' }, {}],
                    // A wrong Authorization is not mended by the form.
                    [{ token, client_id: id, client_secret: secret }, basic(id, 'wrong')],
                ]) {
                    const answer = await call(server, form, headers);
                    if (form.client_id === '') {
                        expect(answer, 400, 'invalid_field');
                        continue;
                    }
                    expect(answer, 401, 'invalid_client');
                    assert.match(answer.headers['www-authenticate'], /^Basic realm=/, 'it says which scheme to use');
                }
            }
            assert.equal(await statusOf(server, token), 200);
        });
    });

    test('the form is as strict as JSON bodies are', async () => {
        await withGrant(store, async ({ server, grant }) => {
            const { accessToken: token } = grant;
            const send = (body, type = 'application/x-www-form-urlencoded') =>
                server.api('POST', '/oauth/introspect', { body, headers: { ...client, 'content-type': type } });
            for (const [body, field] of [['', 'token'], ['token=', 'token'], [`token=${token}&token=${token}`, 'token'], [`token=${token}&tokne=x`, 'tokne'],
                [`token=${token}&token_type_hint=other`, 'token_type_hint']]) {
                const answer = await send(body);
                expect(answer, 400, 'invalid_field');
                assert.equal(answer.body.field, field, body.slice(0, 20));
            }
            assert.equal((await send(`token=%zz`)).status, 400);
            expect(await send(JSON.stringify({ token }), 'application/json'), 415, 'unsupported_media_type');
            assert.equal((await send(`token=${token}`, 'application/x-www-form-urlencoded; charset=utf-8')).status, 200);
        });
    });

    test('where no client is set up, nobody is one', async () => {
        await withInstallation({ store }, async (installation) => {
            const user = await installation.addUser();
            const server = await installation.start();
            const { accessToken: token } = await server.login(user.email);
            for (const headers of [{}, basic('', ''), basic('x', ''), basic('x', 'x')])
                expect(await introspect(server, { token }, headers), 401, 'invalid_client');
        });
    });
});

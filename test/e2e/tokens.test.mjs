/* Access tokens: who may verify them, what outlives a change of secret, and what is never taken. */
import assert from 'node:assert/strict';
import { createHash, createHmac, createPublicKey, generateKeyPairSync, randomUUID, sign, verify } from 'node:crypto';
import { test } from 'node:test';

import { forEachStore, waitFor, withInstallation } from './harness.mjs';
import { base64url, claimsOf, newSecret, refresh, statusOf } from './steps.mjs';
import { expect } from './support.mjs';

const headerOf = (token) => JSON.parse(Buffer.from(token.split('.')[0], 'base64url').toString());

async function withToken(store, env, use) {
    await withInstallation({ store, env }, async (installation) => {
        const user = await installation.addUser();
        const server = await installation.start();
        const grant = await server.login(user.email);
        await use({ installation, server, user, grant, token: grant.accessToken });
    });
}

/* Signs as the server does where the secret is known. */
function hs256(secret, header, payload) {
    const input = `${typeof header === 'string' ? header : base64url(header)}.${typeof payload === 'string' ? payload : base64url(payload)}`;
    return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
}

/* None of the tokens is taken, and before, between and after the valid one is. */
async function assertRefused(server, valid, tokens) {
    assert.equal(await statusOf(server, valid), 200, 'the control is taken');
    for (const [what, token] of Object.entries(tokens)) {
        assert.notEqual(token, valid, `${what}: is the control itself`);
        const answer = await server.api('GET', '/auth/me', { token });
        assert.equal(answer.status, 401, `${what}: ${JSON.stringify(answer.body)}`);
        const error = answer.body.code === 'unauthenticated' ? '' : ', error="invalid_token"';
        assert.equal(answer.headers['www-authenticate'], `Bearer realm="holdfast"${error}`, what);
        assert.ok(['token_invalid', 'token_expired', 'unauthenticated'].includes(answer.body.code), `${what}: ${answer.body.code}`);
    }
    assert.equal(await statusOf(server, valid), 200, 'the control is still taken');
}

/* What needs no key: everything about how a token is written. */
function misspelled(token) {
    const [header, payload, signature] = token.split('.');
    const claims = claimsOf(token);
    const known = headerOf(token);
    const headers = {
        none: { alg: 'none', typ: 'JWT' },
        None: { alg: 'None', typ: 'JWT' },
        NONE: { alg: 'NONE', typ: 'JWT', kid: known.kid },
        'no algorithm': { typ: 'JWT' },
        'null algorithm': { ...known, alg: null },
        'a list of algorithms': { ...known, alg: [known.alg] },
    };
    const tokens = {
        'no signature': `${header}.${payload}.`,
        'two segments': `${header}.${payload}`,
        'four segments': `${token}.${signature}`,
        'an empty segment more': `${token}.`,
        'no header': `.${payload}.${signature}`,
        'no payload': `${header}..${signature}`,
        dots: '..',
        'one dot': '.',
        'a word': 'token',
        padding: `${token}=`,
        'padding everywhere': [header, payload, signature].map((part) => `${part}==`).join('.'),
        'a cut signature': token.slice(0, -1),
        'a longer signature': `${token}A`,
        'another payload': `${header}.${base64url({ ...claims, role: 'operator' })}.${signature}`,
        'another user': `${header}.${base64url({ ...claims, sub: randomUUID() })}.${signature}`,
        'a later end': `${header}.${base64url({ ...claims, exp: claims.exp + 3600 })}.${signature}`,
        'the standard alphabet': `${header}.${payload}.${signature.replace(/[-_]/, '+')}+`,
        'segments exchanged': `${payload}.${header}.${signature}`,
        nested: `${header}.${base64url(token)}.${signature}`,
        'very long': `${header}.${'A'.repeat(8000)}.${signature}`,
        'an escape': token.replace(/.$/, '%41'),
        'five segments, as encrypted': `${header}.${payload}.${signature}.${payload}.${signature}`,
    };
    for (const [name, value] of Object.entries(headers)) {
        tokens[`header: ${name}`] = `${base64url(value)}.${payload}.${signature}`;
        tokens[`header: ${name}, unsigned`] = `${base64url(value)}.${payload}.`;
    }
    return tokens;
}

forEachStore((store) => {
    test('a token says who, where, since when, until when and by which means', async () => {
        await withToken(store, { JWT_ISSUER: 'https://login.example.com', JWT_AUDIENCE: 'the app', ACCESS_TOKEN_TTL_SECONDS: '60' }, async ({ user, grant, token }) => {
            const claims = claimsOf(token);
            assert.deepEqual(Object.keys(claims).sort(), ['amr', 'aud', 'exp', 'iat', 'iss', 'jti', 'role', 'sid', 'sub', 'tid']);
            assert.equal(claims.iss, 'https://login.example.com');
            assert.equal(claims.aud, 'the app');
            assert.equal(claims.exp - claims.iat, 60);
            assert.equal(claims.sub, user.id);
            assert.equal(grant.expiresIn, 60);
        });
    });

    test('a token ends by its time', async () => {
        await withToken(store, { ACCESS_TOKEN_TTL_SECONDS: '5' }, async ({ server, grant, token }) => {
            assert.equal(await statusOf(server, token), 200);
            await waitFor('the token expires', async () => (await statusOf(server, token)) === 401, { every: 200 });
            assert.ok(Date.now() / 1000 >= claimsOf(token).exp, 'not before its time');
            expect(await server.api('GET', '/auth/me', { token }), 401, 'token_expired');
            assert.equal((await refresh(server, grant.refreshToken)).status, 200);
        });
    });

    for (const [algorithm, type] of [['EdDSA', { kty: 'OKP', crv: 'Ed25519' }], ['ES256', { kty: 'EC', crv: 'P-256' }]]) {
        test(`under ${algorithm} anyone verifies tokens by the published keys, and nobody makes any`, async () => {
            await withToken(store, { JWT_ALGORITHM: algorithm }, async ({ server, token, grant }) => {
                const jwks = await server.api('GET', '/.well-known/jwks.json');
                assert.equal(jwks.status, 200);
                assert.match(jwks.headers['content-type'], /^application\/(jwk-set\+)?json/);
                const header = headerOf(token);
                assert.equal(header.alg, algorithm);
                const [jwk] = jwks.body.keys.filter((key) => key.kid === header.kid);
                assert.deepEqual({ kty: jwk.kty, crv: jwk.crv }, type);
                assert.equal(jwk.use, 'sig');
                assert.equal(jwk.alg, algorithm);
                assert.equal(jwk.d, undefined, 'the private part stays here');
                const key = createPublicKey({ key: jwk, format: 'jwk' });
                const [h, payload, signature] = token.split('.');
                const check = (text) => verify(algorithm === 'EdDSA' ? null : 'sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' }, Buffer.from(signature, 'base64url'));
                assert.ok(check(`${h}.${payload}`));
                assert.ok(!check(`${h}.${payload}x`));

                const pem = key.export({ type: 'spki', format: 'pem' });
                const own = algorithm === 'EdDSA' ? generateKeyPairSync('ed25519') : generateKeyPairSync('ec', { namedCurve: 'P-256' });
                const signed = (head) => {
                    const input = `${base64url(head)}.${payload}`;
                    return `${input}.${sign(algorithm === 'EdDSA' ? null : 'sha256', Buffer.from(input), { key: own.privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
                };
                await assertRefused(server, token, {
                    ...misspelled(token),
                    'the public key as a secret': hs256(pem, { ...header, alg: 'HS256' }, payload),
                    'the public key as a secret, our header': hs256(pem, h, payload),
                    'the raw public key as a secret': hs256(Buffer.from(jwk.x, 'base64url'), { ...header, alg: 'HS256' }, payload),
                    'the key set as a secret': hs256(JSON.stringify(jwks.body), { ...header, alg: 'HS256' }, payload),
                    'a signature of zeros': `${h}.${payload}.${Buffer.alloc(64).toString('base64url')}`,
                    'a key of one\'s own': signed(header),
                    'a key of one\'s own, brought along': signed({ ...header, jwk: own.publicKey.export({ format: 'jwk' }) }),
                    'a key of one\'s own, to be fetched': signed({ ...header, jku: 'http://127.0.0.1:1/jwks.json' }),
                });
                const next = await refresh(server, grant.refreshToken);
                assert.equal(await statusOf(server, next.body.accessToken), 200);
            });
        });
    }

    test('a shared secret is not published', async () => {
        await withToken(store, {}, async ({ server, token }) => {
            assert.equal(headerOf(token).alg, 'HS256');
            assert.deepEqual((await server.api('GET', '/.well-known/jwks.json')).body, { keys: [] });
        });
    });

    test('even the right secret signs nothing but what this server would have written', async () => {
        const secret = newSecret();
        await withToken(store, { JWT_SECRET: secret }, async ({ installation, server, token }) => {
            const [h, payload] = token.split('.');
            const header = headerOf(token);
            const claims = claimsOf(token);
            assert.equal(hs256(secret, h, payload), token, 'the test signs as the server does');
            const other = await server.login((await installation.addUser()).email);
            const text = Buffer.from(payload, 'base64url').toString();
            const seconds = Math.floor(Date.now() / 1000);
            const refused = {
                ...misspelled(token),
                'another key id': hs256(secret, { ...header, kid: 'other' }, payload),
                'a path as key id': hs256('', { ...header, kid: '../../../../dev/null' }, payload),
                'SQL as key id': hs256('x', { ...header, kid: "' UNION SELECT 'x' --" }, payload),
                'no key id': hs256(secret, { alg: 'HS256', typ: 'JWT' }, payload),
                'a URL of keys': hs256(secret, { ...header, jku: 'http://127.0.0.1:1/' }, payload),
                'a critical extension': hs256(secret, { ...header, crit: ['exp'] }, payload),
                'an unencoded payload': hs256(secret, { ...header, b64: false, crit: ['b64'] }, payload),
                'another type': hs256(secret, { ...header, typ: 'at+jwt' }, payload),
                'header members in another order': hs256(secret, { kid: header.kid, typ: 'JWT', alg: 'HS256' }, payload),
                'blanks in the header': hs256(secret, base64url(JSON.stringify(header, null, 1)), payload),
                'a header spelled otherwise': hs256(secret, base64url(JSON.stringify(header).replace('HS256', '\\u0048S256')), payload),
                'HS512 in the header': hs256(secret, { ...header, alg: 'HS512' }, payload),
                'signed by SHA-512': `${h}.${payload}.${createHmac('sha512', secret).update(`${h}.${payload}`).digest('base64url')}`,
                'signed by a plain hash': `${h}.${payload}.${createHash('sha256').update(`${secret}${h}.${payload}`).digest('base64url')}`,
                'the secret\'s bytes instead of its digits': hs256(Buffer.from(secret, 'hex'), h, payload),
                'an empty secret': hs256('', h, payload),
                'a guessed secret': hs256('secret', h, payload),
                'another issuer': hs256(secret, h, { ...claims, iss: 'someone else' }),
                'another audience': hs256(secret, h, { ...claims, aud: 'another app' }),
                'a list of audiences': hs256(secret, h, { ...claims, aud: ['holdfast', 'another'] }),
                expired: hs256(secret, h, { ...claims, iat: seconds - 20, exp: seconds - 10 }),
                'from the future': hs256(secret, h, { ...claims, iat: seconds + 3600, exp: seconds + 7200 }),
                'an end as text': hs256(secret, h, { ...claims, exp: String(claims.exp) }),
                'an end with a fraction': hs256(secret, h, base64url(text.replace(`"exp":${claims.exp}`, `"exp":${claims.exp}.5`))),
                'an end with an exponent': hs256(secret, h, base64url(text.replace(`"exp":${claims.exp}`, '"exp":9e99'))),
                'a negative beginning': hs256(secret, h, { ...claims, iat: -1 }),
                'an end beyond all numbers': hs256(secret, h, base64url(text.replace(`"exp":${claims.exp}`, `"exp":${'9'.repeat(30)}`))),
                'the end twice': hs256(secret, h, base64url(text.replace('"exp"', '"exp":9999999999,"exp"'))),
                'the user twice': hs256(secret, h, base64url(text.replace('"sub"', `"sub":"${randomUUID()}","sub"`))),
                'a role that there is not': hs256(secret, h, { ...claims, role: 'Admin' }),
                'a claim more': hs256(secret, h, { ...claims, admin: true }),
                'blanks between the claims': hs256(secret, h, base64url(JSON.stringify(claims, null, 1))),
                'a NUL at the end': hs256(secret, h, base64url(`${text}\0`)),
                'more after the end': hs256(secret, h, base64url(`${text}{}`)),
                'a list': hs256(secret, h, base64url('[]')),
                null: hs256(secret, h, base64url('null')),
                'not UTF-8': hs256(secret, h, Buffer.from(text.replace('member', 'memb\xff'), 'latin1').toString('base64url')),
                'a refresh token': other.refreshToken,
            };
            for (const name of Object.keys(claims)) {
                const { [name]: gone, ...rest } = claims;
                refused[`without ${name} ${gone}`] = hs256(secret, h, rest);
            }
            await assertRefused(server, token, refused);
            // Of a user that is no more, as after a restored database: well signed, and yet nobody.
            expect(await server.api('GET', '/auth/me', { token: hs256(secret, h, { ...claims, sub: randomUUID() }) }), 401, 'token_revoked');
        });
    });

    test('a token is taken from one Authorization header only, under any case of its scheme', async () => {
        await withToken(store, {}, async ({ server, token }) => {
            const withHeader = async (authorization, target = '/auth/me') => (await server.api('GET', target, { headers: { authorization } })).status;
            for (const scheme of ['Bearer', 'bearer', 'BEARER']) assert.equal(await withHeader(`${scheme} ${token}`), 200, scheme);
            for (const value of [token, `Token ${token}`, `Basic ${token}`, `Bearer${token}`, `Bearer: ${token}`, `Bearer ${token} ${token}`, `Bearer ${token},`, 'Bearer', 'Bearer null', `Bearer "${token}"`])
                assert.equal(await withHeader(value), 401, value.slice(0, 12));
            const twice = await server.raw(`GET /auth/me HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${token}\r\nAuthorization: Bearer ${token}\r\nConnection: close\r\n\r\n`);
            assert.match(twice, /^HTTP\/1\.1 40[01] /);
            assert.notEqual((await server.api('GET', `/auth/me?access_token=${token}`)).status, 200);
            assert.equal((await server.api('GET', '/auth/me', { headers: { cookie: `token=${token}; access_token=${token}` } })).status, 401);
        });
    });

    test('after a change of secret, tokens of the retired one go on until they end; of a dropped one, not', async () => {
        const [first, second, third] = [newSecret(), newSecret(), newSecret()];
        await withToken(store, { JWT_SECRET: first }, async ({ server, grant, user }) => {
            await server.restart({ env: { JWT_SECRET: second, JWT_RETIRED_SECRETS: first } });
            assert.equal(await statusOf(server, grant.accessToken), 200);
            const next = (await refresh(server, grant.refreshToken)).body;
            assert.notEqual(headerOf(next.accessToken).kid, headerOf(grant.accessToken).kid);
            assert.equal(next.sessionId, grant.sessionId);
            // A lost response over the change: the same generation again.
            assert.equal((await refresh(server, grant.refreshToken)).body.refreshToken, next.refreshToken);
            await server.restart({ env: { JWT_SECRET: third, JWT_RETIRED_SECRETS: `${second}, ${first}` } });
            for (const token of [grant.accessToken, next.accessToken]) assert.equal(await statusOf(server, token), 200);
            const last = (await refresh(server, next.refreshToken)).body;
            await server.restart({ env: { JWT_SECRET: third, JWT_RETIRED_SECRETS: '' } });
            for (const token of [grant.accessToken, next.accessToken]) assert.equal(await statusOf(server, token), 401);
            expect(await refresh(server, next.refreshToken), 401, 'token_invalid');
            assert.equal(await statusOf(server, last.accessToken), 200);
            assert.equal((await refresh(server, last.refreshToken)).status, 200, 'what the dropped secret signed ended nothing');
            await server.login(user.email);
        });
    });

    test('under EdDSA the retired key stays published, so that others go on verifying too', async () => {
        const [first, second] = [newSecret(), newSecret()];
        await withToken(store, { JWT_ALGORITHM: 'EdDSA', JWT_SECRET: first }, async ({ server, grant }) => {
            await server.restart({ env: { JWT_SECRET: second, JWT_RETIRED_SECRETS: first } });
            const { keys } = (await server.api('GET', '/.well-known/jwks.json')).body;
            assert.equal(keys.length, 2);
            assert.equal(keys[1].kid, headerOf(grant.accessToken).kid);
            assert.equal(await statusOf(server, grant.accessToken), 200);
        });
    });
});

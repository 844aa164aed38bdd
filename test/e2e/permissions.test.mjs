/*
 * Who may call what: every route of openapi.json by everyone. The routes come from the document, so
 * that a new one is here without anybody remembering it.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { forEachStore, withInstallation } from './harness.mjs';
import { expect, people, signIn, small } from './support.mjs';

const callers = ['anonymous', 'member', 'admin', 'operator', 'stranger'];

/* For each permission what each caller gets: past the guards, or a refusal by this code. */
const passes = 'passes';
const refusals = {
    anyone: {},
    user: { anonymous: [401, 'unauthenticated'] },
    admin: { anonymous: [401, 'unauthenticated'], member: [403, 'forbidden'] },
    sender: { anonymous: [401, 'unauthenticated'], member: [403, 'forbidden'] },
    operator: {
        anonymous: [401, 'unauthenticated'], member: [403, 'forbidden'], admin: [403, 'forbidden'], stranger: [403, 'forbidden'],
    },
    // A user's token is neither the metrics token nor a client's credentials; loopback needs none.
    metrics: Object.fromEntries(callers.slice(1).map((name) => [name, [401, 'unauthenticated']])),
    client: Object.fromEntries(callers.map((name) => [name, [401, 'invalid_client']])),
    // Whoever calls: what counts is the signature.
    webhook: Object.fromEntries(callers.map((name) => [name, [401, 'signature_invalid']])),
};

/* What a guard says when it refuses. Handlers have other codes, such as invalid_credentials. */
const guardCodes = new Set(['unauthenticated', 'token_invalid', 'token_expired', 'token_revoked', 'forbidden', 'invalid_client', 'signature_invalid',
    'second_factor_needed', 'password_change_required', 'revocation_disabled']);

/* A value that a schema accepts: required members only. */
function sample(document, schema) {
    if (schema.$ref) return sample(document, document.components.schemas[schema.$ref.split('/').pop()]);
    if (schema.enum) return schema.enum[0];
    switch ([schema.type].flat()[0]) {
        case 'object':
            return Object.fromEntries((schema.required ?? []).map((name) => [name, sample(document, schema.properties[name])]));
        case 'array':
            return [sample(document, schema.items)];
        case 'boolean':
            return false;
        case 'integer':
            return schema.minimum ?? 1;
        default:
            return schema.format === 'uuid' ? '01890000-0000-7000-8000-000000000000' : 'sample@example.com'.padEnd(schema.minLength ?? 0, 'x');
    }
}

function routesOf(document) {
    return Object.entries(document.paths).flatMap(([path, methods]) =>
        Object.entries(methods)
            .filter(([method]) => /^(get|post|put|patch|delete)$/.test(method))
            .map(([method, operation]) => {
                const [media, content] = Object.entries(operation.requestBody?.content ?? {})[0] ?? [];
                const body = content && sample(document, content.schema);
                return { method: method.toUpperCase(), path, permission: operation['x-permission'], media, body };
            }));
}

/* Somebody of Acme for each call, because calls may end and delete. */
async function makeVictim(installation, server, operator, tenantId, number) {
    const email = `victim${number}@example.com`;
    const secret = 'a password for the victim';
    const { id } = expect(await server.api('POST', '/v1/users', {
        token: operator.accessToken, body: { email, role: 'member', password: secret, tenantId },
    }), 201);
    const grant = await server.login(email, secret);
    return { id, familyId: grant.sessionId };
}

forEachStore((store) => {
    test('every route answers everyone as its permission says', async () => {
        const env = { ...small, OAUTH_CLIENT_ID: 'gateway', OAUTH_CLIENT_SECRET: 'x'.repeat(40) };
        await withInstallation({ store, env }, async (installation) => {
            const everyone = await people(installation);
            const server = await installation.start();
            const standing = await signIn(server, everyone);
            const document = expect(await server.api('GET', '/openapi.json'), 200);
            const routes = routesOf(document);
            assert.ok(routes.length >= 37, `${routes.length} routes`);
            let victims = 0;

            for (const route of routes) {
                const table = refusals[route.permission];
                assert.ok(table, `${route.method} ${route.path}: no permission that this test knows: ${route.permission}`);
                for (const caller of callers) {
                    const about = `${route.method} ${route.path} by ${caller}`;
                    let target = route.path;
                    if (target.includes('{')) {
                        const victim = route.method === 'GET' ? everyone.member
                            : await makeVictim(installation, server, standing.operator, everyone.member.tenantId, victims++);
                        target = target.replace('{familyId}', victim.familyId).replace(/\{(id|userId)\}/, victim.id);
                    }
                    // A call may end the session it came with, so that only reading shares one.
                    const grant = route.method === 'GET' || caller === 'anonymous' ? standing[caller] : await server.login(everyone[caller].email);
                    const content = route.media === 'application/json' ? { body: route.body }
                        : route.media?.startsWith('text/') ? { body: route.body, headers: { 'content-type': route.media } } : route.media ? { form: route.body } : {};
                    const answer = await server.api(route.method, target, { token: grant?.accessToken, ...content });
                    const said = `${about}: ${answer.status} ${JSON.stringify(answer.body)?.slice(0, 300)}`;

                    const refusal = table[caller] ?? passes;
                    assert.ok(answer.status < 500, said);
                    if (refusal !== passes) {
                        assert.deepEqual([answer.status, answer.body.code], refusal, said);
                        continue;
                    }
                    const isGuard = guardCodes.has(answer.body?.code);
                    // Making an operator or spending a wrong token is refused by what is asked, not who asks.
                    assert.ok(!isGuard || route.path === '/auth/refresh', said);
                    if (caller === 'stranger' && route.path.includes('{')) expect(answer, 404, 'not_found');
                    if (caller === 'stranger' && route.method === 'GET') {
                        // Their own log repeats the paths that they asked for and were refused.
                        const text = JSON.stringify(answer.body, (key, value) => (key === 'path' ? undefined : value));
                        for (const secret of [everyone.member.id, everyone.member.email, everyone.admin.id, everyone.admin.email, everyone.admin.tenantId])
                            assert.ok(!text.includes(secret), `${about} shows ${secret} of another tenant`);
                    }
                }
            }
        });
    });

    test('a path has the methods of the document and no other', async () => {
        await withInstallation({ store }, async (installation) => {
            const server = await installation.start();
            const document = expect(await server.api('GET', '/openapi.json'), 200);
            const templates = Object.entries(document.paths).map(([path, methods]) => ({
                path,
                pattern: new RegExp(`^${path.replaceAll('.', '\\.').replace(/\{\w+\}/g, '[^/]+')}$`),
                methods: Object.keys(methods).map((method) => method.toUpperCase()),
            }));
            for (const { path } of templates) {
                const target = path.replace(/\{\w+\}/g, '01890000-0000-7000-8000-000000000000');
                // A fixed path beside one with a parameter has the other's methods too.
                const has = templates.filter(({ pattern }) => pattern.test(target)).flatMap(({ methods }) => methods);
                for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']) {
                    if (has.includes(method)) continue;
                    const answer = await server.api(method, target);
                    expect(answer, 405, 'method_not_allowed');
                    for (const allowed of has) assert.match(answer.headers.allow, new RegExp(`\\b${allowed}\\b`), `${method} ${path}`);
                }
            }
            expect(await server.api('GET', '/v1/nothing'), 404, 'not_found');
        });
    });
});

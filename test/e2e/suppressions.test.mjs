/* Addresses that are not written to: within a tenant, for the whole installation, in and out as CSV. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { forEachStore, withInstallation } from './harness.mjs';
import { allItems, expect, people, signIn, small, sql, sqlId } from './support.mjs';

const base = '/v1/email-monitoring/suppressions';

async function withPeople(store, use, env = {}) {
    await withInstallation({ store, env: { ...small, ...env } }, async (installation) => {
        const everyone = await people(installation);
        const server = await installation.start();
        const grants = await signIn(server, everyone);
        const tokens = Object.fromEntries(Object.entries(grants).map(([name, grant]) => [name, grant.accessToken]));
        const call = (token, method, rest = '', body) => server.api(method, `${base}${rest}`, { token, body });
        const list = async (token, rest = '') => expect(await call(token, 'GET', rest), 200).items;
        const send = (token, text, rest = '') =>
            server.api('POST', `${base}/import${rest}`, { token, body: text, headers: { 'content-type': 'text/csv' } });
        const records = async (action, token = tokens.operator) =>
            expect(await server.api('GET', `/v1/audit-log?action=${action}`, { token }), 200).items;
        await use({ installation, server, ...everyone, tokens, call, list, send, records });
    });
}

const remove = (address) => `?address=${encodeURIComponent(address)}`;

forEachStore((store) => {
    test('an address is suppressed, found and lifted', async () => {
        await withPeople(store, async ({ admin, tokens, call, list, records }) => {
            const made = expect(await call(tokens.admin, 'POST', '', { address: 'Gone@Example.NET', note: 'asked on the phone' }), 201);
            assert.deepEqual({ ...made, createdAt: null }, {
                address: 'gone@example.net', reason: 'manual', scope: 'tenant', tenantId: admin.tenantId, source: 'api',
                note: 'asked on the phone', createdBy: admin.email, createdAt: null, expiresAt: null,
            });
            assert.deepEqual(await list(tokens.admin), [made]);
            assert.deepEqual(await list(tokens.stranger), [], 'another tenant does not see it');
            expect(await call(tokens.admin, 'POST', '', { address: 'gone@example.net' }), 409, 'conflict');
            const until = new Date(Date.now() + 3_600_000).toISOString();
            const short = expect(await call(tokens.admin, 'POST', '', { address: 'a/b@example.net', reason: 'complaint', expiresAt: until }), 201);
            assert.deepEqual([short.reason, short.expiresAt], ['complaint', until]);
            assert.deepEqual(await list(tokens.admin, '?reason=complaint'), [short]);
            assert.deepEqual(await list(tokens.admin, '?address=A%2Fb%40example.net'), [short]);
            // One that lasts longer takes its place; one that ends sooner does not.
            expect(await call(tokens.admin, 'POST', '', { address: 'a/b@example.net', reason: 'complaint', expiresAt: new Date(Date.now() + 60_000).toISOString() }), 409);
            expect(await call(tokens.admin, 'POST', '', { address: 'a/b@example.net', reason: 'complaint' }), 201);
            // Another reason has a place of its own.
            expect(await call(tokens.admin, 'POST', '', { address: 'a/b@example.net', reason: 'manual', expiresAt: until }), 201);
            assert.deepEqual((await list(tokens.admin, '?address=a%2Fb%40example.net')).map(({ reason, expiresAt }) => [reason, expiresAt]), [['complaint', null], ['manual', until]]);

            expect(await call(tokens.stranger, 'DELETE', remove('gone@example.net')), 404, 'not_found');
            expect(await call(tokens.admin, 'DELETE', remove('GONE@example.net')), 204);
            expect(await call(tokens.admin, 'DELETE', remove('gone@example.net')), 404, 'not_found');
            expect(await call(tokens.admin, 'DELETE', `${remove('a/b@example.net')}&reason=manual`), 204);
            expect(await call(tokens.admin, 'DELETE', `${remove('a/b@example.net')}&reason=manual`), 404, 'not_found');
            expect(await call(tokens.admin, 'DELETE', `${remove('a/b@example.net')}&reason=complaint`), 204);
            assert.deepEqual(await list(tokens.admin), []);

            const lifted = (await records('mail.unsuppress', tokens.admin)).reverse();
            assert.deepEqual(lifted.map(({ actorId, subject, detail }) => [actorId, subject, detail.reasons]),
                [[admin.id, 'gone@example.net', ['manual']], [admin.id, 'a/b@example.net', ['manual']], [admin.id, 'a/b@example.net', ['complaint']]]);
            const suppressed = (await records('mail.suppress', tokens.admin)).reverse();
            assert.deepEqual(suppressed.map(({ subject, detail }) => [subject, detail.reason, detail.expiresAt]),
                [['gone@example.net', 'manual', null], ['a/b@example.net', 'complaint', until], ['a/b@example.net', 'complaint', null], ['a/b@example.net', 'manual', until]]);
            assert.deepEqual(await records('mail.suppress', tokens.stranger), []);
        });
    });

    test('who unsubscribed or complained is not written to again in passing', async () => {
        await withPeople(store, async ({ server, admin, stranger, tokens, call, list, records }) => {
            const address = 'ada@example.net';
            const reasons = async (token) => (await list(token, remove(address))).map(({ reason }) => reason);
            const send = (purpose) => server.api('POST', '/v1/emails', { token: tokens.admin, body: { to: address, subject: 'Hello', text: 'Hello.\n', purpose } });
            for (const reason of ['manual', 'unsubscribe', 'complaint'])
                expect(await call(tokens.admin, 'POST', '', { address, reason }), 201);
            expect(await call(tokens.operator, 'POST', '', { address, reason: 'unsubscribe', tenantId: stranger.tenantId }), 201);
            for (const token of [tokens.admin, tokens.operator])
                assert.match(expect(await call(token, 'DELETE', remove(address)), 409, 'conflict').detail, /\(complaint, unsubscribe\)\. Nothing was removed: name the reason/);
            assert.deepEqual(await reasons(tokens.admin), ['complaint', 'manual', 'unsubscribe']);

            // What stops most is named, and stops what an account's safety depends on as well.
            const why = async () => expect(await server.api('GET', `/v1/email-monitoring/logs?recipient=${address}`, { token: tokens.admin }), 200).items[0].errorCode;
            expect(await send('security'), 409, 'suppressed');
            assert.equal(await why(), 'complaint');
            expect(await call(tokens.admin, 'DELETE', `${remove(address)}&reason=complaint`), 204);
            expect(await send('security'), 409, 'suppressed');
            assert.equal(await why(), 'manual');
            expect(await call(tokens.admin, 'DELETE', `${remove(address)}&reason=manual`), 204);
            expect(await send('product'), 409, 'suppressed');
            assert.equal(await why(), 'unsubscribe');
            expect(await send('security'), 202);

            // An operator names the tenant that is to write again.
            expect(await call(tokens.admin, 'DELETE', `${remove(address)}&reason=unsubscribe&tenantId=${stranger.tenantId}`), 404, 'not_found');
            expect(await call(tokens.operator, 'DELETE', `${remove(address)}&reason=unsubscribe&tenantId=${admin.tenantId}`), 204);
            assert.deepEqual([await reasons(tokens.admin), await reasons(tokens.stranger)], [[], ['unsubscribe']]);
            assert.deepEqual((await records('mail.unsuppress', tokens.admin))[0].detail, { reasons: ['unsubscribe'] });
            expect(await send('product'), 202);
        });
    });

    test('what is wrong is refused with its field', async () => {
        await withPeople(store, async ({ tokens, call, stranger, member }) => {
            for (const [body, field] of [
                [{ address: 'nobody' }, 'address'], [{}, 'address'], [{ address: 'a@example.net', reason: 'dislike' }, 'reason'],
                [{ address: 'a@example.net', expiresAt: '2020-01-01T00:00:00Z' }, 'expiresAt'],
                [{ address: 'a@example.net', note: 'x'.repeat(501) }, 'note'], [{ address: 'a@example.net', note: '\u00e9'.repeat(251) }, 'note'],
                [{ address: 'a@example.net', scope: 'world' }, 'scope'], [{ address: 'a@example.net', tenantId: 'x' }, 'tenantId'],
            ]) assert.equal(expect(await call(tokens.admin, 'POST', '', body), 400).field, field, JSON.stringify(body));
            expect(await call(tokens.admin, 'POST', '', { address: 'a@example.net', scope: 'installation' }), 403, 'forbidden');
            expect(await call(tokens.admin, 'POST', '', { address: 'a@example.net', tenantId: stranger.tenantId }), 404, 'not_found');
            expect(await call(tokens.operator, 'POST', '', { address: 'a@example.net', tenantId: member.id }), 404, 'not_found');
            assert.equal(expect(await call(tokens.operator, 'POST', '', { address: 'a@example.net', tenantId: stranger.tenantId, scope: 'installation' }), 400).field, 'tenantId');
            for (const query of ['?cursor=x', '?cursor=AAAAAAAAAAAAAAAAAAAAAA', `?cursor=${'A'.repeat(361)}`, '?address=x', '?reason=x', '?expired=perhaps', '?limit=0'])
                assert.equal(expect(await call(tokens.admin, 'GET', query), 400).field, /\?(\w+)/.exec(query)[1], query);
            assert.equal(expect(await call(tokens.admin, 'DELETE'), 400).field, 'address');
            assert.equal(expect(await call(tokens.admin, 'DELETE', `${remove('a@example.net')}&reason=x`), 400).field, 'reason');
            expect(await call(tokens.member, 'POST', '', { address: 'a@example.net' }), 403, 'forbidden');
        });
    });

    test('a tenant has so many of its own, and no more', async () => {
        await withPeople(store, async ({ admin, tokens, call, list, send }) => {
            expect(await send(tokens.admin, 'a@example.net\r\nb@example.net\r\n'), 200);
            assert.match(expect(await send(tokens.admin, 'c@example.net\r\nd@example.net\r\n'), 409, 'list_full').detail, /^A tenant has 3 .*EMAIL_SUPPRESSION_LIMIT/);
            assert.equal((await list(tokens.admin)).length, 2, 'nothing was taken');
            expect(await call(tokens.admin, 'POST', '', { address: 'c@example.net' }), 201);
            expect(await call(tokens.admin, 'POST', '', { address: 'd@example.net' }), 409, 'list_full');
            expect(await call(tokens.operator, 'POST', '', { address: 'd@example.net', tenantId: admin.tenantId }), 409, 'list_full');
            expect(await call(tokens.operator, 'POST', '', { address: 'd@example.net', scope: 'installation' }), 201);
            expect(await call(tokens.stranger, 'POST', '', { address: 'd@example.net' }), 201);
            expect(await call(tokens.admin, 'DELETE', remove('a@example.net')), 204);
            expect(await call(tokens.admin, 'POST', '', { address: 'd@example.net' }), 201);
        }, { EMAIL_SUPPRESSION_LIMIT: '3' });
    });

    test('an operator speaks for one tenant or for all', async () => {
        await withPeople(store, async ({ admin, member, tokens, call, list, records }) => {
            expect(await call(tokens.operator, 'POST', '', { address: 'one@example.net', tenantId: admin.tenantId }), 201);
            const everywhere = expect(await call(tokens.operator, 'POST', '', { address: 'all@example.net', scope: 'installation' }), 201);
            assert.deepEqual([everywhere.scope, everywhere.tenantId], ['installation', null]);
            expect(await call(tokens.operator, 'POST', '', { address: member.email, scope: 'installation', reason: 'complaint' }), 201);
            assert.equal((await list(tokens.operator)).length, 3);
            assert.deepEqual((await list(tokens.admin)).map(({ address }) => address).sort(), [member.email, 'one@example.net'].sort(),
                'of the installation\'s those that it writes to');
            assert.deepEqual(await list(tokens.stranger), []);
            assert.deepEqual((await records('mail.suppress', tokens.admin)).map(({ subject }) => subject), ['one@example.net']);
            expect(await call(tokens.admin, 'DELETE', remove('all@example.net')), 404);
            expect(await call(tokens.operator, 'DELETE', remove(member.email)), 409, 'conflict');
            expect(await call(tokens.operator, 'DELETE', `${remove(member.email)}&reason=complaint`), 204);
            expect(await call(tokens.operator, 'DELETE', remove('one@example.net')), 204);
            assert.deepEqual((await list(tokens.operator)).map(({ address }) => address), ['all@example.net']);
        });
    });

    test('a tenant neither lifts nor reads what an operator decided for all', async () => {
        await withPeople(store, async ({ installation, server, operator, admin, member, tokens, call, list, send, records }) => {
            const address = member.email, all = { address, scope: 'installation' };
            const mail = () => server.api('POST', '/v1/emails', { token: tokens.admin, body: { to: address, subject: 'Hello', text: 'Hello.\n' } });
            const lift = (token, reason) => call(token, 'DELETE', remove(address) + (reason ? `&reason=${reason}` : ''));
            const refused = async (reason, shown) => {
                assert.match(expect(await lift(tokens.admin, reason), 403, 'forbidden').detail, new RegExp(`\\(${shown}\\), which only an operator can lift\\. Nothing was removed`));
                expect(await mail(), 409, 'suppressed');
            };
            expect(await call(tokens.operator, 'POST', '', { ...all, note: 'court order 17' }), 201);
            expect(await call(tokens.operator, 'POST', '', { ...all, reason: 'complaint', note: 'told elsewhere' }), 201);
            expect(await send(tokens.operator, `address,reason\n${address},bounce\n${address},provider`, '?scope=installation'), 200);
            await refused('', 'bounce, complaint, manual, provider');
            for (const reason of ['bounce', 'complaint', 'manual', 'provider']) await refused(reason, reason);
            assert.deepEqual(await records('mail.unsuppress'), []);

            // What it is for, and since when, is shown; neither what was noted nor by whom.
            const csv = async (token) => (await server.api('GET', base, { token, headers: { accept: 'text/csv' } })).body;
            const person = async (token) => expect(await server.api('GET', `/v1/users/${member.id}/mail`, { token }), 200).suppressions;
            for (const entries of [await list(tokens.admin), await list(tokens.admin, remove(address)), await person(tokens.admin)]) {
                assert.deepEqual(entries.map(({ reason, scope, source, note, createdBy }) => [reason, scope, source, note, createdBy]), [
                    ['bounce', 'installation', 'import', null, null], ['complaint', 'installation', 'api', null, null],
                    ['manual', 'installation', 'api', null, null], ['provider', 'installation', 'import', null, null],
                ]);
                for (const { createdAt } of entries) assert.ok(createdAt);
            }
            for (const hidden of ['court order', 'elsewhere', operator.email]) assert.ok(!(await csv(tokens.admin)).includes(hidden), hidden);
            assert.equal((await csv(tokens.admin)).split('\r\n').length, 6);
            assert.match(await csv(tokens.operator), new RegExp(`"court order 17",.*,"${operator.email}"`));
            for (const entries of [await list(tokens.operator), await person(tokens.operator)])
                assert.equal(entries.find(({ reason }) => reason === 'manual').note, 'court order 17');

            // What is its own it lifts from beside them, and what bounced by itself.
            expect(await call(tokens.admin, 'POST', '', { address, note: 'own' }), 201);
            assert.deepEqual((await list(tokens.admin, '?reason=manual')).map(({ note, createdBy }) => [note, createdBy]).sort(), [[null, null], ['own', admin.email]].sort());
            await refused('', 'bounce, complaint, manual, provider');
            expect(await lift(tokens.admin, 'manual'), 204);
            await refused('manual', 'manual');
            for (const reason of ['bounce', 'complaint', 'manual', 'provider']) expect(await lift(tokens.operator, reason), 204);
            await sql(installation, `INSERT INTO suppressions (tenant_id, address, reason, source, note, created_at, created_by)
                VALUES (${sqlId(installation, '00000000-0000-0000-0000-000000000000')}, '${address}', 'bounce', 'event', '5.1.1', 1, 'system')`);
            expect(await mail(), 409, 'suppressed');
            expect(await lift(tokens.admin), 204);
            expect(await mail(), 202);
        });
    });

    test('pages follow each other without a gap', async () => {
        await withPeople(store, async ({ server, tokens, send, call }) => {
            const addresses = Array.from({ length: 23 }, (_, i) => `u${String(i).padStart(2, '0')}@example.net`);
            expect(await send(tokens.admin, addresses.join('\n')), 200);
            expect(await send(tokens.stranger, addresses.slice(0, 11).join('\n')), 200);
            expect(await call(tokens.operator, 'POST', '', { address: 'u05@example.net', scope: 'installation' }), 201);
            for (const reason of ['bounce', 'unsubscribe', 'provider', 'complaint'])
                expect(await call(tokens.admin, 'POST', '', { address: addresses[5], reason }), 201);
            for (const limit of [1, 2, 3, 5])
                assert.deepEqual((await allItems(server, base, tokens.admin, limit)).map(({ address }) => address), addresses.flatMap((a, i) => (i === 5 ? Array(5).fill(a) : [a])));
            assert.deepEqual((await allItems(server, `${base}${remove(addresses[5])}`, tokens.admin, 2)).map(({ reason }) => reason), ['bounce', 'complaint', 'manual', 'provider', 'unsubscribe']);
            assert.deepEqual((await allItems(server, `${base}?reason=manual`, tokens.admin, 4)).map(({ address }) => address), addresses);
            const all = await allItems(server, base, tokens.operator, 4);
            assert.equal(all.length, 23 + 4 + 11 + 1);
            assert.equal(new Set(all.map(({ address, tenantId, reason }) => `${address} ${tenantId} ${reason}`)).size, all.length);
        });
    });

    test('a list comes in whole or not at all, and goes out again', async () => {
        await withPeople(store, async ({ server, admin, tokens, call, list, send, records }) => {
            const bad = expect(await send(tokens.admin, 'address,reason\na@example.net,manual\nnobody,\nb@example.net,dislike\n"c'), 400);
            assert.equal(bad.field, 'body');
            assert.equal(bad.detail, 'line 3: not an address; line 4: not a reason; line 5: a quote is out of place. Nothing was taken.');
            assert.deepEqual(await list(tokens.admin), []);
            const many = expect(await send(tokens.admin, Array.from({ length: 30 }, () => 'x').join('\n')), 400);
            assert.match(many.detail, /; line 20: not an address; and 10 more\. Nothing was taken\.$/);

            const until = new Date(Date.now() + 86_400_000).toISOString();
            const text = `\ufeffreason,address,expires_at,note\r\nbounce,A@example.net,,"said ""no"", twice"\r\n,b@example.net,${until},=1+1\r\nbounce,a@example.net,${until},\r\n`;
            assert.deepEqual(expect(await send(tokens.admin, text), 200), { lines: 3, added: 2, existing: 0, duplicates: 1 });
            assert.deepEqual(expect(await send(tokens.admin, text), 200), { lines: 3, added: 0, existing: 2, duplicates: 1 });
            assert.deepEqual((await list(tokens.admin)).map(({ address, reason, note, source, createdBy, expiresAt }) => [address, reason, note, source, createdBy, expiresAt]),
                [['a@example.net', 'bounce', 'said "no", twice', 'import', admin.email, null], ['b@example.net', 'manual', '=1+1', 'import', admin.email, until]]);
            assert.deepEqual(expect(await send(tokens.admin, ''), 200), { lines: 0, added: 0, existing: 0, duplicates: 0 });
            assert.deepEqual((await records('mail.import', tokens.admin)).map(({ detail }) => detail.added), [0, 0, 2]);

            const out = await server.api('GET', base, { token: tokens.admin, headers: { accept: 'text/csv' } });
            assert.equal(out.status, 200);
            assert.match(out.headers['content-disposition'], /filename="suppressions\.csv"/);
            const lines = out.body.split('\r\n');
            assert.match(lines[1], /^"a@example\.net","bounce","","said ""no"", twice",/);
            assert.match(lines[2], new RegExp(`^"b@example\\.net","manual","${until}","'=1\\+1",`));
            assert.deepEqual(expect(await send(tokens.stranger, out.body), 200), { lines: 2, added: 2, existing: 0, duplicates: 0 });
            assert.deepEqual((await list(tokens.stranger)).map(({ address, note }) => [address, note]), [['a@example.net', 'said "no", twice'], ['b@example.net', '=1+1']]);
            assert.equal((await records('mail.export')).length, 1);

            // All reasons of an address go out, and come back.
            for (const reason of ['complaint', 'unsubscribe']) expect(await call(tokens.admin, 'POST', '', { address: 'b@example.net', reason }), 201);
            const again = await server.api('GET', base, { token: tokens.admin, headers: { accept: 'text/csv' } });
            assert.deepEqual(expect(await send(tokens.stranger, again.body), 200), { lines: 4, added: 2, existing: 2, duplicates: 0 });
            const entries = async (token) => (await list(token)).map(({ address, reason, note, expiresAt }) => [address, reason, note, expiresAt]);
            assert.deepEqual(await entries(tokens.stranger), await entries(tokens.admin));

            expect(await server.api('POST', `${base}/import`, { token: tokens.admin, body: '{}' }), 415, 'unsupported_media_type');
            expect(await send(tokens.admin, 'a@example.net', '?scope=installation'), 403, 'forbidden');
            expect(await send(tokens.admin, 'a@example.net', `?tenantId=${admin.id}`), 404, 'not_found');
            expect(await send(tokens.member, 'a@example.net'), 403, 'forbidden');
            assert.deepEqual(expect(await send(tokens.operator, 'z@example.net', '?scope=installation'), 200).added, 1);
        });
    });

    test('a list of a hundred thousand is taken, one more is too many, and so are 32 MiB', async () => {
        await withPeople(store, async ({ tokens, send, list, server }) => {
            const address = (i) => `user${i}@example.net\n`;
            const most = Array.from({ length: 100_000 }, (_, i) => address(i)).join('');
            const over = expect(await send(tokens.admin, most + address(100_000)), 400);
            assert.equal(over.detail, 'line 100001: too many lines. Nothing was taken.');
            assert.equal(expect(await send(tokens.admin, most), 200).added, 100_000);
            assert.equal((await list(tokens.admin, '?address=user99999%40example.net')).length, 1);
            const out = await server.api('GET', base, { token: tokens.admin, headers: { accept: 'text/csv' } });
            assert.equal(out.body.split('\r\n').length, 100_002);
            const head = `POST ${base}/import HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${tokens.admin}\r\nContent-Type: text/csv\r\nConnection: close\r\n`;
            const limit = 32 * 1024 * 1024;
            assert.match(await server.raw([`${head}Content-Length: ${limit + 1}\r\n\r\n`]), /^HTTP\/1\.1 413 /);
            const chunk = `${limit.toString(16)}\r\n${'x'.repeat(limit)}\r\n`;
            assert.match(await server.raw([`${head}Transfer-Encoding: chunked\r\n\r\n`, chunk, '1\r\nx\r\n0\r\n\r\n'], { timeout: 30_000 }), /^HTTP\/1\.1 413 /);
        });
    });
});

/* Whether mail is well, its figures and its log: for administrators of a tenant, and for operators. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { forEachStore, waitFor, withInstallation } from './harness.mjs';
import { HOUR, knowDeliveries, many, seedEvents, seedMail } from './mail.mjs';
import { allItems, expect, nobody, people, signIn, small, sql } from './support.mjs';

async function withMail(store, use, env = {}) {
    await withInstallation({ store, env: { ...small, ...env } }, async (installation) => {
        const everyone = await people(installation);
        const server = await installation.start();
        const grants = await signIn(server, everyone);
        const tokens = Object.fromEntries(Object.entries(grants).map(([name, grant]) => [name, grant.accessToken]));
        const read = async (what, token = tokens.admin) => expect(await server.api('GET', `/v1/email-monitoring/${what}`, { token }), 200);
        await use({ installation, server, ...everyone, tokens, read, seed: (messages) => seedMail(installation, messages) });
    });
}

const recordsOf = async (server, token, action) =>
    expect(await server.api('GET', `/v1/audit-log?action=${action}`, { token }), 200).items;

forEachStore((store) => {
    test('health tells what is so, and null where nothing is known', async () => {
        await withMail(store, async ({ installation, admin, stranger, tokens, read, seed }) => {
            const nothing = await read('health');
            assert.deepEqual(Object.keys(nothing), ['status', 'window', 'sent', 'rates', 'thresholds', 'recommendations', 'domain', 'checkedAt']);
            assert.equal(nothing.status, 'insufficient_data');
            assert.deepEqual(nothing.rates, { bounce: null, complaint: null, delivery: null });
            assert.deepEqual(nothing.thresholds, {
                bounce: 0.05, bounceCritical: 0.1, complaint: 0.001, complaintCritical: 0.005,
                delivery: 0.95, deliveryCritical: 0.9, messages: 100,
            });
            assert.equal(nothing.domain, null, 'of localhost no DNS tells');
            assert.equal(nothing.recommendations.length, 1);

            await seed(many(99, { tenantId: admin.tenantId, state: 'delivered' }));
            assert.equal((await read('health')).status, 'insufficient_data', '99 are too few');
            await seed(many(1, { tenantId: admin.tenantId, state: 'delivered' }));
            const healthy = await read('health');
            assert.equal(healthy.status, 'healthy');
            assert.equal(healthy.sent, 100);
            assert.deepEqual(healthy.rates, { bounce: 0, complaint: 0, delivery: null }, 'no delivery was ever told of');
            await knowDeliveries(installation);
            assert.equal((await read('health')).rates.delivery, 1);
            assert.equal((await read('health', tokens.stranger)).sent, 0, 'another tenant has sent nothing');

            await seed(many(100, { tenantId: stranger.tenantId, state: 'sent' }));
            assert.equal((await read('health')).sent, 100);
            assert.equal((await read('health', tokens.stranger)).status, 'critical', 'nothing of theirs was delivered');
            const all = await read('health', tokens.operator);
            assert.equal(all.sent, 200);
            assert.equal(all.rates.delivery, 0.5);
        });
    });

    test('a rate at its bound is not healthy, and what is behind it is named', async () => {
        await withMail(store, async ({ admin, read, seed }) => {
            await seed([
                ...many(951, { tenantId: admin.tenantId, template: 'digest' }),
                ...many(49, { tenantId: admin.tenantId, state: 'bounced', code: '5.1.1', to: 'gone@bad.example', template: 'reset' }),
            ]);
            assert.equal((await read('health')).status, 'healthy', '4.9 %');
            await seed(many(1, { tenantId: admin.tenantId, state: 'bounced', code: '5.1.1', to: 'gone@bad.example', template: 'reset' }));
            await seed(many(2, { tenantId: admin.tenantId, state: 'bounced', counted: false, to: 'full@bad.example' }));
            assert.equal((await read('health')).status, 'healthy', '50 of 1003');
            await seed([...many(45, { tenantId: admin.tenantId }), ...many(2, { tenantId: admin.tenantId, state: 'bounced', to: 'gone@bad.example' })]);
            assert.equal((await read('health')).sent, 1050);
            await seed(many(1, { tenantId: admin.tenantId, state: 'bounced', code: '5.1.1', to: 'gone@bad.example', template: 'reset' }));
            await seed(many(9, { tenantId: admin.tenantId }));
            const exact = await read('health');
            assert.deepEqual([exact.sent, exact.rates.bounce, exact.status], [1060, 0.05, 'warning'], 'exactly 5 %');
            const [said] = exact.recommendations;
            assert.match(said, /^The bounce rate is 5 % \(53 of 1060\); healthy is below 5 %\./);
            assert.match(said, /Domains: bad\.example \(53 of 55\)\./);
            assert.match(said, /Templates: reset \(51 of 51\), welcome \(2 of 58\)\./);
            assert.match(said, /Errors: 5\.1\.1 \(51\)\./);

            await seed(many(1, { tenantId: admin.tenantId, state: 'complained' }));
            assert.ok(Math.abs((await read('health')).rates.complaint - 1 / 1061) < 1e-12);
            await seed(many(60, { tenantId: admin.tenantId, state: 'bounced' }));
            assert.equal((await read('health')).status, 'critical', 'over 10 %');
        });
    });

    test('a window takes in its beginning and leaves out its end', async () => {
        await withMail(store, async ({ admin, read, seed, server, tokens }) => {
            const hour = Date.now() - (Date.now() % HOUR) - 3 * HOUR;
            await seed([hour - 1, hour, hour + HOUR - 1, hour + HOUR].map((at) => ({ tenantId: admin.tenantId, to: 'a@example.net', at })));
            const between = `since=${new Date(hour).toISOString()}&until=${new Date(hour + HOUR).toISOString()}`;
            const health = await read(`health?${between}`);
            assert.equal(health.sent, 2);
            assert.deepEqual(health.window, { since: new Date(hour).toISOString(), until: new Date(hour + HOUR).toISOString() });
            assert.equal((await read(`metrics?${between}`)).totals.accepted, 2);
            assert.equal((await read(`logs?${between}`)).items.length, 2);
            assert.equal((await read('metrics?window=90d')).totals.accepted, 4);
            assert.equal((await read(`metrics?window=1h&since=${new Date(hour).toISOString()}`)).totals.accepted, 2);

            for (const [query, field] of [
                ['health?window=soon', 'window'], ['health?window=0h', 'window'], ['health?window=800d', 'window'],
                ['health?since=yesterday', 'since'], [`health?since=${new Date(hour).toISOString()}&until=${new Date(hour).toISOString()}`, 'until'],
                [`health?window=1h&${between}`, 'window'], ['health?since=2999-01-01T00:00:00Z', 'since'], ['health?bucket=1h', 'bucket'],
                ['metrics?bucket=7m', 'bucket'], ['metrics?window=60d&bucket=1h', 'bucket'], ['metrics?window=60d&bucket=5m', 'bucket'],
                ['metrics?groupBy=recipient', 'groupBy'], ['logs?status=lost', 'status'], ['logs?recipient=nobody', 'recipient'],
                ['logs?since=1960-01-01T00:00:00Z', 'since'], ['logs?limit=201', 'limit'], ['logs?cursor=x', 'cursor'],
            ]) {
                const said = expect(await server.api('GET', `/v1/email-monitoring/${query}`, { token: tokens.admin }), 400);
                assert.equal(said.field, field, `${query}: ${JSON.stringify(said)}`);
            }
        });
    });

    test('figures are by time, domain and template, and of one\'s own tenant', async () => {
        await withMail(store, async ({ admin, stranger, tokens, read, seed }) => {
            const hour = Date.now() - (Date.now() % HOUR) - 5 * HOUR;
            const own = { tenantId: admin.tenantId };
            await seed([
                { ...own, to: 'a@one.example', at: hour, state: 'delivered' },
                { ...own, to: 'b@one.example', at: hour + 1, state: 'bounced', code: '5.1.1' },
                { ...own, to: 'h@one.example', at: hour + 1, state: 'delivered' },
                { ...own, to: 'c@two.example', at: hour + 2 * HOUR, state: 'complained', template: 'digest' },
                { ...own, to: 'd@two.example', at: hour + 2 * HOUR, state: 'suppressed', code: 'bounce' },
                { ...own, to: 'e@two.example', at: hour + 2 * HOUR, state: 'queued' },
                { ...own, to: 'f@two.example', at: hour + 2 * HOUR, state: 'rejected', code: '554' },
                { tenantId: stranger.tenantId, to: 'g@secret.example', at: hour, state: 'delivered', template: 'secret' },
            ]);
            const figures = await read(`metrics?since=${new Date(hour).toISOString()}&until=${new Date(hour + 4 * HOUR).toISOString()}&bucket=1h&groupBy=domain`);
            assert.deepEqual(figures.totals, { accepted: 7, sent: 4, delivered: 3, delayed: 0, bounced: 1, complained: 1, rejected: 1, suppressed: 1, queued: 1 });
            assert.deepEqual(figures.rates, { bounce: 0.25, complaint: 0.25, delivery: null });
            assert.deepEqual(figures.series.map(({ at, accepted, sent }) => [Date.parse(at) - hour, accepted, sent]),
                [[0, 3, 3], [HOUR, 0, 0], [2 * HOUR, 4, 1], [3 * HOUR, 0, 0]]);
            assert.deepEqual(figures.series[1].rates, { bounce: null, complaint: null, delivery: null });
            assert.deepEqual(figures.groups.map(({ name, accepted }) => [name, accepted]), [['one.example', 3], ['two.example', 4]]);
            assert.deepEqual(figures.errors, [{ code: '554', count: 1 }, { code: '5.1.1', count: 1 }, { code: 'bounce', count: 1 }].sort((a, b) => (a.code < b.code ? -1 : 1)));
            assert.deepEqual([figures.bucketSeconds, figures.groupBy], [3600, 'domain']);
            assert.ok(!JSON.stringify(figures).includes('secret'));
            const byTemplate = await read('metrics?groupBy=template');
            assert.deepEqual(byTemplate.groups.map(({ name, accepted }) => [name, accepted]), [['welcome', 6], ['digest', 1]]);
            const fine = await read(`metrics?since=${new Date(hour).toISOString()}&until=${new Date(hour + 2 * HOUR).toISOString()}`);
            assert.equal(fine.bucketSeconds, 300);
            assert.equal(fine.series.length, 24);
            assert.deepEqual((await read('metrics', tokens.operator)).groups.map(({ name }) => name), ['one.example', 'secret.example', 'two.example']);
        });
    });

    test('the log is filtered, paged, and shows nobody another tenant\'s rows', async () => {
        await withMail(store, async ({ installation, server, admin, member, stranger, tokens, read, seed }) => {
            const start = Date.now() - HOUR;
            const own = await seed(Array.from({ length: 45 }, (_, i) => ({
                tenantId: admin.tenantId, to: `u${i % 5}@example.net`, at: start + i * 10,
                state: ['sent', 'delivered', 'bounced'][i % 3], code: i % 3 === 2 ? '5.1.1' : '', userId: i === 0 ? member.id : null,
            })));
            const foreign = await seed(Array.from({ length: 45 }, (_, i) => ({
                tenantId: stranger.tenantId, to: `u${i % 5}@example.net`, at: start + i * 10 + 5, state: 'bounced', subject: 'theirs',
            })));
            const ids = own.map(({ id }) => id).reverse();
            assert.deepEqual((await allItems(server, '/v1/email-monitoring/logs', tokens.admin, 7)).map(({ id }) => id), ids, 'newest first, none twice');
            assert.deepEqual((await read('logs?limit=200', tokens.operator)).items.length, 90);
            const bounced = await allItems(server, '/v1/email-monitoring/logs?status=bounced', tokens.admin, 4);
            assert.equal(bounced.length, 15);
            assert.ok(bounced.every(({ status, counted, errorCode }) => status === 'bounced' && counted && errorCode === '5.1.1'));
            const of = await allItems(server, '/v1/email-monitoring/logs?recipient=U1%40Example.net', tokens.admin, 2);
            assert.deepEqual(of.map(({ id }) => id), own.filter(({ to }) => to === 'u1@example.net').map(({ id }) => id).reverse());
            assert.equal((await read('logs?recipient=u1%40example.net&status=delayed')).items.length, 0);

            // A cursor made of another tenant's row is a place in time, and opens nothing.
            const after = await read(`logs?cursor=${foreign[20].id}&limit=200`);
            assert.deepEqual(after.items.map(({ id }) => id), own.slice(0, 21).map(({ id }) => id).reverse());
            const since = await read(`logs?since=${new Date(own[10].at).toISOString()}&until=${new Date(own[12].at).toISOString()}`);
            assert.deepEqual(since.items.map(({ id }) => id), [own[11].id, own[10].id]);

            await seedEvents(installation, [
                { log: own[2], kind: 'send', at: start }, { log: own[2], kind: 'bounce', subtype: 'Permanent/General', code: '5.1.1', detail: '550 no', at: start + 50 },
                { log: foreign[2], kind: 'bounce', detail: 'theirs' },
            ]);
            const one = await read(`logs/${own[2].id}`);
            assert.deepEqual(one.events.map(({ kind, subtype, code, detail }) => [kind, subtype, code, detail]),
                [['send', null, null, null], ['bounce', 'Permanent/General', '5.1.1', '550 no']]);
            assert.equal((await read(`logs/${own[0].id}`)).userId, member.id);
            assert.deepEqual(Object.keys(one).filter((key) => key !== 'events'), Object.keys(bounced[0]));
            for (const id of [foreign[2].id, nobody, 'x'])
                expect(await server.api('GET', `/v1/email-monitoring/logs/${id}`, { token: tokens.admin }), 404, 'not_found');
            assert.equal((await read(`logs/${foreign[2].id}`, tokens.operator)).events.length, 1);
        });
    });

    test('the log comes as a table that is no formula, all of it', async () => {
        await withMail(store, async ({ server, admin, stranger, tokens, seed }) => {
            await seed(many(1203, { tenantId: admin.tenantId, subject: '=HYPERLINK("x")' }));
            await seed(many(5, { tenantId: admin.tenantId, state: 'bounced', detail: '@SUM, "quoted"\nand on' }));
            await seed(many(7, { tenantId: stranger.tenantId, subject: 'theirs' }));
            const answer = await server.api('GET', '/v1/email-monitoring/logs', { token: tokens.admin, headers: { accept: 'text/csv' } });
            assert.equal(answer.status, 200);
            assert.match(answer.headers['content-type'], /^text\/csv; charset=utf-8/);
            assert.match(answer.headers['content-disposition'], /filename="email-log\.csv"/);
            const lines = answer.body.trimEnd().split('\r\n');
            assert.equal(lines.length, 1 + 1208);
            assert.match(lines[0], /^id,message_id,tenant_id,/);
            assert.equal(new Set(lines).size, lines.length);
            assert.equal(answer.body.match(/"'=HYPERLINK\(""x""\)"/g).length, 1203);
            assert.equal(answer.body.match(/"'@SUM, ""quoted""\nand on"/g).length, 5);
            assert.ok(!answer.body.includes('theirs'));
            const bounced = await server.api('GET', '/v1/email-monitoring/logs?status=bounced', { token: tokens.admin, headers: { accept: 'text/csv' } });
            assert.equal(bounced.body.trimEnd().split('\r\n').length, 6);
            assert.equal((await recordsOf(server, tokens.admin, 'mail.export')).length, 2);
        });
    });

    test('a change of health is on record once, whoever sees it', async () => {
        await withMail(store, async ({ installation, server, admin, tokens, seed }) => {
            const gauge = async (of) => (await of.api('GET', '/metrics')).body.match(/^holdfast_email_health\{status="(\w+)"\} 1$/m)?.[1];
            await waitFor('the first look', async () => (await gauge(server)) === 'insufficient_data');
            await seed([...many(90, { tenantId: admin.tenantId }), ...many(10, { tenantId: admin.tenantId, state: 'bounced' })]);
            const others = await Promise.all([installation.start(), installation.start()]);
            for (const other of others) await waitFor('a look', async () => (await gauge(other)) === 'critical');
            const [only, ...more] = await recordsOf(server, tokens.operator, 'mail.health');
            assert.deepEqual(more, []);
            assert.deepEqual([only.subject, only.actor, only.tenantId], ['critical', 'system', null]);
            assert.deepEqual(only.detail, { before: null, sent: 100, bounce: 0.1, complaint: 0, delivery: null });
            const logged = () => others.flatMap(({ lines }) => lines).filter(({ event }) => event === 'mail health changed');
            await waitFor('it is in the log', () => logged().length > 0);
            assert.deepEqual(logged().map(({ level, before, status }) => [level, before, status]), [['warn', 'unknown', 'critical']]);
            assert.deepEqual(await recordsOf(server, tokens.admin, 'mail.health'), [], 'of the installation, so for operators');

            await seed(many(150, { tenantId: admin.tenantId }));
            await server.restart();
            const records = await waitFor('the change', async () => {
                const found = await recordsOf(server, tokens.operator, 'mail.health');
                return found.length === 2 && found;
            });
            assert.deepEqual([records[0].subject, records[0].detail.before, records[0].detail.sent], ['healthy', 'critical', 250]);
        });
    });

    test('without monitoring nothing is looked at by the hour', async () => {
        await withMail(store, async ({ server, admin, tokens, seed, read }) => {
            await seed([...many(100, { tenantId: admin.tenantId, state: 'bounced' }), { tenantId: admin.tenantId, to: 'a@old.example', at: 0 }]);
            await server.restart();
            // Old rows are removed in the round in which health would be looked at.
            await waitFor('the chores are done', async () => (await read('logs?recipient=a%40old.example')).items.length === 0);
            assert.equal((await read('health')).status, 'critical', 'who asks is told yet');
            assert.doesNotMatch((await server.api('GET', '/metrics')).body, /^holdfast_email_/m);
            assert.deepEqual(await recordsOf(server, tokens.operator, 'mail.health'), []);
        }, { EMAIL_MONITORING_ENABLED: 'false' });
    });

    test('what is over goes: log rows after their days, figures later', async () => {
        await withMail(store, async ({ installation, admin, read, seed }) => {
            const day = 24 * HOUR;
            await seed([
                ...many(3, { tenantId: admin.tenantId, at: Date.now() - 31 * day }),
                ...many(2, { tenantId: admin.tenantId, at: Date.now() - 29 * day }),
            ]);
            await waitFor('old rows are gone', async () => (await read('logs')).items.length === 2, { timeout: 90_000 });
            assert.equal((await read('metrics?window=60d')).totals.accepted, 5, 'the figures stay');
            await waitFor('fine buckets are gone', async () => (await sql(installation, 'SELECT count(*) FROM email_figures WHERE span = 300000'))[0] === '0', { timeout: 90_000 });
        }, { EMAIL_RETENTION_DAYS: '30' });
    });
});

/* Mail from the command line: for pipelines by exit status and JSON, for people by tables. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';

import { forEachStore, withInstallation } from './harness.mjs';
import { HOUR, knowDeliveries, many, seedEvents, seedMail } from './mail.mjs';
import { expect, people, small } from './support.mjs';

async function withPeople(store, use) {
    await withInstallation({ store, env: small }, async (installation) => {
        const everyone = await people(installation);
        const run = async (code, ...args) => {
            const result = await installation.cli(['email', ...args]);
            assert.equal(result.code, code, `${args.join(' ')}: ${result.stderr}${result.stdout}`);
            return result;
        };
        await use({ installation, ...everyone, run, seed: (messages) => seedMail(installation, messages) });
    });
}

const jsonLines = (text) => text.trimEnd().split('\n').map((line) => JSON.parse(line));

forEachStore((store) => {
    test('the exit status says whether mail is healthy', async () => {
        await withPeople(store, async ({ installation, admin, stranger, run, seed }) => {
            assert.match((await run(0, 'health')).stdout, /^Too little was sent to tell/);
            await run(3, 'health', '--require-data');
            await seed(many(100, { tenantId: admin.tenantId, state: 'delivered' }));
            const healthy = await run(0, 'health', '--require-data');
            assert.match(healthy.stdout, /^Mail is healthy\.\n/);
            assert.match(healthy.stdout, /^Sent +100 /m);
            assert.match(healthy.stdout, /^Bounces +0\.000 % +\(healthy below 5 %\)$/m);
            assert.match(healthy.stdout, /^Deliveries +unknown +\(healthy above 95 %\)$/m);
            await knowDeliveries(installation);
            assert.match((await run(0, 'health')).stdout, /^Deliveries +100\.000 %/m);

            await seed(many(100, { tenantId: stranger.tenantId, state: 'bounced', code: '5.1.1', to: 'a@bad.example' }));
            const bad = await run(1, 'health');
            assert.match(bad.stdout, /critical/);
            assert.match(bad.stdout, /^- The bounce rate is 50 %.*bad\.example/m);
            await run(0, 'health', '--tenant', 'Acme');
            await run(1, 'health', '--tenant', stranger.tenantId);
            await run(3, 'health', '--window', '1h', '--require-data', '--tenant', 'Holdfast');
            const json = JSON.parse((await run(1, 'health', '--json')).stdout);
            assert.deepEqual([json.status, json.sent, json.rates.bounce], ['critical', 200, 0.5]);

            for (const args of [['health', '--window', 'soon'], ['health', '--tenant', 'Nobody'], ['metrics', '--bucket', '7m'],
                ['metrics', '--since', 'x'], ['metrics', '--group-by', 'x'], ['logs', '--status', 'x'], ['logs', '--recipient', 'x'],
                ['logs', '--limit', '0'], ['logs', '--since', '1960-01-01T00:00:00Z'], ['suppressions', 'lose'], ['suppressions'],
                ['suppressions', 'add'], ['suppressions', 'add', 'x'], ['suppressions', 'remove'], ['suppressions', 'import'],
                ['suppressions', 'import', 'no-such-file'], ['suppressions', 'export', 'x'], ['suppressions', 'add', 'a@b.example', '--reason', 'x'],
                ['suppressions', 'add', 'a@b.example', '--expires', '2020-01-01T00:00:00Z'], ['suppressions', 'add', 'a@b.example', '--note', 'x'.repeat(501)]])
                await run(2, ...args);
            const unreachable = await installation.cli(['email', 'health'], { env: { DATABASE_URL: 'postgresql://127.0.0.1:1/none' } });
            assert.equal(unreachable.code, 3, unreachable.stderr);
            const unopened = await installation.cli(['email', 'health'], { env: { DATABASE_URL: 'sqlite:/dev/null/none.db' } });
            assert.equal(unopened.code, 3, unopened.stderr);
        });
    });

    test('figures and the log are for people, programs and spreadsheets', async () => {
        await withPeople(store, async ({ installation, admin, stranger, run, seed }) => {
            const hour = Date.now() - (Date.now() % HOUR) - 2 * HOUR;
            const [bounced] = await seed([
                { tenantId: admin.tenantId, to: 'a@one.example', at: hour, state: 'bounced', code: '5.1.1', template: 'gone', subject: 'Bad \u001b[31mnews' },
                { tenantId: admin.tenantId, to: 'b@one.example', at: hour + 1, state: 'delivered', subject: '=1+1' },
                { tenantId: stranger.tenantId, to: 'c.with+a.long.label.before.the@two.example', at: hour + HOUR, state: 'sent' },
            ]);
            await seedEvents(installation, [{ log: bounced, kind: 'bounce' }]);
            const { stdout } = await run(0, 'metrics', '--window', '4h', '--bucket', '1h');
            assert.match(stdout, /^all +3 +3 +1 +1 +33\.333 % +0\.000 % +-$/m);
            assert.match(stdout, new RegExp(`^${new Date(hour).toISOString()} +2 +2 +1 +1 `, 'm'));
            assert.match(stdout, /^one\.example +2 /m);
            assert.match(stdout, /^5\.1\.1 +1$/m);
            const shares = await run(0, 'metrics', '--window', '4h', '--bucket', '1h', '--group-by', 'template');
            assert.match(shares.stdout, /^gone .* 100\.000 % /m);
            const width = new Set((stdout + shares.stdout).split('\n').filter((line) => / \d/.test(line) && line.includes('%')).map((line) => line.length));
            assert.equal(width.size, 1, 'aligned');
            const json = JSON.parse((await run(0, 'metrics', '--tenant', 'Acme', '--json', '--group-by', 'template', '--window', '4h', '--bucket', '2h')).stdout);
            assert.deepEqual([json.totals.accepted, json.groupBy, json.bucketSeconds], [2, 'template', 7200]);

            const logs = await run(0, 'logs');
            const lines = logs.stdout.trimEnd().split('\n');
            assert.equal(lines.length, 3);
            assert.match(lines[2], /  bounced     a@one\.example +  Bad \?\[31mnews  \[5\.1\.1\]$/, 'nothing moves the cursor');
            assert.deepEqual(new Set(lines.map((line) => line.search(/(?:Welcome|=1|Bad)/))), new Set([24 + 2 + 10 + 2 + 42 + 2]), 'aligned');
            assert.equal(jsonLines((await run(0, 'logs', '--json', '--tenant', 'Acme')).stdout).length, 2);
            assert.deepEqual(jsonLines((await run(0, 'logs', '--json', '--status', 'bounced')).stdout).map(({ id }) => id), [bounced.id]);
            assert.equal((await run(0, 'logs', '--limit', '1')).stdout.split('\n').length, 2);
            assert.equal((await run(0, 'logs', '--recipient', 'B@one.example', '--since', new Date(hour).toISOString(), '--until', new Date(hour + 1).toISOString())).stdout, '');

            // What older rows may hold is no command to a terminal, nor to a spreadsheet.
            await seed(many(100, { tenantId: stranger.tenantId, state: 'bounced', code: '5\u009b2J', template: '\n=1+\u001b]0;x\u0007' }));
            const shown = await run(0, 'metrics', '--group-by', 'template');
            assert.match(shown.stdout, /^\?=1\+\?\]0;x\? +100 +100 /m);
            assert.match(shown.stdout, /^5\?2J +100$/m);
            const advice = (await run(1, 'health')).stdout;
            assert.match(advice, /Templates: \?=1\+\?\]0;x\? \(100 of 100\), gone .* Errors: 5\?2J \(100\)/);
            for (const text of [shown.stdout, advice]) assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
            await seed([...['\n=1', '\uff1d1', '\uff0b1', '\uff0d1', '\uff201', '\t1', '\r1', '-1'].map((subject) => ({ tenantId: admin.tenantId, to: 'd@one.example', subject, at: hour - 2 }))]);
            const cells = (await run(0, 'logs', '--csv', '--recipient', 'd@one.example')).stdout.match(/"'[^"]*"/g);
            assert.deepEqual(cells.sort(), ["'\t1", "'\n=1", "'\r1", "'-1", "'\uff0b1", "'\uff0d1", "'\uff1d1", "'\uff201"].map((text) => `"${text}"`).sort());

            await seed(many(992, { tenantId: admin.tenantId, at: hour - 1 }));
            const csv = (await run(0, 'logs', '--csv')).stdout.trimEnd().split('\r\n');
            assert.equal(csv.length, 1104); // the first, 3, 100, 8 and 992
            assert.equal(new Set(csv).size, csv.length);
            assert.ok(csv.some((line) => line.includes(`"'=1+1"`)));
            assert.equal((await run(0, 'logs', '--csv', '--limit', '700')).stdout.trimEnd().split('\r\n').length, 701);

            const server = await installation.start();
            const { accessToken: token } = await server.login(admin.email);
            assert.equal(expect(await server.api('GET', '/v1/email-monitoring/logs', { token }), 200).items.length, 50);
        });
    });

    test('addresses are listed, added, removed, and come and go as files', async () => {
        await withPeople(store, async ({ installation, admin, run }) => {
            await run(0, 'suppressions', 'add', 'Gone@example.net', '--reason', 'bounce', '--note', 'by phone');
            await run(1, 'suppressions', 'add', 'gone@example.net', '--reason', 'bounce');
            await run(0, 'suppressions', 'add', 'one@example.net', '--tenant', 'Acme', '--expires', '2999-01-01T00:00:00Z');
            assert.match((await run(0, 'suppressions', 'list')).stdout, /^gone@example\.net +bounce +for good +everywhere\none@example\.net +manual +2999-01-01T00:00:00\.000Z +/);
            assert.deepEqual(jsonLines((await run(0, 'suppressions', 'list', '--json', '--tenant', 'Acme')).stdout).map(({ address, tenantId }) => [address, tenantId]),
                [['one@example.net', admin.tenantId]]);
            assert.deepEqual(jsonLines((await run(0, 'suppressions', 'list', 'GONE@example.net', '--json')).stdout).map(({ note, source }) => [note, source]), [['by phone', 'cli']]);
            await run(1, 'suppressions', 'remove', 'gone@example.net', '--tenant', 'Acme');
            await run(0, 'suppressions', 'add', 'gone@example.net', '--reason', 'complaint');
            const wished = await run(1, 'suppressions', 'remove', 'gone@example.net');
            assert.match(wished.stderr, /gone@example\.net does not want this mail \(complaint\); nothing was removed: name with --reason/);
            await run(0, 'suppressions', 'remove', 'gone@example.net', '--reason', 'complaint');
            await run(0, 'suppressions', 'remove', 'gone@example.net');
            await run(1, 'suppressions', 'remove', 'gone@example.net');
            await run(2, 'suppressions', 'remove', 'gone@example.net', '--reason', 'x');

            const file = path.join(installation.dir, 'list.csv');
            await writeFile(file, 'a@example.net\nnobody\n');
            const refused = await run(1, 'suppressions', 'import', file);
            assert.equal(refused.stderr, 'line 2: not an address\nholdfast: nothing was taken\n');
            await writeFile(file, Array.from({ length: 1200 }, (_, i) => `u${i}@example.net`).join('\n'));
            assert.match((await run(0, 'suppressions', 'import', file, '--tenant', 'Acme')).stdout, /^1200 lines: 1200 added, 0 suppressed already, 0 named again\.$/m);
            const out = await run(0, 'suppressions', 'export');
            assert.equal(out.stdout.split('\r\n').length, 1203);
            const back = await installation.cli(['email', 'suppressions', 'import', '-'], { input: out.stdout });
            assert.match(back.stdout, /^1201 lines: 1201 added/);

            const server = await installation.start();
            const { accessToken: token } = await server.login(admin.email);
            const actions = expect(await server.api('GET', '/v1/audit-log?limit=200', { token }), 200).items.map(({ action }) => action).filter((action) => action.startsWith('mail.'));
            assert.deepEqual(actions, ['mail.import', 'mail.suppress'], 'what was for the tenant');
        });
    });
});

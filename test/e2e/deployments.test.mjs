/* What was deployed: from the journals of this machine, from the store, and over the API. */
import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';

import { directoryOf, idOf, journal, put } from './deployments.mjs';
import { forEachStore, withInstallation } from './harness.mjs';
import { allItems, expect, nobody, people, signIn, small } from './support.mjs';

const prod = { environment: 'prod', release: 'v42' };
const all = ['done', 'failed', 'rolled_back', 'incomplete', 'died'];

/* Deployments 0 to 4, one of each result; the last two of dev. */
async function deployAll(installation) {
    for (const [i, story] of all.entries())
        await journal(installation, idOf(i), story, i < 3 ? prod : { environment: 'dev', release: `v${i}` });
}

async function withDeployments(store, use) {
    await withInstallation({ store, env: small }, async (installation) => {
        await deployAll(installation);
        const json = async (...args) => {
            const { code, stdout, stderr } = await installation.cli(['deployments', ...args, '--json']);
            assert.equal(code, 0, stderr);
            return JSON.parse(stdout);
        };
        await use({ installation, json });
    });
}

forEachStore((store) => {
    test('operators read what was deployed, page by page and by environment', async () => {
        await withDeployments(store, async ({ installation }) => {
            await put(installation, ...all.map((story, i) => idOf(i)));
            const everyone = await people(installation);
            const server = await installation.start();
            const grants = await signIn(server, everyone);
            const token = grants.operator.accessToken;
            for (const name of ['admin', 'member'])
                expect(await server.api('GET', '/v1/deployments', { token: grants[name].accessToken }), 403, 'forbidden');

            const items = await allItems(server, '/v1/deployments', token, 2);
            assert.deepEqual(items.map(({ id }) => id), [4, 3, 2, 1, 0].map(idOf));
            assert.deepEqual(items.map(({ result }) => result), [...all].reverse());
            const { beganAt, endedAt, ...rest } = items.at(-1);
            assert.deepEqual(rest, {
                id: idOf(0), environment: 'prod', release: 'v42', previousRelease: 'v41', result: 'done', who: 'ann@laptop',
                durationMs: Date.parse(endedAt) - Date.parse(beganAt),
            });
            assert.ok(rest.durationMs >= 64_300);
            assert.equal(items[3].previousRelease, null, 'it failed before that was known');
            const dev = await allItems(server, '/v1/deployments?environment=dev', token, 1);
            assert.deepEqual(dev.map(({ id }) => id), [4, 3].map(idOf));
            assert.deepEqual(await allItems(server, '/v1/deployments?environment=staging', token), []);
            expect(await server.api('GET', '/v1/deployments?cursor=x', { token }), 400);
            expect(await server.api('GET', '/v1/deployments?environment=', { token }), 400);
        });
    });

    test('one of them is told whole, as its report.json tells it', async () => {
        await withDeployments(store, async ({ installation, json }) => {
            await put(installation, ...all.map((story, i) => idOf(i)));
            const everyone = await people(installation);
            const server = await installation.start();
            const { accessToken: token } = await server.login(everyone.operator.email);
            for (const [i, result] of all.entries()) {
                const answer = expect(await server.api('GET', `/v1/deployments/${idOf(i)}`, { token }), 200);
                assert.equal(answer.result, result);
                assert.deepEqual(answer, JSON.parse(await readFile(path.join(directoryOf(installation, idOf(i)), 'report.json'), 'utf8')));
                assert.deepEqual(answer, await json('show', idOf(i)));
            }
            const { left, steps, why } = expect(await server.api('GET', `/v1/deployments/${idOf(3)}`, { token }), 200);
            assert.equal(why, 'the column "total" is <not> there');
            assert.deepEqual(left.map(({ step, byHand }) => [step, byHand]), [['migrate', 'Restore the backup.'], ['backup', 'Delete the backup.']]);
            assert.deepEqual(steps.map(({ name, state, undo }) => [name, state, undo?.state]), [
                ['check', 'done', undefined], ['backup', 'done', undefined], ['migrate', 'failed', 'failed'], ['verify', 'waiting', undefined]]);
            assert.deepEqual(steps[1].facts, [{ label: 'Backup', text: 'shop.dump' }]);
            for (const id of [nobody, 'x', idOf(9)])
                expect(await server.api('GET', `/v1/deployments/${id}`, { token }), 404, 'not_found');
        });
    });

    test('the trail tells of each once, and to operators alone', async () => {
        await withDeployments(store, async ({ installation }) => {
            for (let again = 0; again < 2; again++) await put(installation, ...all.map((story, i) => idOf(i)));
            const everyone = await people(installation);
            const server = await installation.start();
            const grants = await signIn(server, everyone);
            const records = async (who) => (await allItems(server, '/v1/audit-log', grants[who].accessToken))
                .filter(({ action }) => action.startsWith('deployment.'));
            const told = (await records('operator')).reverse();
            assert.deepEqual(told.map(({ action, subjectId }) => [action, subjectId]), [
                ['deployment.start', idOf(0)], ['deployment.done', idOf(0)],
                ['deployment.start', idOf(1)], ['deployment.failed', idOf(1)],
                ['deployment.start', idOf(2)], ['deployment.rolled_back', idOf(2)],
                ['deployment.start', idOf(3)], ['deployment.incomplete', idOf(3)],
                ['deployment.start', idOf(4)]]);
            assert.equal(told[5].subject, 'prod');
            assert.deepEqual(told[5].detail, { release: 'v42', previousRelease: 'v41', who: 'ann@laptop', why: 'the column "total" is <not> there' });
            assert.deepEqual(await records('admin'), []);
        });
    });

    test('what another machine deployed is listed and shown from the store', async () => {
        await withDeployments(store, async ({ installation, json }) => {
            await put(installation, idOf(0), idOf(2), idOf(3));
            for (const i of [0, 3]) await rm(directoryOf(installation, idOf(i)), { recursive: true });
            const { items } = await json('list');
            assert.deepEqual(items.map(({ id, here }) => [id, here]), [[4, true], [3, false], [2, true], [1, true], [0, false]].map(([i, here]) => [idOf(i), here]));
            assert.deepEqual((await json('list', '--limit', '2')).items.map(({ id }) => id), [4, 3].map(idOf));
            assert.deepEqual((await json('list', '--env', 'prod')).items.map(({ id }) => id), [2, 1, 0].map(idOf));
            assert.equal((await json('show', idOf(3))).result, 'incomplete');
            const { code, stdout } = await installation.cli(['deployments', 'show', idOf(3)]);
            assert.equal(code, 0);
            assert.match(stdout, /another machine/);
            const shown = await installation.cli(['deployments', 'show', idOf(0).slice(0, 13)]);
            assert.match(shown.stdout, /^prod: v41 -> v42, done after 1 min 04 s\n/);
        });
    });
});

const alone = { DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/none?sslmode=disable' };

test('the journals alone suffice: no store is needed, and none is made', async () => {
    await withInstallation({}, async (installation) => {
        const none = await installation.cli(['deployments', 'list']);
        assert.deepEqual([none.code, none.stdout, none.stderr], [0, 'Nothing was deployed yet.\n', '']);
        await deployAll(installation);
        const listed = await installation.cli(['deployments', 'list']);
        assert.equal(listed.code, 0);
        assert.equal(listed.stderr, '');
        assert.deepEqual(listed.stdout.trimEnd().split('\n').map((line) => line.split(/ {2,}/)).map((row) => [row[0], row[2], row[3], row[4]]), [
            ['ID', 'ENVIRONMENT', 'RELEASE', 'RESULT'],
            ['0193a5b0-0004', 'dev', 'v4', 'died'],
            ['0193a5b0-0003', 'dev', 'v3', 'rollback incomplete'],
            ['0193a5b0-0002', 'prod', 'v42', 'rolled back'],
            ['0193a5b0-0001', 'prod', 'v42', 'failed'],
            ['0193a5b0-0000', 'prod', 'v42', 'done']]);
        assert.ok(!(await readdir(path.join(installation.dir, 'data')).catch(() => [])).some((name) => name.endsWith('.db')));

        const away = await installation.cli(['deployments', 'list'], { env: alone });
        assert.equal(away.code, 0, away.stderr);
        assert.equal(away.stdout, listed.stdout);
        assert.match(away.stderr, /only what was deployed from this machine is known/);
    });
});

test('a deployment is told from one whose process has died', async () => {
    await withInstallation({}, async (installation) => {
        const release = await journal(installation, idOf(1), 'died', prod, { hold: true });
        const running = await installation.cli(['deployments', 'show', idOf(1)]);
        assert.match(running.stdout, /^prod: v41 -> v42, running for /);
        assert.match(running.stdout, /running +Migrate/);
        assert.doesNotMatch(running.stdout, /has to do/);
        await release();
        const died = await installation.cli(['deployments', 'show', idOf(1)]);
        assert.match(died.stdout, /^prod: v41 -> v42, died after /);
        assert.match(died.stdout, /What a person has to do\n {2}1\. The deployment: Its process ended during: Migrate\n {5}Run: holdfast deploy --env prod\./);
    });
});

test('what a person has to do is told in its order', async () => {
    await withInstallation({}, async (installation) => {
        await journal(installation, idOf(1), 'incomplete', prod);
        const { stdout, code } = await installation.cli(['deployments', 'show', idOf(1)]);
        assert.equal(code, 0);
        assert.match(stdout, /Why: the column "total" is <not> there\n/);
        assert.match(stdout, /1\. Migrate: No space left on device\n {5}Restore the backup\.\n {2}2\. Back the database up: .*\n {5}Delete the backup\.\n/);
        assert.doesNotMatch(stdout, /\/not\/shown/);
        const html = await readFile(path.join(directoryOf(installation, idOf(1)), 'report.html'), 'utf8');
        assert.match(html, /is &lt;not&gt; there/);
    });
});

test('what is no deployment, or damaged, is said to be so', async () => {
    await withInstallation({}, async (installation) => {
        await journal(installation, idOf(1), 'done', prod);
        await journal(installation, idOf(2), 'done', prod);
        await mkdir(directoryOf(installation, idOf(3)));
        await writeFile(path.join(directoryOf(installation, idOf(3)), 'journal.jsonl'), 'no record\n');
        const { stdout } = await installation.cli(['deployments', 'list', '--json']);
        assert.deepEqual(JSON.parse(stdout).items.map(({ result }) => result), ['damaged', 'done', 'done']);
        for (const [id, code, said] of [
            [idOf(9), 1, /there is no deployment/], ['0193', 2, /several deployments begin with 0193/],
            ['019', 2, /is no id of a deployment/], ['zzzz', 2, /is no id of a deployment/], [`${idOf(1)}0`, 2, /is no id of a deployment/],
            [idOf(3), 1, /cannot be read: the journal's line 1/]]) {
            const result = await installation.cli(['deployments', 'show', id]);
            assert.equal(result.code, code, id);
            assert.match(result.stderr, said);
        }
        for (const limit of ['0', '1001', 'x']) {
            const result = await installation.cli(['deployments', 'list', '--limit', limit]);
            assert.equal(result.code, 2);
            assert.match(result.stderr, /--limit/);
        }
    });
});

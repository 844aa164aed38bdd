/* The trail proves what happened, and tells when someone changed the proof. */
import assert from 'node:assert/strict';
import { copyFile, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';

import { forEachStore, withInstallation } from './harness.mjs';
import { expect, small, sql } from './support.mjs';

/* A trail of some length, its server stopped, and its checkpoints copied elsewhere. */
async function withTrail(store, use) {
    await withInstallation({ store, env: small }, async (installation) => {
        const admin = await installation.addUser({ role: 'admin' });
        const member = await installation.addUser();
        const server = await installation.start();
        const { accessToken: token } = await server.login(admin.email);
        for (let i = 0; i < 5; i++) {
            const { sessionId } = await server.login(member.email);
            expect(await server.api('DELETE', `/v1/sessions/revoke-family/${sessionId}`, { token, body: { reason: `number ${i}` } }), 200);
        }
        await server.stop();
        const logs = path.join(installation.dir, 'logs/trail');
        const [name] = await readdir(logs);
        const copy = path.join(installation.dir, 'checkpoints.copy');
        await copyFile(path.join(logs, name), copy);
        const verify = (...args) => installation.cli(['trail', 'verify', ...args]);
        await use({ installation, admin, member, verify, copy, own: path.join(logs, name) });
    });
}

forEachStore((store) => {
    test('an untouched trail is intact, also against a copy of its checkpoints', async () => {
        await withTrail(store, async ({ verify, copy, installation }) => {
            for (const args of [[], ['--against', copy]]) {
                const { code, stdout, stderr } = await verify(...args);
                assert.equal(code, 0, stdout + stderr);
                assert.match(stdout, /The trail is intact\./);
                assert.match(stdout, /checkpoints? agrees?/);
            }
            const report = JSON.parse((await verify('--json')).stdout);
            assert.equal(report.intact, true);
            assert.equal(report.records, report.head);
            assert.ok(report.checkpoints >= 1);
            assert.deepEqual(await sql(installation, 'SELECT count(*) FROM trail'), [String(report.records)]);
        });
    });

    test('an edited record is named', async () => {
        await withTrail(store, async ({ installation, verify }) => {
            const [seq] = await sql(installation, "SELECT seq FROM trail WHERE detail LIKE '%number 2%'");
            await sql(installation, `UPDATE trail SET detail = replace(detail, 'number 2', 'number 9') WHERE seq = ${seq}`);
            const { code, stderr, stdout } = await verify();
            assert.equal(code, 1);
            assert.match(stderr, new RegExp(`record ${seq} was edited`));
            assert.match(stdout, /TAMPERED/);
            const report = JSON.parse((await verify('--json')).stdout);
            assert.equal(report.edited, 1, 'the record alone, not what follows it');
        });
    });

    test('every column of a record is under its seal', async () => {
        await withTrail(store, async ({ installation, verify }) => {
            const [seq] = await sql(installation, "SELECT max(seq) FROM trail WHERE action = 'session.revoke'");
            const id = installation.database.url.startsWith('sqlite:') ? "X'01890000000070008000000000000000'" : "'\\x01890000000070008000000000000000'::bytea";
            for (const change of ['at = at + 1', `tenant_id = ${id}`, `actor_id = ${id}`, "actor = 'somebody'", "action = 'user.login'",
                `subject_id = ${id}`, "subject = 'somebody'", "ip = '192.0.2.1'", `request_id = ${id}`, "detail = '{}'", "key_id = 'other'"]) {
                const column = change.split(' ')[0];
                const rest = column === 'at' ? 'at - 1' : `(SELECT ${column} FROM kept)`;
                await sql(installation, `CREATE TABLE kept AS SELECT * FROM trail WHERE seq = ${seq}`);
                await sql(installation, `UPDATE trail SET ${change} WHERE seq = ${seq}`);
                const { code, stderr } = await verify();
                assert.equal(code, 1, change);
                assert.match(stderr, new RegExp(`record ${seq} `), change);
                await sql(installation, `UPDATE trail SET ${column} = ${rest} WHERE seq = ${seq}`);
                await sql(installation, 'DROP TABLE kept');
                assert.equal((await verify()).code, 0, `${change}, undone`);
            }
        });
    });

    test('records removed from the middle are named', async () => {
        await withTrail(store, async ({ installation, verify }) => {
            await sql(installation, 'DELETE FROM trail WHERE seq IN (5, 6)');
            const { code, stderr } = await verify();
            assert.equal(code, 1);
            assert.match(stderr, /records 5 to 6 were removed/);
        });
    });

    test('a copied record is named as inserted or unlinked', async () => {
        await withTrail(store, async ({ installation, verify }) => {
            await sql(installation, 'CREATE TABLE kept AS SELECT * FROM trail WHERE seq = 4');
            await sql(installation, 'UPDATE kept SET seq = (SELECT max(seq) + 1 FROM trail)');
            await sql(installation, 'INSERT INTO trail SELECT * FROM kept');
            const [seq] = await sql(installation, 'SELECT max(seq) FROM trail');
            const { code, stderr } = await verify();
            assert.equal(code, 1);
            assert.match(stderr, new RegExp(`record ${seq} `));
        });
    });

    test('a trail cut short, its head put back with it, is found by the checkpoints alone', async () => {
        await withTrail(store, async ({ installation, verify, copy, own }) => {
            // Whoever has both an old head and the database can make the chain agree with itself.
            const { code: made, stderr: failed } = await installation.cli(['users', 'add', '--email', 'late@example.com', '--role', 'member']);
            assert.equal(made, 0, failed);
            const [cut] = await sql(installation, 'SELECT max(seq) FROM trail');
            await sql(installation, 'CREATE TABLE old_head AS SELECT * FROM trail_head');
            const server = await installation.start();
            await server.stop(); // writes a checkpoint past the cut
            await copyFile(own, copy);
            const [last] = await sql(installation, 'SELECT max(seq) FROM trail');
            assert.ok(Number(last) > Number(cut));
            await sql(installation, `DELETE FROM trail WHERE seq > ${cut}`);

            let result = await verify();
            assert.equal(result.code, 1, 'the head row alone tells');
            await sql(installation, 'DELETE FROM trail_head');
            await sql(installation, 'INSERT INTO trail_head SELECT * FROM old_head');
            await rename(own, `${own}.gone`);
            result = await verify();
            assert.equal(result.code, 0, `without checkpoints it cannot be known: ${result.stderr}`);
            result = await verify('--against', copy);
            assert.equal(result.code, 1);
            assert.match(result.stderr, new RegExp(`records? ${Number(cut) + 1}( to ${last})? (was|were) cut off the end`));
        });
    });

    test('a forged checkpoint is named by its line', async () => {
        await withTrail(store, async ({ verify, copy }) => {
            const lines = (await readFile(copy, 'utf8')).trim().split('\n');
            const forged = { ...JSON.parse(lines.at(-1)) };
            forged.seq += 1000;
            await writeFile(copy, `${lines.join('\n')}\n${JSON.stringify(forged)}\nnot a checkpoint\n`);
            const { code, stderr } = await verify('--against', copy);
            assert.equal(code, 1);
            assert.match(stderr, new RegExp(`line ${lines.length + 1}: the signature is wrong`));
            assert.match(stderr, new RegExp(`line ${lines.length + 2}: not a checkpoint`));
        });
    });

    test('what cannot be read is no tampering: 3', async () => {
        await withTrail(store, async ({ installation, verify }) => {
            assert.equal((await verify('--against', 'absent')).code, 3);
            await sql(installation, 'ALTER TABLE trail RENAME TO elsewhere');
            const { code, stderr } = await verify();
            assert.equal(code, 3);
            assert.match(stderr, /could not be read/);
        });
    });

    test('is exported as lines and as a table, within times', async () => {
        await withTrail(store, async ({ installation, admin, member }) => {
            const run = async (...args) => {
                const { code, stdout, stderr } = await installation.cli(['trail', 'export', ...args]);
                assert.equal(code, 0, stderr);
                return stdout;
            };
            const records = (await run()).trim().split('\n').map((line) => JSON.parse(line));
            assert.deepEqual(records.map(({ seq }) => seq), records.map((_, i) => i + 1), 'all of them, oldest first');
            const revoked = records.filter(({ action }) => action === 'session.revoke');
            assert.equal(revoked.length, 5);
            assert.equal(revoked[0].actorId, admin.id);
            assert.equal(revoked[0].subjectId, member.id);
            assert.equal(revoked[0].detail.reason, 'number 0');

            const [first, , third] = revoked;
            const part = (await run('--since', first.at, '--until', third.at)).trim().split('\n').map((line) => JSON.parse(line));
            assert.deepEqual(part, records.filter(({ at }) => at >= first.at && at < third.at));
            const table = (await run('--format', 'csv')).split('\r\n');
            assert.match(table[0], /^seq,at,tenant_id,/);
            assert.equal(table.length, records.length + 4, 'a head, an end, and two exports more');
            for (const args of [['--format', 'xml'], ['--since', 'yesterday'], ['--until', '2020']])
                assert.equal((await installation.cli(['trail', 'export', ...args])).code, 2, args.join(' '));
        });
    });
});

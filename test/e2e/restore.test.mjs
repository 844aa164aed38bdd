/*
 * The restore of docs/OPERATIONS.md, its shell lines run as they are written there: only names of
 * files, of the database and of the server's user are this test's own.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { forEachStore, waitFor, withInstallation } from './harness.mjs';
import { refresh } from './steps.mjs';
import { expect } from './support.mjs';

const manual = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../docs/OPERATIONS.md');

/* What a step of "Backups and restores" says. */
async function stepOf(number) {
    const text = await readFile(manual, 'utf8');
    const chapter = text.slice(text.indexOf('\n## Backups and restores'));
    const from = chapter.indexOf(`\n${number}. `);
    return chapter.slice(from, chapter.indexOf(`\n${number + 1}. `, from));
}

/* The blocks of shell in it, without their indentation. */
async function blocksOf(number) {
    const blocks = [...(await stepOf(number)).matchAll(/^ {3}```sh\n([\s\S]*?)^ {3}```/gm)].map(([, block]) => block.replace(/^ {3}/gm, ''));
    assert.ok(blocks.length > 0);
    return blocks;
}

/* A block without the commands of the other store; a comment of its own begins each store's part. */
function partOf(block, sqlite) {
    const isOther = (line) => (sqlite ? /^(psql|pg_restore) / : /^(sqlite3|rm|install) /).test(line);
    return block.replace(/\\\n\s*/g, '').split('\n').filter((line) => !isOther(line)).join('\n');
}

forEachStore((store) => {
    test('what was ended after the backup is ended again by the restore that is documented', async () => {
        await withInstallation({ store }, async (installation) => {
            const { url } = installation.database, sqlite = url.startsWith('sqlite:');
            const file = sqlite && path.resolve(installation.dir, url.slice('sqlite:'.length));
            const backup = path.join(installation.dir, sqlite ? 'backup.db' : 'backup.dump');
            const shell = async (script, since = '') => {
                const ours = script
                    .replaceAll('--config /etc/holdfast/holdfast.env', '')
                    .replaceAll('--owner=holdfast --group=holdfast', '')
                    .replaceAll('2026-11-21T03:00:00Z', since)
                    .replaceAll(/\/var\/lib\/holdfast\/holdfast\.db/g, file)
                    .replaceAll(/\/backup\/holdfast\.(db|dump)/g, backup)
                    .replaceAll('/var/log/holdfast', 'logs')
                    .replaceAll(/-d holdfast\b/g, `-d '${url}'`)
                    .replaceAll(/^holdfast /gm, `${installation.program.join(' ')} `);
                await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', ours], { cwd: installation.dir, env: { PATH: process.env.PATH, ...installation.env } });
            };
            const written = async (name) => (await readFile(path.join(installation.dir, name), 'utf8')).trim().split('\n').sort();
            const revoke = async (server, admin, user) =>
                expect(await server.api('DELETE', `/v1/sessions/revoke-user/${user.id}`, { token: admin.accessToken }), 200);

            const admin = await installation.addUser({ role: 'admin' });
            const users = {};
            for (const name of ['before', 'single', 'mass', 'leaves', 'stays']) users[name] = await installation.addUser({ email: `${name}@example.com` });
            const server = await installation.start();
            const power = await server.login(admin.email), grants = {};
            for (const [name, user] of Object.entries(users)) grants[name] = await server.login(user.email);
            await revoke(server, power, users.before);
            const ended = Math.floor(Date.now() / 1000);
            await waitFor('the next second', () => Math.floor(Date.now() / 1000) > ended);

            const since = new Date().toISOString().replace(/\.\d+/, '');
            await shell(sqlite ? `sqlite3 ${file} '.backup ${backup}'` : `pg_dump -Fc -d '${url}' > ${backup}`);
            await revoke(server, power, users.single);
            expect(await server.api('POST', '/auth/logout', { token: grants.leaves.accessToken }), 204);
            const mass = await installation.cli(['revoke-sessions', '--users', users.mass.id, '--reason', 'leaked', '--yes']);
            assert.equal(mass.code, 0, mass.stderr);
            await server.stop();

            const [save] = await blocksOf(2), [restore] = await blocksOf(3), [again, without] = await blocksOf(4);
            const [, move] = /`(mv checkpoints[^`]*)`/.exec(await stepOf(6));
            await shell(partOf(save, sqlite), since);
            assert.deepEqual(await written('again.txt'), ['leaves@example.com', 'mass@example.com', 'single@example.com']);
            // The other way to the list finds the same, by id.
            await shell(without.replaceAll('again.txt', 'other.txt'));
            assert.deepEqual(await written('other.txt'), [users.leaves, users.mass, users.single].map((user) => user.id).sort());

            await shell(partOf(restore, sqlite));
            await shell(again);
            await shell(`cd logs/trail && ${move}`);
            assert.ok((await readdir(installation.dir)).includes('before-restore.jsonl'));
            const restored = await installation.start();
            for (const name of ['before', 'single', 'mass', 'leaves']) {
                expect(await refresh(restored, grants[name].refreshToken), 401);
                expect(await restored.api('GET', '/auth/me', { token: grants[name].accessToken }), 401, 'token_revoked');
            }
            expect(await restored.api('GET', '/auth/me', { token: grants.stays.accessToken }), 200);
            expect(await refresh(restored, grants.stays.refreshToken), 200);
        });
    });
});

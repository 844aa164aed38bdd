/* Deployments for tests that do not deploy: journals, as a deployment writes them. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

import { binary } from './harness.mjs';

const program = path.join(path.dirname(binary), 'test/deployment_record');

const table = [
    { name: 'check', title: 'Check', byHand: null },
    { name: 'backup', title: 'Back the database up', byHand: 'Delete the backup.' },
    { name: 'migrate', title: 'Migrate', byHand: 'Restore the backup.' },
    { name: 'verify', title: 'Verify from outside', byHand: null },
];

const begin = (step) => ({ step, phase: 'begin' });
const end = (step, phase, ms, why) => ({ step, phase, after: ms, data: { ms, ...(why && { why }) } });
const run = (step, ms) => [begin(step), end(step, 'done', ms)];
const undo = (step, ms, why) => [{ step, phase: 'undoing' }, end(step, why ? 'undo_failed' : 'undone', ms, why)];
const over = (result) => ({ step: 'deployment', phase: 'end', data: { result } });

const opening = ({ environment, release }) => ({
    step: 'deployment', phase: 'begin', after: -600_000,
    data: { environment, release, who: 'ann@laptop', version: '0.1.0', skipMigrations: false, steps: table },
});
const backup = [
    begin('backup'),
    { step: 'backup', phase: 'note', data: { file: '/not/shown', previousRelease: 'v41', show: { Backup: 'shop.dump' } } },
    end('backup', 'done', 61_000),
];
const failing = (what) => [opening(what), ...run('check', 200), ...backup, begin('migrate'),
    end('migrate', 'failed', 900, 'the column "total" is <not> there'), { step: 'deployment', phase: 'undoing' }];

/* Journals by what they come to. */
export const stories = {
    done: (what) => [opening(what), ...run('check', 200), ...backup, ...run('migrate', 3000), begin('verify'),
        {
            step: 'verify', phase: 'note', data: {
                verification: [
                    { name: 'no-token', title: 'Without a token the answer is 401', verdict: 'passed', why: '' },
                    { name: 'cors', title: 'The origin is allowed', verdict: 'not_asked', why: '' },
                ],
            },
        },
        end('verify', 'done', 100), over('done')],
    failed: (what) => [opening(what), begin('check'), end('check', 'failed', 5000, 'the database is out of reach'),
        { step: 'deployment', phase: 'undoing' }, over('failed')],
    rolled_back: (what) => [...failing(what), ...undo('migrate', 400), ...undo('backup', 20), over('rolled back')],
    incomplete: (what) => [...failing(what), ...undo('migrate', 400, 'No space left on device')],
    died: (what) => [opening(what), ...run('check', 200), ...backup, begin('migrate')],
};

/* A UUIDv7: of a number that tells which of two is newer. */
export const idOf = (number) => `0193a5b0-${String(number).padStart(4, '0')}-7222-8333-444455556666`;

export const directoryOf = (installation, id) => path.join(installation.dir, 'logs/deployments', id);

/*
 * Journals a deployment whose process is gone, or, for hold, one that runs until release() is called,
 * which is returned.
 */
export async function journal(installation, id, story, what, { hold = false } = {}) {
    const directory = directoryOf(installation, id);
    await mkdir(path.dirname(directory), { recursive: true });
    const child = spawn(program, ['journal', directory, ...(hold ? ['60'] : [])], { stdio: ['pipe', 'pipe', 'inherit'] });
    child.stdin.end(JSON.stringify(stories[story](what)));
    if (hold) {
        await once(child.stdout, 'data');
        return async () => {
            child.stdout.destroy();
            await once(child, 'close');
        };
    }
    const [code] = await once(child, 'close');
    if (code !== 0) throw new Error(`deployment_record ended with ${code}`);
    return undefined;
}

/* Puts what is journaled into the store, as who deploys does. */
export async function put(installation, ...ids) {
    await promisify(execFile)(program, ['put', ...ids.map((id) => directoryOf(installation, id))],
        { cwd: installation.dir, env: installation.env });
}

/* script/stages.sh, by which script/check and script/test run and report. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const stages = fileURLToPath(new URL('../../script/stages.sh', import.meta.url));

/* Runs stages of these bodies, by name, as the scripts do. Returns { code, stdout }. */
async function run(bodies) {
    const logs = await mkdtemp(path.join(os.tmpdir(), 'holdfast-stages-'));
    const script = `set -euo pipefail
        . '${stages}'
        stages='${Object.keys(bodies).map((name) => `${name} | what ${name} shows`).join('\n')}'
        logs='${logs}'
        ${Object.entries(bodies).map(([name, body]) => `stage_${name}() { ${body}; }`).join('\n')}
        run_stages ${Object.keys(bodies).join(' ')}`;
    const result = await new Promise((resolve) => {
        execFile('bash', ['-c', script], (error, stdout) => resolve({ code: error ? error.code : 0, stdout }));
    });
    await rm(logs, { recursive: true });
    return result;
}

test('stages that end well are told, and their output is kept', async () => {
    const { code, stdout } = await run({ one: 'echo said by one', two: 'true' });
    assert.equal(code, 0, stdout);
    assert.match(stdout, /^one +[\d.]+ s {2}ok$/m);
    assert.match(stdout, /^total +[\d.]+ s {2}ok$/m);
    assert.doesNotMatch(stdout, /said by one/);
});

test('a stage fails where any of its commands does, and the others are run all the same', async () => {
    const { code, stdout } = await run({ one: 'echo said by one; false; echo not reached', two: 'false | cat', three: 'true' });
    assert.equal(code, 1);
    assert.match(stdout, /^one +[\d.]+ s {2}FAILED$/m);
    assert.match(stdout, /^two +[\d.]+ s {2}FAILED$/m);
    assert.match(stdout, /^three +[\d.]+ s {2}ok$/m);
    assert.match(stdout, /^total +[\d.]+ s {2}FAILED$/m);
    assert.match(stdout, /said by one/);
    assert.doesNotMatch(stdout, /not reached/);
});

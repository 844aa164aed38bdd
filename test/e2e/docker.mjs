/*
 * A Docker engine of the tests' own, without a network, and images of a program that does what its
 * argument says. Needs root, Debian's docker.io and a C compiler.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

import { has } from './aws.mjs';
import { waitFor } from './harness.mjs';

const program = `#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <unistd.h>
static void end(int number) { _exit(0); }
int main(int argc, char **argv)
{
    char line[100] = "";
    if (strcmp(argv[1], "check") == 0) {
        FILE *f = fopen("/proc/1/cmdline", "r");
        size_t n = fread(line, 1, sizeof line - 1, f);
        puts("asked how it is");
        return n > 5 && strcmp(line + 5, "sick") == 0;
    }
    printf("%s begins\\n", argv[1]);
    fflush(stdout);
    if (strcmp(argv[1], "crash") == 0)
        return 3;
    signal(SIGTERM, end);
    for (;;)
        pause();
}
`;

/* What programs need that are not where Debian puts them. */
const inherited = () => Object.fromEntries(['PATH', 'PYTHONPATH', 'LD_LIBRARY_PATH'].filter((name) => process.env[name]).map((name) => [name, process.env[name]]));

/* Why it cannot run here; false where it can. */
export function whyNoDocker() {
    if (process.getuid() !== 0) return 'the Docker engine needs root';
    const missing = ['dockerd', 'docker', 'docker-compose', 'cc', 'tar'].filter((name) => !has(name));
    return missing.length > 0 && `there is no ${missing.join(', no ')}`;
}

export class Docker {
    /* Gives null where the engine does not come up on this machine. */
    static async start() {
        const docker = new Docker();
        docker.dir = await mkdtemp(path.join(os.tmpdir(), 'holdfast-docker-'));
        const at = (name) => path.join(docker.dir, name);
        docker.env = { ...inherited(), DOCKER_HOST: `unix://${at('sock')}`, DOCKER_CONFIG: at('config'), HOME: docker.dir };
        docker.daemon = spawn('dockerd', ['--data-root', at('data'), '--exec-root', at('exec'), '--pidfile', at('pid'), '-H', docker.env.DOCKER_HOST,
            '--iptables=false', '--ip6tables=false', '--bridge=none', '--storage-driver=vfs'], { stdio: ['ignore', 'ignore', 'pipe'] });
        docker.ended = once(docker.daemon, 'close');
        docker.daemon.stderr.setEncoding('utf8').on('data', (text) => (docker.log = `${docker.log ?? ''}${text}`.slice(-2000)));
        process.on('exit', () => docker.daemon.kill());
        const up = await waitFor('the Docker engine', async () => docker.daemon.exitCode !== null || await docker.run('version').then(() => true, () => false), { timeout: 30_000, every: 100 }).catch(() => false);
        if (!up || docker.daemon.exitCode !== null) {
            await docker.stop();
            console.error(docker.log);
            return null;
        }
        await mkdir(at('root'));
        await writeFile(at('app.c'), program);
        await promisify(execFile)('cc', ['-static', '-w', '-o', at('root/app'), at('app.c')]);
        await promisify(execFile)('tar', ['-C', at('root'), '-cf', at('root.tar'), 'app']);
        return docker;
    }

    async run(...args) {
        const { stdout } = await promisify(execFile)('docker', args, { env: this.env });
        return stdout.trim();
    }

    /* As somebody would by hand. */
    compose(cwd, release, ...args) {
        return promisify(execFile)('docker-compose', args, { cwd, env: { ...inherited(), ...this.env, RELEASE: release } });
    }

    /* An image that does so, under a name; its id. Two are never the same. */
    image(name, does = 'good') {
        return this.run('import', '-c', `CMD ["/app", "${does}"]`, '-c', `LABEL made=${process.hrtime.bigint()}`, path.join(this.dir, 'root.tar'), name);
    }

    async stop() {
        if (this.daemon.exitCode === null) {
            const all = (await this.run('ps', '-aq').catch(() => '')).split('\n').filter(Boolean);
            if (all.length) await this.run('rm', '-f', ...all).catch(() => {});
            this.daemon.kill();
        }
        await this.ended;
        await rm(this.dir, { recursive: true, force: true });
    }
}

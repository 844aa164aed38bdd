/* Programs of others that a test answers for itself (test/stand_in.c). */
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';

import { binary } from './harness.mjs';

const program = path.join(path.dirname(binary), 'test/stand_in');

/* What a moment throws when it was the last one of who is served. */
export class Died extends Error {}

/* The moments at which something was changed: at one of them whoever had it changed may be killed. */
export class Moments {
    count = 0;
    #child;
    #last;

    kill(child, at) {
        this.#child = child;
        this.#last = this.count + at;
    }

    /* Called behind each change. */
    pass() {
        this.count++;
        if (!this.#child || this.count !== this.#last) return;
        this.#child.kill('SIGKILL');
        this.#child = undefined;
        throw new Died();
    }
}

/* What it asked, by the protocol of stand_in.c; the last text may be missing its end. */
function read(data) {
    const texts = data.toString().split('\0');
    const first = texts.indexOf('', 1), second = texts.indexOf('', first + 1);
    const env = Object.fromEntries(texts.slice(first + 1, second).map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]));
    return { name: texts[0], args: texts.slice(1, first), env, cwd: texts[second + 1] };
}

export class StandIn {
    /*
     * In the place of programs of these names answer({ name, args, env, cwd }) is asked, which gives
     * { code, out, err }, each with a default, or throws Died. env has what finds them.
     */
    static async start(names, answer) {
        const standIn = new StandIn();
        standIn.dir = await mkdtemp(path.join(os.tmpdir(), 'holdfast-stand-in-'));
        standIn.bin = path.join(standIn.dir, 'bin');
        await mkdir(standIn.bin);
        for (const name of names) await symlink(program, path.join(standIn.bin, name));
        const socket = path.join(standIn.dir, 'socket');
        standIn.server = net.createServer({ allowHalfOpen: true }, (connection) => standIn.#serve(connection, answer));
        await once(standIn.server.listen(socket), 'listening');
        standIn.env = { PATH: standIn.bin, STAND_IN: socket };
        return standIn;
    }

    async #serve(connection, answer) {
        const data = [];
        connection.on('error', () => {}).on('data', (piece) => data.push(piece)); // who asked may be dead by now
        try {
            await once(connection, 'end');
            const { code = 0, out = '', err = '' } = await answer(read(Buffer.concat(data)));
            connection.end(`${code} ${Buffer.byteLength(out)}\n${out}${err}`);
        } catch (e) {
            if (!(e instanceof Died) && e.code !== 'ECONNRESET') console.error(e);
            connection.destroy();
        }
    }

    async stop() {
        this.server.close();
        await rm(this.dir, { recursive: true, force: true });
    }
}

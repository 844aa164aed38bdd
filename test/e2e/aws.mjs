/* Amazon's services for the end-to-end tests: the fake of test/interop, and moto where it is there. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const program = path.join(path.dirname(fileURLToPath(import.meta.url)), '../interop/aws_fake.py');

/* What the fake knows keys by. */
export const account = '123456789012';
export const region = 'eu-west-1';
export const keys = { id: 'AKIDEXAMPLE', secret: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' };
export const temporary = { id: 'ASIAEXAMPLE', secret: 'temporary/K7MDENG+bPxRfiCYEXAMPLE', token: 'session/token+with=signs' };

const clean = { identities: {}, topics: {}, subscriptions: [], failures: [], messages: [], confirms: true, verification: 'Pending', dateOffset: 0, pageSize: 100 };

/* Whether a program is on this machine. */
export function has(name) {
    return process.env.PATH.split(':').some((directory) => {
        try {
            accessSync(path.join(directory, name), constants.X_OK);
            return true;
        } catch {
            return false;
        }
    });
}

/* A fake that checks every signature, keeps what it is told and records what it was asked. */
export class Aws {
    static async start() {
        const aws = new Aws();
        aws.child = spawn('python3', [program], { stdio: ['pipe', 'pipe', 'inherit'] });
        const [port] = await once(createInterface(aws.child.stdout), 'line');
        aws.url = `http://127.0.0.1:${port}`;
        aws.account = (await aws.state()).account;
        aws.env = { AWS_ENDPOINT_URL: aws.url, AWS_REGION: region, AWS_ACCESS_KEY_ID: keys.id, AWS_SECRET_ACCESS_KEY: keys.secret };
        return aws;
    }

    async #control(method, what, body) {
        const answer = await fetch(`${this.url}/_fake/${what}`, { method, body: body && JSON.stringify(body) });
        assert.equal(answer.status, 200);
        return answer.json();
    }

    state() {
        return this.#control('GET', 'state');
    }

    change(state) {
        return this.#control('PUT', 'state', state);
    }

    /* What is there from now on, beside what is always there; and nothing was asked yet. */
    async lay(state = {}) {
        await this.change({ ...clean, account: this.account, ...state });
        await this.asked();
    }

    /* The actions that it was asked for since the last time. */
    async asked() {
        return (await this.#control('GET', 'calls')).map(({ action }) => action);
    }

    async stop() {
        this.child.stdin.end();
        await once(this.child, 'close');
    }
}

/* The endpoint at which a container finds credentials. seen: path and Authorization of each request. */
export async function startContainer() {
    const seen = [];
    const server = http.createServer((request, response) => {
        seen.push([request.url, request.headers.authorization]);
        response.end(JSON.stringify({
            AccessKeyId: temporary.id, SecretAccessKey: temporary.secret, Token: temporary.token,
            Expiration: new Date(Date.now() + 3_600_000).toISOString(),
        }));
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return { seen, url: `http://127.0.0.1:${server.address().port}/v1/credentials`, close: () => server.close() };
}

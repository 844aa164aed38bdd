#!/usr/bin/env node
/*
 * What deployments ask of PM2, without PM2: it answers in a fraction of the time, so that tests can
 * ask often. It has no daemon: what has ended is found, and started again, when somebody asks.
 *
 * commands: ping, jlist, start FILE.json, reload FILE --only APP --update-env, delete NAME, save, kill
 */
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const home = process.env.PM2_HOME, stateFile = path.join(home, 'state.json');
const restartsMax = 16, endMs = 3000;
const sleep = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

function isAlive(pid) {
    try {
        return !/\) [ZX]/.test(fs.readFileSync(`/proc/${pid}/stat`, 'utf8'));
    } catch {
        return false;
    }
}

function run(entry) {
    const { app, env } = entry;
    const [out, err] = [app.out_file, app.error_file].map((file) => fs.openSync(file ?? path.join(home, `${app.name}.log`), 'a'));
    const child = spawn('node', [app.script], { cwd: app.cwd, env, detached: true, stdio: ['ignore', out, err] });
    child.unref();
    Object.assign(entry, { pid: child.pid, since: Date.now(), status: 'online' });
}

function end({ pid }) {
    if (!isAlive(pid)) return;
    process.kill(pid, 'SIGINT');
    for (const until = Date.now() + endMs; isAlive(pid) && Date.now() < until;) sleep(10);
    if (isAlive(pid)) process.kill(pid, 'SIGKILL');
}

function look(entry) {
    if (entry.status !== 'online' || isAlive(entry.pid)) return;
    if (entry.app.autorestart === false) entry.status = 'stopped';
    else if (entry.restarts++ >= restartsMax) entry.status = 'errored';
    else run(entry);
}

const appsOf = (file) => require(path.resolve(file)).apps;

const commands = {
    ping() {},
    jlist(all) {
        console.log(`[PM2] a word for people\n${JSON.stringify(all.map(({ app, pid, status, restarts, since, env }) => ({
            name: app.name, pid, pm2_env: { status, exec_mode: 'fork_mode', restart_time: restarts, pm_uptime: since, env },
        })))}`);
    },
    start(all, file) {
        for (const app of appsOf(file)) {
            const entry = { app, env: { ...process.env, ...app.env }, restarts: 0 };
            run(entry);
            all.push(entry);
        }
    },
    reload(all, file, _only, name) {
        const app = appsOf(file).find((a) => a.name === name);
        const there = all.filter((entry) => entry.app.name === name);
        if (there.length === 0) {
            there.push({ env: {}, restarts: -1 });
            all.push(there[0]);
        } else {
            there.forEach(end);
        }
        for (const entry of there) {
            Object.assign(entry, { app, env: { ...entry.env, ...process.env, ...app.env }, restarts: entry.restarts + 1 });
            run(entry);
        }
    },
    delete(all, name) {
        const found = all.filter(({ app }) => name === undefined || app.name === name);
        found.forEach(end);
        all.splice(0, all.length, ...all.filter((entry) => !found.includes(entry)));
        if (name && found.length === 0) process.exitCode = 1;
    },
    kill(all) {
        commands.delete(all);
    },
    save() {
        fs.writeFileSync(path.join(home, 'dump.pm2'), '[]');
    },
};

fs.mkdirSync(home, { recursive: true });
const all = fs.existsSync(stateFile) ? JSON.parse(fs.readFileSync(stateFile)) : [];
all.forEach(look);
commands[process.argv[2]](all, ...process.argv.slice(3));
fs.writeFileSync(`${stateFile}.new`, JSON.stringify(all));
fs.renameSync(`${stateFile}.new`, stateFile);

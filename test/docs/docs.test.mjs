/* The documents say what the program does: what they name exists, what they list is complete. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { Installation, waitFor } from '../e2e/harness.mjs';
import { actions, binary, commands, cut, packages, places, read, root, settings } from './tables.mjs';

const markdown = ['README.md', 'docs/ARCHITECTURE.md', 'docs/OPERATIONS.md'];
const manual = 'docs/holdfast.1';

/* Names in capitals that are no settings: constants of the program and of the system. */
const constant = /^(LANE|STORE|AF)_/;

let installation, openapi, metrics;

before(async () => {
    installation = await Installation.create();
    const server = await installation.start();
    openapi = (await server.api('GET', '/openapi.json')).body;
    // The figures of mail come with housekeeping's first round.
    metrics = await waitFor('all metrics', async () => {
        const { body } = await server.api('GET', '/metrics');
        return body.includes('holdfast_email_') && body;
    });
});
after(() => installation.remove());

/* What stands in code: blocks between fences, and spans between backticks. */
function code(text) {
    const blocks = [...text.matchAll(/^```\w*\n([\s\S]*?)^```/gm)].map(([, block]) => block);
    const spans = text.replace(/^```[\s\S]*?^```/gm, '').matchAll(/`([^`\n]+)`/g);
    return [...blocks, ...[...spans].map(([, span]) => span)].map((part) => part.replace(/\\\n\s*/g, ' '));
}

const lines = (text) => code(text).flatMap((part) => part.split('\n'));

const { description, scripts } = JSON.parse(read('package.json'));

/* The calls of holdfast in a line of code, as lists of words; a pipe or a list ends one. */
function calls(line) {
    const found = line.replace(/npm run (?:--silent )?([\w:]+)(?: --(?= ))?/g, (whole, name) => scripts[name] ?? whole)
        .replace(/\bscript\/server\b/g, 'holdfast serve')
        .matchAll(/(?:^|[\s/])holdfast ((?:"[^"]*"|'[^']*'|[^|;&<>"'])*)/g);
    return [...found].map(([, rest]) => rest.match(/"[^"]*"|'[^']*'|\S+/g) ?? [])
        .map((words) => (words[0] === 'holdfast' ? words.slice(1) : words)); // sudo -u holdfast holdfast
}

/* Says what is wrong with a call, or nothing. */
function judge(words, known) {
    if (/^(--help|--version|COMMAND)$/.test(words[0]) || words.includes('v1')) return undefined;
    const command = known.find((c) => c.name === words.slice(0, 2).join(' ')) ?? known.find((c) => c.name === words[0]);
    if (!command) return `there is no command ${words.slice(0, 2).join(' ')}`;
    const unknown = words.filter((word) => /^--?[a-z]/.test(word)).find((word) =>
        !command.options.some((o) => word.split('=')[0] === `--${o.name}` || word === `-${o.letter}`));
    return unknown && `${command.name} has no option ${unknown}`;
}

for (const file of markdown) {
    test(`${file}: the commands and options that it names exist`, () => {
        const known = commands();
        const named = lines(read(file)).flatMap(calls).filter((words) => words.length > 0 && /^[a-z-]/.test(words[0]));
        assert.ok(named.length > 0);
        assert.deepEqual(named.map((words) => judge(words, known)).filter(Boolean), []);
    });

    test(`${file}: the settings that it names exist`, () => {
        const known = new Set(settings().map((s) => s.name));
        const named = lines(read(file)).flatMap((line) => line.match(/\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+(?==|$)/g) ?? []);
        assert.deepEqual(named.filter((name) => !known.has(name) && !constant.test(name)), []);
    });

    test(`${file}: the metrics that it names exist`, () => {
        const named = read(file).match(/\bholdfast_[a-z_]+/g) ?? [];
        const series = new Set(metrics.match(/^holdfast_[a-z_]+/gm));
        assert.deepEqual(named.filter((name) => !series.has(name)), []);
    });

    test(`${file}: what it links to is there`, () => {
        const links = [...read(file).matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, link]) => link);
        assert.deepEqual(links.filter((link) => !existsSync(path.join(root, path.dirname(file), link))), []);
    });

    test(`${file}: the scripts that it names are there`, () => {
        const named = read(file).match(/\b(?:script|src|test|bench)\/[\w./-]*\w/g) ?? [];
        assert.deepEqual(named.filter((name) => !existsSync(path.join(root, name))), []);
        const run = lines(read(file)).flatMap((line) => [...line.matchAll(/\bnpm run (?:--silent )?([\w:]+)/g)]);
        assert.deepEqual(run.map(([, name]) => name).filter((name) => !(name in scripts)), []);
    });

    test(`${file}: the stages that it names are there`, () => {
        for (const script of ['script/test', 'script/check']) {
            const stages = execFileSync(path.join(root, script), ['--list'], { encoding: 'utf8' }).match(/^[\w-]+/gm);
            const known = new Set([...stages, '--list', '--quick']);
            const named = lines(read(file)).flatMap((line) => new RegExp(`(?:^|\\s)${script} ([\\w -]+)`).exec(line)?.[1].match(/\S+/g) ?? []);
            assert.deepEqual(named.filter((name) => !known.has(name)), [], script);
        }
    });
}

/* Whether a path with ids or variables in it is the one with {parameters}. */
function matches(template, target) {
    const a = template.split('/'), b = target.split('/');
    return a.length === b.length && a.every((part, i) => part === b[i] || (/^\{/.test(part) && b[i] !== ''));
}

function hasRoute(method, target) {
    return Object.entries(openapi.paths).some(([template, methods]) =>
        matches(template, target) && (method === undefined || method.toLowerCase() in methods));
}

/* The sandbox's routes are in no OpenAPI document. */
function sandboxHas(method, target) {
    const rows = [...read('src/api/sandbox_http.c').matchAll(/\{HTTP_(\w+), LANE_\w+, "([^"]+)"/g)];
    return rows.some(([, known, template]) => known === method && matches(template.replace(/:\w+/g, '{}'), target));
}

test('the routes that the documents call exist, with their methods', () => {
    const wrong = [];
    let count = 0;
    for (const file of markdown) {
        for (const line of lines(read(file))) {
            const target = /\bcurl\b.*?https?:\/\/[^/\s]+(\/[^\s"'?|]*)/.exec(line)?.[1];
            if (target === undefined) continue;
            const method = /-X (\w+)/.exec(line)?.[1] ?? (/\s-d\s/.test(line) ? 'POST' : 'GET');
            count++;
            const has = line.includes(':8025/') ? sandboxHas : hasRoute;
            if (!has(method, target)) wrong.push(`${file}: ${method} ${target}`);
        }
        for (const [, method, target] of read(file).matchAll(/`(?:(GET|POST|PUT|PATCH|DELETE) )?(\/(?:auth|v1|oauth)\/[^\s`?]*)/g)) {
            count++;
            if (!hasRoute(method, target.replace(/:(\w+)/g, '{$1}'))) wrong.push(`${file}: ${method} ${target}`);
        }
    }
    assert.ok(count > 10);
    assert.deepEqual(wrong, []);
});

test('package.json, the manual and the help name the parts that the API does', () => {
    const [tagline, list] = openapi.info.description.split('\n\n');
    const parts = list.split('\n').map((line) => /^- ((.*?): .*)$/.exec(line).slice(1));
    const names = parts.map(([, name]) => name[0].toLowerCase() + name.slice(1)).join(', ');
    assert.equal(`Holdfast ${description[0].toLowerCase()}${description.slice(1)}.`, tagline.replace(/\.$/, `: ${names}.`));
    assert.equal(/^\.Nd (.*)$/m.exec(read(manual))[1], names);
    const help = execFileSync(binary, ['--help'], { encoding: 'utf8' });
    assert.ok(help.startsWith(`${tagline}\n\n${parts.map(([line]) => line).join('\n')}\n\n`), help);
});

test('/docs has a word for everybody who may call', () => {
    const words = /const WHO = \{([^}]*)\}/.exec(read('src/http/docs/app.js'))[1].match(/\w+(?=:)/g);
    const known = Object.values(openapi.paths).flatMap(Object.values).map((route) => route['x-permission']);
    assert.deepEqual([...new Set(known)].filter((name) => !words.includes(name)), []);
});

for (const [file, name, make] of places) {
    test(`${file}: the table of ${name} is as script/docs writes it`, () => {
        assert.equal(cut(file, name).table, make(openapi));
    });
}

test('the settings, commands and packages are read whole', () => {
    assert.ok(settings().length > 30 && settings().every((s) => s.text));
    assert.ok(commands().length > 5 && commands().every((c) => c.options.some((o) => o.name === 'help')));
    assert.ok(packages().every((p) => p.set && p.name && p.why));
    assert.equal(settings().find((s) => s.name === 'PORT').range, '0 to 65535');
    assert.equal(actions().length, read('src/trail/actions.h').match(/\bX\([A-Z]/g).length);
});

test('the actions of the trail that the documents select exist', () => {
    const known = new Set(actions().map((a) => a.name));
    const named = markdown.flatMap((file) => [...read(file).matchAll(/\.action \| IN\(([^)]*)\)/g)])
        .flatMap(([, list]) => list.match(/[\w.]+/g));
    assert.ok(named.length > 0);
    assert.deepEqual(named.filter((name) => !known.has(name)), []);
});

test('docs/ARCHITECTURE.md names the labels by which keys are derived, and no others', () => {
    const sources = readdirSync(path.join(root, 'src'), { recursive: true }).filter((file) => /\.[ch]$/.test(file) && !/_test\.c$/.test(file));
    const labels = sources.flatMap((file) => read(`src/${file}`).match(/(?<=STR(?:_INIT)?\(")holdfast [^"\\]* v1[^"\\]*(?="\))/g) ?? []);
    const told = read('docs/ARCHITECTURE.md').match(/(?<=`)holdfast [^`]* v1[^`]*(?=` \|)/g);
    assert.deepEqual(told.sort(), [...new Set(labels)].filter((label) => label !== 'holdfast jwt kid v1 ').sort());
});

/* The first column of the table under a heading. */
function column(file, heading) {
    const text = read(file), from = text.indexOf(`# ${heading}\n`);
    const rows = text.slice(from).split('\n').slice(1);
    const first = rows.findIndex((line) => line.startsWith('|')), length = rows.slice(first).findIndex((line) => !line.startsWith('|'));
    return rows.slice(first + 2, first + length).map((line) => line.split('|')[1].trim());
}

test('docs/ARCHITECTURE.md tells of all rooms in their order, and of all tables', () => {
    const rooms = /^foreach room : \[([^\]]*)\]/m.exec(read('src/meson.build'))[1].match(/\w+/g);
    assert.deepEqual(column('docs/ARCHITECTURE.md', 'Rooms'), rooms);
    const schema = readdirSync(path.join(root, 'src/store/schema')).map((file) => read(`src/store/schema/${file}`)).join('');
    const named = (verb) => [...schema.matchAll(new RegExp(`^${verb} TABLE (\\w+)`, 'gm'))].map(([, name]) => name);
    const dropped = named('DROP');
    const tables = new Set(named('CREATE').filter((name) => !dropped.includes(name))); // some were made anew
    assert.deepEqual(column('docs/ARCHITECTURE.md', 'Tables').sort(), [...tables, 'schema_migrations'].sort());
});

/* The text of a manual page's section or subsection. */
function section(page, macro, title) {
    const at = page.indexOf(`\n.${macro} ${title}\n`);
    assert.ok(at >= 0, `the manual has no .${macro} ${title}`);
    const rest = page.slice(at + 1);
    const end = rest.slice(1).search(macro === 'Ss' ? /\n\.S[sh] / : /\n\.Sh /);
    return end < 0 ? rest : rest.slice(0, end + 1);
}

test('the manual tells of all commands with all their options, and of no others', () => {
    const page = read(manual), known = commands();
    for (const command of known) {
        const text = section(page, 'Ss', command.name);
        const told = [...text.matchAll(/^\.It (?:Fl (\w) , )?Fl -([\w-]+)(?: Ar (\S+))?$/gm)]
            .map(([, letter, name, value]) => [letter, name, value]);
        assert.deepEqual(told, command.options.filter((o) => !['help', 'config'].includes(o.name))
            .map((o) => [o.letter, o.name, o.value]), `options of ${command.name}`);
    }
    const told = [...section(page, 'Sh', 'COMMANDS').matchAll(/^\.Ss (.*)$/gm)].map(([, name]) => name);
    assert.deepEqual(told, known.map((c) => c.name));
});

test('the manual tells of all settings as the program does, and of no others', () => {
    const items = section(read(manual), 'Sh', 'ENVIRONMENT').split(/^\.It Ev /m).slice(1).map((item) => {
        const [name, ...rest] = item.split(/^\.El/m)[0].trim().split('\n');
        return [name, rest.join(' ').replaceAll('\\&', '')];
    });
    assert.deepEqual(items.map(([name]) => name), settings().map((s) => s.name));
    for (const [i, s] of settings().entries())
        for (const told of [s.text.replace('…', '...'), s.byDefault, s.production, s.range, s.choices])
            assert.ok(items[i][1].includes(told ?? ''), `${s.name}: ${told}`);
});

test('the manual page is well-formed', () => {
    const { status, stdout, stderr } = spawnSync('mandoc', ['-T', 'lint', '-W', 'warning', path.join(root, manual)], { encoding: 'utf8' });
    assert.equal(status, 0, stdout + stderr);
});

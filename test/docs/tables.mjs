/*
 * The tables of the documents, each made from what it lists. In a document a table stands between
 * "<!-- table: NAME -->" and "<!-- end -->", in the manual between comments of mdoc; script/docs writes it, and the test compares it.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const binary = process.env.HOLDFAST_BINARY ?? path.join(root, 'build/holdfast');
export const read = (file) => readFileSync(path.join(root, file), 'utf8');
const help = (...args) => execFileSync(binary, [...args, '--help'], { encoding: 'utf8' });

const cell = (text) => text.replaceAll('|', '\\|');

function table(head, rows) {
    const line = (cells) => `| ${cells.map(cell).join(' | ')} |`;
    return [line(head), `|${head.map(() => '---').join('|')}|`, ...rows.map(line)].join('\n');
}

/* { name, words, summary, description, options: [{ letter, name, value, help }] } a command. */
export function commands() {
    const list = execFileSync(binary, ['--help'], { encoding: 'utf8' });
    const names = [...list.slice(list.indexOf('\nCommands:\n')).matchAll(/^ {2}(\S+(?: \S+)?) {2,}(\S.*)$/gm)];
    return names.map(([, name, summary]) => {
        const page = help(...name.split(' '));
        const words = /^Usage: holdfast (.*) \[OPTION/.exec(page)[1].slice(name.length).trim();
        const listed = page.slice(page.indexOf('\nOptions:\n'), page.indexOf('\nExit status:'));
        const options = [...listed.matchAll(/^ {2}(?:-(\w), | {4})--([\w-]+)(?: (\S+))? {2,}(.*)$/gm)]
            .map(([, letter, option, value, text]) => ({ letter, name: option, value, help: text }));
        return { name, words, summary, options };
    });
}

/* { name, text, byDefault, production, range, choices, reload } a setting. */
export function settings() {
    const page = help('serve');
    const blocks = page.slice(page.indexOf('\nSettings ')).matchAll(/^([A-Z][A-Z0-9_]+)\n((?: {4}.*\n?)+)/gm);
    return [...blocks].map(([, name, lines]) => {
        const [text, ...rest] = lines.trimEnd().split('\n').map((line) => line.trim());
        const facts = rest.find((line) => line.startsWith('Default:'))?.slice(9).split('; ') ?? [];
        const found = (pattern) => facts.map((fact) => pattern.exec(fact)?.[1]).find(Boolean);
        return {
            name,
            text,
            byDefault: facts.length && !/^one of |^-?\d+ to /.test(facts[0]) ? facts[0] : undefined,
            production: found(/^in production: (.*)/),
            range: found(/^(-?\d+ to \d+)$/),
            choices: found(/^one of (.*)/),
            reload: rest.some((line) => line.includes('SIGHUP')),
        };
    });
}

/* { name, text, byDefault } a key of holdfast.yml. */
export function keys() {
    const page = help('deploy');
    const blocks = page.slice(page.indexOf('\nKeys of ')).matchAll(/^([a-z][A-Za-z_.]+)\n((?: {4}.*\n?)+)/gm);
    return [...blocks].map(([, name, lines]) => {
        const [text, byDefault] = lines.trimEnd().split('\n').map((line) => line.trim());
        return { name, text, byDefault: byDefault?.replace('Default: ', '') };
    });
}

/* { set, name, why } a package of script/bootstrap. */
export function packages() {
    const listed = /^packages='\n([^']*)'/m.exec(read('script/bootstrap'))[1];
    return listed.trim().split('\n').map((line) => {
        const [set, name, why] = line.split('|').map((part) => part.trim());
        return { set, name, why };
    });
}

/* { name, help } an action of the trail. */
export function actions() {
    return [...read('src/trail/actions.h').matchAll(/^ {4}X\(\w+,\s*"([^"]+)",\s*"([^"]+)"\)/gm)]
        .map(([, name, text]) => ({ name, help: text }));
}

function settingsTable() {
    return table(['setting', 'default', 'takes', 'what it is', 'SIGHUP'], settings().map((s) => [
        `\`${s.name}\``,
        (s.byDefault ? `\`${s.byDefault}\`` : '') + (s.production ? `; production: \`${s.production}\`` : ''),
        s.range ?? s.choices ?? '',
        s.text,
        s.reload ? 'yes' : '',
    ]));
}

function keysTable() {
    return table(['key', 'default', 'what it is'], keys().map((k) => [
        `\`${k.name}\``,
        k.byDefault === '(needed)' ? 'needed' : k.byDefault ? `\`${k.byDefault}\`` : '',
        k.text,
    ]));
}

function commandsTable() {
    return table(['command', 'what it does'], commands().map((c) =>
        [`\`holdfast ${[c.name, c.words].join(' ').trim()}\``, c.summary]));
}

function packagesTable() {
    return table(['for', 'package', 'why'], packages().map((p) => [p.set, `\`${p.name}\``, p.why]));
}

function actionsTable() {
    return table(['action', 'a record of it says'], actions().map((a) => [`\`${a.name}\``, a.help]));
}

/* What a restore carries over (src/deploy/carry_rules.c), as a program of the build lists it. */
function carryTable() {
    const list = execFileSync(path.join(path.dirname(binary), 'test/carry_rules'), { encoding: 'utf8' });
    return table(['what', 'found by', 'what changes', 'taken is'], list.trimEnd().split('\n').map((line) => {
        const [says, key, columns, tighter] = line.split('\t');
        return [says, `\`${key}\``, columns, tighter];
    }));
}

function routesTable(openapi) {
    const rows = Object.entries(openapi.paths).flatMap(([at, methods]) =>
        Object.entries(methods).map(([method, route]) =>
            [`\`${method.toUpperCase()} ${at}\``, route['x-permission'], route.summary]));
    return table(['route', 'who', 'what it does'], rows);
}

/* Whom the routes ask for, in the order in which they first do. */
function permissionsTable(openapi) {
    const routes = Object.values(openapi.paths).flatMap(Object.values);
    return table(['who', 'what that means'], [...new Map(routes.map((route) => [`\`${route['x-permission']}\``, route.description]))]);
}

/* A list of the manual: a line a sentence, as mdoc wants it; no line begins with a dot or a quote. */
function settingsList() {
    const lines = (text) => text.replace(/([^.]\.) (?=[A-Z])/g, '$1\n').replaceAll('…', '...')
        .split('\n').map((line) => line.replaceAll('\\', '\\e').replace(/^(?=[.'])/, '\\&'));
    return settings().flatMap((s) => {
        const facts = [s.byDefault, s.production && `in production: ${s.production}`, s.range, s.choices && `one of ${s.choices}`];
        const known = facts.filter(Boolean).join('; ');
        const head = s.byDefault ? 'Default: ' : 'Takes ';
        return [`.It Ev ${s.name}`, ...lines(s.text), ...(known ? [`${head}${known}.`] : []),
            ...(s.reload ? ['Taken over by SIGHUP.'] : [])];
    }).join('\n');
}

/* Where each table stands. */
export const places = [
    ['README.md', 'commands', commandsTable],
    ['README.md', 'permissions', permissionsTable],
    ['README.md', 'routes', routesTable],
    ['docs/OPERATIONS.md', 'settings', settingsTable],
    ['docs/OPERATIONS.md', 'actions', actionsTable],
    ['docs/OPERATIONS.md', 'keys', keysTable],
    ['docs/ARCHITECTURE.md', 'carry', carryTable],
    ['docs/ARCHITECTURE.md', 'packages', packagesTable],
    ['docs/holdfast.1', 'settings', settingsList],
];

/* What a place is between. */
function marks(file, name) {
    return file.endsWith('.md') ? [`<!-- table: ${name} -->\n`, '\n<!-- end -->'] : [`.\\" table: ${name}\n`, '\n.\\" end'];
}

export function cut(file, name) {
    const text = read(file), [begin, end] = marks(file, name);
    const from = text.indexOf(begin) + begin.length, to = text.indexOf(end, from);
    if (from < begin.length || to < 0) throw new Error(`${file} has no place for the table ${name}`);
    return { before: text.slice(0, from), table: text.slice(from, to), after: text.slice(to) };
}

/* openapi: the parsed document that the server gives. */
export function writeTables(openapi) {
    for (const [file, name, make] of places) {
        const { before, after } = cut(file, name);
        writeFileSync(path.join(root, file), before + make(openapi) + after);
    }
}

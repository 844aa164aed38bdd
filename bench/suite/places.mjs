// Where things are, and running them.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const build = path.join(root, 'build');
export const holdfast = path.join(build, 'holdfast');
export const peer = path.join(root, 'bench/peer');
export const tool = (name) => path.join(build, 'bench', name);

// Runs a program to its end and returns its standard output; throws with its standard error.
export function run(command, args, options = {}) {
  try {
    return execFileSync(command, args, {
      encoding: 'utf8',
      maxBuffer: 1 << 28,
      stdio: ['pipe', 'pipe', 'pipe'],
      ...options,
    });
  } catch (error) {
    const said = `${error.stderr ?? ''}${error.stdout ?? ''}`.trim().slice(-2000);
    throw new Error(`${command} ${args.join(' ')}: ${said || error.message}`);
  }
}

export function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

// Builds what is measured, and what measures.
export function prepare() {
  if (!fs.existsSync(path.join(build, 'build.ninja'))) {
    run('meson', ['setup', build, root]);
  }
  run('ninja', ['-C', build]);
  if (!fs.existsSync(path.join(peer, 'node_modules'))) {
    run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: peer });
  }
  run('npm', ['run', 'build'], { cwd: peer });
}

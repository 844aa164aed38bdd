import 'reflect-metadata';

import cluster from 'node:cluster';

import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';

import { AppModule } from './app.module.js';
import { settings } from './settings.js';

async function serve() {
  const app = await NestFactory.create<NestFastifyApplication>(AppModule, new FastifyAdapter(), {
    logger: ['warn', 'error'],
  });
  app.enableShutdownHooks();
  await app.listen(settings.port, '127.0.0.1');
}

function supervise() {
  let stopping = false;
  for (let i = 0; i < settings.workers; i++) {
    cluster.fork();
  }
  cluster.on('exit', () => {
    if (!stopping) {
      process.exit(1);
    }
  });
  process.once('SIGTERM', () => {
    stopping = true;
    for (const worker of Object.values(cluster.workers ?? {})) {
      worker?.process.kill('SIGTERM');
    }
  });
}

if (cluster.isPrimary && settings.workers > 1) {
  supervise();
} else {
  await serve();
}

import { availableParallelism } from 'node:os';

function required(name: string): string {
  const value = process.env[name];
  if (!value) {
    throw new Error(`${name} is not set`);
  }
  return value;
}

export const settings = {
  port: Number(process.env.PORT ?? 3000),
  databaseUrl: required('DATABASE_URL'),
  jwtSecret: Buffer.from(required('JWT_SECRET'), 'hex'),
  workers: Number(process.env.WORKERS ?? availableParallelism()),
  poolSize: Number(process.env.POOL_SIZE ?? 10),
  accessTokenTtlSeconds: 900,
  refreshTtlMs: 90 * 24 * 3600 * 1000,
};

// Argon2id as OWASP asks for it: 19 MiB, two passes, one lane.
export const passwordCost = { memoryCost: 19456, timeCost: 2, parallelism: 1 };

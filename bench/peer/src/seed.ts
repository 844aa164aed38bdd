// Creates the schema and users user1@… to userN@…: node dist/seed.js N (the password on stdin).
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';

import { hash } from '@node-rs/argon2';
import pg from 'pg';

import { schema } from './database.js';
import { passwordCost, settings } from './settings.js';

const count = Number(process.argv[2]);
const password = readFileSync(0, 'utf8').trim();
const client = new pg.Client({ connectionString: settings.databaseUrl });
await client.connect();
await client.query(schema);
const tenantId = randomUUID();
const passwordHash = await hash(password, passwordCost);
for (let i = 1; i <= count; i++) {
  await client.query(
    `INSERT INTO users (id, tenant_id, email, role, password_hash, disabled, email_status, mfa_enabled)
     VALUES ($1, $2, $3, 'member', $4, false, 'ok', false)`,
    [randomUUID(), tenantId, `user${i}@bench.example`, passwordHash],
  );
}
await client.end();

import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import pg from 'pg';

import { settings } from './settings.js';

// All times are milliseconds, which a double holds exactly.
pg.types.setTypeParser(pg.types.builtins.INT8, Number);

@Injectable()
export class Database implements OnApplicationShutdown {
  // In pipeline mode queries that are issued together cross the network together.
  readonly pool = new pg.Pool({
    connectionString: settings.databaseUrl,
    max: settings.poolSize,
    min: settings.poolSize,
    idleTimeoutMillis: 0,
    pipeline: true,
  } as pg.PoolConfig);

  async onApplicationShutdown() {
    await this.pool.end();
  }
}

export const schema = `
CREATE TABLE IF NOT EXISTS users (
    id UUID PRIMARY KEY,
    tenant_id UUID NOT NULL,
    email TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    disabled BOOLEAN NOT NULL,
    email_status TEXT NOT NULL,
    mfa_enabled BOOLEAN NOT NULL
);
CREATE TABLE IF NOT EXISTS families (
    id UUID PRIMARY KEY,
    user_id UUID NOT NULL REFERENCES users (id),
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    ip TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    revoked_at BIGINT
);
CREATE INDEX IF NOT EXISTS families_by_user ON families (user_id);
CREATE INDEX IF NOT EXISTS families_revoked ON families (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS refresh_tokens (
    hash BYTEA PRIMARY KEY,
    family_id UUID NOT NULL REFERENCES families (id),
    created_at BIGINT NOT NULL,
    used_at BIGINT
);
CREATE INDEX IF NOT EXISTS refresh_tokens_by_family ON refresh_tokens (family_id);
`;

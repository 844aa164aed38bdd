import { Injectable } from '@nestjs/common';

import { Database } from './database.js';

export interface User {
  id: string;
  tenantId: string;
  email: string;
  role: string;
  passwordHash: string;
  disabled: boolean;
  emailStatus: string;
  mfaEnabled: boolean;
}

export const userColumns = `u.id, u.tenant_id AS "tenantId", u.email, u.role,
  u.password_hash AS "passwordHash", u.disabled, u.email_status AS "emailStatus",
  u.mfa_enabled AS "mfaEnabled"`;

const CACHE_MS = 30_000;
const CACHE_MAX = 100_000;

@Injectable()
export class Users {
  private readonly cache = new Map<string, { user: User; until: number }>();

  constructor(private readonly database: Database) {}

  async byEmail(email: string): Promise<User | undefined> {
    const found = await this.database.pool.query({
      name: 'user-by-email',
      text: `SELECT ${userColumns} FROM users u WHERE u.email = $1`,
      values: [email],
    });
    return found.rows[0];
  }

  // What the guard needs of a user, without a query while the cached row is fresh.
  cached(id: string): User | undefined {
    const entry = this.cache.get(id);
    return entry && entry.until > Date.now() ? entry.user : undefined;
  }

  async byId(id: string): Promise<User | undefined> {
    const found = await this.database.pool.query({
      name: 'user-by-id',
      text: `SELECT ${userColumns} FROM users u WHERE u.id = $1`,
      values: [id],
    });
    const user: User | undefined = found.rows[0];
    if (user) {
      if (this.cache.size >= CACHE_MAX) {
        this.cache.clear();
      }
      this.cache.set(id, { user, until: Date.now() + CACHE_MS });
    }
    return user;
  }
}

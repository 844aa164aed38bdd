import { createHash, randomBytes, randomUUID } from 'node:crypto';

import { Injectable, UnauthorizedException } from '@nestjs/common';
import { JwtService } from '@nestjs/jwt';
import type pg from 'pg';

import { Database } from './database.js';
import { settings } from './settings.js';
import { userColumns, type User } from './users.js';

export interface Claims {
  sub: string;
  tid: string;
  sid: string;
  role: string;
}

export interface Device {
  ip: string;
  userAgent: string;
}

function newToken(): string {
  return randomBytes(48).toString('base64url');
}

function hashed(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

@Injectable()
export class Sessions {
  constructor(
    private readonly database: Database,
    private readonly jwt: JwtService,
  ) {}

  async begin(user: User, device: Device) {
    const familyId = randomUUID();
    const token = newToken();
    const now = Date.now();
    const client = await this.database.pool.connect();
    try {
      await together(
        client.query('BEGIN'),
        client.query({
          name: 'family-insert',
          text: `INSERT INTO families (id, user_id, created_at, expires_at, ip, user_agent)
                 VALUES ($1, $2, $3, $4, $5, $6)`,
          values: [familyId, user.id, now, now + settings.refreshTtlMs, device.ip, device.userAgent],
        }),
        this.insertToken(client, token, familyId, now),
        client.query('COMMIT'),
      );
      client.release();
    } catch (error) {
      client.release(true);
      throw error;
    }
    return this.answer(user, familyId, token);
  }

  async rotate(token: string) {
    const hash = hashed(token);
    const client = await this.database.pool.connect();
    try {
      const [, found] = await together(
        client.query('BEGIN'),
        client.query({
          name: 'token-lock',
          text: `SELECT ${userColumns}, t.used_at, f.id AS family_id, f.revoked_at, f.expires_at
                 FROM refresh_tokens t
                 JOIN families f ON f.id = t.family_id
                 JOIN users u ON u.id = f.user_id
                 WHERE t.hash = $1 FOR UPDATE OF t, f`,
          values: [hash],
        }),
      );
      const row = found.rows[0];
      const now = Date.now();
      if (!row || row.disabled || row.revoked_at !== null || row.expires_at <= now) {
        await client.query('ROLLBACK');
        throw new UnauthorizedException('token_invalid');
      }
      if (row.used_at !== null) {
        await together(
          client.query('UPDATE families SET revoked_at = $2 WHERE id = $1', [row.family_id, now]),
          client.query('COMMIT'),
        );
        throw new UnauthorizedException('token_reused');
      }
      const successor = newToken();
      await together(
        client.query({
          name: 'token-use',
          text: 'UPDATE refresh_tokens SET used_at = $2 WHERE hash = $1',
          values: [hash, now],
        }),
        this.insertToken(client, successor, row.family_id, now),
        client.query('COMMIT'),
      );
      client.release();
      return this.answer(row, row.family_id, successor);
    } catch (error) {
      client.release(!(error instanceof UnauthorizedException));
      throw error;
    }
  }

  private insertToken(client: pg.PoolClient, token: string, familyId: string, now: number) {
    return client.query({
      name: 'token-insert',
      text: 'INSERT INTO refresh_tokens (hash, family_id, created_at) VALUES ($1, $2, $3)',
      values: [hashed(token), familyId, now],
    });
  }

  private answer(user: User, familyId: string, refreshToken: string) {
    const claims: Claims = { sub: user.id, tid: user.tenantId, sid: familyId, role: user.role };
    return {
      accessToken: this.jwt.sign(claims, { jwtid: randomUUID() }),
      refreshToken,
      tokenType: 'Bearer',
      expiresIn: settings.accessTokenTtlSeconds,
      sessionId: familyId,
      user: { id: user.id, email: user.email, role: user.role, tenantId: user.tenantId },
    };
  }
}

// Awaits queries of one pipeline; all have ended when it returns or throws the first failure.
async function together<T extends unknown[]>(...queries: { [K in keyof T]: Promise<T[K]> }): Promise<T> {
  const results = await Promise.allSettled(queries);
  for (const result of results) {
    if (result.status === 'rejected') {
      throw result.reason;
    }
  }
  return results.map((result) => (result as PromiseFulfilledResult<unknown>).value) as T;
}

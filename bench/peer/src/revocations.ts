import { Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';

import { Database } from './database.js';
import { settings } from './settings.js';

// The families ended within an access token's life, read again each second.
@Injectable()
export class Revocations implements OnModuleInit, OnApplicationShutdown {
  private families = new Set<string>();
  private timer?: NodeJS.Timeout;

  constructor(private readonly database: Database) {}

  has(familyId: string): boolean {
    return this.families.has(familyId);
  }

  async onModuleInit() {
    await this.read();
    this.timer = setInterval(() => void this.read().catch(() => {}), 1000);
  }

  onApplicationShutdown() {
    clearInterval(this.timer);
  }

  private async read() {
    const since = Date.now() - settings.accessTokenTtlSeconds * 1000;
    const found = await this.database.pool.query({
      name: 'revoked',
      text: 'SELECT id FROM families WHERE revoked_at > $1',
      values: [since],
    });
    this.families = new Set(found.rows.map((row) => row.id));
  }
}

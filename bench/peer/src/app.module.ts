import { createSecretKey } from 'node:crypto';

import { Controller, Get, Module } from '@nestjs/common';
import { JwtModule } from '@nestjs/jwt';

import { AuthController } from './auth.controller.js';
import { Database } from './database.js';
import { JwtGuard } from './jwt.guard.js';
import { Revocations } from './revocations.js';
import { Sessions } from './sessions.js';
import { settings } from './settings.js';
import { Users } from './users.js';

@Controller()
export class HealthController {
  @Get('health')
  health() {
    return { status: 'ok' };
  }
}

// A KeyObject: jsonwebtoken would make one of a raw secret for every token it checks.
const secret = createSecretKey(settings.jwtSecret);

@Module({
  imports: [
    JwtModule.register({
      secret,
      signOptions: {
        algorithm: 'HS256',
        expiresIn: settings.accessTokenTtlSeconds,
        issuer: 'peer',
        audience: 'peer',
      },
      verifyOptions: { algorithms: ['HS256'], issuer: 'peer', audience: 'peer' },
    }),
  ],
  controllers: [AuthController, HealthController],
  providers: [Database, JwtGuard, Revocations, Sessions, Users],
})
export class AppModule {}

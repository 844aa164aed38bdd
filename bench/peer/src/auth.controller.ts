import {
  Body,
  Controller,
  Get,
  HttpCode,
  Post,
  Req,
  UnauthorizedException,
  UseGuards,
} from '@nestjs/common';
import { RouteSchema } from '@nestjs/platform-fastify';
import { hashSync, verify } from '@node-rs/argon2';
import type { FastifyRequest } from 'fastify';

import { JwtGuard } from './jwt.guard.js';
import { loginSchema, meSchema, refreshSchema } from './schemas.js';
import { passwordCost } from './settings.js';
import { Sessions } from './sessions.js';
import { Users, type User } from './users.js';

// Checked where the account does not exist, so that both answers take the same time.
const NOBODY = hashSync('nobody', passwordCost);

@Controller('auth')
export class AuthController {
  constructor(
    private readonly users: Users,
    private readonly sessions: Sessions,
  ) {}

  @Post('login')
  @HttpCode(200)
  @RouteSchema(loginSchema)
  async login(@Body() body: { email: string; password: string }, @Req() request: FastifyRequest) {
    const user = await this.users.byEmail(body.email.toLowerCase());
    const matches = await verify(user?.passwordHash ?? NOBODY, body.password);
    if (!user || !matches || user.disabled) {
      throw new UnauthorizedException('invalid_credentials');
    }
    return this.sessions.begin(user, {
      ip: request.ip,
      userAgent: request.headers['user-agent'] ?? '',
    });
  }

  @Post('refresh')
  @HttpCode(200)
  @RouteSchema(refreshSchema)
  refresh(@Body() body: { refreshToken: string }) {
    return this.sessions.rotate(body.refreshToken);
  }

  @Get('me')
  @UseGuards(JwtGuard)
  @RouteSchema(meSchema)
  me(@Req() request: FastifyRequest) {
    const { sub, sid } = request.claims;
    const user = this.users.cached(sub);
    return user ? profile(user, sid) : this.profileFromDatabase(sub, sid);
  }

  private async profileFromDatabase(id: string, sessionId: string) {
    const user = await this.users.byId(id);
    if (!user) {
      throw new UnauthorizedException('token_invalid');
    }
    return profile(user, sessionId);
  }
}

function profile(user: User, sessionId: string) {
  return {
    id: user.id,
    email: user.email,
    role: user.role,
    tenantId: user.tenantId,
    sessionId,
    emailStatus: user.emailStatus,
    mfaEnabled: user.mfaEnabled,
  };
}

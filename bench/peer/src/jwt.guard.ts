import {
  Injectable,
  UnauthorizedException,
  type CanActivate,
  type ExecutionContext,
} from '@nestjs/common';
import { JwtService } from '@nestjs/jwt';
import type { FastifyRequest } from 'fastify';

import { Revocations } from './revocations.js';
import type { Claims } from './sessions.js';

declare module 'fastify' {
  interface FastifyRequest {
    claims: Claims;
  }
}

@Injectable()
export class JwtGuard implements CanActivate {
  constructor(
    private readonly jwt: JwtService,
    private readonly revocations: Revocations,
  ) {}

  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    const header = request.headers.authorization;
    if (!header?.startsWith('Bearer ')) {
      throw new UnauthorizedException('token_missing');
    }
    let claims: Claims;
    try {
      claims = this.jwt.verify<Claims & object>(header.slice(7));
    } catch {
      throw new UnauthorizedException('token_invalid');
    }
    if (this.revocations.has(claims.sid)) {
      throw new UnauthorizedException('token_revoked');
    }
    request.claims = claims;
    return true;
  }
}

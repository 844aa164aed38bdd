// Fastify compiles these: bodies are checked by Ajv, answers written by fast-json-stringify.
const string = { type: 'string' };

const session = {
  type: 'object',
  properties: {
    accessToken: string,
    refreshToken: string,
    tokenType: string,
    expiresIn: { type: 'integer' },
    sessionId: string,
    user: {
      type: 'object',
      properties: { id: string, email: string, role: string, tenantId: string },
    },
  },
};

export const loginSchema = {
  body: {
    type: 'object',
    required: ['email', 'password'],
    additionalProperties: false,
    properties: {
      email: { type: 'string', maxLength: 254 },
      password: { type: 'string', minLength: 8, maxLength: 128 },
    },
  },
  response: { 200: session },
};

export const refreshSchema = {
  body: {
    type: 'object',
    required: ['refreshToken'],
    additionalProperties: false,
    properties: { refreshToken: { type: 'string', maxLength: 256 } },
  },
  response: { 200: session },
};

export const meSchema = {
  response: {
    200: {
      type: 'object',
      properties: {
        id: string,
        email: string,
        role: string,
        tenantId: string,
        sessionId: string,
        emailStatus: string,
        mfaEnabled: { type: 'boolean' },
      },
    },
  },
};

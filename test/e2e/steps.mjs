/*
 * What the stories of one user's account have in common: an authenticator app, tokens and what is
 * done with them, sessions that age. support.mjs has what all tests share.
 */
import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';

import { sql, sqlId } from './support.mjs';

/* A secret of the form that the settings take. */
export const newSecret = (digits = 128) => randomBytes(digits / 2).toString('hex');

/* Changes one session's row, as time passing or a restored backup would. */
export async function changeFamily(installation, id, assignments) {
    await sql(installation, `UPDATE families SET ${assignments} WHERE id = ${sqlId(installation, id)}`);
}

export function base32Decode(text) {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
    const bytes = [];
    let bits = 0;
    let value = 0;
    for (const letter of text.replace(/=+$/, '')) {
        assert.ok(alphabet.includes(letter), `${letter} is not base32`);
        value = (value << 5) | alphabet.indexOf(letter);
        bits += 5;
        if (bits >= 8) bytes.push((value >> (bits -= 8)) & 0xff);
        value &= (1 << bits) - 1;
    }
    return Buffer.from(bytes);
}

/* The code that an authenticator app shows (RFC 6238), or showed some steps of 30 s ago. */
export function totp(secret, steps = 0) {
    const counter = Buffer.alloc(8);
    counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + steps));
    const mac = createHmac('sha1', base32Decode(secret)).update(counter).digest();
    const at = mac[19] & 0x0f;
    return String((mac.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

/* As if the half minute of the last used code had passed. */
export async function passHalfMinute(installation, userId) {
    await sql(installation, `UPDATE users SET totp_last_step = totp_last_step - 1 WHERE id = ${sqlId(installation, userId)}`);
}

/* Enrolls and activates a second factor; returns the enrolment. The code it used is used up. */
export async function enrollFactor(server, token) {
    const { status, body } = await server.api('POST', '/auth/mfa/enroll', { token });
    assert.equal(status, 200, JSON.stringify(body));
    const activation = await server.api('POST', '/auth/mfa/activate', { token, body: { code: totp(body.secret) } });
    assert.equal(activation.status, 204, JSON.stringify(activation.body));
    return body;
}

export const base64url = (value) =>
    Buffer.from(Buffer.isBuffer(value) || typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

/* The claims of a JWT, unverified. */
export const claimsOf = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString());

export async function refresh(server, refreshToken, options = {}) {
    return server.api('POST', '/auth/refresh', { body: { refreshToken }, ...options });
}

/* The status of a token at the place where every token is checked. */
export async function statusOf(server, token) {
    return (await server.api('GET', '/auth/me', { token })).status;
}

/* The kinds of a user's notices, newest first. */
export async function noticesOf(server, token) {
    const { status, body } = await server.api('GET', '/v1/notifications', { token });
    assert.equal(status, 200);
    return body.items;
}

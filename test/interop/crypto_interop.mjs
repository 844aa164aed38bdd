// Our tokens and codes against other implementations: Node's crypto, and oathtool where there is one.
// usage: node crypto_interop.mjs PROGRAM, which is built from crypto_interop.c.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import crypto from 'node:crypto';
import { test } from 'node:test';

const program = process.argv[2];
const secret = crypto.randomBytes(64).toString('hex');
const iat = 1_700_000_000;
const now = String(iat * 1000 + 500);
const run = (...args) => execFileSync(program, args, { encoding: 'utf8' }).trimEnd();
const decode = (segment) => JSON.parse(Buffer.from(segment, 'base64url').toString());

function issue(algorithm) {
  const [token, jwks] = run('issue', algorithm, secret, 'member', String(iat)).split('\n');
  const [header, payload, signature] = token.split('.');
  return {
    token, header, payload,
    input: `${header}.${payload}`,
    signature: Buffer.from(signature, 'base64url'),
    keys: JSON.parse(jwks).keys,
  };
}

function checkClaims(t, algorithm) {
  const header = decode(t.header);
  assert.deepEqual(Object.keys(header), ['alg', 'typ', 'kid']);
  assert.equal(header.alg, algorithm);
  const claims = decode(t.payload);
  assert.deepEqual(Object.keys(claims),
    ['iss', 'aud', 'sub', 'tid', 'sid', 'role', 'amr', 'iat', 'exp', 'jti']);
  assert.equal(claims.aud, '"holdfast"');
  assert.deepEqual(claims.amr, ['pwd']);
  assert.equal(claims.exp - claims.iat, 900);
}

// Both verify what the other signed, and neither what was altered.
function checkSigner(algorithm, t, sign) {
  const theirs = `${t.input}.${sign(t.input).toString('base64url')}`;
  assert.equal(run('verify', algorithm, secret, t.token, now), '0');
  assert.equal(run('verify', algorithm, secret, theirs, now), '0');
  const altered = `${t.input}.${sign(`${t.input} `).toString('base64url')}`;
  assert.equal(run('verify', algorithm, secret, altered, now), '2');
}

const derive = (label, n) => Buffer.from(crypto.hkdfSync('sha256', secret, '', label, n));

test('HS256', () => {
  const t = issue('HS256');
  const sign = (input) => crypto.createHmac('sha256', secret).update(input).digest();
  checkClaims(t, 'HS256');
  assert.deepEqual(t.keys, []);
  assert.deepEqual(sign(t.input), t.signature);
  checkSigner('HS256', t, sign);
});

test('EdDSA', () => {
  const t = issue('EdDSA');
  checkClaims(t, 'EdDSA');
  assert.equal(t.keys[0].kid, decode(t.header).kid);
  const published = crypto.createPublicKey({ key: t.keys[0], format: 'jwk' });
  assert.ok(crypto.verify(null, Buffer.from(t.input), published, t.signature));
  const d = derive('holdfast jwt EdDSA v1', 32).toString('base64url');
  const key = crypto.createPrivateKey({ key: { ...t.keys[0], d }, format: 'jwk' });
  checkSigner('EdDSA', t, (input) => crypto.sign(null, Buffer.from(input), key));
});

test('ES256', () => {
  const t = issue('ES256');
  checkClaims(t, 'ES256');
  const raw = (key) => ({ key, dsaEncoding: 'ieee-p1363' });
  const published = crypto.createPublicKey({ key: t.keys[0], format: 'jwk' });
  assert.ok(crypto.verify('sha256', Buffer.from(t.input), raw(published), t.signature));
  const n = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
  const seed = BigInt(`0x${derive('holdfast jwt ES256 v1', 48).toString('hex')}`);
  const scalar = Buffer.from((seed % (n - 1n) + 1n).toString(16).padStart(64, '0'), 'hex');
  const curve = crypto.createECDH('prime256v1');
  curve.setPrivateKey(scalar);
  const point = curve.getPublicKey();
  assert.equal(t.keys[0].x, point.subarray(1, 33).toString('base64url'));
  assert.equal(t.keys[0].y, point.subarray(33).toString('base64url'));
  const jwk = { ...t.keys[0], d: scalar.toString('base64url') };
  const key = crypto.createPrivateKey({ key: jwk, format: 'jwk' });
  checkSigner('ES256', t, (input) => crypto.sign('sha256', Buffer.from(input), raw(key)));
});

function totp(key, seconds) {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(seconds / 30)));
  const mac = crypto.createHmac('sha1', key).update(counter).digest();
  const at = mac[19] & 15;
  return String((mac.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

test('TOTP', () => {
  for (let round = 0; round < 50; round++) {
    const key = crypto.randomBytes(20);
    const seconds = iat + round * 12_345;
    const code = totp(key, seconds);
    assert.equal(run('totp', key.toString('hex'), code, String(seconds * 1000)), '0');
    const wrong = (code[0] === '0' ? '1' : '0') + code.slice(1);
    const window = [-30, 0, 30].map((ds) => totp(key, seconds + ds));
    assert.equal(run('totp', key.toString('hex'), wrong, String(seconds * 1000)),
      window.includes(wrong) ? '0' : '1');
  }
});

const oathtool = spawnSync('oathtool', ['--version']).status === 0;
test('TOTP by oathtool', { skip: !oathtool }, () => {
  const key = crypto.randomBytes(20).toString('hex');
  const code = execFileSync('oathtool', ['--totp', '--now', `@${iat}`, key], { encoding: 'utf8' });
  assert.equal(run('totp', key, code.trim(), String(iat * 1000)), '0');
});

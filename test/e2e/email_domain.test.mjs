/* What the DNS says of the sending domain stands beside mail's health, and never in its way. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';

import { NameServer } from './dns.mjs';
import { forEachStore, withInstallation } from './harness.mjs';
import { expect, people, signIn, small } from './support.mjs';

const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ type: 'spki', format: 'der' }).toString('base64');

const zone = () => ({
    'example.org': { TXT: ['v=spf1 include:_spf.example.net -all'], MX: ['10 mx.example.org'] },
    's1._domainkey.example.org': { TXT: [`v=DKIM1; k=rsa; p=${key}`] },
    '_dmarc.example.org': { TXT: ['v=DMARC1; p=reject'] },
});

async function withDomain(store, use, env = {}) {
    const dns = await NameServer.start(zone());
    const settings = { ...small, EMAIL_FROM: 'Example <hello@example.org>', EMAIL_DKIM_SELECTORS: 's1', DNS_SERVER: dns.address, ...env };
    try {
        await withInstallation({ store, env: settings }, async (installation) => {
            const everyone = await people(installation);
            const server = await installation.start();
            const { admin } = await signIn(server, everyone);
            const health = async () => expect(await server.api('GET', '/v1/email-monitoring/health', { token: admin.accessToken }), 200);
            await use({ installation, server, dns, health });
        });
    } finally {
        dns.stop();
    }
}

const codes = ({ domain }) => domain.findings.map(({ code }) => code);

forEachStore((store) => {
    test('a domain in order is told of, and asked about now and then only', async () => {
        await withDomain(store, async ({ installation, dns, health }) => {
            const first = await health();
            assert.deepEqual([first.domain.name, first.domain.state], ['example.org', 'good']);
            assert.deepEqual(codes(first), ['spf.ok', 'dkim.ok', 'dmarc.ok', 'mx.ok']);
            assert.deepEqual(first.domain.findings[1], {
                code: 'dkim.ok', state: 'good', name: 's1._domainkey.example.org', text: 'The DKIM key is published.',
            });
            const asked = dns.questions;
            const again = await health();
            assert.equal(again.domain.checkedAt, first.domain.checkedAt);
            assert.equal(dns.questions, asked);
            assert.equal(again.status, 'insufficient_data');
            assert.equal(again.recommendations.length, 1, 'nothing to be said of the domain');

            const { code, stdout } = await installation.cli(['email', 'health']);
            assert.equal(code, 0);
            assert.match(stdout, /^Domain +example\.org: good$/m);
            assert.match(stdout, /^ {2}dmarc\.ok +DMARC asks receivers to keep forgeries out\.$/m);
        });
    });

    test('a domain that may be forged is a recommendation and no rate', async () => {
        await withDomain(store, async ({ installation, server, dns, health }) => {
            dns.zone['_dmarc.example.org'] = { TXT: ['v=DMARC1; p=none'] };
            delete dns.zone['s1._domainkey.example.org'];
            const bad = await health();
            assert.equal(bad.domain.state, 'bad');
            assert.deepEqual(codes(bad), ['spf.ok', 'dkim.missing', 'dmarc.monitor', 'mx.ok']);
            assert.equal(bad.status, 'insufficient_data', 'the status is of rates alone');
            assert.deepEqual(bad.recommendations.slice(1), [
                'DNS, s1._domainkey.example.org: There is no DKIM key; publish the one that the sender signs with.',
                'DNS, _dmarc.example.org: DMARC only watches (none): forgeries are delivered; go on to quarantine or reject.',
            ]);
            const { code, stdout } = await installation.cli(['email', 'health', '--json']);
            assert.equal(code, 0);
            assert.equal(JSON.parse(stdout).domain.state, 'bad');
            assert.ok(server);
        });
    });

    test('a silent DNS is unknown, and holds nobody up', async () => {
        await withDomain(store, async ({ dns, health }) => {
            dns.silent = true;
            const begun = Date.now();
            const [first, ...beside] = await Promise.all(Array.from({ length: 5 }, () => health()));
            assert.ok(Date.now() - begun < 6000, `${Date.now() - begun} ms`);
            assert.equal(first.domain.state, 'unknown');
            for (const { domain } of beside) assert.equal(domain.state, 'unknown');
            dns.silent = false;
            const soon = Date.now();
            assert.equal((await health()).domain.state, 'unknown', 'what is known is told at once');
            assert.ok(Date.now() - soon < 1000);
        });
    });

    test('what is no name of the DNS is said, not asked', async () => {
        await withDomain(store, async ({ dns, health }) => {
            const { domain } = await health();
            assert.deepEqual([domain.state, domain.findings.length, domain.findings[0].code], ['bad', 1, 'domain.invalid']);
            assert.equal(dns.questions, 0);
        }, { EMAIL_DKIM_SELECTORS: 'a selector' });
    });
});

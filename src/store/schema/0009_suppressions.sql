-- One entry for each reason why an address is not written to: what one of them is lifted for leaves
-- the others standing. Those that are there have one reason each.

ALTER TABLE suppressions RENAME TO suppressions_before;
{{postgresql: ALTER INDEX suppressions_pkey RENAME TO suppressions_before_pkey; :}}
CREATE TABLE suppressions (
    tenant_id BYTEA NOT NULL,            -- sixteen zero bytes: the whole installation
    address TEXT NOT NULL,               -- lower case
    reason TEXT NOT NULL,                -- bounce, complaint, soft_bounces, unsubscribe, manual, provider
    source TEXT NOT NULL,                -- event, import, api, ...
    note TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,            -- what a person reads
    expires_at BIGINT,                   -- NULL: never
    PRIMARY KEY (address, tenant_id, reason)
);
INSERT INTO suppressions (tenant_id, address, reason, source, note, created_at, created_by, expires_at)
    SELECT tenant_id, address, reason, source, note, created_at, created_by, expires_at
    FROM suppressions_before ORDER BY address, tenant_id;
DROP TABLE suppressions_before;
CREATE INDEX suppressions_by_reason ON suppressions (reason, address, tenant_id);
CREATE INDEX suppressions_by_tenant ON suppressions (tenant_id, address, reason);
CREATE INDEX suppressions_by_tenant_reason ON suppressions (tenant_id, reason, address);
CREATE INDEX suppressions_by_expiry ON suppressions (expires_at, address, tenant_id, reason)
    WHERE expires_at IS NOT NULL;

-- Whom an entry of the installation concerns: the tenants that have written to its address, tried
-- to, or have a user with it. Their list is read along this, not along all that the installation
-- has. A row that outlives its entry does nothing.
CREATE TABLE suppression_tenants (
    tenant_id BYTEA NOT NULL,
    address TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (tenant_id, address, reason)
){{sqlite: WITHOUT ROWID:}};
CREATE INDEX suppression_tenants_by_reason ON suppression_tenants (tenant_id, reason, address);
CREATE INDEX suppression_tenants_by_address ON suppression_tenants (address);

INSERT INTO suppression_tenants (tenant_id, address, reason)
    SELECT u.tenant_id, s.address, s.reason FROM suppressions s CROSS JOIN users u
    WHERE u.email = s.address
    AND s.tenant_id = {{sqlite:x'00000000000000000000000000000000':}}{{postgresql:'\x00000000000000000000000000000000':}}
    UNION SELECT l.tenant_id, s.address, s.reason FROM suppressions s CROSS JOIN email_logs l
    WHERE l.recipient = s.address
    AND s.tenant_id = {{sqlite:x'00000000000000000000000000000000':}}{{postgresql:'\x00000000000000000000000000000000':}};

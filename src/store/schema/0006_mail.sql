-- Mail: what was sent to whom, what became of it, and who must not be written to any more.

-- One row a message and recipient. id is made from created_at, so its order is that of time. The
-- state is derived from the events (src/mail/state.h) and counted in exactly one column of the
-- rollups.
CREATE TABLE email_logs (
    id BYTEA PRIMARY KEY,
    message_id BYTEA NOT NULL,
    tenant_id BYTEA NOT NULL,
    user_id BYTEA,                       -- the recipient's account, where there is one
    provider_id TEXT,                    -- what the transport calls the message; once handed over
    recipient TEXT NOT NULL,             -- lower case; 'erased' once it is
    domain TEXT NOT NULL,
    template TEXT NOT NULL,              -- '': none
    subject TEXT NOT NULL,
    transport TEXT NOT NULL,             -- sandbox, smtp, ses
    state TEXT NOT NULL,
    counted BIGINT NOT NULL,             -- 1: this bounce or complaint counts in the rates
    error_code TEXT NOT NULL,            -- '': none
    detail TEXT NOT NULL,                -- what a server said
    created_at BIGINT NOT NULL,
    sent_at BIGINT,
    state_at BIGINT NOT NULL             -- when what the state tells of happened
);
CREATE INDEX email_logs_by_message ON email_logs (message_id, recipient);
CREATE INDEX email_logs_by_provider ON email_logs (provider_id, recipient)
    WHERE provider_id IS NOT NULL;
CREATE INDEX email_logs_by_tenant ON email_logs (tenant_id, id);
CREATE INDEX email_logs_by_tenant_state ON email_logs (tenant_id, state, id);
CREATE INDEX email_logs_by_state ON email_logs (state, id);
CREATE INDEX email_logs_by_recipient ON email_logs (recipient, id);
CREATE INDEX email_logs_by_user ON email_logs (user_id, id) WHERE user_id IS NOT NULL;

-- What happened to messages: appended, never changed but for log_id, which is set as soon as both
-- are there, and for an erased address.
CREATE TABLE email_events (
    id {{serial}},
    log_id BYTEA,
    provider_id TEXT NOT NULL,           -- '': not told
    recipient TEXT NOT NULL,
    kind TEXT NOT NULL,
    subtype TEXT NOT NULL,
    code TEXT NOT NULL,
    feedback_id TEXT NOT NULL,
    state TEXT NOT NULL,                 -- what it makes of the message; '': nothing
    counted BIGINT NOT NULL,
    at BIGINT NOT NULL,                  -- by the provider's clock
    received_at BIGINT NOT NULL,
    dedupe BYTEA NOT NULL UNIQUE,
    detail TEXT NOT NULL                 -- what a server said
);
CREATE INDEX email_events_by_log ON email_events (log_id, id) WHERE log_id IS NOT NULL;
CREATE INDEX email_events_waiting ON email_events (provider_id, recipient)
    WHERE log_id IS NULL AND provider_id <> '';
CREATE INDEX email_events_by_recipient ON email_events (recipient, kind, at);

-- How many log rows are in which state, by when they were created: moved in the transaction that
-- changes a state. domain '' is the sum over all domains and templates.
CREATE TABLE email_rollups (
    tenant_id BYTEA NOT NULL,
    bucket BIGINT NOT NULL,              -- start of five minutes
    domain TEXT NOT NULL,
    template TEXT NOT NULL,
    queued BIGINT NOT NULL,
    sent BIGINT NOT NULL,
    delayed BIGINT NOT NULL,
    delivered BIGINT NOT NULL,
    suppressed BIGINT NOT NULL,
    rejected BIGINT NOT NULL,
    bounced BIGINT NOT NULL,
    complained BIGINT NOT NULL,
    bounced_counted BIGINT NOT NULL,
    complained_counted BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, bucket, domain, template)
);
CREATE INDEX email_rollups_by_bucket ON email_rollups (bucket);
CREATE INDEX email_rollups_sums ON email_rollups (bucket) WHERE domain = '';
CREATE INDEX email_rollups_sums_by_tenant ON email_rollups (tenant_id, bucket) WHERE domain = '';

CREATE TABLE email_rollups_hourly (
    tenant_id BYTEA NOT NULL,
    bucket BIGINT NOT NULL,              -- start of an hour
    domain TEXT NOT NULL,
    template TEXT NOT NULL,
    queued BIGINT NOT NULL,
    sent BIGINT NOT NULL,
    delayed BIGINT NOT NULL,
    delivered BIGINT NOT NULL,
    suppressed BIGINT NOT NULL,
    rejected BIGINT NOT NULL,
    bounced BIGINT NOT NULL,
    complained BIGINT NOT NULL,
    bounced_counted BIGINT NOT NULL,
    complained_counted BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, bucket, domain, template)
);
CREATE INDEX email_rollups_hourly_by_bucket ON email_rollups_hourly (bucket);
CREATE INDEX email_rollups_hourly_sums ON email_rollups_hourly (bucket) WHERE domain = '';
CREATE INDEX email_rollups_hourly_sums_by_tenant ON email_rollups_hourly (tenant_id, bucket)
    WHERE domain = '';

-- How many log rows show which error, by the hour in which they were created.
CREATE TABLE email_errors (
    tenant_id BYTEA NOT NULL,
    bucket BIGINT NOT NULL,
    code TEXT NOT NULL,
    domain TEXT NOT NULL,
    n BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, bucket, code, domain)
);
CREATE INDEX email_errors_by_bucket ON email_errors (bucket);

-- When an event of a kind first came: without any delivery event there is no delivery rate.
CREATE TABLE email_firsts (
    kind TEXT PRIMARY KEY,
    received_at BIGINT NOT NULL
);

-- Addresses that are not written to.
CREATE TABLE suppressions (
    tenant_id BYTEA NOT NULL,            -- sixteen zero bytes: the whole installation
    address TEXT NOT NULL,               -- lower case
    reason TEXT NOT NULL,                -- bounce, complaint, soft_bounces, unsubscribe, manual, provider
    source TEXT NOT NULL,                -- event, import, api, ...
    note TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,            -- what a person reads
    expires_at BIGINT,                   -- NULL: never
    PRIMARY KEY (address, tenant_id)
);
CREATE INDEX suppressions_by_tenant ON suppressions (tenant_id, address);
CREATE INDEX suppressions_by_expiry ON suppressions (expires_at) WHERE expires_at IS NOT NULL;

-- Messages that bounced softly since the last delivery to the address.
CREATE TABLE soft_bounces (
    address TEXT NOT NULL,
    message TEXT NOT NULL,               -- the provider's id of the message, or of the feedback
    at BIGINT NOT NULL,
    PRIMARY KEY (address, message)
);
CREATE INDEX soft_bounces_by_time ON soft_bounces (at);

-- What is still to be handed over, one row a message.
CREATE TABLE email_outbox (
    message_id BYTEA PRIMARY KEY,
    tenant_id BYTEA NOT NULL,
    transport TEXT NOT NULL,
    body BYTEA NOT NULL,                 -- the message, sealed
    attempts BIGINT NOT NULL,
    next_at BIGINT NOT NULL,             -- not tried before
    lease TEXT NOT NULL,                 -- the node that tries it now, '': none
    lease_until BIGINT NOT NULL,
    last_error TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX email_outbox_by_time ON email_outbox (next_at);

-- A request that is repeated under its key is answered with the same message.
CREATE TABLE email_requests (
    tenant_id BYTEA NOT NULL,
    request_key TEXT NOT NULL,
    digest BYTEA NOT NULL,               -- of the request: another one under the same key is refused
    message_id BYTEA NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, request_key)
);
CREATE INDEX email_requests_by_expiry ON email_requests (expires_at);

-- Messages of SNS that were taken: one that is sent again within the window is known.
CREATE TABLE sns_seen (
    message_id TEXT PRIMARY KEY,
    at BIGINT NOT NULL
);
CREATE INDEX sns_seen_by_time ON sns_seen (at);

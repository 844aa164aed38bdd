-- The foundation: who there is, what they hold, what was ended, and the record of it.
-- One text for SQLite and PostgreSQL; {{serial}} is the engine's ascending 64-bit key.

CREATE TABLE tenants (
    id BYTEA PRIMARY KEY,
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX tenants_by_name ON tenants (name, created_at); -- names need not be unique

CREATE TABLE users (
    id BYTEA PRIMARY KEY,
    tenant_id BYTEA NOT NULL REFERENCES tenants (id),
    email TEXT NOT NULL UNIQUE,          -- lower case; one person, one account
    role TEXT NOT NULL,                  -- member, admin, operator
    password_hash TEXT NOT NULL,         -- Argon2id, PHC string
    password_changed_at BIGINT NOT NULL,
    password_temporary BIGINT NOT NULL,  -- 1: must be replaced before anything else
    disabled BIGINT NOT NULL,
    locked_at BIGINT,                    -- set after too many consecutive failures
    failed_logins BIGINT NOT NULL,       -- consecutive
    email_status TEXT NOT NULL,          -- ok, invalid, unsubscribed
    not_before BIGINT NOT NULL,          -- families begun at or before this time are ended
    totp_secret BYTEA,                   -- sealed
    totp_active BIGINT NOT NULL,
    totp_last_step BIGINT NOT NULL,      -- a code works once
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX users_by_tenant ON users (tenant_id, id);
CREATE INDEX users_operators ON users (id) WHERE role = 'operator';

CREATE TABLE recovery_codes (
    user_id BYTEA NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    code_mac BYTEA NOT NULL,
    used_at BIGINT,
    PRIMARY KEY (user_id, code_mac)
);

CREATE TABLE preferences (
    user_id BYTEA PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    email_security BIGINT NOT NULL,      -- security notices by mail
    email_product BIGINT NOT NULL,       -- everything else by mail
    updated_at BIGINT NOT NULL
);

-- What a user is told; the words are made from kind and detail when it is read.
CREATE TABLE notifications (
    id {{serial}},
    tenant_id BYTEA NOT NULL,
    user_id BYTEA NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL,                -- a reason, a device, ...
    created_at BIGINT NOT NULL,
    read_at BIGINT
);
CREATE INDEX notifications_by_user ON notifications (user_id, id);

-- Where a user has signed in from; a sign-in from elsewhere is told to them.
CREATE TABLE devices (
    user_id BYTEA NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    fingerprint BYTEA NOT NULL,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    PRIMARY KEY (user_id, fingerprint)
);

-- Failed sign-ins of existing accounts by the hour.
CREATE TABLE login_failures (
    user_id BYTEA NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hour BIGINT NOT NULL,
    count BIGINT NOT NULL,
    PRIMARY KEY (user_id, hour)
);
CREATE INDEX login_failures_by_hour ON login_failures (hour);

-- One row a sign-in, however often its refresh token rotates.
CREATE TABLE families (
    id BYTEA PRIMARY KEY,
    tenant_id BYTEA NOT NULL,
    user_id BYTEA NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    generation BIGINT NOT NULL,
    seed BYTEA NOT NULL,
    amr BIGINT NOT NULL,                 -- bits: 1 password, 2 one-time code
    created_at BIGINT NOT NULL,
    rotated_at BIGINT NOT NULL,          -- when the current generation began
    expires_at BIGINT NOT NULL,          -- absolute
    idle_expires_at BIGINT NOT NULL,
    ip TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    revoked_at BIGINT,
    revoked_reason TEXT
);
CREATE INDEX families_by_user ON families (user_id, id);
CREATE INDEX families_by_expiry ON families (expires_at);

-- What was ended or changed, in the order of the commits; every node follows it.
CREATE TABLE feed (
    seq {{serial}},
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,                  -- family (ended), user (look again), all (look at all again)
    subject_id BYTEA,                    -- the family's or the user's id
    expires_at BIGINT NOT NULL           -- when no access token can be touched by it any more
);
CREATE INDEX feed_by_expiry ON feed (expires_at);

-- The trail: each record authenticates itself and its predecessor (src/trail/trail.h).
CREATE TABLE trail (
    seq BIGINT PRIMARY KEY,
    at BIGINT NOT NULL,
    tenant_id BYTEA,
    actor_id BYTEA,
    actor TEXT NOT NULL,                 -- what a person reads: an address, "system", "cli:root"
    action TEXT NOT NULL,
    subject_id BYTEA,
    subject TEXT NOT NULL,
    ip TEXT NOT NULL,
    request_id BYTEA,
    detail TEXT NOT NULL,                -- a JSON object
    previous BYTEA NOT NULL,             -- the MAC of the record before; of the first: the chain
    key_id TEXT NOT NULL,
    mac BYTEA NOT NULL
);
CREATE INDEX trail_by_subject ON trail (subject_id, seq);
CREATE INDEX trail_by_actor ON trail (actor_id, seq);
CREATE INDEX trail_by_tenant ON trail (tenant_id, seq);
CREATE INDEX trail_by_action ON trail (action, seq);
CREATE INDEX trail_by_time ON trail (at, seq);

-- One row: the newest record's number and MAC, authenticated in the same way.
CREATE TABLE trail_head (
    id BIGINT PRIMARY KEY,               -- 1
    chain BYTEA NOT NULL,
    seq BIGINT NOT NULL,
    mac BYTEA NOT NULL,
    key_id TEXT NOT NULL,
    seal BYTEA NOT NULL
);

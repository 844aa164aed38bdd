-- What was sent in development, kept to be looked at; the newest ones only.
CREATE TABLE sandbox_messages (
    seq {{serial}},
    id BYTEA NOT NULL UNIQUE,
    at BIGINT NOT NULL,
    helo TEXT NOT NULL,
    mail_from TEXT NOT NULL,             -- of the envelope; empty: the null path
    recipients TEXT NOT NULL,            -- of the envelope, one a line
    data BYTEA NOT NULL,
    size BIGINT NOT NULL
);

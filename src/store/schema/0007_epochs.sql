-- When all sessions of a user were ended: a narrow row that is only ever added, where the user's own
-- row and one a family had to be written anew. A user's epoch is the greatest not_before of theirs.

CREATE TABLE epochs (
    user_id BYTEA NOT NULL,              -- without a reference: checking it costs as much as the row
    not_before BIGINT NOT NULL,          -- families begun at or before this time are ended
    at BIGINT NOT NULL,                  -- when they were
    reason TEXT NOT NULL,
    PRIMARY KEY (user_id, not_before)
){{sqlite: WITHOUT ROWID:}};

-- What was ended before has its time and reason in the families' own rows.
INSERT INTO epochs (user_id, not_before, at, reason)
    SELECT id, not_before, not_before, '' FROM users WHERE not_before > 0;
ALTER TABLE users DROP COLUMN not_before;

-- A lock from failed sign-ins passes with time; one by an administrator stays until it is lifted.
-- Locks that were there before stay until they are lifted too: which of both they are is not known.

ALTER TABLE users ADD COLUMN locked_until BIGINT; -- NULL: not locked, or by an administrator
CREATE INDEX users_by_lock ON users (locked_until) WHERE locked_until IS NOT NULL;

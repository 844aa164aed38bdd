-- In which order the outbox takes what is due: a tenant with much to send waits behind itself, and
-- not before others. Of a tenant, mail of security has an order of its own.
ALTER TABLE email_outbox ADD COLUMN rank BIGINT NOT NULL DEFAULT 0;
ALTER TABLE email_outbox ADD COLUMN security BIGINT NOT NULL DEFAULT 0;
UPDATE email_outbox SET rank = next_at;
CREATE INDEX email_outbox_by_rank ON email_outbox (rank, message_id);
CREATE INDEX email_outbox_by_tenant ON email_outbox (tenant_id, security, rank);

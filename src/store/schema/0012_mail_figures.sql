-- How many log rows are in which state, by when they were created: of buckets of five minutes, of
-- hours and of days, in one table, so that one statement keeps them, in the transaction that
-- changes a state. It stands for email_rollups, email_rollups_hourly and email_errors.
CREATE TABLE email_figures (
    tenant_id BYTEA NOT NULL,
    kind BIGINT NOT NULL,                -- 1 the sum, 2 a domain, 3 a template, 4 an error code
    span BIGINT NOT NULL,                -- of the bucket, in ms
    bucket BIGINT NOT NULL,              -- its start
    name TEXT NOT NULL,                  -- the domain, the template ('': none), the code; '' of the sum
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
    PRIMARY KEY (tenant_id, kind, span, bucket, name)
){{sqlite: WITHOUT ROWID:}};

INSERT INTO email_figures
    SELECT tenant_id, CASE domain WHEN '' THEN 1 WHEN '*' THEN 3 ELSE 2 END, 300000, bucket,
        CASE domain WHEN '*' THEN template ELSE domain END, queued, sent, delayed, delivered,
        suppressed, rejected, bounced, complained, bounced_counted, complained_counted
    FROM email_rollups;
INSERT INTO email_figures
    SELECT tenant_id, CASE domain WHEN '' THEN 1 WHEN '*' THEN 3 ELSE 2 END, 3600000, bucket,
        CASE domain WHEN '*' THEN template ELSE domain END, queued, sent, delayed, delivered,
        suppressed, rejected, bounced, complained, bounced_counted, complained_counted
    FROM email_rollups_hourly;

-- The states of what showed a code were not kept; what is told of a code is their sum.
INSERT INTO email_figures
    SELECT tenant_id, 4, 3600000, bucket, code, 0, 0, 0, 0, 0, 0, sum(n), 0, 0, 0
    FROM email_errors GROUP BY tenant_id, bucket, code;
-- Nor were five minutes, but log rows tell. Those that were delivered are nearly all, and show none.
INSERT INTO email_figures
    SELECT tenant_id, 4, 300000, created_at - created_at % 300000, error_code, 0, 0, 0, 0, 0, 0,
        count(*), 0, 0, 0
    FROM email_logs
    WHERE state IN ('queued', 'sent', 'delayed', 'suppressed', 'rejected', 'bounced', 'complained')
        AND error_code <> '' AND created_at >= (SELECT min(bucket) FROM email_rollups)
    GROUP BY tenant_id, created_at - created_at % 300000, error_code;

INSERT INTO email_figures
    SELECT tenant_id, kind, 86400000, bucket - bucket % 86400000, name, sum(queued), sum(sent),
        sum(delayed), sum(delivered), sum(suppressed), sum(rejected), sum(bounced),
        sum(complained), sum(bounced_counted), sum(complained_counted)
    FROM email_figures WHERE span = 3600000
    GROUP BY tenant_id, kind, bucket - bucket % 86400000, name;
CREATE INDEX email_figures_by_bucket ON email_figures (kind, span, bucket);

DROP TABLE email_rollups;
DROP TABLE email_rollups_hourly;
DROP TABLE email_errors;

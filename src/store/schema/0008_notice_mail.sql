-- How far notices have been turned into mail. What users were told before this is not mailed.
CREATE TABLE notice_mail (
    lane TEXT PRIMARY KEY,               -- bulk: of mass revocations; urgent: all others
    seen BIGINT NOT NULL,                -- notices up to this one have been looked at
    next_at BIGINT NOT NULL              -- no more are taken before, on any node
);
INSERT INTO notice_mail (lane, seen, next_at)
    SELECT 'urgent', coalesce(max(id), 0), 0 FROM notifications;
INSERT INTO notice_mail (lane, seen, next_at)
    SELECT 'bulk', coalesce(max(id), 0), 0 FROM notifications;

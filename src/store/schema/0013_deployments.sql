-- What is known of deployments of whatever machine: their journals lie where they were made.
CREATE TABLE deployments (
    id BYTEA PRIMARY KEY,                -- its time is when it began
    environment TEXT NOT NULL,
    release TEXT NOT NULL,
    previous_release TEXT NOT NULL,      -- '': not known
    state TEXT NOT NULL,                 -- running, died, done, failed, rolled_back, incomplete
    actor TEXT NOT NULL,
    began_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL,            -- 0: it runs
    records BIGINT NOT NULL,             -- of its journal, by then
    report TEXT NOT NULL CHECK (length(report) <= 524288) -- JSON
);
CREATE INDEX deployments_by_environment ON deployments (environment, id);

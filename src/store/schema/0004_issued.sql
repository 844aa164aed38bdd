-- When the latest access token of a family was issued, by the fastest of the clocks that issued one:
-- rotated_at follows a clock that is put back, but the tokens that are out do not.

ALTER TABLE families ADD COLUMN issued_at BIGINT NOT NULL DEFAULT 0; -- only grows
UPDATE families SET issued_at = rotated_at;

-- How long the slowest of a hundred predictions takes; null of what was measured before.
alter table ml.challenger_evidence add column p99_ms double precision;

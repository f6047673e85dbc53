-- A server that does not answer is asked nothing, of no message, until then.
alter table lectern.webhooks add column rests_until timestamptz;

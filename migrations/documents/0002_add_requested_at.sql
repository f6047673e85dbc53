-- When processing was asked for last: what was asked for long ago and is not done may be asked for again.
alter table documents add column requested_at timestamptz not null default now();

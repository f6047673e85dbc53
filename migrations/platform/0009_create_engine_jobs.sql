-- Jobs of the hosts' own engines, so that of several hosts on one database one runs each, and all know how it
-- stands. A row goes when its job is forgotten.
create table lectern.engine_jobs (
    name text primary key,
    -- one try of it: who writes about an older one is told that it is over
    run uuid not null,
    -- the database session of the host that runs it, told by pid and start; it ends with the host
    holder integer not null,
    holder_since timestamptz not null,
    -- null while it runs
    outcome jsonb,
    since timestamptz not null default now()
);
create index engine_jobs_by_age on lectern.engine_jobs (since);

-- What each user has used: of a day's budgets by day (UTC), of storage at any time.
create table lectern.usage (
    tenant text not null,
    subject text not null,
    kind text not null,
    -- '-infinity' for what no day ends
    day date not null,
    amount bigint not null check (amount >= 0),
    primary key (tenant, subject, kind, day)
);
-- Rows of days that are over are deleted.
create index usage_day on lectern.usage (day);

-- What is held under a name, so that it is given back to whom it belongs, and once.
create table lectern.held (
    name text primary key,
    tenant text not null,
    subject text not null,
    kind text not null,
    day date not null,
    amount bigint not null
);

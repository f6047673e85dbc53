-- Nothing is seen across tenants; who has none is of the tenant ''.
alter table shelf add column tenant varchar(255) not null default '';
alter table chat_sessions add column tenant varchar(255) not null default '';

-- Answers of requests with an Idempotency-Key, for a day; without a status while one is at work.
create table idempotency (
    tenant varchar(255) not null,
    user_id varchar(255) not null,
    route varchar(100) not null,
    key varchar(255) not null,
    fingerprint varchar(64) not null,
    claim varchar(36) not null,
    claimed_at timestamptz not null default now(),
    status integer,
    location text,
    body jsonb,
    primary key (tenant, user_id, route, key)
);

create index chat_sessions_by_owner on chat_sessions (tenant, user_id, updated_at desc, session_id desc);

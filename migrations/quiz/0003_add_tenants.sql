-- Nothing is seen across tenants; who has none is of the tenant ''.
alter table shelf add column tenant varchar(255) not null default '';
alter table quizzes add column tenant varchar(255) not null default '';
alter table quiz_submissions add column tenant varchar(255) not null default '';

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

create index quizzes_by_owner on quizzes (tenant, user_id, created_at desc, quiz_id desc);
create index quiz_submissions_by_owner on quiz_submissions (tenant, user_id, submitted_at desc, submission_id desc);

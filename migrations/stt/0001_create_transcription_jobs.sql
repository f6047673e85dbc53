-- The contract's table, with time zones and tenants, and what it lacks: what is asked for, the words with
-- their times, and when the engine is asked next.
create table transcription_jobs (
    job_id varchar(255) primary key,
    tenant varchar(255) not null default '',
    user_id varchar(255) not null,
    filename varchar(500) not null,
    s3_key varchar(500) not null,
    -- the job at the engine, while there may be one: to be forgotten there
    aws_job_name varchar(255),
    status varchar(50) not null default 'processing' check (status in ('processing', 'completed', 'failed')),
    transcript text,
    confidence decimal(5,4),
    -- seconds, measured in the recording
    duration decimal(10,2),
    -- as asked for, `auto` among them; what was found once that is known
    language_code varchar(35) not null,
    submitted_at timestamptz not null default now(),
    completed_at timestamptz,
    -- by content; null until the recording was looked at
    container varchar(10),
    is_silent boolean not null default false,
    speakers integer,
    vocabulary jsonb not null default '[]',
    words jsonb not null default '[]',
    warnings jsonb not null default '[]',
    engine varchar(255),
    -- why it failed
    error_code varchar(100),
    error_message text,
    -- when the engine is asked next, and how often it was
    look_at timestamptz not null default now() + interval '30 seconds',
    looks integer not null default 0
);
create index transcription_jobs_by_owner on transcription_jobs (tenant, user_id, submitted_at desc, job_id desc);
create index transcription_jobs_by_audio on transcription_jobs (s3_key);
create index transcription_jobs_due on transcription_jobs (look_at) where status = 'processing';
create index transcription_jobs_by_age on transcription_jobs (submitted_at);

-- What retention has taken: its id answers 410, and nothing else of it is left.
create table expired_jobs (
    job_id varchar(255) primary key,
    tenant varchar(255) not null,
    user_id varchar(255) not null,
    expired_at timestamptz not null default now()
);

-- What of deleted jobs may still lie outside of the database; a row goes with it.
create table leftovers (
    job_id varchar(255) primary key,
    s3_key varchar(500) not null,
    aws_job_name varchar(255),
    since timestamptz not null default now()
);

-- Events whose effects are stored: they happen once.
create table inbox (
    event_id text primary key,
    topic text not null,
    received_at timestamptz not null default now()
);

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

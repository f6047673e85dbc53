-- Bytes that were made once for all of a tenant's rows that ask for the same; gone with the last of them.
create table renditions (
    -- SHA-256 of all that they are made from
    content_key varchar(64) primary key,
    -- of this making alone: who makes them again makes another blob
    blob_key varchar(500) not null,
    status varchar(50) not null check (status in ('making', 'ready')),
    -- whoever makes them and has not said so by then has died
    lease_until timestamptz not null,
    made_at timestamptz not null default now(),
    voice_id varchar(255) not null,
    engine varchar(50) not null,
    language_code varchar(64) not null,
    format varchar(10) not null,
    sample_rate integer not null default 0,
    -- of a channel
    samples bigint not null default 0,
    size_bytes bigint not null default 0,
    billed_characters bigint not null default 0,
    -- when each of the engine's calls begins, in milliseconds
    chunk_starts jsonb not null default '[]',
    -- words and sentences, once somebody has asked for them
    marks jsonb
);

-- The contract's audio, and how it came about. What is expired keeps its row, without text and bytes.
create table audio (
    audio_id varchar(255) primary key,
    tenant varchar(255) not null default '',
    user_id varchar(255) not null,
    batch_id varchar(36),
    status varchar(50) not null check (status in ('processing', 'completed', 'failed', 'expired')),
    content_key varchar(64) references renditions (content_key),
    text text,
    text_type varchar(10) not null,
    format varchar(10) not null,
    requested_voice_id varchar(255),
    -- whether the bytes were there already
    cached boolean not null default false,
    error_code varchar(100),
    error_message text,
    requested_at timestamptz not null default now(),
    generated_at timestamptz,
    expires_at timestamptz not null
);
create index audio_by_owner on audio (tenant, user_id, requested_at desc, audio_id desc);
create index audio_by_batch on audio (batch_id) where batch_id is not null;
create index audio_by_content on audio (content_key);
create index audio_by_expiry on audio (expires_at);

-- Blobs that nothing speaks of any more, until they are deleted.
create table doomed_blobs (
    blob_key varchar(500) primary key,
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

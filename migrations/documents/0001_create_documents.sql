-- The contract's table, with time zones, and what it lacks: how the text was made and why there is
-- none.
create table documents (
    document_id varchar(255) primary key,
    user_id varchar(255) not null,
    filename varchar(500) not null,
    s3_key varchar(500) not null,
    status varchar(50) not null check (status in ('processing', 'completed', 'failed')),
    extracted_text text,
    notes text,
    page_count integer,
    uploaded_at timestamptz not null default now(),
    processed_at timestamptz,
    -- pdf or txt, by content
    kind varchar(20) not null,
    size_bytes bigint not null,
    generate_notes boolean not null,
    -- who wrote the notes: local-extractive, or a model's name
    engine varchar(255),
    truncated boolean not null default false,
    -- why it failed
    error_code varchar(100),
    error_message text
);
create index documents_by_user on documents (user_id, uploaded_at desc, document_id);

-- Events whose effects are stored: they happen once.
create table inbox (
    event_id text primary key,
    topic text not null,
    received_at timestamptz not null default now()
);

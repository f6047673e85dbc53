-- The documents this service knows from events, and their passages.
create table shelf (
    document_id varchar(255) primary key,
    user_id varchar(255) not null,
    filename varchar(500) not null,
    status varchar(50) not null,
    -- why it is not readable
    code varchar(100),
    -- key terms of its notes, best first
    terms jsonb not null default '[]'
);

create table passages (
    document_id varchar(255) not null references shelf (document_id) on delete cascade,
    ordinal integer not null,
    page integer not null,
    -- offsets into the document's whole text, in Unicode scalar values, end exclusive
    starts_at integer not null,
    ends_at integer not null,
    body text not null,
    primary key (document_id, ordinal)
);

-- Events whose effects are stored: they happen once.
create table inbox (
    event_id text primary key,
    topic text not null,
    received_at timestamptz not null default now()
);

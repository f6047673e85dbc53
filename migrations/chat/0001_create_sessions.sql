-- The contract's tables, with time zones, and what they lack: the order of messages within a
-- moment, who wrote an answer, and what it quotes.
create table chat_sessions (
    session_id varchar(255) primary key,
    user_id varchar(255) not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index chat_sessions_by_user on chat_sessions (user_id, updated_at desc);

create table chat_messages (
    message_id varchar(255) primary key,
    session_id varchar(255) not null references chat_sessions (session_id) on delete cascade,
    role varchar(50) not null check (role in ('user', 'assistant')),
    content text not null,
    timestamp timestamptz not null default now(),
    ordinal bigint not null generated always as identity,
    engine varchar(255),
    citations jsonb not null default '[]'
);
create index chat_messages_in_order on chat_messages (session_id, ordinal);

-- An answer that was broken off, how it ended, whether it stands in the documents that were asked, and
-- which those were: when one is deleted, what was said of it goes too.
alter table chat_messages add column partial boolean not null default false;
alter table chat_messages add column finish varchar(50);
alter table chat_messages add column grounded boolean;
alter table chat_messages add column sources jsonb not null default '[]';
create index chat_messages_by_source on chat_messages using gin (sources);
-- For the search in one's own messages.
create index chat_messages_by_words on chat_messages using gin (to_tsvector('simple', content));

alter table chat_sessions add column title varchar(200);
-- Counts what was changed besides new messages: a cached history of fewer is none.
alter table chat_sessions add column changes bigint not null default 0;

-- All words of a document and where they stand, so that a question has to look at its own words only.
create table document_indexes (
    document_id varchar(255) primary key references shelf (document_id) on delete cascade,
    -- ISO 639-3, empty where it cannot be told
    language varchar(8) not null,
    passages integer not null,
    words bigint not null
);
create table document_words (
    document_id varchar(255) not null references document_indexes (document_id) on delete cascade,
    word text not null,
    -- passage, count and length, the passage counted from the one before
    places text not null,
    primary key (document_id, word)
);

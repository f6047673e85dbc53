-- Which run of the processing a document is in, how far that is, and what it warns of. What an earlier
-- run still does changes nothing any more.
alter table documents add column run integer not null default 1;
-- Of the text that is there: while the next run is at work, that is still the one before.
alter table documents add column text_run integer not null default 1;
-- queued, reading, ocr or notes, with the pages done of those to do
alter table documents add column stage varchar(20) not null default 'queued';
alter table documents add column stage_done integer not null default 0;
alter table documents add column stage_total integer not null default 0;
-- When the run was last seen at work.
alter table documents add column active_at timestamptz not null default now();
alter table documents add column ocr_since timestamptz;
-- Grows with every change that a client can see: the ETag.
alter table documents add column version bigint not null default 1;
alter table documents add column warnings jsonb not null default '[]';
-- Pages whose text is not in the file, why, and whether it was read from their image.
alter table documents add column ocr jsonb not null default '[]';
-- The notes as data; they stay the extracted ones where somebody has edited the text.
alter table documents add column notes_outline jsonb;
alter table documents add column notes_edited_at timestamptz;
-- A file's password until its run ends, sealed; the key lies with the blobs.
alter table documents add column sealed_password text;
-- PostgreSQL's name of the language that the text is searched in.
alter table documents add column language varchar(20) not null default 'simple';

-- The text in pieces that can be searched: each a slice of its page.
create table pieces (
    document_id varchar(255) not null references documents on delete cascade,
    ordinal integer not null,
    page integer not null,
    -- in Unicode scalar values of the whole text
    starts_at integer not null,
    body text not null,
    words tsvector not null,
    primary key (document_id, ordinal)
);
create index pieces_by_words on pieces using gin (words);

-- Large files that are being read: few at once, and one of a user, so that others get their turn. What
-- deletes the document frees its place.
create table readings (
    slot integer primary key,
    document_id varchar(255) not null unique references documents on delete cascade,
    tenant varchar(255) not null,
    user_id varchar(255) not null,
    -- longer than an event may take: a reader that died is succeeded
    until timestamptz not null,
    unique (tenant, user_id)
);

-- Blobs that nothing speaks of yet, or any more; they go when they are due.
create table leftovers (
    key varchar(600) primary key,
    document_id varchar(255) not null,
    due_at timestamptz not null
);
create index leftovers_by_document on leftovers (document_id);
create index leftovers_by_due on leftovers (due_at);

-- Where the text lies for other services; one of before has its document's id alone.
alter table documents add column text_key varchar(600);
-- Whether the next run may write over notes that somebody has edited.
alter table documents add column replace_notes boolean not null default false;

-- Files of uploads that no job has yet: from before their first byte, until a job has them or they are gone.
create table uploads (
    key varchar(500) primary key,
    -- longer than an upload may take: whoever made the row is dead by then
    due_at timestamptz not null
);
create index uploads_by_due on uploads (due_at);

-- What cannot be taken yet is tried again later, behind the others.
alter table leftovers add column due_at timestamptz not null default now();
alter table leftovers add column tries integer not null default 0;
create index leftovers_by_due on leftovers (due_at);

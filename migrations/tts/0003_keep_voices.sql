-- The voices that the engine last said it has: what was spoken with them is found while it is away, also by a
-- host that has not asked it yet.
create table known_voices (
    one boolean primary key default true check (one),
    voices text not null,
    told_at timestamptz not null default now()
);

-- Revisions, who of them gets the traffic, who changed that, and which hosts run it. A component's
-- bytes lie here too, not in the blob store: they commit with the row that speaks of them, and a
-- host that shares nothing but the database can run them.

create table lectern.wasm (
    -- SHA-256 of the bytes, in hexadecimal
    digest text primary key,
    bytes bytea not null
);

create table lectern.revisions (
    component text not null,
    -- SHA-256 over the wasm's digest, the manifest and the migrations, in hexadecimal
    revision text not null,
    wasm_digest text not null references lectern.wasm (digest),
    wasm_size bigint not null,
    -- component.toml
    manifest text not null,
    -- [{"name": "0001_create_x.sql", "sql": "..."}], in their order
    migrations jsonb not null,
    -- built-in: from a host's folder; deployed: through the admin API
    origin text not null check (origin in ('built-in', 'deployed')),
    created_by text not null,
    created_at timestamptz not null default now(),
    primary key (component, revision)
);

create table lectern.traffic (
    component text primary key,
    -- counts changes; a change names the generation that it changes, so that two cannot both win
    generation bigint not null default 1,
    stable text not null,
    canary text,
    -- of 100 requests, so many go to the canary
    weight integer not null default 0 check (weight between 0 and 100),
    -- a request that carries this header goes to the canary
    header text,
    -- former stables, latest first: where a rollback goes
    previous jsonb not null default '[]',
    draining boolean not null default false,
    changed_by text not null,
    changed_at timestamptz not null default now(),
    foreign key (component, stable) references lectern.revisions (component, revision),
    foreign key (component, canary) references lectern.revisions (component, revision)
);

create table lectern.audit (
    id bigint generated always as identity primary key,
    at timestamptz not null default now(),
    -- a token's subject, or `lectern` for what a host did by itself
    who text not null,
    action text not null,
    component text not null,
    detail jsonb not null default '{}'
);

create table lectern.hosts (
    host text primary key,
    version text not null,
    listen text not null,
    started_at timestamptz not null,
    seen_at timestamptz not null default now(),
    -- {"chat": {"generation": 3, "stable": "…", "canary": null, "held_back": null}}
    components jsonb not null default '{}'
);

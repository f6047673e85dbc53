-- Where learners have it told that something of theirs is finished. The secret that signs is not here: it
-- is derived from the host's key and the id.
create table lectern.webhooks (
    id uuid primary key,
    tenant text not null,
    user_id text not null,
    url text not null,
    events text[] not null,
    -- of the secret: tells when the host's key has become another
    fingerprint bytea not null,
    created_at timestamptz not null default now(),
    -- since when nothing has come through
    failing_since timestamptz,
    disabled_at timestamptz,
    disabled_because text
);
create index webhooks_by_owner on lectern.webhooks (tenant, user_id);

-- What is told, each until it is taken or given up; of those, the last fifty.
create table lectern.webhook_deliveries (
    webhook uuid not null references lectern.webhooks on delete cascade,
    -- the event's id, the same in every attempt
    message uuid not null,
    event text not null,
    -- byte for byte as it is signed
    body text not null,
    created_at timestamptz not null default now(),
    attempts integer not null default 0,
    -- null when it is over; while an attempt is made, when another host may make the next
    due_at timestamptz default now(),
    status integer,
    error text,
    delivered_at timestamptz,
    primary key (webhook, message)
);
create index webhook_deliveries_due on lectern.webhook_deliveries (due_at) where due_at is not null;

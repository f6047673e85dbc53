-- The host's own tables. Components reach them through lectern.publish() alone.

create table lectern.components (
    role_name text primary key,
    component text not null unique
);

-- One row a published event, written in the publisher's transaction, deleted once the broker has it.
create table lectern.outbox (
    seq bigint generated always as identity primary key,
    event_id uuid not null unique default gen_random_uuid(),
    component text not null,
    topic text not null,
    key text not null,
    payload jsonb not null,
    occurred_at timestamptz not null default clock_timestamp()
);

-- Whoever relays holds this row, so that one host relays at a time and order is kept.
create table lectern.relay (only_row boolean primary key default true check (only_row));
insert into lectern.relay default values;

-- The broker that needs no Kafka: what each consumer group has still to handle.
create table lectern.subscriptions (
    consumer text not null,
    topic text not null,
    primary key (consumer, topic)
);

create table lectern.inbox (
    seq bigint generated always as identity,
    consumer text not null,
    event_id uuid not null,
    topic text not null,
    key text not null,
    payload jsonb not null,
    occurred_at timestamptz not null,
    attempt integer not null default 0,
    not_before timestamptz not null default now(),
    failure text,
    error text,
    -- The lease: the backend of the host's connection that handles the event. It ends with the
    -- connection, so nobody waits for a time-out after a crash.
    holder integer,
    holder_since timestamptz,
    primary key (consumer, event_id)
);
create index inbox_by_key on lectern.inbox (consumer, key, seq);
create index inbox_by_order on lectern.inbox (consumer, seq);

create table lectern.dead_letters (
    consumer text not null,
    event_id uuid not null,
    topic text not null,
    key text not null,
    payload jsonb not null,
    occurred_at timestamptz not null,
    attempts integer not null,
    reason text not null,
    died_at timestamptz not null default now(),
    primary key (consumer, event_id)
);

-- session_user is the role that logged in, whatever the function runs as: a component can publish
-- in its own name only. Whether it may use the topic, the host checks before and the relay again.
create function lectern.publish(topic text, key text, payload jsonb) returns uuid
language plpgsql security definer set search_path = lectern, pg_temp as $$
declare
    id uuid;
begin
    insert into lectern.outbox (component, topic, key, payload)
        select c.component, publish.topic, publish.key, publish.payload
        from lectern.components c where c.role_name = session_user
        returning event_id into strict id;
    perform pg_notify('lectern_outbox', '');
    return id;
end
$$;
revoke all on function lectern.publish(text, text, jsonb) from public;

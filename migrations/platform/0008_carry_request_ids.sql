-- Events say which request set them off, so that one id finds all log lines of it, also those of handlers.

alter table lectern.outbox add column request_id text;
alter table lectern.inbox add column request_id text;

create function lectern.publish(topic text, key text, payload jsonb, trace text, request_id text) returns uuid
language plpgsql security definer set search_path = lectern, pg_temp as $$
declare
    id uuid := gen_random_uuid();
    sent jsonb := payload;
begin
    -- What the host checks before, checked again: a component can call this by SQL.
    if octet_length(topic) not between 1 and 249 or octet_length(key) > 512 then
        raise exception 'a topic has 1 to 249 bytes, a key at most 512' using errcode = 'invalid_parameter_value';
    end if;
    if trace !~ '^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$' then
        trace := null;
    end if;
    if request_id !~ '^[A-Za-z0-9._-]{1,64}$' then
        request_id := null;
    end if;
    if jsonb_typeof(payload) = 'object' then
        sent := jsonb_build_object('schema_version', 1) || payload || jsonb_build_object('event_id', id);
    end if;
    -- Kafka's default limit for a message is 1,048,588 bytes, with its key, headers and batch.
    if octet_length(sent::text) > 1000000 then
        raise exception 'the payload exceeds 1,000,000 bytes' using errcode = 'program_limit_exceeded';
    end if;
    insert into lectern.outbox (event_id, component, topic, key, payload, trace, request_id)
        select id, c.component, publish.topic, publish.key, sent, publish.trace, publish.request_id
        from lectern.components c where c.role_name = session_user
        returning event_id into strict id;
    perform pg_notify('lectern_outbox', '');
    return id;
end
$$;
revoke all on function lectern.publish(text, text, jsonb, text, text) from public;

-- Hosts of the version before call it so.
create or replace function lectern.publish(topic text, key text, payload jsonb, trace text) returns uuid
language sql security definer set search_path = lectern, pg_temp as $$
    select lectern.publish($1, $2, $3, $4, null)
$$;

-- When each component's timers are due. Moved on after a call has ended, so that one that its host's
-- end cut off is due still.
create table lectern.timers (
    component text not null,
    name text not null,
    every_ms bigint not null,
    due_at timestamptz not null,
    -- of the last call, where it failed
    error text,
    primary key (component, name)
);

-- Attempts that a handler could not speak of itself (a trap, an exhausted limit) and attempts that ended
-- with their host are counted apart from those that asked to be tried again.
alter table lectern.inbox
    add column broken integer not null default 0,
    add column crashes integer not null default 0;

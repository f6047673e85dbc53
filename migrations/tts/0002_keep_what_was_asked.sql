-- A row that waits for its audio has all that was asked for: its event names it, and has no text.
alter table audio
    add column requested_language varchar(64),
    add column requested_engine varchar(50),
    add column requested_rate integer,
    -- of an audio that is made for somebody who listens: unless it is there by then its maker has died, and
    -- an event asks for it
    add column ask_again_at timestamptz;
create index audio_to_ask_again on audio (ask_again_at) where ask_again_at is not null;

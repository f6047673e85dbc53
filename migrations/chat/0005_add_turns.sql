-- An answer's question, by its ordinal: the answer stands behind it, whatever else was asked meanwhile.
alter table chat_messages add column turn bigint;
create index chat_messages_by_turn on chat_messages (session_id, turn);
-- Statements of a model's that were left out, as they stand in no document.
alter table chat_messages add column omitted integer not null default 0;

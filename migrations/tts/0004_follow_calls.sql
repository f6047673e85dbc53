-- From which byte of the text to which each of the engine's calls spoke: what one cannot say is cut in more.
-- Null of bytes from before: those were cut by the engine's limits alone.
alter table renditions add column chunk_spans jsonb;
-- Whoever asks for marks does it alone until then, and keeps those of each call as they come.
alter table renditions add column marks_lease_until timestamptz;
alter table renditions add column marks_told jsonb not null default '[]';

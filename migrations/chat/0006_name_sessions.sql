-- What its owner calls a session, where somebody else has a session of that name as its id: a name is one's
-- own, and tells nothing of whether others use it. Without a name it is the id.
alter table chat_sessions add column name varchar(255);
create index chat_sessions_named on chat_sessions (name) where name is not null;

-- The contract's tables, with time zones, and what they lack: an order, an explanation and a source
-- for each question, and the marks of a submission. A question's id is the quiz's and its place:
-- `<quiz_id>:q1`; a client sees `q1`.
create table quizzes (
    quiz_id varchar(255) primary key,
    document_id varchar(255) not null,
    user_id varchar(255) not null,
    num_questions integer not null,
    difficulty varchar(50) not null,
    quiz_type varchar(50) not null,
    created_at timestamptz not null default now(),
    -- who wrote the questions: local-extractive, or a model's name
    engine varchar(255) not null
);
create index quizzes_by_user on quizzes (user_id, created_at desc);

create table quiz_questions (
    question_id varchar(255) primary key,
    quiz_id varchar(255) not null references quizzes (quiz_id) on delete cascade,
    question text not null,
    options jsonb not null,
    correct_answer text not null,
    question_type varchar(50) not null,
    ordinal integer not null,
    explanation text not null,
    -- document_id, page, start, end, quote
    source jsonb not null
);
create index quiz_questions_in_order on quiz_questions (quiz_id, ordinal);

create table quiz_submissions (
    submission_id varchar(255) primary key,
    quiz_id varchar(255) not null references quizzes (quiz_id) on delete cascade,
    user_id varchar(255) not null,
    answers jsonb not null,
    score integer not null check (score between 0 and 100),
    submitted_at timestamptz not null default now()
);
create index quiz_submissions_by_user on quiz_submissions (user_id, submitted_at desc);

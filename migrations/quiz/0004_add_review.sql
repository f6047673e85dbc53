-- A quiz of several documents. Of a quiz whose document is gone, only what its submissions scored stays.
alter table quizzes add column document_ids jsonb not null default '[]';
alter table quizzes add column deleted_at timestamptz;
create index quizzes_by_document on quizzes (document_id);
create index quizzes_by_documents on quizzes using gin (document_ids);

-- What an answer in words must say, and the term that a question is about.
alter table quiz_questions add column rubric jsonb not null default '[]';
alter table quiz_questions add column topic varchar(255) not null default '';

-- As they were answered; the marks of answers that wait for a person change once.
alter table quiz_submissions add column results jsonb not null default '[]';
alter table quiz_submissions add column needs_review integer not null default 0;

-- One answer of a submission, for the analytics.
create table quiz_answers (
    submission_id varchar(255) not null references quiz_submissions (submission_id) on delete cascade,
    ordinal integer not null,
    tenant varchar(255) not null,
    user_id varchar(255) not null,
    quiz_id varchar(255) not null,
    document_id varchar(255) not null,
    topic varchar(255) not null,
    question_type varchar(50) not null,
    difficulty varchar(50) not null,
    -- 0 to 1
    points double precision not null,
    needs_review boolean not null,
    answered_at timestamptz not null default now(),
    primary key (submission_id, ordinal)
);
create index quiz_answers_by_owner on quiz_answers (tenant, user_id, answered_at);
create index quiz_answers_by_quiz on quiz_answers (quiz_id);

-- Answered questions, to be asked again when FSRS says so.
create table review_cards (
    card_id varchar(255) primary key,
    tenant varchar(255) not null,
    user_id varchar(255) not null,
    quiz_id varchar(255) not null references quizzes (quiz_id) on delete cascade,
    document_id varchar(255) not null,
    topic varchar(255) not null,
    question_type varchar(50) not null,
    question text not null,
    options jsonb not null,
    correct_answer text not null,
    rubric jsonb not null,
    explanation text not null,
    source jsonb not null,
    -- phase, stability, difficulty, reps, lapses, last_review, due
    memory jsonb not null,
    due timestamptz not null,
    created_at timestamptz not null default now()
);
create index review_cards_by_due on review_cards (tenant, user_id, due, card_id);
create index review_cards_by_quiz on review_cards (quiz_id);

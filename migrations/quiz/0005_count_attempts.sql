-- Of a quiz the first submission counts; the others, for which the key is known, are practice.
alter table quiz_submissions add column attempt integer not null default 1;
update quiz_submissions set attempt = numbered.attempt from (
    select submission_id, row_number() over (partition by quiz_id order by submitted_at, submission_id) as attempt
    from quiz_submissions
) as numbered where quiz_submissions.submission_id = numbered.submission_id and numbered.attempt > 1;
create index quiz_submissions_by_quiz on quiz_submissions (quiz_id);

-- How many questions were asked for; a quiz has fewer where its documents have no more to ask about.
alter table quizzes add column requested integer not null default 0;

-- Each time a card was asked, in the order of time: a mark that a person gives late, or changes, takes its
-- own place among them.
create table card_reviews (
    card_id varchar(255) not null references review_cards (card_id) on delete cascade,
    reviewed_at timestamptz not null,
    rating varchar(10) not null,
    -- the submission whose answer it was; none for an answer to the card itself
    submission_id varchar(255)
);
create index card_reviews_in_order on card_reviews (card_id, reviewed_at);
create unique index card_reviews_by_submission on card_reviews (card_id, submission_id);

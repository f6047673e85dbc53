-- Ids of jobs that were deleted: the request for one may come again, and brings none back.
create table deleted_jobs (
    job_id varchar(255) primary key,
    deleted_at timestamptz not null default now()
);
create index deleted_jobs_by_age on deleted_jobs (deleted_at);

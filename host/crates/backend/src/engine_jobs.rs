//! Jobs of the transcription engines that run on hosts. A job is one host's while its database session
//! lives; how it stands and what came of it lies in PostgreSQL, where every host finds it. Without a
//! database they are in memory alone, and gone with the host.

use std::sync::Arc;
use std::time::Duration;

use capability::transcription::{Error, Failure, State, Transcript};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use sqlx::{PgPool, Row};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::jobs::{self, Full, Jobs, Room, Standing};
use crate::lease::{Lease, Session};

/// Why work has no transcript.
pub(crate) type Fault = jobs::Fault<Failure>;

/// How often a host looks whether a job is still its own.
const WATCH: Duration = Duration::from_secs(5);
/// What nobody asked for that long is deleted: longer than anybody waits for a job.
const KEPT: &str = "2 days";
/// Pauses between attempts to store an outcome.
const STORE: Duration = Duration::from_secs(1);

/// Taken where there is none, where it failed, or where the host that ran it is gone. A run of this very
/// session that the host does not know is one that it dropped.
const CLAIM: &str = "
insert into lectern.engine_jobs as j (name, run, holder, holder_since) values ($1, $2, $3, $4)
on conflict (name) do update
set run = excluded.run, holder = excluded.holder, holder_since = excluded.holder_since, outcome = null, since = now()
where j.outcome ? 'Err' or (j.outcome is null and (
    (j.holder = excluded.holder and j.holder_since = excluded.holder_since)
    or not exists (select from pg_stat_activity a where a.pid = j.holder and a.backend_start = j.holder_since)))";

const READ: &str = "
select outcome, (holder, holder_since) <> ($2, $3)
    and exists (select from pg_stat_activity a where a.pid = holder and a.backend_start = holder_since)
from lectern.engine_jobs where name = $1";

/// As it is stored.
#[derive(Serialize, Deserialize)]
struct Outcome(Result<Transcript, Failure>);

/// Jobs by name. Dropping it ends those of this host.
pub(crate) struct EngineJobs {
    jobs: Jobs<Transcript, Failure>,
    ledger: Option<Arc<Ledger>>,
    /// Held from the claim of a job until it is at work: a second start waits and finds it.
    starting: Mutex<()>,
}

impl EngineJobs {
    /// With `pool`, the hosts' own database, they are shared with its other hosts.
    pub(crate) fn new(room: Room, pool: Option<PgPool>) -> Self {
        let ledger = |pool: PgPool| {
            let lease = Lease::new(pool.clone());
            Arc::new(Ledger { pool, lease })
        };
        Self {
            jobs: Jobs::new(room),
            ledger: pool.map(ledger),
            starting: Mutex::new(()),
        }
    }

    /// Whether this host has the job, and it has not failed.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.jobs.has(name)
    }

    /// Begins the work once a place is free, unless another host has the job.
    pub(crate) async fn start(
        &self,
        name: &str,
        work: impl Future<Output = Result<Transcript, Fault>> + Send + 'static,
    ) -> Result<(), Error> {
        let full = |Full| Error::QuotaExceeded;
        let Some(ledger) = &self.ledger else {
            return self.jobs.start(name, work).map_err(full);
        };
        let _starting = self.starting.lock().await;
        if self.has(name) {
            return Ok(());
        }
        let Some(run) = ledger.claim(name).await.map_err(away)? else {
            return Ok(());
        };
        let started = self
            .jobs
            .start(name, run.clone().finish(work))
            .map_err(full);
        if started.is_err() {
            run.give_back().await;
        }
        started
    }

    pub(crate) async fn poll(&self, name: &str) -> Result<State, Error> {
        match (self.jobs.poll(name), &self.ledger) {
            (Some(standing), _) => Ok(state(standing)),
            (None, Some(ledger)) => ledger
                .read(name)
                .await
                .map_err(away)?
                .ok_or(Error::NotFound),
            (None, None) => Err(Error::NotFound),
        }
    }

    /// Ends it, on whatever host it runs.
    pub(crate) async fn forget(&self, name: &str) -> Result<(), Error> {
        self.jobs.forget(name);
        match &self.ledger {
            Some(ledger) => ledger.forget(name).await.map_err(away),
            None => Ok(()),
        }
    }
}

fn state(standing: Standing<Transcript, Failure>) -> State {
    match standing {
        Standing::Running => State::Running,
        Standing::Done(transcript) => State::Done(transcript),
        Standing::Failed(failure) => State::Failed(failure),
    }
}

fn away(error: sqlx::Error) -> Error {
    Error::Unavailable(format!("the jobs' database: {error}"))
}

/// What all hosts know.
struct Ledger {
    pool: PgPool,
    lease: Lease,
}

/// One try of a job, by this host.
#[derive(Clone)]
struct Run {
    ledger: Arc<Ledger>,
    name: String,
    id: Uuid,
}

impl Ledger {
    /// `None` where another host has it, or it is done.
    async fn claim(self: &Arc<Self>, name: &str) -> Result<Option<Run>, sqlx::Error> {
        let Session { pid, since } = self.lease.session().await?;
        let id = Uuid::new_v4();
        let claimed = sqlx::query(CLAIM)
            .bind(name)
            .bind(id)
            .bind(pid)
            .bind(since)
            .execute(&self.pool);
        let is_claimed = claimed.await?.rows_affected() == 1;
        sqlx::query("delete from lectern.engine_jobs where since < now() - $1::text::interval")
            .bind(KEPT)
            .execute(&self.pool)
            .await?;
        Ok(is_claimed.then(|| Run {
            ledger: self.clone(),
            name: name.to_owned(),
            id,
        }))
    }

    /// `None` where there is none, or none that anybody is at work on.
    async fn read(&self, name: &str) -> Result<Option<State>, sqlx::Error> {
        let Session { pid, since } = self.lease.session().await?;
        let row = sqlx::query(READ)
            .bind(name)
            .bind(pid)
            .bind(since)
            .fetch_optional(&self.pool);
        let Some(row) = row.await? else {
            return Ok(None);
        };
        let outcome: Option<Json<Outcome>> = row.get(0);
        Ok(match outcome {
            Some(Json(Outcome(Ok(transcript)))) => Some(State::Done(transcript)),
            Some(Json(Outcome(Err(failure)))) => Some(State::Failed(failure)),
            None => row.get::<bool, _>(1).then_some(State::Running),
        })
    }

    async fn forget(&self, name: &str) -> Result<(), sqlx::Error> {
        let forgotten = sqlx::query("delete from lectern.engine_jobs where name = $1").bind(name);
        forgotten.execute(&self.pool).await.map(|_| ())
    }
}

impl Run {
    /// The work, until it ends or the job is another's; its outcome lies in the database then, and the host
    /// forgets it.
    async fn finish(
        self,
        work: impl Future<Output = Result<Transcript, Fault>> + Send,
    ) -> Result<Transcript, Fault> {
        let outcome = tokio::select! {
            outcome = work => outcome,
            () = self.lost() => return Err(Fault::Moved),
        };
        let outcome = match outcome {
            Ok(transcript) => Outcome(Ok(transcript)),
            Err(Fault::Lasting(failure)) => Outcome(Err(failure)),
            Err(passing) => {
                self.give_back().await;
                return Err(passing);
            }
        };
        let outcome = Json(outcome);
        while let Err(error) = self.store(&outcome).await {
            let why = error.to_string();
            tracing::warn!(job = %self.name, %why, "a transcript cannot be stored; it is tried again");
            tokio::time::sleep(STORE).await;
        }
        Err(Fault::Moved)
    }

    /// Returns once the job is forgotten or another host's. The session may be another by now.
    async fn lost(&self) {
        // At once, too: it may have waited long for a place.
        while self.kept().await.unwrap_or(true) {
            tokio::time::sleep(WATCH).await;
        }
    }

    /// Says that this host has it, where it still does.
    async fn kept(&self) -> Result<bool, sqlx::Error> {
        let Session { pid, since } = self.ledger.lease.session().await?;
        let kept = sqlx::query(
            "update lectern.engine_jobs set holder = $3, holder_since = $4 where name = $1 and run = $2",
        )
        .bind(&self.name)
        .bind(self.id)
        .bind(pid)
        .bind(since)
        .execute(&self.ledger.pool);
        Ok(kept.await?.rows_affected() == 1)
    }

    async fn store(&self, outcome: &Json<Outcome>) -> Result<(), sqlx::Error> {
        sqlx::query("update lectern.engine_jobs set outcome = $3 where name = $1 and run = $2")
            .bind(&self.name)
            .bind(self.id)
            .bind(outcome)
            .execute(&self.ledger.pool)
            .await
            .map(|_| ())
    }

    /// As if it had not been started. Where this fails, this host may start it again and no other.
    async fn give_back(&self) {
        let given = sqlx::query("delete from lectern.engine_jobs where name = $1 and run = $2")
            .bind(&self.name)
            .bind(self.id)
            .execute(&self.ledger.pool);
        if let Err(error) = given.await {
            let why = error.to_string();
            tracing::warn!(job = %self.name, %why, "a job that is dropped cannot be told so");
        }
    }
}

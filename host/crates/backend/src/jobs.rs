//! Jobs of the host's own engines, in memory: started, polled, forgotten, and gone with the host.

use std::collections::{HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use capability::trace::Cause;
use futures::FutureExt;
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

/// How many jobs there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// At work at once.
    pub places: usize,
    /// Waiting for a place; one more is refused.
    pub queue: usize,
}

/// Ended jobs that are remembered; the oldest is forgotten for the next.
const REMEMBERED: usize = 1_000;

/// How a job stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Standing<T, F = String> {
    Running,
    Done(T),
    /// For this reason.
    Failed(F),
}

/// Why work has no result.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Fault<F = String> {
    /// The next try would fail too: the job fails for this reason.
    #[error("{0}")]
    Lasting(F),
    /// The next try may do: the job is dropped, so that whoever polls it starts it again. This goes to
    /// the log, so it holds neither text nor credentials.
    #[error("{0}")]
    Passing(String),
    /// The result lies elsewhere, or nobody wants it any more: the job is dropped without a word.
    #[error("the job is not this host's any more")]
    Moved,
}

impl<F> Fault<F> {
    /// The same, for another reason where it lasts.
    pub(crate) fn map<G>(self, reason: impl FnOnce(F) -> G) -> Fault<G> {
        match self {
            Self::Lasting(failure) => Fault::Lasting(reason(failure)),
            Self::Passing(why) => Fault::Passing(why),
            Self::Moved => Fault::Moved,
        }
    }
}

impl<F> From<F> for Fault<F> {
    fn from(reason: F) -> Self {
        Self::Lasting(reason)
    }
}

/// How far a job is, in steps of its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress(Arc<AtomicU32>);

impl Progress {
    /// One step more.
    pub(crate) fn step(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// All places are taken, and the queue is full.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// Jobs by name. Dropping it ends them.
pub(crate) struct Jobs<T, F = String> {
    table: Arc<Mutex<Table<T, F>>>,
    places: Arc<Semaphore>,
    most: usize,
}

struct Table<T, F> {
    jobs: HashMap<String, Job<T, F>>,
    /// In the order they ended.
    ended: VecDeque<(String, u64)>,
    next: u64,
}

struct Job<T, F> {
    /// Tells a job from one of the same name that was forgotten.
    number: u64,
    standing: Standing<T, F>,
    progress: Progress,
    task: Option<AbortOnDropHandle<()>>,
}

impl<T: Clone + Send + 'static, F: Clone + From<String> + Send + 'static> Jobs<T, F> {
    pub(crate) fn new(room: Room) -> Self {
        Self {
            table: Arc::new(Mutex::new(Table {
                jobs: HashMap::new(),
                ended: VecDeque::new(),
                next: 0,
            })),
            places: Arc::new(Semaphore::new(room.places)),
            most: room.places.saturating_add(room.queue),
        }
    }

    /// Begins the work once a place is free; fine when there is such a job, and again where that has
    /// failed.
    pub(crate) fn start<E: Into<Fault<F>> + 'static>(
        &self,
        name: &str,
        work: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<(), Full> {
        self.start_counted(name, |_| work)
    }

    /// The same for work that says how far it is.
    pub(crate) fn start_counted<E: Into<Fault<F>> + 'static, W>(
        &self,
        name: &str,
        work: impl FnOnce(Progress) -> W,
    ) -> Result<(), Full>
    where
        W: Future<Output = Result<T, E>> + Send + 'static,
    {
        let mut table = lock(&self.table);
        if table.stands(name) {
            return Ok(());
        }
        if table.jobs.len() - table.ended.len() >= self.most {
            return Err(Full);
        }
        table.forget(name);
        table.next += 1;
        let number = table.next;
        let progress = Progress::default();
        let task = at_work(
            Arc::downgrade(&self.table),
            self.places.clone(),
            (name.to_owned(), number),
            work(progress.clone()),
        );
        let job = Job {
            number,
            standing: Standing::Running,
            progress,
            // Begins before the job is in the table, and cannot end before: the table is locked.
            task: Some(AbortOnDropHandle::new(tokio::spawn(
                Cause::now().scope(task),
            ))),
        };
        table.jobs.insert(name.to_owned(), job);
        Ok(())
    }

    /// `None` where there is no such job.
    pub(crate) fn poll(&self, name: &str) -> Option<Standing<T, F>> {
        let table = lock(&self.table);
        table.jobs.get(name).map(|job| job.standing.clone())
    }

    /// Steps done; `None` where there is no such job.
    pub(crate) fn steps(&self, name: &str) -> Option<u32> {
        let table = lock(&self.table);
        let job = table.jobs.get(name)?;
        Some(job.progress.0.load(Ordering::Relaxed))
    }

    /// Whether there is such a job, and it has not failed: it need not be started.
    pub(crate) fn has(&self, name: &str) -> bool {
        lock(&self.table).stands(name)
    }

    /// Ends it where it runs.
    pub(crate) fn forget(&self, name: &str) {
        lock(&self.table).forget(name);
    }
}

impl<T, F> Table<T, F> {
    fn stands(&self, name: &str) -> bool {
        let job = self.jobs.get(name);
        job.is_some_and(|job| !matches!(job.standing, Standing::Failed(_)))
    }

    fn forget(&mut self, name: &str) {
        if let Some(job) = self.jobs.remove(name) {
            self.ended.retain(|(_, number)| *number != job.number);
        }
    }

    /// `None` drops the job.
    fn end(&mut self, name: String, number: u64, standing: Option<Standing<T, F>>) {
        let Some(job) = self.jobs.get_mut(&name) else {
            return;
        };
        if job.number != number {
            return;
        }
        let Some(standing) = standing else {
            self.forget(&name);
            return;
        };
        job.standing = standing;
        job.task = None;
        self.ended.push_back((name, number));
        if self.ended.len() > REMEMBERED
            && let Some((oldest, _)) = self.ended.pop_front()
        {
            self.jobs.remove(&oldest);
        }
    }
}

async fn at_work<T, F: From<String>, E: Into<Fault<F>>>(
    table: Weak<Mutex<Table<T, F>>>,
    places: Arc<Semaphore>,
    (name, number): (String, u64),
    work: impl Future<Output = Result<T, E>> + Send,
) {
    let done = async {
        let place = places.acquire().await;
        let _place = place.map_err(|e| Fault::Lasting(F::from(e.to_string())))?;
        work.await.map_err(Into::into)
    };
    let standing = match AssertUnwindSafe(done).catch_unwind().await {
        Ok(Ok(done)) => Some(Standing::Done(done)),
        Ok(Err(Fault::Lasting(reason))) => Some(Standing::Failed(reason)),
        Ok(Err(Fault::Passing(why))) => {
            tracing::warn!(job = %name, %why, "a job is dropped; it may be started again");
            None
        }
        Ok(Err(Fault::Moved)) => None,
        Err(_) => Some(Standing::Failed(F::from("the engine broke".to_owned()))),
    };
    if let Some(table) = table.upgrade() {
        lock(&table).end(name, number, standing);
    }
}

fn lock<T, F>(table: &Mutex<Table<T, F>>) -> MutexGuard<'_, Table<T, F>> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ONE: Room = Room {
        places: 1,
        queue: 1,
    };

    /// Names the fault's type, which the compiler cannot find out from a value.
    async fn ready(done: Result<u32, Fault>) -> Result<u32, Fault> {
        done
    }

    async fn broken() -> Result<u32, Fault> {
        panic!("as asked")
    }

    async fn ended(jobs: &Jobs<u32>, name: &str) -> Standing<u32> {
        loop {
            match jobs.poll(name) {
                Some(Standing::Running) => tokio::time::sleep(Duration::from_millis(1)).await,
                Some(standing) => return standing,
                None => panic!("{name} is lost"),
            }
        }
    }

    #[tokio::test]
    async fn a_job_ends_as_its_work_does() {
        let jobs = Jobs::new(Room {
            places: 3,
            queue: 0,
        });
        jobs.start("a", ready(Ok(1))).unwrap();
        jobs.start("a", ready(Ok(2))).unwrap();
        jobs.start("b", ready(Err(Fault::Lasting("no".into()))))
            .unwrap();
        jobs.start("c", broken()).unwrap();
        assert_eq!(ended(&jobs, "a").await, Standing::Done(1));
        assert_eq!(ended(&jobs, "b").await, Standing::Failed("no".into()));
        let broke = Standing::Failed("the engine broke".into());
        assert_eq!(ended(&jobs, "c").await, broke);
        assert_eq!(jobs.poll("d"), None);
    }

    #[tokio::test]
    async fn a_running_job_says_how_far_it_is() {
        let jobs = Jobs::new(ONE);
        let (walk, mut steps) = tokio::sync::mpsc::channel::<()>(1);
        jobs.start_counted("a", |progress| async move {
            while steps.recv().await.is_some() {
                progress.step();
            }
            ready(Ok(7)).await
        })
        .unwrap();
        for step in 1..=3 {
            walk.send(()).await.unwrap();
            while jobs.steps("a") != Some(step) {
                tokio::task::yield_now().await;
            }
            assert_eq!(jobs.poll("a"), Some(Standing::Running));
        }
        drop(walk);
        assert_eq!(ended(&jobs, "a").await, Standing::Done(7));
        assert_eq!((jobs.steps("a"), jobs.steps("b")), (Some(3), None));
    }

    #[tokio::test]
    async fn one_more_than_there_is_room_for_is_refused() {
        let jobs = Jobs::new(ONE);
        let (finish, finished) = tokio::sync::oneshot::channel();
        jobs.start("a", async { finished.await.map_err(|_| String::new()) })
            .unwrap();
        jobs.start("b", ready(Ok(2))).unwrap();
        assert_eq!(jobs.start("c", ready(Ok(3))), Err(Full));
        assert_eq!(jobs.poll("b"), Some(Standing::Running));
        finish.send(1).unwrap();
        assert_eq!(ended(&jobs, "b").await, Standing::Done(2));
        jobs.start("c", ready(Ok(3))).unwrap();
        assert_eq!(ended(&jobs, "c").await, Standing::Done(3));
    }

    #[tokio::test]
    async fn a_forgotten_job_ends_and_makes_room() {
        let jobs = Jobs::new(Room {
            places: 1,
            queue: 0,
        });
        let (held, ends) = tokio::sync::oneshot::channel::<u32>();
        jobs.start("a", async move {
            let _held = held;
            std::future::pending::<Result<u32, Fault>>().await
        })
        .unwrap();
        jobs.forget("a");
        assert_eq!(jobs.poll("a"), None);
        assert!(ends.await.is_err(), "the work went on");
        jobs.start("a", ready(Ok(2))).unwrap();
        assert_eq!(ended(&jobs, "a").await, Standing::Done(2));
    }

    #[tokio::test]
    async fn a_passing_fault_drops_the_job_and_makes_room() {
        let jobs = Jobs::new(Room {
            places: 1,
            queue: 0,
        });
        jobs.start("a", ready(Err(Fault::Passing("not now".into()))))
            .unwrap();
        while jobs.poll("a") == Some(Standing::Running) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(jobs.poll("a"), None);
        jobs.start("a", ready(Ok(2))).unwrap();
        assert_eq!(ended(&jobs, "a").await, Standing::Done(2));
    }

    #[tokio::test]
    async fn a_failed_job_is_run_again_when_it_is_started_again() {
        let jobs = Jobs::new(ONE);
        jobs.start("a", ready(Err(Fault::Lasting("no".into()))))
            .unwrap();
        assert_eq!(ended(&jobs, "a").await, Standing::Failed("no".into()));
        assert!(!jobs.has("a"));
        jobs.start("a", ready(Ok(2))).unwrap();
        assert_eq!(ended(&jobs, "a").await, Standing::Done(2));
        assert_eq!(lock(&jobs.table).ended.len(), 1);
    }

    #[tokio::test]
    async fn the_oldest_is_forgotten_for_the_next() {
        let jobs = Jobs::new(ONE);
        for number in 0..=REMEMBERED {
            let name = number.to_string();
            jobs.start(&name, ready(Ok(1))).unwrap();
            ended(&jobs, &name).await;
        }
        assert_eq!(jobs.poll("0"), None);
        assert_eq!(jobs.poll("1"), Some(Standing::Done(1)));
        assert_eq!(lock(&jobs.table).jobs.len(), REMEMBERED);
    }
}

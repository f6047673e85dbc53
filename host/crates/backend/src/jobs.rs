//! Jobs of the host's own engines, in memory: started, polled, forgotten, and gone with the host.

use std::collections::{HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

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
pub(crate) enum Standing<T> {
    Running,
    Done(T),
    /// For this reason.
    Failed(String),
}

/// All places are taken, and the queue is full.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// Jobs by name. Dropping it ends them.
pub(crate) struct Jobs<T> {
    table: Arc<Mutex<Table<T>>>,
    places: Arc<Semaphore>,
    most: usize,
}

struct Table<T> {
    jobs: HashMap<String, Job<T>>,
    /// In the order they ended.
    ended: VecDeque<(String, u64)>,
    next: u64,
}

struct Job<T> {
    /// Tells a job from one of the same name that was forgotten.
    number: u64,
    standing: Standing<T>,
    task: Option<AbortOnDropHandle<()>>,
}

impl<T: Clone + Send + 'static> Jobs<T> {
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

    /// Begins the work once a place is free; fine when there is such a job. An error of the work's is
    /// the reason the job fails for.
    pub(crate) fn start(
        &self,
        name: &str,
        work: impl Future<Output = Result<T, String>> + Send + 'static,
    ) -> Result<(), Full> {
        let mut table = lock(&self.table);
        if table.jobs.contains_key(name) {
            return Ok(());
        }
        if table.jobs.len() - table.ended.len() >= self.most {
            return Err(Full);
        }
        table.next += 1;
        let number = table.next;
        let task = at_work(
            Arc::downgrade(&self.table),
            self.places.clone(),
            (name.to_owned(), number),
            work,
        );
        let job = Job {
            number,
            standing: Standing::Running,
            // Begins before the job is in the table, and cannot end before: the table is locked.
            task: Some(AbortOnDropHandle::new(tokio::spawn(task))),
        };
        table.jobs.insert(name.to_owned(), job);
        Ok(())
    }

    /// `None` where there is no such job.
    pub(crate) fn poll(&self, name: &str) -> Option<Standing<T>> {
        let table = lock(&self.table);
        table.jobs.get(name).map(|job| job.standing.clone())
    }

    /// Whether there is such a job.
    pub(crate) fn has(&self, name: &str) -> bool {
        lock(&self.table).jobs.contains_key(name)
    }

    /// Ends it where it runs.
    pub(crate) fn forget(&self, name: &str) {
        let mut table = lock(&self.table);
        if let Some(job) = table.jobs.remove(name) {
            table.ended.retain(|(_, number)| *number != job.number);
        }
    }
}

impl<T> Table<T> {
    fn end(&mut self, name: String, number: u64, standing: Standing<T>) {
        let Some(job) = self.jobs.get_mut(&name) else {
            return;
        };
        if job.number != number {
            return;
        }
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

async fn at_work<T>(
    table: Weak<Mutex<Table<T>>>,
    places: Arc<Semaphore>,
    (name, number): (String, u64),
    work: impl Future<Output = Result<T, String>> + Send,
) {
    let done = async {
        let _place = places.acquire().await.map_err(|e| e.to_string())?;
        work.await
    };
    let standing = match AssertUnwindSafe(done).catch_unwind().await {
        Ok(Ok(done)) => Standing::Done(done),
        Ok(Err(reason)) => Standing::Failed(reason),
        Err(_) => Standing::Failed("the engine broke".into()),
    };
    if let Some(table) = table.upgrade() {
        lock(&table).end(name, number, standing);
    }
}

fn lock<T>(table: &Mutex<Table<T>>) -> MutexGuard<'_, Table<T>> {
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
        jobs.start("a", async { Ok(1) }).unwrap();
        jobs.start("a", async { Ok(2) }).unwrap();
        jobs.start("b", async { Err("no".into()) }).unwrap();
        jobs.start("c", async { panic!("as asked") }).unwrap();
        assert_eq!(ended(&jobs, "a").await, Standing::Done(1));
        assert_eq!(ended(&jobs, "b").await, Standing::Failed("no".into()));
        let broke = Standing::Failed("the engine broke".into());
        assert_eq!(ended(&jobs, "c").await, broke);
        assert_eq!(jobs.poll("d"), None);
    }

    #[tokio::test]
    async fn one_more_than_there_is_room_for_is_refused() {
        let jobs = Jobs::new(ONE);
        let (finish, finished) = tokio::sync::oneshot::channel();
        jobs.start("a", async { finished.await.map_err(|_| String::new()) })
            .unwrap();
        jobs.start("b", async { Ok(2) }).unwrap();
        assert_eq!(jobs.start("c", async { Ok(3) }), Err(Full));
        assert_eq!(jobs.poll("b"), Some(Standing::Running));
        finish.send(1).unwrap();
        assert_eq!(ended(&jobs, "b").await, Standing::Done(2));
        jobs.start("c", async { Ok(3) }).unwrap();
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
            std::future::pending().await
        })
        .unwrap();
        jobs.forget("a");
        assert_eq!(jobs.poll("a"), None);
        assert!(ends.await.is_err(), "the work went on");
        jobs.start("a", async { Ok(2) }).unwrap();
        assert_eq!(ended(&jobs, "a").await, Standing::Done(2));
    }

    #[tokio::test]
    async fn the_oldest_is_forgotten_for_the_next() {
        let jobs = Jobs::new(ONE);
        for number in 0..=REMEMBERED {
            let name = number.to_string();
            jobs.start(&name, async { Ok(1) }).unwrap();
            ended(&jobs, &name).await;
        }
        assert_eq!(jobs.poll("0"), None);
        assert_eq!(jobs.poll("1"), Some(Standing::Done(1)));
        assert_eq!(lock(&jobs.table).jobs.len(), REMEMBERED);
    }
}

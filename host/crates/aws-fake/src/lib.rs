//! Polly, Transcribe and Textract as their documentation has them, for tests: it signs for nothing,
//! costs nothing, and misbehaves when told to. It must never ship.
//!
//! What it speaks is a tone as long as the text, what it transcribes and reads is what a test says
//! there is. All else is meant to be theirs: the wire, the names of errors, the limits, the states of
//! jobs, the signatures. Of S3 it has what a store of small blobs needs.

mod knobs;
mod polly;
mod refusal;
mod s3;
mod serve;
mod signature;
mod textract;
mod transcribe;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use knobs::Knobs;
pub use knobs::{Pace, Trouble};

/// The one access key it knows.
pub const ACCESS_KEY_ID: &str = "fake-access-key";
/// And its secret.
pub const SECRET_ACCESS_KEY: &str = "fake-secret-key";
/// The region that requests are signed for. Any other is fine too.
pub const REGION: &str = "us-east-1";

/// What a bucket holds, as far as this is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// Audio in which this is said.
    Audio(String),
    /// A document of these lines, page by page.
    Document(Vec<Vec<String>>),
    /// What neither Transcribe nor Textract reads.
    Other,
}

/// Tells what an `s3://bucket/key` holds.
pub type Lookup = Box<dyn Fn(&str) -> Option<Object> + Send + Sync>;

pub(crate) struct World {
    url: String,
    knobs: Knobs,
    objects: Mutex<HashMap<String, Object>>,
    lookup: Mutex<Option<Lookup>>,
    /// What was put there through S3.
    stored: Mutex<HashMap<String, bytes::Bytes>>,
    image: Mutex<Vec<String>>,
    transcribe: Mutex<transcribe::Jobs>,
    textract: Mutex<textract::Jobs>,
}

impl World {
    /// What a test says there is.
    fn objects_of_tests(&self, uri: &str) -> Option<Object> {
        let known = locked(&self.objects).get(uri).cloned();
        known.or_else(|| locked(&self.lookup).as_ref().and_then(|found| found(uri)))
    }

    fn object(&self, uri: &str) -> Option<Object> {
        let stored = || locked(&self.stored).get(uri).map(|_| Object::Other);
        self.objects_of_tests(uri).or_else(stored)
    }
}

/// A test that panicked under a lock has told what it had to.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running one, which ends when it is dropped.
pub struct Fake {
    world: Arc<World>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Fake {
    /// On a free port of the loopback interface. Fails where there is none.
    pub async fn start() -> std::io::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let world = Arc::new(World {
            url: format!("http://{}", listener.local_addr()?),
            knobs: Knobs::default(),
            objects: Mutex::default(),
            lookup: Mutex::default(),
            stored: Mutex::default(),
            image: Mutex::new(vec!["LECTERN".into(), "read by a fake".into()]),
            transcribe: Mutex::default(),
            textract: Mutex::default(),
        });
        let server = tokio::spawn(serve::serve(listener, world.clone()));
        Ok(Self { world, server })
    }

    /// What an SDK takes for an endpoint.
    pub fn url(&self) -> &str {
        &self.world.url
    }

    /// Lets `uri`, an `s3://bucket/key`, hold that.
    pub fn put(&self, uri: &str, object: Object) {
        locked(&self.world.objects).insert(uri.to_owned(), object);
    }

    /// Whether anything lies there that was put through S3.
    pub fn is_stored(&self, uri: &str) -> bool {
        locked(&self.world.stored).contains_key(uri)
    }

    /// Jobs of transcription that there are.
    pub fn transcription_jobs(&self) -> Vec<String> {
        locked(&self.world.transcribe).names()
    }

    /// Vocabularies that there are.
    pub fn vocabularies(&self) -> Vec<String> {
        locked(&self.world.transcribe).vocabularies()
    }

    /// What is asked of every URI that was not [`Fake::put`].
    pub fn look_up_with(&self, lookup: Lookup) {
        *locked(&self.world.lookup) = Some(lookup);
    }

    /// The lines that every image shows.
    pub fn show(&self, lines: &[&str]) {
        *locked(&self.world.image) = lines.iter().map(|line| (*line).to_owned()).collect();
    }

    /// Lets the next `times` calls of an operation, as in `SynthesizeSpeech`, go wrong. Troubles of
    /// one operation follow each other. The download of a transcript is `GetTranscript`.
    pub fn trouble(&self, operation: &str, trouble: Trouble, times: usize) {
        self.world.knobs.trouble(operation, trouble, times);
    }

    /// How often an operation was called, refused calls included.
    pub fn calls(&self, operation: &str) -> usize {
        self.world.knobs.calls(operation)
    }

    /// The most calls of an operation that there were at once.
    pub fn most_at_once(&self, operation: &str) -> usize {
        self.world.knobs.most_at_once(operation)
    }

    /// How long every answer waits.
    pub fn delay(&self, latency: Duration) {
        self.world.knobs.set(|set| set.latency = latency);
    }

    /// How long the answers of one operation wait beyond that.
    pub fn delay_of(&self, operation: &str, latency: Duration) {
        let operation = operation.to_owned();
        self.world.knobs.set(|set| {
            set.latencies.insert(operation, latency);
        });
    }

    /// How long jobs take, and vocabularies to be ready.
    pub fn pace(&self, pace: Pace) {
        self.world.knobs.set(|set| set.pace = pace);
    }

    /// Lets jobs fail for this reason, or end well again.
    pub fn fail_jobs(&self, reason: Option<&str>) {
        let reason = reason.map(ToOwned::to_owned);
        self.world.knobs.set(|set| set.failure = reason);
    }

    /// How many milliseconds a voice takes for a character: 60 at first, a calm reader's pace.
    pub fn speak_at(&self, milliseconds: usize) {
        self.world.knobs.set(|set| set.voice = milliseconds);
    }

    /// The pages that Textract's jobs cannot read, from 1.
    pub fn spoil_pages(&self, pages: &[u32]) {
        let pages = pages.to_vec();
        self.world.knobs.set(|set| set.spoiled = pages);
    }

    /// The most blocks that one answer of Textract's holds, whatever is asked for.
    pub fn blocks_a_page(&self, most: usize) {
        self.world.knobs.set(|set| set.blocks = most.max(1));
    }
}

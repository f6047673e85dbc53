//! Capabilities behind a breaker: while their server is away, nobody waits for it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::Breaker;
use crate::blobs::{self, Blobs, ByteStream, Key, Stat};
use crate::ocr::{self, Ocr};
use crate::speech::{self, Audio, Mark, MarkKind, Speech, Voice};
use crate::transcription::{self, Transcription};

/// A capability, and the breaker between its callers and its server.
pub struct Guarded<T: ?Sized> {
    /// Asked while the breaker is closed.
    pub inner: Arc<T>,
    /// Of that server.
    pub breaker: Arc<Breaker>,
}

/// An error of a capability, as a breaker sees it.
trait Fails: Sized {
    /// What callers get while it is open.
    fn resting() -> Self;
    /// Whether the server did not answer, or not as it should.
    fn is_failure(&self) -> bool;
}

macro_rules! fails {
    ($error:ty) => {
        impl Fails for $error {
            fn resting() -> Self {
                Self::Unavailable("it failed again and again, and is given a rest".into())
            }

            fn is_failure(&self) -> bool {
                matches!(self, Self::Timeout | Self::Unavailable(_))
            }
        }
    };
}

fails!(blobs::Error);
fails!(ocr::Error);
fails!(speech::Error);
fails!(transcription::Error);

impl<T: ?Sized> Guarded<T> {
    async fn ask<V, E: Fails>(
        &self,
        answer: impl Future<Output = Result<V, E>> + Send,
    ) -> Result<V, E> {
        let permit = self.breaker.admit().ok_or_else(E::resting)?;
        let answer = answer.await;
        match &answer {
            Err(error) if error.is_failure() => permit.failed(),
            _ => permit.succeeded(),
        }
        answer
    }
}

#[async_trait]
impl Speech for Guarded<dyn Speech> {
    async fn voices(&self, language_code: Option<&str>) -> Result<Vec<Voice>, speech::Error> {
        self.ask(self.inner.voices(language_code)).await
    }

    async fn synthesize(&self, request: &speech::Request) -> Result<Audio, speech::Error> {
        self.ask(self.inner.synthesize(request)).await
    }

    async fn marks(
        &self,
        request: &speech::Request,
        kinds: &[MarkKind],
    ) -> Result<Vec<Mark>, speech::Error> {
        self.ask(self.inner.marks(request, kinds)).await
    }
}

#[async_trait]
impl Transcription for Guarded<dyn Transcription> {
    async fn start(
        &self,
        job: &str,
        request: &transcription::Request,
    ) -> Result<(), transcription::Error> {
        self.ask(self.inner.start(job, request)).await
    }

    async fn poll(&self, job: &str) -> Result<transcription::State, transcription::Error> {
        self.ask(self.inner.poll(job)).await
    }

    async fn forget(&self, job: &str) -> Result<(), transcription::Error> {
        self.ask(self.inner.forget(job)).await
    }
}

#[async_trait]
impl Ocr for Guarded<dyn Ocr> {
    async fn recognize(
        &self,
        image: Bytes,
        languages: &[String],
    ) -> Result<Vec<ocr::Line>, ocr::Error> {
        self.ask(self.inner.recognize(image, languages)).await
    }

    async fn start(&self, job: &str, request: &ocr::Request) -> Result<(), ocr::Error> {
        self.ask(self.inner.start(job, request)).await
    }

    async fn poll(&self, job: &str) -> Result<ocr::State, ocr::Error> {
        self.ask(self.inner.poll(job)).await
    }

    async fn forget(&self, job: &str) -> Result<(), ocr::Error> {
        self.ask(self.inner.forget(job)).await
    }
}

#[async_trait]
impl Blobs for Guarded<dyn Blobs> {
    async fn put(&self, key: &Key, data: ByteStream, limit: u64) -> Result<Stat, blobs::Error> {
        self.ask(self.inner.put(key, data, limit)).await
    }

    async fn get(
        &self,
        key: &Key,
        offset: u64,
        length: Option<u64>,
    ) -> Result<(Stat, ByteStream), blobs::Error> {
        self.ask(self.inner.get(key, offset, length)).await
    }

    async fn head(&self, key: &Key) -> Result<Stat, blobs::Error> {
        self.ask(self.inner.head(key)).await
    }

    async fn rename(&self, key: &Key, to: &Key) -> Result<(), blobs::Error> {
        self.ask(self.inner.rename(key, to)).await
    }

    async fn delete(&self, key: &Key) -> Result<(), blobs::Error> {
        self.ask(self.inner.delete(key)).await
    }

    /// Asks no server.
    async fn presign(
        &self,
        key: &Key,
        expires: Duration,
        file_name: Option<&str>,
    ) -> Result<Option<String>, blobs::Error> {
        self.inner.presign(key, expires, file_name).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::super::{Policy, Position};
    use super::*;

    struct Away(AtomicU32);

    #[async_trait]
    impl Transcription for Away {
        async fn start(
            &self,
            _: &str,
            _: &transcription::Request,
        ) -> Result<(), transcription::Error> {
            Err(transcription::Error::NoAudio)
        }

        async fn poll(&self, _: &str) -> Result<transcription::State, transcription::Error> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Err(transcription::Error::Timeout)
        }

        async fn forget(&self, _: &str) -> Result<(), transcription::Error> {
            Err(transcription::Error::NotFound)
        }
    }

    #[tokio::test]
    async fn a_server_that_is_away_is_asked_no_more_and_one_that_refuses_is() {
        let breaker = Arc::new(Breaker::new(Policy {
            failures: 3,
            cool_down: Duration::from_secs(60),
            share: None,
        }));
        let away = Arc::new(Away(AtomicU32::new(0)));
        let guarded = Guarded {
            inner: away.clone() as Arc<dyn Transcription>,
            breaker: breaker.clone(),
        };
        for _ in 0..10 {
            let refused = guarded.forget("a").await;
            assert_eq!(refused, Err(transcription::Error::NotFound));
        }
        assert_eq!(breaker.position(), Position::Closed);
        for _ in 0..10 {
            assert!(guarded.poll("a").await.is_err());
        }
        assert_eq!(away.0.load(Ordering::Relaxed), 3);
        assert_eq!(breaker.position(), Position::Open);
    }
}

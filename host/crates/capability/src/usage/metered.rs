//! Capabilities that count what a caller uses.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;

use super::{Account, Kind, Room, Usage};
use crate::ComponentName;
use crate::blobs::{self, Blobs, ByteStream, Key, Stat};
use crate::llm::{self, Completion, Delta, Llm};
use crate::speech::{self, Audio, Input, Mark, MarkKind, Speech, Voice};

/// A model whose tokens are counted. An answer may begin where anything is left, and what it may come to is
/// taken meanwhile: of several at once only one can go past the budget, by itself alone.
pub struct MeteredLlm {
    /// Asked.
    pub inner: Arc<dyn Llm>,
    /// Pays.
    pub account: Arc<Account>,
}

/// Of English; where a server counts itself, its count is taken.
const BYTES_A_TOKEN: u64 = 4;

/// What was taken for an answer, until it is known what it came to. Dropped before, it came to what was
/// said so far.
struct Taken {
    account: Option<Arc<Account>>,
    at: Instant,
    most: u64,
    prompt: u64,
    /// Bytes of the answer.
    said: u64,
}

impl Taken {
    fn so_far(&self) -> u64 {
        self.prompt + self.said.div_ceil(BYTES_A_TOKEN)
    }

    fn beyond(&self, used: u64) -> i64 {
        let signed = |amount| i64::try_from(amount).unwrap_or(i64::MAX);
        signed(used) - signed(self.most)
    }

    async fn settle(mut self, used: u64) {
        if let Some(account) = self.account.take() {
            let (by, ago) = (self.beyond(used), self.at.elapsed());
            account.correct(Kind::LlmTokens, by, ago).await;
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let Some(account) = self.account.take() else {
            return;
        };
        let (by, ago) = (self.beyond(self.so_far()), self.at.elapsed());
        // While the host ends there may be no runtime any more; the day's end corrects it then.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { account.correct(Kind::LlmTokens, by, ago).await });
        }
    }
}

#[async_trait]
impl Llm for MeteredLlm {
    async fn complete(&self, request: llm::Request) -> Result<Completion, llm::Error> {
        let bytes: usize = request.messages.iter().map(|m| m.content.len()).sum();
        let prompt = (bytes as u64).div_ceil(BYTES_A_TOKEN);
        let most = prompt + u64::from(request.max_tokens);
        let taken = self.account.take(Kind::LlmTokens, most, Room::ForAny);
        taken.await.map_err(|_| llm::Error::QuotaExceeded)?;
        let taken = Taken {
            account: Some(self.account.clone()),
            at: Instant::now(),
            most,
            prompt,
            said: 0,
        };
        match self.inner.complete(request).await {
            Ok(completion) => Ok(Completion {
                model: completion.model,
                deltas: counted(completion.deltas, taken),
            }),
            Err(error) => {
                taken.settle(0).await;
                Err(error)
            }
        }
    }
}

type Deltas = BoxStream<'static, Result<Delta, llm::Error>>;

fn counted(deltas: Deltas, taken: Taken) -> Deltas {
    let begun = (deltas, Some(taken));
    let counted = futures::stream::unfold(begun, |(mut deltas, mut taken)| async move {
        let delta = deltas.next().await;
        match &delta {
            Some(Ok(Delta::Text(text))) => {
                if let Some(taken) = &mut taken {
                    taken.said += text.len() as u64;
                }
            }
            end => {
                let said = match end {
                    Some(Ok(Delta::Done(outcome))) => {
                        u64::from(outcome.prompt_tokens) + u64::from(outcome.completion_tokens)
                    }
                    _ => 0,
                };
                // Before the last word is passed on: who reads it finds the account right.
                if let Some(taken) = taken.take() {
                    let used = if said > 0 { said } else { taken.so_far() };
                    taken.settle(used).await;
                }
            }
        }
        Some((delta?, (deltas, taken)))
    });
    counted.boxed()
}

/// A voice whose characters are counted, without the tags of SSML, as Polly's bill counts them.
pub struct MeteredSpeech {
    /// Asked.
    pub inner: Arc<dyn Speech>,
    /// Pays.
    pub account: Arc<Account>,
}

fn characters(input: &Input) -> u64 {
    let count = match input {
        Input::Text(text) => text.chars().count(),
        Input::Ssml(text) => {
            let (mut is_tag, mut count) = (false, 0);
            for letter in text.chars() {
                match letter {
                    '<' => is_tag = true,
                    '>' if is_tag => is_tag = false,
                    _ => count += usize::from(!is_tag),
                }
            }
            count
        }
    };
    count as u64
}

impl MeteredSpeech {
    /// What there is no answer to costs nothing.
    async fn counted<T>(
        &self,
        input: &Input,
        answer: impl Future<Output = Result<T, speech::Error>> + Send,
    ) -> Result<T, speech::Error> {
        let (count, at) = (characters(input), Instant::now());
        let taken = self
            .account
            .take(Kind::SpeechCharacters, count, Room::ForAll);
        taken.await.map_err(|_| speech::Error::QuotaExceeded)?;
        let answer = answer.await;
        if answer.is_err() {
            let by = -i64::try_from(count).unwrap_or(i64::MAX);
            let ago = at.elapsed();
            self.account.correct(Kind::SpeechCharacters, by, ago).await;
        }
        answer
    }
}

#[async_trait]
impl Speech for MeteredSpeech {
    async fn voices(&self, language_code: Option<&str>) -> Result<Vec<Voice>, speech::Error> {
        self.inner.voices(language_code).await
    }

    async fn synthesize(&self, request: &speech::Request) -> Result<Audio, speech::Error> {
        self.counted(&request.input, self.inner.synthesize(request))
            .await
    }

    /// Polly has them paid as speech.
    async fn marks(
        &self,
        request: &speech::Request,
        kinds: &[MarkKind],
    ) -> Result<Vec<Mark>, speech::Error> {
        self.counted(&request.input, self.inner.marks(request, kinds))
            .await
    }
}

/// A store in which what a caller puts is the caller's, until somebody deletes it.
pub struct MeteredBlobs {
    /// Asked.
    pub inner: Arc<dyn Blobs>,
    /// Counts what is deleted and renamed, whoever does it.
    pub usage: Arc<dyn Usage>,
    /// Pays for what is put; what the component puts by itself is nobody's.
    pub account: Option<Arc<Account>>,
    /// Whose keys these are.
    pub component: ComponentName,
}

impl MeteredBlobs {
    fn name(&self, key: &Key) -> String {
        format!("{}/{key}", self.component)
    }

    /// What was given back too little is given back by the next deletion of that key.
    async fn told(&self, counted: impl Future<Output = Result<(), super::Error>> + Send) {
        if let Err(error) = counted.await {
            tracing::warn!(%error, component = %self.component, "storage is not counted");
        }
    }
}

#[async_trait]
impl Blobs for MeteredBlobs {
    async fn put(&self, key: &Key, data: ByteStream, limit: u64) -> Result<Stat, blobs::Error> {
        let Some(account) = &self.account else {
            return self.inner.put(key, data, limit).await;
        };
        let full = |_| blobs::Error::QuotaExceeded;
        // Before all of it is taken in.
        account.check(Kind::StorageBytes, 1).await.map_err(full)?;
        let stat = self.inner.put(key, data, limit).await?;
        let name = self.name(key);
        let held = account.hold(Kind::StorageBytes, &name, stat.size).await;
        if held.is_err() {
            self.inner.delete(key).await?;
        }
        held.map_err(full)?;
        Ok(stat)
    }

    async fn get(
        &self,
        key: &Key,
        offset: u64,
        length: Option<u64>,
    ) -> Result<(Stat, ByteStream), blobs::Error> {
        self.inner.get(key, offset, length).await
    }

    async fn head(&self, key: &Key) -> Result<Stat, blobs::Error> {
        self.inner.head(key).await
    }

    async fn rename(&self, key: &Key, to: &Key) -> Result<(), blobs::Error> {
        self.inner.rename(key, to).await?;
        let (name, to) = (self.name(key), self.name(to));
        self.told(self.usage.rename(&name, &to)).await;
        Ok(())
    }

    async fn delete(&self, key: &Key) -> Result<(), blobs::Error> {
        self.inner.delete(key).await?;
        let name = self.name(key);
        self.told(self.usage.release(&name)).await;
        Ok(())
    }

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
    use std::sync::Mutex;

    use futures::TryStreamExt;
    use tokio::sync::Notify;

    use super::super::{Budgets, Error, Subject};
    use super::*;
    use crate::llm::{Finish, Message, Outcome, Role};

    /// One user's tokens.
    #[derive(Default)]
    struct Ledger {
        used: Mutex<i64>,
        corrected: Notify,
    }

    #[async_trait]
    impl Usage for Ledger {
        async fn take(&self, _: &Subject, _: Kind, amount: u64, _: Room) -> Result<(), Error> {
            *self.used.lock().unwrap() += i64::try_from(amount).unwrap();
            Ok(())
        }
        async fn check(&self, _: &Subject, _: Kind, _: u64) -> Result<(), Error> {
            Ok(())
        }
        async fn correct(&self, _: &Subject, _: Kind, by: i64, _: Duration) -> Result<(), Error> {
            *self.used.lock().unwrap() += by;
            self.corrected.notify_one();
            Ok(())
        }
        async fn hold(&self, _: &Subject, _: Kind, _: &str, _: u64) -> Result<(), Error> {
            Ok(())
        }
        async fn release(&self, _: &str) -> Result<(), Error> {
            Ok(())
        }
        async fn rename(&self, _: &str, _: &str) -> Result<(), Error> {
            Ok(())
        }
        async fn used(&self, _: &Subject) -> Result<Vec<(Kind, u64)>, Error> {
            Ok(vec![])
        }
        fn budgets(&self) -> Budgets {
            Budgets::default()
        }
        fn refusals(&self) -> Vec<(Kind, u64)> {
            vec![]
        }
    }

    /// Says two words of four bytes, and then that.
    struct Says(Result<Delta, llm::Error>);

    #[async_trait]
    impl Llm for Says {
        async fn complete(&self, _: llm::Request) -> Result<Completion, llm::Error> {
            let word = || Ok(Delta::Text("word".into()));
            let deltas = futures::stream::iter([word(), word(), self.0.clone()]);
            Ok(Completion {
                model: "m".into(),
                deltas: deltas.boxed(),
            })
        }
    }

    async fn ask(last: Result<Delta, llm::Error>) -> (Arc<Ledger>, Deltas) {
        let usage = Arc::new(Ledger::default());
        let who = Subject {
            tenant: String::new(),
            user: "alice".into(),
        };
        let metered = MeteredLlm {
            inner: Arc::new(Says(last)),
            account: Arc::new(Account::new(usage.clone(), who)),
        };
        let request = llm::Request {
            messages: vec![Message {
                role: Role::User,
                content: "x".repeat(40),
            }],
            max_tokens: 1_000,
            temperature: None,
            schema: None,
        };
        let deltas = metered.complete(request).await.unwrap().deltas;
        assert_eq!(*usage.used.lock().unwrap(), 1_010, "while it is under way");
        (usage, deltas)
    }

    fn done(prompt_tokens: u32, completion_tokens: u32) -> Result<Delta, llm::Error> {
        Ok(Delta::Done(Outcome {
            finish: Finish::Stop,
            prompt_tokens,
            completion_tokens,
        }))
    }

    #[tokio::test]
    async fn an_answer_costs_what_the_server_says_else_what_was_said() {
        for (last, cost) in [
            (done(7, 5), 12),
            (done(0, 0), 12),
            (Err(llm::Error::Timeout), 12),
            (done(100, 900), 1_000),
        ] {
            let (usage, deltas) = ask(last).await;
            let _: Result<Vec<_>, _> = deltas.try_collect().await;
            assert_eq!(*usage.used.lock().unwrap(), cost);
        }
    }

    #[tokio::test]
    async fn who_leaves_pays_for_what_was_said() {
        let (usage, mut deltas) = ask(done(7, 5)).await;
        assert!(deltas.next().await.is_some());
        drop(deltas);
        usage.corrected.notified().await;
        assert_eq!(*usage.used.lock().unwrap(), 11);
    }

    #[test]
    fn tags_of_ssml_are_not_spoken() {
        assert_eq!(characters(&Input::Text("a <b> ü".into())), 7);
        let ssml = "<speak>a <break time=\"1s\"/>ü</speak>";
        assert_eq!(characters(&Input::Ssml(ssml.into())), 3);
    }
}

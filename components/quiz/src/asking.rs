//! What a language model is asked for a quiz, call by call: each kind by itself, and what one call lacks of the
//! next, as long as there is time.

use std::future::Future;

use crate::compose::Wanted;
use crate::lint::{is_duplicate, lint};
use crate::question::{Kind, Question};
use crate::text::Text;

/// What a model is shown of all documents, in bytes.
const EXCERPT: usize = 20_000;
/// Calls for one kind at most: what the first lacks, the next are asked for.
const CALLS: u32 = 3;
/// No further call, of whatever kind, once so much time is spent, in microseconds: the last one may take two
/// minutes, and the request has three.
const TIME_TO_ASK: i64 = 45_000_000;

/// One call.
pub struct Call<'a> {
    /// Which kind is asked for.
    pub kind: Kind,
    /// How many.
    pub count: usize,
    /// What the model is shown.
    pub shown: &'a [Text],
    /// What is not to be asked again.
    pub found: &'a [Question],
}

/// Whoever writes questions, and the time that it takes.
pub trait Writer: Send {
    /// In microseconds.
    fn now(&self) -> i64;

    /// What could be understood of one call's answer, and the writer's name; nothing where there is none, or
    /// none that answers.
    fn ask(
        &mut self,
        call: Call<'_>,
    ) -> impl Future<Output = Option<(Vec<Question>, String)>> + Send;
}

/// What the writer writes that is fit, and its name.
pub async fn ask_for_all(
    wanted: &Wanted,
    texts: &[Text],
    mut writer: impl Writer,
) -> (Vec<Question>, Option<String>) {
    let (mut found, mut name) = (Vec::new(), None);
    let until = writer.now() + TIME_TO_ASK;
    for (kind, share) in wanted.quiz_type.shares(wanted.count) {
        for round in 0..CALLS {
            let missing = share.saturating_sub(of_kind(&found, kind));
            if missing == 0 || name.is_some() && writer.now() > until {
                break;
            }
            let call = Call {
                kind,
                count: missing,
                shown: &excerpt(texts, round as usize),
                found: &found,
            };
            let Some((questions, by)) = writer.ask(call).await else {
                return (found, name);
            };
            name = Some(by);
            let before = found.len();
            keep(questions, texts, &mut found);
            // A model that has no more to say is not asked again.
            if found.len() == before {
                break;
            }
        }
    }
    (found, name)
}

fn of_kind(questions: &[Question], kind: Kind) -> usize {
    let of_kind = questions.iter().filter(|question| question.kind == kind);
    of_kind.count()
}

/// Those that pass the lint and ask something new.
fn keep(questions: Vec<Question>, texts: &[Text], found: &mut Vec<Question>) {
    for question in questions {
        let is_new = |other: &Question| {
            other.source != question.source && !is_duplicate(&other.stem, &question.stem)
        };
        if lint(&question, texts).is_ok() && found.iter().all(is_new) {
            found.push(question);
        }
    }
}

/// Passages from all over the documents, as many as a model is shown; others in each round.
fn excerpt(texts: &[Text], round: usize) -> Vec<Text> {
    let budget = EXCERPT / texts.len().max(1);
    let of = |text: &Text| {
        let all: usize = text.passages.iter().map(|passage| passage.text.len()).sum();
        let step = all.div_ceil(budget.max(1)).max(1);
        let passages = text.passages.iter().skip(round % step).step_by(step);
        Text {
            document_id: text.document_id.clone(),
            passages: passages.cloned().collect(),
            terms: vec![],
        }
    };
    texts.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use corpus::samples::{BIOLOGY, HISTORY};
    use corpus::{Document, Page};

    use super::*;
    use crate::compose::compose;
    use crate::question::{Difficulty, QuizType};

    const SECOND: i64 = 1_000_000;

    fn texts() -> Vec<Text> {
        let pages = vec![Page {
            number: 1,
            text: format!("{BIOLOGY}\n{HISTORY}"),
        }];
        vec![Text {
            document_id: "d".into(),
            passages: Document { pages }.passages(),
            terms: vec![],
        }]
    }

    fn wanted(quiz_type: QuizType, count: usize) -> Wanted {
        Wanted {
            quiz_type,
            difficulty: Difficulty::Medium,
            count,
            seed: 7,
        }
    }

    /// Takes so long for a call, and writes so many fit questions.
    struct Slow<'a> {
        seconds: i64,
        writes: usize,
        sound: Vec<Question>,
        at: i64,
        kinds: &'a mut Vec<Kind>,
    }

    impl Writer for Slow<'_> {
        fn now(&self) -> i64 {
            self.at
        }

        async fn ask(&mut self, call: Call<'_>) -> Option<(Vec<Question>, String)> {
            self.at += self.seconds * SECOND;
            self.kinds.push(call.kind);
            let is_next =
                |question: &&Question| question.kind == call.kind && !call.found.contains(question);
            let written = self.sound.iter().filter(is_next);
            let written = written.take(self.writes.min(call.count)).cloned();
            Some((written.collect(), "slow".to_owned()))
        }
    }

    /// What comes of that which waits for nothing.
    fn at_once<T>(future: impl Future<Output = T>) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => done,
            Poll::Pending => panic!("it waits for something"),
        }
    }

    /// The kinds that it is asked for, and how many questions there are then.
    fn asked(wanted: &Wanted, seconds: i64, writes: usize) -> (Vec<Kind>, usize) {
        let (texts, mut kinds) = (texts(), Vec::new());
        let slow = Slow {
            seconds,
            writes,
            sound: compose(wanted, &texts, vec![]),
            at: 0,
            kinds: &mut kinds,
        };
        let (found, name) = at_once(ask_for_all(wanted, &texts, slow));
        assert_eq!(name.as_deref(), Some("slow"));
        (kinds, found.len())
    }

    #[test]
    fn a_slow_model_is_not_asked_again_for_whichever_kind() {
        let mixed = wanted(QuizType::Mixed, 6);
        let all = mixed.quiz_type.shares(mixed.count);
        let all: Vec<Kind> = all.into_iter().map(|(kind, _)| kind).collect();
        for (seconds, calls) in [(1, 3), (30, 2), (65, 1)] {
            let (kinds, found) = asked(&mixed, seconds, 6);
            assert_eq!(kinds, all[..calls], "{seconds}");
            assert_eq!(found, 2 * calls, "{seconds}");
        }
    }

    #[test]
    fn what_a_call_lacks_the_next_ones_are_asked_for() {
        let alone = wanted(QuizType::ShortAnswer, 3);
        assert_eq!(asked(&alone, 1, 1), (vec![Kind::ShortAnswer; 3], 3));
        // One that has no more to say is not asked again.
        assert_eq!(asked(&alone, 1, 0), (vec![Kind::ShortAnswer], 0));
    }
}

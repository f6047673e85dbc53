//! What every store of usage must do.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use super::{Budgets, Error, Kind, Room, Subject, Usage};

/// The budgets that the cases ask for.
pub const BUDGETS: Budgets = Budgets {
    llm_tokens: Some(100),
    speech_characters: Some(50),
    transcription_seconds: None,
    storage_bytes: Some(1_000),
};

fn somebody() -> Subject {
    Subject {
        tenant: "contract".into(),
        user: uuid::Uuid::new_v4().to_string(),
    }
}

async fn used(usage: &dyn Usage, who: &Subject, kind: Kind) -> u64 {
    let used = usage.used(who).await.expect("it answers");
    let found = used.iter().find(|(of, _)| *of == kind);
    found.map_or(0, |(_, amount)| *amount)
}

fn is_over(counted: &Result<(), Error>) -> bool {
    match counted {
        Ok(()) => false,
        Err(Error::Over(_)) => true,
        Err(error) => panic!("it answers: {error}"),
    }
}

/// Of twenty at once that take ten each, those that fit.
pub async fn a_budget_is_kept_to_whoever_takes_at_once(usage: &Arc<dyn Usage>) {
    let who = somebody();
    let take = || usage.take(&who, Kind::SpeechCharacters, 10, Room::ForAll);
    let refused = join_all((0..20).map(|_| take())).await;
    assert_eq!(
        refused.iter().filter(|counted| is_over(counted)).count(),
        15
    );
    assert_eq!(used(&**usage, &who, Kind::SpeechCharacters).await, 50);
    assert!(is_over(&usage.check(&who, Kind::SpeechCharacters, 1).await));
    let stranger = somebody();
    let other = usage.take(&stranger, Kind::SpeechCharacters, 10, Room::ForAll);
    assert!(other.await.is_ok(), "a user's own");
}

/// What is not known before is taken where anything is left, and corrected.
pub async fn what_may_come_is_taken_and_corrected(usage: &Arc<dyn Usage>) {
    let who = somebody();
    let take = |amount| usage.take(&who, Kind::LlmTokens, amount, Room::ForAny);
    assert!(take(500).await.is_ok());
    assert!(is_over(&take(1).await), "while it is under way");
    usage
        .correct(&who, Kind::LlmTokens, -440, Duration::ZERO)
        .await
        .expect("it answers");
    assert_eq!(used(&**usage, &who, Kind::LlmTokens).await, 60);
    assert!(take(60).await.is_ok());
    let Err(Error::Over(refusal)) = take(1).await else {
        panic!("it is used up");
    };
    assert_eq!((refusal.limit, refusal.used), (100, 120));
    assert!(
        refusal
            .resets_in
            .is_some_and(|left| left.as_secs() <= 86_400)
    );
    usage
        .correct(&who, Kind::LlmTokens, -1_000, Duration::ZERO)
        .await
        .expect("it answers");
    assert_eq!(used(&**usage, &who, Kind::LlmTokens).await, 0, "never less");
    assert!(take(50).await.is_ok());
    // What began before midnight is corrected where it was counted.
    let ago = Duration::from_secs(2 * 86_400);
    let corrected = usage.correct(&who, Kind::LlmTokens, -50, ago).await;
    corrected.expect("it answers");
    assert_eq!(used(&**usage, &who, Kind::LlmTokens).await, 50);
}

/// Without a budget it is counted, and never refused.
pub async fn what_has_no_budget_is_counted(usage: &Arc<dyn Usage>) {
    let who = somebody();
    let taken = usage.take(&who, Kind::TranscriptionSeconds, 7, Room::ForAll);
    assert!(taken.await.is_ok());
    assert_eq!(used(&**usage, &who, Kind::TranscriptionSeconds).await, 7);
}

/// Under a name once, until it is given back, by whatever name.
pub async fn what_is_held_is_given_back(usage: &Arc<dyn Usage>) {
    let (who, name) = (somebody(), uuid::Uuid::new_v4().to_string());
    let hold = |name: String, amount| {
        let who = who.clone();
        async move { usage.hold(&who, Kind::StorageBytes, &name, amount).await }
    };
    let stored = || used(&**usage, &who, Kind::StorageBytes);
    assert!(hold(name.clone(), 700).await.is_ok());
    assert!(hold(name.clone(), 700).await.is_ok(), "the same again");
    assert_eq!(stored().await, 700);
    let moved = format!("{name}-moved");
    usage.rename(&name, &moved).await.expect("it answers");
    usage.release(&name).await.expect("there is nothing");
    assert_eq!(stored().await, 700);
    let Err(Error::Over(refusal)) = hold(name.clone(), 400).await else {
        panic!("it does not fit");
    };
    assert_eq!((refusal.used, refusal.resets_in), (700, None));
    usage.release(&moved).await.expect("it answers");
    usage.release(&moved).await.expect("it answers");
    assert_eq!(stored().await, 0);
    assert!(hold(name, 400).await.is_ok());
}

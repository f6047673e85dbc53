//! When a card is asked again: FSRS 5 (<https://github.com/open-spaced-repetition>), by `rs-fsrs`, at a
//! retention of 0.9. Moments are microseconds since the Unix epoch.

use chrono::{DateTime, Utc};
use rs_fsrs::{Card, FSRS, Parameters, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How likely a card is still known when it comes up again.
pub const RETENTION: f64 = 0.9;
/// Between two times at most, in days.
pub const MAX_INTERVAL: i32 = 3_650;
const DAY: i64 = 86_400_000_000;

/// How well a card was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Rating {
    /// Not at all.
    Again,
    /// With effort, or in part.
    Hard,
    /// As it should be.
    Good,
    /// At once.
    Easy,
}

impl Rating {
    /// Worst first.
    pub const ALL: [Self; 4] = [Self::Again, Self::Hard, Self::Good, Self::Easy];

    /// As in the body of an answer.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Again => "again",
            Self::Hard => "hard",
            Self::Good => "good",
            Self::Easy => "easy",
        }
    }

    /// The reverse of [`Rating::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rating| rating.as_str() == word)
    }

    /// Of an answer that is worth so many points.
    pub fn of_points(points: f64) -> Self {
        if points >= 0.9 {
            Self::Good
        } else if points >= crate::grade::PASS {
            Self::Hard
        } else {
            Self::Again
        }
    }
}

/// How far a card is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Never asked.
    #[default]
    New,
    /// Not known yet: minutes between two times.
    Learning,
    /// Known: days between two times.
    Review,
    /// Was known, and forgotten.
    Relearning,
}

/// What is remembered of a learner's memory of a card.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// How far it is.
    pub phase: Phase,
    /// Days until it is still known with a probability of [`RETENTION`].
    pub stability: f64,
    /// 1 to 10.
    pub difficulty: f64,
    /// Times that it was asked.
    pub reps: u32,
    /// Times that it was forgotten.
    pub lapses: u32,
    /// When it was last asked.
    pub last_review: i64,
    /// When it is to be asked again.
    pub due: i64,
}

impl Memory {
    /// After the card was asked at `now`.
    pub fn after(&self, now: i64, rating: Rating) -> Self {
        // A clock that was set back makes no time negative.
        let now = now.max(self.last_review);
        let parameters = Parameters {
            request_retention: RETENTION,
            maximum_interval: MAX_INTERVAL,
            // What was known the first time needs no steps of minutes.
            enable_short_term: self.phase != Phase::New || rating == Rating::Again,
            enable_fuzz: false,
            ..Parameters::default()
        };
        let next = FSRS::new(parameters).next(self.card(), moment(now), theirs(rating));
        Self::of(&next.card, now)
    }

    /// After a card was asked at these moments, in their order.
    pub fn replayed(reviews: impl IntoIterator<Item = (i64, Rating)>) -> Self {
        let begin = Self::default();
        let after = |memory: Self, (at, rating)| memory.after(at, rating);
        reviews.into_iter().fold(begin, after)
    }

    /// Days from the last time to the next; 0 within a day.
    pub fn interval_days(&self) -> i64 {
        self.due.saturating_sub(self.last_review).max(0) / DAY
    }

    fn card(&self) -> Card {
        // What lies in the database may be older than these bounds.
        let sound = |value: f64, least: f64, most: f64| {
            if value.is_finite() {
                value.clamp(least, most)
            } else {
                least
            }
        };
        Card {
            due: moment(self.due),
            stability: sound(self.stability, 0.01, 36_500.0),
            difficulty: sound(self.difficulty, 1.0, 10.0),
            elapsed_days: 0,
            scheduled_days: self.interval_days(),
            reps: i32::try_from(self.reps.min(1 << 20)).unwrap_or_default(),
            lapses: i32::try_from(self.lapses.min(1 << 20)).unwrap_or_default(),
            state: match self.phase {
                Phase::New => State::New,
                Phase::Learning => State::Learning,
                Phase::Review => State::Review,
                Phase::Relearning => State::Relearning,
            },
            last_review: moment(self.last_review),
        }
    }

    fn of(card: &Card, now: i64) -> Self {
        let most = now.saturating_add(i64::from(MAX_INTERVAL) * DAY);
        Self {
            phase: match card.state {
                State::New => Phase::New,
                State::Learning => Phase::Learning,
                State::Review => Phase::Review,
                State::Relearning => Phase::Relearning,
            },
            stability: card.stability.clamp(0.01, 36_500.0),
            difficulty: card.difficulty.clamp(1.0, 10.0),
            reps: u32::try_from(card.reps).unwrap_or_default(),
            lapses: u32::try_from(card.lapses).unwrap_or_default(),
            last_review: now,
            due: card.due.timestamp_micros().clamp(now, most),
        }
    }
}

fn theirs(rating: Rating) -> rs_fsrs::Rating {
    match rating {
        Rating::Again => rs_fsrs::Rating::Again,
        Rating::Hard => rs_fsrs::Rating::Hard,
        Rating::Good => rs_fsrs::Rating::Good,
        Rating::Easy => rs_fsrs::Rating::Easy,
    }
}

/// Within the years that a timestamp can be added to.
fn moment(microseconds: i64) -> DateTime<Utc> {
    let sound = microseconds.clamp(0, 200 * 365 * DAY);
    DateTime::from_timestamp_micros(sound).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::shuffle::Rng;

    const NOW: i64 = 1_764_930_600_000_000;

    /// A thousand memories as answers make them, early and late ones among them.
    fn reached() -> Vec<(Memory, i64)> {
        let mut rng = Rng::new(11);
        let mut all = Vec::new();
        for _ in 0..200 {
            let (mut memory, mut now) = (Memory::default(), NOW);
            for _ in 0..6 {
                all.push((memory.clone(), now));
                memory = memory.after(now, Rating::ALL[rng.below(4)]);
                let wait = (memory.due - now).max(60_000_000);
                now += wait * (rng.below(30) as i64 + 1) / 10;
            }
        }
        all
    }

    #[test]
    fn every_next_time_is_ahead_and_within_bounds() {
        for (memory, now) in reached() {
            for rating in Rating::ALL {
                let next = memory.after(now, rating);
                assert!(next.due > now, "{memory:?} {rating:?}");
                assert!(next.interval_days() <= i64::from(MAX_INTERVAL));
                assert!((1.0..=10.0).contains(&next.difficulty) && next.stability > 0.0);
                assert_eq!(next.reps, memory.reps + 1);
            }
        }
    }

    #[test]
    fn the_better_it_was_known_the_later_it_comes() {
        for (memory, now) in reached() {
            let due = Rating::ALL.map(|rating| memory.after(now, rating).due);
            assert!(due.is_sorted(), "{memory:?}: {due:?}");
        }
    }

    #[test]
    fn what_is_known_each_time_comes_ever_later() {
        let (mut memory, mut now, mut before) = (Memory::default(), NOW, 0);
        for _ in 0..20 {
            memory = memory.after(now, Rating::Good);
            let interval = memory.due - now;
            assert!(interval >= before, "{memory:?}");
            (before, now) = (interval, memory.due);
        }
        assert!(before >= 365 * DAY);
    }

    #[test]
    fn what_was_wrong_comes_within_minutes_and_what_was_right_in_days() {
        let wrong = Memory::default().after(NOW, Rating::Again);
        assert_eq!(
            (wrong.due - NOW, wrong.phase),
            (60_000_000, Phase::Learning)
        );
        let right = Memory::default().after(NOW, Rating::Good);
        assert_eq!((right.interval_days(), right.phase), (3, Phase::Review));
        let forgotten = right.after(right.due, Rating::Again);
        assert_eq!((forgotten.lapses, forgotten.phase), (1, Phase::Relearning));
    }

    #[test]
    fn at_its_time_nine_in_ten_are_still_known() {
        for (memory, now) in reached() {
            let next = memory.after(now, Rating::Good);
            if next.phase == Phase::Review && (3..3_000).contains(&next.interval_days()) {
                // Days are whole, and a good answer earns one more than a hard one.
                let known = |days: f64| Parameters::forgetting_curve(days, next.stability);
                let days = next.interval_days() as f64;
                assert!(
                    known(days - 2.0) > RETENTION - 0.001 && known(days + 2.0) < RETENTION + 0.001,
                    "{next:?}"
                );
            }
        }
    }

    #[test]
    fn a_memory_that_is_damaged_does_no_harm() {
        for memory in [
            Memory {
                stability: f64::NAN,
                difficulty: f64::INFINITY,
                phase: Phase::Review,
                ..Memory::default()
            },
            Memory {
                last_review: i64::MAX,
                due: i64::MIN,
                phase: Phase::Review,
                ..Memory::default()
            },
            Memory {
                last_review: i64::MIN,
                due: i64::MAX,
                reps: u32::MAX,
                lapses: u32::MAX,
                ..Memory::default()
            },
        ] {
            for rating in Rating::ALL {
                let next = memory.after(NOW, rating);
                assert!(next.stability.is_finite() && next.due >= next.last_review);
            }
        }
    }

    fn history() -> impl Strategy<Value = Vec<(Rating, i64)>> {
        let gap = prop_oneof![
            -DAY..DAY,
            0..60 * DAY,
            0..5_000 * DAY,
            Just(0),
            Just(i64::MAX / 64)
        ];
        vec((select(Rating::ALL.to_vec()), gap), 0..30)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_better_known_card_comes_no_sooner(history in history(), start in 0..60_i64, gap in 0..400 * DAY) {
            let mut now = start * 365 * DAY;
            let mut memory = Memory::default();
            for (rating, gap) in history {
                now = now.saturating_add(gap);
                let next = memory.after(now, rating);
                is_sound(&next, now.max(memory.last_review))?;
                prop_assert_eq!(next.reps, memory.reps + 1);
                prop_assert!(next.lapses - memory.lapses <= 1);
                memory = next;
            }
            now = now.saturating_add(gap);
            let due = Rating::ALL.map(|rating| memory.after(now, rating).due);
            prop_assert!(due.is_sorted(), "{due:?} after {memory:?}");
        }

        #[test]
        fn whatever_lies_in_the_database_the_next_time_is_sound(
            phase in select(vec![Phase::New, Phase::Learning, Phase::Review, Phase::Relearning]),
            (stability, difficulty) in any::<(f64, f64)>(), (reps, lapses) in any::<(u32, u32)>(),
            (last_review, due, now) in any::<(i64, i64, i64)>(), rating in select(Rating::ALL.to_vec()),
        ) {
            let memory = Memory { phase, stability, difficulty, reps, lapses, last_review, due };
            is_sound(&memory.after(now, rating), now.max(last_review))?;
        }
    }

    fn is_sound(memory: &Memory, now: i64) -> Result<(), TestCaseError> {
        prop_assert!((0.01..=36_500.0).contains(&memory.stability), "{memory:?}");
        prop_assert!((1.0..=10.0).contains(&memory.difficulty), "{memory:?}");
        prop_assert!(memory.phase != Phase::New && memory.last_review == now);
        prop_assert!(memory.due >= now && memory.interval_days() <= i64::from(MAX_INTERVAL));
        Ok(())
    }
}

//! What every store of rates must do.

use std::num::NonZeroU32;
use std::time::Duration;

use futures::future::try_join_all;

use super::{Asked, Away, Rate, Rates};

const fn rate(burst: u32, period: Duration) -> Rate {
    match NonZeroU32::new(burst) {
        Some(burst) => Rate { burst, period },
        None => panic!("a rate of none"),
    }
}

/// Ten an hour: none comes back while a test runs.
const SLOW: (&str, Rate) = ("contract.slow", rate(10, Duration::from_secs(3_600)));
const OTHER: (&str, Rate) = ("contract.other", rate(1, Duration::from_secs(3_600)));
/// One comes back in 100 ms.
const QUICK: (&str, Rate) = ("contract.quick", rate(1, Duration::from_millis(100)));

/// The rates that the cases ask for.
pub const RATES: [(&str, Rate); 3] = [SLOW, OTHER, QUICK];

fn asked((name, rate): (&'static str, Rate), who: u128) -> Asked {
    Asked { name, who, rate }
}

/// A key that no other run has asked for.
fn somebody() -> u128 {
    uuid::Uuid::new_v4().as_u128()
}

async fn passes(rates: &dyn Rates, all: &[Asked]) -> Result<bool, Away> {
    let standings = rates.take(all).await?;
    Ok(standings.iter().all(|standing| standing.retry.is_none()))
}

/// Anew where the store did not answer in time, as on a machine that has none: nobody knows what it counted.
async fn answered(case: impl AsyncFn() -> Result<(), Away>) {
    for _ in 0..100 {
        match case().await {
            Ok(()) => return,
            Err(Away(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    panic!("the store does not answer");
}

/// Of forty at once, ten.
pub async fn as_many_pass_as_a_rate_says(rates: &dyn Rates) {
    answered(async || {
        let all = [asked(SLOW, somebody())];
        let answers = try_join_all((0..40).map(|_| passes(rates, &all))).await?;
        assert_eq!(answers.into_iter().filter(|passed| *passed).count(), 10);
        let refused = rates.take(&all).await?[0];
        assert_eq!(refused.remaining, 0);
        let retry = refused.retry.expect("the eleventh is refused");
        assert!(
            retry > Duration::ZERO && retry <= SLOW.1.interval(),
            "{retry:?}"
        );
        Ok(())
    })
    .await;
}

/// Neither another user nor another rate of the same user is touched.
pub async fn keys_and_names_are_counted_apart(rates: &dyn Rates) {
    answered(async || {
        let (one, two) = (somebody(), somebody());
        assert!(passes(rates, &[asked(OTHER, one)]).await?);
        assert!(!passes(rates, &[asked(OTHER, one)]).await?);
        assert!(passes(rates, &[asked(OTHER, two)]).await?);
        let standing = rates.take(&[asked(SLOW, one)]).await?[0];
        assert_eq!((standing.remaining, standing.retry), (9, None));
        assert!(standing.reset <= SLOW.1.interval());
        Ok(())
    })
    .await;
}

/// After which one more passes.
pub async fn a_request_comes_back_after_its_interval(rates: &dyn Rates) {
    answered(async || {
        let all = [asked(QUICK, somebody())];
        assert!(passes(rates, &all).await?);
        while !passes(rates, &all).await? {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    })
    .await;
}

/// Who is over his own rate takes nothing from his tenant's.
pub async fn what_the_first_rate_refuses_is_not_counted_by_the_next(rates: &dyn Rates) {
    answered(async || {
        let (user, tenant) = (asked(OTHER, somebody()), asked(SLOW, somebody()));
        assert!(passes(rates, &[user, tenant]).await?);
        for _ in 0..20 {
            assert!(!passes(rates, &[user, tenant]).await?);
        }
        let standing = rates.take(&[tenant]).await?[0];
        assert_eq!(standing.remaining, 8);
        Ok(())
    })
    .await;
}

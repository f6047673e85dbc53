//! Calls by the clock.

pub use crate::bindings::scheduled::exports::lectern::platform::schedule_handler::{Guest, Tick};

/// Exports `$runner`, an `async fn(Tick) -> Result<(), String>`.
#[macro_export]
macro_rules! schedule {
    ($runner:path) => {
        struct Scheduled;

        impl $crate::schedule::Guest for Scheduled {
            async fn run(tick: $crate::schedule::Tick) -> Result<(), String> {
                let mark = format!("timer={}", tick.name);
                let subject = $crate::log::Subject::new(&mark, None);
                $crate::log::about(subject, $runner(tick)).await
            }
        }

        $crate::bindings::scheduled::export!(Scheduled with_types_in $crate::bindings::scheduled);
    };
}

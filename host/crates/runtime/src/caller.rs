//! For whom a guest calls the host. Several requests share an instance, so each is known by the task that
//! the host began for it; an event has its instance to itself.

use std::collections::HashMap;
use std::sync::Arc;

use capability::events::Event;
use capability::usage::{Account, Subject, Usage};
use wasmtime::component::GuestTaskId;

/// What the budgets of callers are counted with.
pub(crate) type Meter = Option<Arc<dyn Usage>>;

/// The callers of one instance.
#[derive(Default)]
pub(crate) struct Callers {
    /// Of all its calls.
    one: Option<Arc<Account>>,
    /// A task's number is given again when it has ended, so that there are never more than were in hand at
    /// once.
    by_task: HashMap<GuestTaskId, Arc<Account>>,
}

impl Callers {
    /// Of an instance that does one thing only.
    pub(crate) fn only(&mut self, meter: &Meter, who: Option<Subject>) {
        self.one = account(meter, who);
    }

    /// A request of that caller has begun.
    pub(crate) fn begin(&mut self, task: GuestTaskId, meter: &Meter, who: Option<Subject>) {
        match account(meter, who) {
            Some(account) => self.by_task.insert(task, account),
            None => self.by_task.remove(&task),
        };
    }

    /// Whether the instance does one thing only: an event.
    pub(crate) fn is_one(&self) -> bool {
        self.one.is_some()
    }

    /// Of a task that the host began.
    pub(crate) fn of(&self, task: Option<GuestTaskId>) -> Option<Arc<Account>> {
        let of_task = task.and_then(|task| self.by_task.get(&task));
        of_task.or(self.one.as_ref()).cloned()
    }
}

fn account(meter: &Meter, who: Option<Subject>) -> Option<Arc<Account>> {
    Some(Arc::new(Account::new(meter.clone()?, who?)))
}

/// Who set an event off, as its payload says: the platform's own topics all do.
pub(crate) fn of_event(event: &Event) -> Option<Subject> {
    #[derive(serde::Deserialize)]
    struct Origin {
        #[serde(default)]
        tenant: String,
        user_id: String,
    }
    let Origin { tenant, user_id } = serde_json::from_str(&event.payload).ok()?;
    Some(Subject {
        tenant,
        user: user_id,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_s_payload_says_who_set_it_off() {
        let of = |payload: &str| {
            of_event(&Event {
                id: "1".into(),
                topic: "t".into(),
                key: "k".into(),
                payload: payload.into(),
                occurred_at: 0,
                trace: None,
                request_id: None,
            })
        };
        let alice = of(r#"{"tenant": "school", "user_id": "alice", "more": 1}"#).unwrap();
        assert_eq!(
            (alice.tenant.as_str(), alice.user.as_str()),
            ("school", "alice")
        );
        assert_eq!(of(r#"{"user_id": "bob"}"#).unwrap().tenant, "");
        assert_eq!(of(r#"{"document_id": "1"}"#), None);
        assert_eq!(of("[]"), None);
    }
}

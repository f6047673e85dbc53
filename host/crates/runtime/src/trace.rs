//! On whose account a guest calls: several requests share an instance, and each call of a capability is
//! one request's. Tells what it asks for as spans, where that request is recorded.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use capability::ComponentName;
use capability::trace::{Cause, KeyValue, Span, SpanKind};
use http_body::{Body, Frame, SizeHint};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Token, Tokenizer, Whitespace};
use wasmtime::component::{Accessor, GuestTaskId, HasData};
use wasmtime::{AsContextMut, StoreContextMut};
use wasmtime_wasi_http::WasiBody;

use crate::state::View;

/// Requests that an instance remembers before it forgets those that have ended.
const REMEMBERED: usize = 64;
/// Guest-controlled: bytes of a statement that is told of, and characters of what is told.
const MAX_STATEMENT: usize = 8 << 10;
const MAX_TOLD: usize = 2_000;
/// Of a revision's name, as the command line shows it.
const NAME: usize = 12;

/// A request, an event or a timer's call that a guest works for.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) cause: Cause,
    pub(crate) revision: String,
}

impl Call {
    /// As a part of what is polled now.
    pub(crate) fn now(revision: &str) -> Arc<Self> {
        Arc::new(Self {
            cause: Cause::now(),
            revision: revision.chars().take(NAME).collect(),
        })
    }
}

/// What an instance works for.
#[derive(Default)]
pub(crate) struct Calls {
    /// Of an instance that works for one alone.
    pub(crate) only: Option<Arc<Call>>,
    by_task: HashMap<GuestTaskId, Arc<Call>>,
}

impl Calls {
    /// The task works for `call`, whose other holders let go of it when its response has ended.
    pub(crate) fn begin(&mut self, task: GuestTaskId, call: Arc<Call>) {
        if self.by_task.len() >= REMEMBERED {
            self.by_task.retain(|_, call| Arc::strong_count(call) > 1);
        }
        self.by_task.insert(task, call);
    }

    fn of(&self, task: Option<GuestTaskId>) -> Option<Arc<Call>> {
        let by_task = || self.by_task.get(&task?);
        self.only.as_ref().or_else(by_task).cloned()
    }
}

/// The export's task that calls now, below however many others.
pub(crate) fn root<T>(mut store: StoreContextMut<'_, T>) -> Option<GuestTaskId> {
    store.async_call_stack().ok()?.last()
}

/// For the hook of calls of the host: who calls.
pub(crate) fn caller(mut store: StoreContextMut<'_, crate::state::State>) -> Option<Arc<Call>> {
    let task = root(store.as_context_mut());
    store.data().calls.of(task)
}

/// A response's body, until whose end the request is remembered.
pub(crate) struct Remembered {
    pub(crate) body: WasiBody,
    pub(crate) _call: Arc<Call>,
}

impl Body for Remembered {
    type Data = Bytes;
    type Error = wasmtime_wasi_http::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What is told of a call of a capability: its name, and attributes beside the capability's own.
pub(crate) type About = (Cow<'static, str>, Vec<KeyValue>);

/// A call of a capability: what it is a part of, and its span, which ends with this.
pub(crate) struct Asked {
    cause: Cause,
    pub(crate) span: Span,
    /// Whose it is, and what stands behind it, where it is recorded.
    tags: Vec<KeyValue>,
}

impl Asked {
    /// Below `cause`; `about` and `tags` are asked where that is recorded.
    fn below(
        cause: &Cause,
        kind: SpanKind,
        about: impl FnOnce() -> About,
        tags: impl FnOnce() -> Vec<KeyValue>,
    ) -> Self {
        let mut known = vec![];
        let span = cause.child(kind, || {
            known = tags();
            let (name, mut attributes) = about();
            attributes.extend_from_slice(&known);
            (name, attributes)
        });
        Self {
            cause: cause.within(&span),
            span,
            tags: known,
        }
    }

    /// Another one below it.
    pub(crate) fn child(&self, kind: SpanKind, about: impl FnOnce() -> About) -> Self {
        Self::below(&self.cause, kind, about, || self.tags.clone())
    }

    /// On that account, and nobody's where there is none.
    pub(crate) fn on(
        call: Option<&Call>,
        (capability, component): (&'static str, &ComponentName),
        kind: SpanKind,
        about: impl FnOnce() -> About,
    ) -> Self {
        let Some(Call { cause, revision }) = call else {
            return Self::below(&Cause::default(), kind, about, Vec::new);
        };
        Self::below(cause, kind, about, || {
            let mut tags = cause.tracer.system(capability).to_vec();
            tags.push(KeyValue::new("lectern.component", component.to_string()));
            tags.push(KeyValue::new("lectern.revision", revision.clone()));
            tags
        })
    }

    /// The cause of what is done for it.
    pub(crate) fn cause(&self) -> &Cause {
        &self.cause
    }

    /// Waits for the answer, and makes its error one of the guest's: both as a part of this.
    pub(crate) async fn answer<V, E: Debug, W: From<E>>(
        &mut self,
        work: impl Future<Output = Result<V, E>>,
    ) -> Result<V, W> {
        let span = &mut self.span;
        let answered = async {
            let answer = work.await;
            span.answered(&answer);
            answer.map_err(W::from)
        };
        self.cause.clone().scope(answered).await
    }
}

/// On the account of whoever calls.
pub(crate) fn asked<T, D, C>(
    accessor: &Accessor<T, D>,
    capability: &'static str,
    about: impl FnOnce() -> About,
) -> Asked
where
    T: 'static,
    D: for<'a> HasData<Data<'a> = View<'a, C>>,
{
    asked_as(accessor, capability, SpanKind::Client, about)
}

/// The same, of another kind than a client's.
pub(crate) fn asked_as<T, D, C>(
    accessor: &Accessor<T, D>,
    capability: &'static str,
    kind: SpanKind,
    about: impl FnOnce() -> About,
) -> Asked
where
    T: 'static,
    D: for<'a> HasData<Data<'a> = View<'a, C>>,
{
    accessor.with(|mut access| {
        let task = root(access.as_context_mut());
        let view = access.get();
        let call = view.calls.of(task);
        Asked::on(
            call.as_deref(),
            (capability, &view.manifest.name),
            kind,
            about,
        )
    })
}

/// A call that is told of by its name alone.
pub(crate) fn named(name: &'static str) -> About {
    (name.into(), vec![])
}

/// What is told of a statement: its text with `?` for every literal, as a guest may have written a value
/// into it. <https://opentelemetry.io/docs/specs/semconv/database/database-spans/>
pub(crate) fn statement(text: &str) -> About {
    let told = without_literals(text);
    let verb = told.split(' ').next().unwrap_or_default();
    let verb = match verb.len() {
        1..=20 => verb.to_ascii_uppercase(),
        _ => "SQL".to_owned(),
    };
    let mut attributes = vec![KeyValue::new("db.operation.name", verb.clone())];
    let name = match table(&told) {
        Some(table) => {
            attributes.push(KeyValue::new("db.collection.name", table.to_owned()));
            format!("{verb} {table}")
        }
        None => verb,
    };
    if !told.is_empty() {
        attributes.push(KeyValue::new("db.query.text", told));
    }
    (name.into(), attributes)
}

/// The first that a statement names.
fn table(told: &str) -> Option<&str> {
    let mut words = told.split_ascii_whitespace();
    let is_before = |word: &&str| {
        ["into", "from", "update"]
            .iter()
            .any(|w| w.eq_ignore_ascii_case(word))
    };
    words.find(is_before)?;
    let is_name = |name: &str| {
        name.chars()
            .all(|c| c.is_alphanumeric() || "_.\"".contains(c))
    };
    words.next().filter(|name| is_name(name))
}

/// Words, parameters and signs pass; whatever else PostgreSQL's lexer knows could be a value. What it does
/// not understand is not told at all.
fn without_literals(text: &str) -> String {
    if text.len() > MAX_STATEMENT {
        return String::new();
    }
    let Ok(tokens) = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize() else {
        return String::new();
    };
    let mut told = String::with_capacity(text.len());
    for token in tokens {
        match token {
            Token::Word(word) => told.push_str(&word.to_string()),
            Token::Placeholder(name) => told.push_str(&name),
            Token::Whitespace(
                Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_),
            ) => {}
            Token::Whitespace(_) if told.is_empty() || told.ends_with(' ') => {}
            Token::Whitespace(_) => told.push(' '),
            other => {
                let shown = other.to_string();
                let is_sign = !shown
                    .chars()
                    .any(|c| c.is_alphanumeric() || c == '\'' || c == '"');
                told.push_str(if is_sign { &shown } else { "?" });
            }
        }
    }
    told.trim_end().chars().take(MAX_TOLD).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_told_without_any_value() {
        let check = |text: &str, told: &str| assert_eq!(without_literals(text), told);
        check(
            "select id, title\n  from documents where owner = $1 and n > 42",
            "select id, title from documents where owner = $1 and n > ?",
        );
        check(
            "insert into t values ('it''s alice', E'\\n', 0x1f)",
            "insert into t values (?, ?, ?)",
        );
        check(
            "select $$alice$$, $tag$alice$tag$, B'01', U&'x'",
            "select ?, ?, ?, ?",
        );
        check(
            "select 1 -- alice\n, /* alice */ a::text",
            "select ? , a::text",
        );
        check("select 'never closed", "");
        check(
            "update t set \"Odd\" = now() - interval '1 day'",
            "update t set \"Odd\" = now() - interval ?",
        );
    }

    #[test]
    fn a_statement_is_named_by_its_verb_and_its_table() {
        let name = |text: &str| statement(text).0.into_owned();
        assert_eq!(name("  insert into t values ($1)"), "INSERT t");
        assert_eq!(name("select 1 from (select a from b) c"), "SELECT");
        assert_eq!(name("update a.b set c = $1"), "UPDATE a.b");
        assert_eq!(name("commit"), "COMMIT");
        assert_eq!(name("'"), "SQL");
        assert_eq!(name(""), "SQL");
    }
}

//! Whether an answer has the shape of the contract's example.

use serde_json::Value;

/// All members of the example, each of its type; a moment where it has one. Others may be there.
#[track_caller]
pub(super) fn resembles(answer: &Value, example: &Value) {
    if let Some(difference) = difference(answer, example, "") {
        panic!("{difference}\nexample: {example}\nanswer: {answer}");
    }
}

/// Where the two differ first, and how.
fn difference(answer: &Value, example: &Value, at: &str) -> Option<String> {
    let differs = |what: &str| Some(format!("{at}: {what}, not {answer}"));
    match (answer, example) {
        (Value::Object(answer), Value::Object(example)) => {
            example.iter().find_map(|(name, example)| {
                let at = format!("{at}.{name}");
                match answer.get(name) {
                    Some(answer) => difference(answer, example, &at),
                    None => Some(format!("{at} is missing")),
                }
            })
        }
        (Value::Array(answer), Value::Array(example)) => {
            let example = example.first()?;
            if answer.is_empty() {
                return Some(format!("{at} is empty"));
            }
            let mut items = answer.iter().enumerate();
            items.find_map(|(n, answer)| difference(answer, example, &format!("{at}[{n}]")))
        }
        (Value::String(answer), Value::String(example)) => {
            if is_moment(example) && !is_moment(answer) {
                return differs("a moment in UTC");
            }
            if answer.is_empty() {
                return differs("a text");
            }
            None
        }
        (Value::Number(answer), Value::Number(example)) => {
            let whole = example.is_u64() && !answer.is_u64();
            whole.then(|| differs("a whole number")).flatten()
        }
        (Value::Bool(_), Value::Bool(_)) => None,
        _ => differs(&format!("of the type of {example}")),
    }
}

/// As in `2025-12-05T10:30:00Z`.
pub(super) fn is_moment(text: &str) -> bool {
    let pattern = "dddd-dd-ddTdd:dd:ddZ";
    text.len() == pattern.len()
        && text
            .bytes()
            .zip(pattern.bytes())
            .all(|(byte, form)| match form {
                b'd' => byte.is_ascii_digit(),
                form => byte == form,
            })
}

#[test]
fn what_differs_is_named() {
    let example =
        serde_json::json!({ "at": "2025-12-05T10:30:00Z", "of": [{ "n": 10, "x": 0.5 }] });
    let check = |answer| difference(&answer, &example, "").unwrap_or_default();
    let at = "2026-01-01T00:00:00Z";
    for (answer, why) in [
        (
            serde_json::json!({ "at": at, "of": [{ "n": 1, "x": 1, "y": 2 }], "z": 0 }),
            "",
        ),
        (serde_json::json!({ "at": at }), ".of is missing"),
        (serde_json::json!({ "at": at, "of": [] }), ".of is empty"),
        (
            serde_json::json!({ "at": at, "of": [{ "n": 1.5, "x": 1 }] }),
            ".of[0].n: a whole number, not 1.5",
        ),
        (
            serde_json::json!({ "at": "2026-01-01 00:00", "of": [] }),
            ".at: a moment in UTC, not \"2026-01-01 00:00\"",
        ),
        (
            serde_json::json!({ "at": null, "of": [] }),
            ".at: of the type of \"2025-12-05T10:30:00Z\", not null",
        ),
    ] {
        assert_eq!(check(answer), why);
    }
}

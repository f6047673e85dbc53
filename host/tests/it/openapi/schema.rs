//! The part of JSON Schema that the document is written in, read strictly: a keyword that is not known here
//! fails, and so does a member that no part of an object's schema names.

use serde_json::{Map, Value};

/// What says nothing of a value.
const NOTES: [&str; 11] = [
    "$ref",
    "default",
    "deprecated",
    "description",
    "discriminator",
    "example",
    "examples",
    "readOnly",
    "title",
    "writeOnly",
    "contentMediaType",
];

/// Adds to `wrong` in what the value is not as the schema says.
pub(super) fn check(
    schema: &Value,
    components: &Value,
    value: &Value,
    at: &str,
    wrong: &mut Vec<String>,
) {
    let mut named = Some(Vec::new());
    part(schema, components, value, at, wrong, &mut named);
    // All parts that stand together have told the members that they know.
    if let (Some(named), Value::Object(members)) = (named, value) {
        for name in members.keys().filter(|name| !named.contains(name)) {
            wrong.push(format!("{at}/{name} is not described"));
        }
    }
}

/// `named`: members that are known; none where any is.
fn part(
    schema: &Value,
    components: &Value,
    value: &Value,
    at: &str,
    wrong: &mut Vec<String>,
    named: &mut Option<Vec<String>>,
) {
    let Value::Object(keywords) = schema else {
        *named = None;
        return;
    };
    if let Some(Value::String(target)) = keywords.get("$ref") {
        let pointer = target
            .strip_prefix("#/components")
            .expect("a reference within the document");
        let target = components
            .pointer(pointer)
            .unwrap_or_else(|| panic!("{target} is nowhere"));
        return part(target, components, value, at, wrong, named);
    }
    for (keyword, wanted) in keywords {
        if !holds(keyword, wanted, keywords, value) {
            wrong.push(format!("{at}: {value} against {keyword} {wanted}"));
        }
        match keyword.as_str() {
            "allOf" => {
                for inner in wanted.as_array().unwrap() {
                    part(inner, components, value, at, wrong, named);
                }
            }
            "oneOf" | "anyOf" => any(wanted, components, value, at, wrong, named),
            _ => {}
        }
    }
    match value {
        Value::Object(members) => object(keywords, components, members, at, wrong, named),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                if let Some(wanted) = keywords.get("items") {
                    check(wanted, components, item, &format!("{at}/{index}"), wrong);
                }
            }
        }
        _ => {}
    }
}

fn any(
    alternatives: &Value,
    components: &Value,
    value: &Value,
    at: &str,
    wrong: &mut Vec<String>,
    named: &mut Option<Vec<String>>,
) {
    let mut tried = Vec::new();
    for inner in alternatives.as_array().unwrap() {
        let mut failures = Vec::new();
        check(inner, components, value, at, &mut failures);
        if failures.is_empty() {
            *named = None;
            return;
        }
        tried.push(failures);
    }
    wrong.push(format!("{at}: none of the alternatives: {tried:?}"));
    *named = None;
}

fn object(
    keywords: &Map<String, Value>,
    components: &Value,
    members: &Map<String, Value>,
    at: &str,
    wrong: &mut Vec<String>,
    named: &mut Option<Vec<String>>,
) {
    let properties = keywords.get("properties").and_then(Value::as_object);
    let is_known = |name: &String| properties.is_some_and(|known| known.contains_key(name));
    let any_other = keywords.get("additionalProperties");
    if any_other.is_some() || properties.is_none() && !keywords.contains_key("allOf") {
        *named = None;
    }
    for (name, value) in members {
        let at = format!("{at}/{name}");
        match (properties.and_then(|known| known.get(name)), any_other) {
            (Some(wanted), _) => check(wanted, components, value, &at, wrong),
            (None, Some(wanted)) if wanted.is_object() => {
                check(wanted, components, value, &at, wrong)
            }
            _ => {}
        }
        if let Some(named) = named.as_mut().filter(|_| is_known(name)) {
            named.push(name.clone());
        }
    }
}

/// A keyword by itself; those that look inside are the caller's.
fn holds(keyword: &str, wanted: &Value, keywords: &Map<String, Value>, value: &Value) -> bool {
    let number = |compare: fn(f64, f64) -> bool| {
        let bound = wanted.as_f64().unwrap();
        value.as_f64().is_none_or(|value| compare(value, bound))
    };
    let length = |compare: fn(u64, u64) -> bool| {
        let bound = wanted.as_u64().unwrap();
        let length = match value {
            Value::String(text) => text.chars().count(),
            Value::Array(items) => items.len(),
            _ => return true,
        };
        compare(length as u64, bound)
    };
    match keyword {
        "type" => match wanted {
            Value::String(name) => is(name, value),
            names => names
                .as_array()
                .unwrap()
                .iter()
                .any(|name| is(name.as_str().unwrap(), value)),
        },
        "enum" => wanted.as_array().unwrap().contains(value),
        "required" => match value {
            Value::Object(members) => wanted
                .as_array()
                .unwrap()
                .iter()
                .all(|name| members.contains_key(name.as_str().unwrap())),
            _ => true,
        },
        "format" => value
            .as_str()
            .is_none_or(|text| has_format(wanted.as_str().unwrap(), text)),
        "minimum" => number(|value, bound| value >= bound),
        "maximum" => number(|value, bound| value <= bound),
        "minLength" | "minItems" => length(|length, bound| length >= bound),
        "maxLength" | "maxItems" => length(|length, bound| length <= bound),
        "allOf" | "anyOf" | "oneOf" | "properties" | "additionalProperties" | "items" => true,
        // Of names of members everything is said already; patterns are of requests alone.
        "propertyNames" | "pattern" => true,
        note => {
            assert!(
                NOTES.contains(&note),
                "the keyword {note} is not known: {keywords:?}"
            );
            true
        }
    }
}

fn is(name: &str, value: &Value) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other} is no type"),
    }
}

fn has_format(format: &str, text: &str) -> bool {
    use time::format_description::well_known::{Iso8601, Rfc3339};
    match format {
        "date-time" => time::OffsetDateTime::parse(text, &Rfc3339).is_ok(),
        "date" => time::Date::parse(text, &Iso8601::DATE).is_ok(),
        "binary" => true,
        other => panic!("the format {other} is not known"),
    }
}

//! Several documents become one. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::common;

/// Operations of a path item (OpenAPI 3.1, section 4.8.9).
pub(super) const METHODS: [&str; 8] = [
    "get", "put", "post", "delete", "options", "head", "patch", "trace",
];
const SCHEMAS: &str = "#/components/schemas/";

/// A component, and what it says of itself.
pub(super) struct Part<'a> {
    pub(super) component: &'a str,
    /// As its manifest claims them.
    pub(super) routes: &'a [String],
    pub(super) document: Option<&'a Value>,
}

/// The host's own document with all parts in it. `answers` tells whose a path is: what a component
/// says of another's is left out.
pub(super) fn whole<'a>(
    mut own: Value,
    parts: impl Iterator<Item = Part<'a>>,
    answers: impl Fn(&str, &str) -> bool,
    is_open: bool,
) -> Value {
    common::add_to(&mut own, is_open);
    common::describe_own(&mut own, is_open);
    let mut undescribed = Vec::new();
    for part in parts {
        common::add_health(&mut own, part.component, part.document.is_some());
        match part.document {
            Some(document) => add(&mut own, part.component, document, &answers, is_open),
            None if part.routes.is_empty() => {}
            None => undescribed.push(json!({
                "component": part.component,
                "routes": part.routes,
                "reason": "the component does not describe its routes",
            })),
        }
    }
    if !undescribed.is_empty() {
        own["x-lectern-routes"] = Value::Array(undescribed);
    }
    own
}

fn add(
    whole: &mut Value,
    component: &str,
    document: &Value,
    answers: &impl Fn(&str, &str) -> bool,
    is_open: bool,
) {
    let names = add_schemas(whole, component, document);
    let mut used = false;
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        if !answers(component, path) || !item.is_object() {
            continue;
        }
        used = true;
        let mut item = item.clone();
        rename(&mut item, &names);
        for method in METHODS {
            if let Some(operation) = item.get_mut(method) {
                identify(operation, component, method);
                common::describe(operation, is_open);
            }
        }
        whole["paths"][path] = item;
    }
    if used {
        let tag = json!({ "name": component });
        if let Some(tags) = whole["tags"].as_array_mut() {
            tags.push(tag);
        }
    }
}

/// Answers what schemas of the part are called in the whole: as in the part, but for those whose name
/// another's has.
fn add_schemas(whole: &mut Value, component: &str, document: &Value) -> BTreeMap<String, String> {
    let none = Map::new();
    let schemas = document["components"]["schemas"].as_object();
    let schemas = schemas.unwrap_or(&none);
    let there = whole["components"]["schemas"].as_object().unwrap_or(&none);
    let taken = clashing(schemas, there);
    let called = |name: &String| match taken.contains(name.as_str()) {
        true => (name.clone(), format!("{component}.{name}")),
        false => (name.clone(), name.clone()),
    };
    let names: BTreeMap<String, String> = schemas.keys().map(called).collect();
    for (name, schema) in schemas {
        let mut schema = schema.clone();
        rename(&mut schema, &names);
        if let Some(name) = names.get(name) {
            whole["components"]["schemas"][name] = schema;
        }
    }
    names
}

/// Names that stand for something else already, and the names of whatever refers to such.
fn clashing<'a>(schemas: &'a Map<String, Value>, there: &Map<String, Value>) -> BTreeSet<&'a str> {
    let is_other =
        |(name, schema): &(&String, &Value)| there.get(*name).is_some_and(|other| other != *schema);
    let mut taken: BTreeSet<&str> = schemas
        .iter()
        .filter(is_other)
        .map(|(n, _)| n.as_str())
        .collect();
    loop {
        // One that is the same by its letters is another where it refers to another.
        let more: Vec<&str> = schemas
            .iter()
            .filter(|(name, schema)| {
                there.contains_key(*name)
                    && !taken.contains(name.as_str())
                    && refers(schema, &taken)
            })
            .map(|(name, _)| name.as_str())
            .collect();
        if more.is_empty() {
            return taken;
        }
        taken.extend(more);
    }
}

fn refers(value: &Value, names: &BTreeSet<&str>) -> bool {
    match value {
        Value::Object(members) => members.iter().any(|(name, value)| {
            let target = value.as_str().and_then(|to| to.strip_prefix(SCHEMAS));
            name == "$ref" && target.is_some_and(|to| names.contains(to)) || refers(value, names)
        }),
        Value::Array(items) => items.iter().any(|item| refers(item, names)),
        _ => false,
    }
}

fn rename(value: &mut Value, names: &BTreeMap<String, String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let target = value.as_str().and_then(|to| to.strip_prefix(SCHEMAS));
                match target.and_then(|to| names.get(to)) {
                    Some(to) if name == "$ref" => *value = json!(format!("{SCHEMAS}{to}")),
                    _ => rename(value, names),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, names)),
        _ => {}
    }
}

/// Unique in the whole.
fn identify(operation: &mut Value, component: &str, method: &str) {
    let id = operation["operationId"].as_str().unwrap_or(method);
    operation["operationId"] = json!(format!("{component}_{id}"));
    operation["tags"] = json!([component]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(text: &str) -> Value {
        json!({
            "openapi": "3.1.0",
            "paths": {
                format!("/{text}"): { "get": {
                    "operationId": "show",
                    "responses": { "200": { "description": "", "content": { "application/json": {
                        "schema": { "$ref": "#/components/schemas/Page" },
                    } } } },
                } },
                "/others": { "get": { "responses": {} } },
            },
            "components": { "schemas": {
                "Page": { "type": "array", "items": { "$ref": "#/components/schemas/Item" } },
                "Item": { "type": "object", "title": text },
                "Same": { "type": "string" },
            } },
        })
    }

    fn merged(parts: &[(&str, Option<Value>)]) -> Value {
        let own =
            json!({ "openapi": "3.1.0", "paths": {}, "components": { "schemas": {} }, "tags": [] });
        let routes = ["/x".to_owned()];
        let parts = parts.iter().map(|(component, document)| Part {
            component,
            routes: &routes,
            document: document.as_ref(),
        });
        whole(
            own,
            parts,
            |component, path| path == format!("/{component}"),
            false,
        )
    }

    #[test]
    fn schemas_that_share_a_name_and_differ_are_told_apart() {
        let whole = merged(&[("a", Some(part("a"))), ("b", Some(part("b")))]);
        let schemas = &whole["components"]["schemas"];
        // `Page` is the same by its letters, and of other items.
        for name in ["Page", "Item", "Same", "b.Page", "b.Item"] {
            assert!(schemas[name].is_object(), "{name}");
        }
        assert!(schemas.get("b.Same").is_none());
        assert_eq!(
            schemas["b.Page"]["items"]["$ref"],
            "#/components/schemas/b.Item"
        );
        let answer = &whole["paths"]["/b"]["get"]["responses"]["200"];
        let schema = &answer["content"]["application/json"]["schema"];
        assert_eq!(schema["$ref"], "#/components/schemas/b.Page");
    }

    #[test]
    fn a_component_speaks_of_its_own_paths_alone() {
        let whole = merged(&[("a", Some(part("a")))]);
        assert!(whole["paths"].get("/others").is_none());
        assert_eq!(whole["paths"]["/a"]["get"]["operationId"], "a_show");
        assert_eq!(whole["tags"], json!([{ "name": "a" }]));
    }

    #[test]
    fn one_that_says_nothing_is_named_by_its_routes() {
        let whole = merged(&[("a", Some(part("a"))), ("c", None)]);
        assert_eq!(whole["x-lectern-routes"][0]["component"], "c");
        assert_eq!(whole["x-lectern-routes"][0]["routes"], json!(["/x"]));
    }
}

//! `/openapi.json` and `/docs`, and what holds the one to the answers.

mod schema;

use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::harness::{Answer, TestHost};

/// The document that a host serves, so closed that an answer with a member more than it says is none.
pub(crate) struct Document {
    whole: Value,
    components: Value,
}

impl Document {
    pub(crate) fn new(whole: Value) -> Self {
        let components = whole["components"].clone();
        Self { whole, components }
    }

    /// Methods and patterns, as in `PATCH /chat/sessions/{id}`, but for what needs no token.
    pub(crate) fn routes(&self) -> Vec<String> {
        let mut routes = Vec::new();
        for (path, item) in self.whole["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                if operation["security"] != json!([]) {
                    routes.push(format!("{} {path}", method.to_uppercase()));
                }
            }
        }
        routes
    }

    fn operation(&self, method: &Method, path: &str) -> Option<&Value> {
        let method = method.as_str().to_lowercase();
        let paths = self.whole["paths"].as_object().unwrap();
        let fitting = paths
            .iter()
            .filter(|(pattern, item)| item.get(&method).is_some() && is_like(path, pattern));
        // What is said letter by letter comes before what is any.
        let found = fitting.min_by_key(|(pattern, _)| pattern.matches('{').count());
        found.map(|(_, item)| &item[&method])
    }

    /// That an answer is one of the route's.
    #[track_caller]
    pub(crate) fn check(&self, method: &Method, path: &str, answer: &Answer) {
        let found = self.operation(method, path);
        let unprefixed = || self.operation(method, path.strip_prefix("/v1")?);
        let Some(operation) = found.or_else(unprefixed) else {
            // Tests ask for what is not there, too.
            assert!(
                matches!(answer.status, 404 | 405 | 400),
                "{method} {path} is not described"
            );
            return;
        };
        let status = answer.status.to_string();
        let shown = format!("{method} {path} {status}");
        let response = self.resolved(&operation["responses"][&status]);
        assert!(
            response.is_object(),
            "{shown} is not described: {}",
            answer.body
        );
        let kind = answer
            .headers
            .get("content-type")
            .map(|kind| kind.to_str().unwrap());
        let kind = kind.map(|kind| kind.split(';').next().unwrap().trim());
        let content = response["content"].as_object();
        let Some(content) = content else {
            assert!(
                kind.is_none() || status == "304",
                "{shown}: a body of {kind:?}"
            );
            return;
        };
        let media = content.get(kind.unwrap_or_default());
        let media = media.unwrap_or_else(|| panic!("{shown}: {kind:?} is not described"));
        if kind == Some("application/json") {
            self.fits(&media["schema"], &answer.body, &shown);
        }
    }

    fn resolved<'a>(&'a self, part: &'a Value) -> &'a Value {
        match part["$ref"].as_str() {
            Some(path) => self.whole.pointer(path.strip_prefix('#').unwrap()).unwrap(),
            None => part,
        }
    }

    #[track_caller]
    fn fits(&self, schema: &Value, body: &Value, shown: &str) {
        let mut wrong = Vec::new();
        schema::check(schema, &self.components, body, "", &mut wrong);
        assert!(wrong.is_empty(), "{shown}: {wrong:#?}\n{body:#}");
    }
}

fn is_like(path: &str, pattern: &str) -> bool {
    let (path, pattern) = (path.split('/'), pattern.split('/'));
    path.clone().count() == pattern.clone().count()
        && path
            .zip(pattern)
            .all(|(part, pattern)| pattern.starts_with('{') || part == pattern)
}

/// Names of every schema that something refers to.
fn referred(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(target)) = members.get("$ref") {
                names.push(target.clone());
            }
            members.values().for_each(|value| referred(value, names));
        }
        Value::Array(items) => items.iter().for_each(|value| referred(value, names)),
        _ => {}
    }
}

#[tokio::test]
async fn the_document_is_whole_and_of_the_components_that_serve() {
    let host = TestHost::start().await.described().await;
    let whole = &host.document().whole;
    assert!(whole["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut names = Vec::new();
    referred(whole, &mut names);
    for name in &names {
        assert!(whole.pointer(&name[1..]).is_some(), "{name} is nowhere");
    }
    let mut ids = Vec::new();
    for (path, item) in whole["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let shown = format!("{method} {path}");
            assert!(
                operation["summary"].is_string(),
                "{shown} says nothing of itself"
            );
            ids.push(operation["operationId"].as_str().unwrap().to_owned());
            for pattern in path.split('/').filter_map(|part| part.strip_prefix('{')) {
                let name = pattern.trim_end_matches('}');
                let parameters = operation["parameters"].as_array().unwrap();
                let is_said = parameters
                    .iter()
                    .any(|p| p["name"] == name && p["in"] == "path");
                assert!(is_said, "{shown}: {name}");
            }
        }
    }
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "two operations have one id");
    for path in [
        "/chat",
        "/upload",
        "/quiz/generate",
        "/transcribe",
        "/synthesize",
        "/chat/health",
    ] {
        assert!(whole["paths"][path].is_object(), "{path}");
    }
    // One error is the same everywhere.
    let schemas = whole["components"]["schemas"].as_object().unwrap();
    assert!(schemas.keys().all(|name| !name.ends_with(".Error")));
    assert_eq!(whole.get("x-lectern-routes"), None);
    host.stop().await;
}

#[tokio::test]
async fn the_document_says_who_needs_a_token() {
    let open = TestHost::start().await.described().await;
    assert_eq!(open.document().whole["security"], json!([]));
    let closed = open.restart_changed(|config| {
        config.identity.secret = Some("the tests' users sign with this key".to_owned().into());
    });
    let closed = closed.await.described().await;
    let whole = &closed.document().whole;
    assert_eq!(whole["security"], json!([{ "bearer": [] }]));
    assert!(whole["paths"]["/chat"]["post"]["responses"]["401"].is_object());
    assert_eq!(whole["paths"]["/health"]["get"]["security"], json!([]));
    let denied = closed.post("/chat", json!({ "message": "Hi" })).await;
    assert_eq!(denied.code(), (401, "UNAUTHENTICATED"));
    closed.stop().await;
}

#[tokio::test]
async fn a_component_that_does_not_describe_itself_is_named_by_its_routes() {
    let host = TestHost::probe().await;
    let whole = host.get("/openapi.json").await.ok();
    let other = &whole["x-lectern-routes"][0];
    assert_eq!(other["component"], "probe");
    assert!(
        other["routes"]
            .as_array()
            .unwrap()
            .contains(&json!("/probe"))
    );
    assert!(whole["paths"]["/probe/health"].is_object());
    host.stop().await;
}

#[tokio::test]
async fn the_document_is_made_once_and_has_a_version() {
    let host = TestHost::start().await;
    let first = host.get("/openapi.json").await;
    let tag = first.headers["etag"].clone();
    let tag = tag.to_str().unwrap();
    // Packed it has the same tag, but weak.
    for known in [
        tag.to_owned(),
        format!("W/{tag}"),
        format!("\"other\", W/{tag}"),
        "*".into(),
    ] {
        let again = host.request(Method::GET, "/openapi.json");
        let again = again.header("accept-encoding", "gzip");
        let again = host.send(again.header("if-none-match", &known)).await;
        assert_eq!(again.status, 304, "{known}");
    }
    assert_eq!(host.get("/v1/openapi.json").await.ok(), first.body);
    host.stop().await;
}

#[tokio::test]
async fn every_path_is_under_v1_too() {
    let host = TestHost::start().await.described().await;
    let question = json!({ "message": "Hello", "user_id": "alice" });
    let answer = host.post("/v1/chat", question).await;
    assert_eq!(answer.headers["api-version"], "1");
    let session = answer.ok()["session_id"].as_str().unwrap().to_owned();
    let plain = host.get(&format!("/chat/history/{session}")).await;
    assert_eq!(plain.headers["api-version"], "1");
    let under = host.get(&format!("/v1/chat/history/{session}")).await.ok();
    assert_eq!(under, plain.ok());
    assert_eq!(host.get("/v1/health").await.status, 200);
    assert_eq!(host.get("/v1/nothing").await.code(), (404, "NOT_FOUND"));
    assert_eq!(host.get("/v1beta/health").await.code(), (404, "NOT_FOUND"));
    let port = host.port("chat").await;
    let alone = reqwest::get(format!("{port}/v1/chat/history/{session}"))
        .await
        .unwrap();
    assert_eq!(alone.status(), 200);
    let newer = host
        .request(Method::GET, "/voices")
        .header("api-version", "2");
    let refused = host.send(newer).await;
    assert_eq!(refused.code(), (400, "UNSUPPORTED_API_VERSION"));
    assert_eq!(refused.headers["api-version"], "1");
    assert_eq!(
        host.request(Method::POST, "/health")
            .send()
            .await
            .unwrap()
            .status(),
        405
    );
    host.stop().await;
}

#[tokio::test]
async fn the_page_for_people_fetches_nothing_from_elsewhere() {
    let host = TestHost::start().await;
    let page = host.get("/docs").await;
    assert_eq!(page.status, 200);
    let policy = page.headers["content-security-policy"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(policy.starts_with("default-src 'none'; connect-src 'self'; script-src 'sha256-"));
    assert!(!policy.contains("unsafe"));
    let text = page.body.as_str().unwrap();
    assert!(text.contains("openapi.json"));
    for elsewhere in ["http://", "https://", "src=", "{{"] {
        assert!(!text.contains(elsewhere), "{elsewhere}");
    }
    host.stop().await;
}

#[test]
fn a_member_that_is_not_described_is_seen() {
    let whole = json!({
        "paths": {},
        "components": { "schemas": {
            "A": { "type": "object", "properties": { "a": { "type": "string" } } },
            "B": { "allOf": [
                { "$ref": "#/components/schemas/A" },
                { "type": "object", "properties": { "b": { "type": "string" } } },
            ] },
        } },
    });
    let document = Document::new(whole);
    let schema = json!({ "$ref": "#/components/schemas/A" });
    document.fits(&schema, &json!({ "a": "" }), "A");
    let more = json!({ "a": "", "c": 1 });
    assert!(std::panic::catch_unwind(|| document.fits(&schema, &more, "A")).is_err());
    let none: Map<String, Value> = Map::new();
    document.fits(&schema, &Value::Object(none), "A");
}

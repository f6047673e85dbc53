//! What a request is answered: the routes, and the platform's error body.

use std::time::SystemTime;

use serde_json::{Value, json};

use crate::greeting;

const ROUTE: &str = "/{{name}}";
const HEALTH: &str = "/health";

/// What of a request the routes want to know.
pub struct Request {
    /// `GET` or `HEAD`, and no other method.
    pub reads: bool,
    /// The path and the query.
    pub target: String,
    /// The request's id, from the header `x-request-id`.
    pub id: Option<String>,
}

/// What is answered.
pub struct Reply {
    /// The status.
    pub status: u16,
    /// JSON.
    pub body: Value,
}

impl Request {
    /// Chooses the route.
    pub fn reply(&self) -> Reply {
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        match path {
            ROUTE | HEALTH if !self.reads => {
                self.problem(405, "METHOD_NOT_ALLOWED", "the path has other methods")
            }
            ROUTE => self.greet(query),
            HEALTH => health(),
            _ => self.problem(404, "NOT_FOUND", "there is no such path"),
        }
    }

    fn greet(&self, query: &str) -> Reply {
        let mut params = form_urlencoded::parse(query.as_bytes());
        let name = params.find_map(|(key, value)| (key == "name").then_some(value));
        match greeting::greet(name.as_deref()) {
            Ok(greeting) => Reply {
                status: 200,
                body: json!(greeting),
            },
            Err(bad) => self.problem(400, "VALIDATION_ERROR", &bad.to_string()),
        }
    }

    /// As every error of the platform looks.
    fn problem(&self, status: u16, code: &str, message: &str) -> Reply {
        let mut body = json!({ "error": message, "code": code, "timestamp": now() });
        if let Some(id) = &self.id {
            body["request_id"] = json!(id);
        }
        Reply { status, body }
    }
}

/// Asked before it gets traffic: any status but 200 to 299 keeps this revision out of service.
fn health() -> Reply {
    Reply {
        status: 200,
        body: json!({ "status": "healthy", "service": "{{name}}", "timestamp": now() }),
    }
}

fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(reads: bool, target: &str) -> Reply {
        let request = Request {
            reads,
            target: target.to_owned(),
            id: Some("7".to_owned()),
        };
        request.reply()
    }

    #[test]
    fn a_name_is_greeted_as_it_is_meant() {
        let reply = reply(true, &format!("{ROUTE}?x=y&name=Ada+%26+Bob"));
        assert_eq!(reply.status, 200);
        assert_eq!(reply.body["message"], "Hello, Ada & Bob!");
    }

    #[test]
    fn it_says_that_it_is_well() {
        assert_eq!(reply(true, HEALTH).status, 200);
    }

    #[test]
    fn an_error_has_the_platform_s_form() {
        for (reads, below, status, code) in [
            (true, "?name=", 400, "VALIDATION_ERROR"),
            (true, "/x", 404, "NOT_FOUND"),
            (false, "", 405, "METHOD_NOT_ALLOWED"),
        ] {
            let target = format!("{ROUTE}{below}");
            let reply = reply(reads, &target);
            assert_eq!(reply.status, status, "{target}");
            assert_eq!(reply.body["code"], code, "{target}");
            assert_eq!(reply.body["request_id"], "7", "{target}");
        }
    }
}

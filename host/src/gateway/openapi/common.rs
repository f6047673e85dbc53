//! What the gateway does to every route: who may call it, how it refuses, which headers it sets.

use serde_json::{Value, json};

use super::merge::METHODS;

/// The tag of operations whose errors have OpenAI's form.
const OPENAI: &str = "openai";
/// Whatever the component is.
const REFUSALS: [(&str, &str); 5] = [
    ("400", "BadRequest"),
    ("429", "RateLimited"),
    ("500", "Failed"),
    ("503", "Unavailable"),
    ("504", "Timeout"),
];
/// Where tokens are needed.
const DENIALS: [(&str, &str); 2] = [("401", "Unauthenticated"), ("403", "Forbidden")];
/// Where there is a body.
const BODIES: [(&str, &str); 3] = [("408", "Stalled"), ("413", "TooLarge"), ("415", "Encoded")];

fn refusal(description: &str, headers: &[(&str, &str)]) -> Value {
    of("Error", description, headers)
}

fn of(schema: &str, description: &str, headers: &[(&str, &str)]) -> Value {
    let mut all = json!({
        "x-request-id": { "$ref": "#/components/headers/RequestId" },
        "api-version": { "$ref": "#/components/headers/ApiVersion" },
    });
    for (name, header) in headers {
        all[name] = json!({ "$ref": format!("#/components/headers/{header}") });
    }
    json!({
        "description": description,
        "headers": all,
        "content": { "application/json": {
            "schema": { "$ref": format!("#/components/schemas/{schema}") },
        } },
    })
}

fn responses() -> Value {
    let limits = [
        ("retry-after", "RetryAfter"),
        ("ratelimit", "RateLimit"),
        ("ratelimit-policy", "RateLimitPolicy"),
    ];
    json!({
        "BadRequest": refusal("`VALIDATION_ERROR`, `MALFORMED_JSON`, `INVALID_PATH`, `INVALID_HOST`, `BODY_BROKEN`, `UNSUPPORTED_API_VERSION`, \
            or as the route says", &[]),
        "Unauthenticated": refusal("`UNAUTHENTICATED`, `TOKEN_EXPIRED`", &[("www-authenticate", "Authenticate")]),
        "Forbidden": refusal("`FORBIDDEN`: `user_id` is not the token's subject; `ORIGIN_NOT_ALLOWED`: of a web page \
            that nobody named", &[]),
        "Stalled": refusal("`REQUEST_TIMEOUT`: the body does not come", &[]),
        "TooLarge": refusal("`PAYLOAD_TOO_LARGE`", &[]),
        "Encoded": refusal("`UNSUPPORTED_CONTENT_ENCODING`: no body is unpacked", &[]),
        "RateLimited": refusal("`RATE_LIMITED`: too many requests of one caller; `QUOTA_EXCEEDED`: a budget is \
            used up", &limits),
        "Failed": refusal("`INTERNAL_ERROR`, `SERVICE_FAILED`: our mistake", &[]),
        "Unavailable": refusal("Something is away: `OVERLOADED`, `SERVICE_UNAVAILABLE`, `SERVICE_DRAINING`, `DATABASE_UNAVAILABLE` \
            and the like", &limits[..1]),
        "Timeout": refusal("`SERVICE_TIMEOUT`, `UPSTREAM_TIMEOUT`", &[]),
        "OpenAiRefusal": of("OpenAiError", "An error in OpenAI's form", &limits[..1]),
    })
}

fn headers() -> Value {
    let text =
        |description: &str| json!({ "description": description, "schema": { "type": "string" } });
    json!({
        "RequestId": text("The request's, as the client sent it where it is fit to be logged, else a new one"),
        "ApiVersion": text("Which version answered: `1`"),
        "Authenticate": text("`Bearer`"),
        "RetryAfter": { "description": "Seconds", "schema": { "type": "integer", "minimum": 0 } },
        "RateLimit": text("What is left (draft-ietf-httpapi-ratelimit-headers)"),
        "RateLimitPolicy": text("Of how much (draft-ietf-httpapi-ratelimit-headers)"),
    })
}

fn parameters() -> Value {
    json!({
        "RequestId": {
            "name": "X-Request-Id", "in": "header", "required": false,
            "description": "Comes back in the answer, and stands in the log. One that is not fit to is replaced.",
            "schema": { "type": "string" },
        },
        "ApiVersion": {
            "name": "API-Version", "in": "header", "required": false,
            "description": "Any but `1` is refused.",
            "schema": { "type": "string", "enum": ["1"] },
        },
    })
}

/// What operations refer to, and who may call them.
pub(super) fn add_to(own: &mut Value, is_open: bool) {
    let components = &mut own["components"];
    components["responses"] = responses();
    components["headers"] = headers();
    components["parameters"] = parameters();
    if is_open {
        // Development mode: a token would not be looked at.
        own["security"] = json!([]);
    } else {
        components["securitySchemes"] = json!({
            "bearer": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" },
        });
        own["security"] = json!([{ "bearer": [] }]);
    }
    if !own["tags"].is_array() {
        own["tags"] = json!([]);
    }
}

/// What the gateway adds to its own operations.
pub(super) fn describe_own(own: &mut Value, is_open: bool) {
    let paths = own["paths"].as_object_mut().into_iter().flatten();
    for (_, item) in paths {
        for method in METHODS {
            let Some(operation) = item.get_mut(method) else {
                continue;
            };
            let is_public = operation.get("security").is_some();
            let is_openai = operation["tags"][0] == OPENAI;
            describe_as(operation, is_open || is_public, is_openai);
            if is_public {
                operation["security"] = json!([]);
            }
        }
    }
}

/// What the gateway adds to an operation of a component.
pub(super) fn describe(operation: &mut Value, is_open: bool) {
    // A component does not say who may call it.
    if let Some(operation) = operation.as_object_mut() {
        operation.remove("security");
    }
    describe_as(operation, is_open, false);
}

fn describe_as(operation: &mut Value, is_open: bool, is_openai: bool) {
    let has_body = operation["requestBody"].is_object();
    let refusals = REFUSALS
        .iter()
        .chain(DENIALS.iter().filter(|_| !is_open))
        .chain(BODIES.iter().filter(|_| has_body));
    for (status, name) in refusals {
        // What the component says itself is more.
        if operation["responses"].get(status).is_none() {
            let name = if is_openai { "OpenAiRefusal" } else { name };
            operation["responses"][status] =
                json!({ "$ref": format!("#/components/responses/{name}") });
        }
    }
    for response in operation["responses"]
        .as_object_mut()
        .into_iter()
        .flatten()
        .map(|(_, r)| r)
    {
        if response.get("$ref").is_none() {
            response["headers"]["x-request-id"] =
                json!({ "$ref": "#/components/headers/RequestId" });
            response["headers"]["api-version"] =
                json!({ "$ref": "#/components/headers/ApiVersion" });
        }
    }
    let common = ["RequestId", "ApiVersion"];
    let common = common.map(|name| json!({ "$ref": format!("#/components/parameters/{name}") }));
    match operation["parameters"].as_array_mut() {
        Some(parameters) => parameters.extend(common),
        None => operation["parameters"] = json!(common),
    }
}

/// `/{component}/health`, whose body is the contract's where the component is one of those that keep
/// to it.
pub(super) fn add_health(own: &mut Value, component: &str, is_described: bool) {
    let mut health = json!({ "description": "How the component is, and what it needs" });
    if is_described {
        health["content"] =
            json!({ "application/json": { "schema": { "$ref": "#/components/schemas/Health" } } });
    }
    let mut operation = json!({
        "operationId": format!("{component}_health"),
        "summary": "How the component is.",
        "tags": [component],
        "responses": { "200": health, "503": health },
    });
    describe(&mut operation, true);
    operation["security"] = json!([]);
    own["paths"][format!("/{component}/health")] = json!({ "get": operation });
}

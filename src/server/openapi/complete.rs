//! What the description of every operation has in common and no handler says: the bodies of errors,
//! who may be turned away at the door, and the headers that all answers carry.
//!
//! As `request::track` and `auth::guard` do it for the answers.

use super::schemas;
use crate::server::dialect::Dialect;
use serde_json::{Map, Value, json};

/// Completes a description. `locked` says whether keys are needed, `text` how many characters a
/// text may have.
pub fn complete(document: &mut Value, locked: bool, text: usize) {
    if let Some(schemas) = document.pointer_mut("/components/schemas")
        && schemas.get("Text").is_some()
    {
        schemas["Text"] = schemas::text(text);
    }
    let Some(paths) = document["paths"].as_object_mut() else { return };
    for (path, operations) in paths {
        let problem = schemas::problem(Dialect::of(path));
        for (method, operation) in operations.as_object_mut().into_iter().flatten() {
            // An empty requirement means that nothing is required.
            let open = operation.pointer("/security/0") == Some(&json!({}));
            let works = method == "post" || operation["responses"].get("101").is_some();
            if let Some(responses) = operation["responses"].as_object_mut() {
                add(responses, "500", "The server's fault; the log has the request's id");
                if locked && !open {
                    add(responses, "401", "Keys are needed here, and none that is known was sent");
                }
                if locked && !open && works {
                    add(responses, "429", "The key allows no more; `Retry-After` says when again");
                }
                for (status, response) in responses {
                    answer(status, response, problem);
                }
            }
        }
    }
}

fn add(responses: &mut Map<String, Value>, status: &str, description: &str) {
    responses.entry(status).or_insert_with(|| json!({ "description": description }));
}

/// Gives an answer its headers and, where it is an error without a body of its own, its body.
fn answer(status: &str, response: &mut Value, problem: &str) {
    let mut headers = vec![("X-Request-Id", "Names the request in the log")];
    if status >= "400" && response.get("content").is_none() {
        let schema = json!({ "$ref": format!("#/components/schemas/{problem}") });
        response["content"] = json!({ "application/json": { "schema": schema } });
        match status {
            "401" => headers.push(("WWW-Authenticate", "How a key is sent")),
            "429" | "503" => headers.push(("Retry-After", "Seconds after which to come back")),
            _ => {}
        }
    }
    for (name, description) in headers {
        let kind = if name == "Retry-After" { "integer" } else { "string" };
        response["headers"][name] =
            json!({ "description": description, "required": true, "schema": { "type": kind } });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(locked: bool) -> Value {
        let mut document = json!({
            "paths": {
                "/v1/workflows": { "post": { "responses": {
                    "200": { "description": "" }, "503": { "description": "" },
                } } },
                "/health": { "get": {
                    "security": [{}],
                    "responses": { "503": { "description": "", "content": { "x/y": {} } } },
                } },
            },
            "components": { "schemas": { "Text": {} } },
        });
        complete(&mut document, locked, 7);
        document
    }

    #[test]
    fn errors_have_the_bodies_of_their_dialect() {
        let document = described(false);
        let responses = &document["paths"]["/v1/workflows"]["post"]["responses"];
        let schema = &responses["503"]["content"]["application/json"]["schema"]["$ref"];
        assert_eq!(schema, "#/components/schemas/WorkflowProblem");
        assert!(responses["503"]["headers"]["Retry-After"].is_object());
        assert!(responses["200"].get("content").is_none());
        assert!(responses["200"]["headers"]["X-Request-Id"].is_object());
        let health = &document["paths"]["/health"]["get"]["responses"]["503"];
        assert!(health["content"].get("application/json").is_none());
        assert!(health["headers"].get("Retry-After").is_none());
        assert_eq!(document["components"]["schemas"]["Text"]["maxLength"], 7);
    }

    #[test]
    fn only_who_needs_a_key_may_be_asked_for_one() {
        let has = |locked, path: &str, method: &str, status: &str| {
            described(locked)["paths"][path][method]["responses"].get(status).is_some()
        };
        assert!(has(true, "/v1/workflows", "post", "401"));
        assert!(has(true, "/v1/workflows", "post", "429"));
        assert!(!has(false, "/v1/workflows", "post", "401"));
        assert!(!has(true, "/health", "get", "401"));
        assert!(has(true, "/health", "get", "500"));
    }
}

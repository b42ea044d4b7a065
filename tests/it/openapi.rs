//! `/openapi.json` and the routes: the document is whole, every entry answers, and who may call is as it says.
//!
//! Whether answers look as it says is `e2e/schemathesis`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::support::app::{TestApp, token};

/// Somebody who is nowhere, in every form that a path's variable may have.
const NOWHERE: &str = "00000000000000000000000000000000";

/// One entry of the document.
struct Operation {
    method: Method,
    path: String,
    entry: Value,
}

impl Operation {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn tag(&self) -> &str {
        self.entry["tags"][0].as_str().unwrap()
    }

    /// Whether it may be called without saying who calls.
    fn is_open(&self) -> bool {
        self.entry["security"].as_array().unwrap().iter().any(|way| way == &json!({}))
    }

    /// Its address on `app`, with somebody who is nowhere for each variable.
    fn url(&self, app: &TestApp) -> String {
        let path =
            self.path.replace("{sid}", &format!("ME{NOWHERE}")).replace("{id}", &format!("CH{NOWHERE}"));
        let path = path.replace("{message}", &format!("IM{NOWHERE}"));
        format!(
            "http://{}{}",
            app.address,
            path.replace("{identity}", "nobody").replace("{member}", "nobody")
        )
    }
}

#[expect(clippy::disallowed_methods, reason = "a plain HTTP client of the service")]
async fn document(app: &TestApp) -> Value {
    let answer = app.http.get(format!("http://{}/openapi.json", app.address)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/json");
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

fn operations(document: &Value) -> Vec<Operation> {
    let fields = |value: &Value| value.as_object().unwrap().clone();
    let of_path = |(path, item): (String, Value)| {
        fields(&item).into_iter().map(move |(method, entry)| Operation {
            method: method.to_uppercase().parse().unwrap(),
            path: path.clone(),
            entry,
        })
    };
    fields(&document["paths"]).into_iter().flat_map(of_path).collect()
}

fn each_object<'a>(value: &'a Value, see: &mut impl FnMut(&'a Map<String, Value>)) {
    match value {
        Value::Object(fields) => {
            see(fields);
            fields.values().for_each(|field| each_object(field, see));
        }
        Value::Array(items) => items.iter().for_each(|item| each_object(item, see)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[tokio::test]
async fn the_document_is_whole() {
    let app = TestApp::start().await;
    let document = document(&app).await;
    assert_eq!(document["openapi"], "3.1.0");
    each_object(&document, &mut |fields| {
        if let Some(reference) = fields.get("$ref") {
            let pointer = reference.as_str().unwrap().strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
        assert!(!fields.contains_key("x-schemas"), "schemas have moved to the components: {fields:?}");
    });
    let schemes = document["components"]["securitySchemes"].as_object().unwrap();
    let mut ids = BTreeSet::new();
    for operation in operations(&document) {
        let (name, entry) = (operation.name(), &operation.entry);
        assert!(ids.insert(entry["operationId"].as_str().unwrap().to_owned()), "{name}: its id is another's");
        assert!(entry["summary"].is_string(), "{name} does not say what it is for");
        let variables: BTreeSet<&str> =
            operation.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        let parameters = entry["parameters"].as_array().cloned().unwrap_or_default();
        let told = parameters.iter().filter(|parameter| parameter["in"] == "path");
        assert_eq!(variables, told.map(|parameter| parameter["name"].as_str().unwrap()).collect(), "{name}");
        for way in
            entry["security"].as_array().unwrap().iter().flat_map(|way| way.as_object().unwrap().keys())
        {
            assert!(schemes.contains_key(way), "{name}: nobody knows what {way} is");
        }
        let answers = entry["responses"].as_object().unwrap();
        assert!(answers.keys().any(|status| status < &"400".to_owned()), "{name} never succeeds");
        for (status, answer) in answers {
            assert!(answer["description"].is_string(), "{name}: {status} is not described");
            assert!(status.parse::<u16>().is_ok(), "{name}: {status} is no status");
        }
    }
    for dialect in ["contacts", "conversations", "chat", "messaging", "support"] {
        let told = operations(&document).iter().filter(|operation| operation.tag() == dialect).count();
        assert!(told > 0, "nothing of {dialect}");
    }
    app.finish([]).await;
}

#[tokio::test]
async fn what_needs_a_token_by_the_document_is_refused_without_one() {
    for (app, required) in [(TestApp::required().await, true), (TestApp::start().await, false)] {
        for operation in operations(&document(&app).await) {
            let name = operation.name();
            let (status, body) = ask(&app, &operation, None).await;
            assert!(
                !body.contains("no such endpoint") && !body.contains("nothing is here"),
                "{name}: {body}"
            );
            assert!(status < 500 || operation.path == "/readyz", "{name}: {status} {body}");
            match operation.tag() {
                "service" => {}
                // Whoever may not open it is told over the WebSocket.
                "chat" if operation.path.starts_with("/ws/") => assert_eq!(status, 400, "{name}"),
                _ if operation.is_open() => assert_ne!(status, 405, "{name}"),
                _ => assert_eq!(status, 401, "{name}: {body}"),
            }
            if matches!(operation.tag(), "conversations" | "chat") {
                assert_eq!(operation.is_open(), !required, "{name}");
            }
            let told = operation.entry["responses"].get(status.to_string());
            assert!(told.is_some(), "{name} answered {status}, which is not in the document");
        }
        let before = app.asked().len();
        for operation in operations(&document(&app).await)
            .iter()
            .filter(|operation| !operation.is_open() && !operation.path.starts_with("/ws/"))
        {
            let (status, body) = ask(&app, operation, Some("not.a.token")).await;
            assert!([401, 403].contains(&status), "{}: {status} {body}", operation.name());
        }
        assert_eq!(app.asked().len(), before, "Twilio was not asked for any of these");
        app.finish([]).await;
    }
}

#[expect(clippy::disallowed_methods, reason = "a plain HTTP client of the service")]
async fn ask(app: &TestApp, operation: &Operation, token: Option<&str>) -> (u16, String) {
    let request = app.http.request(operation.method.clone(), operation.url(app));
    let request = match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    let request = if operation.entry["requestBody"]["content"].get("application/json").is_some() {
        request.header("content-type", "application/json").body("{}")
    } else {
        request
    };
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[test]
fn no_route_of_a_dialect_is_made_without_its_entry() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/dialects");
    let mut seen = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path().join("rest.rs");
        let Ok(text) = fs::read_to_string(&file) else { continue };
        // The chat's paths answer without their last slash too.
        let allowed = usize::from(file.ends_with("chat/rest.rs"));
        assert_eq!(text.matches(".route(").count(), allowed, "{}: use `routes!`", file.display());
        seen += 1;
    }
    assert_eq!(seen, 5);
}

/// An answer with its body read, as somebody with a token.
#[expect(clippy::disallowed_methods, reason = "a plain HTTP client of the service")]
async fn answer(app: &TestApp, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, Value) {
    let url = format!("http://{}{path}", app.address);
    let mut request = app.http.request(method.parse().unwrap(), url).bearer_auth(token("alice"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/json", "{method} {path}");
    (answer.status().as_u16(), serde_json::from_str(&answer.text().await.unwrap()).unwrap())
}

#[tokio::test]
async fn a_fixed_path_is_never_read_as_somebodys_id() {
    let app = TestApp::start().await;
    for (path, field) in [
        ("/users/contacts", "contacts"),
        ("/users/suggestions", "suggestions"),
        ("/users/blocked", "users"),
        ("/api/users/contacts", "contacts"),
    ] {
        let (status, body) = answer(&app, "GET", path, &[]).await;
        assert_eq!(status, 200, "{path}");
        assert!(body["data"][field].is_array(), "{path}: {body}");
    }
    let (_, me) = answer(&app, "GET", "/users/me", &[]).await;
    assert_eq!(me["data"]["id"], "alice");
    let media = format!("/api/conversations/media/ME{NOWHERE}/content");
    assert_eq!(
        answer(&app, "GET", &media, &[]).await.1,
        json!({ "status": 404, "message": "no such media" })
    );
    // As an id of a conversation, neither is one.
    for path in ["/api/conversations/media/messages", "/api/conversations/users/participants"] {
        assert_eq!(answer(&app, "GET", path, &[]).await.0, 400, "{path}");
    }
    app.finish([]).await;
}

#[tokio::test]
async fn a_path_that_is_almost_one_is_none() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    for path in [
        "/users/contacts/",
        "/users//contacts",
        "//users/contacts",
        "/users/contacts%2F",
        "/Users/contacts",
        "/api/conversations/create/",
        "/api/support/conversation/guest/",
        "/contact/add/",
        "/contact/",
        &format!("/api/conversations/{conversation}/messages/"),
        &format!("/api/conversations/{conversation}%2Fmessages"),
        &format!("/messages/{conversation}%2Fmessages"),
        &format!("/messages/{conversation};a=b"),
        "/api/chat/conversations//",
    ] {
        let url = format!("http://{}{path}", app.address);
        assert_eq!(reqwest::Url::parse(&url).unwrap().path(), path, "it is sent as it stands here");
        let (status, body) = any_answer(&app, path).await;
        assert!([400, 404].contains(&status), "{path}: {status} {body}");
        assert!(!body.contains("contacts\":"), "{path}: {body}");
        if !path.starts_with("//") && !path.starts_with("/Users") {
            let body: Value = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{path}: {body}"));
            assert!(body.is_object(), "{path} is answered as its dialect answers");
        }
    }
    // The chat's paths have two spellings.
    for path in ["/api/chat/conversations/", "/api/chat/conversations"] {
        assert_eq!(answer(&app, "GET", path, &[]).await.0, 200, "{path}");
    }
    app.finish([]).await;
}

#[expect(clippy::disallowed_methods, reason = "a plain HTTP client of the service")]
async fn any_answer(app: &TestApp, path: &str) -> (u16, String) {
    let request = app.http.get(format!("http://{}{path}", app.address)).bearer_auth(token("alice"));
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn a_method_is_what_the_request_line_says() {
    let app = TestApp::start().await;
    let conversation = app.conversation(&["alice", "bob"]).await;
    let path = format!("/api/conversations/{conversation}");
    for header in ["x-http-method-override", "x-http-method", "x-method-override"] {
        for method in ["GET", "POST"] {
            let (status, body) = answer(&app, method, &path, &[(header, "DELETE")]).await;
            assert_eq!((status, &body["message"]), (404, &json!("no such endpoint")), "{method}, {header}");
        }
    }
    let (status, _) = answer(&app, "POST", &format!("{path}?_method=DELETE"), &[]).await;
    assert_eq!(status, 404);
    assert_eq!(app.rest().history(&conversation).await, [""; 0], "the conversation is there");
    for method in ["PUT", "TRACE", "PROPFIND"] {
        let (status, _) = answer(&app, method, "/users/contacts", &[]).await;
        assert_eq!(status, 404, "{method}");
    }
    app.finish([]).await;
}

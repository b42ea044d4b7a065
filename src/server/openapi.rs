//! `GET /openapi.json`: every route with its shapes, and who may call it, as OpenAPI 3.1.
//!
//! Routes and their entries are made by one statement (`routes!`); here the parts become one document. Each part keeps
//! names of its own for schemas and operations: they get the part's name before them. Paths that a document does not name
//! (under `/api` again, with or without the last slash) answer and are not listed. Sockets are not here.

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use serde_json::{Map, Value, json};
use url::Url;
use utoipa::openapi::OpenApi;

use crate::auth::AuthMode;
use crate::dialects::openapi::{Callers, SCHEMAS, SUCCESS};

/// Where the document is.
const PATH: &str = "/openapi.json";
/// Where a schema is referred to.
const SCHEMA: &str = "#/components/schemas/";
/// What is no fault of a request without a body.
const FAULTS_OF_BODIES: [&str; 2] = ["413", "415"];

/// The document, while parts are added to it.
pub(super) struct Document {
    mode: AuthMode,
    tags: Vec<Value>,
    paths: Map<String, Value>,
    schemas: Map<String, Value>,
}

impl Document {
    /// An empty one, of a service in this mode.
    pub(super) fn new(mode: AuthMode) -> Self {
        Self { mode, tags: Vec::new(), paths: Map::new(), schemas: Map::new() }
    }

    /// Adds the routes of `part`, which is called `name`. `callers`: who may call those that do not say.
    pub(super) fn add(&mut self, name: &str, callers: Callers, part: &OpenApi) {
        let mut part = serde_json::to_value(part).expect("an OpenAPI document is JSON");
        let mut schemas = taken(&mut part["components"]["schemas"]);
        let mut paths = taken(&mut part["paths"]);
        let operations = paths.values_mut().filter_map(Value::as_object_mut).flat_map(Map::values_mut);
        for operation in operations.filter_map(Value::as_object_mut) {
            operation.insert("tags".to_owned(), json!([name]));
            if let Some(Value::String(id)) = operation.get_mut("operationId") {
                *id = format!("{name}_{id}");
            }
            operation.entry("security").or_insert_with(|| self.security(callers));
            settle_answers(operation, &mut schemas);
            settle_body(operation, &schemas);
        }
        for value in paths.values_mut().chain(schemas.values_mut()) {
            name_schemas(value, name);
        }
        self.tags.push(json!({ "name": name }));
        self.paths.extend(paths);
        self.schemas.extend(schemas.into_iter().map(|(schema, value)| (format!("{name}.{schema}"), value)));
    }

    /// Any one of these is enough; `{}` is nothing at all.
    fn security(&self, callers: Callers) -> Value {
        match (callers, self.mode) {
            (Callers::People, _) => json!([{ "token": [] }]),
            (Callers::Known, _) | (Callers::ByMode, AuthMode::Required) => {
                json!([{ "token": [] }, { "key": [] }])
            }
            (Callers::ByMode, AuthMode::Optional) => json!([{ "token": [] }, { "key": [] }, {}]),
        }
    }

    /// The route of the document, of a service at `url`.
    pub(super) fn route(self, url: &Url) -> Router {
        let document = json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Switchboard",
                "description": env!("CARGO_PKG_DESCRIPTION"),
                "version": env!("CARGO_PKG_VERSION"),
                "license": { "name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE") },
            },
            "servers": [{ "url": url.as_str().trim_end_matches('/') }],
            "tags": self.tags,
            "paths": self.paths,
            "components": { "schemas": self.schemas, "securitySchemes": security_schemes() },
        });
        let document = Bytes::from(document.to_string());
        Router::new().route(PATH, get(async move || ([(CONTENT_TYPE, "application/json")], document.clone())))
    }
}

fn security_schemes() -> Value {
    let header = |name: &str, what: &str| json!({ "type": "apiKey", "in": "header", "name": name, "description": what });
    json!({
        "token": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "A token of the app's, or one for Twilio's SDK. `?token=` does too.",
        },
        "key": header("X-Api-Key", "The key of the app's back end (`ADAPTER_API_KEY`), which may act for anybody."),
        "guest": header("X-Guest-Id", "The id that a support guest was given. `?guestId=` and the cookie do too."),
        "twilio": header("X-Twilio-Signature", "Twilio's signature."),
    })
}

fn taken(value: &mut Value) -> Map<String, Value> {
    value.as_object_mut().map(std::mem::take).unwrap_or_default()
}

/// The statuses of the answers of `operation`, whose schemas move to `schemas`.
fn settle_answers(operation: &mut Map<String, Value>, schemas: &mut Map<String, Value>) {
    let has_body = operation.contains_key("requestBody");
    let Some(answers) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    for answer in answers.values_mut().filter_map(Value::as_object_mut) {
        for (name, schema) in answer.remove(SCHEMAS).as_mut().map(taken).unwrap_or_default() {
            debug_assert!(schemas.get(&name).is_none_or(|other| *other == schema), "two are called {name}");
            schemas.insert(name, schema);
        }
    }
    if !has_body {
        FAULTS_OF_BODIES.iter().for_each(|status| drop(answers.remove(*status)));
    }
    let Some(success) = answers.remove(SUCCESS) else { return };
    let mut named = false;
    for (_, answer) in answers.iter_mut().filter(|(status, _)| status.starts_with('2')) {
        answer["content"] = success["content"].clone();
        if answer.get("description").is_none() {
            answer["description"] = success["description"].clone();
        }
        named = true;
    }
    if !named {
        answers.insert("200".to_owned(), success);
    }
}

/// A body of which nothing is required may be left out.
fn settle_body(operation: &mut Map<String, Value>, schemas: &Map<String, Value>) {
    let Some(body) = operation.get_mut("requestBody") else { return };
    let schema = body["content"]["application/json"]["schema"]["$ref"].as_str();
    let schema = schema.and_then(|schema| schemas.get(schema.strip_prefix(SCHEMA)?));
    if schema.is_some_and(|schema| schema.get("required").is_none()) {
        body["required"] = json!(false);
    }
}

/// Puts `name` before every schema that `value` refers to.
fn name_schemas(value: &mut Value, name: &str) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(to)) = fields.get_mut("$ref")
                && let Some(schema) = to.strip_prefix(SCHEMA)
            {
                *to = format!("{SCHEMA}{name}.{schema}");
            }
            fields.values_mut().for_each(|field| name_schemas(field, name));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| name_schemas(item, name)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

//! Bodies held to the schemas of Twilio's OpenAPI file, as far as that file uses JSON Schema.
//!
//! Stricter than the file in one way: what has properties must have all of them and no others, since Twilio's bodies do.

use std::collections::BTreeSet;

use serde_json::Value;

/// What of `body` is not as `schema` says, each with its place. `file` is where references lead.
pub(crate) fn problems(file: &Value, schema: &Value, body: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(file, schema, body, "$", &mut found);
    found
}

fn check(file: &Value, schema: &Value, body: &Value, at: &str, found: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = file.pointer(reference.trim_start_matches('#'));
        let target = target.unwrap_or_else(|| panic!("{reference} leads nowhere"));
        return check(file, target, body, at, found);
    }
    for keyword in schema.as_object().unwrap().keys() {
        assert!(KEYWORDS.contains(&keyword.as_str()), "{keyword} at {at} is not checked");
    }
    if body.is_null() {
        if schema["nullable"] != true {
            found.push(format!("{at} is null"));
        }
        return;
    }
    let is_of_type = match schema["type"].as_str() {
        None => true,
        Some("string") => body.is_string(),
        Some("integer") => body.is_i64() || body.is_u64(),
        Some("boolean") => body.is_boolean(),
        Some("array") => body.is_array(),
        Some("object") => body.is_object(),
        Some(other) => panic!("type {other} at {at} is not checked"),
    };
    if !is_of_type {
        found.push(format!("{at} is {body}, not {}", schema["type"]));
        return;
    }
    check_text(schema, body, at, found);
    if schema["enum"].as_array().is_some_and(|words| !words.contains(body)) {
        found.push(format!("{at} is {body}, none of {}", schema["enum"]));
    }
    if let Some(items) = schema.get("items") {
        for (index, item) in body.as_array().into_iter().flatten().enumerate() {
            check(file, items, item, &format!("{at}[{index}]"), found);
        }
    }
    if let (Some(properties), Some(members)) = (schema["properties"].as_object(), body.as_object()) {
        let expected: BTreeSet<&String> = properties.keys().collect();
        let actual: BTreeSet<&String> = members.keys().collect();
        found.extend(expected.difference(&actual).map(|name| format!("{at}.{name} is missing")));
        found.extend(actual.difference(&expected).map(|name| format!("{at}.{name} is not in the schema")));
        for (name, member) in members {
            if let Some(schema) = properties.get(name) {
                check(file, schema, member, &format!("{at}.{name}"), found);
            }
        }
    }
}

const KEYWORDS: [&str; 11] = [
    "default",
    "enum",
    "format",
    "items",
    "maxLength",
    "minLength",
    "nullable",
    "pattern",
    "properties",
    "title",
    "type",
];

fn check_text(schema: &Value, body: &Value, at: &str, found: &mut Vec<String>) {
    let length = |text: &str| text.chars().count() as u64;
    if let Some(text) = body.as_str() {
        if schema["minLength"].as_u64().is_some_and(|least| length(text) < least)
            || schema["maxLength"].as_u64().is_some_and(|most| length(text) > most)
        {
            found.push(format!("{at} has {} characters", length(text)));
        }
        if let Some(pattern) = schema["pattern"].as_str()
            && !regex::Regex::new(pattern).unwrap().is_match(text)
        {
            found.push(format!("{at} is {text}, not like {pattern}"));
        }
    }
    let is_url = |text: &str| text.starts_with("http") && url::Url::parse(text).is_ok();
    let is_of_format = match schema["format"].as_str() {
        None => true,
        // Whole seconds and a Z, as in every sample.
        Some("date-time") => body.as_str().is_some_and(|text| {
            regex::Regex::new(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$").unwrap().is_match(text)
        }),
        Some("uri") => body.as_str().is_some_and(is_url),
        Some("uri-map") => {
            body.as_object().is_some_and(|links| links.values().all(|link| link.as_str().is_some_and(is_url)))
        }
        Some("int32" | "int64") => body.is_i64() || body.is_u64(),
        Some(other) => panic!("format {other} at {at} is not checked"),
    };
    if !is_of_format {
        found.push(format!("{at} is {body}, not {}", schema["format"]));
    }
}

#[test]
fn a_body_that_is_not_as_the_schema_says_is_noticed() {
    let file: Value =
        serde_json::json!({"components": {"schemas": {"kind": {"type": "string", "enum": ["a", "b"]}}}});
    let schema = serde_json::json!({"type": "object", "properties": {
        "sid": {"type": "string", "minLength": 34, "maxLength": 34, "pattern": "^CH[0-9a-fA-F]{32}$", "nullable": true},
        "kind": {"$ref": "#/components/schemas/kind"},
        "date": {"type": "string", "format": "date-time"},
        "urls": {"type": "array", "items": {"type": "string", "format": "uri"}},
    }});
    let good =
        serde_json::json!({"sid": null, "kind": "a", "date": "2026-01-02T03:04:05Z", "urls": ["http://x/y"]});
    assert_eq!(problems(&file, &schema, &good), Vec::<String>::new());
    for (name, bad) in [
        ("sid", serde_json::json!("CH1")),
        ("sid", serde_json::json!(1)),
        ("kind", serde_json::json!("c")),
        ("kind", Value::Null),
        ("date", serde_json::json!("2026-01-02T03:04:05.000Z")),
        ("urls", serde_json::json!(["/y"])),
        ("other", Value::Null),
    ] {
        let mut body = good.clone();
        body[name] = bad.clone();
        assert!(!problems(&file, &schema, &body).is_empty(), "{name}: {bad}");
    }
}

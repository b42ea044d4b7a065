//! WireMock's mapping files, read: as much of their format as the files in `wiremock/` use, and nothing that they might.
//!
//! Source: <https://wiremock.org/docs/stubbing/>, <https://wiremock.org/docs/request-matching/>

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ::wiremock::{Match, Mock, Request, ResponseTemplate};
use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stub {
    pub(super) name: String,
    /// The lowest number wins.
    #[serde(default = "ordinary")]
    pub(super) priority: u8,
    request: Pattern,
    response: Response,
}

fn ordinary() -> u8 {
    5
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Pattern {
    method: String,
    url_path_pattern: Whole,
    #[serde(default)]
    headers: BTreeMap<String, TextPattern>,
    #[serde(default)]
    query_parameters: BTreeMap<String, TextPattern>,
    #[serde(default)]
    form_parameters: BTreeMap<String, TextPattern>,
    basic_auth_credentials: Option<Credentials>,
}

/// What a header or parameter must be.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
enum TextPattern {
    EqualTo(String),
    Contains(String),
    Matches(Whole),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    username: String,
    password: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Response {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body_file_name: Option<String>,
}

/// All of them, by name.
pub(super) fn all() -> Vec<Stub> {
    let files = std::fs::read_dir(root().join("mappings")).unwrap().map(|entry| entry.unwrap().path());
    let mut stubs: Vec<Stub> = files
        .map(|file| {
            let stub: Stub = serde_json::from_slice(&std::fs::read(&file).unwrap())
                .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            assert_eq!(file.file_name().unwrap().to_str().unwrap(), format!("{}.json", stub.name));
            stub
        })
        .collect();
    stubs.sort_by(|a, b| a.name.cmp(&b.name));
    stubs
}

pub(super) fn body_files() -> BTreeSet<String> {
    let files = std::fs::read_dir(root().join("__files")).unwrap();
    files.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/wiremock"))
}

impl Stub {
    pub(super) fn as_mock(&self) -> Mock {
        let mut answer = ResponseTemplate::new(self.response.status);
        if let Some(file) = self.body_path() {
            let content_type = &self.response.headers["Content-Type"];
            answer = answer.set_body_raw(std::fs::read(file).unwrap(), content_type);
        }
        for (name, value) in &self.response.headers {
            answer = answer.insert_header(name.as_str(), value.as_str());
        }
        Mock::given(self.clone()).respond_with(answer).with_priority(self.priority)
    }

    pub(super) fn status(&self) -> u16 {
        self.response.status
    }

    /// The JSON it answers with; null if it answers with something else, or nothing.
    pub(super) fn body(&self) -> Value {
        let file =
            self.body_path().filter(|file| file.extension().is_some_and(|extension| extension == "json"));
        file.map_or(Value::Null, |file| serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap())
    }

    pub(super) fn body_file(&self) -> Option<String> {
        self.response.body_file_name.clone()
    }

    /// Whether the request makes something new: a POST to a collection.
    pub(super) fn is_create(&self) -> bool {
        let path = self.request.url_path_pattern.0.as_str().trim_end_matches(")$");
        self.request.method == "POST"
            && ["Conversations", "Participants", "Messages", "Users", "Media"]
                .iter()
                .any(|name| path.ends_with(name))
    }

    fn body_path(&self) -> Option<PathBuf> {
        self.response.body_file_name.as_ref().map(|file| root().join("__files").join(file))
    }
}

impl Match for Stub {
    fn matches(&self, request: &Request) -> bool {
        let Pattern {
            method,
            url_path_pattern,
            headers,
            query_parameters,
            form_parameters,
            basic_auth_credentials,
        } = &self.request;
        let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
        let query: Vec<_> = request.url.query_pairs().into_owned().collect();
        let form: Vec<_> = form_urlencoded::parse(&request.body).into_owned().collect();
        let has = |given: &[(String, String)], wanted: &BTreeMap<String, TextPattern>| {
            wanted
                .iter()
                .all(|(name, value)| given.iter().any(|(given, text)| given == name && value.accepts(text)))
        };
        (method == "ANY" || *method == request.method.as_str())
            && url_path_pattern.0.is_match(request.url.path())
            && headers.iter().all(|(name, value)| header(name).is_some_and(|text| value.accepts(text)))
            && has(&query, query_parameters)
            && has(&form, form_parameters)
            && basic_auth_credentials.as_ref().is_none_or(|Credentials { username, password }| {
                ::wiremock::matchers::basic_auth(username, password).matches(request)
            })
    }
}

impl TextPattern {
    fn accepts(&self, text: &str) -> bool {
        match self {
            Self::EqualTo(wanted) => text == wanted,
            Self::Contains(wanted) => text.contains(wanted.as_str()),
            Self::Matches(pattern) => pattern.0.is_match(text),
        }
    }
}

/// A pattern that matches from end to end, as WireMock's do.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
struct Whole(Regex);

impl TryFrom<String> for Whole {
    type Error = regex::Error;

    fn try_from(pattern: String) -> Result<Self, regex::Error> {
        Regex::new(&format!("^(?:{pattern})$")).map(Self)
    }
}

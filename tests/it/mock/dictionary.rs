//! The mock's refusals, held to Twilio's error dictionary; and no refusal that no test provokes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use serde_json::Value;

use super::twilio::sample;

/// What differs from the dictionary, and why.
const DIFFERENT: [(u64, &str); 5] = [
    (20003, "captured answers say more than the dictionary's \"Permission Denied\""),
    (20004, "the dictionary names no status; a wrong method is HTTP's 405"),
    (20007, "an older code than the dictionary's"),
    (20413, "an older code than the dictionary's"),
    (50384, "the dictionary's text has lost its last quote"),
];

struct Refusal {
    code: u64,
    status: u64,
    text: String,
}

/// Every refusal with a code of its own, as `error.rs` lists them.
fn refusals() -> Vec<Refusal> {
    let source = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/mock/error.rs")).unwrap();
    let line = regex::Regex::new(r#"(?m)^    [A-Z_]+ = (\d{3}) (\d{5}) "(.*)";$"#).unwrap();
    let mut found: Vec<Refusal> = line
        .captures_iter(&source)
        .map(|parts| Refusal {
            status: parts[1].parse().unwrap(),
            code: parts[2].parse().unwrap(),
            text: parts[3].to_owned(),
        })
        .collect();
    found.sort_by_key(|refusal| refusal.code);
    found
}

/// The refusals as lines of `docs/mock-coverage.md`.
pub(crate) fn table() -> String {
    refusals().into_iter().fold(String::new(), |mut table, Refusal { code, status, text }| {
        writeln!(table, "| {code} | {status} | {text} |").unwrap();
        table
    })
}

#[test]
fn refusals_have_the_codes_statuses_and_texts_of_twilios_dictionary() {
    let entries = sample("error_codes.json");
    let dictionary: BTreeMap<u64, &Value> =
        entries.as_array().unwrap().iter().map(|entry| (entry["code"].as_u64().unwrap(), entry)).collect();
    let refusals = refusals();
    assert!(refusals.len() > 100, "only {} refusals were found in error.rs", refusals.len());
    for Refusal { code, status, text } in refusals {
        let same = dictionary
            .get(&code)
            .is_some_and(|entry| entry["http_status"] == status && entry["title"] == text.as_str());
        let excused = DIFFERENT.iter().any(|(different, _)| *different == code);
        assert_eq!(same, !excused, "{code} {status} {text}: {:?}", dictionary.get(&code));
    }
}

#[test]
fn every_refusal_is_provoked_by_a_test() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/mock");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let tests: String = files
        .filter(|path| !path.ends_with("dictionary.rs"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let missing: Vec<u64> = refusals()
        .into_iter()
        .map(|refusal| refusal.code)
        .filter(|code| !tests.contains(&code.to_string()))
        .collect();
    assert!(missing.is_empty(), "no test provokes {missing:?}");
}

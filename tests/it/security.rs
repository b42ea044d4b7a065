//! `docs/security.md` and the tests agree: every row is there once, in order, and names tests that exist, not only files.
//!
//! What the rows say is held by those tests; here only that the page cannot rot.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const PAGE: &str = include_str!("../../docs/security.md");

/// Files that may be named as a whole.
const NO_TESTS: [&str; 2] = ["deny.toml", "Makefile"];

/// What the page must have: webhooks, sockets, the rest.
fn expected() -> Vec<String> {
    let rows = |letter: char, from: u32, to: u32| (from..=to).map(move |n| format!("{letter}{n}"));
    rows('W', 1, 15).chain(rows('R', 10, 23)).chain(rows('S', 1, 22)).collect()
}

/// The rows of the page's tables: their id, and the tests in their last column.
fn rows() -> Vec<(String, Vec<String>)> {
    let row = |line: &str| {
        let cells: Vec<_> = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect();
        let (id, tests) = (cells.first()?, cells.last()?);
        let (letter, number) = id.split_at_checked(1)?;
        let is_row = "WRS".contains(letter) && number.parse::<u32>().is_ok();
        // Every other piece between backticks is a test.
        let tests = tests.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        is_row.then(|| ((*id).to_owned(), tests))
    };
    PAGE.lines().filter_map(row).collect()
}

#[test]
fn every_row_is_there_once_and_names_its_tests() {
    let rows = rows();
    let ids: Vec<_> = rows.iter().map(|(id, _)| id.clone()).collect();
    assert_eq!(ids, expected());
    for (id, tests) in &rows {
        assert!(!tests.is_empty(), "{id} names no test");
    }
}

#[test]
fn every_test_that_is_named_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = BTreeMap::new();
    for (id, tests) in rows() {
        for test in tests {
            let Some((file, name)) = test.split_once("::") else {
                // What is no test holds by being there: CI runs it.
                assert!(NO_TESTS.contains(&&*test), "{id}: which test of {test}?");
                assert!(root.join(&test).is_file(), "{id}: there is no file {test}");
                continue;
            };
            let text = files.entry(file.to_owned()).or_insert_with(|| {
                fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{id}: {file}: {error}"))
            });
            let found = match Path::new(file).extension().and_then(|extension| extension.to_str()) {
                Some("rs") => is_test(text, name),
                _ => ['"', '`'].iter().any(|quote| text.contains(&format!("scene({quote}{name}{quote}"))),
            };
            assert!(found, "{id}: {file} has no test “{name}”");
        }
    }
}

/// Whether `text` has a test function of that name which is not ignored.
fn is_test(text: &str, name: &str) -> bool {
    let Some(at) = text.find(&format!("fn {name}(")) else { return false };
    let before = &text[..at];
    let attributes = before.rfind("\n\n").map_or(before, |start| &before[start..]);
    attributes.contains("test") && !attributes.contains("#[ignore")
}

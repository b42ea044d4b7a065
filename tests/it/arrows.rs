//! Which module may use which, held to the table in ARCHITECTURE.md by reading the source.
//!
//! Comments, texts and test modules are passed over. Paths count from `crate::` or `super::`.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// What a module (or one file of it) may name from `crate::`, and which libraries it may not name at all.
struct Arrows {
    from: &'static str,
    to: &'static [&'static str],
    not: &'static [&'static str],
}

const HTTP: &[&str] = &["axum", "hyper", "socketioxide", "tower", "tower_http"];

/// The first line whose `from` begins a path holds for it. `main.rs`, `lib.rs` and `commands` may use everything.
const TABLE: &[Arrows] = &[
    Arrows { from: "clock", to: &["clock"], not: HTTP },
    Arrows { from: "telemetry", to: &["telemetry"], not: HTTP },
    Arrows { from: "auth", to: &["auth", "clock", "telemetry"], not: &["socketioxide"] },
    Arrows { from: "config", to: &["config", "auth", "clock", "telemetry"], not: HTTP },
    Arrows { from: "limits", to: &["limits", "auth", "config", "clock", "telemetry"], not: HTTP },
    Arrows { from: "mock", to: &["mock"], not: &["socketioxide"] },
    Arrows { from: "twilio", to: &["twilio", "auth", "config", "clock", "telemetry"], not: HTTP },
    Arrows { from: "store", to: &["store", "config", "clock", "telemetry"], not: HTTP },
    Arrows { from: "fetch", to: &["fetch", "telemetry"], not: HTTP },
    Arrows { from: "bus", to: &["bus", "config", "clock", "telemetry"], not: HTTP },
    Arrows {
        from: "core",
        to: &["core", "twilio", "store", "fetch", "bus", "limits", "auth", "config", "clock", "telemetry"],
        not: HTTP,
    },
    Arrows {
        from: "realtime",
        to: &["realtime", "core", "limits", "auth", "config", "clock", "telemetry"],
        not: &[],
    },
    Arrows {
        from: "dialects",
        to: &["dialects", "realtime", "core", "limits", "auth", "config", "clock", "telemetry"],
        not: &[],
    },
    Arrows {
        from: "webhooks",
        to: &["webhooks", "core", "twilio", "limits", "auth", "config", "clock", "telemetry"],
        not: &["socketioxide"],
    },
    Arrows {
        from: "server",
        to: &[
            "server",
            "dialects",
            "realtime",
            "webhooks",
            "core",
            "twilio",
            "store",
            "fetch",
            "bus",
            "limits",
            "auth",
            "config",
            "clock",
            "telemetry",
        ],
        not: &[],
    },
];

const UNBOUND: &[&str] = &["main", "lib", "commands"];

const MOST_LINES: usize = 700;

/// A name some code uses, and where.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Use {
    line: usize,
    path: Vec<String>,
}

/// An arrow that must not be.
#[derive(Debug, PartialEq, Eq)]
struct Forbidden {
    file: PathBuf,
    line: usize,
    from: String,
    to: String,
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {} → {}", self.file.display(), self.line, self.from, self.to)
    }
}

fn sources() -> Vec<(PathBuf, String)> {
    fn collect(folder: &Path, into: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                into.push((path, text));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    collect(&root.join("src"), &mut sources);
    for (path, _) in &mut sources {
        *path = path.strip_prefix(root).unwrap().to_owned();
    }
    sources.sort();
    sources
}

/// `src/dialects/chat/rest.rs` → `dialects`, `chat`, `rest`.
fn module_path(file: &Path) -> Vec<String> {
    let inside = file.strip_prefix("src").unwrap().with_extension("");
    let mut parts: Vec<_> = inside.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    parts.pop_if(|last| last == "mod");
    parts
}

fn forbidden(file: &Path, text: &str, dialects: &[String]) -> Vec<Forbidden> {
    let module = module_path(file);
    let from = module[0].as_str();
    if UNBOUND.contains(&from) {
        return Vec::new();
    }
    let arrows = TABLE
        .iter()
        .find(|arrows| arrows.from == from)
        .unwrap_or_else(|| panic!("{}: no line in the table of arrows", file.display()));
    uses(text)
        .into_iter()
        .map(|used| Use { path: from_root(&module, used.path), ..used })
        .filter(|used| !allowed(arrows, &module, &used.path, dialects))
        .map(|used| Forbidden {
            file: file.to_owned(),
            line: used.line,
            from: module.join("::"),
            to: used.path.join("::"),
        })
        .collect()
}

/// `super::x` as it is called from the root.
fn from_root(module: &[String], path: Vec<String>) -> Vec<String> {
    let up = path.iter().take_while(|part| *part == "super").count();
    if up == 0 {
        return path;
    }
    let parent = module[..module.len().saturating_sub(up)].iter().cloned();
    std::iter::once("crate".to_owned()).chain(parent).chain(path.into_iter().skip(up)).collect()
}

fn allowed(arrows: &Arrows, module: &[String], path: &[String], dialects: &[String]) -> bool {
    match path {
        [root, to, rest @ ..] if root == "crate" || root == "switchboard" => {
            // A dialect may use what all dialects share, never another dialect.
            let mine = module.get(1).filter(|mine| dialects.contains(mine));
            let foreign = rest.first().filter(|name| to == "dialects" && dialects.contains(name));
            let from_sibling = mine.is_some() && foreign.is_some() && mine != foreign;
            arrows.to.contains(&to.as_str()) && !from_sibling
        }
        [library, ..] => !arrows.not.contains(&library.as_str()),
        [] => true,
    }
}

/// Every dialect has a folder of its own.
fn dialects() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/dialects");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let folders = entries.filter(|entry| entry.path().is_dir());
    folders.map(|folder| folder.file_name().into_string().unwrap()).collect()
}

/// Every path in `text` that begins with `crate`, `switchboard` or a library's name: in `use` (groups taken apart)
/// and where it is written out.
fn uses(text: &str) -> BTreeSet<Use> {
    let tokens = without_tests(&tokens(text));
    let mut uses = BTreeSet::new();
    let mut at = 0;
    while at < tokens.len() {
        let begins_path = tokens[at].is_word() && !continues_path(&tokens[..at]);
        if tokens[at].text == "use" {
            at += if next_is(&tokens, at, "::") { 2 } else { 1 };
            if tokens.get(at).is_some_and(Token::is_word) {
                at = read_path(&tokens, at, &[], &mut uses);
            }
        } else if begins_path && next_is(&tokens, at, "::") {
            at = read_path(&tokens, at, &[], &mut uses);
        } else {
            at += 1;
        }
    }
    uses
}

#[derive(Debug, Clone)]
struct Token {
    text: String,
    line: usize,
}

impl Token {
    fn is_word(&self) -> bool {
        self.text.starts_with(|first: char| first.is_alphabetic() || first == '_')
    }
}

/// Whether the word after `before` is a later part of a path: after `a::` or `<A>::`, not after a leading `::`.
fn continues_path(before: &[Token]) -> bool {
    match before {
        [.., part, colons] if colons.text == "::" => {
            part.text == ">" || (part.is_word() && part.text != "use")
        }
        _ => false,
    }
}

fn next_is(tokens: &[Token], at: usize, text: &str) -> bool {
    tokens.get(at + 1).is_some_and(|next| next.text == text)
}

/// Reads `a::b`, `a::{b, c::d}`; returns where it ends.
fn read_path(tokens: &[Token], mut at: usize, before: &[String], uses: &mut BTreeSet<Use>) -> usize {
    let mut path = before.to_vec();
    let line = tokens[at].line;
    loop {
        path.push(tokens[at].text.clone());
        at += 1;
        if tokens.get(at).is_none_or(|token| token.text != "::") {
            break;
        }
        at += 1;
        match tokens.get(at) {
            Some(token) if token.is_word() => {}
            Some(token) if token.text == "{" => {
                at += 1;
                while at < tokens.len() && tokens[at].text != "}" {
                    if tokens[at].is_word() {
                        at = read_path(tokens, at, &path, uses);
                    } else {
                        at += 1;
                    }
                }
                return at + 1;
            }
            // A glob or generic arguments: the path so far is what is used.
            Some(_) | None => break,
        }
    }
    uses.insert(Use { line, path });
    at
}

/// Leaves out items under `#[cfg(test)]`: a test may build what its module may not name.
fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let attribute: String = tokens[at..].iter().take(7).map(|token| token.text.as_str()).collect();
        if attribute != "#[cfg(test)]" {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let mut depth = 0_usize;
        while at < tokens.len() {
            let text = tokens[at].text.as_str();
            at += 1;
            match text {
                "{" => depth += 1,
                "}" if depth == 1 => break,
                "}" => depth -= 1,
                ";" if depth == 0 => break,
                _ => {}
            }
        }
    }
    kept
}

/// Words, `::`, and single signs; comments, texts, characters and lifetimes left out.
fn tokens(text: &str) -> Vec<Token> {
    let characters: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    let starts =
        |at: usize, what: &str| what.chars().enumerate().all(|(i, c)| characters.get(at + i) == Some(&c));
    while at < characters.len() {
        let begin = at;
        let raw_hashes = raw_text(&characters, at);
        if starts(at, "//") {
            at += characters[at..].iter().take_while(|c| **c != '\n').count();
        } else if starts(at, "/*") {
            let mut depth = 0;
            while at < characters.len() {
                if starts(at, "/*") {
                    (depth, at) = (depth + 1, at + 2);
                } else if starts(at, "*/") {
                    (depth, at) = (depth - 1, at + 2);
                    if depth == 0 {
                        break;
                    }
                } else {
                    at += 1;
                }
            }
        } else if let Some(hashes) = raw_hashes {
            let end = format!("\"{}", "#".repeat(hashes));
            at += characters[at..].iter().take_while(|c| **c != '"').count() + 1;
            while at < characters.len() && !starts(at, &end) {
                at += 1;
            }
            at += end.len();
        } else if characters[at] == '"' {
            at += 1;
            while at < characters.len() && characters[at] != '"' {
                at += if characters[at] == '\\' { 2 } else { 1 };
            }
            at += 1;
        } else if characters[at] == '\'' {
            // 'x' and '\n' are characters, 'x a lifetime.
            if starts(at + 1, "\\") {
                at += 3;
                at += characters[at.min(characters.len())..].iter().take_while(|c| **c != '\'').count() + 1;
            } else if starts(at + 2, "'") {
                at += 3;
            } else {
                at += 1;
            }
        } else if characters[at].is_alphanumeric() || characters[at] == '_' {
            at += characters[at..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').count();
            tokens.push(Token { text: characters[begin..at].iter().collect(), line });
        } else if starts(at, "::") {
            at += 2;
            tokens.push(Token { text: "::".to_owned(), line });
        } else {
            if !characters[at].is_whitespace() {
                tokens.push(Token { text: characters[at].to_string(), line });
            }
            at += 1;
        }
        at = at.min(characters.len());
        line += characters[begin..at].iter().filter(|c| **c == '\n').count();
    }
    tokens
}

/// The number of `#` if a raw text (`r"`, `br#"`) begins here.
fn raw_text(characters: &[char], at: usize) -> Option<usize> {
    let after_word = at > 0 && (characters[at - 1].is_alphanumeric() || characters[at - 1] == '_');
    let rest = &characters[at..];
    let rest = rest.strip_prefix(&['b']).unwrap_or(rest).strip_prefix(&['r'])?;
    let hashes = rest.iter().take_while(|c| **c == '#').count();
    (!after_word && rest.get(hashes) == Some(&'"')).then_some(hashes)
}

#[test]
fn every_arrow_points_the_right_way() {
    let dialects = dialects();
    let wrong: Vec<_> = sources().iter().flat_map(|(file, text)| forbidden(file, text, &dialects)).collect();
    let lines: Vec<_> = wrong.iter().map(ToString::to_string).collect();
    assert!(wrong.is_empty(), "arrows that must not be:\n{}", lines.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for_and_stays_small() {
    for (file, text) in sources() {
        assert!(text.starts_with("//!"), "{} does not open with its purpose (//!)", file.display());
        let lines = text.lines().count();
        assert!(lines <= MOST_LINES, "{} has {lines} lines; split it by noun", file.display());
    }
}

/// The arrows found wrong in `text`, as if it stood in `file`.
fn wrong(file: &str, text: &str) -> Vec<String> {
    let dialects = ["chat", "support"].map(str::to_owned);
    forbidden(Path::new(file), text, &dialects).iter().map(ToString::to_string).collect()
}

#[test]
fn wrong_arrows_are_found_however_they_are_written() {
    assert_eq!(
        wrong("src/core/typing.rs", "use crate::dialects::chat;"),
        ["src/core/typing.rs:1: core::typing → crate::dialects::chat"]
    );
    let group = "\nuse crate::{\n    auth::Identity,\n    server::{self, connection},\n};";
    assert_eq!(
        wrong("src/core/mod.rs", group),
        [
            "src/core/mod.rs:4: core → crate::server::connection",
            "src/core/mod.rs:4: core → crate::server::self",
        ]
    );
    for (file, text) in [
        ("src/core/mod.rs", "fn f() { crate::realtime::emit(); }"),
        ("src/core/mod.rs", "use axum::Router;"),
        ("src/core/mod.rs", "fn f(x: Option<socketioxide::SocketIo>) {}"),
        ("src/core/mod.rs", "use ::axum::Router;"),
        ("src/dialects/chat/rest.rs", "use crate::twilio::Client;"),
        ("src/dialects/chat/rest.rs", "use crate::dialects::support::Shape;"),
        ("src/dialects/chat/rest.rs", "use super::super::support;"),
        ("src/dialects/chat/rest.rs", "use crate::store::Store;"),
        ("src/core/mod.rs", "fn f() -> super::server::X {}"),
        ("src/mock/mod.rs", "use crate::telemetry;"),
        ("src/auth/mod.rs", "pub use crate::core::Event as E;"),
        ("src/store/mod.rs", "use crate::twilio::sid::MediaSid;"),
        ("src/twilio/mod.rs", "use crate::core::Error;"),
    ] {
        assert_eq!(wrong(file, text).len(), 1, "{file}: {text}");
    }
}

#[test]
fn right_arrows_texts_comments_and_tests_are_left_alone() {
    for (file, text) in [
        ("src/core/mod.rs", "use crate::{auth::Identity, twilio, store::Store};\nuse core::fmt;"),
        ("src/core/mod.rs", "// use crate::dialects\n/* /* axum:: */ crate::server */"),
        (
            "src/core/mod.rs",
            r##"const A: &str = "crate::server \" axum::"; const B: &str = r#"" axum::x"#;"##,
        ),
        ("src/core/mod.rs", "fn f<'a>(c: char) -> bool { c == '\"' || c == '\\'' } // axum::x \""),
        (
            "src/core/mod.rs",
            "#[cfg(test)]\nmod tests { use crate::mock::{A}; fn f() { axum::g() } }\nstruct S;",
        ),
        ("src/dialects/chat/rest.rs", "use crate::dialects::{chat::Shape, Dialect};"),
        ("src/dialects/mod.rs", "pub const ALL: [Dialect; 1] = [crate::dialects::chat::DIALECT];"),
        ("src/main.rs", "use switchboard::server;"),
    ] {
        assert_eq!(wrong(file, text), [""; 0], "{file}: {text}");
    }
}

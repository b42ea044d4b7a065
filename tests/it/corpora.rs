//! What fuzzing has found, and what it started from: every file of `fuzz/corpus` goes into the target it is for, as it is and
//! bent in a hundred ways, the same on every run. Looking for new ways is `make fuzz`.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

#[allow(dead_code, unreachable_pub, reason = "it is a crate too, for fuzzing")]
#[path = "../../fuzz/src/lib.rs"]
mod targets;

/// How often each file is bent.
const TIMES: usize = 100;

/// Feeds `target` its corpus, of which at least so many files must be there.
fn replay(name: &str, at_least: usize, target: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= at_least, "{} files for {name}", files.len());
    let seeds: Vec<_> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    let mut rng = StdRng::seed_from_u64(0);
    for (file, seed) in files.iter().zip(&seeds) {
        feed(file, &target, seed);
        for _ in 0..TIMES {
            let other = &seeds[rng.random_range(0..seeds.len())];
            feed(file, &target, &bent(seed, other, &mut rng));
        }
    }
    feed(&folder, &target, b"");
}

fn feed(from: &Path, target: impl Fn(&[u8]), data: &[u8]) {
    if let Err(panicked) = catch_unwind(AssertUnwindSafe(|| target(data))) {
        println!("{} became \"{}\"", from.display(), data.escape_ascii());
        resume_unwind(panicked);
    }
}

/// `seed` with some of it changed, left out, doubled, or from `other`.
fn bent(seed: &[u8], other: &[u8], rng: &mut StdRng) -> Vec<u8> {
    const TELLING: &[u8] = b"\0\n\r\x7f\xff\xc3%+&=\"\\{}[]:,.-'/? 09";
    let mut data = seed.to_vec();
    for _ in 0..rng.random_range(1..4) {
        if data.is_empty() {
            break;
        }
        let from = rng.random_range(0..data.len());
        let to = rng.random_range(from..data.len().min(from + 32)) + 1;
        match rng.random_range(0..6) {
            0 => data[from] ^= 1 << rng.random_range(0..8),
            1 => data[from] = TELLING[rng.random_range(0..TELLING.len())],
            2 => data.insert(from, TELLING[rng.random_range(0..TELLING.len())]),
            3 => drop(data.drain(from..to)),
            4 => {
                let piece = data[from..to].to_vec();
                drop(data.splice(from..from, piece));
            }
            _ => {
                data.truncate(from);
                data.extend_from_slice(&other[rng.random_range(0..=other.len())..]);
            }
        }
    }
    data
}

#[test]
fn webhooks() {
    replay("webhook", 10, targets::webhook);
}

#[test]
fn frames_of_raw_websockets() {
    replay("websocket_frame", 10, targets::websocket_frame);
}

#[test]
fn events_of_every_dialect() {
    replay("events", 10, targets::events);
}

#[test]
fn tokens() {
    replay("token", 10, targets::token);
}

#[test]
fn ids_cursors_identities_and_phones() {
    replay("ids", 10, targets::ids);
}

#[test]
fn answers_of_twilio() {
    replay("twilio_answer", 10, targets::twilio_answer);
}

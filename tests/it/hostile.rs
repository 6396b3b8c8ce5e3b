//! What others send or write, read as if they meant harm: every reader takes what is in its corpus, and what chance makes
//! of it, without a panic, and understands nothing that is not there.
//!
//! `make hostile MUTATIONS=20000` makes more of each file; `fuzz/` lets a fuzzer do it. A failure prints the reader, the
//! file, the seed and the beginning of the input.

#[path = "hostile/readers.rs"]
mod readers;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crate::dice::Chance;
use readers::READERS;

/// Mutations of each file that the suite makes.
const MUTATIONS: u64 = 60;

/// Pieces that readers of JSON, XML, YAML, SQL and multipart bodies trip over.
const PIECES: [&str; 34] = [
    "\"",
    "'",
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    ",",
    ":",
    "\r\n",
    "\n",
    "\0",
    "\u{feff}",
    "null",
    "true",
    "-1",
    "1e999",
    "18446744073709551616",
    "0.1",
    "\\u0000",
    "\\ud800",
    "\\",
    "<",
    ">",
    "&amp;",
    "]]>",
    "--",
    "--batch_1--",
    "${X}",
    "- ",
    "NULL",
    " OR ",
    "ø",
];

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

/// Returns the files of a reader's corpus, by name.
fn files(reader: &str) -> BTreeMap<String, Vec<u8>> {
    let folder = std::fs::read_dir(corpus().join(reader)).unwrap_or_else(|error| panic!("{reader}: {error}"));
    let paths = folder.map(|entry| entry.unwrap().path());
    paths
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()))
        .collect()
}

/// Changes an input a little, or takes over a part of another one.
fn mutated(input: &[u8], other: &[u8], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=chance.below(4) {
        let mut at = |length: usize| usize::try_from(chance.below(length as u64 + 1)).unwrap();
        let (from, to) = (at(bytes.len()), at(bytes.len()));
        let (from, to) = (from.min(to), from.max(to));
        match chance.below(8) {
            0 => bytes.truncate(to),
            1 => drop(bytes.drain(from..to.min(from + 20))),
            2 => {
                let part = bytes[from..to.min(from + 200)].to_vec();
                bytes.splice(to..to, part);
            }
            3 | 4 => drop(bytes.splice(from..from, chance.pick(&PIECES).bytes())),
            5 => {
                let end = (from + 8).min(bytes.len());
                bytes.splice(from..end, chance.pick(&PIECES).bytes());
            }
            6 if !bytes.is_empty() => {
                let place = from.min(bytes.len() - 1);
                bytes[place] ^= 1 << chance.below(8);
            }
            _ if !other.is_empty() => {
                let cut = usize::try_from(chance.below(other.len() as u64)).unwrap();
                bytes.splice(from..to, other[cut..].iter().copied());
            }
            _ => {}
        }
    }
    bytes
}

/// Lets a reader read; says which input it was where it panics.
fn survives(name: &str, read: fn(&[u8]), input: &[u8], which: &str) -> Option<String> {
    catch_unwind(AssertUnwindSafe(|| read(input))).err().map(|_| {
        let shown: String = String::from_utf8_lossy(input).chars().take(400).collect();
        format!("{name}, {which}: {shown:?}")
    })
}

#[test]
fn every_reader_survives_its_corpus_and_what_chance_makes_of_it() {
    let mutations = std::env::var("MUTATIONS").map_or(MUTATIONS, |number| number.parse().unwrap());
    let mut failed = Vec::new();
    for (name, read) in READERS {
        let files = files(name);
        assert!(files.len() >= 4, "{name} has a corpus of {} files", files.len());
        let all: Vec<&Vec<u8>> = files.values().collect();
        for (number, (file, input)) in files.iter().enumerate() {
            failed.extend(survives(name, read, input, file));
            for seed in 0..mutations {
                let mut chance = Chance(seed * 1_000 + number as u64);
                let other = all[usize::try_from(chance.below(all.len() as u64)).unwrap()];
                let made = mutated(input, other, &mut chance);
                failed.extend(survives(name, read, &made, &format!("{file}, seed {seed}")));
            }
        }
    }
    assert!(failed.is_empty(), "{} inputs: {:#?}", failed.len(), &failed[..failed.len().min(10)]);
}

/// Returns what is nested so many times, in the spelling of each reader.
fn nested(reader: &str, depth: usize) -> String {
    let (open, inner, close) = match reader {
        "metadata_xml" => ("<a>", "", "</a>"),
        "pipeline" => ("[", "", "]"),
        "expression" => ("(", "1", ")"),
        "batch_multipart" => ("--a\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n", "", "--a--\r\n"),
        _ => ("[", "", "]"),
    };
    let begin = match reader {
        "page" => "{\"value\":",
        "batch_json" => "{\"responses\":",
        "fault" => "{\"error\":",
        "plan" => "{\"plan_format\":",
        "batch_multipart" => "multipart/mixed; boundary=a\n",
        _ => "",
    };
    format!("{begin}{}{inner}{}", open.repeat(depth), close.repeat(depth))
}

#[test]
fn no_reader_falls_into_what_is_nested_deeply() {
    for (name, read) in READERS {
        for depth in [200, 100_000] {
            read(nested(name, depth).as_bytes());
        }
        // The same without its end.
        let half = nested(name, 100_000);
        read(&half.as_bytes()[..half.len() / 2]);
    }
}

#[test]
fn a_text_of_many_megabytes_is_read_or_refused() {
    let long = "x".repeat(200 << 20);
    let id = "a0000000-0000-4000-8000-000000000001";
    readers::page(format!("{{\"value\":[{{\"id\":\"{id}\",\"name\":\"{long}\"}}]}}").as_bytes());
    readers::fault(format!("{{\"error\":{{\"code\":\"x\",\"message\":\"{long}\"}}}}").as_bytes());
    readers::batch_of_json(format!("{{\"responses\":[{{\"id\":\"{long}\",\"status\":200}}]}}").as_bytes());
    readers::plan(long.as_bytes());
}

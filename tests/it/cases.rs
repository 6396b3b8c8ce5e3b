//! Plays the folders of `tests/cases`: one rule each, told so that somebody who does not know Rust can read it.
//!
//! A folder holds `pipeline.yaml` (the table maps) and `story.md` (what both sides hold, what people do, what a run
//! reports, what both sides hold afterwards). The sides are in memory, behind the same port as the adapters; their
//! tables stand in `tests/cases/README.md`. What the program has to say stands in fenced blocks: with
//! `CASES=write` they are written anew, to be read before they are kept.

mod sides;
mod story;
mod telling;

use std::fs;
use std::path::{Path, PathBuf};

use crate::cases::story::Story;

/// Returns the folders of all cases, in the order of their names.
fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut folders: Vec<PathBuf> =
        fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn name(folder: &Path) -> String {
    folder.file_name().unwrap().to_string_lossy().into_owned()
}

#[test]
fn every_case_goes_as_it_is_told() {
    let writes = std::env::var("CASES").is_ok_and(|value| value == "write");
    let mut failures = Vec::new();
    let folders = folders();
    assert!(!folders.is_empty(), "no case was found");
    for folder in folders {
        let path = folder.join("story.md");
        let told = fs::read_to_string(&path).unwrap();
        let tables = fs::read_to_string(folder.join("pipeline.yaml")).unwrap();
        let played = Story::new(&name(&folder), &told).play(&tables);
        if played == told {
            continue;
        }
        if writes {
            fs::write(&path, &played).unwrap();
        } else {
            failures.push(format!("{}:\n{}", name(&folder), difference(&told, &played)));
        }
    }
    assert!(failures.is_empty(), "{}\n`CASES=write` writes the stories anew", failures.join("\n"));
}

/// Returns the lines that are told otherwise, `-` as in the file and `+` as it went.
fn difference(told: &str, played: &str) -> String {
    let (told, played): (Vec<&str>, Vec<&str>) = (told.lines().collect(), played.lines().collect());
    let same = told.iter().zip(&played).take_while(|(one, other)| one == other).count();
    let left = told.len().min(played.len()) - same;
    let tail = told.iter().rev().zip(played.iter().rev()).take(left).take_while(|(one, other)| one == other).count();
    let lines = |sign: &str, lines: &[&str]| lines.iter().map(|line| format!("  {sign} {line}\n")).collect::<String>();
    lines("-", &told[same..told.len() - tail]) + &lines("+", &played[same..played.len() - tail])
}

/// What a case is about stands in the documentation, and what the documentation names is there.
#[test]
fn the_documentation_names_every_case() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules.md");
    let page = fs::read_to_string(page).unwrap();
    let named: Vec<String> = page
        .split("../tests/cases/")
        .skip(1)
        .filter(|rest| !rest.starts_with("README.md"))
        .map(|rest| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect())
        .collect();
    let there: Vec<String> = folders().iter().map(|folder| name(folder)).collect();
    for case in &there {
        assert!(named.contains(case), "docs/rules.md does not name the case `{case}`");
    }
    for case in &named {
        assert!(there.contains(case), "docs/rules.md names a case `{case}` that is not there");
    }
}

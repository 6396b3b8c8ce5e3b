//! The sessions in docs/procedures, run against the fakes as they stand there: what a page shows is what the program says.
//!
//! Each page has a world of its own: the default company before its first night, and the shipped file. In a fence
//! `console` a line that begins with `$ ` is run, and what follows is what it prints on stdout, with ` 2>&1` also the talk;
//! `[exit code N]` ends what does not end with 0, and a line `…` stands for any lines. A fence `csv NAME` is a file of that
//! name. What people do meanwhile are comments: `<!-- edit SIDE SET PROPERTY=KEY {…} -->`, `<!-- delete SIDE SET
//! PROPERTY=KEY -->`, and `<!-- fill FILE RECORD FIELD DECISION; … -->` for lines of an exported inbox (`-` for no field).
//! Ids and times are the same in every page. `PAGES=write cargo test procedures` writes all pages anew; of an output with
//! `…` as many lines stay as there were.

use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use chrono::DateTime;
use uuid::Uuid;

use super::World;

const ID: &str = "5f0c2b9e-8f0d-4c43-9c55-0c6a1c2d3e4f";
const TIME: &str = "2026-01-31T02:00:00Z";
const CUT: &str = "…";

/// Returns the pages.
fn pages() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/procedures");
    let mut pages: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    pages
}

/// Makes ids, times, durations and paths the same in every run.
fn scrubbed(text: &str, world: &World) -> Vec<String> {
    let text = text.replace(&format!("{}/", world.folder.path().display()), "");
    text.lines().map(|line| durations(&words(line))).collect()
}

/// Replaces ids, times and hashes.
fn words(line: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-:.".contains(c);
    let mut told = String::new();
    let mut rest = line;
    while let Some(start) = rest.find(is_part) {
        told.push_str(&rest[..start]);
        let end = rest[start..].find(|c| !is_part(c)).map_or(rest.len(), |length| start + length);
        let word = rest[start..end].trim_end_matches([':', '.']);
        let end = start + word.len().max(1);
        let word = &rest[start..end];
        let is_hash = word.len() == 64 && word.chars().all(|c| c.is_ascii_hexdigit());
        told.push_str(match word {
            id if id.len() == 36 && Uuid::try_parse(id).is_ok() => ID,
            time if DateTime::parse_from_rfc3339(time).is_ok() => TIME,
            _ if is_hash => "7f349ab7…",
            address if address.starts_with("127.0.0.1:") => "crm.example",
            word => word,
        });
        rest = &rest[end..];
    }
    told + rest
}

/// Replaces seconds: before the word, and in a column of their own.
fn durations(line: &str) -> String {
    let is_seconds = |text: &str| {
        text.split_once('.').is_some_and(|(whole, rest)| {
            rest.len() == 1 && !whole.is_empty() && (whole.to_owned() + rest).chars().all(|c| c.is_ascii_digit())
        })
    };
    if let Some(before) = line.strip_suffix(" seconds") {
        let number = before.rsplit(' ').next().unwrap_or_default();
        return if is_seconds(number) {
            format!("{}0.1 seconds", &before[..before.len() - number.len()])
        } else {
            line.to_owned()
        };
    }
    if let Some((before, after)) = line.split_once(" s ") {
        let number = before.rsplit(' ').next().unwrap_or_default();
        if is_seconds(number) {
            return format!("{}0.1 s  {}", &before[..before.len() - number.len()], after.trim_start());
        }
    }
    // Columns are two blanks apart or more, and flush right.
    let mut told = String::new();
    for word in line.split_inclusive(' ') {
        let number = word.trim_end();
        if is_seconds(number) && told.ends_with("  ") {
            let start = told.trim_end().len();
            let width = told.len() - start + number.len();
            told.truncate(start);
            told.push_str(&format!("{:>width$}{}", "0.1", &word[number.len()..]));
        } else {
            told.push_str(word);
        }
    }
    told
}

/// What a person does meanwhile; any other comment is one for the readers of the source.
fn meanwhile(world: &World, comment: &str) {
    let words: Vec<&str> = comment.splitn(5, ' ').collect();
    match words.as_slice() {
        ["edit", side, set, record, values] => {
            let values: serde_json::Value =
                serde_json::from_str(values).unwrap_or_else(|error| panic!("{comment}: {error}"));
            change(world, side, set, record, values.as_object());
        }
        ["delete", side, set, record] => change(world, side, set, record, None),
        ["fill", file, ..] => fill(world, file, comment.splitn(3, ' ').last().unwrap_or_default()),
        _ => {}
    }
}

/// Edits the record of a side that holds `PROPERTY=KEY`; deletes it where there are no values.
fn change(
    world: &World,
    side: &str,
    set: &str,
    record: &str,
    values: Option<&serde_json::Map<String, serde_json::Value>>,
) {
    let (property, key) = record.split_once('=').unwrap();
    let nobody = || panic!("nobody in {side} {set} has {record}");
    match side {
        "erp" => world.erp.with(|erp| {
            let id = erp.find(set, property, key).unwrap_or_else(nobody);
            match values {
                Some(values) => erp.edit(set, id, values).unwrap(),
                None => erp.delete(set, id).unwrap(),
            }
        }),
        "crm" => world.crm.with(|crm| {
            let id = crm.find(set, property, key).unwrap_or_else(nobody);
            match values {
                Some(values) => crm.edit(set, id, values).unwrap(),
                None => crm.delete(set, id).unwrap(),
            }
        }),
        other => panic!("there is no side `{other}`"),
    }
}

/// Writes decisions into an exported inbox, `RECORD FIELD DECISION` each.
fn fill(world: &World, file: &str, decisions: &str) {
    let csv = std::fs::read_to_string(world.folder.path().join(file)).unwrap();
    let decisions: Vec<Vec<&str>> = decisions.split("; ").map(|one| one.splitn(3, ' ').collect()).collect();
    let of = |record: &str, field: &str| {
        let one = decisions.iter().find(|one| (one[0], one[1].trim_matches('-')) == (record, field));
        one.map_or("", |one| one[2])
    };
    world.file(file, &super::answers::filled(&csv, &of));
}

/// Runs a command and returns what the page shows of it.
fn answer(world: &World, line: &str) -> Vec<String> {
    let line = line.strip_prefix("pipeline ").unwrap_or_else(|| panic!("`{line}` is no command of ours"));
    let (line, talks) = line.strip_suffix(" 2>&1").map_or((line, false), |line| (line, true));
    // What is told on both goes into one file, in the order in which it is written.
    let mut told = tempfile::tempfile().unwrap();
    let talk = if talks { Stdio::from(told.try_clone().unwrap()) } else { Stdio::null() };
    let code = world.command(line).stdout(told.try_clone().unwrap()).stderr(talk).status().unwrap().code();
    let mut text = String::new();
    told.rewind().unwrap();
    told.read_to_string(&mut text).unwrap();
    let refused = [2, 3].map(Some).contains(&code);
    assert!(code.is_some_and(|code| code != 101) && (talks || !refused), "{line}: {code:?} {text}");
    let mut told = scrubbed(&text, world);
    if let Some(code) = code.filter(|code| *code != 0) {
        told.push(format!("[exit code {code}]"));
    }
    told
}

/// Returns what a page is to show of an output: as much at its beginning and end as it showed.
fn cut(shown: &[String], told: &[String]) -> Vec<String> {
    let Some(at) = shown.iter().position(|line| line == CUT) else { return told.to_vec() };
    let (head, tail) = (at, shown.len() - at - 1);
    if head + tail >= told.len() {
        return told.to_vec();
    }
    let (head, tail) = (&told[..head], &told[told.len() - tail..]);
    [head, &[CUT.to_owned()], tail].concat()
}

/// Plays a page and returns it with what the program said.
fn play(page: &str) -> String {
    let world = World::start();
    let folder = world.folder.path().join("pipelines");
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy(super::FULL, folder.join("full.yaml")).unwrap();
    let mut lines = page.lines().peekable();
    let mut written: Vec<String> = Vec::new();
    let mut within = false;
    while let Some(line) = lines.next() {
        written.push(line.to_owned());
        if line.starts_with("```") {
            within = !within && line == "```console";
        }
        if let Some(comment) = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->")) {
            meanwhile(&world, comment);
        }
        if let Some(name) = line.strip_prefix("```csv ") {
            let text: String =
                lines.clone().take_while(|line| *line != "```").map(|line| line.to_owned() + "\n").collect();
            world.file(name, &text);
        }
        if let (true, Some(command)) = (within, line.strip_prefix("$ ")) {
            let mut shown = Vec::new();
            while let Some(line) = lines.next_if(|line| !line.starts_with("$ ") && *line != "```") {
                shown.push(line.to_owned());
            }
            // A blank line parts two commands.
            let parted = lines.peek().is_some_and(|line| line.starts_with("$ "));
            while shown.last().is_some_and(String::is_empty) {
                shown.pop();
            }
            written.extend(cut(&shown, &answer(&world, command)));
            written.extend(parted.then(String::new));
        }
    }
    written.join("\n") + "\n"
}

#[test]
fn every_page_shows_what_the_program_says() {
    let pages = pages();
    assert!(pages.len() > 4, "{pages:?}");
    let played: Vec<String> = std::thread::scope(|threads| {
        let play = |path: &PathBuf| play(&std::fs::read_to_string(path).unwrap());
        let threads: Vec<_> = pages.iter().map(|path| threads.spawn(move || play(path))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let write = std::env::var_os("PAGES").is_some_and(|pages| pages == "write");
    for (path, played) in pages.iter().zip(played) {
        if write {
            std::fs::write(path, played).unwrap();
            continue;
        }
        let page = std::fs::read_to_string(path).unwrap();
        let first = page.lines().zip(played.lines()).find(|(shown, told)| shown != told);
        assert!(page == played, "{} is not what the program says (`PAGES=write` mends it): {first:#?}", path.display());
    }
}

#[test]
fn what_differs_from_run_to_run_is_the_same_in_a_page() {
    for (line, expected) in [
        ("run 9f0c2b9e-8f0d-4c43-9c55-0c6a1c2d3e40 of 2026-11-28T13:31:07Z", format!("run {ID} of {TIME}")),
        (
            "run 9f0c2b9e-8f0d-4c43-9c55-0c6a1c2d3e40 of 2026-11-28T13:31:07Z: done.",
            format!("run {ID} of {TIME}: done."),
        ),
        ("the organization `127.0.0.1:44061`", "the organization `crm.example`".to_owned()),
        ("  converged   13.1 s    wrote 7", "  converged   0.1 s  wrote 7".to_owned()),
        ("x  incomplete     13.1       0", "x  incomplete      0.1       0".to_owned()),
        ("total   12  -  12.5", "total   12  -   0.1".to_owned()),
        ("requests: 24 ERP, 102 CRM; 9.0 seconds", "requests: 24 ERP, 102 CRM; 0.1 seconds".to_owned()),
        ("  creditLimit: 4.5", "  creditLimit: 4.5".to_owned()),
        ("nothing of it: 4.55", "nothing of it: 4.55".to_owned()),
    ] {
        assert_eq!(durations(&words(line)), expected);
    }
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(cut(&lines("a\n…\nz"), &lines("1\n2\n3\n4")), lines("1\n…\n4"));
    assert_eq!(cut(&lines("a\nb"), &lines("1\n2\n3")), lines("1\n2\n3"));
    assert_eq!(cut(&lines("a\n…\nz"), &lines("1\n2")), lines("1\n2"));
}

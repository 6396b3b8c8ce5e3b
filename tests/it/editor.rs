//! The schema of the pipeline file, held against the reader: what the check takes it takes, what the reader refuses for its
//! form it refuses, and every key is in it, with what it means.

mod judge;
mod page;

use std::path::Path;

use pipeline::config::check::{Purpose, check};
use pipeline::config::complaint::{Complaints, Severity};
use pipeline::config::{editor, read, tree, variables};
use serde_json::Value;

use judge::refusals;

/// Pipeline files of all kinds, by path: those that are shipped, those of the cases, and what every reader is given.
fn files() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |folder: &str| {
        let entries = std::fs::read_dir(root.join(folder)).unwrap();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    };
    let text = |path: &Path| std::fs::read_to_string(path).unwrap();
    let mut files = Vec::new();
    for path in read("pipelines").into_iter().chain(read("tests/corpus/pipeline")) {
        files.push((path.display().to_string(), text(&path)));
    }
    for path in read("tests/cases").iter().map(|folder| folder.join("pipeline.yaml")).filter(|path| path.exists()) {
        let tables = text(&path);
        let head = "version: 1\nname: a case\nstate: sqlite:a.db\nconnections:\n  erp: { adapter: nav, url: \"${ERP_URL}\", \
            company: A, auth: { type: basic, user: A, password: \"${A}\" } }\n  crm: { adapter: dataverse, url: \"${CRM_URL}\", \
            auth: { type: bearer, token_file: a } }\n";
        files.push((path.display().to_string(), format!("{head}{tables}")));
    }
    files
}

/// Tells whether a file is taken, and whether the reader complains about its form.
fn told(text: &str) -> (bool, bool) {
    let checked = check(text, "a.yaml", &|_| None, Purpose::Check);
    let taken = checked.complaints.iter().all(|complaint| complaint.severity == Severity::Warning);
    let mut complaints = Complaints::new("a.yaml");
    // What is no YAML as we take it (anchors, tags, a key twice) is for editors what it is for YAML.
    let tree = tree::parse(text, &mut complaints).filter(|_| !complaints.has_errors());
    let malformed = tree.is_some_and(|mut tree| {
        variables::fill(&mut tree, &|_| None, Severity::Warning, &mut complaints);
        !complaints.has_errors() && (read::read(&mut tree, &mut complaints).is_none() || complaints.has_errors())
    });
    (taken && checked.pipeline.is_some(), malformed)
}

#[test]
fn what_the_check_takes_the_schema_takes_and_what_the_reader_refuses_it_refuses() {
    let schema = editor::schema();
    let files = files();
    let mut taken = 0;
    for (path, text) in &files {
        let (is_taken, is_malformed) = told(text);
        let refused = refusals(&schema, text);
        assert!(!is_taken || refused.is_empty(), "{path}: {refused:#?}");
        assert!(!is_malformed || !refused.is_empty(), "{path} is refused by the reader alone");
        taken += usize::from(is_taken);
    }
    assert!(taken > 40, "{taken} of {}", files.len());
}

/// Returns a file with one line and its deeper ones left out, for each line; and with a key misspelt.
fn mutations(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut all = Vec::new();
    for at in 0..lines.len() {
        all.push([&lines[..at], &lines[at + 1..]].concat().join("\n"));
        for (from, to) in
            [(": ", "s: "), (": ", ": [1], x: "), ("true", "maybe"), ("both", "boths"), ("[", "{"), (": ", ": 7")]
        {
            if lines[at].contains(from) {
                let line = lines[at].replacen(from, to, 1);
                all.push([&lines[..at], &[line.as_str()], &lines[at + 1..]].concat().join("\n"));
            }
        }
    }
    all
}

#[test]
fn of_broken_files_none_is_refused_by_the_reader_alone() {
    let schema = editor::schema();
    let full = include_str!("../../pipelines/full.yaml");
    let (mut taken, mut malformed) = (0, 0);
    for text in mutations(full).into_iter().chain(mutations(include_str!("../../pipelines/nav.yaml"))) {
        let (is_taken, is_malformed) = told(&text);
        let refused = refusals(&schema, &text);
        assert!(!is_taken || refused.is_empty(), "{refused:#?}\n{text}");
        assert!(!is_malformed || !refused.is_empty(), "refused by the reader alone:\n{text}");
        taken += usize::from(is_taken);
        malformed += usize::from(is_malformed);
    }
    assert!(taken > 50 && malformed > 200, "{taken} are taken, {malformed} have no form");
}

/// Calls a function with the path and the schema of each key.
fn each_key(schema: &Value, root: &Value, path: &str, seen: &mut Vec<String>, look: &mut dyn FnMut(&str, &Value)) {
    if !schema.is_object() {
        return;
    }
    if let Some(link) = schema["$ref"].as_str().filter(|link| !seen.iter().any(|known| known == link)) {
        seen.push(link.to_owned());
        each_key(root.pointer(&link[1..]).unwrap(), root, path, seen, look);
    }
    for (key, own) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{key}");
        look(&path, own);
        each_key(own, root, &path, seen, look);
    }
    for place in ["items", "additionalProperties"] {
        each_key(&schema[place], root, path, seen, look);
    }
    for one in ["anyOf", "oneOf"].into_iter().flat_map(|place| schema[place].as_array().into_iter().flatten()) {
        each_key(one, root, path, seen, look);
    }
}

#[test]
fn every_key_that_is_read_is_in_the_schema_and_says_what_it_means() {
    let schema = editor::schema();
    let root = schema.as_value();
    let mut keys = Vec::new();
    each_key(root, root, "", &mut Vec::new(), &mut |path, own| {
        assert!(
            own["description"].as_str().is_some_and(|text| text.ends_with('.') || text.ends_with('1')),
            "{path}: {own}"
        );
        keys.push(path.rsplit('.').next().unwrap().to_owned());
    });
    let source = include_str!("../../src/config/schema.rs");
    let mut read = 0;
    let mut renamed = None;
    for line in source.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("#[serde(rename = \"") {
            renamed = name.split('"').next();
        } else if let Some((key, _)) = line.strip_prefix("pub ").and_then(|rest| rest.split_once(": Option<")) {
            let key = renamed.take().unwrap_or(key);
            assert!(keys.iter().any(|known| known == key), "`{key}` is read, and no key of the schema");
            read += 1;
        }
    }
    assert!(read > 60, "{read} keys");
    // Each word of a list says what it means.
    let text = serde_json::to_string(root).unwrap();
    assert!(!text.contains("\"enum\":[\""), "a word without a description: {text}");
    assert_eq!(root["$schema"], "https://json-schema.org/draft/2020-12/schema");
}

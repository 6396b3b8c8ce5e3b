//! The schema for editors, held against the same mistakes as the reader.

use super::{FULL, REFUSED, env};
use crate::config::check::{Purpose, check};
use crate::config::complaint::{Complaints, Severity};
use crate::config::{editor, read, tree, variables};

#[path = "../../../../tests/it/editor/judge.rs"]
mod judge;

/// Tells whether the reader complains about the form of a file that is YAML as we take it: anchors and tags are for editors
/// what they are for YAML.
fn is_malformed(text: &str) -> bool {
    let mut complaints = Complaints::new("full.yaml");
    let tree = tree::parse(text, &mut complaints).filter(|_| !complaints.has_errors());
    tree.is_some_and(|mut tree| {
        variables::fill(&mut tree, &env, Severity::Warning, &mut complaints);
        !complaints.has_errors() && (read::read(&mut tree, &mut complaints).is_none() || complaints.has_errors())
    })
}

#[test]
fn the_schema_refuses_each_mistake_of_form() {
    let schema = editor::schema();
    assert_eq!(judge::refusals(&schema, FULL), [""; 0]);
    let mut malformed = 0;
    for (from, to) in REFUSED.iter().flat_map(|(_, changes)| *changes) {
        let text = FULL.replace(from, to);
        let refused = judge::refusals(&schema, &text);
        let checked = check(&text, "full.yaml", &env, Purpose::Run);
        let is_taken = checked.complaints.iter().all(|complaint| complaint.severity == Severity::Warning);
        assert!(!is_taken || refused.is_empty(), "{to}: {refused:#?}");
        // A variable may be anything: what is read is the text as it stands.
        let without_variables = !to.contains("${") && !from.contains("${");
        if is_malformed(&text) && without_variables {
            assert!(!refused.is_empty(), "{to} is refused by the reader alone");
            malformed += 1;
        }
    }
    assert!(malformed > 25, "{malformed}");
    // What only the check refuses, as it stands in the file: which words go together is not a matter of form.
    let together = |to: &str| to.starts_with("type: basic");
    let of_form = |subject: &str| matches!(subject, "unknown keys" | "wrong types and unknown words");
    for (subject, changes) in REFUSED.iter().filter(|(subject, _)| of_form(subject)) {
        for (from, to) in changes.iter().filter(|(_, to)| !together(to)) {
            let refused = judge::refusals(&schema, &FULL.replace(from, to));
            assert!(!refused.is_empty(), "{subject}: {to}");
        }
    }
}

//! The tree as the file is written: a [`Node`] in, a [`File`] and complaints out.
//!
//! Serde stops at the first thing that does not fit. So what it stops at is noted, taken out of the tree, and the rest is
//! tried again, until it fits: every unknown key, wrong type and unknown word is found in one go.

use serde_yaml::Value;

use crate::config::complaint::{Complaints, Path, Severity, Step, suggestion};
use crate::config::schema::File;
use crate::config::tree::{Content, Node, Plain, Variables};

/// Reads the file out of its tree; what does not fit is pruned from the tree.
pub fn read(tree: &mut Node, complaints: &mut Complaints) -> Option<File> {
    loop {
        let error = match serde_path_to_error::deserialize::<_, File>(value(tree)) {
            Ok(file) => return Some(file),
            Err(error) => error,
        };
        let path = path(error.path());
        complain(tree, &path, &error.inner().to_string(), complaints);
        if path.steps().is_empty() || !tree.prune(&path) {
            return None;
        }
    }
}

/// Makes a value of a tree: pruned keys are left out, pruned list elements are nothing.
fn value(node: &Node) -> Value {
    if node.pruned {
        return Value::Null;
    }
    match &node.content {
        Content::List(nodes) => Value::Sequence(nodes.iter().map(value).collect()),
        Content::Map(entries) => {
            let kept = entries.iter().filter(|entry| !entry.node.pruned);
            Value::Mapping(kept.map(|entry| (Value::String(entry.key.clone()), value(&entry.node))).collect())
        }
        // A variable gives text, whatever its value looks like: a company may be called `2024`.
        Content::Scalar(scalar) if scalar.variables != Variables::None => Value::String(scalar.text.clone()),
        Content::Scalar(scalar) => match scalar.plain_value() {
            Plain::Nothing => Value::Null,
            Plain::Boolean(value) => Value::Bool(value),
            Plain::Number => match scalar.text.parse::<i64>() {
                Ok(number) => Value::Number(number.into()),
                Err(_) => scalar.text.parse::<f64>().map_or(Value::Null, |number| Value::Number(number.into())),
            },
            Plain::Text => Value::String(scalar.text.clone()),
        },
    }
}

fn path(path: &serde_path_to_error::Path) -> Path {
    use serde_path_to_error::Segment;
    path.iter().fold(Path::root(), |path, segment| match segment {
        Segment::Seq { index } => path.index(*index),
        Segment::Map { key } => path.key(key),
        Segment::Enum { .. } | Segment::Unknown => path,
    })
}

/// Says in our words what serde could not take; of its sentence only the part that we gave it is used.
fn complain(tree: &Node, path: &Path, error: &str, complaints: &mut Complaints) {
    if tree.is_damaged(path) {
        return;
    }
    let known: Vec<&str> = match error.rfind(", expected ") {
        Some(at) => error[at..].split('`').skip(1).step_by(2).collect(),
        None => Vec::new(),
    };
    if error.starts_with("unknown field ") {
        let (message, hint) = unknown_key(path, &known);
        return complaints.add(Severity::Error, tree.key_place_of(path), path, message, hint);
    }
    let found = match tree.at(path) {
        // Somebody may have written the secret itself.
        Some(_) if matches!(path.last_key(), "client_secret" | "password") => "something else".to_owned(),
        Some(node) => describe(node),
        None => "nothing".to_owned(),
    };
    let (message, hint) = if error.starts_with("unknown variant ") {
        let word = tree.at(path).map(Node::written).unwrap_or_default();
        // Nothing of a pair that was never settled is newer.
        let known: Vec<&str> =
            known.into_iter().filter(|word| path.last_key() != "first_sync" || *word != "newest").collect();
        let hint = suggestion(word, known.iter().copied()).or_else(|| match known.as_slice() {
            [one] => Some(format!("write `{one}`")),
            _ => Some("write one of these words".to_owned()),
        });
        (format!("`{word}` is not {}", one_of(&known)), hint)
    } else {
        let wanted = error.rfind(", expected ").map_or(error, |at| &error[at + ", expected ".len()..]);
        let hint = match wanted {
            "a string" if matches!(tree.at(path).map(|node| &node.content), Some(Content::Scalar(_))) => {
                Some("put it in quotes".to_owned())
            }
            _ => None,
        };
        (format!("expected {}, found {found}", kind(wanted)), hint)
    };
    complaints.add(Severity::Error, tree.place_of(path), path, message, hint);
}

/// Translates what serde expected.
fn kind(wanted: &str) -> &str {
    match wanted {
        "a string" => "a text",
        "a sequence" => "a list",
        wanted if wanted.starts_with("struct ") => "a map",
        wanted if wanted.contains("enum") || wanted.contains("variant") => "a word",
        wanted => wanted,
    }
}

fn describe(node: &Node) -> String {
    match &node.content {
        Content::Map(_) => "a map".to_owned(),
        Content::List(_) => "a list".to_owned(),
        Content::Scalar(scalar) => match scalar.plain_value() {
            Plain::Nothing => "nothing".to_owned(),
            Plain::Number => format!("the number `{}`", scalar.written),
            Plain::Boolean(_) => format!("`{}`", scalar.written),
            Plain::Text => format!("the text `{}`", scalar.written),
        },
    }
}

/// Lists words as a sentence does.
fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

fn unknown_key(path: &Path, known: &[&str]) -> (String, Option<String>) {
    let key = path.last_key();
    if is_to_come(path) {
        return (format!("`{key}` is not built yet"), Some("remove it".to_owned()));
    }
    let steps: Vec<&Step> = path.steps().iter().collect();
    if let [Step::Key(first), Step::Key(_)] = steps.as_slice()
        && first == "defaults"
        && ["erp", "crm", "fields", "after"].contains(&key)
    {
        let hint = "write it in each table map";
        return (format!("`{key}` belongs to one table map and has no default"), Some(hint.to_owned()));
    }
    let here = || format!("known here: {}", one_of(known));
    let hint = suggestion(key, known.iter().copied()).or_else(|| elsewhere(key)).unwrap_or_else(here);
    (format!("unknown key `{key}`"), Some(hint))
}

/// Says where a key belongs that is unknown where it stands.
fn elsewhere(key: &str) -> Option<String> {
    let mut places: Vec<String> =
        PLACES.iter().filter(|(_, keys)| keys.contains(&key)).map(|(place, _)| (*place).to_owned()).collect();
    let last = places.pop()?;
    let places = if places.is_empty() { last } else { format!("{} or {last}", places.join(", ")) };
    Some(format!("`{key}` belongs to {places}"))
}

/// Keys of the file, by what they belong to.
#[rustfmt::skip] // One key a line is two screens of keys.
const PLACES: &[(&str, &[&str])] = &[
    ("the file itself", &["version", "name", "connections", "state", "keep_values", "defaults", "tables", "schedule"]),
    ("a connection", &["adapter", "url", "company", "auth", "limits", "insecure", "features", "act_as", "ca_file"]),
    ("`auth` of a connection", &["type", "token_url", "client_id", "client_secret", "client_secret_file", "certificate", "scope", "user", "password", "password_file", "token_file"]),
    ("`features` of a connection", &["bulk", "change_tracking", "custom_logic", "flows"]),
    ("`limits` of a connection", &["concurrency", "requests", "per_seconds", "batch", "page"]),
    ("a table map", &["direction", "create", "match", "first_sync", "on_conflict", "on_delete", "on_create", "guard", "after", "fields"]),
    ("`erp` and `crm` of a table map", &["label", "filter", "key", "modified", "options"]),
    ("a guard", &["create", "update", "delete"]),
    ("a rule of `match`", &["by", "case_sensitive"]),
    ("a template of `on_create`", &["side", "if", "set"]),
    ("a field map", &["to_crm", "to_erp", "values", "ref", "on_unresolved", "first_sync", "on_conflict", "when", "blank", "fit", "drift", "value", "direction"]),
];

/// Tells whether a key has its place in the format but is not built yet, so that it is refused by name.
fn is_to_come(path: &Path) -> bool {
    let words: Vec<&str> = path.steps().iter().map(|step| if let Step::Key(key) = step { key } else { "" }).collect();
    matches!(words.as_slice(), ["schedule"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_schema_has_its_place() {
        let schema = include_str!("schema.rs");
        let to_come = ["schedule"];
        // Keys that stand in several places under the same name, and are never told from afar.
        let everywhere = ["erp", "crm", "table", "match_rules", "kind", "condition", "reference"];
        let fields = schema.lines().filter_map(|line| line.trim().strip_prefix("pub ")?.split_once(": Option<"));
        let listed = |key: &str| PLACES.iter().any(|(_, keys)| keys.contains(&key));
        for (key, _) in fields {
            assert!(listed(key) || everywhere.contains(&key), "say in PLACES what `{key}` belongs to");
        }
        for key in PLACES.iter().flat_map(|(_, keys)| keys.iter()) {
            let there = schema.contains(&format!("pub {key}: ")) || schema.contains(&format!("rename = \"{key}\""));
            assert!(there || to_come.contains(key), "`{key}` is no key of the schema");
        }
    }
}

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
        Some(_) if path.last_key() == "client_secret" => "something else".to_owned(),
        Some(node) => describe(node),
        None => "nothing".to_owned(),
    };
    let (message, hint) = if error.starts_with("unknown variant ") {
        let word = tree.at(path).map(Node::written).unwrap_or_default();
        let hint = suggestion(word, known.iter().copied());
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
    let hint = suggestion(key, known.iter().copied()).or_else(|| Some(format!("known here: {}", one_of(known))));
    (format!("unknown key `{key}`"), hint)
}

/// Tells whether a key is described in the documentation but not built.
fn is_to_come(path: &Path) -> bool {
    let words: Vec<&str> = path.steps().iter().map(|step| if let Step::Key(key) = step { key } else { "" }).collect();
    matches!(
        words.as_slice(),
        ["schedule"] | ["defaults", "guard"] | ["tables", _, "guard"] | ["tables", _, "erp" | "crm", "key"]
    )
}

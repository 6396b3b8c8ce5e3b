//! What must hold of an answer, and what of it is kept.

use serde_json::Value;
use uuid::Uuid;

use crate::service::Response;

/// How much of a body is shown.
const SHOWN_CHARS_MAX: usize = 300;

/// What must hold of an answer. Places in JSON are pointers, as `/value/0/id`; places and texts may hold names.
#[derive(Debug, Clone, Copy)]
pub enum Check {
    /// One of these statuses.
    Status(&'static [u16]),
    /// A header that contains a text; an empty one only has to be there.
    Header(&'static str, &'static str),
    /// One of these as `error.code`.
    Code(&'static [&'static str]),
    /// Something is there, and no null.
    Has(&'static str),
    /// Nothing is there, or a null.
    Lacks(&'static str),
    /// A null is there.
    Null(&'static str),
    /// A value, written as text.
    Is(&'static str, &'static str),
    /// Another value than this one.
    Differs(&'static str, &'static str),
    /// A text that begins so.
    Begins(&'static str, &'static str),
    /// A text that contains this.
    Contains(&'static str, &'static str),
    /// An array of that many.
    Length(&'static str, usize),
    /// An object with no other properties than these, save for annotations.
    Only(&'static str, &'static [&'static str]),
    /// No null anywhere in the object.
    NoNull,
    /// A text so many times in the body.
    Times(&'static str, usize),
    /// No body at all.
    Empty,
}

/// What is kept of an answer under a name.
#[derive(Debug, Clone, Copy)]
pub enum Keep {
    /// What is at a place.
    At(&'static str),
    /// Of the record of `value` whose property is a text, of the first where that is blank: another property.
    Where(&'static str, &'static str, &'static str),
    /// What is at a place, as a literal of an address.
    Literal(&'static str),
    /// A literal of the same kind, of which there is no record.
    Nobody(&'static str),
}

type Filled = Result<String, String>;

impl Check {
    /// Says what was expected where it does not hold.
    pub fn hold(&self, answer: &Response, body: &Value, fill: impl Fn(&str) -> Filled) -> Result<(), String> {
        let fill = |text: &str| fill(text).map_err(|missing| format!("{missing}, which the service has not given"));
        let at = |place: &str| Ok::<_, String>(body.pointer(&fill(place)?));
        let text = |place: &str| Ok::<_, String>(at(place)?.map(plain));
        let (holds, expected) = match self {
            Check::Status(statuses) => (statuses.contains(&answer.status), format!("status {}", either(statuses))),
            Check::Header(name, part) => {
                let part = fill(part)?;
                let found = answer.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
                let holds = found.into_iter().any(|(_, value)| value.contains(&part));
                (holds, format!("a header {name}{}", if part.is_empty() { part } else { format!(" with `{part}`") }))
            }
            Check::Code(codes) => {
                let code = text("/error/code")?.unwrap_or_default();
                (codes.iter().any(|known| known.eq_ignore_ascii_case(&code)), format!("error code {}", either(codes)))
            }
            Check::Has(place) => (at(place)?.is_some_and(|value| !value.is_null()), format!("a value at {place}")),
            Check::Lacks(place) => (at(place)?.is_none_or(Value::is_null), format!("nothing at {place}")),
            Check::Null(place) => (at(place)?.is_some_and(Value::is_null), format!("null at {place}")),
            Check::Is(place, value) => {
                let value = fill(value)?;
                (text(place)?.is_some_and(|held| held.eq_ignore_ascii_case(&value)), format!("`{value}` at {place}"))
            }
            Check::Differs(place, value) => {
                let value = fill(value)?;
                (text(place)?.is_some_and(|held| held != value), format!("another value than `{value}` at {place}"))
            }
            Check::Begins(place, value) => (
                text(place)?.is_some_and(|held| held.starts_with(value)),
                format!("a text beginning with `{value}` at {place}"),
            ),
            Check::Contains(place, value) => {
                let value = fill(value)?;
                (text(place)?.is_some_and(|held| held.contains(&value)), format!("a text with `{value}` at {place}"))
            }
            Check::Length(place, length) => {
                let held = at(place)?.and_then(Value::as_array).map(Vec::len);
                (held == Some(*length), format!("an array of {length} at {place}"))
            }
            Check::Only(place, names) => {
                let known = |name: &String| name.contains('@') || names.contains(&name.as_str());
                let held = at(place)?.and_then(Value::as_object);
                (
                    held.is_some_and(|record| record.keys().all(known)),
                    format!("nothing besides {} at {place}", names.join(", ")),
                )
            }
            Check::NoNull => {
                let no_null = body.as_object().is_some_and(|record| record.values().all(|value| !value.is_null()));
                (no_null, "a record without null".to_owned())
            }
            Check::Times(text, times) => {
                let text = fill(text)?;
                let held = String::from_utf8_lossy(&answer.body).matches(&text).count();
                (held == *times, format!("`{text}` {times} times in the body"))
            }
            Check::Empty => (answer.body.is_empty(), "no body".to_owned()),
        };
        if holds { Ok(()) } else { Err(expected) }
    }
}

impl Keep {
    /// Returns what is there; a blank is nothing.
    pub fn take(&self, _: &Response, body: &Value, fill: impl Fn(&str) -> Filled) -> Option<String> {
        let at = |place: &str| body.pointer(&fill(place).ok()?);
        let found = match self {
            Keep::At(place) => at(place)?,
            Keep::Literal(place) => return literal(at(place)?),
            Keep::Nobody(place) => return literal(&nobody(at(place)?)),
            Keep::Where(property, text, wanted) => {
                let text = fill(text).ok()?;
                let records = body.pointer("/value")?.as_array()?;
                let named = |record: &&Value| text.is_empty() || record.get(property).map(plain) == Some(text.clone());
                records.iter().find(named)?.get(wanted)?
            }
        };
        Some(plain(found)).filter(|text| !text.is_empty())
    }
}

/// Writes a value as the key of an address has it; a null is none.
fn literal(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) if text.parse::<Uuid>().is_err() => {
            Some(format!("'{}'", super::percent(&text.replace('\'', "''"))))
        }
        other => Some(plain(other)),
    }
}

/// Returns a value of the same kind that nobody has for a key.
fn nobody(value: &Value) -> Value {
    match value {
        Value::String(text) if text.parse::<Uuid>().is_ok() => Uuid::new_v4().to_string().into(),
        Value::Number(_) => 2_147_483_600.into(),
        _ => Uuid::new_v4().simple().to_string()[..9].to_uppercase().into(),
    }
}

/// A value as text; null is blank.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn either<T: ToString>(choices: &[T]) -> String {
    choices.iter().map(T::to_string).collect::<Vec<_>>().join(" or ")
}

/// An answer in one line.
pub fn shown(answer: &Response) -> String {
    format!("{} {}", answer.status, clipped(&String::from_utf8_lossy(&answer.body))).trim_end().to_owned()
}

/// The beginning of a text, in one line.
pub fn clipped(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{} …", &line[..end]),
        None => line,
    }
}

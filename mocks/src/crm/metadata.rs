//! `EntityDefinitions`: what a client asks the service about its tables.
//!
//! All of it is made of the declared schema, so that a client that asks first is never told something else than what
//! its writes then meet. Definitions can be selected, filtered and expanded as an integration does it: attributes
//! with their typed casts, choices with their options, many-to-one relationships, keys.

use serde_json::{Map, Value, json};

use super::address;
use super::definition::{self, TYPES, object};
use super::error::Error;
use super::reply;
use super::schema::{TABLES, Table};
use super::state::State;
use super::value;
use crate::filter::{self, Filter, Op, Operand};
use crate::service::Response;

/// Answers `EntityDefinitions…`.
pub fn answer(state: &State, segments: &[&str], options: &[(String, String)]) -> Result<Response, Error> {
    let Some(key) = segments[0].strip_prefix("EntityDefinitions(").map(|rest| rest.trim_end_matches(')')) else {
        if segments != ["EntityDefinitions"] {
            return Err(Error::segment(segments[0]));
        }
        let all = TABLES.iter().map(|table| definition::definition(state, table)).collect();
        return collection(state, "EntityDefinitions", "EntityMetadata", all, options);
    };
    let table = find_table(key)?;
    let of = |rest: &str| format!("EntityDefinitions({key})/{rest}");
    match &segments[1..] {
        [] => single(state, "EntityDefinitions", "EntityMetadata", definition::definition(state, table), options),
        ["ManyToOneRelationships"] => collection(
            state,
            &of("ManyToOneRelationships"),
            "OneToManyRelationshipMetadata",
            definition::relationships(table),
            options,
        ),
        ["Keys"] => collection(state, &of("Keys"), "EntityKeyMetadata", definition::keys(state, table), options),
        ["Attributes"] => {
            let all = table.columns.iter().map(|column| definition::attribute(table, column, false)).collect();
            collection(state, &of("Attributes"), "AttributeMetadata", all, options)
        }
        ["Attributes", cast] => {
            if let Some(key) = cast.strip_prefix("Attributes(") {
                return Err(Error::segment(key));
            }
            let kind = cast_of(cast)?;
            let columns = table.columns.iter().filter(|column| definition::type_name(column) == kind);
            let all = columns.map(|column| definition::attribute(table, column, true)).collect();
            collection(state, &of(&format!("Attributes/{cast}")), kind, all, options)
        }
        [attribute_segment, rest @ ..] if attribute_segment.starts_with("Attributes(") => {
            one_attribute(state, table, key, attribute_segment, rest, options)
        }
        [other, ..] => Err(Error::segment(other)),
    }
}

fn one_attribute(
    state: &State,
    table: &Table,
    table_key: &str,
    segment: &str,
    rest: &[&str],
    options: &[(String, String)],
) -> Result<Response, Error> {
    let key = segment.trim_start_matches("Attributes(").trim_end_matches(')');
    let name = quoted(key, "LogicalName").ok_or_else(address::syntax)?;
    let missing = || {
        Error::new(
            404,
            "0x80060888",
            format!("Could not find an attribute with specified Name '{name}' for entity '{}'.", table.name),
        )
    };
    let column = &table.columns[table.by_name(&name).ok_or_else(missing)?];
    let of = format!("EntityDefinitions({table_key})/{segment}");
    match rest {
        [] => single(state, &of, "AttributeMetadata", definition::attribute(table, column, false), options),
        [cast] => {
            let kind = cast_of(cast)?;
            if definition::type_name(column) != kind {
                return Err(missing());
            }
            single(state, &format!("{of}/{cast}"), kind, definition::attribute(table, column, true), options)
        }
        [_, other, ..] => Err(Error::segment(other)),
    }
}

fn find_table(key: &str) -> Result<&'static Table, Error> {
    let missing =
        |what: &str| Error::new(404, "0x80060888", format!("Could not find an entity with specified {what}."));
    if let Some(name) = quoted(key, "LogicalName") {
        let found = TABLES.iter().find(|table| table.name == name);
        return found.ok_or_else(|| missing(&format!("Name '{name}'")));
    }
    let id = value::guid(key).ok_or_else(address::syntax)?;
    TABLES
        .iter()
        .find(|table| definition::metadata_id(table.name) == id.to_string())
        .ok_or_else(|| missing(&format!("id '{id}'")))
}

fn quoted(key: &str, name: &str) -> Option<String> {
    let text = key.strip_prefix(name)?.trim_start().strip_prefix('=')?.trim();
    Some(text.strip_prefix('\'')?.strip_suffix('\'')?.to_owned())
}

fn cast_of(segment: &str) -> Result<&'static str, Error> {
    let name = segment.strip_prefix("Microsoft.Dynamics.CRM.").ok_or_else(|| Error::segment(segment))?;
    TYPES.iter().find(|kind| **kind == name).copied().ok_or_else(|| Error::segment(segment))
}

/// The names that are navigation properties: they come only when expanded.
const EXPANDABLE: [&str; 6] =
    ["Attributes", "ManyToOneRelationships", "Keys", "OptionSet", "GlobalOptionSet", "sdkmessageid"];

/// A list of definitions, filtered and selected.
pub fn collection(
    state: &State,
    of: &str,
    kind: &str,
    all: Vec<Map<String, Value>>,
    options: &[(String, String)],
) -> Result<Response, Error> {
    let wanted = match filter::option(options, "$filter") {
        None => None,
        Some(text) => {
            let parsed =
                filter::parse(text, options).map_err(|error| Error::new(400, "0x80060888", error.to_string()))?;
            Some(parsed)
        }
    };
    let mut value = Vec::new();
    for item in all {
        let keep = match &wanted {
            None => true,
            Some(wanted) => holds(wanted, &item, kind)?,
        };
        if keep {
            value.push(Value::Object(shaped(item, kind, options)?));
        }
    }
    let body = json!({"@odata.context": format!("{}/api/data/v9.2/$metadata#{of}", state.root), "value": value});
    Ok(reply::json(200, body.to_string().into_bytes(), Vec::new()))
}

fn single(
    state: &State,
    of: &str,
    kind: &str,
    item: Map<String, Value>,
    options: &[(String, String)],
) -> Result<Response, Error> {
    let mut body = Map::new();
    body.insert("@odata.context".to_owned(), json!(format!("{}/api/data/v9.2/$metadata#{of}/$entity", state.root)));
    body.extend(shaped(item, kind, options)?);
    Ok(reply::json(200, Value::Object(body).to_string().into_bytes(), Vec::new()))
}

/// Leaves of a definition what was selected and expanded; its key always stays.
fn shaped(item: Map<String, Value>, kind: &str, options: &[(String, String)]) -> Result<Map<String, Value>, Error> {
    for (name, _) in options {
        if !matches!(name.as_str(), "$select" | "$expand" | "$filter") {
            return Err(Error::new(400, "0x80060888", format!("The query parameter {name} is not supported")));
        }
    }
    let expansions = match filter::option(options, "$expand") {
        Some(text) => expansions(text)?,
        None => Vec::new(),
    };
    let selected: Option<Vec<&str>> =
        filter::option(options, "$select").map(|text| text.split(',').map(str::trim).collect());
    let unknown = |name: &str| Error::property(name, kind);
    for name in selected.iter().flatten() {
        if !item.contains_key(*name) || EXPANDABLE.contains(name) {
            return Err(unknown(name));
        }
    }
    for (name, _) in &expansions {
        if !item.contains_key(name) || !EXPANDABLE.contains(&name.as_str()) {
            return Err(unknown(name));
        }
    }
    let mut shaped_item = Map::new();
    for (name, value) in item {
        if EXPANDABLE.contains(&name.as_str()) {
            if let Some((_, inner)) = expansions.iter().find(|(expanded, _)| *expanded == name) {
                shaped_item.insert(name.clone(), expanded(value, inner_kind(&name), inner)?);
            }
        } else if selected.as_ref().is_none_or(|selected| selected.contains(&name.as_str()))
            || matches!(name.as_str(), "MetadataId" | "sdkmessagefilterid" | "@odata.type")
        {
            shaped_item.insert(name, value);
        }
    }
    Ok(shaped_item)
}

fn expanded(value: Value, kind: &str, options: &[(String, String)]) -> Result<Value, Error> {
    Ok(match value {
        Value::Array(items) => {
            let items = items.into_iter().map(|item| Ok(Value::Object(shaped(object(item), kind, options)?)));
            Value::Array(items.collect::<Result<_, Error>>()?)
        }
        Value::Object(item) => Value::Object(shaped(item, kind, options)?),
        other => other,
    })
}

fn inner_kind(navigation: &str) -> &'static str {
    match navigation {
        "Attributes" => "AttributeMetadata",
        "ManyToOneRelationships" => "OneToManyRelationshipMetadata",
        "Keys" => "EntityKeyMetadata",
        _ => "OptionSetMetadata",
    }
}

/// Reads `Attributes($select=A,B;$filter=…),Keys`.
#[expect(clippy::type_complexity, reason = "a list of names with their options needs no type of its own")]
fn expansions(text: &str) -> Result<Vec<(String, Vec<(String, String)>)>, Error> {
    let mut depth = 0;
    let parts: Vec<&str> = text
        .split(|letter| {
            depth += i32::from(letter == '(') - i32::from(letter == ')');
            letter == ',' && depth == 0
        })
        .collect();
    parts
        .into_iter()
        .map(|part| {
            let (name, inner) = match part.split_once('(') {
                Some((name, rest)) => (name, rest.trim().strip_suffix(')').ok_or_else(address::syntax)?),
                None => (part, ""),
            };
            let inner = inner.split(';').filter(|option| !option.is_empty());
            let options = inner.map(|option| {
                let (name, value) = option.split_once('=').ok_or_else(address::syntax)?;
                Ok((name.trim().to_owned(), value.trim().to_owned()))
            });
            Ok((name.trim().to_owned(), options.collect::<Result<_, Error>>()?))
        })
        .collect()
}

/// Judges a definition; paths go into complex values as `RequiredLevel/Value`.
fn holds(filter: &Filter, item: &Map<String, Value>, kind: &str) -> Result<bool, Error> {
    match filter {
        Filter::And(left, right) => Ok(holds(left, item, kind)? && holds(right, item, kind)?),
        Filter::Or(left, right) => Ok(holds(left, item, kind)? || holds(right, item, kind)?),
        Filter::Not(inner) => Ok(!holds(inner, item, kind)?),
        Filter::Compare { left: Operand::Path(path), op: op @ (Op::Eq | Op::Ne), right: Operand::Literal(literal) } => {
            let mut parts = path.split('/');
            let first = parts.next().unwrap_or_default();
            let mut value = item.get(first).ok_or_else(|| Error::property(first, kind))?;
            for part in parts {
                value = value.get(part).ok_or_else(|| Error::property(part, kind))?;
            }
            // A member of an enumeration goes by its name, as text.
            Ok(op.holds(filter::compare(value, literal).unwrap_or(std::cmp::Ordering::Less)))
        }
        _ => Err(Error::new(400, "0x80060888", "Definitions can be filtered by eq and ne, and, or and not only.")),
    }
}

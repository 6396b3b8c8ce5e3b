//! What the service tells about itself: the service document, `$metadata` and `EntityDefinitions`.
//!
//! All of it is made of the declared schema, so that a client that asks first is never told something else than what
//! its writes then meet. Definitions can be selected, filtered and expanded as an integration does it: attributes
//! with their typed casts, choices with their options, many-to-one relationships, keys.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::address;
use super::error::Error;
use super::reply;
use super::schema::{self, Column, Kind, OnDelete, TABLES, Table};
use super::state::State;
use super::store::Rule;
use super::value;
use crate::filter::{self, Filter, Op, Operand};
use crate::service::Response;

/// The namespace that the ids of definitions are made in.
const NAMESPACE: Uuid = Uuid::from_u128(0x70816501_edb9_4740_a16c_6a5efbc05d84);

/// The list of entity sets.
pub fn service_document(state: &State) -> Response {
    let sets: Vec<Value> =
        TABLES.iter().map(|table| json!({"name": table.set, "kind": "EntitySet", "url": table.set})).collect();
    let body = json!({"@odata.context": format!("{}/api/data/v9.2/$metadata", state.root), "value": sets});
    reply::json(200, body.to_string().into_bytes(), Vec::new())
}

/// The data model as CSDL XML.
pub fn document() -> Response {
    let mut xml = String::from(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<edmx:Edmx Version=\"4.0\" \
            xmlns:edmx=\"http://docs.oasis-open.org/odata/ns/edmx\">\n  \
         <edmx:DataServices>\n    <Schema Namespace=\"Microsoft.Dynamics.CRM\" Alias=\"mscrm\" \
         xmlns=\"http://docs.oasis-open.org/odata/ns/edm\">\n",
    );
    for table in TABLES.iter() {
        entity_type(&mut xml, table);
    }
    xml.push_str("      <EntityContainer Name=\"System\">\n");
    for table in TABLES.iter() {
        xml.push_str(&format!(
            "        <EntitySet Name=\"{}\" EntityType=\"Microsoft.Dynamics.CRM.{}\">\n",
            table.set, table.name
        ));
        for column in &table.columns {
            for target in column.targets() {
                let set = TABLES[schema::table(target.table)].set;
                let path = target.navigation;
                xml.push_str(&format!("          <NavigationPropertyBinding Path=\"{path}\" Target=\"{set}\" />\n"));
            }
        }
        xml.push_str("        </EntitySet>\n");
    }
    xml.push_str("      </EntityContainer>\n    </Schema>\n  </edmx:DataServices>\n</edmx:Edmx>\n");
    let headers = vec![("Content-Type".to_owned(), "application/xml".to_owned()), reply::version()];
    Response { status: 200, headers, body: xml.into_bytes() }
}

/// Answers `EntityDefinitions…`.
pub fn answer(state: &State, segments: &[&str], options: &[(String, String)]) -> Result<Response, Error> {
    let Some(key) = segments[0].strip_prefix("EntityDefinitions(").map(|rest| rest.trim_end_matches(')')) else {
        if segments != ["EntityDefinitions"] {
            return Err(Error::segment(segments[0]));
        }
        let all = TABLES.iter().map(|table| definition(state, table)).collect();
        return collection(state, "EntityDefinitions", "EntityMetadata", all, options);
    };
    let table = find_table(key)?;
    let of = |rest: &str| format!("EntityDefinitions({key})/{rest}");
    match &segments[1..] {
        [] => single(state, "EntityDefinitions", "EntityMetadata", definition(state, table), options),
        ["ManyToOneRelationships"] => collection(
            state,
            &of("ManyToOneRelationships"),
            "OneToManyRelationshipMetadata",
            relationships(table),
            options,
        ),
        ["Keys"] => collection(state, &of("Keys"), "EntityKeyMetadata", keys(state, table), options),
        ["Attributes"] => {
            let all = table.columns.iter().map(|column| attribute(table, column, false)).collect();
            collection(state, &of("Attributes"), "AttributeMetadata", all, options)
        }
        ["Attributes", cast] => {
            if let Some(key) = cast.strip_prefix("Attributes(") {
                return Err(Error::segment(key));
            }
            let kind = cast_of(cast)?;
            let columns = table.columns.iter().filter(|column| type_name(column) == kind);
            let all = columns.map(|column| attribute(table, column, true)).collect();
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
        [] => single(state, &of, "AttributeMetadata", attribute(table, column, false), options),
        [cast] => {
            let kind = cast_of(cast)?;
            if type_name(column) != kind {
                return Err(missing());
            }
            single(state, &format!("{of}/{cast}"), kind, attribute(table, column, true), options)
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
    TABLES.iter().find(|table| metadata_id(table.name) == id.to_string()).ok_or_else(|| missing(&format!("id '{id}'")))
}

fn quoted(key: &str, name: &str) -> Option<String> {
    let text = key.strip_prefix(name)?.trim_start().strip_prefix('=')?.trim();
    Some(text.strip_prefix('\'')?.strip_suffix('\'')?.to_owned())
}

fn cast_of(segment: &str) -> Result<&'static str, Error> {
    let name = segment.strip_prefix("Microsoft.Dynamics.CRM.").ok_or_else(|| Error::segment(segment))?;
    TYPES.iter().find(|kind| **kind == name).copied().ok_or_else(|| Error::segment(segment))
}

/// A definition of a table, with what can be expanded under the names of the navigation properties.
fn definition(state: &State, table: &Table) -> Map<String, Value> {
    object(json!({
        "MetadataId": metadata_id(table.name),
        "LogicalName": table.name,
        "SchemaName": table.schema_name,
        "EntitySetName": table.set,
        "LogicalCollectionName": table.set,
        "PrimaryIdAttribute": table.primary_key,
        "PrimaryNameAttribute": table.primary_name,
        "ObjectTypeCode": table.code,
        "OwnershipType": if table.is_owned() { "UserOwned" } else { "OrganizationOwned" },
        "ChangeTrackingEnabled": false,
        "IsOptimisticConcurrencyEnabled": true,
        "IsActivity": false,
        "IsCustomEntity": false,
        "DisplayName": label(table.schema_name),
        "Attributes": table.columns.iter().map(|column| attribute(table, column, false)).collect::<Vec<_>>(),
        "ManyToOneRelationships": relationships(table),
        "Keys": keys(state, table),
    }))
}

fn attribute(table: &Table, column: &Column, typed: bool) -> Map<String, Value> {
    let kind = type_name(column);
    let mut found = Map::new();
    if !typed {
        found.insert("@odata.type".to_owned(), json!(format!("#Microsoft.Dynamics.CRM.{kind}")));
    }
    found.extend(object(json!({
        "MetadataId": metadata_id(&format!("{}.{}", table.name, column.name)),
        "EntityLogicalName": table.name,
        "LogicalName": column.name,
        "SchemaName": column.schema_name,
        "AttributeType": attribute_type(column),
        "AttributeTypeName": {"Value": format!("{}Type", attribute_type(column))},
        "RequiredLevel": {
            "Value": column.required.word(),
            "CanBeChanged": false,
            "ManagedPropertyLogicalName": "canmodifyrequirementlevelsettings",
        },
        "IsValidForCreate": column.create,
        "IsValidForUpdate": column.update,
        "IsValidForRead": true,
        "IsPrimaryId": column.name == table.primary_key,
        "IsPrimaryName": column.name == table.primary_name,
        "IsCustomAttribute": false,
        "AttributeOf": null,
        "DisplayName": label(&column.label()),
    })));
    found.extend(details(column));
    found
}

/// What only the attribute's own type has.
fn details(column: &Column) -> Map<String, Value> {
    let number = |text: &str| serde_json::from_str::<Value>(text).unwrap_or(Value::Null);
    object(match &column.kind {
        Kind::Text { max } => json!({"MaxLength": max, "FormatName": {"Value": "Text"}}),
        Kind::Memo { max } => json!({"MaxLength": max, "FormatName": {"Value": "TextArea"}}),
        Kind::Integer { min, max } => json!({"MinValue": min, "MaxValue": max, "Format": "None"}),
        Kind::BigInt => json!({"MinValue": i64::MIN, "MaxValue": i64::MAX}),
        Kind::Double { precision, min, max } => json!({"Precision": precision, "MinValue": min, "MaxValue": max}),
        Kind::Decimal { precision, min, max } => {
            json!({"Precision": precision, "MinValue": number(min), "MaxValue": number(max)})
        }
        Kind::Money { precision, source, min, max } => json!({
            "Precision": precision, "PrecisionSource": source, "MinValue": number(min), "MaxValue": number(max),
            "IsBaseCurrency": false,
        }),
        Kind::Base { of } => json!({
            "Precision": 4, "PrecisionSource": 1, "MinValue": -922_337_203_685_477_i64,
            "MaxValue": 922_337_203_685_477_i64,
            "IsBaseCurrency": true, "CalculationOf": of,
        }),
        Kind::Boolean => json!({"DefaultValue": false, "OptionSet": {
            "TrueOption": option(1, "Yes"), "FalseOption": option(0, "No"),
        }}),
        Kind::Picklist(choices) => {
            option_set(column, -1, choices.iter().map(|choice| option(choice.value, choice.label)))
        }
        Kind::State(choices) => option_set(
            column,
            0,
            choices.iter().map(|choice| with(option(choice.value, choice.label), "DefaultStatus", choice.pair)),
        ),
        Kind::Status(choices) => option_set(
            column,
            -1,
            choices.iter().map(|choice| with(option(choice.value, choice.label), "State", choice.pair)),
        ),
        Kind::DateTime => json!({"Format": "DateAndTime", "DateTimeBehavior": {"Value": "UserLocal"}}),
        Kind::Date => json!({"Format": "DateOnly", "DateTimeBehavior": {"Value": "DateOnly"}}),
        Kind::Lookup { .. } | Kind::Owner(_) | Kind::Customer(_) => {
            json!({"Targets": column.targets().iter().map(|target| target.table).collect::<Vec<_>>()})
        }
        Kind::Key | Kind::Guid => json!({}),
    })
}

fn option_set(column: &Column, default: i64, options: impl Iterator<Item = Value>) -> Value {
    let id = metadata_id(&format!("{}.choices", column.name));
    let set = json!({"MetadataId": id, "Options": options.collect::<Vec<_>>()});
    json!({"DefaultFormValue": default, "OptionSet": set, "GlobalOptionSet": null})
}

fn option(value: i64, text: &str) -> Value {
    json!({"Value": value, "Label": label(text)})
}

fn with(mut option: Value, name: &str, value: i64) -> Value {
    option[name] = json!(value);
    option
}

fn label(text: &str) -> Value {
    let label = json!({"Label": text, "LanguageCode": 1033});
    json!({"LocalizedLabels": [label], "UserLocalizedLabel": label})
}

/// The lookups of a table; an owner is one relationship, with the table `owner` that users and teams are both in.
fn relationships(table: &Table) -> Vec<Map<String, Value>> {
    let mut found = Vec::new();
    for column in &table.columns {
        let pairs: Vec<(&str, &str)> = match &column.kind {
            Kind::Owner(_) => vec![("owner", "ownerid")],
            _ => column.targets().iter().map(|target| (target.table, target.navigation)).collect(),
        };
        for (referenced, navigation) in pairs {
            let key = schema::by_name(referenced).map_or("ownerid", |referenced| TABLES[referenced].primary_key);
            let on_delete = match column.on_delete() {
                OnDelete::Unlink => "RemoveLink",
                OnDelete::Restrict => "Restrict",
                OnDelete::Cascade => "Cascade",
            };
            let name = format!("{referenced}_{}_{}", table.name, column.name);
            found.push(object(json!({
                "MetadataId": metadata_id(&name),
                "SchemaName": name,
                "RelationshipType": "OneToManyRelationship",
                "ReferencingEntity": table.name,
                "ReferencingAttribute": column.name,
                "ReferencingEntityNavigationPropertyName": navigation,
                "ReferencedEntity": referenced,
                "ReferencedAttribute": key,
                "CascadeConfiguration": {"Delete": on_delete},
            })));
        }
    }
    found
}

fn keys(state: &State, table: &Table) -> Vec<Map<String, Value>> {
    let keys = state.store.keys(schema::table(table.name));
    keys.map(|key| {
        let Rule::Key(name) = &key.rule else { unreachable!("only alternate keys are listed") };
        let columns: Vec<_> = key.columns.iter().map(|column| table.columns[*column].name.clone()).collect();
        let logical = name.to_lowercase().replace(' ', "");
        object(json!({
            "MetadataId": metadata_id(&format!("{}.{logical}", table.name)),
            "LogicalName": logical,
            "SchemaName": name.replace(' ', ""),
            "EntityLogicalName": table.name,
            "KeyAttributes": columns,
            "EntityKeyIndexStatus": "Active",
            "DisplayName": label(name),
        }))
    })
    .collect()
}

const TYPES: [&str; 14] = [
    "StringAttributeMetadata",
    "MemoAttributeMetadata",
    "IntegerAttributeMetadata",
    "BigIntAttributeMetadata",
    "DoubleAttributeMetadata",
    "DecimalAttributeMetadata",
    "MoneyAttributeMetadata",
    "BooleanAttributeMetadata",
    "PicklistAttributeMetadata",
    "StateAttributeMetadata",
    "StatusAttributeMetadata",
    "DateTimeAttributeMetadata",
    "LookupAttributeMetadata",
    "UniqueIdentifierAttributeMetadata",
];

fn type_name(column: &Column) -> &'static str {
    let at = match column.kind {
        Kind::Text { .. } => 0,
        Kind::Memo { .. } => 1,
        Kind::Integer { .. } => 2,
        Kind::BigInt => 3,
        Kind::Double { .. } => 4,
        Kind::Decimal { .. } => 5,
        Kind::Money { .. } | Kind::Base { .. } => 6,
        Kind::Boolean => 7,
        Kind::Picklist(_) => 8,
        Kind::State(_) => 9,
        Kind::Status(_) => 10,
        Kind::DateTime | Kind::Date => 11,
        Kind::Lookup { .. } | Kind::Owner(_) | Kind::Customer(_) => 12,
        Kind::Key | Kind::Guid => 13,
    };
    TYPES[at]
}

fn attribute_type(column: &Column) -> &'static str {
    match column.kind {
        Kind::Owner(_) => "Owner",
        Kind::Customer(_) => "Customer",
        Kind::Key | Kind::Guid => "Uniqueidentifier",
        _ => type_name(column).trim_end_matches("AttributeMetadata"),
    }
}

/// The names that are navigation properties: they come only when expanded.
const EXPANDABLE: [&str; 5] = ["Attributes", "ManyToOneRelationships", "Keys", "OptionSet", "GlobalOptionSet"];

fn collection(
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
            || matches!(name.as_str(), "MetadataId" | "@odata.type")
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

fn entity_type(xml: &mut String, table: &Table) {
    xml.push_str(&format!("      <EntityType Name=\"{}\">\n", table.name));
    // Users and teams are kinds of owners in the service's model, and have an owner's key.
    let key = if matches!(table.name, "systemuser" | "team") { "ownerid" } else { table.primary_key };
    xml.push_str(&format!("        <Key><PropertyRef Name=\"{key}\" /></Key>\n"));
    if key != table.primary_key {
        xml.push_str("        <Property Name=\"ownerid\" Type=\"Edm.Guid\" Nullable=\"false\" />\n");
    }
    for column in &table.columns {
        let length = match column.kind {
            Kind::Text { max } | Kind::Memo { max } => format!(" MaxLength=\"{max}\" Unicode=\"true\""),
            Kind::Decimal { .. } | Kind::Money { .. } | Kind::Base { .. } => " Scale=\"Variable\"".to_owned(),
            _ => String::new(),
        };
        let (name, kind) = (&column.property, value::edm(column));
        xml.push_str(&format!("        <Property Name=\"{name}\" Type=\"{kind}\"{length} />\n"));
    }
    for column in &table.columns {
        let mut seen = Vec::new();
        for target in column.targets() {
            if seen.contains(&target.navigation) {
                continue;
            }
            seen.push(target.navigation);
            let (kind, key) = match column.kind {
                Kind::Owner(_) => ("principal", "ownerid"),
                _ => (target.table, TABLES[schema::table(target.table)].primary_key),
            };
            xml.push_str(&format!(
                "        <NavigationProperty Name=\"{}\" Type=\"mscrm.{kind}\" \
                    Nullable=\"false\"><ReferentialConstraint Property=\"{}\" \
                 ReferencedProperty=\"{key}\" /></NavigationProperty>\n",
                target.navigation, column.property
            ));
        }
    }
    xml.push_str("      </EntityType>\n");
}

fn metadata_id(name: &str) -> String {
    Uuid::new_v5(&NAMESPACE, name.as_bytes()).to_string()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

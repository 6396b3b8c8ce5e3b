//! Definitions of tables, attributes, relationships and keys, as the metadata shows them.
//!
//! Whole, with everything that can be expanded in them; what a client selected is left of them elsewhere.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::privilege;
use super::schema::{self, Column, Kind, OnDelete, TABLES, Table};
use super::state::State;
use super::store::Rule;
use super::tables::LOCAL_DAY;

/// The namespace that the ids of definitions are made in.
const NAMESPACE: Uuid = Uuid::from_u128(0x70816501_edb9_4740_a16c_6a5efbc05d84);

/// A definition of a table, with what can be expanded under the names of the navigation properties.
pub fn definition(state: &State, table: &Table) -> Map<String, Value> {
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
        "ChangeTrackingEnabled": table.is_tracked(),
        "IsOptimisticConcurrencyEnabled": !state.unversioned.contains(table.name),
        "IsActivity": false,
        "IsCustomEntity": false,
        "DisplayName": label(table.schema_name),
        "Privileges": privilege::of_table(table),
        "Attributes": table.columns.iter().map(|column| attribute(table, column, false)).collect::<Vec<_>>(),
        "ManyToOneRelationships": relationships(table),
        "Keys": keys(state, table),
    }))
}

/// The definition of an attribute; a cast has told its type already.
pub fn attribute(table: &Table, column: &Column, typed: bool) -> Map<String, Value> {
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
        "AttributeTypeName": {"Value": attribute_type_name(column)},
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
        "IsCustomAttribute": column.schema_name == LOCAL_DAY,
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
        Kind::Picklist(choices) | Kind::MultiSelect(choices) => {
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
        Kind::DateTime => {
            let format = if column.schema_name == LOCAL_DAY { "DateOnly" } else { "DateAndTime" };
            json!({"Format": format, "DateTimeBehavior": {"Value": "UserLocal"}})
        }
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
pub fn relationships(table: &Table) -> Vec<Map<String, Value>> {
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

/// The alternate keys of a table.
pub fn keys(state: &State, table: &Table) -> Vec<Map<String, Value>> {
    let keys = state.store.keys(schema::table(table.name));
    keys.filter_map(|key| {
        let Rule::Key(name) = &key.rule else { return None };
        let columns: Vec<_> = key.columns.iter().map(|column| table.columns[*column].name.clone()).collect();
        let logical = name.to_lowercase().replace(' ', "");
        Some(object(json!({
            "MetadataId": metadata_id(&format!("{}.{logical}", table.name)),
            "LogicalName": logical,
            "SchemaName": name.replace(' ', ""),
            "EntityLogicalName": table.name,
            "KeyAttributes": columns,
            "EntityKeyIndexStatus": "Active",
            "DisplayName": label(name),
        })))
    })
    .collect()
}

/// The names of the types of attributes, as casts have them.
pub const TYPES: [&str; 15] = [
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
    "MultiSelectPicklistAttributeMetadata",
];

/// The type of an attribute.
pub fn type_name(column: &Column) -> &'static str {
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
        Kind::MultiSelect(_) => 14,
    };
    TYPES[at]
}

fn attribute_type_name(column: &Column) -> String {
    match column.kind {
        Kind::MultiSelect(_) => "MultiSelectPicklistType".to_owned(),
        _ => format!("{}Type", attribute_type(column)),
    }
}

fn attribute_type(column: &Column) -> &'static str {
    match column.kind {
        Kind::Owner(_) => "Owner",
        Kind::Customer(_) => "Customer",
        Kind::Key | Kind::Guid => "Uniqueidentifier",
        // The older of the two words for a type knows it no better.
        Kind::MultiSelect(_) => "Virtual",
        _ => type_name(column).trim_end_matches("AttributeMetadata"),
    }
}

/// The id of a definition, made from its name.
pub fn metadata_id(name: &str) -> String {
    Uuid::new_v5(&NAMESPACE, name.as_bytes()).to_string()
}

/// Takes a JSON object for its members.
pub fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

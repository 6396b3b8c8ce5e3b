//! The metadata of Dataverse: what `EntityDefinitions` answers in, a table out.
//!
//! In go the lists that the adapter asked for (attributes, their typed casts, relationships, the directory of tables); out
//! comes a [`CrmTable`] in our words: lookups by their logical name, targets by entity set, navigation properties for
//! writing (crm-api.md §6, §9, §12). Nothing here asks for anything.

use std::collections::HashMap;

use rust_decimal::Decimal;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Number;

use crate::adapters::odata::amiss::Amiss;
use crate::endpoint::{ColumnInfo, Key, TableInfo};
use crate::frame::{Column, Kind, SCALE_MAX, Value};

/// Digits that the service keeps of money whose precision is the currency's or the organisation's (crm-api.md §6).
const MONEY_SCALE: u32 = 4;

/// A list of definitions.
#[derive(Debug, Deserialize)]
struct List<T> {
    value: Vec<T>,
}

/// A table in the directory.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Entity {
    pub logical_name: String,
    /// Null for tables that the Web API does not serve.
    pub entity_set_name: Option<String>,
    pub primary_id_attribute: Option<String>,
    /// Whether the service can tell what changed, deletions among them; once enabled, it stays.
    #[serde(default)]
    pub change_tracking_enabled: bool,
    /// Whether a write may name the version that it was decided on; `None` where the service does not tell.
    #[serde(default)]
    pub is_optimistic_concurrency_enabled: Option<bool>,
}

/// An attribute as every type has it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Attribute {
    pub logical_name: String,
    pub attribute_type: String,
    /// Tells apart what the older word calls virtual.
    #[serde(default)]
    pub attribute_type_name: Option<Managed>,
    /// Set for names and the like that only accompany another attribute; the Web API does not serve them.
    pub attribute_of: Option<String>,
    pub is_valid_for_create: bool,
    pub is_valid_for_update: bool,
    pub is_valid_for_read: bool,
}

/// What only some types of attributes have.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Detail {
    pub logical_name: String,
    pub max_length: Option<usize>,
    pub precision: Option<u32>,
    pub min_value: Option<Number>,
    pub max_value: Option<Number>,
    /// 0: the attribute's own precision counts; else that of the organisation or the currency.
    pub precision_source: Option<i64>,
    pub format: Option<String>,
    pub date_time_behavior: Option<Managed>,
    /// The value of a choice where nobody gives one; -1 where that is none.
    pub default_form_value: Option<i64>,
    pub option_set: Option<OptionSet>,
    pub global_option_set: Option<OptionSet>,
}

/// A wrapped value.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Managed {
    pub value: Option<String>,
}

/// The values of a choice.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct OptionSet {
    pub options: Vec<Choice>,
}

/// One value of a choice.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Choice {
    pub value: i64,
    pub label: Option<Label>,
}

/// A label in the caller's language.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Label {
    pub user_localized_label: Option<LocalizedLabel>,
}

/// The text of a label.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LocalizedLabel {
    pub label: Option<String>,
}

/// A lookup's way to one table.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Relationship {
    pub referencing_attribute: String,
    pub referencing_entity_navigation_property_name: String,
    pub referenced_entity: String,
}

/// All tables of the service, by logical name.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    entities: HashMap<String, Entity>,
}

/// A table with what writing it takes.
#[derive(Debug, Clone, PartialEq)]
pub struct CrmTable {
    pub info: TableInfo,
    /// By which the service itself knows it: one record, not the set of them.
    pub name: String,
    pub key: String,
    /// For each lookup the tables (entity sets) it may point to, with the navigation property for each.
    pub lookups: HashMap<String, Vec<(String, String)>>,
    /// Whether a write may name the version that it was decided on.
    pub versioned: bool,
    /// The state in which its records start, where the service tells it and it is the same in every organization.
    pub starts_in: Option<i64>,
}

impl Directory {
    /// Makes the directory.
    pub fn new(entities: Vec<Entity>) -> Directory {
        Directory { entities: entities.into_iter().map(|entity| (entity.logical_name.clone(), entity)).collect() }
    }

    /// Finds a table by its entity set; names are case-sensitive.
    pub fn by_set(&self, set: &str) -> Option<&Entity> {
        self.entities.values().find(|entity| entity.entity_set_name.as_deref() == Some(set))
    }

    fn set(&self, logical_name: &str) -> Option<&str> {
        self.entities.get(logical_name)?.entity_set_name.as_deref()
    }
}

impl CrmTable {
    /// Returns the property by which a column is read and filtered.
    pub fn property(&self, column: &str) -> String {
        if self.lookups.contains_key(column) { format!("_{column}_value") } else { column.to_owned() }
    }
}

/// Names what has to be asked about a table, relative to the service's root: its attributes, its relationships, and what
/// only some types of attributes have. Answers are lists that are not paged (crm-api.md §12).
pub fn questions(logical_name: &str) -> Vec<String> {
    const CASTS: [(&str, &str); 11] = [
        ("StringAttributeMetadata", "$select=LogicalName,MaxLength"),
        ("MemoAttributeMetadata", "$select=LogicalName,MaxLength"),
        ("IntegerAttributeMetadata", "$select=LogicalName,MinValue,MaxValue"),
        ("DecimalAttributeMetadata", "$select=LogicalName,Precision,MinValue,MaxValue"),
        ("DoubleAttributeMetadata", "$select=LogicalName,Precision,MinValue,MaxValue"),
        ("MoneyAttributeMetadata", "$select=LogicalName,Precision,PrecisionSource,MinValue,MaxValue"),
        ("DateTimeAttributeMetadata", "$select=LogicalName,Format,DateTimeBehavior"),
        ("PicklistAttributeMetadata", "$select=LogicalName&$expand=OptionSet,GlobalOptionSet"),
        ("MultiSelectPicklistAttributeMetadata", "$select=LogicalName&$expand=OptionSet,GlobalOptionSet"),
        ("StateAttributeMetadata", "$select=LogicalName,DefaultFormValue&$expand=OptionSet,GlobalOptionSet"),
        ("StatusAttributeMetadata", "$select=LogicalName&$expand=OptionSet,GlobalOptionSet"),
    ];
    let of = format!("EntityDefinitions(LogicalName='{logical_name}')");
    let attributes =
        "LogicalName,AttributeType,AttributeTypeName,AttributeOf,IsValidForCreate,IsValidForUpdate,IsValidForRead";
    let relationships = "ReferencingAttribute,ReferencingEntityNavigationPropertyName,ReferencedEntity";
    let mut questions = vec![
        format!("{of}/Attributes?$select={attributes}"),
        format!("{of}/ManyToOneRelationships?$select={relationships}"),
    ];
    questions
        .extend(CASTS.iter().map(|(cast, options)| format!("{of}/Attributes/Microsoft.Dynamics.CRM.{cast}?{options}")));
    questions
}

/// Puts a table together from its set, its logical name, its key and the answers to its [`questions`], in their order.
pub fn read(set: &str, name: &str, key: &str, answers: &[Vec<u8>], directory: &Directory) -> Result<CrmTable, String> {
    let [attributes, relationships, casts @ ..] = answers else {
        return Err("the metadata is not whole".to_owned());
    };
    let mut details = Vec::new();
    for cast in casts {
        details.extend(list::<Detail>(cast)?);
    }
    Ok(table(set, name, key, list(attributes)?, details, list(relationships)?, directory))
}

/// Reads a list of definitions, which came [`whole`].
pub fn list<T: DeserializeOwned>(json: &[u8]) -> Result<Vec<T>, String> {
    parsed(json).map_err(|amiss| amiss.to_string())
}

/// Tells whether a list of definitions came whole, whatever it lists.
pub fn whole(json: &[u8]) -> Result<(), Amiss> {
    parsed::<IgnoredAny>(json).map(drop)
}

fn parsed<T: DeserializeOwned>(json: &[u8]) -> Result<Vec<T>, Amiss> {
    let list = serde_json::from_slice::<List<T>>(json);
    list.map(|list| list.value).map_err(|error| Amiss::of_json("the metadata is not whole", &error))
}

/// Puts a table together.
fn table(
    set: &str,
    name: &str,
    key: &str,
    attributes: Vec<Attribute>,
    details: Vec<Detail>,
    relationships: Vec<Relationship>,
    directory: &Directory,
) -> CrmTable {
    let details: HashMap<String, Detail> =
        details.into_iter().map(|detail| (detail.logical_name.clone(), detail)).collect();
    let mut lookups: HashMap<String, Vec<(String, String)>> = HashMap::new();
    for relationship in relationships {
        let targets = lookups.entry(relationship.referencing_attribute).or_default();
        // An owner is a user or a team; the relationship names the table that both are in.
        let referenced: &[&str] = match relationship.referenced_entity.as_str() {
            "owner" => &["systemuser", "team"],
            other => &[other],
        };
        for set in referenced.iter().filter_map(|name| directory.set(name)) {
            targets.push((set.to_owned(), relationship.referencing_entity_navigation_property_name.clone()));
        }
    }
    let is_lookup = |kind: &str| matches!(kind, "Lookup" | "Customer" | "Owner");
    let no_detail = Detail::default();
    let mut columns = Vec::new();
    let mut starts_in = None;
    for attribute in attributes.iter().filter(|attribute| attribute.attribute_of.is_none()) {
        let detail = details.get(&attribute.logical_name).unwrap_or(&no_detail);
        let Some(kind) = kind(attribute, detail) else { continue };
        let targets = match lookups.get(&attribute.logical_name) {
            Some(targets) if is_lookup(&attribute.attribute_type) => {
                targets.iter().map(|(set, _)| set.clone()).collect()
            }
            _ => Vec::new(),
        };
        let is_key = attribute.logical_name == key;
        // Products start active or as drafts, as the organization has it, and leave that by an action.
        let is_state = attribute.attribute_type == "State" && name != "product";
        if is_state {
            starts_in = detail.default_form_value.filter(|state| *state >= 0);
        }
        columns.push(ColumnInfo {
            column: Column { name: attribute.logical_name.clone(), kind },
            readable: attribute.is_valid_for_read,
            // The key of a new record is given by itself, not as a column.
            // Nor does a creation take the state: the adapter sets it together with it.
            insertable: if is_state { attribute.is_valid_for_update } else { attribute.is_valid_for_create } && !is_key,
            updatable: attribute.is_valid_for_update && !is_key,
            starts_with: starts_in.filter(|_| is_state).map(Value::Integer),
            length_max: detail.max_length,
            range: range(detail),
            options: options(detail),
            targets,
            local_day: kind == Kind::DateTime && is_local_day(detail),
        });
    }
    // A lookup without any relationship is still read by its own name.
    for attribute in attributes.iter().filter(|attribute| is_lookup(&attribute.attribute_type)) {
        lookups.entry(attribute.logical_name.clone()).or_default();
    }
    lookups.retain(|name, _| {
        attributes.iter().any(|attribute| attribute.logical_name == *name && is_lookup(&attribute.attribute_type))
    });
    let info = TableInfo { table: set.to_owned(), key: Key::Id(key.to_owned()), columns };
    let entity = directory.entities.get(name);
    let versioned = entity.and_then(|entity| entity.is_optimistic_concurrency_enabled).unwrap_or(true);
    CrmTable { info, name: name.to_owned(), key: key.to_owned(), lookups, versioned, starts_in }
}

/// Returns our kind for a type; `None` for what no field map can carry.
fn kind(attribute: &Attribute, detail: &Detail) -> Option<Kind> {
    let name = attribute.attribute_type_name.as_ref().and_then(|name| name.value.as_deref());
    Some(match attribute.attribute_type.as_str() {
        "Virtual" if name == Some("MultiSelectPicklistType") => Kind::Choices,
        "String" | "Memo" => Kind::Text,
        "Integer" | "BigInt" => Kind::Integer,
        "Money" if detail.precision_source.is_some_and(|source| source != 0) => Kind::Decimal { scale: MONEY_SCALE },
        "Money" | "Decimal" | "Double" => {
            let scale = detail.precision.filter(|digits| *digits <= SCALE_MAX);
            Kind::Decimal { scale: scale.unwrap_or(MONEY_SCALE) }
        }
        "Boolean" => Kind::Boolean,
        "Picklist" | "State" | "Status" => Kind::Choice,
        "DateTime" if behavior(detail) == Some("DateOnly") => Kind::Date,
        "DateTime" => Kind::DateTime,
        "Lookup" | "Customer" | "Owner" | "Uniqueidentifier" => Kind::Guid,
        _ => return None,
    })
}

/// Returns the bounds of a number; `None` where they are not told, or are beyond what a number can be here.
fn range(detail: &Detail) -> Option<(Decimal, Decimal)> {
    let number = |number: &Option<Number>| {
        let text = number.as_ref()?.to_string();
        text.parse().ok().or_else(|| Decimal::from_scientific(&text).ok())
    };
    Some((number(&detail.min_value)?, number(&detail.max_value)?))
}

/// Returns what a moment means to its readers; a service that does not say has the oldest behavior, User Local.
fn behavior(detail: &Detail) -> Option<&str> {
    detail.date_time_behavior.as_ref().and_then(|behavior| behavior.value.as_deref())
}

/// Tells whether people see a day of their own time zone in a column: its format is a day, its behavior User Local. With the
/// behavior Time-Zone Independent it is everybody's, at midnight.
fn is_local_day(detail: &Detail) -> bool {
    detail.format.as_deref() == Some("DateOnly") && behavior(detail) != Some("TimeZoneIndependent")
}

fn options(detail: &Detail) -> Vec<(i64, String)> {
    let set = detail.option_set.as_ref().or(detail.global_option_set.as_ref());
    let label = |choice: &Choice| {
        let label = choice.label.as_ref().and_then(|label| label.user_localized_label.as_ref());
        label.and_then(|label| label.label.clone()).unwrap_or_default()
    };
    set.map(|set| set.options.iter().map(|choice| (choice.value, label(choice))).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list<T: serde::de::DeserializeOwned>(json: &str) -> Vec<T> {
        serde_json::from_str::<List<T>>(&format!(r#"{{"@odata.context":"x","value":[{json}]}}"#)).unwrap().value
    }

    fn attribute(name: &str, kind: &str, writes: bool) -> String {
        format!(
            r#"{{"MetadataId":"x","LogicalName":"{name}","AttributeType":"{kind}","AttributeOf":null,
                "IsValidForCreate":{writes},"IsValidForUpdate":{writes},"IsValidForRead":true}}"#
        )
    }

    fn contacts() -> CrmTable {
        let directory = Directory::new(list(
            r#"{"LogicalName":"contact","EntitySetName":"contacts","PrimaryIdAttribute":"contactid"},
               {"LogicalName":"account","EntitySetName":"accounts","PrimaryIdAttribute":"accountid"},
               {"LogicalName":"systemuser","EntitySetName":"systemusers","PrimaryIdAttribute":"systemuserid"},
               {"LogicalName":"team","EntitySetName":"teams","PrimaryIdAttribute":"teamid"},
               {"LogicalName":"owner","EntitySetName":"owners","PrimaryIdAttribute":"ownerid"},
               {"LogicalName":"inner","EntitySetName":null,"PrimaryIdAttribute":null}"#,
        ));
        let kinds = [
            ("contactid", "Uniqueidentifier", true),
            ("lastname", "String", true),
            ("fullname", "String", false),
            ("creditlimit", "Money", true),
            ("annualincome", "Money", true),
            ("share", "Decimal", true),
            ("birthdate", "DateTime", true),
            ("modifiedon", "DateTime", false),
            ("new_since", "DateTime", true),
            ("new_until", "DateTime", true),
            ("statecode", "State", true),
            ("parentcustomerid", "Customer", true),
            ("ownerid", "Owner", true),
            ("owneridtype", "EntityName", true),
            ("entityimage", "Virtual", true),
        ];
        let mut attributes: Vec<Attribute> =
            list(&kinds.map(|(name, kind, writes)| attribute(name, kind, writes)).join(","));
        attributes.extend(list::<Attribute>(
            &attribute("owneridname", "String", true).replace(r#""AttributeOf":null"#, r#""AttributeOf":"ownerid""#),
        ));
        let details = list(
            r#"{"LogicalName":"lastname","MaxLength":50},
               {"LogicalName":"creditlimit","Precision":2,"PrecisionSource":2},
               {"LogicalName":"annualincome","Precision":2,"PrecisionSource":0},
               {"LogicalName":"share","Precision":4294967295},
               {"LogicalName":"birthdate","Format":"DateOnly","DateTimeBehavior":{"Value":"DateOnly"}},
               {"LogicalName":"modifiedon","Format":"DateAndTime","DateTimeBehavior":{"Value":"UserLocal"}},
               {"LogicalName":"new_since","Format":"DateOnly","DateTimeBehavior":{"Value":"UserLocal"}},
               {"LogicalName":"new_until","Format":"DateOnly","DateTimeBehavior":{"Value":"TimeZoneIndependent"}},
               {"LogicalName":"statecode","OptionSet":null,"GlobalOptionSet":{"Options":[
                 {"Value":0,"Label":{"UserLocalizedLabel":{"Label":"Active"}}},{"Value":1,"Label":null}]}}"#,
        );
        let relationships = list(
            r#"{"ReferencingAttribute":"parentcustomerid","ReferencingEntityNavigationPropertyName":"parentcustomerid_account","ReferencedEntity":"account"},
               {"ReferencingAttribute":"parentcustomerid","ReferencingEntityNavigationPropertyName":"parentcustomerid_contact","ReferencedEntity":"contact"},
               {"ReferencingAttribute":"ownerid","ReferencingEntityNavigationPropertyName":"ownerid","ReferencedEntity":"owner"},
               {"ReferencingAttribute":"x","ReferencingEntityNavigationPropertyName":"x","ReferencedEntity":"inner"}"#,
        );
        table("contacts", "contact", "contactid", attributes, details, relationships, &directory)
    }

    #[test]
    fn a_table_is_described() {
        let table = contacts();
        let line = |column: &ColumnInfo| {
            let writes = if column.insertable && column.updatable { "write" } else { "read" };
            let extra = (column.length_max, &column.options, &column.targets);
            let day = if column.local_day { " local day" } else { "" };
            format!("{}: {:?} {writes} {extra:?}{day}", column.column.name, column.column.kind)
        };
        let lines: Vec<String> = table.info.columns.iter().map(line).collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        contactid: Guid read (None, [], [])
        lastname: Text write (Some(50), [], [])
        fullname: Text read (None, [], [])
        creditlimit: Decimal { scale: 4 } write (None, [], [])
        annualincome: Decimal { scale: 2 } write (None, [], [])
        share: Decimal { scale: 4 } write (None, [], [])
        birthdate: Date write (None, [], [])
        modifiedon: DateTime read (None, [], [])
        new_since: DateTime write (None, [], []) local day
        new_until: DateTime write (None, [], [])
        statecode: Choice write (None, [(0, "Active"), (1, "")], [])
        parentcustomerid: Guid write (None, [], ["accounts", "contacts"])
        ownerid: Guid write (None, [], ["systemusers", "teams"])
        "#);
    }

    #[test]
    fn lookups_are_read_by_one_name_and_written_by_another() {
        let table = contacts();
        assert_eq!(table.property("parentcustomerid"), "_parentcustomerid_value");
        assert_eq!(table.property("lastname"), "lastname");
        assert_eq!(table.property("contactid"), "contactid");
        let of = |set: &str, navigation: &str| (set.to_owned(), navigation.to_owned());
        assert_eq!(
            table.lookups["parentcustomerid"],
            [of("accounts", "parentcustomerid_account"), of("contacts", "parentcustomerid_contact")]
        );
        assert_eq!(table.lookups["ownerid"], [of("systemusers", "ownerid"), of("teams", "ownerid")]);
    }

    #[test]
    fn bounds_are_numbers_in_their_own_digits() {
        let range = |bounds: &str| {
            let detail: Detail = serde_json::from_str(&format!(r#"{{"LogicalName":"a",{bounds}}}"#)).unwrap();
            range(&detail).map(|(min, max)| format!("{min} {max}"))
        };
        assert_eq!(range(r#""MinValue":0,"MaxValue":1000000000"#).as_deref(), Some("0 1000000000"));
        assert_eq!(range(r#""MinValue":-90.5,"MaxValue":1.0E+14"#).as_deref(), Some("-90.5 100000000000000"));
        assert_eq!(range(r#""MinValue":null,"MaxValue":1"#), None);
        assert_eq!(range(r#""MinValue":0,"MaxValue":1e300"#), None);
    }

    #[test]
    fn a_table_is_put_together_from_whole_answers_only() {
        let directory = Directory::default();
        let questions = questions("contact");
        assert_eq!(
            questions[1].split_once('?').unwrap().0,
            "EntityDefinitions(LogicalName='contact')/ManyToOneRelationships"
        );
        let mut answers = vec![br#"{"value":[]}"#.to_vec(); questions.len()];
        answers[0] = format!(r#"{{"value":[{}]}}"#, attribute("lastname", "String", true)).into_bytes();
        answers[2] = br#"{"value":[{"LogicalName":"lastname","MaxLength":50}]}"#.to_vec();
        let table = read("contacts", "contact", "contactid", &answers, &directory).unwrap();
        assert_eq!(table.info.columns[0].length_max, Some(50));
        answers[2].pop();
        assert!(whole(&answers[2]).is_err() && whole(b"[]").is_err() && whole(&answers[0]).is_ok());
        let error = read("contacts", "contact", "contactid", &answers, &directory).unwrap_err();
        assert!(error.starts_with("the metadata is not whole"), "{error}");
        assert!(read("contacts", "contact", "contactid", &[], &directory).is_err());
    }
}

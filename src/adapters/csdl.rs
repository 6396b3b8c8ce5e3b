//! The metadata of an ERP: the CSDL document of one API in, its tables out.
//!
//! The document tells keys, types and lengths. It does not tell which texts are codes and which columns cannot be written,
//! so both are decided by the names of the standard API (erp-api.md §8–9), which custom pages follow, or by those of the
//! tables' fields, which OData V4 pages show. To-one navigations become columns `navigation/property` that can be read only.

use std::collections::HashMap;

use roxmltree::{Document, Node};

use crate::adapters::odata::name;
use crate::endpoint::{ColumnInfo, Key, TableInfo};
use crate::frame::{Column, Kind, SCALE_MAX};

/// Digits after the point of a decimal for which the metadata names none; more than the ERP shows.
const SCALE: u32 = 10;

/// What kind of service a document describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// API pages of Business Central: names in camel case, enums with their members, a GUID for a key.
    Api,
    /// OData V4 pages of NAV and Business Central: names of fields, options as texts, the table's primary key.
    Pages,
    /// Any other service: what the document says, and nothing else.
    Plain,
}

/// Reads the tables of a metadata document, by entity set.
pub fn read(xml: &str, style: Style) -> Result<HashMap<String, TableInfo>, String> {
    let document = Document::parse(xml).map_err(|error| format!("the metadata is no XML: {error}"))?;
    let types = Types::collect(&document, style);
    let mut tables = HashMap::new();
    for node in elements(document.root_element(), "EntitySet") {
        let (Some(set), Some(entity)) = (node.attribute("Name"), node.attribute("EntityType")) else { continue };
        let Some(entity) = types.entities.get(short(entity)) else { continue };
        // A published query has no key; nothing in it can be told apart.
        let Some(key) = types.key(*entity) else { continue };
        let columns = types.columns(set, *entity, &key);
        tables.insert(set.to_owned(), TableInfo { table: set.to_owned(), key, columns });
    }
    if tables.is_empty() {
        return Err("the metadata names no table".to_owned());
    }
    Ok(tables)
}

struct Types<'a> {
    style: Style,
    entities: HashMap<&'a str, Node<'a, 'a>>,
    enums: HashMap<&'a str, Vec<(i64, String)>>,
}

impl<'a> Types<'a> {
    fn collect(document: &'a Document<'a>, style: Style) -> Types<'a> {
        let named = |tag: &'static str| {
            elements(document.root_element(), tag).filter_map(|node| Some((node.attribute("Name")?, node)))
        };
        let members = |node: Node<'a, 'a>| {
            let members = elements(node, "Member").zip(0_i64..).filter_map(|(member, position)| {
                let value = member.attribute("Value").and_then(|value| value.parse().ok()).unwrap_or(position);
                let name = member.attribute("Name")?;
                let name = if style == Style::Plain { name.into() } else { name::decode(name) };
                Some((value, name.into_owned()))
            });
            members.collect()
        };
        Types {
            style,
            entities: named("EntityType").collect(),
            enums: named("EnumType").map(|(name, node)| (name, members(node))).collect(),
        }
    }

    /// Returns the key of an entity; `None` where it has none.
    fn key(&self, entity: Node<'a, 'a>) -> Option<Key> {
        let names: Vec<&str> = elements(entity, "PropertyRef").filter_map(|key| key.attribute("Name")).collect();
        let is_guid = |name: &str| {
            let property = elements(entity, "Property").find(|property| property.attribute("Name") == Some(name));
            property.and_then(|property| property.attribute("Type")) == Some("Edm.Guid")
        };
        match (self.style, names.as_slice()) {
            (Style::Api, []) => Some(Key::Id("id".to_owned())),
            (Style::Pages | Style::Plain, []) => None,
            (Style::Api, [name]) if is_guid(name) => Some(Key::Id((*name).to_owned())),
            (_, names) => Some(Key::Values(names.iter().map(|name| (*name).to_owned()).collect())),
        }
    }

    fn columns(&self, set: &str, entity: Node<'a, 'a>, key: &Key) -> Vec<ColumnInfo> {
        let mut columns: Vec<ColumnInfo> =
            elements(entity, "Property").filter_map(|property| self.column(set, property)).collect();
        if let Key::Values(names) = key {
            // Another value would make another record of it.
            columns.iter_mut().filter(|info| names.contains(&info.column.name)).for_each(|info| info.updatable = false);
        }
        for navigation in elements(entity, "NavigationProperty") {
            let (Some(name), Some(target)) = (navigation.attribute("Name"), navigation.attribute("Type")) else {
                continue;
            };
            let Some(target) = self.entities.get(short(target)).filter(|_| !target.starts_with("Collection(")) else {
                continue;
            };
            for property in elements(*target, "Property") {
                let Some(mut column) = self.column("", property) else { continue };
                column.column.name = format!("{name}/{}", column.column.name);
                (column.insertable, column.updatable) = (false, false);
                columns.push(column);
            }
        }
        columns
    }

    /// Describes a property; `None` for types that no field map can carry (streams, complex values).
    fn column(&self, set: &str, property: Node<'a, 'a>) -> Option<ColumnInfo> {
        let name = property.attribute("Name")?;
        let edm = property.attribute("Type")?;
        let options = self.enums.get(short(edm)).cloned().unwrap_or_default();
        let has_length = property.attribute("MaxLength").is_some();
        let kind = match edm {
            // Texts of a table have a length; what has none is an option, by the name of its member.
            "Edm.String" if self.style == Style::Pages && !has_length => Kind::Enum,
            "Edm.String" if self.is_code(name) => Kind::Code,
            "Edm.String" => Kind::Text,
            "Edm.Guid" => Kind::Guid,
            "Edm.Boolean" => Kind::Boolean,
            "Edm.Byte" | "Edm.Int16" | "Edm.Int32" | "Edm.Int64" => Kind::Integer,
            "Edm.Decimal" | "Edm.Double" => {
                let scale = property.attribute("Scale").and_then(|scale| scale.parse().ok());
                Kind::Decimal { scale: scale.filter(|scale| *scale <= SCALE_MAX).unwrap_or(SCALE) }
            }
            "Edm.Date" => Kind::Date,
            "Edm.DateTimeOffset" => Kind::DateTime,
            _ if self.enums.contains_key(short(edm)) => Kind::Enum,
            _ => return None,
        };
        let (writable, once) = (!self.is_read_only(set, name) && !is_computed(property), is_immutable(property));
        Some(ColumnInfo {
            column: Column { name: name.to_owned(), kind },
            readable: true,
            insertable: writable,
            updatable: writable && !once,
            length_max: property.attribute("MaxLength").and_then(|length| length.parse().ok()),
            options,
            targets: Vec::new(),
            local_day: false,
        })
    }

    fn is_code(&self, name: &str) -> bool {
        match self.style {
            Style::Api => is_code(name),
            Style::Pages => is_code_field(name),
            Style::Plain => false,
        }
    }

    fn is_read_only(&self, set: &str, name: &str) -> bool {
        match self.style {
            Style::Api => is_read_only(set, name),
            Style::Pages => is_read_only_field(set, name),
            Style::Plain => false,
        }
    }
}

fn elements<'a>(node: Node<'a, 'a>, tag: &'static str) -> impl Iterator<Item = Node<'a, 'a>> {
    node.descendants().filter(move |node| node.is_element() && node.tag_name().name() == tag)
}

/// Returns a type's name without its namespace.
fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// Tells whether a text column is of type `Code` in the standard tables: upper-cased and trimmed by the ERP.
fn is_code(name: &str) -> bool {
    const CODES: [&str; 6] = ["number", "code", "country", "gtin", "searchName", "baseUnitOfMeasure"];
    // Numbers of people and offices, not of records: plain texts.
    const TEXTS: [&str; 5] =
        ["phoneNumber", "mobilePhoneNumber", "faxNumber", "taxRegistrationNumber", "vendorItemNumber"];
    CODES.contains(&name) || ((name.ends_with("Code") || name.ends_with("Number")) && !TEXTS.contains(&name))
}

/// Tells whether the ERP computes a column (`id` is given on insert by itself, not as a column).
fn is_read_only(set: &str, name: &str) -> bool {
    const EVERYWHERE: [&str; 14] = [
        "id",
        "systemId",
        "lastModifiedDateTime",
        "systemCreatedAt",
        "systemCreatedBy",
        "systemModifiedAt",
        "systemModifiedBy",
        "inventory",
        "balance",
        "balanceDue",
        "capacity",
        "taxAreaDisplayName",
        "contactBusinessRelation",
        "lastInteractionDate",
    ];
    EVERYWHERE.contains(&name) || set == "companies" || (set == "contacts" && name == "companyName")
}

/// Tells whether a field of the tables, as OData V4 pages name it, is of type `Code`.
fn is_code_field(name: &str) -> bool {
    const CODES: [&str; 6] = ["No", "Code", "Search_Name", "GTIN", "Base_Unit_of_Measure", "Unit_of_Measure"];
    const TEXTS: [&str; 3] = ["Telex_No", "VAT_Registration_No", "Vendor_Item_No"];
    let is_number = name.ends_with("_No") && !name.ends_with("Phone_No") && !name.ends_with("Fax_No");
    let is_coded = is_number || name.ends_with("_Code") || name.ends_with("_Posting_Group");
    CODES.contains(&name) || (is_coded && !TEXTS.contains(&name))
}

/// Tells whether the ERP computes a field of the tables.
fn is_read_only_field(set: &str, name: &str) -> bool {
    const EVERYWHERE: [&str; 12] = [
        "Last_Date_Modified",
        "Last_DateTime_Modified",
        "SystemId",
        "SystemCreatedAt",
        "SystemCreatedBy",
        "SystemModifiedAt",
        "SystemModifiedBy",
        "Inventory",
        "Balance",
        "Balance_LCY",
        "Balance_Due",
        "Balance_Due_LCY",
    ];
    EVERYWHERE.contains(&name) || set == "Company"
}

fn annotation<'a>(property: Node<'a, 'a>, term: &'static str) -> Option<Node<'a, 'a>> {
    elements(property, "Annotation").find(|node| node.attribute("Term").map(short) == Some(term))
}

fn is_computed(property: Node<'_, '_>) -> bool {
    let flag = |term| annotation(property, term).is_some_and(|node| node.attribute("Bool") != Some("false"));
    let permissions = annotation(property, "Permissions");
    flag("Computed")
        || permissions.and_then(|node| node.attribute("EnumMember")).is_some_and(|member| member.ends_with("/Read"))
}

fn is_immutable(property: Node<'_, '_>) -> bool {
    annotation(property, "Immutable").is_some_and(|node| node.attribute("Bool") != Some("false"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const XML: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx"><edmx:DataServices>
<Schema Namespace="Microsoft.NAV" xmlns="http://docs.oasis-open.org/odata/ns/edm">
<EntityType Name="customer"><Key><PropertyRef Name="id" /></Key>
  <Property Name="id" Type="Edm.Guid" Nullable="false" />
  <Property Name="number" Type="Edm.String" MaxLength="20" />
  <Property Name="phoneNumber" Type="Edm.String" MaxLength="30" />
  <Property Name="creditLimit" Type="Edm.Decimal" Scale="Variable" />
  <Property Name="rate" Type="Edm.Decimal" Scale="5" />
  <Property Name="share" Type="Edm.Decimal" Scale="4294967295" />
  <Property Name="balanceDue" Type="Edm.Decimal" />
  <Property Name="blocked" Type="Microsoft.NAV.customerBlocked" />
  <Property Name="taxLiable" Type="Edm.Boolean" />
  <Property Name="lines" Type="Edm.Int32"><Annotation Term="Org.OData.Core.V1.Computed" Bool="true" /></Property>
  <Property Name="origin" Type="Edm.String"><Annotation Term="Org.OData.Core.V1.Immutable" Bool="true" /></Property>
  <Property Name="lastModifiedDateTime" Type="Edm.DateTimeOffset" />
  <Property Name="picture" Type="Edm.Stream" />
  <NavigationProperty Name="paymentTerm" Type="Microsoft.NAV.paymentTerm" />
  <NavigationProperty Name="defaultDimensions" Type="Collection(Microsoft.NAV.customer)" />
</EntityType>
<EntityType Name="paymentTerm"><Key><PropertyRef Name="id" /></Key><Property Name="code" Type="Edm.String" MaxLength="10" /></EntityType>
<EnumType Name="customerBlocked"><Member Name="_x0020_" Value="0" /><Member Name="Non_x002D_Paying" Value="2" /></EnumType>
<EntityContainer Name="NAV"><EntitySet Name="customers" EntityType="Microsoft.NAV.customer" /></EntityContainer>
</Schema></edmx:DataServices></edmx:Edmx>"#;

    #[test]
    fn a_table_is_described() {
        let tables = read(XML, Style::Api).unwrap();
        let table = &tables["customers"];
        assert_eq!(table.key, Key::Id("id".into()));
        insta::assert_snapshot!(told(table), @r#"
        id: Guid, read
        number: Code up to 20, write
        phoneNumber: Text up to 30, write
        creditLimit: Decimal { scale: 10 }, write
        rate: Decimal { scale: 5 }, write
        share: Decimal { scale: 10 }, write
        balanceDue: Decimal { scale: 10 }, read
        blocked: Enum [(0, ""), (2, "Non-Paying")], write
        taxLiable: Boolean, write
        lines: Integer, read
        origin: Text, insert
        lastModifiedDateTime: DateTime, read
        paymentTerm/code: Code up to 10, read
        "#);
    }

    fn told(table: &TableInfo) -> String {
        let lines: Vec<String> = table
            .columns
            .iter()
            .map(|column| {
                let ColumnInfo { column: Column { name, kind }, insertable, updatable, length_max, options, .. } =
                    column;
                let length = length_max.map(|length| format!(" up to {length}")).unwrap_or_default();
                let options = if options.is_empty() { String::new() } else { format!(" {options:?}") };
                let writes = match (insertable, updatable) {
                    (true, true) => "write",
                    (true, false) => "insert",
                    _ => "read",
                };
                format!("{name}: {kind:?}{length}{options}, {writes}")
            })
            .collect();
        lines.join("\n")
    }

    #[test]
    fn a_page_of_nav_is_described() {
        let xml = r#"<edmx:Edmx xmlns:edmx="x"><Schema>
<EntityType Name="ItemUnits"><Key><PropertyRef Name="Item_No" /><PropertyRef Name="Code" /></Key>
  <Property Name="Item_No" Type="Edm.String" Nullable="false" MaxLength="20" />
  <Property Name="Code" Type="Edm.String" Nullable="false" MaxLength="10" />
  <Property Name="Qty_per_Unit_of_Measure" Type="Edm.Decimal" Nullable="false" Scale="Variable" />
  <Property Name="Rounding" Type="Edm.String" />
  <Property Name="Last_Date_Modified" Type="Edm.Date" Nullable="false" />
</EntityType>
<EntityType Name="Sums"><Property Name="Item_No" Type="Edm.String" MaxLength="20" /></EntityType>
<EntityContainer Name="NAV"><EntitySet Name="ItemUnits" EntityType="NAV.ItemUnits" />
  <EntitySet Name="Sums" EntityType="NAV.Sums" /></EntityContainer></Schema></edmx:Edmx>"#;
        let tables = read(xml, Style::Pages).unwrap();
        assert_eq!(tables.len(), 1, "a query without key is no table");
        let table = &tables["ItemUnits"];
        assert_eq!(table.key, Key::Values(vec!["Item_No".into(), "Code".into()]));
        insta::assert_snapshot!(told(table), @r#"
        Item_No: Code up to 20, insert
        Code: Code up to 10, insert
        Qty_per_Unit_of_Measure: Decimal { scale: 10 }, write
        Rounding: Enum, write
        Last_Date_Modified: Date, read
        "#);
        for (name, expected) in [
            ("No", true),
            ("Currency_Code", true),
            ("Post_Code", true),
            ("Gen_Bus_Posting_Group", true),
            ("Phone_No", false),
            ("Mobile_Phone_No", false),
            ("Fax_No", false),
            ("VAT_Registration_No", false),
            ("Name", false),
        ] {
            assert_eq!(is_code_field(name), expected, "{name}");
        }
    }

    #[test]
    fn codes_are_told_from_texts_by_their_names() {
        for (name, expected) in [
            ("number", true),
            ("companyNumber", true),
            ("salespersonCode", true),
            ("postalCode", true),
            ("country", true),
            ("searchName", true),
            ("internationalStandardCode", true),
            ("vendorNumber", true),
            ("phoneNumber", false),
            ("mobilePhoneNumber", false),
            ("phoneNo", false),
            ("addressLine1", false),
            ("taxRegistrationNumber", false),
            ("displayName", false),
            ("city", false),
        ] {
            assert_eq!(is_code(name), expected, "{name}");
        }
    }

    #[test]
    fn what_is_no_metadata_is_refused() {
        for xml in ["", "<html>", "<html></html>"] {
            assert!(read(xml, Style::Api).is_err(), "{xml}");
        }
    }
}

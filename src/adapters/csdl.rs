//! The metadata of an ERP: the CSDL document of one API in, its tables out.
//!
//! The document tells keys, types and lengths, and in its annotations what may be written ([`terms`]). Of the products
//! whose tables we know, it does not tell which texts are codes and which columns cannot be written; both are decided by
//! their names ([`names`]). To-one navigations become columns `navigation/property` that can be read only.

mod names;
mod terms;

use std::collections::{HashMap, HashSet};

use roxmltree::{Document, Node};

use crate::adapters::csdl::terms::Terms;
use crate::adapters::odata::amiss::Amiss;
use crate::adapters::odata::name;
use crate::endpoint::{ColumnInfo, Key, TableInfo};
use crate::frame::{Column, Kind, SCALE_MAX};

pub use crate::adapters::csdl::terms::{Batches, batches};

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
pub fn read(xml: &str, style: Style) -> Result<HashMap<String, TableInfo>, Amiss> {
    let document = Document::parse(xml).map_err(|error| Amiss::Broken(format!("the metadata is no XML: {error}")))?;
    let types = Types::collect(&document, style);
    let mut tables = HashMap::new();
    for node in elements(document.root_element(), "EntitySet") {
        let (Some(set), Some(entity)) = (node.attribute("Name"), node.attribute("EntityType")) else { continue };
        let Some(entity) = types.entities.get(entity) else { continue };
        let lineage = types.lineage(*entity);
        // A published query has no key; nothing in it can be told apart.
        let Some(key) = types.key(&lineage) else { continue };
        let columns = types.columns(node, &lineage, &key);
        tables.insert(set.to_owned(), TableInfo { table: set.to_owned(), key, columns });
    }
    if tables.is_empty() {
        return Err(Amiss::Wrong("the metadata names no table".to_owned()));
    }
    Ok(tables)
}

/// What a document names, by the full name, by the one with the alias of its schema, and by the last part alone.
struct Named<T>(HashMap<String, T>);

impl<T: Clone> Named<T> {
    fn collect<'a>(document: &'a Document<'a>, tag: &'static str, value: impl Fn(Node<'a, 'a>) -> T) -> Named<T> {
        let mut named = HashMap::new();
        for node in elements(document.root_element(), tag) {
            let Some(name) = node.attribute("Name") else { continue };
            let schema = node.ancestors().find(|node| node.tag_name().name() == "Schema");
            let spaces = ["Namespace", "Alias"].map(|word| schema.and_then(|schema| schema.attribute(word)));
            let value = value(node);
            for space in spaces.into_iter().flatten() {
                named.insert(format!("{space}.{name}"), value.clone());
            }
            named.entry(name.to_owned()).or_insert(value);
        }
        Named(named)
    }

    fn get(&self, name: &str) -> Option<&T> {
        self.0.get(name).or_else(|| self.0.get(short(name)))
    }
}

struct Types<'a> {
    style: Style,
    entities: Named<Node<'a, 'a>>,
    enums: Named<Vec<(i64, String)>>,
    /// Types that are another name for a simple one.
    definitions: Named<Node<'a, 'a>>,
    terms: Terms<'a>,
}

impl<'a> Types<'a> {
    fn collect(document: &'a Document<'a>, style: Style) -> Types<'a> {
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
            entities: Named::collect(document, "EntityType", |node| node),
            enums: Named::collect(document, "EnumType", members),
            definitions: Named::collect(document, "TypeDefinition", |node| node),
            terms: Terms::collect(document),
        }
    }

    /// Returns an entity and those it is derived from, the last one first.
    fn lineage(&self, entity: Node<'a, 'a>) -> Vec<Node<'a, 'a>> {
        let (mut lineage, mut seen) = (Vec::new(), HashSet::new());
        let mut next = Some(entity);
        while let Some(entity) = next.filter(|entity| seen.insert(entity.id())) {
            lineage.push(entity);
            next = entity.attribute("BaseType").and_then(|base| self.entities.get(base)).copied();
        }
        lineage.reverse();
        lineage
    }

    /// Returns the key of an entity; `None` where it has none.
    fn key(&self, lineage: &[Node<'a, 'a>]) -> Option<Key> {
        let names = lineage.iter().flat_map(|entity| elements(*entity, "PropertyRef"));
        let names: Vec<&str> = names.filter_map(|key| key.attribute("Name")).collect();
        let is_guid = |name: &str| {
            let mut properties = lineage.iter().flat_map(|entity| elements(*entity, "Property"));
            let property = properties.find(|property| property.attribute("Name") == Some(name));
            property.and_then(|property| property.attribute("Type")) == Some("Edm.Guid")
        };
        match (self.style, names.as_slice()) {
            (Style::Api, []) => Some(Key::Id("id".to_owned())),
            (Style::Pages | Style::Plain, []) => None,
            (Style::Api, [name]) if is_guid(name) => Some(Key::Id((*name).to_owned())),
            (_, names) => Some(Key::Values(names.iter().map(|name| (*name).to_owned()).collect())),
        }
    }

    fn columns(&self, set: Node<'a, 'a>, lineage: &[Node<'a, 'a>], key: &Key) -> Vec<ColumnInfo> {
        let name = set.attribute("Name").unwrap_or_default();
        let mut columns: Vec<ColumnInfo> = self.properties(name, lineage);
        if let Key::Values(names) = key {
            // Another value would make another record of it.
            columns.iter_mut().filter(|info| names.contains(&info.column.name)).for_each(|info| info.updatable = false);
        }
        if self.style == Style::Plain {
            let (insert, update) = self.terms.restrictions(set);
            for info in &mut columns {
                info.insertable &= insert.allows(&info.column.name);
                info.updatable &= update.allows(&info.column.name);
            }
        }
        for navigation in lineage.iter().flat_map(|entity| elements(*entity, "NavigationProperty")) {
            let (Some(name), Some(target)) = (navigation.attribute("Name"), navigation.attribute("Type")) else {
                continue;
            };
            let Some(target) = self.entities.get(target).filter(|_| !target.starts_with("Collection(")) else {
                continue;
            };
            for mut column in self.properties("", &self.lineage(*target)) {
                column.column.name = format!("{name}/{}", column.column.name);
                (column.insertable, column.updatable) = (false, false);
                columns.push(column);
            }
        }
        columns
    }

    fn properties(&self, set: &str, lineage: &[Node<'a, 'a>]) -> Vec<ColumnInfo> {
        let properties =
            lineage.iter().flat_map(|entity| elements(*entity, "Property").map(move |node| (entity, node)));
        properties.filter_map(|(entity, property)| self.column(set, *entity, property)).collect()
    }

    /// Describes a property; `None` for types that no field map can carry (streams, complex values).
    fn column(&self, set: &str, entity: Node<'a, 'a>, property: Node<'a, 'a>) -> Option<ColumnInfo> {
        let name = property.attribute("Name")?;
        let written = property.attribute("Type")?;
        let definition = self.definitions.get(written).filter(|_| !written.starts_with("Edm."));
        let edm = definition.and_then(|definition| definition.attribute("UnderlyingType")).unwrap_or(written);
        let facet = |facet| property.attribute(facet).or_else(|| definition?.attribute(facet));
        let members = self.enums.get(edm).filter(|_| !edm.starts_with("Edm."));
        let length = facet("MaxLength");
        let kind = match edm {
            // Texts of a table have a length; what has none is an option, by the name of its member, or a text all the
            // same: nothing tells which.
            "Edm.String" if self.style == Style::Pages && length.is_none() => Kind::Enum,
            "Edm.String" if self.is_code(name) => Kind::Code,
            "Edm.String" => Kind::Text,
            "Edm.Guid" => Kind::Guid,
            "Edm.Boolean" => Kind::Boolean,
            "Edm.Byte" | "Edm.SByte" | "Edm.Int16" | "Edm.Int32" | "Edm.Int64" => Kind::Integer,
            "Edm.Decimal" | "Edm.Double" | "Edm.Single" => {
                let scale = facet("Scale").and_then(|scale| scale.parse().ok());
                Kind::Decimal { scale: scale.filter(|scale| *scale <= SCALE_MAX).unwrap_or(SCALE) }
            }
            "Edm.Date" => Kind::Date,
            "Edm.DateTimeOffset" => Kind::DateTime,
            _ if members.is_some() => Kind::Enum,
            _ => return None,
        };
        let said = self.terms.of_property(entity, property);
        let writable = !self.is_read_only(set, name) && said.writable;
        Some(ColumnInfo {
            column: Column { name: name.to_owned(), kind },
            readable: said.readable,
            insertable: writable,
            updatable: writable && !said.once,
            starts_with: None,
            length_max: length.and_then(|length| length.parse().ok()),
            range: None,
            options: members.cloned().unwrap_or_default(),
            targets: Vec::new(),
            local_day: false,
        })
    }

    fn is_code(&self, name: &str) -> bool {
        match self.style {
            Style::Api => names::is_code(name),
            Style::Pages => names::is_code_field(name),
            Style::Plain => false,
        }
    }

    fn is_read_only(&self, set: &str, name: &str) -> bool {
        match self.style {
            Style::Api => names::is_read_only(set, name),
            Style::Pages => names::is_read_only_field(set, name),
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
    }

    /// Two schemas with types of the same name, a type that is derived, and one that is only another name.
    #[test]
    fn types_are_found_by_their_full_names() {
        let xml = r#"<edmx:Edmx xmlns:edmx="x"><Schema Namespace="N.Old" Alias="O">
<EntityType Name="Order"><Key><PropertyRef Name="Old"/></Key><Property Name="Old" Type="Edm.String"/></EntityType>
<TypeDefinition Name="Number" UnderlyingType="Edm.String" MaxLength="12"/>
<EntityType Name="Party" Abstract="true" BaseType="O.Kept"><Property Name="Number" Type="O.Number"/>
  <NavigationProperty Name="parent" Type="N.New.Order"/></EntityType>
<EntityType Name="Kept"><Key><PropertyRef Name="ID"/></Key><Property Name="ID" Type="Edm.Guid"/></EntityType></Schema>
<Schema Namespace="N.New"><EntityType Name="Order" BaseType="N.Old.Party"><Property Name="Sum" Type="Edm.Single"/>
  <Property Name="Short" Type="O.Number" MaxLength="3"/><Property Name="State" Type="N.New.State"/></EntityType>
<EnumType Name="State"><Member Name="Open"/><Member Name="Shut"/></EnumType>
<EntityContainer Name="C"><EntitySet Name="Orders" EntityType="N.New.Order"/><EntitySet Name="Older" EntityType="O.Order"/>
</EntityContainer></Schema></edmx:Edmx>"#;
        let tables = read(xml, Style::Plain).unwrap();
        let keys = ["Orders", "Older"].map(|table| tables[table].key.clone());
        assert_eq!(keys, [Key::Values(vec!["ID".into()]), Key::Values(vec!["Old".into()])]);
        insta::assert_snapshot!(told(&tables["Orders"]), @r#"
        ID: Guid, insert
        Number: Text up to 12, write
        Sum: Decimal { scale: 10 }, write
        Short: Text up to 3, write
        State: Enum [(0, "Open"), (1, "Shut")], write
        parent/ID: Guid, read
        parent/Number: Text up to 12, read
        parent/Sum: Decimal { scale: 10 }, read
        parent/Short: Text up to 3, read
        parent/State: Enum [(0, "Open"), (1, "Shut")], read
        "#);
    }

    #[test]
    fn what_is_no_metadata_is_refused() {
        for xml in ["", "<html>", "<html></html>"] {
            assert!(read(xml, Style::Api).is_err(), "{xml}");
        }
    }
}

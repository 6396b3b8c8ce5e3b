//! Annotations of a metadata document: what may be written, and how batches are taken.
//!
//! An annotation stands inside of what it is about, or elsewhere with its name as target. Terms are known by their last
//! part, since each document calls their vocabularies as it likes (OData CSDL 4.0 §14; vocabularies Core and Capabilities).

use std::collections::HashMap;

use roxmltree::{Document, Node};

use crate::adapters::csdl::{elements, short};

/// The annotations of a document that stand elsewhere, by their targets without namespace.
pub(super) struct Terms<'a>(HashMap<String, Vec<Node<'a, 'a>>>);

/// What is said of a property.
pub(super) struct Said {
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// It may be given to a new record only.
    pub(super) once: bool,
}

/// What may be written into the records of a set.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Restriction<'a> {
    forbidden: bool,
    without: Vec<&'a str>,
}

impl Restriction<'_> {
    /// Tells whether a column may be written.
    pub(super) fn allows(&self, column: &str) -> bool {
        !self.forbidden && !self.without.contains(&column)
    }
}

/// What a document says of batches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batches {
    /// Whether any are taken; `None` where it says nothing.
    pub taken: Option<bool>,
    /// Whether a batch goes on after an operation that fails; `None` where it says nothing.
    pub goes_on: Option<bool>,
    /// Media types in which one may be; empty where it says nothing.
    pub formats: Vec<String>,
}

/// Reads what a metadata document says of batches; nothing where it is none.
pub fn batches(xml: &str) -> Batches {
    let Ok(document) = Document::parse(xml) else { return Batches::default() };
    let terms = Terms::collect(&document);
    let mut told = Batches::default();
    for container in elements(document.root_element(), "EntityContainer") {
        let target = container.attribute("Name").unwrap_or_default();
        if let Some(annotation) = terms.find(container, target, "BatchSupported") {
            told.taken = Some(flag(annotation));
        }
        let Some(annotation) = terms.find(container, target, "BatchSupport") else { continue };
        let part = |name| record(annotation, name);
        // What is not said of a record is true (Capabilities, BatchSupportType).
        told.taken = Some(part("Supported").is_none_or(flag));
        told.goes_on = part("ContinueOnErrorSupported").map(flag);
        let formats = part("SupportedFormats").into_iter().flat_map(|node| elements(node, "String"));
        told.formats = formats.filter_map(|node| Some(node.text()?.trim().to_ascii_lowercase())).collect();
    }
    told
}

impl<'a> Terms<'a> {
    pub(super) fn collect(document: &'a Document<'a>) -> Terms<'a> {
        let mut targets: HashMap<String, Vec<Node<'a, 'a>>> = HashMap::new();
        for group in elements(document.root_element(), "Annotations") {
            let Some(target) = group.attribute("Target") else { continue };
            let (first, rest) = target.split_at(target.find('/').unwrap_or(target.len()));
            targets.entry(format!("{}{rest}", short(first))).or_default().extend(annotations(group));
        }
        Terms(targets)
    }

    /// Returns what is said of a property of an entity.
    pub(super) fn of_property(&self, entity: Node<'a, 'a>, property: Node<'a, 'a>) -> Said {
        let names = [entity, property].map(|node| node.attribute("Name").unwrap_or_default());
        let target = names.join("/");
        let holds = |term| self.find(property, &target, term).is_some_and(flag);
        let permissions = self.find(property, &target, "Permissions");
        let permissions = permissions.and_then(|node| value(node, "EnumMember")).unwrap_or("ReadWrite");
        // Several members stand side by side.
        let may = |word: &str| permissions.split_whitespace().any(|member| member.rsplit('/').next() == Some(word));
        Said {
            readable: may("Read") || may("ReadWrite"),
            writable: (may("Write") || may("ReadWrite")) && !holds("Computed"),
            once: holds("Immutable"),
        }
    }

    /// Returns what new records and changes of a set may not bear.
    pub(super) fn restrictions(&self, set: Node<'a, 'a>) -> (Restriction<'a>, Restriction<'a>) {
        let container = set.parent().and_then(|node| node.attribute("Name")).unwrap_or_default();
        let target = format!("{container}/{}", set.attribute("Name").unwrap_or_default());
        let restriction = |term, word, list| {
            let Some(annotation) = self.find(set, &target, term) else { return Restriction::default() };
            let forbidden = record(annotation, word).is_some_and(|node| !flag(node));
            let without = record(annotation, list).into_iter().flat_map(|node| elements(node, "PropertyPath"));
            Restriction { forbidden, without: without.filter_map(|node| Some(node.text()?.trim())).collect() }
        };
        (
            restriction("InsertRestrictions", "Insertable", "NonInsertableProperties"),
            restriction("UpdateRestrictions", "Updatable", "NonUpdatableProperties"),
        )
    }

    /// Finds an annotation of a node, which is called `target` elsewhere.
    fn find(&self, node: Node<'a, 'a>, target: &str, term: &str) -> Option<Node<'a, 'a>> {
        let elsewhere = self.0.get(target).into_iter().flatten().copied();
        let is_term = |node: &Node<'a, 'a>| node.attribute("Term").map(short) == Some(term);
        annotations(node).chain(elsewhere).find(is_term)
    }
}

fn annotations<'a>(node: Node<'a, 'a>) -> impl Iterator<Item = Node<'a, 'a>> {
    node.children().filter(|node| node.is_element() && node.tag_name().name() == "Annotation")
}

/// Returns a constant of an annotation or of a part of one, written as an attribute or as an element.
fn value<'a>(node: Node<'a, 'a>, kind: &'static str) -> Option<&'a str> {
    node.attribute(kind).or_else(|| {
        let inside = node.children().find(|node| node.is_element() && node.tag_name().name() == kind)?;
        Some(inside.text()?.trim())
    })
}

/// Tells whether a flag is set: it is where nothing else is said.
fn flag(node: Node<'_, '_>) -> bool {
    value(node, "Bool") != Some("false")
}

/// Returns a property of the record that an annotation holds.
fn record<'a>(annotation: Node<'a, 'a>, property: &str) -> Option<Node<'a, 'a>> {
    elements(annotation, "PropertyValue").find(|node| node.attribute("Property") == Some(property))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::csdl::{Style, read};

    /// A document with so much inside of its container and after it.
    fn document(inside: &str, after: &str) -> String {
        format!(
            r#"<edmx:Edmx xmlns:edmx="x"><Schema Namespace="A.B" Alias="Self"><EntityType Name="T"><Key><PropertyRef Name="ID"/></Key>
            <Property Name="ID" Type="Edm.String" MaxLength="9"/><Property Name="Name" Type="Edm.String"/>
            <Property Name="Sum" Type="Edm.Int32"/></EntityType><EntityContainer Name="C"><EntitySet Name="Ts" EntityType="Self.T"/>
            {inside}</EntityContainer>{after}</Schema></edmx:Edmx>"#
        )
    }

    #[test]
    fn what_may_be_written_is_told_inside_or_elsewhere() {
        let elsewhere = |target: &str, what: &str| format!(r#"<Annotations Target="{target}">{what}</Annotations>"#);
        let term = |term: &str, value: &str| format!(r#"<Annotation Term="{term}" {value}/>"#);
        let permissions = |members: &str| term("Org.OData.Core.V1.Permissions", &format!(r#"EnumMember="{members}""#));
        let restricted = |term: &str, what: &str| {
            elsewhere(
                "A.B.C/Ts",
                &format!(r#"<Annotation Term="Capabilities.{term}"><Record>{what}</Record></Annotation>"#),
            )
        };
        let sum = "A.B.T/Sum";
        let list = |name: &str, what: &str| {
            format!(
                r#"<PropertyValue Property="{name}"><Collection><PropertyPath>{what}</PropertyPath></Collection></PropertyValue>"#
            )
        };
        for (what, after, expected) in [
            ("nothing", String::new(), "Name rw, Sum rw"),
            ("computed", elsewhere(sum, &term("Core.Computed", r#"Bool="true""#)), "Name rw, Sum r"),
            ("by the alias", elsewhere("Self.T/Sum", &term("Core.Computed", "")), "Name rw, Sum r"),
            (
                "not computed",
                elsewhere(sum, r#"<Annotation Term="Core.Computed"><Bool>false</Bool></Annotation>"#),
                "Name rw, Sum rw",
            ),
            ("of another type", elsewhere("A.B.U/Sum", &term("Core.Computed", "")), "Name rw, Sum rw"),
            ("once", elsewhere(sum, &term("Core.Immutable", "")), "Name rw, Sum ri"),
            ("read", elsewhere(sum, &permissions("Core.Permission/Read")), "Name rw, Sum r"),
            ("both", elsewhere(sum, &permissions("Core.Permission/Write Core.Permission/Read")), "Name rw, Sum rw"),
            ("none", elsewhere(sum, &permissions("Core.Permission/None")), "Name rw, Sum "),
            (
                "no inserts",
                restricted("InsertRestrictions", r#"<PropertyValue Property="Insertable" Bool="false"/>"#),
                "Name ru, Sum ru",
            ),
            (
                "no updates of one",
                restricted("UpdateRestrictions", &list("NonUpdatableProperties", "Sum")),
                "Name rw, Sum ri",
            ),
        ] {
            let tables = read(&document("", &after), Style::Plain).unwrap();
            let told: Vec<String> = tables["Ts"].columns[1..]
                .iter()
                .map(|info| {
                    let read = if info.readable { "r" } else { "" };
                    let write = match (info.insertable, info.updatable) {
                        (true, true) => "w",
                        (true, false) => "i",
                        (false, true) => "u",
                        (false, false) => "",
                    };
                    format!("{} {read}{write}", info.column.name)
                })
                .collect();
            assert_eq!(told.join(", "), expected, "{what}");
        }
    }

    #[test]
    fn batches_are_told_in_two_ways_or_not_at_all() {
        let support = |what: &str| {
            format!(r#"<Annotation Term="Org.OData.Capabilities.V1.BatchSupport"><Record>{what}</Record></Annotation>"#)
        };
        let formats = r#"<PropertyValue Property="SupportedFormats"><Collection><String>multipart/mixed</String><String>Application/JSON</String></Collection></PropertyValue>"#;
        let stops = r#"<PropertyValue Property="ContinueOnErrorSupported" Bool="false"/>"#;
        let told = |taken, goes_on, formats: &[&str]| Batches {
            taken,
            goes_on,
            formats: formats.iter().map(|format| (*format).to_owned()).collect(),
        };
        for (inside, expected) in [
            (String::new(), told(None, None, &[])),
            (r#"<Annotation Term="Org.OData.Capabilities.V1.BatchSupported"/>"#.into(), told(Some(true), None, &[])),
            (r#"<Annotation Term="C.BatchSupported" Bool="false"/>"#.into(), told(Some(false), None, &[])),
            (support(""), told(Some(true), None, &[])),
            (support(r#"<PropertyValue Property="Supported" Bool="false"/>"#), told(Some(false), None, &[])),
            (support(formats), told(Some(true), None, &["multipart/mixed", "application/json"])),
            (support(stops), told(Some(true), Some(false), &[])),
        ] {
            assert_eq!(batches(&document(&inside, "")), expected, "{inside}");
            let after = format!(r#"<Annotations Target="A.B.C">{inside}</Annotations>"#);
            assert_eq!(batches(&document("", &after)), expected, "{inside}");
        }
        assert_eq!(batches("<html>"), Batches::default());
    }
}

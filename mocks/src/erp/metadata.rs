//! The `$metadata` document (CSDL XML) of one API, made from the schema.

use std::fmt::Write;

use super::schema::{self, Api, Column, Kind, Members, PAGES, Page, Role};

/// Writes the document of the pages that an API serves.
pub fn document(api: Api) -> String {
    let pages: Vec<&Page> = PAGES.iter().filter(|page| page.api == api).collect();
    let mut out = String::with_capacity(16 << 10);
    out.push_str(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\
         <edmx:Edmx Version=\"4.0\" xmlns:edmx=\"http://docs.oasis-open.org/odata/ns/edmx\"><edmx:DataServices>\
         <Schema Namespace=\"Microsoft.NAV\" xmlns=\"http://docs.oasis-open.org/odata/ns/edm\">",
    );
    let company = schema::COMPANY.iter().map(|column| (column.name, column));
    entity(&mut out, "company", company, |out| {
        for set in pages.iter().map(|page| page.table()) {
            let _ = write!(
                out,
                "<NavigationProperty Name=\"{}\" Type=\"Collection(Microsoft.NAV.{})\" ContainsTarget=\"true\" />",
                set.name, set.entity
            );
        }
    });
    for page in &pages {
        let properties = page.properties.iter().map(|property| (property.name, page.behind(property)));
        entity(&mut out, page.table().entity, properties, |out| {
            for navigation in page.table().navigations {
                let Some(target) = schema::page(api, navigation.set) else { continue };
                let _ = write!(
                    out,
                    "<NavigationProperty Name=\"{}\" Type=\"Microsoft.NAV.{}\"><ReferentialConstraint Property=\"{}\" \
                     ReferencedProperty=\"id\" /></NavigationProperty>",
                    navigation.name,
                    PAGES[target].table().entity,
                    navigation.column
                );
            }
        });
    }
    let mut enums: Vec<&Members> = Vec::new();
    for column in pages.iter().flat_map(|page| page.properties.iter().map(|property| page.behind(property))) {
        if let Kind::Enum(members) = column.kind
            && !enums.iter().any(|known| known.name == members.name)
        {
            enums.push(members);
        }
    }
    for members in enums {
        let _ = write!(out, "<EnumType Name=\"{}\">", members.name);
        for (value, name) in members.names.iter().enumerate() {
            let _ = write!(out, "<Member Name=\"{name}\" Value=\"{value}\" />");
        }
        out.push_str("</EnumType>");
    }
    out.push_str("<EntityContainer Name=\"NAV\">");
    let names = pages.iter().map(|page| (page.table().name, page.table().entity));
    for (name, entity) in std::iter::once(("companies", "company")).chain(names) {
        let _ = write!(out, "<EntitySet Name=\"{name}\" EntityType=\"Microsoft.NAV.{entity}\" />");
    }
    out.push_str("</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>");
    out
}

fn entity<'a>(
    out: &mut String,
    name: &str,
    properties: impl Iterator<Item = (&'a str, &'a Column)>,
    navigations: impl FnOnce(&mut String),
) {
    let _ = write!(out, "<EntityType Name=\"{name}\"><Key><PropertyRef Name=\"id\" /></Key>");
    for (name, column) in properties {
        let _ = write!(out, "<Property Name=\"{name}\" ");
        let _ = match column.kind {
            Kind::Guid => write!(out, "Type=\"Edm.Guid\""),
            Kind::Text(max) | Kind::Code(max) => write!(out, "Type=\"Edm.String\" MaxLength=\"{max}\""),
            Kind::Decimal => write!(out, "Type=\"Edm.Decimal\" Scale=\"Variable\""),
            Kind::Bool => write!(out, "Type=\"Edm.Boolean\""),
            Kind::Date => write!(out, "Type=\"Edm.Date\""),
            Kind::DateTime => write!(out, "Type=\"Edm.DateTimeOffset\""),
            Kind::Enum(members) => write!(out, "Type=\"Microsoft.NAV.{}\"", members.name),
        };
        out.push_str(if column.role == Role::Id { " Nullable=\"false\" />" } else { " />" });
    }
    navigations(out);
    out.push_str("</EntityType>");
}

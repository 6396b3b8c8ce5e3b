//! The service document and `$metadata`: which entity sets there are, and the data model as CSDL XML.

use serde_json::{Value, json};

use super::reply;
use super::schema::{self, Kind, TABLES, Table};
use super::state::State;
use super::value;
use crate::service::Response;

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

//! Two companies of an ERP with one CRM: neither touches the other's records (sync-semantics.md §24).

use std::mem::swap;

use pipeline::run::account::RunOutcome;

use crate::rules::World;

fn tables(company: &str) -> String {
    format!(
        "
  customers:
    erp: {{ table: customers, label: number }}
    crm: {{ table: accounts, label: number, filter: \"kind = 3 AND (company = '{company}' OR company IS NULL)\" }}
    direction: both
    create: both
    match: [ {{ by: {{ number: number }} }}, {{ by: {{ name: name, city: city }} }} ]
    first_sync: erp
    on_delete: restore
    fields:
      - {{ erp: number, crm: number, direction: to_crm }}
      - {{ erp: name, crm: name }}
      - {{ erp: city, crm: city }}
      - {{ crm: kind, value: 3 }}
      - {{ crm: company, value: {company} }}
"
    )
}

/// Runs both companies' pipelines over the one CRM, which stays with the first.
fn nights(north: &mut World, south: &mut World) {
    for night in 0..3 {
        assert_eq!(north.run().outcome, RunOutcome::Converged, "night {night}");
        swap(&mut north.crm, &mut south.crm);
        let report = south.run();
        swap(&mut north.crm, &mut south.crm);
        assert_eq!(report.outcome, RunOutcome::Converged, "night {night}: {:#?}", report.inbox);
    }
}

fn accounts(world: &World) -> Vec<String> {
    let records = world.crm.all("accounts");
    let mut told: Vec<String> = records
        .values()
        .map(|values| {
            ["company", "number", "name"].map(|column| values.get(column).cloned().unwrap_or_default()).join(" ")
        })
        .collect();
    told.sort();
    told
}

#[test]
fn two_companies_do_not_touch_each_other() {
    let (mut north, mut south) = (World::with(&tables("North")), World::with(&tables("South")));
    // The same numbers, and even the same name, in both.
    north.erp.put("customers", 1, &[("number", "C1"), ("name", "Ahlgren"), ("city", "Oslo")]);
    north.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl"), ("city", "Moss")]);
    south.erp.put("customers", 1001, &[("number", "C1"), ("name", "Bjerke"), ("city", "Bergen")]);
    south.erp.put("customers", 1002, &[("number", "C2"), ("name", "Dahl"), ("city", "Moss")]);
    // Nobody's yet: the first company that matches it takes it.
    north.crm.put("accounts", 101, &[("number", "C1"), ("name", "Ahlgren"), ("city", "Oslo"), ("kind", "3")]);
    nights(&mut north, &mut south);
    let expected = ["North C1 Ahlgren", "North C2 Dahl", "South C1 Bjerke", "South C2 Dahl"];
    assert_eq!(accounts(&north), expected);
    assert_eq!(north.erp.column("customers", "name"), ["Ahlgren", "Dahl"]);
    assert_eq!(south.erp.column("customers", "name"), ["Bjerke", "Dahl"]);

    // An edit of one company's account, and a new customer of the other with a number that the first has.
    north.crm.put("accounts", 101, &[("name", "Ahlgren Marine")]);
    north.erp.put("customers", 3, &[("number", "C3"), ("name", "Eide"), ("city", "Oslo")]);
    south.erp.put("customers", 1003, &[("number", "C3"), ("name", "Fossum"), ("city", "Oslo")]);
    nights(&mut north, &mut south);
    assert_eq!(north.erp.column("customers", "name"), ["Ahlgren Marine", "Dahl", "Eide"]);
    assert_eq!(south.erp.column("customers", "name"), ["Bjerke", "Dahl", "Fossum"]);
    assert_eq!(accounts(&north).len(), 6);

    // A deleted account is made anew for its own company, whatever the other has under that number.
    let gone = north.crm.all("accounts").into_iter().find(|(_, values)| values["name"] == "Fossum").unwrap().0;
    north.crm.delete("accounts", gone.as_u128());
    nights(&mut north, &mut south);
    assert_eq!(accounts(&north)[5], "South C3 Fossum");
    let before = (north.crm.writes(), north.erp.writes(), south.erp.writes());
    nights(&mut north, &mut south);
    assert_eq!((north.crm.writes(), north.erp.writes(), south.erp.writes()), before, "quiet when equal");
}

//! Products of a CRM that makes them as drafts: set active they are published, with everything else that is written.

use pipeline::config::Side;
use pipeline::endpoint::{Endpoint, Outcome};
use pipeline::frame::Value;
use pipeline::run::account::RunOutcome;
use pipeline::store::Store;
use uuid::Uuid;

use crate::nightly::world as nightly;
use crate::world::{World, insert, names, read, text, update, world};

fn state(world: &World, id: Uuid) -> i64 {
    world.crm.with(|state| state.record("products", id)).unwrap()["statecode"].as_i64().unwrap()
}

/// Makes products with the unit of one that is there; returns their ids.
fn drafts(world: &World, crm: &dyn Endpoint, count: u128) -> Vec<Uuid> {
    world.crm.with(|state| state.products_start_active = false);
    let info = crm.describe("products").unwrap();
    let there = read(crm, "products", &["defaultuomid", "defaultuomscheduleid"]);
    let link = |column: &str, table: &str| match there.value(column, 0) {
        Value::Guid(id) => Value::Link { table: table.into(), id },
        other => panic!("{other:?}"),
    };
    let product = |number: u128| {
        let fields = [
            ("productnumber", text(&format!("DRAFT-{number}"))),
            ("name", text("Draft")),
            ("defaultuomid", link("defaultuomid", "uoms")),
            ("defaultuomscheduleid", link("defaultuomscheduleid", "uomschedules")),
        ];
        insert(number, &fields)
    };
    let writes: Vec<_> = (0..count).map(product).collect();
    assert_eq!(crm.write(&info, &[], &writes).outcomes, vec![Outcome::Written; count as usize]);
    writes.iter().map(|write| write.id).collect()
}

#[test]
fn a_draft_that_is_set_active_is_published() {
    let world = world();
    let crm = world.endpoint(Side::Crm);
    let ids = drafts(&world, &*crm, 4);
    assert_eq!(state(&world, ids[0]), 2);
    let info = crm.describe("products").unwrap();
    let active = ("statecode", Value::Integer(0));
    let retired = read(&*crm, "products", &[]).ids().into_iter().find(|id| !ids.contains(id)).unwrap();
    world
        .crm
        .with(|state| state.edit("products", retired, serde_json::json!({"statecode": 1}).as_object().unwrap()))
        .unwrap();
    let stale = Some("W/\"1\"".to_owned());
    let writes = [
        update(ids[0], None, &[("name", text("Published")), active.clone()]),
        update(ids[1], None, &[active.clone(), ("statuscode", Value::Integer(1))]),
        update(ids[2], stale, &[("name", text("Too late")), active.clone()]),
        update(ids[3], None, &[("name", text("Still a draft"))]),
        update(retired, None, &[active]),
    ];
    let report = crm.write(&info, &names(&["name", "statecode"]), &writes);
    let written = Outcome::Written;
    assert_eq!(report.outcomes, [written.clone(), written.clone(), Outcome::Stale, written.clone(), written]);
    assert_eq!([ids[0], ids[1], ids[2], ids[3], retired].map(|id| state(&world, id)), [0, 0, 2, 2, 0]);
    // Only what the answers still say rightly is shown; the rest is read.
    let shown: Vec<Uuid> = report.rows.ids();
    assert!(shown.len() == 2 && shown.contains(&ids[3]) && shown.contains(&retired), "{shown:?}");
    let name = world.crm.with(|state| state.record("products", ids[0])).unwrap()["name"].clone();
    assert_eq!(name, "Published");
}

/// A company whose CRM makes products as drafts, and the file that docs/dataverse.md says to write for it.
fn drafting() -> nightly::World {
    let mut world = nightly::World::small();
    world.crm.with(|state| state.products_start_active = false);
    world.rewrite(&[
        ("filter: producttypecode = 1 AND statecode = 0 }", "filter: producttypecode = 1 AND statecode <> 1 }"),
        ("filter: producttypecode = 3 AND statecode = 0 }", "filter: producttypecode = 3 AND statecode <> 1 }"),
        (
            "      - { crm: producttypecode, value: 1 }\n",
            "      - { crm: producttypecode, value: 1 }\n      - { crm: statecode, value: 0, when: update }\n",
        ),
        (
            "      - { crm: producttypecode, value: 3 }\n",
            "      - { crm: producttypecode, value: 3 }\n      - { crm: statecode, value: 0, when: update }\n",
        ),
    ]);
    world
}

#[test]
fn a_night_publishes_the_products_that_it_makes() {
    let mut world = drafting();
    let before = world.records(Side::Crm, "products").len();
    assert_eq!(world.run().outcome, RunOutcome::Converged, "{:#?}", world.inbox());
    let products = world.records(Side::Crm, "products");
    assert!(products.len() > before);
    let drafts = products.iter().filter(|product| product["statecode"] == 2).count();
    assert_eq!(drafts, 0, "of {}", products.len() - before);
    assert_eq!(world.quiet().outcome, RunOutcome::Converged);
}

/// The other half of the write, and what comes of it later, is no worse for it.
#[test]
fn a_draft_that_cannot_be_published_is_written_all_the_same() {
    let mut world = drafting();
    world.crm.with(|state| state.may_publish = false);
    assert_eq!(world.run().outcome, RunOutcome::Incomplete);
    let drafts = |world: &nightly::World| {
        world.records(Side::Crm, "products").into_iter().filter(|product| product["statecode"] == 2).collect::<Vec<_>>()
    };
    let draft = drafts(&world).into_iter().find(|product| product["producttypecode"] == 3).expect("a resource is new");
    let id: Uuid = nightly::text(&draft["productid"]).parse().unwrap();
    let resource = world.find(Side::Erp, "resources", "number", &nightly::text(&draft["productnumber"]));
    for name in ["Renamed", "Renamed again"] {
        world.later(3_600);
        world.edit(Side::Erp, "resources", resource, serde_json::json!({ "name": name }));
        assert_eq!(world.run().outcome, RunOutcome::Incomplete);
        assert_eq!(world.get(Side::Crm, "products", id, "name"), name);
        let inbox = world.inbox();
        let about: Vec<_> = inbox.iter().filter(|waits| waits.erp_id == Some(resource)).collect();
        assert_eq!(about.len(), 1, "{about:#?}");
        assert!(about[0].message.contains("prvPublishProduct"), "{about:#?}");
    }
    world.crm.with(|state| state.may_publish = true);
    for waits in world.inbox() {
        world.store().retry(&waits.table, waits.erp_id, waits.crm_id).unwrap();
    }
    assert_eq!(world.run().outcome, RunOutcome::Converged, "{:#?}", world.inbox());
    assert_eq!(drafts(&world).len(), 0);
    assert_eq!(world.quiet().outcome, RunOutcome::Converged);
}

//! `--only customers:10000` against both fakes: how many requests one of two thousand takes.

use pipeline::address::Address;
use pipeline::config::Side;
use pipeline::run::account::{Mode, RunOutcome};
use pipeline::run::selection::Selection;
use pipeline::store::Store;
use serde_json::json;
use uuid::Uuid;

use super::world::World;

const FIRMS: usize = 2_000;

#[test]
fn one_record_of_thousands_takes_few_requests() {
    let mut world = World::scaled(FIRMS);
    assert_eq!(world.run().outcome, RunOutcome::Converged, "{:#?}", world.inbox());
    let customers = world.records(Side::Erp, "customers");
    let id = |place: usize| customers[place]["id"].as_str().unwrap().parse::<Uuid>().unwrap();
    let number = customers[100]["number"].as_str().unwrap();
    for place in [100, 101] {
        world.edit(Side::Erp, "customers", id(place), json!({"city": "Elsewhere"}));
    }
    world.forget();
    let record = Address::parse(&format!("customers:{number}")).unwrap();
    world.selection = Selection { records: vec![record], ..Selection::default() };
    let report = world.run();
    assert_eq!(report.outcome, RunOutcome::Converged, "{report:#?}");
    assert_eq!((report.tables.len(), report.tables[0].mode), (1, Mode::Selected));
    let (asked, writes) = (world.asked(), world.writes());
    let couplings = world.store().couplings("customers", &[]).unwrap();
    let partner = couplings.crm[couplings.erp.iter().position(|erp| *erp == id(100)).unwrap()];
    assert_eq!(world.get(Side::Crm, "accounts", partner, "address1_city"), "Elsewhere");
    assert_eq!((writes.erp.len(), writes.crm.len()), (0, 1));
    // The ERP: the company, the label, the record, and each kind of key that it refers to by. The CRM: the partner, and
    // the local currency, which has no coupling.
    let sum = |asked: &[(String, usize)]| asked.iter().map(|(_, requests)| requests).sum::<usize>();
    let sums = (sum(&asked.erp), sum(&asked.crm));
    assert!(sums.0 <= 6 && sums.1 <= 3, "{asked:#?}");

    world.selection = Selection::default();
    assert_eq!(world.run().tables.iter().map(|table| table.to.crm.modified).sum::<u64>(), 1, "the other one");
    world.quiet();
}

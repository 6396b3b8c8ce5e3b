//! `why` about records in every situation, and that it says what a plan says.

mod agreement;
mod situations;

use std::sync::atomic::AtomicBool;

use pipeline::config::{PerSide, Pipeline, Side};
use pipeline::delta::decided::told;
use pipeline::endpoint::Endpoint;
use pipeline::plan::Action;
use pipeline::run::account::RunReport;
use pipeline::run::context::Options;
use pipeline::run::explain::explain;
use pipeline::run::selection::Selection;
use pipeline::store::{InboxItem, Store};
use pipeline::why::{Question, Remembered, Why, why};
use uuid::Uuid;

use crate::memory::Memory;
use crate::rules::World;

/// Asks about a record.
pub fn ask(
    pipeline: &Pipeline,
    sides: PerSide<&dyn Endpoint>,
    store: &mut dyn Store,
    (table, side, id): (&str, Side, Uuid),
) -> Why {
    let options = Options {
        approved: None,
        guarded_plan: None,
        selection: Selection::default(),
        only: Vec::new(),
        changed: true,
        dry_run: true,
        run: String::new(),
        started: String::new(),
        elapsed: &|| 0.0,
        stop: &AtomicBool::new(false),
    };
    let explained = explain(pipeline, sides, store, &options, &|_| {}, (table, side, id)).unwrap();
    let map = pipeline.tables.iter().find(|map| map.name == table).unwrap();
    let coupling = store.coupling_of(table, side, id).unwrap();
    let bases = coupling.as_ref().map(|known| store.base_values(table, known.ids.erp, known.ids.crm).unwrap());
    let ids = PerSide::from_fn(|of| match &coupling {
        Some(known) => Some(*known.ids.of(of)),
        None => (of == side).then_some(id),
    });
    let remembered = Remembered {
        apart: store.kept_apart_since(table, side, id).unwrap(),
        bases: bases.unwrap_or_default(),
        writes: store.writes_to(table, ids, 5).unwrap(),
        inbox: store.inbox(Some(table)).unwrap(),
        guarded: pipeline::report::history::guarded(&store.runs(5).unwrap(), table, None),
        coupling,
    };
    why(&Question { map, side, id, field: None }, explained, remembered)
}

/// What is done, as far as one record alone decides it: numbers that others take as well are left out.
fn done(action: &Action) -> String {
    let fields = action.fields.iter().map(|change| match change.field {
        Some(_) => format!("{} {:?} -> {:?}: {}", change.column, change.old, change.new, change.why),
        None => change.column.clone(),
    });
    let fields: Vec<String> = fields.collect();
    let (record, follow_ups) = (bare(&action.record), &action.follow_ups);
    format!("{:?} {:?} {record} {} {fields:?} {follow_ups:?}", action.side, action.kind, action.why)
}

fn waits(item: &InboxItem) -> String {
    format!("{:?} {} {:?} {}", item.kind, bare(&item.record), item.field, bare(&told(item)))
}

/// Leaves out the ids behind names that several records bear: of one record alone nobody knows whether they do.
fn bare(text: &str) -> String {
    let mut bare = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(" (") {
        let id = rest.get(at + 2..at + 38).filter(|id| Uuid::try_parse(id).is_ok());
        let end = at + if id.is_some() { 39 } else { 2 };
        bare.push_str(&rest[..if id.is_some() { at } else { end }]);
        rest = &rest[end..];
    }
    bare + rest
}

/// Demands that `why` says of a record what a plan of everything holds for it.
pub fn agrees(plan: &RunReport, why: &Why, (table, side, id): (&str, Side, Uuid), place: &str) {
    let of_table = plan.plan.tables.iter().filter(|known| known.table == table);
    let planned = of_table.clone().flat_map(|table| &table.actions).filter(|action| *action.ids.of(side) == id);
    let planned: Vec<String> = planned.map(done).collect();
    let told: Vec<String> = why.actions.iter().map(done).collect();
    assert_eq!(told, planned, "{place}: what is done with {table} {side:?} {id}: {why:#?}");
    let own = |item: &&InboxItem| {
        item.table == table && Some(id) == if side == Side::Erp { item.erp_id } else { item.crm_id }
    };
    let planned: Vec<String> = plan.inbox.iter().filter(own).map(waits).collect();
    // Of what hangs on a refusal a plan knows nothing.
    let told = why.waits.iter().filter(own).map(waits);
    let told: Vec<String> = told.filter(|told| planned.contains(told) || !told.ends_with(" is not coupled")).collect();
    assert_eq!(told, planned, "{place}: what waits of {table} {side:?} {id}: {why:#?}");
    let mut later = of_table.flat_map(|table| &table.later);
    let later = later.any(|later| bare(&later.record) == why.record);
    assert_eq!(why.verdict.kind == pipeline::why::verdict::Kind::Later, later && told.is_empty(), "{place}: {why:#?}");
}

/// Demands it for every record of both sides.
pub fn agrees_everywhere(world: &mut World, place: &str) {
    let plan = world.run_as(true);
    let pipeline = world.pipeline.clone();
    let before = (world.erp.writes(), world.crm.writes());
    for map in &pipeline.tables {
        for side in Side::BOTH {
            let ids: Vec<Uuid> = memory(world, side).all(&map.sides.of(side).table).into_keys().collect();
            for id in ids {
                let sides = PerSide { erp: &world.erp as &dyn Endpoint, crm: &world.crm };
                let subject = (map.name.as_str(), side, id);
                let why = ask(&pipeline, sides, &mut world.store, subject);
                agrees(&plan, &why, subject, place);
            }
        }
    }
    assert_eq!((world.erp.writes(), world.crm.writes()), before, "{place}: `why` writes nothing");
}

fn memory(world: &World, side: Side) -> &Memory {
    match side {
        Side::Erp => &world.erp,
        Side::Crm => &world.crm,
    }
}

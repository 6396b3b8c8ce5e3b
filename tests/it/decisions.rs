//! What people answer, carried out by the next run over two sides in memory.

mod chance;
mod deleted;
mod doubts;
mod fields;
mod standing;

use pipeline::cli::inbox::answer::{Desk, Wish, take};
use pipeline::cli::world::answered;
use pipeline::report::inbox::{self, Inbox};
use pipeline::store::{Decision, Store};

use crate::rules::World;

/// Answers for a record as `inbox FILE` does; the message where that makes no sense.
pub fn answer(world: &mut World, record: &str, wish: &Wish) -> Result<(), String> {
    let desk = Desk::new(&world.pipeline, &world.store).unwrap();
    let reply = desk.answer(record, wish).map_err(|failure| failure.to_string())?;
    world.store.reply(&[reply]).unwrap();
    Ok(())
}

/// Withdraws decisions as `inbox FILE withdraw` does; the message where that makes no sense.
fn withdraw(world: &mut World, record: &str, field: Option<&str>) -> Result<usize, String> {
    let desk = Desk::new(&world.pipeline, &world.store).unwrap();
    let replies = desk.withdraw(record, field).map_err(|failure| format!("{failure} ({})", failure.hint()))?;
    world.store.reply(&replies).unwrap();
    Ok(replies.len())
}

/// Decides a contested field.
#[track_caller]
pub fn resolve(world: &mut World, record: &str, field: &str, verdict: &str) {
    let wish = Wish::Resolve { field: field.to_owned(), verdict: take(verdict).unwrap() };
    answer(world, record, &wish).unwrap();
}

/// What `inbox FILE` says.
fn told(world: &World) -> String {
    let items = world.store.inbox(None).unwrap();
    let answered = answered(&world.store, &items).unwrap();
    inbox::text(&Inbox { items, answered, ..Inbox::default() })
}

/// What `inbox FILE --format json` says of the one thing that waits.
fn told_json(world: &World) -> serde_json::Value {
    let items = world.store.inbox(None).unwrap();
    let answered = answered(&world.store, &items).unwrap();
    let json = inbox::json(&Inbox { items, answered, ..Inbox::default() });
    let mut json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["items"].as_array().unwrap().len(), 1, "{json:#}");
    json["items"][0].take()
}

/// Returns the decisions that stand.
fn standing(world: &World) -> Vec<Decision> {
    let mut decisions = world.store.decisions(None).unwrap();
    decisions.retain(|decision| decision.ended.is_none());
    decisions
}

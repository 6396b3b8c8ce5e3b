//! A doubt of the match rules in, an item of the inbox out: a record named together with those that it could be.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::config::{PerSide, Side, TableMap};
use crate::couple::Doubt;
use crate::couple::taken::{Likeness, NAMED_MAX, Seat};
use crate::delta::Held;
use crate::delta::names::Names;
use crate::frame::Frame;
use crate::store::InboxKind;

/// The records that a doubt can name.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    pub map: &'a TableMap,
    pub names: &'a Names,
    pub frames: &'a PerSide<Frame>,
    /// Coupled records outside their filters.
    pub beyond: &'a PerSide<Frame>,
}

/// What is known of the couplings that doubts are about: by the side of a coupled record, its partner's name, or `None`
/// where the partner is gone.
type Partners = PerSide<HashMap<Uuid, Option<String>>>;

/// Turns doubts of the match rules into something that a person can answer; `couplings` are all pairs.
pub fn hold_doubts(scene: &Scene<'_>, doubts: &[Doubt], couplings: impl Iterator<Item = PerSide<Uuid>>) -> Vec<Held> {
    let partners = partners(scene, doubts, couplings);
    doubts.iter().map(|doubt| hold_doubt(scene, doubt, &partners)).collect()
}

/// Finds the partners of the coupled records that doubts are about. They are few, their table may be large, and on most
/// nights there is none.
fn partners(scene: &Scene<'_>, doubts: &[Doubt], couplings: impl Iterator<Item = PerSide<Uuid>>) -> Partners {
    let mut asked: PerSide<HashSet<Uuid>> = PerSide::default();
    for doubt in doubts {
        if let Some([seat]) = doubt.likeness.as_ref().map(|likeness| &likeness.seats[..]) {
            let side = doubt.side.other();
            asked.of_mut(side).insert(scene.frame(side, *seat).id(seat.row));
        }
    }
    let mut partners = Partners::default();
    if asked.erp.is_empty() && asked.crm.is_empty() {
        return partners;
    }
    let pairs = couplings.filter(|ids| Side::BOTH.iter().any(|side| asked.of(*side).contains(ids.of(*side))));
    let pairs: Vec<PerSide<Uuid>> = pairs.collect();
    for side in Side::BOTH {
        let wanted: HashSet<Uuid> = pairs.iter().map(|ids| *ids.of(side)).collect();
        let mut named: HashMap<Uuid, String> = HashMap::new();
        for (frames, beyond) in [(scene.frames, false), (scene.beyond, true)] {
            let ids = frames.of(side).ids().into_iter().enumerate();
            for (row, id) in ids.filter(|(_, id)| wanted.contains(id)) {
                named.insert(id, scene.name(side, Seat { row, beyond }));
            }
        }
        let named = pairs.iter().map(|ids| (*ids.of(side.other()), named.get(ids.of(side)).cloned()));
        *partners.of_mut(side.other()) = named.collect();
    }
    partners
}

impl Scene<'_> {
    fn frame(&self, side: Side, seat: Seat) -> &Frame {
        if seat.beyond { self.beyond.of(side) } else { self.frames.of(side) }
    }

    fn name(&self, side: Side, seat: Seat) -> String {
        self.names.row(self.frame(side, seat), side, seat.row)
    }
}

fn hold_doubt(scene: &Scene<'_>, doubt: &Doubt, partners: &Partners) -> Held {
    let (side, other) = (doubt.side, doubt.side.other());
    let own = |row: usize| scene.name(side, Seat { row, beyond: false });
    let record = own(doubt.row);
    let candidates = || {
        let rows = doubt.candidates().iter().take(NAMED_MAX);
        list(rows.map(|row| scene.name(other, Seat { row: *row, beyond: false })).collect(), doubt.candidates().len())
    };
    let rivals = doubt.rivals_count();
    let rule = doubt.rule;
    let message = match (&doubt.likeness, rivals == 0, doubt.candidates().len()) {
        (None, _, _) if rule == 0 => blank(scene, doubt, &record),
        (Some(likeness), _, count) => {
            let mut message = format!("{record} matches {}", like(scene, other, likeness, partners));
            if count > 0 {
                let are = if count == 1 { "is" } else { "are" };
                message += &format!("; it also matches {}, which {are} not coupled", candidates());
            }
            message
        }
        (None, true, 1) => format!("{record} matches {} by rule {rule}, which is in doubt itself", candidates()),
        (None, true, _) => format!("{record} matches several records by rule {rule}: {}", candidates()),
        (None, false, 0) => {
            let rivals = list(doubt.rivals().take(NAMED_MAX).map(own).collect(), rivals);
            format!(
                "{record} and {rivals} are one record by rule {rule}; none of them is created in the {}",
                other.name()
            )
        }
        (None, false, _) => {
            let rivals = list(doubt.rivals().take(NAMED_MAX).map(own).collect(), rivals);
            format!("{record} and {rivals} match the same records by rule {rule}: {}", candidates())
        }
    };
    let id = scene.frames.of(side).id(doubt.row);
    let ids = match side {
        Side::Erp => PerSide { erp: Some(id), crm: None },
        Side::Crm => PerSide { erp: None, crm: Some(id) },
    };
    Held { kind: InboxKind::Ambiguous, record, ids, field: None, values: PerSide::default(), to: None, message }
}

/// Names the coupled records of `side` that somebody looks like, and says whose partners they are.
fn like(scene: &Scene<'_>, side: Side, likeness: &Likeness, partners: &Partners) -> String {
    let rule = likeness.rule;
    let names = likeness.seats.iter().map(|seat| scene.name(side, *seat)).collect();
    let names = list(names, likeness.count);
    let [seat] = likeness.seats[..] else {
        return format!("{names} by rule {rule}, which are already coupled");
    };
    let outside = if seat.beyond { "outside the filter and " } else { "" };
    let id = scene.frame(side, seat).id(seat.row);
    match partners.of(side).get(&id).and_then(Option::as_ref) {
        Some(partner) => format!("{names} by rule {rule}, which is {outside}already coupled to {partner}"),
        None => format!(
            "{names} by rule {rule}, which is {outside}still coupled to a record that was deleted in the {}",
            side.other().name()
        ),
    }
}

/// Says which of its match columns are blank.
fn blank(scene: &Scene<'_>, doubt: &Doubt, record: &str) -> String {
    let rules = scene.map.match_rules.iter().flat_map(|rule| &rule.by);
    let mut columns: Vec<&str> = Vec::new();
    for (erp, crm) in rules {
        let column = if doubt.side == Side::Erp { erp } else { crm };
        if !columns.contains(&column.as_str()) {
            columns.push(column);
        }
    }
    let frame = scene.frames.of(doubt.side);
    let blank = |column: &&&str| frame.value(column, doubt.row).to_string().trim().is_empty();
    let blanks: Vec<String> = columns.iter().filter(blank).map(|column| (*column).to_owned()).collect();
    let blanks = match blanks.as_slice() {
        // It has values, and what the field maps make of them is blank.
        [] => format!("nothing comes of its match columns {}", columns.join(", ")),
        [column] => format!("of its match columns {column} is blank"),
        [first @ .., last] => format!("of its match columns {} and {last} are blank", first.join(", ")),
    };
    format!("{record} cannot be told from others: {blanks}")
}

/// Joins names; `count` says how many there would be.
fn list(mut names: Vec<String>, count: usize) -> String {
    if count > names.len() {
        names.push(format!("{} more", count - names.len()));
    }
    names.join(", ")
}

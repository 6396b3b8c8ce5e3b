//! What became of a plan that was carried out: what moved and what the plan does not have, one line each, and the sums; or
//! the key `applied` of the JSON.

use serde::Serialize;

use crate::plan::ActionKind;
use crate::report::layout::{count, list, plural};
use crate::run::carried::{Carried, Undone};

/// Lines of one list that a text shows.
const LINES_MAX: usize = 20;

/// Returns what moved and what is not in the plan, under headings.
pub fn lines(carried: &Carried) -> Vec<String> {
    let moved = format!("no longer as planned, and left out: {}", count(carried.moved.len() as u64));
    let besides = format!("not in the plan: {}; a new plan takes it in", count(carried.unplanned.len() as u64));
    [part(moved, &carried.moved), part(besides, &carried.unplanned)].concat()
}

fn part(heading: String, undone: &[Undone]) -> Vec<String> {
    if undone.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![heading];
    lines.extend(undone.iter().take(LINES_MAX).map(line));
    if undone.len() > LINES_MAX {
        lines.push(format!("  and {} more; `--format json` has them all", count((undone.len() - LINES_MAX) as u64)));
    }
    lines
}

fn line(undone: &Undone) -> String {
    let (record, side, message) = (&undone.record, undone.side.name(), &undone.message);
    match undone.kind {
        ActionKind::Insert => format!("  {record}, insert into the {side}: {message}"),
        ActionKind::Restore { .. } => format!("  {record}, make anew in the {side}: {message}"),
        ActionKind::Update => format!("  {record}, update in the {side}: {message}"),
        ActionKind::Delete => format!("  {record}, delete in the {side}: {message}"),
        ActionKind::Couple { .. } => format!("  {record}, couple: {message}"),
        ActionKind::Uncouple | ActionKind::KeepApart => format!("  {record}, uncouple: {message}"),
    }
}

/// Returns the sums in one sentence.
pub fn sums(carried: &Carried) -> String {
    let actions = |number: u64| plural(number, "action", "actions");
    let Carried { done, before, failed, unreached, left_out, .. } = *carried;
    let (moved, besides) = (carried.moved.len() as u64, carried.unplanned.len() as u64);
    let first = match (done, before) {
        (0, 0) => "nothing of the plan was carried out".to_owned(),
        (0, _) if moved + failed + unreached == 0 => "the plan is done already: there was nothing to do".to_owned(),
        (0, before) => format!("{} done already", plural(before, "action of the plan was", "actions of the plan were")),
        (done, 0) => format!("carried out {} of the plan", actions(done)),
        (done, before) => {
            let before = plural(before, "was", "were");
            format!("carried out {} of the plan, {before} done already", actions(done))
        }
    };
    let mut rest = Vec::new();
    for (number, what) in [
        (moved, "no longer as planned and left out"),
        (failed, "failed"),
        (unreached, "not reached"),
        (left_out, "left out by `--only`"),
        (besides, "not in the plan"),
    ] {
        if number > 0 {
            rest.push(format!("{} {what}", count(number)));
        }
    }
    if rest.is_empty() { first } else { format!("{first}; {}", list(&rest)) }
}

/// What became of a plan, in JSON.
#[derive(Serialize)]
pub struct CarriedDocument<'a> {
    done: u64,
    done_before: u64,
    failed: u64,
    not_reached: u64,
    left_out: u64,
    moved: Vec<UndoneDocument<'a>>,
    not_in_plan: Vec<UndoneDocument<'a>>,
}

#[derive(Serialize)]
struct UndoneDocument<'a> {
    table: &'a str,
    record: &'a str,
    side: &'static str,
    action: &'static str,
    message: &'a str,
}

/// Returns what became of a plan for programs.
pub fn document(carried: &Carried) -> CarriedDocument<'_> {
    CarriedDocument {
        done: carried.done,
        done_before: carried.before,
        failed: carried.failed,
        not_reached: carried.unreached,
        left_out: carried.left_out,
        moved: carried.moved.iter().map(undone_document).collect(),
        not_in_plan: carried.unplanned.iter().map(undone_document).collect(),
    }
}

fn undone_document(undone: &Undone) -> UndoneDocument<'_> {
    UndoneDocument {
        table: &undone.table,
        record: &undone.record,
        side: undone.side.key(),
        action: undone.kind.key(),
        message: &undone.message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Side;

    #[test]
    fn the_sums_say_what_became_of_the_plan() {
        let undone = |number: u64| {
            let one = |number: u64| Undone {
                table: "customers".into(),
                record: format!("customers:{number}"),
                side: Side::Crm,
                kind: ActionKind::Update,
                message: "it was edited in the CRM since".into(),
            };
            (0..number).map(one).collect::<Vec<_>>()
        };
        let none = Carried::default();
        for (carried, expected) in [
            (none.clone(), "nothing of the plan was carried out"),
            (Carried { done: 1, ..none.clone() }, "carried out 1 action of the plan"),
            (
                Carried { done: 1200, before: 1, ..none.clone() },
                "carried out 1,200 actions of the plan, 1 was done already",
            ),
            (Carried { before: 3, ..none.clone() }, "the plan is done already: there was nothing to do"),
            (
                Carried { before: 3, unplanned: undone(1), ..none.clone() },
                "the plan is done already: there was nothing to do; 1 not in the plan",
            ),
            (
                Carried { before: 1, moved: undone(2), failed: 1, unreached: 4, left_out: 5, ..none.clone() },
                "1 action of the plan was done already; 2 no longer as planned and left out, 1 failed, 4 not reached and 5 left out by `--only`",
            ),
        ] {
            assert_eq!(sums(&carried), expected);
        }
        let lines = lines(&Carried { moved: undone(21), unplanned: undone(1), ..none });
        assert_eq!(lines.len(), 24);
        assert_eq!(lines[0], "no longer as planned, and left out: 21");
        assert_eq!(lines[1], "  customers:0, update in the CRM: it was edited in the CRM since");
        assert_eq!(lines[21], "  and 1 more; `--format json` has them all");
        assert_eq!(lines[22], "not in the plan: 1; a new plan takes it in");
    }
}

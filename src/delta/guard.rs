//! The sums of a plan and what a table map allows in: whether a run has to stop and ask before it writes anything.
//!
//! A share is one of the couplings before the run, for new records one of the larger side's rows; it never stops a
//! handful, and not the first load, nor what is left of one that was cut off. A number always applies. Nothing is written
//! here, and nobody is asked.

use std::collections::HashSet;

use crate::config::{Guard, Limit, Side};
use crate::plan::{Action, ActionKind};

use uuid::Uuid;

/// Records that no share stops.
pub const HANDFUL: u64 = 10;

/// What a plan would do to how many records; a pair that is changed on both sides is one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    pub create: u64,
    pub update: u64,
    /// Of `update`, those that change something that was settled before the run.
    pub update_settled: u64,
    /// Pairs that end because one of the two was deleted; where both are gone, there is nothing left to lose.
    pub delete: u64,
}

impl Sums {
    /// Adds up actions; `settled` are the pairs, by their ERP ids, of which they change something that was settled before,
    /// and `decided` those that a person decided one by one: they count in nothing.
    pub fn of<'a>(actions: impl Iterator<Item = &'a Action>, settled: &HashSet<Uuid>, decided: &HashSet<Uuid>) -> Sums {
        let mut made = HashSet::new();
        let mut updated = HashSet::new();
        let mut delete = 0;
        for action in actions.filter(|action| !decided.contains(&action.ids.erp)) {
            match &action.kind {
                ActionKind::Insert | ActionKind::Restore { .. } => drop(made.insert(action.ids.erp)),
                ActionKind::Update => drop(updated.insert(action.ids.erp)),
                ActionKind::Delete | ActionKind::KeepApart => delete += 1,
                ActionKind::Couple { .. } | ActionKind::Uncouple => {}
            }
        }
        updated.retain(|erp| !made.contains(erp));
        let update_settled = updated.iter().filter(|erp| settled.contains(*erp)).count() as u64;
        Sums { create: made.len() as u64, update: updated.len() as u64, update_settled, delete }
    }
}

/// What shares are shares of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Basis {
    /// Couplings before the run. Those that were never settled belong to a first load that was cut off.
    pub couplings: u64,
    /// Rows of the larger side.
    pub rows: u64,
    /// Both sides hold records, and the table map has no rule that tells which of them belong together.
    pub unruled: bool,
}

/// Why a table map is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trip {
    /// More than the file allows.
    Create {
        planned: u64,
        limit: Limit,
        basis: u64,
    },
    Update {
        planned: u64,
        limit: Limit,
        basis: u64,
    },
    Delete {
        planned: u64,
        limit: Limit,
        basis: u64,
    },
    /// A first load would make whatever both sides hold a second time.
    Double {
        planned: u64,
    },
    /// A side that held coupled records holds none at all; `both` tells that of the other one as well.
    Empty {
        side: Side,
        both: bool,
        couplings: u64,
    },
}

/// Holds sums against a guard; the first that is too much is told.
pub fn judge(guard: &Guard, sums: &Sums, basis: &Basis) -> Option<Trip> {
    let first_load = basis.couplings == 0;
    let stops = |limit: Option<Limit>, planned: u64, of_share: u64, of: u64| {
        limit.filter(|limit| match *limit {
            Limit::Number(number) => planned > number,
            Limit::Share(share) => {
                let allowed = u128::from(share) * u128::from(of);
                !first_load && of_share >= HANDFUL && u128::from(of_share) * 10_000 > allowed
            }
        })
    };
    let (couplings, rows) = (basis.couplings, basis.rows);
    // Records may belong together whoever made them; coupled by a criterion or not at all (sync-semantics.md §17).
    if first_load && basis.unruled && sums.create > 0 && guard.create.is_none() {
        return Some(Trip::Double { planned: sums.create });
    }
    if let Some(limit) = stops(guard.delete, sums.delete, sums.delete, couplings) {
        return Some(Trip::Delete { planned: sums.delete, limit, basis: couplings });
    }
    if let Some(limit) = stops(guard.update, sums.update, sums.update_settled, couplings) {
        let planned = if matches!(limit, Limit::Number(_)) { sums.update } else { sums.update_settled };
        return Some(Trip::Update { planned, limit, basis: couplings });
    }
    stops(guard.create, sums.create, sums.create, rows).map(|limit| Trip::Create {
        planned: sums.create,
        limit,
        basis: rows,
    })
}

fn plural(number: u64) -> &'static str {
    if number == 1 { "" } else { "s" }
}

impl std::fmt::Display for Trip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sentence = |f: &mut std::fmt::Formatter<'_>, what: &str, key: &str, of: &str, limit: &Limit| match limit {
            Limit::Number(_) => write!(f, "{what}, and `guard.{key}` allows {limit}"),
            Limit::Share(_) => write!(f, "{what}, and `guard.{key}` allows {limit} of {of}"),
        };
        match self {
            Trip::Create { planned, limit, basis } => {
                let what = format!("{planned} record{} would be created", plural(*planned));
                sentence(f, &what, "create", &format!("{basis} rows"), limit)
            }
            Trip::Update { planned, limit, basis } => {
                let what = format!("{planned} coupled record{} would be changed", plural(*planned));
                sentence(f, &what, "update", &format!("{basis} couplings"), limit)
            }
            Trip::Delete { planned, limit, basis } => {
                let what = format!("{planned} coupled record{} would be deleted or uncoupled", plural(*planned));
                sentence(f, &what, "delete", &format!("{basis} couplings"), limit)
            }
            Trip::Double { planned } => write!(
                f,
                "{planned} record{} would be created, although both sides hold records and no `match` rule tells which of \
                 them belong together",
                plural(*planned)
            ),
            Trip::Empty { side, both, couplings } => {
                let verb = if *couplings == 1 { "is" } else { "are" };
                let who = if *both { "neither side".to_owned() } else { format!("the {}", side.name()) };
                let (what, of_what) = match both {
                    true => ("a record", format!("pair{}", plural(*couplings))),
                    false => ("no record", "of it".to_owned()),
                };
                write!(f, "{who} returned {what}, and {couplings} {of_what} {verb} coupled")
            }
        }
    }
}

impl Trip {
    /// Returns what a person does about it; `plan` is where the plan of what was stopped is saved, as a shell takes it.
    pub fn hint(&self, table: &str, plan: Option<&str>) -> String {
        let key = match self {
            Trip::Create { .. } => "create",
            Trip::Update { .. } => "update",
            Trip::Delete { .. } => "delete",
            Trip::Double { planned } => {
                return format!(
                    "add `tables.{table}.match`, or couple them by `pipeline couple FILE --from PAIRS.csv`; where none belong \
                     together, `tables.{table}.guard: {{ create: {planned} }}` lets so many be made"
                );
            }
            Trip::Empty { both: true, .. } => {
                return format!(
                    "look at company, rights and filter of both sides; nothing is concluded from it. Where all of it was \
                     deleted on purpose, `pipeline uncouple FILE {table} --all` ends what is coupled"
                );
            }
            Trip::Empty { side, .. } => {
                return format!(
                    "look at the company, the rights and the filter of the {}; nothing is concluded from it",
                    side.name()
                );
            }
        };
        match plan {
            Some(plan) => format!(
                "`pipeline show {plan}` shows them; if they are meant, `pipeline apply {plan}` carries out just that, or raise \
                 `tables.{table}.guard.{key}` and run again"
            ),
            None => format!(
                "`pipeline plan FILE --only {table} -o PLAN` saves them; if they are meant, `pipeline apply PLAN` carries out \
                 just that, or raise `tables.{table}.guard.{key}` and run again"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PerSide;
    use crate::store::Origin;

    fn told(guard: Guard, sums: Sums, couplings: u64, rows: u64) -> String {
        judge(&guard, &sums, &Basis { couplings, rows, unruled: false })
            .map_or_else(|| "goes on".to_owned(), |trip| trip.to_string())
    }

    #[test]
    fn a_share_stops_the_many_and_a_number_always() {
        let (share, number) = (|share: u64| Some(Limit::Share(share * 100)), |number| Some(Limit::Number(number)));
        let open = Guard { create: None, update: None, delete: None };
        let delete = |delete| Sums { delete, ..Sums::default() };
        let update = |update, update_settled| Sums { update, update_settled, ..Sums::default() };
        let create = |create| Sums { create, ..Sums::default() };
        for (guard, sums, couplings, rows, expected) in [
            (Guard { delete: share(5), ..open }, delete(50), 1000, 0, "goes on"),
            (
                Guard { delete: share(5), ..open },
                delete(51),
                1000,
                0,
                "51 coupled records would be deleted or uncoupled, and `guard.delete` allows 5% of 1000 couplings",
            ),
            (Guard { delete: share(5), ..open }, delete(9), 9, 0, "goes on"),
            (
                Guard { delete: share(5), ..open },
                delete(10),
                10,
                0,
                "10 coupled records would be deleted or uncoupled, and `guard.delete` allows 5% of 10 couplings",
            ),
            (Guard { delete: share(100), ..open }, delete(1000), 1000, 0, "goes on"),
            (
                Guard { delete: number(0), ..open },
                delete(1),
                1000,
                0,
                "1 coupled record would be deleted or uncoupled, and `guard.delete` allows 0",
            ),
            (
                Guard { delete: Some(Limit::Share(50)), ..open },
                delete(11),
                2000,
                0,
                "11 coupled records would be deleted or uncoupled, and `guard.delete` allows 0.5% of 2000 couplings",
            ),
            (Guard { update: share(50), ..open }, update(900, 500), 1000, 0, "goes on"),
            (
                Guard { update: share(50), ..open },
                update(900, 501),
                1000,
                0,
                "501 coupled records would be changed, and `guard.update` allows 50% of 1000 couplings",
            ),
            // The first load of a table.
            (Guard { update: share(50), ..open }, update(900, 0), 0, 1000, "goes on"),
            (
                Guard { update: number(899), ..open },
                update(900, 0),
                0,
                1000,
                "900 coupled records would be changed, and `guard.update` allows 899",
            ),
            (open, create(1_000_000), 1, 1, "goes on"),
            (Guard { create: share(10), ..open }, create(1000), 0, 1000, "goes on"),
            (Guard { create: share(10), ..open }, create(100), 1, 1000, "goes on"),
            (
                Guard { create: share(10), ..open },
                create(101),
                1,
                1000,
                "101 records would be created, and `guard.create` allows 10% of 1000 rows",
            ),
            (Guard { create: number(2000), ..open }, create(2000), 0, 9, "goes on"),
            (
                Guard { create: number(2000), ..open },
                create(2001),
                0,
                9,
                "2001 records would be created, and `guard.create` allows 2000",
            ),
        ] {
            assert_eq!(told(guard, sums, couplings, rows), expected, "{guard:?} {sums:?}");
        }
    }

    #[test]
    fn a_pair_counts_once_and_matches_count_in_nothing() {
        let action = |number: u128, side, kind| Action {
            table: "t".into(),
            record: String::new(),
            side,
            kind,
            why: String::new(),
            ids: PerSide { erp: Uuid::from_u128(number), crm: Uuid::from_u128(100 + number) },
            etag: None,
            fields: Vec::new(),
            follow_ups: Vec::new(),
        };
        let plan = [
            action(1, Side::Erp, ActionKind::Couple { origin: Origin::Matched(1) }),
            action(1, Side::Crm, ActionKind::Update),
            action(2, Side::Crm, ActionKind::Update),
            action(2, Side::Erp, ActionKind::Update),
            action(3, Side::Crm, ActionKind::Insert),
            // What the second step adds to a new record.
            action(3, Side::Crm, ActionKind::Update),
            action(4, Side::Crm, ActionKind::Restore { gone: Uuid::nil() }),
            action(5, Side::Erp, ActionKind::Delete),
            action(6, Side::Erp, ActionKind::KeepApart),
            action(7, Side::Erp, ActionKind::Uncouple),
        ];
        let ids = |ids: &[u128]| ids.iter().map(|id| Uuid::from_u128(*id)).collect();
        let sums_but = |settled: &[u128], decided: &[u128]| Sums::of(plan.iter(), &ids(settled), &ids(decided));
        let sums = |settled: &[u128]| sums_but(settled, &[]);
        assert_eq!(sums_but(&[2], &[2, 4, 5]), Sums { create: 1, update: 1, update_settled: 0, delete: 1 });
        assert_eq!(sums(&[]), Sums { create: 2, update: 2, update_settled: 0, delete: 2 });
        assert_eq!(sums(&[2, 3, 9]), Sums { create: 2, update: 2, update_settled: 1, delete: 2 });
    }
}

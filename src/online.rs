//! A pipeline held against both living sides before anybody relies on it: who they are, what of the file they do not
//! have, whether they answer each question that a run asks of a table, what the login needs to be allowed, and whether it
//! is, as far as a side tells that before something is written.
//!
//! Everything that can be found is found at once: one side in trouble, or a table map that is wrong, does not hide what is
//! wrong with the others.
//! Nothing is written, and no record is kept: each table is asked for one at most. Which line of the file a finding
//! belongs to is not known here, only its path.

use crate::binding::Foreign;
use crate::config::complaint::Path;
use crate::config::{OnDelete, PerSide, Side, TableMap};
use crate::endpoint::{ClockOffset, Demand, Endpoint, EndpointError, Grant, Identity, Query, Reach, Right};
use crate::extract::SideScope;
use crate::misfit::{At, Misfit, Told, doubts};
use crate::order::passes;
use crate::run::RunError;
use crate::run::prepare::{Compared, compare, elsewhere};
use crate::store::Store;

/// From how many milliseconds on a clock that is not ours is told to be wrong.
///
/// No run compares a side's times with our clock. But what proves a certificate is dated by ours, holds for ten minutes, and
/// is taken with five minutes of grace (RFC 7523 §3 leaves a few to the service); and a side whose clock is behind its own
/// records' times has them passed over by `--changed` and `newest`. What is off by less shows nowhere.
const CLOCK_MS_MAX: i64 = 300_000;
/// The column of the CRM by which a record is given to a user or a team.
const OWNER: &str = "ownerid";

/// What was found.
#[derive(Debug, Default)]
pub struct Online {
    pub sides: PerSide<Met>,
    /// In the order of a run; only those that a side has.
    pub tables: Vec<TableMet>,
    /// What of the file does not fit the metadata.
    pub misfits: Vec<Misfit>,
    /// What of it may turn out not to fit, which stops no run.
    pub doubts: Vec<Misfit>,
    /// What the login is not allowed and a run needs.
    pub withheld: Vec<Misfit>,
    /// What a side could not do, and the key of the file that it belongs to.
    pub troubles: Vec<(Path, EndpointError)>,
    /// Why the state cannot be used with these sides.
    pub foreign: Option<Box<Foreign>>,
}

/// One side.
#[derive(Debug, Default)]
pub struct Met {
    /// `None` where it was not asked, or did not let us in.
    pub identity: Option<Identity>,
    /// How far its clock is ahead of ours, where its answers tell.
    pub clock: Option<ClockOffset>,
    /// Requests that are under way at once: what the file allows, or less where the side recommends less.
    pub concurrency: usize,
}

/// One table map.
#[derive(Debug)]
pub struct TableMet {
    pub table: String,
    /// `None` where a side could not be asked, or does not have the table.
    pub sides: PerSide<Option<SideMet>>,
}

/// One side of a table map.
#[derive(Debug)]
pub struct SideMet {
    /// What the login has to be allowed to do there.
    pub needs: Vec<Right>,
    pub rights: Rights,
    pub filter: Filtering,
}

/// Who evaluates the filter of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filtering {
    /// There is none.
    None,
    /// The side.
    There,
    /// The side, save for these terms, as they are written.
    Partly(Vec<String>),
    /// We: the whole table is read.
    Here,
}

/// What is known of what the login is allowed, of all that a run needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rights {
    /// The side tells it with the first write only. That it may be read is proven.
    Untold,
    /// The side does not let this login know.
    Refused(String),
    /// What is missing, and what holds for a part of the records only.
    Told { missing: Vec<Grant>, partly: Vec<Grant> },
}

/// Meets the sides that can be asked and holds these table maps against them, and the state, where there is one, against
/// both. A state that cannot be read says nothing here. What is asked next goes to `tell`, a line each.
pub fn meet(
    tables: &[TableMap],
    endpoints: PerSide<Option<&dyn Endpoint>>,
    state: Option<&dyn Store>,
    tell: &dyn Fn(&str),
) -> Online {
    let mut online = Online::default();
    let open = PerSide::from_fn(|side| {
        let endpoint = (*endpoints.of(side))?;
        tell(&format!("asking the {} to let us in", side.name()));
        match endpoint.open() {
            Ok(identity) => {
                online.sides.of_mut(side).identity = Some(identity);
                online.look_at_login(side, endpoint);
                Some(endpoint)
            }
            Err(error) => {
                online.troubles.push((place_of(&error), error));
                None
            }
        }
    });
    if let Some(bound) = state.and_then(|state| state.binding().ok().flatten()) {
        // Where a side says nothing, it says nothing against the state either.
        let now = |side: Side| online.sides.of(side).identity.clone().unwrap_or_else(|| bound.sides.of(side).clone());
        online.foreign = bound.of_sides(&PerSide::from_fn(now)).err();
    }
    tell("comparing the file with the columns of its tables");
    let Compared { told, misfits, troubles } = compare(tables, &passes(tables), open);
    online.misfits = misfits;
    online.doubts = doubts(tables, &told);
    online.troubles.extend(troubles.into_iter().map(|error| (place_of(&error), error)));
    let all: Vec<usize> = (0..tables.len()).collect();
    match state.map(|state| elsewhere(tables, &all, open, state)) {
        Some(Ok(misfits)) => online.misfits.extend(misfits),
        Some(Err(RunError::Endpoint(error))) => online.troubles.push((place_of(&error), error)),
        _ => {}
    }
    for told in &told {
        tell(&format!("{}: asking for its filters and rights", tables[told.table].name));
        online.look_at(tables, told, open);
    }
    for side in Side::BOTH {
        if let Some(endpoint) = endpoints.of(side) {
            let met = online.sides.of_mut(side);
            met.clock = endpoint.line().clock_offset();
            met.concurrency = endpoint.line().concurrency();
        }
    }
    online.look_at_clocks();
    online
}

impl Online {
    /// Asks a side for what the connection wants besides. Where it does not tell, nothing is found: what is not told of
    /// rights is said with the tables.
    fn look_at_login(&mut self, side: Side, endpoint: &dyn Endpoint) {
        for Demand { keys, what, name } in endpoint.lacking().unwrap_or_default() {
            let connection = Path::root().key("connections").key(side.key());
            let path = keys.iter().fold(connection, |path, key| path.key(key));
            let message = format!("the login may not {what}");
            let hint = format!("it takes `{name}` in a role of its user in the {}; or leave the key out", side.name());
            self.withheld.push(Misfit { path, at: At::Value, message, hint, value: None });
        }
    }

    /// Doubts clocks that are far from ours; of two that are equally far, ours is the one that is wrong.
    fn look_at_clocks(&mut self) {
        let clocks = PerSide::from_fn(|side| self.sides.of(side).clock);
        let ours_alone = ClockOffset::between(clocks.erp, clocks.crm).is_ok_and(|ms| ms.abs() < CLOCK_MS_MAX);
        for side in Side::BOTH {
            let doubted = |clock: &ClockOffset| !clock.steady || clock.ms_off() >= CLOCK_MS_MAX;
            let Some(clock) = clocks.of(side).filter(doubted) else { continue };
            let hint = if !clock.steady {
                "set the clocks of all its servers: `newest` decides nothing by a clock that is not known"
            } else if ours_alone {
                "the clock of this machine is wrong, as both sides have it: set it, or a login by certificate is refused"
            } else {
                "set the one that is wrong: a login by certificate is refused then, and `--changed` and `newest` go by times"
            };
            let path = Path::root().key("connections").key(side.key()).key("url");
            let message = format!("the clock of the {} {}", side.name(), told(clock));
            self.doubts.push(Misfit { path, at: At::Value, message, hint: hint.to_owned(), value: None });
        }
    }

    /// Asks both sides of a table map what a run asks them, as far as they can be asked.
    fn look_at(&mut self, tables: &[TableMap], told: &Told, open: PerSide<Option<&dyn Endpoint>>) {
        let map = &tables[told.table];
        let path = Path::root().key("tables").key(&map.name);
        let asked = |side: Side| Some((told.sides.of(side).as_ref()?, (*open.of(side))?));
        for (side, (scope, endpoint)) in Side::BOTH.into_iter().filter_map(|side| Some((side, asked(side)?))) {
            if let Err(error) = ask(map, scope, side, endpoint) {
                let told = self.troubles.iter().any(|(_, before)| *before == error);
                let key = if map.sides.of(side).filter.is_some() { "filter" } else { "table" };
                if !told {
                    self.troubles.push((path.key(side.key()).key(key), error));
                }
            }
        }
        let sides = PerSide::from_fn(|side| {
            let (scope, endpoint) = asked(side)?;
            let needs = needs(tables, map, side);
            let rights = self.rights(&path, scope, side, endpoint, &needs);
            Some(SideMet { needs, rights, filter: filtering(map, scope, side, endpoint) })
        });
        if sides.erp.is_some() || sides.crm.is_some() {
            self.tables.push(TableMet { table: map.name.clone(), sides });
        }
    }
}

impl Online {
    /// Asks a side what the login is allowed; what is missing is a finding, and so is a reading that does not reach every
    /// record, since what it hides would count as deleted.
    fn rights(
        &mut self,
        path: &Path,
        scope: &SideScope,
        side: Side,
        endpoint: &dyn Endpoint,
        needs: &[Right],
    ) -> Rights {
        let info = &scope.info;
        let grants = match endpoint.grants(info) {
            Ok(Some(grants)) => grants,
            Ok(None) => return Rights::Untold,
            Err(error) => return Rights::Refused(error.to_string()),
        };
        let of = |reach: Reach| -> Vec<Grant> {
            let some = needs.iter().filter_map(|need| grants.iter().find(|grant| grant.right == *need));
            some.filter(|grant| grant.reach == reach).cloned().collect()
        };
        let (missing, partly) = (of(Reach::Nothing), of(Reach::Part));
        let mut find = |message: String, grants: &[Grant]| {
            let names: Vec<String> = grants.iter().map(|grant| format!("`{}`", grant.name)).collect();
            let path = path.key(side.key()).key("table");
            let hint =
                format!("give a role of its user in the {} {} for the whole organization", side.name(), and(&names));
            let value = Some(info.table.clone());
            self.withheld.push(Misfit { path, at: At::Value, message, hint, value });
        };
        let words =
            |grants: &[Grant]| and(&grants.iter().map(|grant| word(grant.right).to_owned()).collect::<Vec<_>>());
        if !missing.is_empty() {
            find(format!("the login may not {} records of `{}`", words(&missing), info.table), &missing);
        }
        let hidden: Vec<Grant> = partly.iter().filter(|grant| grant.right == Right::Read).cloned().collect();
        if !hidden.is_empty() {
            let message =
                format!("the login reads a part of `{}` only, and what it does not see counts as deleted", info.table);
            find(message, &hidden);
        }
        Rights::Told { missing, partly }
    }
}

/// Says how far a clock is from ours; an answer tells whole seconds, so less than that is none.
pub fn told(ClockOffset { ms_min, ms_max, steady }: ClockOffset) -> String {
    const MINUTE_MS: i64 = 60_000;
    if !steady {
        return format!("is not known, as its answers are {} apart", length(ms_max.saturating_sub(ms_min) / 1_000));
    }
    if ms_min <= 0 && 0 <= ms_max {
        return "agrees with ours".to_owned();
    }
    let (least, most) =
        (ms_min.saturating_abs().min(ms_max.saturating_abs()), ms_min.saturating_abs().max(ms_max.saturating_abs()));
    let way = if ms_min > 0 { "ahead of" } else { "behind" };
    if most < MINUTE_MS {
        let tenths = |ms: i64| format!("{}.{}", ms / 1_000, ms % 1_000 / 100);
        return format!("is {} to {} seconds {way} ours", tenths(least), tenths(most));
    }
    format!("is {} {way} ours", length(least.midpoint(most) / 1_000))
}

/// Says a time in its two greatest units.
fn length(seconds: i64) -> String {
    let parts = [
        (seconds / 86_400, "day"),
        (seconds / 3_600 % 24, "hour"),
        (seconds / 60 % 60, "minute"),
        (seconds % 60, "second"),
    ];
    let first = parts.iter().position(|(number, _)| *number > 0).unwrap_or_default();
    // Who is off by days does not care for minutes.
    let named = parts.iter().skip(first).take(2).filter(|(number, _)| *number > 0);
    let named: Vec<String> =
        named.map(|(number, unit)| format!("{number} {unit}{}", if *number == 1 { "" } else { "s" })).collect();
    named.join(" ")
}

/// Returns what a right allows, as a sentence has it.
fn word(right: Right) -> &'static str {
    match right {
        Right::Append => "set references in",
        Right::AppendTo => "refer to",
        other => other.key(),
    }
}

/// Lists words as a sentence does.
fn and(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [some @ .., last] => format!("{} and {last}", some.join(", ")),
    }
}

/// Asks with the columns and the filter of a run, and keeps nothing: a side that must not be read, or that does not
/// understand the filter, says so.
fn ask(map: &TableMap, scope: &SideScope, side: Side, endpoint: &dyn Endpoint) -> Result<(), EndpointError> {
    let info = &scope.info;
    // Columns that are not there are told already.
    let columns = scope.columns.iter().filter(|name| info.column(name).is_some_and(|column| column.readable));
    let filter = map.sides.of(side).filter.as_ref().and_then(|filter| filter.predicate().cloned());
    endpoint.probe(&Query { info, columns: columns.cloned().collect(), filter, ids: None })
}

fn filtering(map: &TableMap, scope: &SideScope, side: Side, endpoint: &dyn Endpoint) -> Filtering {
    let Some(filter) = &map.sides.of(side).filter else { return Filtering::None };
    let terms = filter.terms();
    let evaluates = |predicate| endpoint.evaluates(&scope.info, predicate);
    let ours = terms.iter().filter(|term| !term.predicate().is_some_and(evaluates));
    let ours: Vec<String> = ours.map(|term| term.written().to_owned()).collect();
    match ours.len() {
        0 => Filtering::There,
        all if all == terms.len() => Filtering::Here,
        _ => Filtering::Partly(ours),
    }
}

/// Returns what a run may do on a side, by the keys of the table map. Rights to refer and to give away are the CRM's alone.
fn needs(tables: &[TableMap], map: &TableMap, side: Side) -> Vec<Right> {
    let written = map.direction.writes(side);
    let made = map.create.on(side) || (written && map.on_delete == OnDelete::Restore);
    let deleted = written && map.on_delete == OnDelete::Delete;
    let refers = |map: &TableMap, to: Option<&str>| {
        side == Side::Crm
            && map.fields.iter().any(|field| {
                let reference = field.reference.as_ref().filter(|_| field.crm.as_deref() != Some(OWNER));
                field.writes(side) && reference.is_some_and(|reference| to.is_none_or(|to| reference.table == to))
            })
    };
    let gives =
        side == Side::Crm && map.fields.iter().any(|field| field.writes(side) && field.crm.as_deref() == Some(OWNER));
    let referred = tables.iter().any(|other| refers(other, Some(&map.name)));
    [
        (true, Right::Read),
        (made, Right::Create),
        (written, Right::Update),
        (deleted, Right::Delete),
        (gives, Right::Assign),
        (refers(map, None), Right::Append),
        (referred, Right::AppendTo),
    ]
    .into_iter()
    .filter_map(|(needed, right)| needed.then_some(right))
    .collect()
}

/// Returns the key of a connection that an error belongs to.
fn place_of(error: &EndpointError) -> Path {
    let connection = Path::root().key("connections").key(error.side().key());
    error.keys().iter().fold(connection, |path, key| path.key(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_told_in_units_that_people_read() {
        for (ms_min, ms_max, expected) in [
            (-900, 40, "agrees with ours"),
            (1_250, 2_200, "is 1.2 to 2.2 seconds ahead of ours"),
            (-61_000, -60_100, "is 1 minute behind ours"),
            (400_000, 401_000, "is 6 minutes 40 seconds ahead of ours"),
            (7_200_000, 7_201_000, "is 2 hours ahead of ours"),
            (-1_795_909_026_600, -1_795_909_026_100, "is 20785 days 23 hours behind ours"),
            (i64::MIN, i64::MIN + 1, "is 106751991167 days 7 hours behind ours"),
        ] {
            assert_eq!(told(ClockOffset { ms_min, ms_max, steady: true }), expected);
        }
        let unsteady = told(ClockOffset { ms_min: -300, ms_max: 3_600_000, steady: false });
        assert_eq!(unsteady, "is not known, as its answers are 1 hour apart");
    }

    #[test]
    fn a_clock_that_is_far_off_is_doubted() {
        let near = |ms: i64| Some(ClockOffset { ms_min: ms, ms_max: ms + 900, steady: true });
        let unsteady = Some(ClockOffset { ms_min: 0, ms_max: 9_000, steady: false });
        for (erp, crm, expected) in [
            (near(0), near(299_000), &[][..]),
            (
                near(0),
                near(300_000),
                &["crm: the clock of the CRM is 5 minutes ahead of ours; set the one that is wrong"],
            ),
            (
                unsteady,
                near(0),
                &[
                    "erp: the clock of the ERP is not known, as its answers are 9 seconds apart; set the clocks of all its",
                ],
            ),
            (None, near(-400_000), &["crm: the clock of the CRM is 6 minutes 39 seconds behind ours; set the one"]),
            (
                near(900_000),
                near(901_000),
                &[
                    "erp: the clock of the ERP is 15 minutes ahead of ours; the clock of this machine",
                    "crm: the clock of",
                ],
            ),
            (
                near(900_000),
                near(-900_000),
                &[
                    "erp: the clock of the ERP is 15 minutes ahead of ours; set",
                    "crm: the clock of the CRM is 14 minutes",
                ],
            ),
        ] {
            let mut online = Online::default();
            (online.sides.erp.clock, online.sides.crm.clock) = (erp, crm);
            online.look_at_clocks();
            let told = online.doubts.iter().map(|doubt| {
                let path = doubt.path.to_string();
                let side = path.trim_start_matches("connections.").trim_end_matches(".url").to_owned();
                format!("{side}: {}; {}", doubt.message, doubt.hint)
            });
            let told: Vec<String> = told.collect();
            assert_eq!(told.len(), expected.len(), "{told:?}");
            assert!(told.iter().zip(expected).all(|(told, begin)| told.starts_with(begin)), "{told:?}");
        }
    }
}

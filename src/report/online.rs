//! What both sides say of a pipeline: who they are, how far they are, and, table map by table map, what a run needs to be
//! allowed there and who evaluates the filter.

use serde::Serialize;

use crate::config::{Limits, PerSide, Pipeline, Side};
use crate::endpoint::ClockOffset;
use crate::online::{Filtering, Met, Online, Right, SideMet};
use crate::report::layout::{columns, count, list, plural};

/// Returns what the sides say, for people, with a blank line at its end; nothing where they were not asked.
pub fn text(met: Option<(&Online, &Pipeline)>) -> String {
    let Some((online, pipeline)) = met else { return String::new() };
    let side = |side: Side| said(side, online.sides.of(side), pipeline.connections.of(side).limits);
    let mut lines: Vec<String> = Side::BOTH.into_iter().map(side).collect();
    if !online.tables.is_empty() {
        let mut rows = vec![["table", "side", "needs the right to", "filter"].map(str::to_owned).to_vec()];
        for table in &online.tables {
            for side in Side::BOTH {
                let name = if side == Side::Erp { table.table.clone() } else { String::new() };
                let met = table.sides.of(side);
                rows.push(vec![name, side.name().to_owned(), rights(met), filtering(side, &met.filter)]);
            }
        }
        lines.push(String::new());
        lines.extend(columns(&rows, 4));
        lines.push(String::new());
        lines.push(
            "each table was asked for one record that does not exist; whether writes are allowed shows only a write"
                .to_owned(),
        );
    }
    if Side::BOTH.iter().any(|side| online.sides.of(*side).identity.is_none()) {
        lines.push(String::new());
        lines.push("tables, columns and filters were not looked at: that takes both sides".to_owned());
    }
    lines.push(String::new());
    lines.join("\n") + "\n"
}

/// Says who a side is and what may be asked of it.
fn said(side: Side, met: &Met, limits: Limits) -> String {
    let Some(identity) = &met.identity else {
        return format!("{}: nothing is known of it, see below", side.name());
    };
    let what = match side {
        Side::Erp => "company",
        Side::Crm => "organization",
    };
    format!(
        "{}: {what} `{}` ({}); {}; {} at once, {} in {}, batches of {}, pages of {}",
        side.name(),
        identity.name,
        identity.id,
        clock(met.clock),
        plural(met.concurrency as u64, "request", "requests"),
        count(limits.requests as u64),
        plural(limits.per_seconds as u64, "second", "seconds"),
        count(limits.batch as u64),
        plural(limits.page as u64, "record", "records"),
    )
}

/// Says how far a clock is from ours; an answer tells whole seconds, so less than that is none.
fn clock(offset: Option<ClockOffset>) -> String {
    let Some(ClockOffset { ms_min, ms_max }) = offset else { return "its answers tell no time".to_owned() };
    let seconds = |ms: i64| format!("{}.{} s", ms / 1_000, ms % 1_000 / 100);
    match (ms_min, ms_max) {
        (min, max) if min <= 0 && 0 <= max => "its clock agrees with ours".to_owned(),
        (min, max) if min > 0 => format!("its clock is {} to {} ahead of ours", seconds(min), seconds(max)),
        (min, max) => format!("its clock is {} to {} behind ours", seconds(-max), seconds(-min)),
    }
}

fn rights(met: &SideMet) -> String {
    list(&met.needs.iter().map(|right| right.key().to_owned()).collect::<Vec<_>>())
}

fn filtering(side: Side, filter: &Filtering) -> String {
    match filter {
        Filtering::None => String::new(),
        Filtering::There => format!("evaluated by the {}", side.name()),
        Filtering::Partly(ours) => {
            let ours: Vec<String> = ours.iter().map(|term| format!("`{term}`")).collect();
            format!("evaluated by the {}, save {}", side.name(), list(&ours))
        }
        Filtering::Here => format!("evaluated here: every record of the {} is read", side.name()),
    }
}

/// What both sides say, in JSON.
#[derive(Serialize)]
pub struct OnlineDocument<'a> {
    erp: SideDocument<'a>,
    crm: SideDocument<'a>,
    tables: Vec<TableDocument<'a>>,
}

#[derive(Serialize)]
struct SideDocument<'a> {
    id: Option<String>,
    name: Option<&'a str>,
    /// By how many milliseconds its clock is ahead of ours, at least and at most.
    clock_ahead_ms: Option<[i64; 2]>,
    limits: LimitsDocument,
}

#[derive(Serialize)]
struct LimitsDocument {
    concurrency: usize,
    requests: usize,
    per_seconds: usize,
    batch: usize,
    page: usize,
}

#[derive(Serialize)]
struct TableDocument<'a> {
    table: &'a str,
    erp: TableSideDocument<'a>,
    crm: TableSideDocument<'a>,
}

#[derive(Serialize)]
struct TableSideDocument<'a> {
    /// `read`, `create`, `update`, `delete`.
    needs: Vec<&'static str>,
    /// `none`, `there`, `partly` or `here`.
    filter: &'static str,
    /// The terms of the filter that are evaluated here while the others are not.
    filtered_here: &'a [String],
}

/// Returns what both sides say, for programs.
pub fn document<'a>(online: &'a Online, pipeline: &Pipeline) -> OnlineDocument<'a> {
    let PerSide { erp, crm } = PerSide::from_fn(|side| {
        let met = online.sides.of(side);
        let Limits { requests, per_seconds, batch, page, .. } = pipeline.connections.of(side).limits;
        SideDocument {
            id: met.identity.as_ref().map(|identity| identity.id.to_string()),
            name: met.identity.as_ref().map(|identity| identity.name.as_str()),
            clock_ahead_ms: met.clock.map(|clock| [clock.ms_min, clock.ms_max]),
            limits: LimitsDocument { concurrency: met.concurrency, requests, per_seconds, batch, page },
        }
    });
    let tables = online.tables.iter().map(|table| TableDocument {
        table: &table.table,
        erp: side_document(&table.sides.erp),
        crm: side_document(&table.sides.crm),
    });
    OnlineDocument { erp, crm, tables: tables.collect() }
}

fn side_document(met: &SideMet) -> TableSideDocument<'_> {
    let (filter, filtered_here): (_, &[String]) = match &met.filter {
        Filtering::None => ("none", &[]),
        Filtering::There => ("there", &[]),
        Filtering::Partly(ours) => ("partly", ours),
        Filtering::Here => ("here", &[]),
    };
    TableSideDocument { needs: met.needs.iter().copied().map(Right::key).collect(), filter, filtered_here }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_told_as_far_as_the_answers_tell_it() {
        let offset = |ms_min, ms_max| Some(ClockOffset { ms_min, ms_max });
        for (told, expected) in [
            (None, "its answers tell no time"),
            (offset(-900, 40), "its clock agrees with ours"),
            (offset(1_250, 2_200), "its clock is 1.2 s to 2.2 s ahead of ours"),
            (offset(-61_000, -60_100), "its clock is 60.1 s to 61.0 s behind ours"),
        ] {
            assert_eq!(clock(told), expected);
        }
    }

    #[test]
    fn a_filter_says_who_evaluates_it() {
        for (filter, expected) in [
            (Filtering::None, ""),
            (Filtering::There, "evaluated by the CRM"),
            (Filtering::Partly(vec!["UPPER(city) = 'X'".into()]), "evaluated by the CRM, save `UPPER(city) = 'X'`"),
            (Filtering::Here, "evaluated here: every record of the CRM is read"),
        ] {
            assert_eq!(filtering(Side::Crm, &filter), expected);
        }
    }
}

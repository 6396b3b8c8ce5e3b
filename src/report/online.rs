//! What both sides say of a pipeline: who they are, how far they are, and, table map by table map, what a run needs to be
//! allowed there and who evaluates the filter.

use serde::Serialize;

use crate::config::check::Part;
use crate::config::{Limits, PerSide, Side};
use crate::endpoint::{Grant, Right};
use crate::online::{Filtering, Met, Online, Rights, SideMet, TableMet, told};
use crate::report::layout::{columns, count, list, plural};

/// Returns what the sides say, for people, with a blank line at its end; nothing where they were not asked.
pub fn text(met: Option<(&Online, &Part)>) -> String {
    let Some((online, part)) = met else { return String::new() };
    let limits = |side: Side| part.connections.of(side).as_ref().map(|connection| connection.limits);
    let side = |side: Side| said(side, online.sides.of(side), limits(side));
    let mut lines: Vec<String> = Side::BOTH.into_iter().map(side).collect();
    if !online.tables.is_empty() {
        let mut rows = vec![["table", "side", "needs the right to", "and has", "filter"].map(str::to_owned).to_vec()];
        for table in &online.tables {
            for side in Side::BOTH {
                let name = if side == Side::Erp { table.table.clone() } else { String::new() };
                rows.push(match table.sides.of(side) {
                    Some(met) => {
                        vec![name, side.name().to_owned(), needs(met), has(met), filtering(side, &met.filter)]
                    }
                    None => vec![name, side.name().to_owned(), "not known".to_owned()],
                });
            }
        }
        lines.push(String::new());
        lines.extend(columns(&rows, 5));
        lines.push(String::new());
        // A table that refused is told as not known, and proves nothing.
        let answered = |table: &TableMet| table.sides.erp.is_some() && table.sides.crm.is_some();
        let asked = if online.tables.iter().all(answered) { "each table" } else { "each table that is known" };
        lines.push(format!(
            "{asked} was asked for one record at most, which proves that it may be read; whether what is unknown is allowed \
             shows only a write"
        ));
        let mut refusals: Vec<&String> = online.tables.iter().filter_map(refusal).collect();
        refusals.dedup();
        lines.extend(refusals.iter().map(|refusal| format!("what the login may do is not told to it: {refusal}")));
    }
    let closed: Vec<Side> = Side::BOTH.into_iter().filter(|side| online.sides.of(*side).identity.is_none()).collect();
    for side in &closed {
        lines.push(String::new());
        lines.push(format!("tables, columns and filters of the {} were not looked at", side.name()));
    }
    if closed.len() < 2 && !part.broken.is_empty() {
        let names: Vec<String> = part.broken.iter().map(|name| format!("`{name}`")).collect();
        lines.push(String::new());
        lines.push(format!(
            "table maps that are wrong in the file itself were held against neither side: {}",
            list(&names)
        ));
    }
    lines.push(String::new());
    lines.join("\n") + "\n"
}

/// Says who a side is and what may be asked of it.
fn said(side: Side, met: &Met, limits: Option<Limits>) -> String {
    let (Some(identity), Some(limits)) = (&met.identity, limits) else {
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
        met.clock.map_or_else(|| "its answers tell no time".to_owned(), |clock| format!("its clock {}", told(clock))),
        plural(met.concurrency as u64, "request", "requests"),
        count(limits.requests as u64),
        plural(limits.per_seconds as u64, "second", "seconds"),
        count(limits.batch as u64),
        plural(limits.page as u64, "record", "records"),
    )
}

/// Returns why a side does not tell the rights of the login.
fn refusal(table: &TableMet) -> Option<&String> {
    Side::BOTH.into_iter().find_map(|side| match &table.sides.of(side).as_ref()?.rights {
        Rights::Refused(message) => Some(message),
        _ => None,
    })
}

fn needs(met: &SideMet) -> String {
    list(&met.needs.iter().map(|right| named(*right)).collect::<Vec<_>>())
}

/// Names a right in a list, as a role of the CRM has it.
fn named(right: Right) -> String {
    right.key().replace('_', " ")
}

fn has(met: &SideMet) -> String {
    let names = |grants: &[Grant]| list(&grants.iter().map(|grant| named(grant.right)).collect::<Vec<_>>());
    match &met.rights {
        _ if met.needs == [Right::Read] && !matches!(met.rights, Rights::Told { .. }) => "all of it".to_owned(),
        Rights::Untold | Rights::Refused(_) => "read; the rest unknown".to_owned(),
        Rights::Told { missing, partly } if missing.is_empty() && partly.is_empty() => "all of it".to_owned(),
        Rights::Told { missing, partly } if partly.is_empty() => format!("all but {}", names(missing)),
        Rights::Told { missing, partly } if missing.is_empty() => format!("all of it, {} for a part", names(partly)),
        Rights::Told { missing, partly } => format!("all but {}, {} for a part", names(missing), names(partly)),
    }
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
    /// `null` where the file does not say how to reach the side.
    limits: Option<LimitsDocument>,
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
    /// `null` where the side could not be asked, or does not have the table.
    erp: Option<TableSideDocument<'a>>,
    crm: Option<TableSideDocument<'a>>,
}

#[derive(Serialize)]
struct TableSideDocument<'a> {
    /// `read`, `create`, `update`, `delete`, `assign`, `append`, `append_to`.
    needs: Vec<&'static str>,
    /// Whether what the login has of them is `told` by the side, told with the first write only (`untold`), or `refused` to
    /// this login.
    rights: &'static str,
    /// What it does not have, and what for a part of the records only; `null` where the side does not tell.
    missing: Option<Vec<&'static str>>,
    partly: Option<Vec<&'static str>>,
    /// `none`, `there`, `partly` or `here`.
    filter: &'static str,
    /// The terms of the filter that are evaluated here while the others are not.
    filtered_here: &'a [String],
}

/// Returns what both sides say, for programs.
pub fn document<'a>(online: &'a Online, part: &Part) -> OnlineDocument<'a> {
    let PerSide { erp, crm } = PerSide::from_fn(|side| {
        let met = online.sides.of(side);
        let limits = part.connections.of(side).as_ref().map(|connection| connection.limits);
        SideDocument {
            id: met.identity.as_ref().map(|identity| identity.id.to_string()),
            name: met.identity.as_ref().map(|identity| identity.name.as_str()),
            clock_ahead_ms: met.clock.map(|clock| [clock.ms_min, clock.ms_max]),
            limits: limits.map(|Limits { requests, per_seconds, batch, page, .. }| LimitsDocument {
                concurrency: met.concurrency,
                requests,
                per_seconds,
                batch,
                page,
            }),
        }
    });
    let tables = online.tables.iter().map(|table| TableDocument {
        table: &table.table,
        erp: table.sides.erp.as_ref().map(side_document),
        crm: table.sides.crm.as_ref().map(side_document),
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
    let keys = |grants: &[Grant]| grants.iter().map(|grant| grant.right.key()).collect();
    let (rights, missing, partly) = match &met.rights {
        Rights::Untold => ("untold", None, None),
        Rights::Refused(_) => ("refused", None, None),
        Rights::Told { missing, partly } => ("told", Some(keys(missing)), Some(keys(partly))),
    };
    let needs = met.needs.iter().copied().map(Right::key).collect();
    TableSideDocument { needs, rights, missing, partly, filter, filtered_here }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_login_has_is_told_beside_what_it_needs() {
        let grant = |right: Right| Grant { right, name: String::new(), reach: crate::endpoint::Reach::Part };
        let told = |missing: &[Right], partly: &[Right]| Rights::Told {
            missing: missing.iter().copied().map(grant).collect(),
            partly: partly.iter().copied().map(grant).collect(),
        };
        let (all, read) = ([Right::Read, Right::Create, Right::AppendTo], [Right::Read]);
        for (needs, rights, expected) in [
            (&all[..], Rights::Untold, "read; the rest unknown"),
            (&read, Rights::Untold, "all of it"),
            (&all, Rights::Refused("no".into()), "read; the rest unknown"),
            (&all, told(&[], &[]), "all of it"),
            (&all, told(&[Right::Create, Right::AppendTo], &[]), "all but create and append to"),
            (&read, told(&[], &[Right::Read]), "all of it, read for a part"),
            (&all, told(&[Right::Create], &[Right::Read]), "all but create, read for a part"),
        ] {
            let met = SideMet { needs: needs.to_vec(), rights, filter: Filtering::None };
            assert_eq!(has(&met), expected);
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

//! Records that were asked for by name: what was decided about each and why, and which were left as they are.

use std::collections::BTreeMap;

use serde::Serialize;
use uuid::Uuid;

use crate::config::Side;
use crate::delta::Overwritten;
use crate::plan::ActionKind;
use crate::report::layout::{called, count, list, plural};
use crate::run::account::{RunReport, TableReport};
use crate::run::chosen::{Chosen, Follows, Standing};

/// Values that the text shows one by one.
const VALUES_MAX: usize = 20;

/// Says of a single record which side changed since it was last settled, what goes where and why; nothing where several
/// were asked for.
pub fn advice(report: &RunReport) -> Option<String> {
    let mut all = report.tables.iter().flat_map(|table| &table.selected);
    let chosen = all.next()?;
    // A guard, a failure and what is left alone speak for themselves.
    if all.next().is_some() || report.tables.iter().any(|table| table.error.is_some() || table.guarded.is_some()) {
        return None;
    }
    let Chosen { record, outlook, standing, .. } = chosen;
    if matches!(standing, Standing::Outside | Standing::Alone | Standing::Apart | Standing::Later) {
        return None;
    }
    let goes = |to: Side| {
        let fields = outlook.to.of(to);
        let names: Vec<String> = fields.iter().map(|(field, _)| field.clone()).collect();
        let mut reasons: Vec<&str> = Vec::new();
        for (_, why) in fields {
            if !reasons.contains(&why.as_str()) {
                reasons.push(why);
            }
        }
        let verb = if names.len() == 1 { "goes" } else { "go" };
        format!("{} {verb} to the {} ({})", list(&names), to.name(), reasons.join("; "))
    };
    let mut parts = Vec::new();
    if let Some(Follows { action, side, why }) = &outlook.follows {
        let then = if *action == ActionKind::Delete {
            format!("; it is deleted in the {} too", side.name())
        } else {
            String::new()
        };
        parts.push(format!("{why}{then}"));
    } else if let Some(side) = outlook.created {
        parts.push(format!("only the {} has it; it is created in the {}", side.other().name(), side.name()));
    }
    let to: Vec<Side> = [Side::Crm, Side::Erp].into_iter().filter(|to| !outlook.to.of(*to).is_empty()).collect();
    match to[..] {
        [to] if outlook.contested.is_empty() => parts.push(format!("one side has something new: {}", goes(to))),
        [to] => parts.push(goes(to)),
        [one, other] => {
            parts.push(format!("both sides have something new, and both are kept: {}, {}", goes(one), goes(other)));
        }
        _ => {}
    }
    if !outlook.contested.is_empty() {
        let (fields, were) =
            (list(&outlook.contested), if outlook.contested.len() == 1 { "differs" } else { "differ" });
        let again = |to: &str| format!("`pipeline run FILE --only {record} --force {to}`");
        parts.push(format!(
            "{fields} {were}, and nothing says who is right, so neither is overwritten: {} lets the ERP win, {} the CRM",
            again("to_crm"),
            again("to_erp")
        ));
    }
    match (parts.is_empty(), standing) {
        (true, Standing::Waits(_)) => None,
        (true, _) => Some(format!("{record}: neither side changed since it was last settled: there is nothing to do")),
        (false, _) => Some(format!("{record}: {}", parts.join("; "))),
    }
}

/// Returns the records that were asked for and left as they are; what waits for a person is listed elsewhere.
pub(super) fn left(tables: &[TableReport]) -> Vec<String> {
    let all = || tables.iter().flat_map(|table| &table.selected);
    let stays = all().filter_map(|chosen| Some(format!("  {}: {}", chosen.record, reason(chosen)?)));
    let stays: Vec<String> = stays.collect();
    if stays.is_empty() {
        return stays;
    }
    let heading =
        format!("asked for and left as they are: {} of {}", count(stays.len() as u64), count(all().count() as u64));
    [vec![heading], stays].concat()
}

fn reason(chosen: &Chosen) -> Option<String> {
    let reason = match chosen.standing {
        Standing::Settled | Standing::Waits(_) | Standing::Later => return None,
        Standing::Undone => "something would go the other way than `--direction`",
        Standing::Outside => "outside the filter; it is left alone until it comes back",
        Standing::Alone => {
            let why = chosen.outlook.unpartnered.as_deref().unwrap_or("see `create` and `match`");
            return Some(format!("not coupled, and no partner is made: {why}"));
        }
        Standing::Apart => "kept apart: neither matched nor created until somebody couples it",
    };
    Some(reason.to_owned())
}

/// Says that records stay as they are although somebody asked for them; what waits, and what goes the way that was left out,
/// is told elsewhere.
pub(super) fn stays(tables: &[TableReport]) -> Option<String> {
    let stays = |chosen: &&Chosen| reason(chosen).is_some() && chosen.standing != Standing::Undone;
    let number = tables.iter().flat_map(|table| &table.selected).filter(stays).count() as u64;
    let stays = if number == 1 { "stays as it is" } else { "stay as they are" };
    (number > 0).then(|| format!("{} {stays}", plural(number, "record", "records")))
}

/// Says how much would go the way that `--direction` leaves out.
pub(super) fn undone(tables: &[TableReport]) -> Option<String> {
    let undone = |to: Side| tables.iter().map(|table| *table.undone.of(to)).sum::<u64>();
    let to = Side::BOTH.into_iter().find(|to| undone(*to) > 0)?;
    let (records, side) = (plural(undone(to), "record", "records"), to.name());
    Some(format!("the other direction was left out: {records} would go to the {side}"))
}

/// Returns what gave way where one side was to win, or would, side by side and value by value.
pub fn overwritten(tables: &[TableReport], names: &BTreeMap<Uuid, String>, dry_run: bool) -> Vec<String> {
    Side::BOTH.into_iter().flat_map(|to| overwritten_on(to, tables, names, dry_run)).collect()
}

fn overwritten_on(to: Side, tables: &[TableReport], names: &BTreeMap<Uuid, String>, dry_run: bool) -> Vec<String> {
    let all = tables.iter().flat_map(|table| &table.overwritten);
    let all: Vec<&Overwritten> = all.filter(|lost| lost.to == to).collect();
    if all.is_empty() {
        return Vec::new();
    }
    let would = if dry_run { "would be overwritten" } else { "overwritten" };
    let winner = to.other().name();
    let mut lines = vec![format!("{would}, as the {winner} wins: {}", plural(all.len() as u64, "value", "values"))];
    for lost in all.iter().take(VALUES_MAX) {
        let Overwritten { record, field, old, new, .. } = lost;
        let [old, new] = [old, new].map(|text| called(names, text));
        lines.push(format!("  {record} {field}: the {} loses {old} for {new}", to.name()));
    }
    if all.len() > VALUES_MAX {
        lines.push(format!("  and {} more; `--format json` lists all", count((all.len() - VALUES_MAX) as u64)));
    }
    lines
}

/// A record that was asked for, as a document.
#[derive(Serialize)]
pub(super) struct ChosenDocument<'a> {
    record: &'a str,
    standing: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<&'static str>,
    to_crm: Vec<FieldDocument<'a>>,
    to_erp: Vec<FieldDocument<'a>>,
    contested: &'a [String],
    /// Why it gets no partner; absent where it gets one, and where none are made.
    #[serde(skip_serializing_if = "Option::is_none")]
    unpartnered: Option<&'a str>,
    /// Absent where no record of the pair was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    follows: Option<FollowsDocument<'a>>,
}

/// What follows from the deletion of a record.
#[derive(Serialize)]
struct FollowsDocument<'a> {
    action: &'static str,
    side: &'static str,
    why: &'a str,
}

#[derive(Serialize)]
struct FieldDocument<'a> {
    field: &'a str,
    why: &'a str,
}

/// A value that gave way, as a document.
#[derive(Serialize)]
pub(super) struct OverwrittenDocument<'a> {
    table: &'a str,
    record: &'a str,
    field: &'a str,
    side: &'static str,
    old: &'a str,
    new: &'a str,
}

/// Returns the records of a table map that were asked for.
pub(super) fn chosen_documents(table: &TableReport) -> Vec<ChosenDocument<'_>> {
    table.selected.iter().map(chosen_document).collect()
}

fn chosen_document(chosen: &Chosen) -> ChosenDocument<'_> {
    ChosenDocument {
        record: &chosen.record,
        standing: chosen.standing.key(),
        created: chosen.outlook.created.map(Side::key),
        to_crm: field_documents(&chosen.outlook.to.crm),
        to_erp: field_documents(&chosen.outlook.to.erp),
        contested: &chosen.outlook.contested,
        unpartnered: chosen.outlook.unpartnered.as_deref(),
        follows: chosen.outlook.follows.as_ref().map(|Follows { action, side, why }| FollowsDocument {
            action: action.key(),
            side: side.key(),
            why,
        }),
    }
}

fn field_documents(fields: &[(String, String)]) -> Vec<FieldDocument<'_>> {
    fields.iter().map(|(field, why)| FieldDocument { field, why }).collect()
}

/// Returns the values of a table map that gave way.
pub(super) fn overwritten_documents(table: &TableReport) -> Vec<OverwrittenDocument<'_>> {
    table.overwritten.iter().map(overwritten_document).collect()
}

fn overwritten_document(lost: &Overwritten) -> OverwrittenDocument<'_> {
    let Overwritten { table, record, field, to, old, new, .. } = lost;
    OverwrittenDocument { table, record, field, side: to.key(), old, new }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PerSide;
    use crate::report::samples;
    use crate::run::account::RunOutcome;
    use crate::run::chosen::Outlook;
    use crate::store::InboxKind;

    fn report(chosen: &[Chosen]) -> RunReport {
        let table = TableReport { table: "customers".into(), selected: chosen.to_vec(), ..TableReport::default() };
        RunReport { tables: vec![table], ..samples::run() }
    }

    fn chosen(standing: Standing, to_erp: &[&str], to_crm: &[&str], contested: &[&str]) -> Chosen {
        let edited = |side: &str, fields: &[&str]| {
            fields.iter().map(|field| ((*field).to_owned(), format!("edited in the {side}"))).collect()
        };
        let to = PerSide { erp: edited("CRM", to_erp), crm: edited("ERP", to_crm) };
        let contested = contested.iter().map(|field| (*field).to_owned()).collect();
        Chosen {
            record: "customers:1".into(),
            standing,
            coupled: true,
            outlook: Outlook { to, contested, ..Outlook::default() },
        }
    }

    #[test]
    fn a_single_record_is_told_what_goes_where_and_why() {
        use Standing::Settled;
        let contested = Standing::Waits(InboxKind::Contested);
        let created = Outlook { created: Some(Side::Crm), ..Outlook::default() };
        let follows = |action: ActionKind, why: &str| {
            let follows = Follows { action, side: Side::Erp, why: why.into() };
            Chosen {
                coupled: true,
                outlook: Outlook { follows: Some(follows), ..Outlook::default() },
                ..chosen(Settled, &[], &[], &[])
            }
        };
        for (chosen, expected) in [
            (
                chosen(Settled, &[], &["name", "city"], &[]),
                "one side has something new: name and city go to the CRM (edited in the ERP)",
            ),
            (
                chosen(Settled, &["name"], &[], &[]),
                "one side has something new: name goes to the ERP (edited in the CRM)",
            ),
            (chosen(Settled, &[], &[], &[]), "neither side changed since it was last settled: there is nothing to do"),
            (
                chosen(Settled, &["city"], &["name"], &[]),
                "both sides have something new, and both are kept: name goes to the CRM (edited in the ERP), city goes \
                 to the ERP (edited in the CRM)",
            ),
            (
                chosen(contested, &["city"], &[], &["name"]),
                "city goes to the ERP (edited in the CRM); name differs, and nothing says who is right, so neither is \
                 overwritten: `pipeline run FILE --only customers:1 --force to_crm` lets the ERP win, `pipeline run FILE \
                 --only customers:1 --force to_erp` the CRM",
            ),
            (
                Chosen { outlook: created, ..chosen(Settled, &[], &[], &[]) },
                "only the ERP has it; it is created in the CRM",
            ),
            (
                follows(ActionKind::Delete, "deleted in the CRM, and not edited in the ERP since"),
                "deleted in the CRM, and not edited in the ERP since; it is deleted in the ERP too",
            ),
            (
                follows(ActionKind::KeepApart, "deleted in the CRM; the two are kept apart from now on"),
                "deleted in the CRM; the two are kept apart from now on",
            ),
        ] {
            let told = advice(&report(std::slice::from_ref(&chosen)));
            assert_eq!(told, Some(format!("customers:1: {expected}")));
        }
        let one = chosen(Settled, &[], &[], &[]);
        assert_eq!(advice(&report(&[one.clone(), one])), None);
        assert_eq!(advice(&report(&[chosen(Standing::Outside, &[], &[], &[])])), None);
        assert_eq!(advice(&report(&[chosen(Standing::Waits(InboxKind::Failed), &[], &[], &[])])), None);
    }

    #[test]
    fn what_is_left_as_it_is_is_counted_and_named() {
        let all = [Standing::Settled, Standing::Alone, Standing::Waits(InboxKind::Failed), Standing::Apart];
        let all = all.map(|standing| chosen(standing, &[], &[], &[]));
        assert_eq!(
            left(&report(&all).tables),
            [
                "asked for and left as they are: 2 of 4",
                "  customers:1: not coupled, and no partner is made: see `create` and `match`",
                "  customers:1: kept apart: neither matched nor created until somebody couples it"
            ]
        );
        assert!(left(&report(&all[..1]).tables).is_empty());
        assert_eq!(stays(&report(&all).tables), Some("2 records stay as they are".into()));
        assert_eq!(stays(&report(&[chosen(Standing::Undone, &[], &[], &[])]).tables), None);
        let apart = RunReport { outcome: RunOutcome::Incomplete, inbox: Vec::new(), ..report(&all[3..]) };
        let told = crate::report::run::text(&apart);
        assert!(told.ends_with("not everything agrees: wrote nothing; 1 record stays as it is\n"), "{told}");
    }
}

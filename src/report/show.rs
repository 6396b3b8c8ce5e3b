//! A saved plan, or a part of it, as `plan` prints it, with what it was made for.

use crate::binding;
use crate::config::PerSide;
use crate::plan::choice::Choice;
use crate::plan::{FieldChange, Plan};
use crate::report::layout::list;
use crate::report::notes::Notes;
use crate::report::plan::{self, Shown};
use crate::report::saved::Saved;
use crate::store::InboxItem;

/// Which part of a plan is shown.
#[derive(Debug, Clone, Default)]
pub struct Part {
    pub choice: Choice,
    /// Fields by their column on either side; none named means all.
    pub fields: Vec<String>,
}

/// Returns a saved plan for people: what it was made for, then the part asked for.
pub fn text(saved: &Saved, part: &Part) -> String {
    let read = if saved.asked.changed { "what was changed" } else { "everything" };
    let only = match saved.asked.only.as_slice() {
        [] => String::new(),
        only => format!(", only {}", list(only)),
    };
    let ways = [("direction", saved.asked.to), ("force", saved.asked.force)];
    let ways = ways.map(|(option, to)| to.map_or_else(String::new, |to| format!(", `--{option} to_{}`", to.key())));
    let head = [
        format!("saved plan of `{}`, made {} by {}", saved.plan.pipeline, saved.moment, saved.program),
        format!("  file:  {}", saved.file),
        format!("  state: {}", saved.state),
        format!("  for:   {}", binding::names(&saved.binding.sides)),
        format!("  read:  {read}{only}{}", ways.concat()),
    ];
    let whole = part.choice.is_all() && part.fields.is_empty();
    let note = if whole { "" } else { "a part of it:\n\n" };
    format!("{}\n\n{note}{}", head.join("\n"), with(saved, part, plan::text_of))
}

/// Returns the part asked for as the document that `plan` prints.
pub fn json(saved: &Saved, part: &Part) -> String {
    with(saved, part, plan::json_of)
}

/// Names a field that the plan does not know, if one was asked for.
pub fn unknown_field<'a>(saved: &Saved, part: &'a Part) -> Option<&'a str> {
    let known = |name: &String| {
        let columns = saved.columns.values().flatten();
        let written = saved.plan.actions().flat_map(|action| &action.fields).map(|change| &change.column);
        columns.flat_map(|columns| [&columns.erp, &columns.crm]).flatten().chain(written).any(|column| column == name)
    };
    part.fields.iter().find(|name| !known(name)).map(String::as_str)
}

fn with(saved: &Saved, part: &Part, print: impl Fn(&Shown<'_>) -> String) -> String {
    let (mut plan, inbox) = (cut(saved, part), waiting(saved, part));
    for why in plan.tables.iter_mut().filter_map(|table| table.guarded.as_mut()) {
        *why = without_this(why);
    }
    let unfinished = saved.shown().unfinished;
    let meant = |(table, _): &(&str, &str)| part.choice.holds_record(table, "", PerSide::default());
    // Whoever asks for a field asks for what is written there.
    let notes = if part.fields.is_empty() { saved.notes.part(&part.choice) } else { Notes::default() };
    print(&Shown {
        plan: &plan,
        inbox: &inbox,
        unfinished: unfinished.into_iter().filter(meant).collect(),
        notes,
        ..saved.shown()
    })
}

/// Takes out of what a guard says that `show` would show it: whoever reads this is looking at it.
fn without_this(why: &str) -> String {
    let parts = why.split_once("`pipeline show ").and_then(|(before, after)| {
        let (_, rest) = after.split_once("` shows them; ")?;
        Some(format!("{before}{rest}"))
    });
    parts.unwrap_or_else(|| why.to_owned())
}

/// Returns the part of the plan that is asked for.
fn cut(saved: &Saved, part: &Part) -> Plan {
    let mut plan = part.choice.part(&saved.plan);
    if part.fields.is_empty() {
        return plan;
    }
    for table in &mut plan.tables {
        let columns = saved.columns.get(&table.table).map_or(&[][..], Vec::as_slice);
        let asked = |change: &FieldChange| {
            let columns = change.field.and_then(|field| columns.get(field));
            let own = columns.into_iter().flat_map(|columns| [&columns.erp, &columns.crm]).flatten();
            own.chain([&change.column]).any(|column| part.fields.contains(column))
        };
        for action in &mut table.actions {
            action.fields.retain(asked);
            action.follow_ups.retain(|then| part.fields.contains(&then.from) || part.fields.contains(&then.to));
        }
        table.actions.retain(|action| !action.fields.is_empty() || !action.follow_ups.is_empty());
        table.drifted.retain(|drifted| part.fields.contains(&drifted.column));
        table.later.clear();
    }
    plan
}

/// Returns what waits of the part that is asked for.
fn waiting(saved: &Saved, part: &Part) -> Vec<InboxItem> {
    let meant = |item: &&InboxItem| {
        let ids = PerSide { erp: item.erp_id, crm: item.crm_id };
        let columns = saved.columns.get(&item.table).map_or(&[][..], Vec::as_slice);
        // An item names its field by the ERP column, else by the CRM column.
        let asked = |name: &String| {
            let named = columns.iter().filter(|columns| columns.erp.as_ref().or(columns.crm.as_ref()) == Some(name));
            named.flat_map(|columns| [&columns.erp, &columns.crm]).flatten().any(|column| part.fields.contains(column))
        };
        part.choice.holds_record(&item.table, &item.record, ids)
            && (part.fields.is_empty() || item.field.as_ref().is_some_and(asked))
    };
    saved.inbox.iter().filter(meant).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;
    use insta::assert_snapshot;

    #[test]
    fn a_saved_plan_says_for_what_it_was_made_and_what_it_would_do() {
        assert_snapshot!("show_text", text(&samples::saved(), &Part::default()));
    }

    #[test]
    fn a_part_of_a_plan_keeps_the_hash_of_the_whole() {
        let saved = samples::saved();
        let part = |records: &[&str], fields: &[&str]| {
            let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
            Part { choice: Choice { tables: Vec::new(), records: owned(records) }, fields: owned(fields) }
        };
        assert_snapshot!("show_part", text(&saved, &part(&["50000", "10000"], &[])));
        for field in ["creditLimit", "creditlimit"] {
            let part = part(&[], &[field]);
            assert_eq!(unknown_field(&saved, &part), None);
            let shown = cut(&saved, &part);
            let columns: Vec<&str> =
                shown.actions().flat_map(|action| &action.fields).map(|change| change.column.as_str()).collect();
            assert!(!columns.is_empty() && columns.iter().all(|column| *column == "creditLimit"), "{columns:?}");
        }
        assert_eq!(unknown_field(&saved, &part(&[], &["name", "nmae"])), Some("nmae"));
    }

    #[test]
    fn what_a_guard_stopped_does_not_point_to_itself() {
        let mut saved = samples::saved();
        saved.plan.tables[1].guarded = samples::guarded().guarded;
        let told = text(&saved, &Part::default());
        let expected = "nothing of it was written: if they are meant, `pipeline apply state/full.db.guarded.plan`";
        assert!(told.contains(expected) && !told.contains("pipeline show"), "{told}");
        assert!(told.trim_end().ends_with(&saved.plan.hash()), "{told}");
    }

    #[test]
    fn the_document_is_that_of_plan() {
        let report = samples::planned();
        assert_eq!(json(&samples::saved(), &Part::default()), plan::json(&report));
    }
}

//! A plan as a file that outlives the run that made it: JSON that people can read and compare, and that comes back
//! exactly as it was.
//!
//! Every value keeps its type: texts, whole numbers, `true`, `false` and null are those of JSON, the others say what they
//! are, as in `{"decimal": "20000.00"}`. The document says for which file, state, company and organization it was made;
//! it holds values of records, and no address and no secret. Its hash is that of the decisions, the same for the same ones;
//! its seal covers everything that it says, so that nobody approves what was not planned. Where the file is kept is not known here.

mod form;

use std::collections::BTreeMap;

use serde::Deserialize;
use uuid::Uuid;

use crate::binding::Binding;
use crate::config::{PerSide, Pipeline, Side};
use crate::delta::decided::spoken;
use crate::plan::{Plan, TablePlan};
use crate::report::document;
use crate::report::notes::Notes;
use crate::report::plan::Shown;
use crate::report::saved::form::Document;
use crate::run::account::{RunOutcome, RunReport};
use crate::store::InboxItem;

/// The format that this program writes and reads.
pub const FORMAT: u64 = 1;

/// How every saved plan begins, after the blanks that JSON allows.
const FIRST_KEY: &str = "\"plan_format\"";

/// A plan with all that has to hold when it is carried out.
#[derive(Debug, Clone, PartialEq)]
pub struct Saved {
    /// The program that made it, with its version.
    pub program: String,
    /// Where the pipeline file is.
    pub file: String,
    /// The [`crate::plan::fingerprint`] of the file's text, in which variables are not filled in.
    pub fingerprint: String,
    /// Where the state is.
    pub state: String,
    /// To what the state belongs.
    pub binding: Binding,
    pub asked: AskedFor,
    /// When it was made, RFC 3339.
    pub moment: String,
    pub plan: Plan,
    /// What waits for a person, as the plan shows it.
    pub inbox: Vec<InboxItem>,
    /// Table maps that could not be decided, and why.
    pub unfinished: Vec<(String, String)>,
    pub notes: Notes,
    /// What people call the records that values point to.
    pub names: BTreeMap<Uuid, String>,
    /// By table map, the columns of each field map.
    pub columns: BTreeMap<String, Vec<PerSide<Option<String>>>>,
}

/// What of everything was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AskedFor {
    /// Only changes were read.
    pub changed: bool,
    /// Table maps and records by name; none means all.
    pub only: Vec<String>,
    /// The one side that is written.
    pub to: Option<Side>,
    /// The one side that gives way in two-way fields.
    pub force: Option<Side>,
}

/// From where a plan is.
#[derive(Debug, Clone, Copy)]
pub struct Origins<'a> {
    pub program: &'a str,
    pub file: &'a str,
    pub fingerprint: &'a str,
    pub state: &'a str,
    pub asked: &'a AskedFor,
}

/// Why a text is no plan that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error("it is no saved plan")]
    NoPlan,
    #[error("it is a plan of format {found}, and this program reads format {FORMAT}")]
    Format { found: String },
    #[error("it is damaged: {0}")]
    Damaged(String),
    #[error("it was changed after it was made: it does not fit its seal")]
    Changed,
}

impl Saved {
    /// Takes what a dry run decided.
    pub fn of(report: &RunReport, pipeline: &Pipeline, origins: &Origins<'_>) -> Saved {
        let unfinished = report.tables.iter().filter_map(|table| Some((table.table.clone(), table.error.clone()?)));
        let columns = |name: &str| {
            let map = pipeline.tables.iter().find(|map| map.name == name)?;
            let columns = map.fields.iter().map(|field| PerSide { erp: field.erp.clone(), crm: field.crm.clone() });
            Some((name.to_owned(), columns.collect()))
        };
        Saved {
            program: origins.program.to_owned(),
            file: origins.file.to_owned(),
            fingerprint: origins.fingerprint.to_owned(),
            state: origins.state.to_owned(),
            binding: report.binding.clone(),
            asked: origins.asked.clone(),
            moment: report.started.clone(),
            plan: report.plan.clone(),
            inbox: report.inbox.iter().cloned().map(spoken).collect(),
            unfinished: unfinished.collect(),
            notes: Notes::of(report),
            names: report.names.clone(),
            columns: report.plan.tables.iter().filter_map(|table| columns(&table.table)).collect(),
        }
    }

    /// Takes what the guards of a run stopped; nothing where no guard did, or nothing can be done about it.
    pub fn stopped(report: &RunReport, pipeline: &Pipeline, origins: &Origins<'_>) -> Option<Saved> {
        let stopped = |table: &TablePlan| table.guarded.is_some() && !table.actions.is_empty();
        let mut part = report.clone();
        part.plan.tables.retain(stopped);
        let tables: Vec<String> = part.plan.tables.iter().map(|table| table.table.clone()).collect();
        if tables.is_empty() {
            return None;
        }
        part.tables.retain(|table| tables.contains(&table.table));
        part.inbox.retain(|item| tables.contains(&item.table));
        let asked = AskedFor { only: tables, ..origins.asked.clone() };
        Some(Saved::of(&part, pipeline, &Origins { asked: &asked, ..*origins }))
    }

    /// Returns it as it was printed when it was made.
    pub fn shown(&self) -> Shown<'_> {
        Shown {
            plan: &self.plan,
            hash: self.plan.hash(),
            inbox: &self.inbox,
            names: &self.names,
            unfinished: self.unfinished.iter().map(|(table, error)| (table.as_str(), error.as_str())).collect(),
            tables: &[],
            notes: self.notes.clone(),
            interrupted: false,
        }
    }
}

/// Tells whether a plan is whole enough to be carried out.
pub fn is_whole(report: &RunReport) -> bool {
    report.outcome != RunOutcome::Interrupted
}

/// Returns the text of the file.
pub fn text(saved: &Saved) -> String {
    document(&Document::of(saved)) + "\n"
}

/// Reads the text of a file.
pub fn read(text: &str) -> Result<Saved, Unusable> {
    #[derive(Deserialize)]
    struct Head {
        plan_format: Option<serde_json::Value>,
    }
    if !begins_as_plan(text) {
        return Err(Unusable::NoPlan);
    }
    let damaged = |error: serde_json::Error| Unusable::Damaged(error.to_string());
    let head: Head = serde_json::from_str(text).map_err(damaged)?;
    let format = head.plan_format.unwrap_or_default();
    if format.as_u64() != Some(FORMAT) {
        return Err(Unusable::Format { found: format.to_string() });
    }
    let mut document: Document = serde_json::from_str(text).map_err(damaged)?;
    let (is_as_made, hash) = (document.is_as_made(), document.hash.clone());
    let saved = document.into_saved().map_err(Unusable::Damaged)?;
    if is_as_made && saved.plan.hash() == hash { Ok(saved) } else { Err(Unusable::Changed) }
}

/// Tells by its beginning whether a text is, or was, a saved plan.
pub fn begins_as_plan(text: &str) -> bool {
    text.trim_start().strip_prefix('{').is_some_and(|text| text.trim_start().starts_with(FIRST_KEY))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Side;
    use crate::frame::Value;
    use crate::plan::{Action, ActionKind, FieldChange};
    use crate::report::samples;
    use insta::assert_snapshot;

    /// A plan of one action that writes these values.
    fn of_values(values: Vec<Value>) -> Saved {
        let mut saved = samples::saved();
        let change = |new| FieldChange {
            column: "name".into(),
            field: None,
            old: Value::Null,
            new,
            why: "\"quoted\" \u{1F600}\n".into(),
        };
        let action = Action {
            table: "customers".into(),
            record: "customers:10000".into(),
            side: Side::Crm,
            kind: ActionKind::Update,
            why: String::new(),
            ids: PerSide { erp: Uuid::from_u128(1), crm: Uuid::max() },
            etag: Some("W/\"7\"".into()),
            fields: values.into_iter().map(change).collect(),
            follow_ups: Vec::new(),
        };
        saved.plan.tables[1].actions = vec![action];
        saved
    }

    #[test]
    fn every_value_comes_back_exactly() {
        let saved = of_values(vec![
            Value::Null,
            Value::Text(String::new()),
            Value::Text("20000.00 {\"decimal\": 1}\u{0}".into()),
            Value::Integer(i64::MIN),
            Value::Decimal("20000.0000".parse().unwrap()),
            Value::Decimal("-79228162514264337593543950335".parse().unwrap()),
            Value::Decimal("0.0000000000000000000000000001".parse().unwrap()),
            Value::Boolean(false),
            Value::Date("0001-01-01".parse().unwrap()),
            Value::Date("9999-12-31".parse().unwrap()),
            Value::DateTime("2026-01-31T02:00:00.123456789Z".parse().unwrap()),
            Value::Guid(Uuid::nil()),
            Value::Link { table: "accounts".into(), id: Uuid::from_u128(2) },
        ]);
        let back = read(&text(&saved)).unwrap();
        // Equal decimals may differ in their digits; what they print as must not.
        assert_eq!(format!("{back:?}"), format!("{saved:?}"));
        assert_eq!(back, saved);
        assert_eq!(text(&back), text(&saved));
    }

    #[test]
    fn every_kind_of_action_comes_back_and_reads_well() {
        let mut saved = samples::saved();
        saved.plan.tables[1].guarded = Some("too many".into());
        saved.plan.tables[1].drifted = samples::drifted();
        saved.unfinished = vec![("items".into(), "CRM cannot be reached".into())];
        saved.inbox[0].since = "2026-01-30T02:00:00Z".into();
        saved.inbox[0].attempts = 3;
        // What a side refused before is shown beside what the plan holds.
        let refused = InboxItem { message: "refused before".into(), ..saved.inbox[0].clone() };
        saved.inbox.insert(1, refused);
        saved.asked = AskedFor { changed: true, to: Some(Side::Crm), force: Some(Side::Crm), ..saved.asked };
        assert_eq!(read(&text(&saved)).unwrap(), saved);
        assert_snapshot!("saved_plan", text(&saved));
    }

    #[test]
    fn what_is_no_plan_is_told_from_one_that_is_damaged() {
        let good = text(&samples::saved());
        let nested = format!("{{\"plan_format\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        let foreign = |text: &str| matches!(read(text), Err(Unusable::NoPlan));
        let damaged = |text: &str| matches!(read(text), Err(Unusable::Damaged(_)));
        assert!(["", "version: 1", "{}", "[]", "{\"plan\": 1}", "{\"pipeline\": \"full\"}"].into_iter().all(foreign));
        assert!(damaged(&nested));
        for end in (20..good.len() - 2).step_by(97).filter(|end| good.is_char_boundary(*end)) {
            assert!(damaged(&good[..end]), "cut at {end}");
        }
        for (from, to) in [
            ("\"side\": \"erp\"", "\"side\": \"left\""),
            ("\"action\": \"insert\"", "\"action\": \"upsert\""),
            ("\"decimal\": \"20000.05\"", "\"decimal\": \"many\""),
            ("\"mode\": \"full\"", "\"mode\": \"half\""),
            ("\"why\"", "\"because\""),
            ("00000000-0000-0000-0000-000000000001", "1"),
        ] {
            assert!(good.contains(from), "{from}");
            assert!(damaged(&good.replace(from, to)), "{from}");
        }
        let later = good.replace("\"plan_format\": 1", "\"plan_format\": 2");
        assert_eq!(read(&later), Err(Unusable::Format { found: "2".into() }));
        // Whoever approves a plan sees what was made, to the last word.
        for (from, to) in [
            ("20000.05", "20000.06"),
            ("\"record\": \"", "\"record\": \"another "),
            ("\"program\": \"pipeline ", "\"program\": \"pipeline 9"),
            ("\"mode\": \"full\"", "\"mode\": \"changed\""),
            ("\"only\": [", "\"only\": [\n    \"items\","),
            ("\"moment\": \"2", "\"moment\": \"3"),
            ("\"plan_format\": 1,", "\"plan_format\": 1,\n  \"force\": \"to_erp\","),
            ("\"unfinished\": [", "\"unfinished\": [\n    { \"table\": \"items\", \"error\": \"none\" }"),
        ] {
            assert!(good.contains(from), "{from}: {good}");
            assert_eq!(read(&good.replacen(from, to, 1)), Err(Unusable::Changed), "{from}");
        }
        // A plan of another program, of the same format, is as good.
        let other = Saved { program: "pipeline 9.9.9".into(), ..samples::saved() };
        assert_eq!(read(&text(&other)), Ok(other));
    }
}

//! The verdicts on one pair's fields, turned into at most one update a side, and what has to wait.

use uuid::Uuid;

use crate::config::{Drift, PerSide, Side};
use crate::delta::judging::{Told, View};
use crate::delta::merge::{Verdict, Why, unfilled};
use crate::delta::{Decisions, Held, Overwritten, Rounded, Settled, Unclear, Work, decided, failure, link};
use crate::frame::Value;
use crate::plan::{Action, ActionKind, Drifted, FieldChange};
use crate::store::InboxKind;
use crate::translate::convert::Problem;

/// Decides one pair by what was told of its fields; adds what comes out.
///
/// A field that fails for a side takes the pair's other fields with it there: a record is written whole or not at all.
pub fn decide_pair(work: &Work<'_>, views: &[View<'_>], pair: usize, told: &[Told], decisions: &mut Decisions) {
    let mut deciding = Deciding {
        work,
        views,
        pair,
        ids: work.pairs.ids[pair],
        rows: work.pairs.rows[pair],
        record: work.names.pair(work.frames, work.pairs.rows[pair]),
        changes: PerSide::default(),
        failed: PerSide::default(),
        only_decided: true,
        overwritten: Vec::new(),
        decisions,
    };
    for told in told {
        deciding.field(told);
    }
    deciding.finish();
}

/// A pair while its fields are gone through.
struct Deciding<'a> {
    work: &'a Work<'a>,
    views: &'a [View<'a>],
    pair: usize,
    ids: PerSide<Uuid>,
    rows: PerSide<usize>,
    record: String,
    changes: PerSide<Vec<FieldChange>>,
    failed: PerSide<bool>,
    /// Nothing changes but what a person decided.
    only_decided: bool,
    overwritten: Vec<Overwritten>,
    decisions: &'a mut Decisions,
}

impl Deciding<'_> {
    fn field(&mut self, &Told { field, verdict, settled, terms, stands, is_silent }: &Told) {
        if is_silent {
            self.decisions.silent.push((self.pair, field));
        }
        if stands {
            self.decisions.standing.push((self.pair, field));
        }
        match verdict {
            Verdict::Equal | Verdict::Known => {
                self.decisions.settled.push(Settled { pair: self.pair, field, base: settled, terms });
            }
            // The base stays: what it remembers is what an edit meanwhile is told by.
            Verdict::Wait => {}
            // As with what waits, the base stays: it remembers what the file may want restored one day.
            Verdict::Drifted => self.drift(field),
            Verdict::Contested(standoff) => self.hold(InboxKind::Contested, field, None, standoff.to_string()),
            Verdict::Unfilled => {
                let settled = self.work.pairs.bases[field][self.pair].is_some();
                self.hold(InboxKind::Contested, field, None, unfilled(settled).into());
            }
            Verdict::Fail(to) => self.give_up(field, to),
            // The base stays, and so does what the rest of the record needs.
            Verdict::Illegible(to) => self.await_readable(field, to),
            Verdict::Put(on) => match decided::put(self.work, field, self.ids, self.rows) {
                Ok(put) => {
                    for to in Side::BOTH {
                        self.changes.of_mut(to).extend(put.of(to).clone());
                    }
                }
                // It goes to both sides or to none.
                Err((to, problem)) => {
                    self.failed = PerSide { erp: true, crm: true };
                    self.fail(field, to, &format!("{problem} ({})", Why::Decided(on)));
                }
            },
            Verdict::Write(to, why) => self.write(field, to, why, settled),
        }
    }

    /// Returns what both sides hold in a field, as people read it; `None` where it has no column there.
    fn values(&self, field: usize) -> PerSide<Option<String>> {
        PerSide::from_fn(|side| {
            let column = self.work.map.fields[field].column(side)?;
            Some(self.work.frames.of(side).value(column, *self.rows.of(side)).to_string())
        })
    }

    fn held(&self, kind: InboxKind, field: usize, to: Option<Side>, message: String) -> Held {
        Held {
            kind,
            record: self.record.clone(),
            ids: PerSide { erp: Some(self.ids.erp), crm: Some(self.ids.crm) },
            field: Some(field),
            values: self.values(field),
            to,
            message,
        }
    }

    fn hold(&mut self, kind: InboxKind, field: usize, to: Option<Side>, message: String) {
        let held = self.held(kind, field, to, message);
        self.decisions.held.push(held);
    }

    /// Nothing of the pair goes to that side, for the reason that is given.
    fn fail(&mut self, field: usize, to: Side, problem: &str) {
        *self.failed.of_mut(to) = true;
        let message = failure(&self.record, to, self.work.map.fields[field].name(), problem);
        self.hold(InboxKind::Failed, field, Some(to), message);
    }

    /// The value that would go over is none that the side can hold.
    fn give_up(&mut self, field: usize, to: Side) {
        let arriving = self.views[field].arriving.of(to).as_ref();
        match arriving.and_then(|all| all.problems.get(self.rows.of(to.other()))) {
            Some(problem @ Problem::Awaited { .. }) => {
                *self.failed.of_mut(to) = true;
                let message = format!("{}: {problem}", self.work.map.fields[field].name());
                let later = self.held(InboxKind::Failed, field, Some(to), message);
                self.decisions.later.push(later);
            }
            problem => {
                let problem = problem.map_or_else(|| "no value".to_owned(), Problem::to_string);
                self.fail(field, to, &problem);
            }
        }
    }

    /// The value would lead to a record that cannot be read.
    fn await_readable(&mut self, field: usize, to: Side) {
        let arriving = self.views[field].arriving.of(to).as_ref();
        let problem = arriving.and_then(|all| all.problems.get(self.rows.of(to.other())));
        let held = self.held(InboxKind::Failed, field, Some(to), String::new());
        self.decisions.unclear.push(Unclear::new(held, self.work.map.fields[field].name(), problem));
    }

    /// Somebody edited the side that does not own the field: it is told where the file wants that, and left.
    fn drift(&mut self, field: usize) {
        let map = &self.work.map.fields[field];
        if map.drift != Drift::Report {
            return;
        }
        let side = if map.writes(Side::Crm) { Side::Crm } else { Side::Erp };
        let translator = self.views[field].translators.of(side).as_ref();
        let owned = translator.and_then(|translator| translator.value(*self.rows.of(side.other())).ok());
        let held = self.values(field).of(side).clone();
        self.decisions.drifted.push(Drifted {
            record: self.record.clone(),
            ids: self.ids,
            field,
            column: map.column(side).unwrap_or_default().to_owned(),
            side,
            owned: owned.map_or_else(String::new, |value| value.to_string()),
            held: held.unwrap_or_default(),
        });
    }

    fn write(&mut self, number: usize, to: Side, why: Why, settled: PerSide<u64>) {
        let work = self.work;
        let field = &work.map.fields[number];
        self.only_decided &= matches!(why, Why::Decided(_));
        let column = field.column(to).expect("a field that writes to a side has a column there");
        if work.infos.of(to).column(column).is_some_and(|info| !info.updatable) {
            self.fail(number, to, &format!("`{column}` cannot be changed once the record exists"));
            return;
        }
        let translator = self.views[number].translators.of(to).as_ref();
        let source_row = *self.rows.of(to.other());
        let new = translator.map_or(Ok(Value::Null), |translator| translator.value(source_row));
        let source = translator.and_then(|translator| translator.rounded(source_row));
        if let (Some(from), Ok(into)) = (source, &new) {
            let (from, into) = (from.to_string(), into.to_string());
            self.decisions.rounded.push(Rounded { field: number, to, record: self.record.clone(), from, into });
        }
        // What is unresolved and may be written at all is to be cleared.
        let new = link(work, number, to, new.unwrap_or(Value::Null));
        let old = work.frames.of(to).value(column, *self.rows.of(to));
        if self.is_lost(number, to, why, &old, settled) && !self.may_lose(number, to, &old, &new) {
            return;
        }
        // A constant has nobody who could have edited it.
        let why = if field.column(to.other()).is_none() { Why::Owner(to.other()) } else { why };
        let change = FieldChange { column: column.to_owned(), field: Some(number), old, new, why: why.to_string() };
        self.changes.of_mut(to).push(change);
    }

    /// Tells whether somebody's value is lost by a write: in a settled pair one that was edited since, in a new one,
    /// where nobody has agreed to any, whatever is not blank.
    fn is_lost(&self, field: usize, to: Side, why: Why, old: &Value, settled: PerSide<u64>) -> bool {
        match (why, self.work.pairs.bases[field][self.pair]) {
            (Why::Forced(_), _) => true,
            // That side cleared it by itself.
            (Why::Restored(_), _) => false,
            (_, Some(base)) => base.of(to) != settled.of(to),
            (_, None) => !old.is_blank(),
        }
    }

    /// Where a person lets one side win, tells whether he was shown this loss, and notes it; else anything may be lost.
    ///
    /// An owner and a policy have their say on either side then, too, and whoever was asked has agreed to no other loss.
    fn may_lose(&mut self, number: usize, to: Side, old: &Value, new: &Value) -> bool {
        let Some(force) = self.work.force else { return true };
        let field = &self.work.map.fields[number];
        if !force.covers(&self.work.map.name, self.ids, field, to, || old.to_string()) {
            let message = format!(
                "the {} would lose a value that nobody was shown before this was agreed to; the next run decides",
                to.name()
            );
            self.hold(InboxKind::Contested, number, None, message);
            return false;
        }
        self.overwritten.push(Overwritten {
            table: self.work.map.name.clone(),
            record: self.record.clone(),
            ids: self.ids,
            field: field.name().to_owned(),
            to,
            old: old.to_string(),
            new: new.to_string(),
        });
        true
    }

    fn finish(self) {
        let Deciding { work, decisions, failed, mut changes, .. } = self;
        if self.only_decided && !(changes.erp.is_empty() && changes.crm.is_empty()) {
            decisions.decided.push(self.pair);
        }
        decisions.overwritten.extend(self.overwritten.into_iter().filter(|lost| !failed.of(lost.to)));
        for to in Side::BOTH {
            let fields = std::mem::take(changes.of_mut(to));
            if fields.is_empty() || *failed.of(to) {
                continue;
            }
            decisions.actions.push(Action {
                table: work.map.name.clone(),
                record: self.record.clone(),
                side: to,
                kind: ActionKind::Update,
                why: summary(&fields),
                ids: self.ids,
                etag: work.frames.of(to).etag(*self.rows.of(to)),
                fields,
                follow_ups: Vec::new(),
            });
        }
    }
}

/// Joins the reasons of the fields, each once.
fn summary(fields: &[FieldChange]) -> String {
    let mut reasons: Vec<&str> = Vec::new();
    for field in fields {
        if !reasons.contains(&field.why.as_str()) {
            reasons.push(&field.why);
        }
    }
    reasons.join("; ")
}

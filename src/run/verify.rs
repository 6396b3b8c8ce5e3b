//! Outcomes in: frames brought up to date, bases moved, couplings of what was found, and what has to be decided again.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::apply::{Applied, couplings_after};
use crate::config::{PerSide, Side};
use crate::couple::rows_by_id;
use crate::delta::Held;
use crate::endpoint::{EndpointError, Outcome};
use crate::frame::unreadable::Unreadable;
use crate::plan::{Action, ActionKind};
use crate::run::bases::{Agreeing, move_bases};
use crate::run::failures::{failed, kept_out, reason};
use crate::run::kept::{self, kept_of, still_to_write};
use crate::run::marks;
use crate::run::read_back::ReadBack;
use crate::run::refusals::{print_of, sources};
use crate::run::rows::without;
use crate::run::state::PassState;
use crate::run::step::{PassError, Step};
use crate::run::unanswered::Tried;
use crate::run::unreadable;
use crate::run::verdict::{News, Next, Verdict, judge, next};
use crate::run::written::{Before, Proof, Written, before_write};
use crate::store::{Agreement, Answer, CouplingChange, Origin, Store};

/// Counts what a side confirmed, but for deletions, of which only reading tells, and ends the pass where it cannot be spoken
/// to any more: what it did not carry out stays as it was, held against no record, and what nobody knows of is settled by the
/// next run's reading, as after a crash.
pub(super) fn count_confirmed(
    step: &Step<'_>,
    state: &mut PassState,
    to: Side,
    actions: &[Action],
    applied: &Applied,
) -> Result<(), EndpointError> {
    for (action, outcome) in actions.iter().zip(&applied.outcomes) {
        if *outcome == Outcome::Written && action.kind != ActionKind::Delete {
            state.tally.count(to, &action.kind, action.ids.erp);
        }
    }
    step.context.endpoints.of(to).line().lost().map_or(Ok(()), Err)
}

/// What a round leaves for the next one.
#[derive(Default)]
pub(super) struct Aftermath {
    /// Pairs to decide again, by their ERP ids.
    pub(super) again: HashSet<Uuid>,
    /// Records, by the side where they are, whose new partner did not arrive.
    pub(super) waiting: PerSide<Vec<Uuid>>,
    /// Pairs that a side would not have, by that side: they are not tried twice in one run.
    pub(super) refused: PerSide<HashSet<Uuid>>,
    /// Why nobody knows what became of the latest write to a side, by the ERP id of the pair.
    pub(super) unanswered: HashMap<(Side, Uuid), String>,
    /// What was known of the records before they were written.
    pub(super) known: marks::Before,
}

/// Takes the outcomes of one side's writes: reads what only reading tells, judges each write, and carries out what follows.
pub(super) fn verify(
    step: &Step<'_>,
    store: &mut dyn Store,
    state: &mut PassState,
    to: Side,
    actions: &[Action],
    applied: Applied,
    after: &mut Aftermath,
) -> Result<(), PassError> {
    let Applied { outcomes, journal, rows: shown, .. } = applied;
    let before = before_write(&state.records, step.map, to, actions);
    let sources = sources(&state.records, to, actions);
    let back = ReadBack::read(step, state, to, (actions, &outcomes), &shown)?;
    state.records.refresh(to, &[&without(&shown, |id| back.row(*id).is_some()), back.frame()]);
    let rows = rows_by_id(state.records.frame(to));
    let mut taking = Taking {
        step,
        to,
        before,
        sources,
        rows,
        news: Journal::default(),
        written: Vec::new(),
        certain: HashMap::new(),
    };
    for ((action, outcome), journal_id) in actions.iter().zip(&outcomes).zip(journal) {
        let erp = action.ids.erp;
        match outcome {
            Outcome::Unknown { message } => drop(after.unanswered.insert((to, erp), message.clone())),
            _ => drop(after.unanswered.remove(&(to, erp))),
        }
        let evidence = back.of(to, action);
        let verdict = judge(outcome, evidence);
        if let Some(why) = back.unreadable(*action.ids.of(to)) {
            taking.take_unreadable(state, (action, journal_id), verdict, why);
            state.tally.goes_outside(erp);
            continue;
        }
        match verdict {
            Verdict::Written(proof, news) => taking.take_written(state, after, (action, journal_id), proof, news),
            Verdict::InPart => taking.take_part(state, &back, (action, journal_id), reason(outcome)),
            Verdict::Awaited => taking.await_record(state, after, (action, journal_id), reason(outcome)),
            Verdict::Open => {}
            Verdict::Gone => state.waits.hold(failed(action, "it was deleted there during the run")),
            Verdict::Refused => taking.take_refusal(state, action, reason(outcome)),
            Verdict::KeptOut => {
                state.refusals.note_unsent(action);
                let message = kept_out(&action.record, to, outcome, reason(outcome));
                state.waits.hold(Held { message, ..failed(action, "") });
            }
        }
        match next(verdict, evidence) {
            Next::Again => drop(after.again.insert(erp)),
            Next::Outside => state.tally.goes_outside(erp),
            Next::Over => drop(after.refused.of_mut(to).insert(erp)),
        }
    }
    after.again.retain(|erp| !state.tally.gone_outside().contains(erp));
    taking.settle(store, state, &back, actions, &after.known)
}

/// What the state is told of writes that it does not know the end of.
#[derive(Default)]
struct Journal {
    answers: Vec<Answer>,
    couplings: Vec<CouplingChange>,
}

impl Journal {
    fn take(&mut self, journal_id: i64, action: &Action, news: News) {
        match news {
            News::Nothing => {}
            News::Written => self.tell(journal_id, "written", ""),
            News::Found => {
                self.tell(journal_id, "found", "");
                self.couplings.extend(couplings_after(action));
            }
        }
    }

    fn tell(&mut self, journal_id: i64, outcome: &str, message: &str) {
        self.answers.push(Answer { journal_id, outcome: outcome.to_owned(), message: message.to_owned() });
    }
}

/// The writes to one side, as they are taken one after the other.
struct Taking<'a> {
    step: &'a Step<'a>,
    to: Side,
    /// What the records held before, and the rows of those that they come from.
    before: Before,
    sources: HashMap<Uuid, usize>,
    /// The rows of the side by now.
    rows: HashMap<Uuid, usize>,
    news: Journal,
    written: Vec<Written<'a>>,
    /// By ERP id, the pairs of which the record is as we left it, and whether that is certain.
    certain: HashMap<Uuid, bool>,
}

impl<'a> Taking<'a> {
    /// Takes a record that is there: what of it was not taken still has to be written, the rest is settled.
    fn take_written(
        &mut self,
        state: &mut PassState,
        after: &mut Aftermath,
        (action, journal_id): (&'a Action, i64),
        proof: Proof,
        news: News,
    ) {
        self.news.take(journal_id, action, news);
        let (to, erp) = (self.to, action.ids.erp);
        let on_paper = state.on_paper(self.step.context);
        self.certain.insert(erp, proof == Proof::Returned);
        let row = self.rows.get(action.ids.of(to)).copied();
        let mut kept = Vec::new();
        if let Some(row) = row.filter(|_| proof != Proof::Found && !on_paper) {
            let frame = state.records.frame(to);
            kept = kept_of((to, self.step.forms(to)), (frame, row, proof), &self.before, action);
            if !kept.is_empty() {
                let rest = still_to_write(action, &kept);
                let message = kept::told(&rest, frame, row);
                self.news.tell(journal_id, "kept", &message);
                self.take_refusal(state, &rest, &message);
                after.refused.of_mut(to).insert(erp);
            }
        }
        self.written.push(Written { action, proof, kept });
        state.tally.count(to, &action.kind, erp);
        if !action.kind.makes_record() {
            return;
        }
        self.end_tries(state, action, journal_id);
        if let (Some(row), Some(&source)) = (row, self.sources.get(action.ids.of(to.other()))) {
            let mut rows = PerSide { erp: source, crm: source };
            *rows.of_mut(to) = row;
            state.records.couple(action.ids, rows, Origin::Created(to));
        }
    }

    /// Notes of a new record that is there that all attempts to make it are over.
    fn end_tries(&mut self, state: &mut PassState, action: &Action, journal_id: i64) {
        let source = *action.ids.of(self.to.other());
        let on_paper = state.on_paper(self.step.context);
        if let Some(tried) = state.unanswered.take_tried(self.to, source).filter(|_| !on_paper) {
            let earlier = tried.journal.into_iter().filter(|earlier| *earlier != journal_id);
            earlier.for_each(|earlier| self.news.tell(earlier, "sent again", ""));
        }
        state.report.uncoupled += u64::from(action.kind != ActionKind::Insert);
    }

    /// Takes a record that is there and cannot be read any more: that it was written stands, what it holds now nobody knows.
    fn take_unreadable(
        &mut self,
        state: &mut PassState,
        (action, journal_id): (&Action, i64),
        verdict: Verdict,
        why: &Unreadable,
    ) {
        let (to, id) = (self.to, *action.ids.of(self.to));
        // What was written counts as written; what is told besides is about reading.
        let mut failed = failed(action, "");
        let mut left_alone = "is left alone".to_owned();
        // Of an update without an answer the next run that can read it finds out what became of it.
        if let Verdict::Written(_, news) = verdict {
            self.news.take(journal_id, action, news);
            state.tally.count(to, &action.kind, action.ids.erp);
            failed.to = None;
            left_alone = format!("was changed in the {}, and is left alone since", to.name());
            if action.kind.makes_record() {
                self.end_tries(state, action, journal_id);
                state.aside.note_made(action.ids);
                left_alone = format!("was created in the {}, and is left alone since", to.name());
            }
        }
        let which = unreadable::which(self.step.map, to, id, why);
        let message = unreadable::told(&action.record, &left_alone, &which);
        let ids = PerSide { erp: Some(action.ids.erp), crm: Some(action.ids.crm) };
        let field = unreadable::field_of(self.step.map, to, why);
        state.waits.hold(Held { ids, field, message, ..failed });
        state.aside.note_unreadable(to, [(id, which)]);
    }

    /// Takes an update whose answer was lost: what is there of it is settled, whatever became of the rest.
    fn take_part(
        &mut self,
        state: &mut PassState,
        back: &ReadBack,
        (action, journal_id): (&'a Action, i64),
        message: &str,
    ) {
        let missing = back.missing((self.to, self.step.forms(self.to)), action, &self.before);
        match &missing {
            Some(missing) if missing.is_empty() => {
                self.news.tell(journal_id, "found", "");
                self.certain.insert(action.ids.erp, false);
                state.tally.count(self.to, &action.kind, action.ids.erp);
            }
            Some(missing) if missing.len() < action.fields.len() => {
                self.news.tell(journal_id, "found in part", message);
            }
            _ => self.news.tell(journal_id, "not found", message),
        }
        self.written.extend(missing.map(|kept| Written { action, proof: Proof::Read, kept }));
    }

    /// Takes a new record that is not there yet: it is made once more, under the same key where it may still come.
    fn await_record(
        &mut self,
        state: &mut PassState,
        after: &mut Aftermath,
        (action, journal_id): (&Action, i64),
        message: &str,
    ) {
        let source = *action.ids.of(self.to.other());
        let sent = action.fields.iter().map(|change| (change.column.as_str(), change.new.to_string()));
        match Tried::of(self.step.scope.infos.of(self.to), *action.ids.of(self.to), sent, journal_id) {
            Some(tried) => state.unanswered.note_tried(self.to, source, tried),
            None => self.news.tell(journal_id, "not found", message),
        }
        after.waiting.of_mut(self.to.other()).push(source);
    }

    /// Takes what a side would not have.
    fn take_refusal(&self, state: &mut PassState, action: &Action, message: &str) {
        let print = print_of(&state.records, self.step.map, action, &self.before, &self.sources);
        state.refusals.note(action, message, print);
        state.waits.hold(failed(action, message));
    }

    /// Tells the state what it did not know, and moves the bases of what was written.
    fn settle(
        self,
        store: &mut dyn Store,
        state: &mut PassState,
        back: &ReadBack,
        actions: &[Action],
        known: &marks::Before,
    ) -> Result<(), PassError> {
        let Taking { step, to, before, sources, news, written, certain, .. } = self;
        let agreeing = Agreeing::new(state.work(step), (to, step.forms(to)), &sources);
        let agreed = |record: &Written<'_>| {
            let row = back.row(*record.action.ids.of(to)).filter(|_| record.proof != Proof::Found)?;
            let fields = agreeing.on(record.action, &record.kept, Some((back.frame(), row, record.proof)));
            Some(Agreement { ids: record.action.ids, fields })
        };
        let agreements: Vec<Agreement> = written.iter().filter_map(agreed).collect();
        if !news.answers.is_empty() || !news.couplings.is_empty() {
            store.answer(&news.answers, &step.map.name, &news.couplings, &agreements)?;
        }
        let outside = state.tally.gone_outside();
        state.records.keep_pairs(|ids| !outside.contains(&ids.erp));
        move_bases(step, state, to, &written, (&sources, &before));
        state.forced.note(step, &state.records, to, &written);
        marks::after_write(&mut state.records, to, actions, known, |action| certain.get(&action.ids.erp).copied());
        Ok(())
    }
}

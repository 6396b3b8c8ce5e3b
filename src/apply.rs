//! Actions in, outcomes out: bounded batches to one side, an intent on disk before each and an outcome after.
//!
//! A batch is sent once. What the side did with each record comes back as an outcome of its own, so that one record's
//! trouble stays its own (I4); what the side did not say is left open in the journal, for whoever reads the record next.
//! Couplings of new records are written together with the outcome that proves them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use uuid::Uuid;

use crate::address::when_settled;
use crate::config::{PerSide, Side, TableMap};
use crate::couple::rows_by_id;
use crate::endpoint::{Endpoint, Outcome, Report, TableInfo, Write, WriteKind};
use crate::frame::Frame;
use crate::plan::{Action, ActionKind};
use crate::store::{Agreed, Agreement, Answer, CouplingChange, Intent, Origin, Store, StoreError};

/// Where actions go.
pub struct Target<'a> {
    pub map: &'a TableMap,
    pub endpoint: &'a dyn Endpoint,
    pub info: &'a TableInfo,
    /// Columns that the side returns of each written record.
    pub columns: &'a [String],
    /// The id of the run, for the journal.
    pub run: &'a str,
    /// Set when the run has to end; what is under way is finished.
    pub stop: &'a AtomicBool,
}

/// What became of actions.
#[derive(Debug)]
pub struct Applied {
    /// One for each action that was sent, in order; shorter than the actions where the run was stopped, or the side lost.
    pub outcomes: Vec<Outcome>,
    /// The number in the journal of each action that was sent.
    pub journal: Vec<i64>,
    /// The written records as their side returned them.
    pub rows: Frame,
    /// The ids of new records whose key their side gave, by those that the actions have.
    pub given: HashMap<Uuid, Uuid>,
}

/// Why a change was not sent. That does not pass by itself.
const UNVERSIONED: &str = "it came without its version (`@odata.etag`), and a change would go over whatever somebody edits \
                           meanwhile; look at what stands between here and the service and takes it away";

/// A written record as an answer shows it: the frame, and its row there.
pub type Shown<'a> = (&'a Frame, usize);

/// Carries out inserts, updates and deletions on `side`, all of one table map.
///
/// `agreed` says what a pair agrees on once an action on it is carried out: as far as it is known beforehand that is kept with
/// the intent, and as the answer shows the record it is a base from then on. So a run that is cut off leaves nothing behind
/// that could be taken for somebody's edit. An answer that shows no record leaves its intent open, for whoever reads it; so
/// does one to a deletion, whose coupling ends when the record is seen to be gone.
/// `done` hears how many actions have an outcome.
pub fn apply(
    actions: &[Action],
    side: Side,
    target: &Target<'_>,
    store: &mut dyn Store,
    mut rows: Frame,
    agreed: &dyn Fn(&Action, Option<Shown<'_>>) -> Vec<Agreed>,
    done: &dyn Fn(usize),
) -> Result<Applied, StoreError> {
    let (outcomes, journal, given) = (Vec::new(), Vec::new(), HashMap::new());
    let mut applied = Applied { outcomes, journal, rows: Frame::empty(Vec::new()), given };
    let (empty, mut left) = (rows.take(&[]), actions);
    while !left.is_empty() && !target.stop.load(Ordering::Relaxed) && target.endpoint.line().lost().is_none() {
        // A side that has trouble takes less at once, and more again when it is well.
        let batch_max = target.endpoint.batch_max().max(1);
        let wave_max = batch_max * target.endpoint.line().concurrency().max(1);
        let wave;
        (wave, left) = left.split_at(wave_max.min(left.len()));
        let told = |action: &Action| match action.kind {
            ActionKind::Delete => ending(intent(action, side), store, target.map, action.ids),
            _ => Ok(Intent { agreed: agreed(action, None), ..intent(action, side) }),
        };
        let intents: Vec<Intent> = wave.iter().map(told).collect::<Result<_, _>>()?;
        let journal = store.intend(target.run, &intents)?;
        let batches: Vec<&[Action]> = wave.chunks(batch_max).collect();
        let reports: Vec<Report> = std::thread::scope(|threads| {
            let sent: Vec<_> =
                batches.iter().map(|batch| threads.spawn(|| send(batch, side, target, &empty))).collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, Report>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            sent.into_iter().map(join).collect()
        });
        let mut outcomes = Vec::with_capacity(wave.len());
        // By id, the number of the report that shows a written record, and its row there.
        let mut shown: HashMap<Uuid, (usize, usize)> = HashMap::new();
        for (number, report) in reports.iter().enumerate() {
            rows.append(&report.rows);
            outcomes.extend(report.outcomes.iter().cloned());
            shown.extend(rows_by_id(&report.rows).into_iter().map(|(id, row)| (id, (number, row))));
            applied.given.extend(&report.given);
        }
        for (action, outcome) in wave.iter().zip(&mut outcomes) {
            if *outcome == Outcome::Exists
                && let Some(message) = claimed(action, side, store)?
            {
                *outcome = Outcome::Refused { message };
            }
        }
        let named: Vec<Action> = wave.iter().map(|action| named(action, side, &applied.given)).collect();
        let is_open = |action: &Action, id: &Uuid, outcome: &Outcome| match action.kind {
            ActionKind::Delete => matches!(outcome, Outcome::Written | Outcome::Gone),
            // Under a name that is only ours nobody could read it later.
            _ => {
                let unseen = !shown.contains_key(action.ids.of(side));
                *outcome == Outcome::Written && unseen && action.ids.of(side) == id
            }
        };
        let known = wave.iter().zip(&named).zip(&outcomes).zip(&journal);
        let known = known.filter(|(((sent, action), outcome), _)| !is_open(action, sent.ids.of(side), outcome));
        let answers = known.filter_map(|((_, outcome), id)| answer(outcome, *id)).collect::<Vec<_>>();
        let changes = named.iter().zip(&outcomes).flat_map(|(action, outcome)| match outcome {
            // One that is there already under the id that only this pipeline gives was made by an earlier run.
            Outcome::Written | Outcome::Exists if action.kind.makes_record() => couplings_after(action),
            _ => Vec::new(),
        });
        let agreements = named.iter().zip(intents).zip(&outcomes).filter_map(|((action, intent), outcome)| {
            let is_there = *outcome == Outcome::Written && action.kind != ActionKind::Delete;
            let fields = match shown.get(action.ids.of(side)).filter(|_| is_there) {
                Some(&(number, row)) => agreed(action, Some((&reports[number].rows, row))),
                None if is_there && *action.ids.of(side) != intent.id => intent.agreed,
                None => return None,
            };
            Some(Agreement { ids: action.ids, fields })
        });
        let (changes, agreements) = (changes.collect::<Vec<_>>(), agreements.collect::<Vec<_>>());
        store.answer(&answers, &wave[0].table, &changes, &agreements)?;
        applied.outcomes.extend(outcomes);
        applied.journal.extend(journal);
        done(applied.outcomes.len());
    }
    rows.settle();
    applied.rows = rows;
    Ok(applied)
}

/// Returns an action with the id that its side gave the new record.
fn named(action: &Action, side: Side, given: &HashMap<Uuid, Uuid>) -> Action {
    let mut action = action.clone();
    if let Some(id) = given.get(action.ids.of(side)) {
        *action.ids.of_mut(side) = *id;
    }
    action
}

/// Says who has a record that is there already, where it cannot become the partner of the one that it was to be made for.
fn claimed(action: &Action, side: Side, store: &dyn Store) -> Result<Option<String>, StoreError> {
    let id = *action.ids.of(side);
    let there = |what: &str| format!("{id} is there already and {what}; couple the record by hand");
    let coupling = store.coupling_of(&action.table, side, id)?;
    if coupling.is_some_and(|coupling| coupling.ids != action.ids) {
        return Ok(Some(there("coupled with another record")));
    }
    Ok(store.kept_apart_since(&action.table, side, id)?.map(|_| there("kept apart")))
}

/// Sends a batch, but for changes of records that came without their version where the side gives each one: those could only go
/// out unconditionally, over whatever somebody edits meanwhile (I6). `empty` is a report's frame without rows.
fn send(batch: &[Action], side: Side, target: &Target<'_>, empty: &Frame) -> Report {
    let versioned = target.endpoint.gives_versions(target.info);
    let is_blind = |action: &&Action| versioned && !action.kind.makes_record() && action.etag.is_none();
    let write = |action: &Action| Write {
        kind: match action.kind {
            ActionKind::Delete => WriteKind::Delete,
            _ if action.kind.makes_record() => WriteKind::Insert,
            _ => WriteKind::Update,
        },
        id: *action.ids.of(side),
        etag: action.etag.clone(),
        fields: action.fields.iter().map(|field| (field.column.clone(), field.new.clone())).collect(),
    };
    let writes: Vec<Write> = batch.iter().filter(|action| !is_blind(action)).map(write).collect();
    let Report { outcomes, rows, given } = match writes.is_empty() {
        true => Report { outcomes: Vec::new(), rows: empty.clone(), given: HashMap::new() },
        false => target.endpoint.write(target.info, target.columns, &writes),
    };
    let mut outcomes = outcomes.into_iter();
    let outcome = |action: &Action| match is_blind(&action) {
        true => Outcome::Barred { message: UNVERSIONED.to_owned() },
        false => outcomes.next().expect("each write that was sent has an outcome"),
    };
    Report { outcomes: batch.iter().map(outcome).collect(), rows, given }
}

/// Returns what the journal holds of an action on a side, of which nothing is agreed yet.
pub fn intent(action: &Action, side: Side) -> Intent {
    Intent {
        table: action.table.clone(),
        side,
        action: action.kind.key().to_owned(),
        id: *action.ids.of(side),
        partner: *action.ids.of(side.other()),
        record: action.record.clone(),
        also: String::new(),
        fields: action
            .fields
            .iter()
            .map(|field| (field.column.clone(), field.old.to_string(), field.new.to_string()))
            .collect(),
        why: action.why.clone(),
        agreed: Vec::new(),
    }
}

/// Adds what people called both records of a pair that ends: once they are gone only the state knows that, and only as long
/// as they are coupled.
pub fn ending(mut told: Intent, store: &dyn Store, map: &TableMap, ids: PerSide<Uuid>) -> Result<Intent, StoreError> {
    let names = when_settled(store, map, ids)?;
    if let (Some(name), true) = (&names.erp, told.record == format!("{}:{}", map.name, ids.erp)) {
        told.record = name.clone();
    }
    let other = [names.crm, names.erp].into_iter().flatten().find(|name| *name != told.record);
    told.also = other.unwrap_or_default();
    Ok(told)
}

/// Returns what the journal learns; nothing where only reading can tell.
fn answer(outcome: &Outcome, journal_id: i64) -> Option<Answer> {
    let (word, message) = match outcome {
        Outcome::Unknown { .. } => return None,
        Outcome::Written => ("written", ""),
        Outcome::Stale => ("stale", ""),
        Outcome::Gone => ("gone", ""),
        Outcome::Exists => ("exists", ""),
        Outcome::Refused { message } => ("refused", message.as_str()),
        Outcome::NotSent { message } => ("not sent", message.as_str()),
        Outcome::Barred { message } => ("not let in", message.as_str()),
    };
    Some(Answer { journal_id, outcome: word.to_owned(), message: message.to_owned() })
}

/// Returns what becomes of the couplings when an action is confirmed: a new record is coupled, and the coupling of one that
/// is gone goes.
pub fn couplings_after(action: &Action) -> Vec<CouplingChange> {
    let (erp, crm) = (action.ids.erp, action.ids.crm);
    let coupled = || CouplingChange::Couple { erp, crm, origin: Origin::Created(action.side) };
    match action.kind {
        ActionKind::Insert => vec![coupled()],
        ActionKind::Restore { gone } => {
            let old = match action.side {
                Side::Erp => CouplingChange::Uncouple { erp: gone, crm },
                Side::Crm => CouplingChange::Uncouple { erp, crm: gone },
            };
            vec![old, coupled()]
        }
        ActionKind::Delete => vec![CouplingChange::Uncouple { erp, crm }],
        _ => Vec::new(),
    }
}

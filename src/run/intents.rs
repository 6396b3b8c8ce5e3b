//! What a run that was cut off left open, settled by reading (I2).

use std::collections::{BTreeSet, HashMap, HashSet};

use uuid::Uuid;

use crate::config::{PerSide, Side, TableMap};
use crate::couple;
use crate::delta::inserts::restored_id;
use crate::extract::{self, Scope};
use crate::frame::Frame;
use crate::run::bases::terms_after;
use crate::run::context::Context;
use crate::run::given::{Sent, Trace, gives_key, sent_of, trace};
use crate::run::kept::Forms;
use crate::run::selection::Asked;
use crate::run::step::PassError;
use crate::run::unanswered::{InDoubt, Tried, Unanswered};
use crate::store::{Agreed, Agreement, Answer, CouplingChange, Intent, OpenIntent, Origin, Store};
use crate::translate::canonical::{BLANK, fingerprint};

/// A coupling that a run which was cut off had earned.
pub(super) struct Made {
    pub(super) ids: PerSide<Uuid>,
    /// The side where the record was made.
    pub(super) side: Side,
    /// The record in place of which it was made.
    pub(super) gone: Option<Uuid>,
}

/// What a run that was cut off had earned, and did not come to note.
#[derive(Default)]
pub(super) struct Earned {
    /// Couplings of records that were made after all.
    pub(super) made: Vec<Made>,
    /// What pairs agree on since a write that arrived.
    pub(super) agreements: Vec<Agreement>,
    /// New records that may still come, or of which nobody knows whether they were made; their intents stay open.
    pub(super) unanswered: Unanswered,
}

/// Settles what a run that was cut off left open.
///
/// A dry run finds out the same, and stores nothing. `asked` names the records that the run is about.
pub(super) fn settle_intents(
    context: &Context<'_>,
    store: &mut dyn Store,
    scope: &Scope,
    map: &TableMap,
    asked: Option<&Asked>,
) -> Result<Earned, PassError> {
    let mut open = store.open_intents(&map.name)?;
    // What only the reading that follows settles waits for a run that reads it. New records are coupled in any case.
    open.retain(|OpenIntent { intent, .. }| {
        let PerSide { erp, crm } = intent.ids();
        intent.action == "insert" || asked.is_none_or(|asked| asked.holds(Some(erp), Some(crm)))
    });
    if open.is_empty() {
        return Ok(Earned::default());
    }
    let couplings = store.couplings(&map.name, &[])?;
    let pairs = || couplings.erp.iter().copied().zip(couplings.crm.iter().copied());
    let partners: PerSide<HashMap<Uuid, Uuid>> =
        PerSide { erp: pairs().collect(), crm: pairs().map(|(erp, crm)| (crm, erp)).collect() };
    let (earned, renamed) = find_given(context, store, scope, map, (&mut open, asked), &partners)?;
    let there = There::read(context, scope, &open)?;
    let (answers, changes) = (Vec::new(), Vec::new());
    let mut settling = Settling { context, map, renamed, partners, answers, changes, earned };
    for OpenIntent { journal_id, intent } in open {
        settling.settle(scope, &there, journal_id, &intent);
    }
    let Settling { answers, changes, earned, .. } = settling;
    if !context.options.dry_run {
        store.answer(&answers, &map.name, &changes, &earned.agreements)?;
    }
    Ok(earned)
}

/// The records of intents, as far as they are there.
struct There {
    frames: PerSide<Frame>,
    rows: PerSide<HashMap<Uuid, usize>>,
    /// New ones that nobody but their maker has changed since.
    untouched: PerSide<HashSet<Uuid>>,
}

impl There {
    fn read(context: &Context<'_>, scope: &Scope, open: &[OpenIntent]) -> Result<There, PassError> {
        let frames = PerSide::from_fn(|side| scope.empty(side));
        let mut there = There { frames, rows: PerSide::default(), untouched: PerSide::default() };
        for side in Side::BOTH {
            let intents = || open.iter().map(|open| &open.intent).filter(|intent| intent.side == side);
            let ids: BTreeSet<Uuid> = intents().filter(|intent| intent.writes()).map(|intent| intent.id).collect();
            let endpoint = *context.endpoints.of(side);
            let found = extract::read_ids(scope, side, endpoint, ids.into_iter().collect())?;
            let rows = couple::rows_by_id(&found);
            let is_new = |intent: &&Intent| intent.action == "insert" && rows.contains_key(&intent.id);
            let new: Vec<Uuid> = intents().filter(is_new).map(|intent| intent.id).collect();
            if !new.is_empty() {
                *there.untouched.of_mut(side) = endpoint.untouched(scope.infos.of(side), &new)?;
            }
            (*there.frames.of_mut(side), *there.rows.of_mut(side)) = (found, rows);
        }
        Ok(there)
    }
}

/// Intents of a table map, as they are settled one after the other.
struct Settling<'a> {
    context: &'a Context<'a>,
    map: &'a TableMap,
    /// What records were sent under whose side gave their keys, by the ids that they have.
    renamed: HashMap<Uuid, Uuid>,
    /// By side, the partner of each record.
    partners: PerSide<HashMap<Uuid, Uuid>>,
    answers: Vec<Answer>,
    changes: Vec<CouplingChange>,
    earned: Earned,
}

impl Settling<'_> {
    fn settle(&mut self, scope: &Scope, there: &There, journal_id: i64, intent: &Intent) {
        let side = intent.side;
        let insert = intent.action == "insert";
        let row = there.rows.of(side).get(&intent.id).copied();
        if insert && row.is_some() && !self.partners.of(side).contains_key(&intent.id) {
            self.couple(intent);
        }
        // Whether all of it arrived is found out when it can be read.
        if matches!(intent.action.as_str(), "insert" | "update")
            && there.frames.of(side).unreadable(intent.id).is_some()
        {
            return;
        }
        let is_coupled = self.partners.of(side).get(&intent.id) == Some(&intent.partner);
        if let Some(row) = row.filter(|_| is_coupled && (insert || intent.action == "update")) {
            let own = there.untouched.of(side).contains(&intent.id);
            let forms = Forms::of(*self.context.endpoints.of(side));
            let found = Found { side, forms, frame: there.frames.of(side), row, written: &intent.fields, insert, own };
            let fields = intent.agreed.iter().filter_map(|agreed| found.agrees_on(self.map, agreed)).collect();
            self.earned.agreements.push(Agreement { ids: intent.ids(), fields });
        }
        // Elsewhere it is recognised by its id, whenever it comes.
        let is_alone = !self.partners.of(side.other()).contains_key(&intent.partner);
        if insert && row.is_none() && is_alone {
            let sent = intent.fields.iter().map(|(column, _, new)| (column.as_str(), new.clone()));
            if let Some(tried) = Tried::of(scope.infos.of(side), intent.id, sent, journal_id) {
                self.earned.unanswered.note_tried(side, intent.partner, tried);
                return;
            }
        }
        let outcome = became(&intent.action, row.is_some(), is_coupled).to_owned();
        let message = "the run was cut off before the answer".to_owned();
        self.answers.push(Answer { journal_id, outcome, message });
    }

    /// Couples a new record that is there with the one that it was made for, unless that one has another partner by now.
    fn couple(&mut self, intent: &Intent) {
        let (side, ids) = (intent.side, intent.ids());
        // The id alone tells that the record was made in place of one that is gone, and of which one.
        let old = self.partners.of(side.other()).get(&intent.partner).copied();
        let own = self.renamed.get(&intent.id).unwrap_or(&intent.id);
        let pipeline = &self.context.pipeline.name;
        let restores = |gone: Uuid| restored_id(pipeline, &self.map.name, side, intent.partner, gone) == *own;
        if old.is_some_and(|gone| !restores(gone)) {
            return;
        }
        if let Some(gone) = old {
            self.changes.push(match side {
                Side::Erp => CouplingChange::Uncouple { erp: gone, crm: ids.crm },
                Side::Crm => CouplingChange::Uncouple { erp: ids.erp, crm: gone },
            });
            self.partners.of_mut(side).remove(&gone);
        }
        self.partners.erp.insert(ids.erp, ids.crm);
        self.partners.crm.insert(ids.crm, ids.erp);
        let origin = Origin::Created(side);
        self.changes.push(CouplingChange::Couple { erp: ids.erp, crm: ids.crm, origin });
        self.earned.made.push(Made { ids, side, gone: old });
    }
}

/// Says what became of an intent, by what is there now. What a deletion was to remove is found gone, or found, by the reading
/// that follows.
fn became(action: &str, is_there: bool, is_coupled: bool) -> &'static str {
    match (action, is_there) {
        // What people couple and part is in the state, or is not.
        ("couple", _) if is_coupled => "done",
        ("uncouple", _) if !is_coupled => "done",
        ("couple" | "uncouple", _) => "not done",
        ("update", _) => "read again",
        (_, true) => "found",
        (_, false) => "not found",
    }
}

/// Finds the new records whose key their side gave, among all that it has: gives their intents the ids of those that were
/// made, and takes out those of which nobody knows. Returns besides what the former were sent under, by these ids.
fn find_given(
    context: &Context<'_>,
    store: &dyn Store,
    scope: &Scope,
    map: &TableMap,
    (open, asked): (&mut Vec<OpenIntent>, Option<&Asked>),
    partners: &PerSide<HashMap<Uuid, Uuid>>,
) -> Result<(Earned, HashMap<Uuid, Uuid>), PassError> {
    let (mut earned, mut renamed) = (Earned::default(), HashMap::new());
    for side in Side::BOTH.into_iter().filter(|side| gives_key(scope, map, *side)) {
        // Whoever has a partner by now was coupled by a person; the deletion that a restored one followed on is no partner.
        let is_lost = |OpenIntent { intent, .. }: &OpenIntent| {
            let partner = partners.of(side.other()).get(&intent.partner);
            let restored =
                |gone| restored_id(&context.pipeline.name, &map.name, side, intent.partner, gone) == intent.id;
            let sent = |name: &str| intent.fields.iter().any(|(column, _, new)| column == name && !new.is_empty());
            let leaves_key = !scope.left_to_side(map, side).into_iter().any(sent);
            let insert = intent.side == side && intent.action == "insert";
            insert && leaves_key && partner.is_none_or(|gone| restored(*gone))
        };
        let lost: Vec<usize> = (0..open.len()).filter(|&at| is_lost(&open[at])).collect();
        if lost.is_empty() {
            continue;
        }
        let all = extract::read_all(scope, side, *context.endpoints.of(side))?;
        let mut taken = store.kept_apart(&map.name)?.of(side).clone();
        taken.extend(partners.of(side).keys());
        let sent: Vec<Sent> = lost.iter().map(|&at| sent_of(scope, &open[at].intent)).collect();
        for (&at, trace) in lost.iter().zip(trace(side, &all, &sent, &taken, None)).rev() {
            let intent = &mut open[at].intent;
            // Who has it made anew by hand knows better.
            let PerSide { erp, crm } = intent.ids();
            let named = asked.is_some_and(|asked| asked.holds(Some(erp), Some(crm)));
            let made_anew = context.options.selection.double && named;
            match trace {
                Trace::Made(id) => drop(renamed.insert(id, std::mem::replace(&mut intent.id, id))),
                Trace::Doubt(candidates) if !made_anew => {
                    let OpenIntent { intent, .. } = open.remove(at);
                    let key = scope.key_columns(side);
                    earned.unanswered.note_doubt(InDoubt::new(side, intent.partner, candidates, &all, key));
                }
                Trace::NotMade | Trace::Doubt(_) => {}
            }
        }
    }
    Ok((earned, renamed))
}

/// A record whose write had no answer, as it was found.
struct Found<'a> {
    side: Side,
    /// The forms in which that side may keep what it is sent.
    forms: Forms,
    frame: &'a Frame,
    row: usize,
    /// Column, old and new value of what was written.
    written: &'a [(String, String, String)],
    insert: bool,
    /// Nobody but its maker has changed it since.
    own: bool,
}

impl Found<'_> {
    /// Returns what a pair agrees on of a field, by what the record holds of it; nothing where that has to be decided anew.
    fn agrees_on(&self, map: &TableMap, agreed: &Agreed) -> Option<Agreed> {
        let Found { side, forms, frame, row, written, insert, own } = *self;
        let field = map.fields.iter().find(|field| field.key() == agreed.field)?;
        let name = field.column(side)?;
        let column = frame.column(name)?;
        let (held, sent) = (frame.value(name, row), *agreed.base.of(side));
        let now = fingerprint(&held, side, column.kind);
        if now == sent {
            return Some(agreed.clone());
        }
        // It was not taken.
        if insert && now == BLANK {
            return None;
        }
        let was = written.iter().find(|(column, ..)| column == name).map(|(_, old, _)| old);
        let is_form = || column.kind.parse(agreed.values.of(side)).is_some_and(|sent| forms.are(&held, &sent));
        if (insert && own) || (was.is_none_or(|was| *was != held.to_string()) && is_form()) {
            let mut agreed = agreed.clone();
            *agreed.base.of_mut(side) = now;
            *agreed.values.of_mut(side) = held.to_string();
            agreed.terms = terms_after(field, agreed.base, false);
            return Some(agreed);
        }
        // A new record arrived as a whole, so another value somebody typed. Of an update nobody knows that.
        insert.then(|| agreed.clone())
    }
}

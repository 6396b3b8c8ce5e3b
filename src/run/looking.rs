//! What a pass sees of the records that are to be explained, before anything is written.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use uuid::Uuid;

use crate::address::Address;
use crate::config::{MatchRule, PerSide, Side};
use crate::couple::resembling::{has_key, like_any};
use crate::delta::Work;
use crate::delta::judging::judge_pairs;
use crate::endpoint::{EndpointError, Hidden};
use crate::extract::Undecided;
use crate::frame::{Frame, Value};
use crate::run::account::Mode;
use crate::run::needs::referred;
use crate::run::sight::{Found, Search, Sight};
use crate::run::state::PassState;
use crate::run::step::{PassError, Step};
use crate::store::Couplings;
use crate::{couple, extract};

/// What was read of one side, for [`look`].
pub(super) struct Read<'a> {
    /// Records outside the filter.
    pub(super) beyond: PerSide<Frame>,
    /// Coupled records that no list brings and that may exist all the same.
    pub(super) hidden: &'a PerSide<HashMap<Uuid, Hidden>>,
    /// Records that are neither inside their filter nor outside, and why.
    pub(super) undecided: PerSide<(&'a Frame, &'a [Undecided])>,
    pub(super) couplings: &'a Couplings,
}

/// Takes note of what the first step of a pass knows of its subjects, before anything is written.
pub(super) fn look(
    step: &Step<'_>,
    state: &mut PassState,
    read: &Read<'_>,
    subjects: &PerSide<BTreeSet<Uuid>>,
) -> Result<(), PassError> {
    let partners: PerSide<BTreeMap<Uuid, Uuid>> = PerSide {
        erp: read.couplings.erp.iter().copied().zip(read.couplings.crm.iter().copied()).collect(),
        crm: read.couplings.crm.iter().copied().zip(read.couplings.erp.iter().copied()).collect(),
    };
    let mut wanted: PerSide<HashSet<Uuid>> = PerSide::default();
    let matched = state.records.pairs().ids.iter().copied();
    for side in Side::BOTH {
        for id in subjects.of(side) {
            wanted.of_mut(side).insert(*id);
            wanted.of_mut(side.other()).extend(partners.of(side).get(id));
        }
    }
    for ids in matched {
        if Side::BOTH.iter().any(|side| subjects.of(*side).contains(ids.of(*side))) {
            wanted.erp.insert(ids.erp);
            wanted.crm.insert(ids.crm);
        }
    }
    let mut sight = Sight {
        table: step.map.name.clone(),
        rows: PerSide::from_fn(|side| step.scope.empty(side)),
        inside: PerSide::default(),
        hidden: read.hidden.clone(),
        undecided: PerSide::default(),
        unpartnered: PerSide::from_fn(|side| {
            let why = |id: &Uuid| Some((*id, state.aside.why_unpartnered(side, *id)?.clone()));
            subjects.of(side).iter().filter_map(why).collect()
        }),
        judged: Vec::new(),
        searches: Vec::new(),
        names: BTreeMap::new(),
        refers: Vec::new(),
    };
    for side in Side::BOTH {
        let (undecided, why) = *read.undecided.of(side);
        for (frame, is_inside) in [(state.records.frame(side), true), (read.beyond.of(side), false), (undecided, false)]
        {
            let ids = frame.ids();
            let rows: Vec<usize> = (0..ids.len()).filter(|row| wanted.of(side).contains(&ids[*row])).collect();
            sight.rows.of_mut(side).upsert(&frame.take(&rows));
            if is_inside {
                sight.inside.of_mut(side).extend(rows.iter().map(|row| ids[*row]));
            }
        }
        for (row, why) in why.iter().enumerate() {
            sight.undecided.of_mut(side).insert(undecided.id(row), why.clone());
        }
    }
    for side in Side::BOTH {
        for id in subjects.of(side).iter().filter(|id| !partners.of(side).contains_key(*id)) {
            sight.searches.extend(searches(step, state, read, &sight.rows, (side, *id), &partners)?);
        }
    }
    state.sight = Some(sight);
    look_closer(step, state, subjects)
}

/// Adds what a step decides on the fields that it has, and whom their references need.
pub(super) fn look_closer(
    step: &Step<'_>,
    state: &mut PassState,
    subjects: &PerSide<BTreeSet<Uuid>>,
) -> Result<(), PassError> {
    let Some(mut sight) = state.sight.take() else { return Ok(()) };
    // What the run itself has made meanwhile was not there to be compared.
    let there = PerSide::from_fn(|side| couple::rows_by_id(sight.rows.of(side)));
    let is_subject = |ids: &PerSide<Uuid>| {
        Side::BOTH.iter().any(|side| subjects.of(*side).contains(ids.of(*side)))
            && Side::BOTH.iter().all(|side| there.of(*side).contains_key(ids.of(*side)))
    };
    let chosen: Vec<usize> =
        (0..state.records.pairs().len()).filter(|pair| is_subject(&state.records.pairs().ids[*pair])).collect();
    let (frames, pairs) = state.records.excerpt(&chosen);
    let judged = judge_pairs(&Work { frames: &frames, pairs: &pairs, ..state.work(step) })?;
    for ruling in &judged {
        let Some(reference) = &step.map.fields[ruling.field].reference else { continue };
        let arriving = ruling.arriving.crm.as_ref().and_then(|value| value.as_ref().ok());
        for value in ruling.own.crm.iter().chain(arriving) {
            if let Value::Guid(id) | Value::Link { id, .. } = value
                && let Some(name) = step.links.record_of(reference, *id)
            {
                sight.names.insert(*id, name);
            }
        }
    }
    sight.judged.extend(judged);
    let mut refers = BTreeSet::new();
    for (number, field) in step.map.fields.iter().enumerate() {
        let Some(reference) = field.reference.as_ref().filter(|_| !step.left_out[number]) else { continue };
        // A partner that is still to be found is compared by what it refers to as well; of a whole table nobody asks.
        let by = step.map.match_rules.iter().flat_map(|rule| &rule.by);
        let compared =
            by.into_iter().any(|(erp, crm)| field.erp.as_ref() == Some(erp) && field.crm.as_ref() == Some(crm));
        let frames = if compared && state.report.mode == Mode::Changed { state.records.frames() } else { &sight.rows };
        for (side, id) in referred(field, compared, step.scope, frames, step.links)? {
            refers.insert((reference.table.clone(), side, id));
        }
    }
    sight.refers.extend(refers);
    state.sight = Some(sight);
    Ok(())
}

/// Says what the match rules find for one record, among all that was read.
fn searches(
    step: &Step<'_>,
    state: &PassState,
    read: &Read<'_>,
    rows: &PerSide<Frame>,
    (side, id): (Side, Uuid),
    partners: &PerSide<BTreeMap<Uuid, Uuid>>,
) -> Result<Vec<Search>, EndpointError> {
    let Some(row) = couple::rows_by_id(rows.of(side)).get(&id).copied() else { return Ok(Vec::new()) };
    let one = PerSide::from_fn(|of| if of == side { rows.of(of).take(&[row]) } else { rows.of(of).take(&[]) });
    let pool = PerSide::from_fn(|of| {
        let mut pool = state.records.frame(of).clone();
        pool.upsert(read.beyond.of(of));
        pool
    });
    let pool = PerSide::from_fn(|of| extract::of_company(step.map, of, pool.of(of).clone()));
    let by_id = PerSide::from_fn(|of| couple::rows_by_id(pool.of(of)));
    let named = |of: Side, id: Uuid| match by_id.of(of).get(&id) {
        Some(row) => state.records.names().row(pool.of(of), of, *row),
        None => Address { table: step.map.name.clone(), side: of, key: id.to_string() }.to_string(),
    };
    let rules = &step.map.match_rules;
    let valued = |frames: &PerSide<Frame>| -> Vec<PerSide<Vec<bool>>> {
        rules.iter().map(|rule| has_key(step.map, rule, &step.scope.infos, frames, step.links)).collect()
    };
    let (own_valued, pool_valued) = (valued(&one), valued(&pool));
    let search = |(number, rule): (usize, &MatchRule)| {
        let like = like_any(step.map, rule, &step.scope.infos, &one, &pool, step.links);
        let values = rule.by.iter().map(|(erp, crm)| {
            let column = if side == Side::Erp { erp } else { crm };
            (erp.clone(), crm.clone(), one.of(side).value(column, 0).to_string())
        });
        let mut found = Vec::new();
        for of in Side::BOTH {
            let inside: HashSet<Uuid> = state.records.frame(of).ids().into_iter().collect();
            for &row in like.of(of) {
                let found_id = pool.of(of).id(row);
                if (of, found_id) == (side, id) {
                    continue;
                }
                let partner = partners.of(of).get(&found_id).map(|id| named(of.other(), *id));
                // Had an earlier rule the same value of both, it would find that record itself.
                let tells = |rule: &usize| own_valued[*rule].of(side)[0] && pool_valued[*rule].of(of)[row];
                let counts = of != side && partner.is_some();
                found.push(Found {
                    side: of,
                    id: found_id,
                    record: state.records.names().row(pool.of(of), of, row),
                    inside: inside.contains(&found_id),
                    partner,
                    told_apart: (0..number).find(tells).filter(|_| counts).map(|rule| rule + 1),
                });
            }
        }
        Search { rule: number + 1, side, id, values: values.collect(), found }
    };
    Ok(rules.iter().enumerate().map(search).collect())
}

//! New records of a table that knows its records by what they hold: ids that are made of their keys.
//!
//! Elsewhere a new record gets an id that we choose, so that one which is there after a lost answer is surely ours. Here
//! nobody chooses an id. So a key has to be in what is sent, and it is looked up before anything leaves: a record that is
//! there afterwards was made by us (I2), and one that is there before is somebody else's and is never taken for ours. Where
//! the file leaves the key to the side, [`given`](crate::run::given) finds out which record is ours.
//!
//! Where an answer is lost and nothing is there, the record may still come: a gateway gives up before the service does. So
//! whoever is sent again, in this run or a later one, goes under the same key, which the side takes once only, and no other
//! new record gets that number meanwhile.

use std::collections::HashSet;

use uuid::Uuid;

use crate::config::Side;
use crate::endpoint::{Key, TableInfo, key_text};
use crate::extract;
use crate::frame::builder::Builder;
use crate::frame::{Frame, Kind, Value};
use crate::plan::Action;
use crate::run::failures::failed;
use crate::run::given::leaves_key;
use crate::run::state::PassState;
use crate::run::step::{PassError, Step};
use crate::run::unanswered::Tried;

/// Returns what a side holds outside its filter together with what may still come there: running numbers count past both.
pub(super) fn with_tried(step: &Step<'_>, state: &PassState, to: Side, beyond: Option<&Frame>) -> Option<Frame> {
    if state.unanswered.all_tried(to).next().is_none() {
        return beyond.cloned();
    }
    let mut rows = Builder::new(step.scope.empty(to).columns().to_vec());
    for Tried { id, key, .. } in state.unanswered.all_tried(to) {
        for (index, column) in rows.columns().to_vec().iter().enumerate() {
            let value = key.iter().find(|(name, _)| *name == column.name).map_or(&Value::Null, |(_, value)| value);
            rows.push_value(index, value).expect("it was read as a value of such a column");
        }
        rows.end(*id, "");
    }
    let mut all = beyond.cloned().unwrap_or_else(|| step.scope.empty(to));
    all.append(&rows.finish());
    Some(all)
}

/// Gives new records on `to` the ids that their keys make; those that cannot have one are held.
pub(super) fn take_keys(
    step: &Step<'_>,
    state: &mut PassState,
    to: Side,
    actions: &mut Vec<Action>,
) -> Result<(), PassError> {
    let info = step.scope.infos.of(to);
    let Key::Values(names) = &info.key else { return Ok(()) };
    let given = step.scope.left_to_side(step.map, to);
    let (mut nameless, keyed) = actions.drain(..).partition(|action| leaves_key(step.scope, step.map, action));
    *actions = keyed;
    hold_blank(state, to, info, names, &given, &mut nameless);
    let mut keys = Vec::with_capacity(actions.len());
    let mut free = Vec::with_capacity(actions.len());
    for mut action in actions.drain(..) {
        if let Some(tried) = state.unanswered.tried(to, *action.ids.of(to.other())) {
            for (column, value) in &tried.key {
                if let Some(change) = action.fields.iter_mut().find(|change| change.column == *column) {
                    change.new.clone_from(value);
                }
            }
        }
        match key_of(info, names, &action) {
            Ok(key) => {
                *action.ids.of_mut(to) = info.id_of(&key);
                keys.push(key.join(", "));
                free.push(action);
            }
            Err(name) => {
                let message = format!("`{name}` is blank, and the {} knows its records by it", to.name());
                state.waits.hold(failed(&action, &message));
            }
        }
    }
    let wanted: HashSet<Uuid> = free.iter().map(|action| *action.ids.of(to)).collect();
    let mut ids: Vec<Uuid> = wanted.iter().copied().collect();
    ids.sort_unstable();
    let there = extract::read_ids(step.scope, to, *step.context.endpoints.of(to), ids)?;
    let mut taken: HashSet<Uuid> = there.ids().into_iter().collect();
    taken.extend(state.records.frame(to).ids().into_iter().filter(|id| wanted.contains(id)));
    let mut new = HashSet::new();
    for (action, key) in free.into_iter().zip(keys) {
        let id = *action.ids.of(to);
        // What came after all is found out when its side refuses the key (see `verify`).
        let ours = state.unanswered.tried(to, *action.ids.of(to.other())).is_some_and(|tried| tried.id == id);
        if taken.contains(&id) && !ours {
            let message = format!("another record with the key `{key}` is there already");
            state.waits.hold(failed(&action, &message));
        } else if !new.insert(id) {
            let message = format!("another new record has the key `{key}` as well");
            state.waits.hold(failed(&action, &message));
        } else {
            actions.push(action);
        }
    }
    actions.extend(nameless);
    Ok(())
}

/// Tells whether a new record leaves no more of its key blank than what its side gives.
pub(super) fn has_keys(step: &Step<'_>, to: Side, action: &Action) -> bool {
    let info = step.scope.infos.of(to);
    let given = step.scope.left_to_side(step.map, to);
    key_of(info, &besides(step.scope.key_columns(to), &given), action).is_ok()
}

/// Returns the columns of a key that its side does not give.
fn besides(names: &[String], given: &[&str]) -> Vec<String> {
    names.iter().filter(|name| !given.contains(&name.as_str())).cloned().collect()
}

/// Holds new records that leave more of their key blank than what their side gives.
fn hold_blank(
    state: &mut PassState,
    to: Side,
    info: &TableInfo,
    names: &[String],
    given: &[&str],
    actions: &mut Vec<Action>,
) {
    let others = besides(names, given);
    actions.retain(|action| match key_of(info, &others, action) {
        Ok(_) => true,
        Err(name) => {
            let message = format!("`{name}` is blank, and the {} knows its records by it", to.name());
            state.waits.hold(failed(action, &message));
            false
        }
    });
}

/// Returns the values of the key that a new record will have, or the column that it leaves to its side.
///
/// Of a key of several columns a text may be blank, as long as the first one is not: a blank variant is a key, too.
fn key_of<'a>(info: &TableInfo, names: &'a [String], action: &Action) -> Result<Vec<String>, &'a str> {
    let value = |(position, name): (usize, &'a String)| {
        let kind = info.column(name).map_or(Kind::Text, |info| info.column.kind);
        let new = action.fields.iter().find(|change| change.column == *name).map(|change| &change.new);
        let text = key_text(kind, new.unwrap_or(&Value::Null));
        let may_be_blank = position > 0 && matches!(kind, Kind::Text | Kind::Code | Kind::Enum);
        if text.is_empty() && !may_be_blank { Err(name.as_str()) } else { Ok(text) }
    };
    names.iter().enumerate().map(value).collect()
}

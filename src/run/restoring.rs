//! Records made anew in place of deleted ones.

use uuid::Uuid;

use crate::config::{PerSide, Side};
use crate::delta::inserts::restored_id;
use crate::delta::restore::give_back;
use crate::plan::{Action, ActionKind};
use crate::run::notes::{count, note_it};
use crate::run::state::PassState;
use crate::run::step::{PassError, Step};
use crate::store::Store;

/// Turns inserts of survivors' partners into restores, with what only the side that lost them knew.
pub(super) fn as_restores(
    step: &Step<'_>,
    store: &dyn Store,
    state: &mut PassState,
    to: Side,
    actions: &mut [Action],
) -> Result<(), PassError> {
    let (map, pipeline) = (step.map, &step.context.pipeline.name);
    for action in actions.iter_mut() {
        let source = *action.ids.of(to.other());
        let Some(gone) = state.consequences.restored(to, source) else { continue };
        action.kind = ActionKind::Restore { gone };
        *action.ids.of_mut(to) = gone;
        let wanted = state.by_people.why(action.ids);
        *action.ids.of_mut(to) = restored_id(pipeline, &map.name, to, source, gone);
        action.why = format!("deleted in the {}, made anew from the {}", to.name(), to.other().name());
        if let Some(why) = wanted {
            action.why += &format!("; {why}");
            state.guarding.spare(action.ids.erp);
        }
    }
    // What cannot be read now is not known; the survivor may show it.
    let remembered = |ids: PerSide<Uuid>| store.base_values(&map.name, ids.erp, ids.crm).unwrap_or_default();
    let lost = give_back(&state.work(step), to, actions, &remembered)?;
    for (number, field) in map.fields.iter().enumerate() {
        let mut records = lost.iter().filter(|(lost, _)| *lost == number).map(|(_, record)| record);
        let Some(first) = records.next() else { continue };
        let more = records.count();
        let (those, rest) = (count(more + 1, "record"), if more > 0 { ", …" } else { "" });
        let info = field.column(to).and_then(|column| step.scope.infos.of(to).column(column));
        let why = match info.is_some_and(|info| info.insertable) {
            true => "nobody knows any more what it held there",
            false => "it cannot be written there",
        };
        let (name, side) = (field.name(), to.name());
        let note = format!("{name} is not given back to {those} made anew in the {side}: {why} ({first}{rest})");
        // A record whose answer was lost is decided a second time.
        if !state.report.notes.contains(&note) {
            note_it(step.context, &mut state.report, note);
        }
    }
    Ok(())
}

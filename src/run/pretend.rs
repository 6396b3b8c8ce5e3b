//! What a dry run takes for done, so that the plan of everything after it is what a run would do (I8).
//!
//! Planned records and changes go into the frames, as the sides would return them. What a server would make of them on
//! its own is not known here.

use uuid::Uuid;

use crate::config::{PerSide, Side};
use crate::couple::rows_by_id;
use crate::frame::{Builder, Cell, Frame, Kind, Value};
use crate::plan::{Action, ActionKind};
use crate::run::marks;
use crate::run::state::PassState;
use crate::store::Origin;

/// Carries out actions on the frames alone.
pub(super) fn pretend(state: &mut PassState, actions: &[Action]) {
    for to in [Side::Crm, Side::Erp] {
        let actions: Vec<Action> = actions.iter().filter(|action| action.side == to).cloned().collect();
        let (known, _) = marks::before_write(state, to, &actions);
        let written = written(state.frames.of(to), to, &actions);
        state.frames.of_mut(to).upsert(&written);
        for action in &actions {
            if action.kind.makes_record() {
                state.report.uncoupled += u64::from(action.kind != ActionKind::Insert);
                state.tally.inserted.of_mut(to).insert(action.ids.erp);
                state.pairs.push(action.ids, PerSide::default(), Origin::Created(to));
            } else {
                state.tally.modified.of_mut(to).insert(action.ids.erp);
            }
        }
        state.pairs.locate(&state.frames);
        marks::after_write(state, to, &actions, &known, |_| Some(true));
    }
}

/// Returns the records that the actions write, as they would be then.
fn written(frame: &Frame, side: Side, actions: &[Action]) -> Frame {
    let rows = rows_by_id(frame);
    let columns = frame.columns().to_vec();
    let mut builder = Builder::new(columns.clone());
    for action in actions {
        let id: Uuid = *action.ids.of(side);
        for (index, column) in columns.iter().enumerate() {
            let change = action.fields.iter().find(|change| change.column == column.name);
            let value = match (change, rows.get(&id)) {
                (Some(change), _) => change.new.clone(),
                (None, Some(row)) => frame.value(&column.name, *row),
                (None, None) => Value::Null,
            };
            let text = value.to_string();
            let cell = match value {
                // The ERP has no null in its texts.
                Value::Null if side == Side::Erp && matches!(column.kind, Kind::Text | Kind::Code | Kind::Enum) => {
                    Cell::Text("")
                }
                Value::Null => Cell::Null,
                Value::Integer(_) | Value::Decimal(_) => Cell::Number(&text),
                Value::Boolean(value) => Cell::Boolean(value),
                _ => Cell::Text(&text),
            };
            builder.push(index, cell).expect("a value is converted for its column before it is planned");
        }
        builder.end(id, "");
    }
    builder.finish()
}

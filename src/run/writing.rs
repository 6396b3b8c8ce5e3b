//! One side's writes: marked, sent and verified; on paper in a dry run.

use crate::apply::{Applied, Shown};
use crate::config::Side;
use crate::plan::Action;
use crate::run::bases::Agreeing;
use crate::run::given::{find_lost, take_given};
use crate::run::kept::kept_of;
use crate::run::marks;
use crate::run::pretend::Pretended;
use crate::run::refusals::sources;
use crate::run::sending::send;
use crate::run::state::PassState;
use crate::run::step::{PassError, Step};
use crate::run::verify::{Aftermath, count_confirmed, verify};
use crate::run::written::{Proof, before_write};
use crate::store::Store;

/// Carries out the actions on one side and takes their outcomes.
pub(super) fn write_side(
    step: &Step<'_>,
    store: &mut dyn Store,
    state: &mut PassState,
    to: Side,
    actions: &[Action],
    after: &mut Aftermath,
) -> Result<(), PassError> {
    let context = step.context;
    let clock = || (context.options.elapsed)();
    // A pair of which a record just left its filter is none any more.
    let of_side = |action: &&Action| action.side == to && !state.tally.gone_outside().contains(&action.ids.erp);
    let actions: Vec<Action> = actions.iter().filter(of_side).cloned().collect();
    if actions.is_empty() {
        return Ok(());
    }
    let applying = clock();
    let (known, must_save) = marks::before_write(&mut state.records, state.waits.held(), to, &actions);
    if must_save && !state.on_paper(context) {
        state.records.save(store, step.map)?;
    }
    after.known = known;
    let mut actions = actions;
    let mut applied = match state.paper(context) {
        Some(sides) => pretend(step, state, sides.of(to), to, &actions),
        None => {
            let sources = sources(&state.records, to, &actions);
            let before = before_write(&state.records, step.map, to, &actions);
            let agreeing = Agreeing::new(state.work(step), (to, step.forms(to)), &sources);
            let agreed = |action: &Action, shown: Option<Shown<'_>>| {
                let got = shown.map(|(frame, row)| (frame, row, Proof::Returned));
                let kept = got.map_or_else(Vec::new, |got| kept_of((to, step.forms(to)), got, &before, action));
                agreeing.on(action, &kept, got)
            };
            send(step, store, to, &actions, &agreed)?
        }
    };
    state.report.seconds.apply += clock() - applying;
    // What is counted goes by the ids that stay.
    take_given(state, to, &mut actions, &applied.given);
    count_confirmed(step, state, to, &actions, &applied)?;
    let verifying = clock();
    find_lost(step, store, state, to, &mut actions, &mut applied)?;
    verify(step, store, state, to, &actions, applied, after)?;
    if !state.on_paper(context) {
        state.records.save(store, step.map)?;
    }
    state.report.seconds.verify += clock() - verifying;
    Ok(())
}

/// Carries out the actions on paper, and leaves open what only the side will tell of new records.
fn pretend(step: &Step<'_>, state: &mut PassState, side: &Pretended<'_>, to: Side, actions: &[Action]) -> Applied {
    let applied = side.apply(step.scope.infos.of(to), state.records.frame(to), actions);
    for action in actions.iter().filter(|action| !action.follow_ups.is_empty()) {
        let fields = action.follow_ups.iter().map(|follow_up| follow_up.field).collect();
        state.records.leave_untold(action.ids.erp, fields);
    }
    applied
}

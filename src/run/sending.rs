//! Actions sent to a side, as often as that makes sense.

use std::collections::HashSet;

use crate::apply::{Applied, Shown, Target, apply};
use crate::config::Side;
use crate::plan::Action;
use crate::run::account::Event;
use crate::run::step::Step;
use crate::store::{Agreed, Store, StoreError};

/// How often a pair is written in one run: once, once more for what the server made of it, and again where somebody
/// edits the record at the same time. What had no answer is sent as often as the side's patience lasts.
pub(super) const ROUNDS_MAX: usize = 5;

/// Waits before something goes to sides once more that had no answer, as long as for a read, or until the run has to end;
/// tells whether they are worth another attempt for that. What came late has come by then, and shows as a version or a record.
///
/// `silent` counts how often that was so.
pub(super) fn rest(step: &Step<'_>, sides: impl Iterator<Item = Side>, silent: &mut u32) -> bool {
    let sides: HashSet<Side> = sides.collect();
    *silent += u32::from(!sides.is_empty());
    let rested = |side: &Side| step.context.endpoints.of(*side).line().rest(*silent);
    // Each of them is waited for.
    sides.iter().filter(|side| rested(side)).count() > 0
}

/// Sends the actions to their side; `agreed` as for [`apply`].
pub(super) fn send(
    step: &Step<'_>,
    store: &mut dyn Store,
    to: Side,
    actions: &[Action],
    agreed: &dyn Fn(&Action, Option<Shown<'_>>) -> Vec<Agreed>,
) -> Result<Applied, StoreError> {
    let context = step.context;
    let total = actions.len();
    let target = Target {
        map: step.map,
        endpoint: *context.endpoints.of(to),
        info: step.scope.infos.of(to),
        columns: step.scope.columns.of(to),
        run: &context.options.run,
        stop: context.options.stop,
    };
    let tell = |done: usize| (context.tell)(Event::Writing { table: &step.map.name, side: to, done, total });
    apply(actions, to, &target, store, step.scope.empty(to), agreed, &tell)
}

//! New records that their own filter leaves out: told at once, by name, with the term of the filter that fails.
//!
//! Such a record is made all the same, since somebody asked for it and it is nobody's trouble; but from the next run on it
//! is outside and not compared, and whoever looks for it should not have to guess why. A plan knows the values that it
//! would write, not those that a side gives on its own.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::config::Side;
use crate::frame::evaluated::EvaluationError;
use crate::run::notes::{count, note_it};
use crate::run::state::PassState;
use crate::run::step::Step;

/// Of many records the first few are named.
const NAMED_MAX: usize = 5;

/// Records that are left out for the same reason.
struct LeftOut {
    /// The terms that fail.
    terms: Vec<String>,
    /// In a plan, the columns that nothing here gives and on which these terms depend.
    open: Vec<String>,
    records: Vec<String>,
}

/// Tells of the records that this pass made, or a plan would make, which are outside their filter.
pub(super) fn tell(step: &Step<'_>, state: &mut PassState) -> Result<(), EvaluationError> {
    for to in Side::BOTH {
        for LeftOut { terms, open, records } in left_out(step, state, to)? {
            let (one, dry_run) = (records.len() == 1, step.context.options.dry_run);
            let quoted =
                |names: &[String]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ");
            let will_be = match (dry_run, one) {
                (true, _) => "will be",
                (false, true) => "is",
                (false, false) => "are",
            };
            let unless = match open.as_slice() {
                [] => String::new(),
                columns => format!(", unless the {} gives {} on its own", to.name(), quoted(columns)),
            };
            let more = match records.len().saturating_sub(NAMED_MAX) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let note = format!(
                "{} in the {} {will_be} outside the filter there and not compared, as {} {} not hold{unless}: {}{more}",
                count(records.len(), "new record"),
                to.name(),
                quoted(&terms),
                if terms.len() == 1 { "does" } else { "do" },
                records[..records.len().min(NAMED_MAX)].join(", ")
            );
            note_it(step.context, &mut state.report, note);
        }
    }
    Ok(())
}

fn left_out(step: &Step<'_>, state: &PassState, to: Side) -> Result<Vec<LeftOut>, EvaluationError> {
    let (inserted, mut left) = (state.tally.inserted(to), Vec::<LeftOut>::new());
    let Some(filter) = step.map.sides.of(to).filter.as_ref().filter(|_| !inserted.is_empty()) else { return Ok(left) };
    let pairs =
        (0..state.records.pairs().len()).filter(|pair| inserted.contains(&state.records.pairs().ids[*pair].erp));
    let pairs: Vec<usize> = pairs.collect();
    let rows: Vec<usize> = pairs.iter().map(|pair| *state.records.pairs().rows[*pair].of(to)).collect();
    let made = state.records.frame(to).take(&rows);
    let inside: HashSet<usize> = made.rows_where(filter)?.rows.into_iter().collect();
    if inside.len() == made.rows() {
        return Ok(left);
    }
    let terms = filter.terms();
    let holds =
        |term| -> Result<HashSet<usize>, EvaluationError> { Ok(made.rows_where(term)?.rows.into_iter().collect()) };
    let holds: Vec<HashSet<usize>> = terms.iter().map(holds).collect::<Result<_, _>>()?;
    let given = given(state, to);
    for (row, &pair) in pairs.iter().enumerate().filter(|(row, _)| !inside.contains(row)) {
        let given = given.get(&state.records.pairs().ids[pair].erp);
        let is_open = |column: &&String| {
            step.context.options.dry_run && !given.is_some_and(|given| given.contains(column.as_str()))
        };
        // What only the side itself can give, it will.
        let is_its_own = |column: &String| !step.scope.infos.of(to).column(column).is_some_and(|info| info.insertable);
        let (mut sure, mut unsure, mut open) = (Vec::new(), Vec::new(), Vec::new());
        for term in terms.iter().zip(&holds).filter(|(_, holds)| !holds.contains(&row)).map(|(term, _)| term) {
            let columns: Vec<&String> = term.columns().iter().filter(is_open).collect();
            if columns.is_empty() {
                sure.push(term.written().to_owned());
            } else if !columns.iter().any(|column| is_its_own(column)) {
                unsure.push(term.written().to_owned());
                open.extend(columns.into_iter().cloned());
            }
        }
        let (terms, open) = if sure.is_empty() { (unsure, open) } else { (sure, Vec::new()) };
        if terms.is_empty() {
            continue;
        }
        let record = state.records.name_of_pair(state.records.pairs().rows[pair]);
        match left.iter_mut().find(|known| known.terms == terms && known.open == open) {
            Some(known) => known.records.push(record),
            None => left.push(LeftOut { terms, open, records: vec![record] }),
        }
    }
    Ok(left)
}

/// Returns which columns of `to` the plan writes, by the ERP id of the pair.
fn given(state: &PassState, to: Side) -> HashMap<Uuid, HashSet<&str>> {
    let mut given: HashMap<Uuid, HashSet<&str>> = HashMap::new();
    for action in state.draft.actions().iter().filter(|action| action.side == to) {
        let columns = action.fields.iter().filter(|change| !change.new.is_blank()).map(|change| change.column.as_str());
        given.entry(action.ids.erp).or_default().extend(columns);
    }
    given
}

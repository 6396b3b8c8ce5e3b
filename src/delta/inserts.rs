//! Records without partner in, the inserts that make one out: ids, templates, follow-ups.

use std::collections::HashMap;

use uuid::Uuid;

use crate::config::{FieldMap, OnUnresolved, PerSide, Side, TableMap, Template, TemplateValue, When};
use crate::delta::{Held, Rounded, Work, failure, link, unclear};
use crate::endpoint::capitals;
use crate::frame::evaluated::{Evaluated, EvaluationError, Fault};
use crate::frame::unreadable::Unreadable;
use crate::frame::{Frame, Kind, Value};
use crate::plan::{Action, ActionKind, FieldChange, FollowUp};
use crate::store::InboxKind;
use crate::translate::Translator;
use crate::translate::convert::{Problem, convert};

/// What was decided about records that have no partner.
#[derive(Debug, Clone, Default)]
pub struct Inserts {
    pub actions: Vec<Action>,
    pub held: Vec<Held>,
    /// In a plan, what can be decided only when the run has made something else.
    pub later: Vec<Held>,
    /// What would lead to a record that cannot be read; each says which.
    pub unclear: Vec<Held>,
    pub rounded: Vec<Rounded>,
}

/// Decides what new records on `to` would hold, one for each of the `rows` of the other side's frame.
///
/// `taken` holds further records of `to` that count for running numbers.
pub fn decide_inserts(
    work: &Work<'_>,
    to: Side,
    rows: &[usize],
    taken: Option<&Frame>,
) -> Result<Inserts, EvaluationError> {
    let source = work.frames.of(to.other());
    let mut inserts = Inserts::default();
    if rows.is_empty() {
        return Ok(inserts);
    }
    let mut translators = Vec::new();
    for (number, field) in work.map.fields.iter().enumerate() {
        let info = field.column(to).and_then(|column| work.infos.of(to).column(column));
        let Some(info) = info.filter(|info| info.insertable) else { continue };
        if !field.writes(to) || work.left_out[number] || field.when == When::Update {
            continue;
        }
        if let Some(translator) = Translator::new(field, to, info, work.links, source)? {
            translators.push((number, translator));
        }
    }
    let mut templates = Templates::new(work, to, taken)?;
    for &row in rows {
        let record = work.names.row(source, to.other(), row);
        let own_id = source.id(row);
        let mut fields = Vec::new();
        let mut problems = Vec::new();
        for (number, translator) in &translators {
            let field = &work.map.fields[*number];
            let column = field.column(to).unwrap_or_default();
            match translator.value(row) {
                Ok(value) if value.is_blank() => {}
                Ok(value) => fields.push(FieldChange {
                    column: column.to_owned(),
                    field: Some(*number),
                    old: Value::Null,
                    new: link(work, *number, to, value),
                    why: "new".into(),
                }),
                Err(Problem::Unresolved { .. }) if field.on_unresolved != OnUnresolved::Fail => {}
                Err(problem) => problems.push((*number, problem)),
            }
        }
        let ids = match to {
            Side::Crm => PerSide { erp: Some(own_id), crm: None },
            Side::Erp => PerSide { erp: None, crm: Some(own_id) },
        };
        // What fails for another reason as well has failed, and what waits for a person does not only wait for the run.
        let awaited = |(_, problem): &(usize, Problem)| matches!(problem, Problem::Awaited { .. });
        let illegible = |(_, problem): &(usize, Problem)| matches!(problem, Problem::Illegible { .. });
        let fails = problems.is_empty() || !problems.iter().all(|problem| awaited(problem) || illegible(problem));
        let is_unclear = !fails && problems.iter().any(illegible);
        problems.retain(|problem| !is_unclear || illegible(problem));
        let mut hold = |field: Option<usize>, name: &str, problem: &Problem| {
            let (list, message) = match (fails, is_unclear, problem) {
                (true, _, Problem::Uncounted { .. }) | (false, true, _) => {
                    (&mut inserts.unclear, unclear(name, Some(problem.to_string())))
                }
                (true, ..) => (&mut inserts.held, failure(&record, to, name, &problem.to_string())),
                (false, false, _) => (&mut inserts.later, format!("{name}: {problem}")),
            };
            let (values, to) = (PerSide::default(), Some(to));
            list.push(Held { kind: InboxKind::Failed, record: record.clone(), ids, field, values, to, message });
        };
        if !problems.is_empty() {
            for (number, problem) in &problems {
                hold(Some(*number), work.map.fields[*number].name(), problem);
            }
            continue;
        }
        if let Err((column, problem)) = templates.fill(row, &mut fields) {
            hold(None, &column, &problem);
            continue;
        }
        for (number, translator) in &translators {
            if let (Some(from), Ok(into)) = (translator.rounded(row), translator.value(row)) {
                let (from, into) = (from.to_string(), into.to_string());
                inserts.rounded.push(Rounded { field: *number, to, record: record.clone(), from, into });
            }
        }
        let new_id = new_id(work.pipeline, &work.map.name, to, own_id);
        inserts.actions.push(Action {
            table: work.map.name.clone(),
            record,
            side: to,
            kind: ActionKind::Insert,
            why: format!("only the {} has it", to.other().name()),
            ids: match to {
                Side::Crm => PerSide { erp: own_id, crm: new_id },
                Side::Erp => PerSide { erp: new_id, crm: own_id },
            },
            etag: None,
            follow_ups: follow_ups(work.map, to, &fields),
            fields,
        });
    }
    Ok(inserts)
}

/// Returns what goes back to the other side once a new record on `to` is made: the fields that only `to` owns, as far as
/// they read what the insert leaves to it.
pub(super) fn follow_ups(map: &TableMap, to: Side, fields: &[FieldChange]) -> Vec<FollowUp> {
    let written = |column: &str| fields.iter().any(|field| field.column == column);
    let owned = |field: &FieldMap| !field.writes(to) && field.writes(to.other()) && field.when != When::Create;
    let mut follow_ups = Vec::new();
    for (number, field) in map.fields.iter().enumerate().filter(|(_, field)| owned(field)) {
        let Some(column) = field.column(to.other()) else { continue };
        let unwritten: Vec<&str> = match field.expression_to(to.other()) {
            Some(expression) => expression.columns().iter().map(String::as_str).filter(|name| !written(name)).collect(),
            None => field.column(to).filter(|name| !written(name)).into_iter().collect(),
        };
        if !unwritten.is_empty() {
            let from = unwritten.join(", ");
            follow_ups.push(FollowUp { field: number, from, to: column.to_owned() });
        }
    }
    follow_ups
}

/// Returns the id of the record that a run of this pipeline makes on `to` for a record of the other side.
///
/// It is a function of the source record, so a repeated insert is recognised as such.
pub fn new_id(pipeline: &str, table: &str, to: Side, source: Uuid) -> Uuid {
    const NAMESPACE: Uuid = Uuid::from_u128(0x6f1d_2c5e_8a3b_5b0f_9d57_3f1c_7a20_44e1);
    Uuid::new_v5(&NAMESPACE, format!("{pipeline}/{table}/{}/{source}", to.key()).as_bytes())
}

/// Returns the id of the record that a run of this pipeline makes on `to` in place of one that is `gone`, or belongs to
/// somebody else by now.
///
/// Like [`new_id`], and another than every id before: what was deleted never comes back under its own.
pub fn restored_id(pipeline: &str, table: &str, to: Side, source: Uuid, gone: Uuid) -> Uuid {
    Uuid::new_v5(&new_id(pipeline, table, to, source), gone.as_bytes())
}

/// The templates for new records on one side, evaluated over all source rows.
struct Templates<'a> {
    work: Work<'a>,
    to: Side,
    templates: Vec<Prepared<'a>>,
    /// By column and prefix as the column holds it: the highest number in use.
    numbers: HashMap<(String, String), Result<u64, Problem>>,
}

struct Prepared<'a> {
    template: &'a Template,
    /// For each source row whether the template applies; `None` where it always does.
    applies: Option<Vec<Result<bool, Fault>>>,
    /// For each column that an expression fills: its values.
    computed: HashMap<&'a str, Evaluated<'a>>,
}

impl<'a> Templates<'a> {
    fn new(work: &Work<'a>, to: Side, taken: Option<&Frame>) -> Result<Templates<'a>, EvaluationError> {
        let source = work.frames.of(to.other());
        let mut templates = Vec::new();
        let mut numbers = HashMap::new();
        for template in work.map.on_create.iter().filter(|template| template.side == to) {
            let applies = match &template.condition {
                None => None,
                Some(condition) => {
                    let mut rows = vec![Ok(false); source.rows()];
                    let chosen = source.rows_where(condition)?;
                    chosen.rows.into_iter().for_each(|row| rows[row] = Ok(true));
                    chosen.faults.into_iter().for_each(|(row, fault)| rows[row] = Err(fault));
                    Some(rows)
                }
            };
            let mut computed = HashMap::new();
            for (column, value) in &template.set {
                match value {
                    TemplateValue::Expression(expression) => {
                        computed.insert(column.as_str(), source.evaluate(expression)?);
                    }
                    TemplateValue::NextNumber { prefix, .. } => {
                        let prefix = held_prefix(work, to, column, prefix);
                        let frames = || [Some(work.frames.of(to)), taken].into_iter().flatten();
                        let highest = frames().map(|frame| highest_number(frame, column, &prefix)).max();
                        let known = frames().find_map(|frame| uncounted(frame, column, &prefix));
                        let known = known.map_or(Ok(highest.unwrap_or(0)), Err);
                        numbers.insert((column.clone(), prefix), known);
                    }
                    TemplateValue::Constant(_) => {}
                }
            }
            templates.push(Prepared { template, applies, computed });
        }
        Ok(Templates { work: *work, to, templates, numbers })
    }

    /// Adds what the first template that applies to a row gives, where no field map gave a value.
    fn fill(&mut self, row: usize, fields: &mut Vec<FieldChange>) -> Result<(), (String, Problem)> {
        let mut prepared = None;
        for candidate in &self.templates {
            match candidate.applies.as_ref().map_or(&Ok(true), |rows| &rows[row]) {
                Ok(true) => {
                    prepared = Some(candidate);
                    break;
                }
                Ok(false) => {}
                // Whether a later one would do depends on this one.
                Err(fault) => return Err(("on_create".to_owned(), Problem::NoValue(fault.clone()))),
            }
        }
        let Some(prepared) = prepared else { return Ok(()) };
        for (column, value) in &prepared.template.set {
            if fields.iter().any(|field| field.column == *column) {
                continue;
            }
            let raw = match value {
                TemplateValue::Constant(constant) => Value::Text(constant.text()),
                TemplateValue::Expression(_) => prepared.computed[column.as_str()]
                    .value(row)
                    .map_err(|fault| (column.clone(), Problem::NoValue(fault)))?,
                TemplateValue::NextNumber { prefix, digits } => {
                    let held = held_prefix(&self.work, self.to, column, prefix);
                    let number = self.numbers.entry((column.clone(), held)).or_insert(Ok(0));
                    let number = number.as_mut().map_err(|problem| (column.clone(), problem.clone()))?;
                    let next = number.checked_add(1);
                    *number = next.ok_or_else(|| (column.clone(), Problem::Exhausted { prefix: prefix.clone() }))?;
                    Value::Text(format!("{prefix}{number:0digits$}"))
                }
            };
            let Some(info) = self.work.infos.of(self.to).column(column) else { continue };
            let new = convert(raw, self.to, info).map_err(|problem| (column.clone(), problem))?;
            if !new.is_blank() {
                let why = "template".to_owned();
                fields.push(FieldChange { column: column.clone(), field: None, old: Value::Null, new, why });
            }
        }
        Ok(())
    }
}

/// Returns the prefix of a running number as `to` holds it: the ERP puts a code into capitals, whatever the file has.
fn held_prefix(work: &Work<'_>, to: Side, column: &str, prefix: &str) -> String {
    let is_code = work.infos.of(to).column(column).is_some_and(|info| info.column.kind == Kind::Code);
    if is_code { capitals(prefix) } else { prefix.to_owned() }
}

/// Returns a record of which nobody can read whether it has a number.
fn uncounted(frame: &Frame, column: &str, prefix: &str) -> Option<Problem> {
    let lacks = |why: &&Unreadable| why.columns.iter().any(|name| name == column);
    let (id, why) = frame.unreadables().iter().find(|(_, why)| lacks(why))?;
    Some(Problem::Uncounted { prefix: prefix.to_owned(), record: id.to_string(), why: why.why.clone() })
}

/// Returns the highest number behind `prefix` in a column, 0 where there is none.
fn highest_number(frame: &Frame, column: &str, prefix: &str) -> u64 {
    (0..frame.rows())
        .filter_map(|row| frame.value(column, row).to_string().strip_prefix(prefix)?.parse::<u64>().ok())
        .max()
        .unwrap_or(0)
}

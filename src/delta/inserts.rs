//! Records without partner in, the inserts that make one out: ids, templates, follow-ups.

use std::collections::HashMap;

use uuid::Uuid;

use crate::config::{FieldMap, OnUnresolved, PerSide, Side, TableMap, Template, TemplateValue, When};
use crate::delta::{Held, Rounded, Unclear, Work, failure, link};
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
    /// What would lead to a record that cannot be read.
    pub unclear: Vec<Unclear>,
    /// Some are made without a reference to such a record, as the file lets them.
    pub lack: bool,
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
    let translators = translators(work, to)?;
    let mut templates = Templates::new(work, to, taken)?;
    for &row in rows {
        let new = New { to, row, record: work.names.row(source, to.other(), row), source: source.id(row) };
        match new.fields(work, &translators, &mut templates) {
            Ok((fields, lacks)) => {
                inserts.lack |= lacks;
                inserts.rounded.extend(new.rounded(&translators));
                inserts.actions.push(new.action(work, fields));
            }
            Err(hindrances) => new.hold(hindrances, &mut inserts),
        }
    }
    Ok(inserts)
}

/// Returns what makes values of new records on `to`, for each field map that takes part in them.
fn translators<'a>(work: &Work<'a>, to: Side) -> Result<Vec<(usize, Translator<'a>)>, EvaluationError> {
    let mut translators = Vec::new();
    for (number, field) in work.map.fields.iter().enumerate() {
        let info = field.column(to).and_then(|column| work.infos.of(to).column(column));
        let Some(info) = info.filter(|info| info.insertable) else { continue };
        if !field.writes(to) || work.left_out[number] || field.when == When::Update {
            continue;
        }
        if let Some(translator) = Translator::new(field, to, info, work.links, work.frames.of(to.other()))? {
            translators.push((number, translator));
        }
    }
    Ok(translators)
}

/// A record that is to be made on `to`, for the `source` that stands in a `row` of the other side's frame.
struct New {
    to: Side,
    row: usize,
    record: String,
    source: Uuid,
}

/// What keeps a new record from being made: the field map, if it is one's, the name of the field, and the reason.
type Hindrance = (Option<usize>, String, Problem);

impl New {
    /// Returns what the record would hold, by its field maps and a template, and whether it lacks a reference to a record that
    /// cannot be read.
    fn fields(
        &self,
        work: &Work<'_>,
        translators: &[(usize, Translator<'_>)],
        templates: &mut Templates<'_>,
    ) -> Result<(Vec<FieldChange>, bool), Vec<Hindrance>> {
        let mut fields = Vec::new();
        let mut lacks = false;
        let mut hindrances = Vec::new();
        for (number, translator) in translators {
            let field = &work.map.fields[*number];
            let column = field.column(self.to).unwrap_or_default();
            match translator.value(self.row) {
                Ok(value) if value.is_blank() => {}
                Ok(value) => fields.push(FieldChange {
                    column: column.to_owned(),
                    field: Some(*number),
                    old: Value::Null,
                    new: link(work, *number, self.to, value),
                    why: "new".into(),
                }),
                // Nothing is there that could be cleared, and what is left out follows as soon as it leads somewhere.
                Err(problem @ (Problem::Unresolved { .. } | Problem::Illegible { .. }))
                    if field.on_unresolved != OnUnresolved::Fail =>
                {
                    lacks |= matches!(problem, Problem::Illegible { .. });
                }
                Err(problem) => hindrances.push((Some(*number), field.name().to_owned(), problem)),
            }
        }
        if !hindrances.is_empty() {
            return Err(hindrances);
        }
        templates.fill(self.row, &mut fields).map_err(|(column, problem)| vec![(None, column, problem)])?;
        Ok((fields, lacks))
    }

    /// Returns the values that lost digits on their way.
    fn rounded(&self, translators: &[(usize, Translator<'_>)]) -> Vec<Rounded> {
        let rounded = translators.iter().filter_map(|(number, translator)| {
            let (from, into) = (translator.rounded(self.row)?, translator.value(self.row).ok()?);
            let (from, into) = (from.to_string(), into.to_string());
            Some(Rounded { field: *number, to: self.to, record: self.record.clone(), from, into })
        });
        rounded.collect()
    }

    /// Holds the record, for each of its hindrances: it fails, waits for a person who makes a record readable, or for what the
    /// run makes first.
    fn hold(&self, mut hindrances: Vec<Hindrance>, inserts: &mut Inserts) {
        // What fails for another reason as well has failed, and what waits for a person does not only wait for the run.
        let awaited = |(.., problem): &Hindrance| matches!(problem, Problem::Awaited { .. });
        let illegible = |(.., problem): &Hindrance| matches!(problem, Problem::Illegible { .. });
        let fails = !hindrances.iter().all(|hindrance| awaited(hindrance) || illegible(hindrance));
        let is_unclear = !fails && hindrances.iter().any(illegible);
        hindrances.retain(|hindrance| !is_unclear || illegible(hindrance));
        for (field, name, problem) in hindrances {
            let held = |message: String| Held {
                kind: InboxKind::Failed,
                record: self.record.clone(),
                ids: PerSide::from_fn(|side| (side != self.to).then_some(self.source)),
                field,
                values: PerSide::default(),
                to: Some(self.to),
                message,
            };
            match (fails, is_unclear, &problem) {
                (true, _, Problem::Uncounted { .. }) | (false, true, _) => {
                    inserts.unclear.push(Unclear::new(held(String::new()), &name, Some(&problem)));
                }
                (true, ..) => {
                    inserts.held.push(held(failure(&self.record, self.to, &name, &problem.to_string())));
                }
                (false, false, _) => inserts.later.push(held(format!("{name}: {problem}"))),
            }
        }
    }

    /// Returns the action that makes the record.
    fn action(self, work: &Work<'_>, fields: Vec<FieldChange>) -> Action {
        let New { to, record, source, .. } = self;
        let id = new_id(work.pipeline, &work.map.name, to, source);
        Action {
            table: work.map.name.clone(),
            record,
            side: to,
            kind: ActionKind::Insert,
            why: format!("only the {} has it", to.other().name()),
            ids: PerSide::from_fn(|side| if side == to { id } else { source }),
            etag: None,
            follow_ups: follow_ups(work.map, to, &fields),
            fields,
        }
    }
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

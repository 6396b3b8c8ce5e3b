//! The answers of people, held against what waits and against what the file allows. Nothing is done here.

use std::collections::HashMap;

use uuid::Uuid;

use crate::cli::exit::Failure;
use crate::cli::inbox::find::{is_called, lost_names, means, of_record};
use crate::config::complaint::suggestion;
use crate::config::{Direction, FieldMap, PerSide, Pipeline, Side, TableMap};
use crate::report::inbox::{ANOTHER_VALUE, cured};
use crate::store::{DECIDED_BY, Decided, Decision, InboxItem, InboxKind, Reply, Store, StoreError, Survivor};

/// What a person wants done with a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// A contested field is decided; the field by its ERP or CRM column.
    Resolve {
        field: String,
        verdict: Decided,
    },
    Retry,
    Restore,
    Delete,
    Uncouple,
}

impl Wish {
    /// Reads what stands in a column of decisions: `erp`, `crm`, `value=V` for a field, or the word of another answer.
    pub fn parse(text: &str, field: &str) -> Option<Wish> {
        Some(match text {
            "retry" => Wish::Retry,
            "restore" => Wish::Restore,
            "delete" => Wish::Delete,
            "uncouple" => Wish::Uncouple,
            other => Wish::Resolve { field: field.to_owned(), verdict: take(other)? },
        })
    }

    /// Tells whether the answer is one to an item of that kind.
    fn suits(&self, desk: &Desk<'_>, item: &InboxItem) -> bool {
        match self {
            Wish::Resolve { .. } => item.field.is_some() && desk.can_be_decided(item),
            Wish::Retry => matches!(item.kind, InboxKind::Skipped | InboxKind::Failed),
            Wish::Restore | Wish::Delete => item.kind == InboxKind::Deleted,
            Wish::Uncouple => item.erp_id.is_some() && item.crm_id.is_some(),
        }
    }
}

/// Reads whose value is taken: `erp`, `crm` or `value=V`.
pub fn take(text: &str) -> Option<Decided> {
    match Decided::parse(&format!("take {text}"))? {
        Decided::Restore | Decided::Delete => None,
        decided => Some(decided),
    }
}

/// What waits, and everything else that an answer depends on.
pub struct Desk<'a> {
    pub pipeline: &'a Pipeline,
    pub items: Vec<InboxItem>,
    /// What was decided and is not carried out.
    pub decisions: Vec<Decision>,
    survivors: HashMap<(String, PerSide<Uuid>), Survivor>,
    /// What records that are gone were called, and the names under which the inbox has them.
    lost: HashMap<String, String>,
}

impl<'a> Desk<'a> {
    /// Takes all of it out of the state.
    pub fn new(pipeline: &'a Pipeline, store: &dyn Store) -> Result<Desk<'a>, StoreError> {
        let mut survivors = HashMap::new();
        for table in &pipeline.tables {
            let of_table = store.survivors(&table.name)?.into_iter();
            survivors.extend(of_table.map(|survivor| ((table.name.clone(), survivor.ids), survivor)));
        }
        let mut decisions = store.decisions(None)?;
        decisions.retain(|decision| decision.ended.is_none());
        let items = store.inbox(None)?;
        let mut lost = HashMap::new();
        for map in &pipeline.tables {
            let names = lost_names(store, map, &items)?;
            lost.extend(names.into_iter().map(|(address, item)| (address.to_string(), item.record.clone())));
        }
        Ok(Desk { pipeline, items, decisions, survivors, lost })
    }

    /// Returns the answer to what waits of a record, or why there can be none.
    pub fn answer(&self, record: &str, wish: &Wish) -> Result<Reply, Failure> {
        let suits = |item: &InboxItem| wish.suits(self, item);
        let known = self.items.iter().any(|item| means(item, record));
        let lost = self.lost.get(record);
        let record = lost.filter(|_| !known).map_or(record, String::as_str);
        let waiting = of_record(&self.items, record, &suits)?;
        match (self.answer_to(&waiting, wish), lost.filter(|_| known)) {
            // The one that bears the name now is another one than the one that is gone.
            (Err(Failure::Arguments { message, hint }), Some(left)) if matches!(wish, Wish::Restore | Wish::Delete) => {
                let hint = format!("the partner of the one that is gone is `{left}`; {hint}");
                Err(Failure::Arguments { message, hint })
            }
            (answer, _) => answer,
        }
    }

    /// Tells whether the CRM's record is there and says by a column that it belongs to this company.
    fn is_claimed(&self, map: &TableMap, item: &InboxItem, ids: PerSide<Uuid>) -> bool {
        let survivor = self.survivors.get(&(item.table.clone(), ids));
        map.company_of(Side::Crm).is_some() && survivor.is_none_or(|survivor| survivor.left == Side::Crm)
    }

    /// Returns the answer to what waits of one record; there is at least one such item.
    pub fn answer_to(&self, waiting: &[&InboxItem], wish: &Wish) -> Result<Reply, Failure> {
        let Some(item) = waiting.iter().copied().find(|item| wish.suits(self, item)) else {
            return Err(self.unsuited(waiting, wish));
        };
        let table = item.table.clone();
        let Some((erp, crm)) = item.erp_id.zip(item.crm_id) else {
            let record = item.record.clone();
            return Ok(Reply::Retry { table, erp: item.erp_id, crm: item.crm_id, record });
        };
        let ids = PerSide { erp, crm };
        let decide = |field: Option<&FieldMap>, verdict: Decided, values: PerSide<String>| {
            let (record, field) = (item.record.clone(), field.map(FieldMap::key));
            let (table, at) = (table.clone(), String::new());
            let (seen, unmet, ended) = (None, None, None);
            Reply::Decide(Decision { table, record, ids, field, verdict, values, seen, at, unmet, ended })
        };
        let map = self.map(&item.table)?;
        match wish {
            Wish::Retry => Ok(Reply::Retry { table, erp: Some(erp), crm: Some(crm), record: item.record.clone() }),
            Wish::Uncouple if self.is_claimed(map, item, ids) => Err(claimed(map, item)),
            Wish::Uncouple => Ok(Reply::Part { table, ids, record: item.record.clone() }),
            Wish::Restore | Wish::Delete => {
                let verdict = if *wish == Wish::Restore { Decided::Restore } else { Decided::Delete };
                if let Some(survivor) = self.survivors.get(&(item.table.clone(), ids)) {
                    reaches(map, item, &verdict, survivor.left)?;
                }
                Ok(decide(None, verdict, PerSide::default()))
            }
            Wish::Resolve { field, verdict } => {
                let meant = self.field(map, field)?;
                let of_field = |item: &&&InboxItem| {
                    wish.suits(self, item) && meant.iter().any(|field| item.field.as_deref() == Some(field.name()))
                };
                let Some(item) = waiting.iter().find(of_field) else {
                    return Err(self.not_contested(waiting, meant[0]));
                };
                let field = meant.iter().find(|field| item.field.as_deref() == Some(field.name()));
                let field = field.copied().unwrap_or(meant[0]);
                travels(field, verdict)?;
                known_value(field, verdict)?;
                let value = |value: &Option<String>| value.clone().unwrap_or_default();
                Ok(decide(Some(field), verdict.clone(), PerSide { erp: value(&item.erp), crm: value(&item.crm) }))
            }
        }
    }

    /// Returns what withdraws the decisions about a record that are not carried out: all of them, or the one about a field.
    pub fn withdraw(&self, record: &str, field: Option<&str>) -> Result<Vec<Reply>, Failure> {
        let called = |decision: &&Decision, name: &str| {
            let ids = (Some(decision.ids.erp), Some(decision.ids.crm));
            is_called((&decision.table, &decision.record), ids, name)
        };
        let known = self.decisions.iter().any(|decision| called(&decision, record));
        let name = self.lost.get(record).filter(|_| !known).map_or(record, String::as_str);
        let decided: Vec<&Decision> = self.decisions.iter().filter(|decision| called(decision, name)).collect();
        let Some(first) = decided.first() else {
            return Err(Failure::Arguments {
                message: format!("nothing is decided of `{record}` that is still to be carried out"),
                hint:
                    "`pipeline inbox FILE` lists what is decided, for the next run; a `retry` is not taken back: the \
                       record is sent until its side refuses it twice"
                        .to_owned(),
            });
        };
        if let Some(other) = decided.iter().find(|decision| decision.ids != first.ids) {
            return Err(Failure::Arguments {
                message: format!("several records of `{}` are named `{record}`", first.table),
                hint: format!("take one of {0}:{1}, {0}:{2}, …", first.table, first.ids.erp, other.ids.erp),
            });
        }
        let of_field = |decision: &&&Decision| match (field, &decision.field) {
            (None, _) => true,
            (Some(field), Some(key)) => key.split('=').any(|column| column == field),
            (Some(_), None) => false,
        };
        let withdrawn: Vec<Reply> =
            decided.iter().filter(of_field).map(|decision| Reply::Withdraw((*decision).clone())).collect();
        if withdrawn.is_empty() {
            let names: Vec<String> = decided
                .iter()
                .map(|decision| decision.field_name().map_or_else(|| decision.verdict.to_string(), str::to_owned))
                .collect();
            return Err(Failure::Arguments {
                message: format!("nothing is decided of {} of `{record}`", field.unwrap_or_default()),
                hint: format!("decided is {}", names.join(", ")),
            });
        }
        Ok(withdrawn)
    }

    /// Tells whether an item is a field of which a person says what it should hold: a contested one, or one that failed for
    /// what a person decided before.
    pub fn can_be_decided(&self, item: &InboxItem) -> bool {
        let decided =
            || item.message.contains(DECIDED_BY) || self.decisions.iter().any(|decision| decision.is_about(item));
        item.kind == InboxKind::Contested || (item.kind == InboxKind::Failed && item.field.is_some() && decided())
    }

    /// Returns the table map of that name.
    pub fn map(&self, table: &str) -> Result<&'a TableMap, Failure> {
        self.pipeline.tables.iter().find(|map| map.name == table).ok_or_else(|| Failure::Arguments {
            message: format!("the file has no table map `{table}` any more"),
            hint: "give it back, or leave what waits of it: no run looks at it".to_owned(),
        })
    }

    /// Returns the field maps that a column of either side names.
    fn field<'m>(&self, map: &'m TableMap, name: &str) -> Result<Vec<&'m FieldMap>, Failure> {
        let columns = |field: &'m FieldMap| Side::BOTH.into_iter().filter_map(|side| field.column(side));
        let fields: Vec<&FieldMap> = map.fields.iter().filter(|field| columns(field).any(|own| own == name)).collect();
        if !fields.is_empty() {
            return Ok(fields);
        }
        let known: Vec<&str> = map.fields.iter().flat_map(columns).collect();
        Err(Failure::Arguments {
            message: format!("{} has no field `{name}`", map.name),
            hint: suggestion(name, known.iter().copied()).unwrap_or_else(|| format!("it has: {}", known.join(", "))),
        })
    }

    fn not_contested(&self, waiting: &[&InboxItem], field: &FieldMap) -> Failure {
        let contested = waiting.iter().filter(|item| self.can_be_decided(item));
        let contested: Vec<&str> = contested.filter_map(|item| item.field.as_deref()).collect();
        Failure::Arguments {
            message: format!("{} of {} is not contested", field.name(), waiting[0].record),
            hint: format!("contested is {}", contested.join(", ")),
        }
    }

    /// Says that the record waits for another answer, and for which.
    fn unsuited(&self, waiting: &[&InboxItem], wish: &Wish) -> Failure {
        let item = waiting[0];
        let record = &item.record;
        let state = match item.kind {
            InboxKind::Contested => "is contested",
            InboxKind::Failed => "failed",
            InboxKind::Skipped => "is skipped",
            InboxKind::Deleted => "lost its partner",
            InboxKind::Ambiguous => "is ambiguous",
        };
        let message = match wish {
            Wish::Uncouple => format!("{record} has no partner to be uncoupled from"),
            Wish::Resolve { .. } => format!("{record} {state}: that is nothing to resolve"),
            Wish::Retry => format!("{record} {state}: that is nothing to retry"),
            Wish::Restore => format!("{record} {state}: that is nothing to restore"),
            Wish::Delete => format!("{record} {state}: that is nothing to delete"),
        };
        Failure::Arguments { message, hint: way_out(item) }
    }
}

/// Says what can be done about an item.
fn way_out(item: &InboxItem) -> String {
    let (record, verb) = (&item.record, "pipeline inbox FILE");
    // A name with an id behind it holds a blank.
    let record = if record.contains(' ') { format!("'{record}'") } else { record.clone() };
    let field = item.field.as_deref().unwrap_or("FIELD");
    match item.kind {
        InboxKind::Contested => format!("decide it: `{verb} resolve {record} --field {field} --take erp|crm|value=V`"),
        InboxKind::Failed if item.message.contains(DECIDED_BY) => {
            format!("{ANOTHER_VALUE}: `{verb} resolve {record} --field {field} --take erp|crm|value=V`")
        }
        InboxKind::Failed => cured(item.cure()).to_owned(),
        InboxKind::Skipped => format!("`{verb} retry {record}` sends it again"),
        InboxKind::Deleted => format!(
            "`{verb} restore {record}` makes the deleted record anew, `{verb} delete {record}` deletes the other one \
             too, `{verb} uncouple {record}` keeps it without partner"
        ),
        InboxKind::Ambiguous => {
            "make the columns of `match` differ, or agree with one record only, or remove what is one too many; \
             `pipeline couple FILE TABLE:KEY KEY` couples the two that belong together"
                .to_owned()
        }
    }
}

/// Refuses what the table map does not write to.
fn reaches(map: &TableMap, item: &InboxItem, verdict: &Decided, left: Side) -> Result<(), Failure> {
    let (to, what) = match verdict {
        Decided::Restore => (left.other(), "made anew"),
        _ => (left, "deleted"),
    };
    if map.direction.writes(to) {
        return Ok(());
    }
    let other = if *verdict == Decided::Restore { "delete" } else { "restore" };
    Err(Failure::Arguments {
        message: format!(
            "{} cannot be {what} in the {}: `{}` goes {} only",
            item.record,
            to.name(),
            map.name,
            map.direction.key()
        ),
        hint: format!(
            "`pipeline inbox FILE uncouple` keeps the record that is left without partner, `{other}` does what the direction allows"
        ),
    })
}

/// Refuses to take a value that does not travel.
fn travels(field: &FieldMap, verdict: &Decided) -> Result<(), Failure> {
    let closed = match verdict {
        Decided::Take(side) => Some(side.other()).filter(|to| !field.writes(*to)),
        _ => Side::BOTH.into_iter().find(|to| !field.writes(*to)),
    };
    let Some(to) = closed else { return Ok(()) };
    let direction = field.direction.map_or("nowhere", Direction::key);
    let only = if field.direction.is_some() { " only" } else { "" };
    Err(Failure::Arguments {
        message: format!("{} goes {direction}{only}, so nothing can be taken to the {}", field.name(), to.name()),
        hint: match field.direction {
            Some(_) => format!("`--take {}` is what this direction allows; the next run does it anyway", to.key()),
            None => "give the field a direction in the file".to_owned(),
        },
    })
}

/// Refuses a value that the field's own list does not have; whether it fits the column, the next run knows.
fn known_value(field: &FieldMap, verdict: &Decided) -> Result<(), Failure> {
    let Decided::Value(value) = verdict else { return Ok(()) };
    let known: Vec<&str> = field.values.iter().map(|(erp, _)| erp.as_str()).collect();
    if known.is_empty() || value.is_empty() || known.contains(&value.as_str()) {
        return Ok(());
    }
    Err(Failure::Arguments {
        message: format!("`{value}` is not in `values` of {}", field.name()),
        hint: format!("the value is one of the ERP's: {}", known.join(", ")),
    })
}

/// Says that a record has to be given back, which needs the CRM.
fn claimed(map: &TableMap, item: &InboxItem) -> Failure {
    let column = map.company_of(Side::Crm).map_or_else(String::new, |company| company.column.to_owned());
    Failure::Arguments {
        message: format!(
            "`{}` is claimed for this company in the CRM, by `{column}`, and `inbox` writes on neither side",
            item.record
        ),
        hint: format!("`pipeline uncouple FILE {}` gives it back and parts the two", item.record),
    }
}

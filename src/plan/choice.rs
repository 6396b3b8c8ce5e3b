//! A part of a plan: some of its table maps or records, by the names that people give them.

use uuid::Uuid;

use crate::config::{PerSide, Side};
use crate::plan::{Action, Plan, TablePlan};

/// Which part of a plan; nothing named means all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// Table maps by name.
    pub tables: Vec<String>,
    /// Records as the plan names them, or by id: `customers:10000`, `customers:ID`, `customers:crm:ID`.
    pub records: Vec<String>,
}

impl Choice {
    /// Reads words of which each is a table map or a record: only the latter has a colon.
    pub fn of_words(words: &[String]) -> Choice {
        let (records, tables) = words.iter().cloned().partition(|word| word.contains(':'));
        Choice { tables, records }
    }

    /// Tells whether all of the plan is meant.
    pub fn is_all(&self) -> bool {
        self.tables.is_empty() && self.records.is_empty()
    }

    /// Tells whether an action is meant.
    pub fn holds(&self, action: &Action) -> bool {
        self.holds_record(&action.table, &action.record, PerSide::from_fn(|side| Some(*action.ids.of(side))))
    }

    /// Tells whether what the plan says of a record is meant.
    pub fn holds_record(&self, table: &str, record: &str, ids: PerSide<Option<Uuid>>) -> bool {
        self.is_all()
            || self.tables.iter().any(|name| name == table)
            || self.records.iter().any(|name| names(name, table, record, ids))
    }

    /// Returns the table maps that are meant, each once; none where all are.
    pub fn tables_named(&self) -> Vec<String> {
        let of_record = |name: &String| name.split(':').next().unwrap_or_default().to_owned();
        let mut tables: Vec<String> = Vec::new();
        for name in self.tables.iter().cloned().chain(self.records.iter().map(of_record)) {
            if !tables.contains(&name) {
                tables.push(name);
            }
        }
        tables
    }

    /// Returns the first name that leads to nothing in the plan.
    pub fn unknown(&self, plan: &Plan) -> Option<&str> {
        let table = |name: &&String| !plan.tables.iter().any(|table| table.table == **name);
        let record = |name: &&String| {
            let choice = Choice { tables: Vec::new(), records: vec![(*name).clone()] };
            choice.part(plan).tables.iter().all(|table| {
                table.actions.is_empty() && table.held.is_empty() && table.later.is_empty() && table.drifted.is_empty()
            })
        };
        self.tables.iter().find(table).or_else(|| self.records.iter().find(record)).map(String::as_str)
    }

    /// Returns the part of a plan that is meant.
    pub fn part(&self, plan: &Plan) -> Plan {
        let part = |table: &TablePlan| {
            let mut part = table.clone();
            let name = &table.table;
            part.actions.retain(|action| self.holds(action));
            part.drifted.retain(|drifted| {
                self.holds_record(name, &drifted.record, PerSide::from_fn(|side| Some(*drifted.ids.of(side))))
            });
            part.held
                .retain(|item| self.holds_record(name, &item.record, PerSide { erp: item.erp_id, crm: item.crm_id }));
            part.later.retain(|later| self.holds_record(name, &later.record, later.ids));
            let whole = self.holds_record(name, "", PerSide::default());
            part.guarded = part.guarded.filter(|_| whole || !part.actions.is_empty());
            part
        };
        Plan { pipeline: plan.pipeline.clone(), tables: plan.tables.iter().map(part).collect() }
    }
}

/// Tells whether a name is that of a record: as it is shown, without the id that tells it from its namesakes, or by id.
fn names(name: &str, table: &str, record: &str, ids: PerSide<Option<Uuid>>) -> bool {
    // Only an id is put behind a name; a name may end in parentheses by itself.
    let is_id =
        |id: &str| Uuid::try_parse(id).is_ok_and(|id| Side::BOTH.into_iter().any(|side| *ids.of(side) == Some(id)));
    let behind = record.strip_prefix(name).and_then(|rest| rest.strip_prefix(" (")?.strip_suffix(')'));
    let bare = behind.is_some_and(is_id);
    let erp = ids.erp.map(|id| format!("{table}:{id}"));
    let crm = ids.crm.map(|id| format!("{table}:crm:{id}"));
    record == name || bare || [erp, crm].into_iter().flatten().any(|id| id.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{ActionKind, Later};

    fn plan() -> Plan {
        let action = |table: &str, record: &str, id: u128| Action {
            table: table.into(),
            record: record.into(),
            side: Side::Crm,
            kind: ActionKind::Update,
            why: String::new(),
            ids: PerSide { erp: Uuid::from_u128(id), crm: Uuid::from_u128(100 + id) },
            etag: None,
            fields: Vec::new(),
            follow_ups: Vec::new(),
        };
        let customers = TablePlan {
            table: "customers".into(),
            actions: vec![
                action("customers", &format!("customers:10000 ({})", Uuid::from_u128(1)), 1),
                action("customers", "customers:20000", 2),
                action("customers", "customers:Alpha (Nordic)", 4),
                action("customers", "customers:Alpha", 5),
            ],
            guarded: Some("too many".into()),
            ..TablePlan::default()
        };
        let later = Later { record: "items:1896-S".into(), ids: PerSide::default(), message: "waits".into() };
        let items = TablePlan {
            table: "items".into(),
            actions: vec![action("items", "items:1000", 3)],
            later: vec![later],
            ..TablePlan::default()
        };
        Plan { pipeline: "full".into(), tables: vec![customers, items] }
    }

    #[test]
    fn a_part_is_named_by_tables_records_and_ids() {
        let crm = format!("customers:crm:{}", Uuid::from_u128(102));
        let first = format!("customers:10000 ({})", Uuid::from_u128(1));
        let first = first.as_str();
        let all = vec![first, "customers:20000", "customers:Alpha (Nordic)", "customers:Alpha", "items:1000"];
        for (words, expected) in [
            (vec![], all),
            (vec!["items"], vec!["items:1000"]),
            (vec!["customers:10000"], vec![first]),
            (vec![&*crm], vec!["customers:20000"]),
            (vec!["customers:20000", "items"], vec!["customers:20000", "items:1000"]),
            // Whose name another one's begins with is not that one.
            (vec!["customers:Alpha"], vec!["customers:Alpha"]),
            (vec!["customers:Alpha (Nordic)"], vec!["customers:Alpha (Nordic)"]),
            (vec!["items:1896-S"], vec![]),
        ] {
            let choice = Choice::of_words(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
            let part = choice.part(&plan());
            let records: Vec<&str> = part.actions().map(|action| action.record.as_str()).collect();
            assert_eq!((records, choice.unknown(&plan())), (expected, None), "{words:?}");
            let guarded = words.is_empty() || words[0].starts_with("customers");
            assert_eq!(part.tables[0].guarded.is_some(), guarded, "{words:?}");
        }
    }

    #[test]
    fn a_name_that_leads_to_nothing_is_told() {
        for word in ["custmers", "customers:3", "items:crm:1000"] {
            assert_eq!(Choice::of_words(&[word.to_owned()]).unknown(&plan()), Some(word));
        }
        let words = ["customers:1", "items", "customers"].map(str::to_owned);
        assert_eq!(Choice::of_words(&words).tables_named(), ["items", "customers"]);
    }
}

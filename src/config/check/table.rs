//! Table maps: each as written, and the defaults, in; as meant out.
//!
//! What concerns one field map is judged in [`field`](super::field); here is what concerns the table map as a whole:
//! both sides, directions, match rules, templates, and the order of the table maps.

use crate::config::check::circles::{self, Wish};
use crate::config::check::sql::{self, Known};
use crate::config::check::{Desk, field, filter};
use crate::config::complaint::Path;
use crate::config::expression::is_column_name;
use crate::config::schema;
use crate::config::{
    Create, Direction, Guard, Limit, MatchRule, OnConflict, OnDelete, PerSide, Policy, Side, TableMap, TableSide,
    Template, TemplateValue,
};

/// Checks all table maps; one that nothing can be made of was complained about and is left out.
pub(super) fn check_all(
    desk: &mut Desk<'_>,
    written: &[(String, schema::Table)],
    defaults: &schema::Defaults,
) -> Vec<TableMap> {
    let path = Path::root().key("tables");
    let mut tables = Vec::new();
    for (name, table) in written {
        tables.extend(check(desk, &path.key(name), name, table, defaults));
    }
    check_order(desk, &path, written);
    tables
}

fn check(
    desk: &mut Desk<'_>,
    path: &Path,
    name: &str,
    written: &schema::Table,
    defaults: &schema::Defaults,
) -> Option<TableMap> {
    check_name(desk, path, name);
    let known = known(written, defaults);
    let erp = desk.required(path, "erp", "name the ERP table: `erp: { table: … }`", written.erp.as_ref());
    let erp = erp.and_then(|erp| side(desk, &path.key("erp"), Side::Erp, erp, &known));
    let crm = desk.required(path, "crm", "name the CRM table: `crm: { table: … }`", written.crm.as_ref());
    let crm = crm.and_then(|crm| side(desk, &path.key("crm"), Side::Crm, crm, &known));

    let direction = direction(desk, path, written, defaults);
    let create = create(desk, path, written, defaults, direction);
    let first_sync = first_sync(desk, path, written, defaults, direction);
    let on_conflict = on_conflict(desk, path, written, defaults, direction);
    let on_delete = on_delete(desk, path, written, defaults, direction);
    let guard = guard(written.guard.unwrap_or_default(), defaults.guard.unwrap_or_default());

    let (own, default) = (written.match_rules.as_ref(), defaults.match_rules.as_ref());
    let rules = given(desk, path, "match", own, default).here().map(|(path, rules)| match_rules(desk, &path, rules));
    let (own, default) = (written.on_create.as_ref(), defaults.on_create.as_ref());
    // What is created nowhere may still be made anew.
    let made = match (on_delete, direction, create) {
        (OnDelete::Restore, Some(direction), Some(_)) => Some(Create::along(direction)),
        _ => create,
    };
    let templates = given(desk, path, "on_create", own, default).here().map(|(path, templates)| {
        let is_own = written.on_create.is_some();
        templates_of(desk, &path, templates, made, is_own, &known)
    });

    let hint = "pair at least one ERP column with a CRM column";
    let fields = desk.required(path, "fields", hint, written.fields.as_ref());
    if fields.is_some_and(|fields| fields.is_empty()) {
        desk.refuse(&path.key("fields"), "holds no field map", hint.to_owned());
    }
    let matched: Vec<(String, String)> =
        rules.iter().flatten().flatten().flat_map(|rule: &MatchRule| rule.by.iter().cloned()).collect();
    let facts = field::Facts { direction, create: made, on_conflict, matched: &matched, known: &known };
    let fields = fields.map(|fields| field::check_all(desk, &path.key("fields"), fields, &facts));
    let after = written.after.as_deref().unwrap_or_default();
    let after = desk.elements(&path.key("after"), after);
    for (path, table) in &after {
        desk.names_table(path, table);
    }
    let map = TableMap {
        name: name.to_owned(),
        sides: PerSide { erp: erp?, crm: crm? },
        direction: direction?,
        create: create?,
        match_rules: rules.unwrap_or(Some(Vec::new()))?,
        first_sync,
        on_conflict,
        on_delete,
        guard,
        on_create: templates.unwrap_or(Some(Vec::new()))?,
        fields: fields??,
        after: after.into_iter().map(|(_, table)| table.clone()).collect(),
    };
    filter::check(desk, path, &map);
    Some(map)
}

fn check_name(desk: &mut Desk<'_>, path: &Path, name: &str) {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(is_word) {
        let hint = "take letters, digits, `_` and `-`, beginning with a letter".to_owned();
        desk.refuse(path, format!("`{name}` is no name for a table map"), hint);
    }
}

fn direction(
    desk: &mut Desk<'_>,
    path: &Path,
    written: &schema::Table,
    defaults: &schema::Defaults,
) -> Option<Direction> {
    match given(desk, path, "direction", written.direction, defaults.direction) {
        Given::Here(_, direction) => Some(direction),
        Given::Damaged => None,
        Given::Absent => {
            let hint = "write `direction: to_crm`, `to_erp` or `both`, here or in `defaults`";
            desk.required(path, "direction", hint, None)
        }
    }
}

fn create(
    desk: &mut Desk<'_>,
    path: &Path,
    written: &schema::Table,
    defaults: &schema::Defaults,
    direction: Option<Direction>,
) -> Option<Create> {
    match given(desk, path, "create", written.create, defaults.create) {
        Given::Here(path, create) => Some(narrow(desk, &path, create, direction, written.create.is_some())),
        Given::Damaged => None,
        Given::Absent => Some(Create::None),
    }
}

fn first_sync(
    desk: &mut Desk<'_>,
    path: &Path,
    written: &schema::Table,
    defaults: &schema::Defaults,
    direction: Option<Direction>,
) -> Option<Policy> {
    let (place, policy) = given(desk, path, "first_sync", written.first_sync, defaults.first_sync).here()?;
    let first_sync = filler(desk, &place, policy)?;
    if let (true, Some(direction)) = (written.first_sync.is_some(), direction) {
        check_winner(desk, &path.key("first_sync"), first_sync, direction);
    }
    Some(first_sync)
}

fn on_conflict(
    desk: &mut Desk<'_>,
    path: &Path,
    written: &schema::Table,
    defaults: &schema::Defaults,
    direction: Option<Direction>,
) -> OnConflict {
    let given = given(desk, path, "on_conflict", written.on_conflict, defaults.on_conflict).here();
    if written.on_conflict.is_some_and(|policy| policy != schema::Policy::Hold)
        && direction.is_some_and(|direction| direction != Direction::Both)
    {
        let message = "has no effect: only fields that travel both ways can be contested";
        desk.warn(&path.key("on_conflict"), message, "remove it".to_owned());
    }
    given.map_or(OnConflict::Hold, |(_, policy)| policy.winner())
}

fn on_delete(
    desk: &mut Desk<'_>,
    path: &Path,
    written: &schema::Table,
    defaults: &schema::Defaults,
    direction: Option<Direction>,
) -> OnDelete {
    let given = given(desk, path, "on_delete", written.on_delete, defaults.on_delete).here();
    let on_delete = given.map_or(OnDelete::Hold, |(_, on_delete)| on_delete);
    if let (true, Some(direction)) = (written.on_delete.is_some(), direction) {
        check_reach(desk, &path.key("on_delete"), on_delete, direction);
    }
    on_delete
}

/// A key that stands at a table map or in the defaults.
enum Given<T> {
    /// The value, and where it stands.
    Here(Path, T),
    Absent,
    /// It was complained about, so that nothing is known.
    Damaged,
}

impl<T> Given<T> {
    fn here(self) -> Option<(Path, T)> {
        match self {
            Given::Here(path, value) => Some((path, value)),
            Given::Absent | Given::Damaged => None,
        }
    }
}

fn given<T>(desk: &Desk<'_>, path: &Path, key: &str, own: Option<T>, default: Option<T>) -> Given<T> {
    let (path, default_path) = (path.key(key), Path::root().key("defaults").key(key));
    match (own, default) {
        _ if desk.tree.is_damaged(&path) => Given::Damaged,
        (Some(own), _) => Given::Here(path, own),
        _ if desk.tree.is_damaged(&default_path) => Given::Damaged,
        (None, Some(default)) => Given::Here(default_path, default),
        (None, None) => Given::Absent,
    }
}

/// Returns who fills a field of a new pair; the newest side is complained about.
pub(super) fn filler(desk: &mut Desk<'_>, path: &Path, written: schema::Policy) -> Option<Policy> {
    match written {
        schema::Policy::Hold => Some(Policy::Hold),
        schema::Policy::Erp => Some(Policy::Erp),
        schema::Policy::Crm => Some(Policy::Crm),
        schema::Policy::Newest => {
            let message = "two records that never agreed have no newer value: a time tells of an edit, not of a value";
            desk.refuse(path, message, "write `erp`, `crm` or `hold`; `newest` stands in `on_conflict`".to_owned());
            None
        }
    }
}

impl schema::Policy {
    /// Returns who wins a contested field.
    pub(super) fn winner(self) -> OnConflict {
        match self {
            schema::Policy::Hold => OnConflict::Hold,
            schema::Policy::Erp => OnConflict::Erp,
            schema::Policy::Crm => OnConflict::Crm,
            schema::Policy::Newest => OnConflict::Newest,
        }
    }
}

/// Complains if the side that is to win never sends anything.
pub(super) fn check_winner(desk: &mut Desk<'_>, path: &Path, policy: Policy, direction: Direction) {
    let winner = match policy {
        Policy::Hold => return,
        Policy::Erp => Side::Erp,
        Policy::Crm => Side::Crm,
    };
    if !direction.writes(winner.other()) {
        let message = format!("the {} cannot win: values travel {} only", winner.name(), direction.key());
        desk.refuse(path, message, format!("write `{}` or `hold`, or remove it", winner.other().key()));
    }
}

/// Warns if an answer to deletions reaches one side only.
fn check_reach(desk: &mut Desk<'_>, path: &Path, on_delete: OnDelete, direction: Direction) {
    let Some(closed) = Side::BOTH.into_iter().find(|side| !direction.writes(*side)) else { return };
    // Made anew is what was deleted, deleted is what was left.
    let (held, verb) = match on_delete {
        OnDelete::Hold | OnDelete::Uncouple => return,
        OnDelete::Restore => (closed, "made anew"),
        OnDelete::Delete => (closed.other(), "deleted"),
    };
    let message = format!("nothing is {verb} in the {}: values travel {} only", closed.name(), direction.key());
    let hint = format!("what is deleted in the {} waits for a person; `direction: both` changes that", held.name());
    desk.warn(path, message, hint);
}

/// Fills in what a guard does not say: from the defaults of the file, else from those of the program.
fn guard(own: schema::Guard, default: schema::Guard) -> Guard {
    let limit = |own: Option<schema::values::Bound>, default: Option<schema::values::Bound>| {
        own.or(default).map(|bound| bound.0)
    };
    Guard {
        create: limit(own.create, default.create),
        update: limit(own.update, default.update).or(Some(Limit::Share(5_000))),
        delete: limit(own.delete, default.delete).or(Some(Limit::Share(500))),
    }
}

/// Takes away the sides that the direction does not write; written at the table map itself, that is a complaint.
fn narrow(desk: &mut Desk<'_>, path: &Path, create: Create, direction: Option<Direction>, is_own: bool) -> Create {
    let Some(direction) = direction else { return create };
    let on = PerSide::from_fn(|side| create.on(side) && direction.writes(side));
    if is_own && Side::BOTH.into_iter().any(|side| create.on(side) && !direction.writes(side)) {
        let message = format!("`create: {}` goes against `direction: {}`", desk.written(path), direction.key());
        desk.refuse(path, message, format!("write `create: none` or `create: {}`", direction.key()));
    }
    match (on.erp, on.crm) {
        (true, true) => Create::Both,
        (true, false) => Create::ToErp,
        (false, true) => Create::ToCrm,
        (false, false) => Create::None,
    }
}

/// Gathers the columns that a table map names outside of SQL.
fn known(written: &schema::Table, defaults: &schema::Defaults) -> Known {
    let mut known = Known::default();
    for field in written.fields.iter().flatten().flatten() {
        known.add(field.erp.as_deref(), field.crm.as_deref());
    }
    for rule in written.match_rules.as_ref().or(defaults.match_rules.as_ref()).into_iter().flatten().flatten() {
        for (erp, crm) in rule.by.iter().flat_map(|by| &by.0) {
            known.add(Some(erp), Some(crm));
        }
    }
    known.add(written.erp.as_ref().and_then(|erp| erp.label.as_deref()), None);
    known.add(None, written.crm.as_ref().and_then(|crm| crm.label.as_deref()));
    known
}

fn side(desk: &mut Desk<'_>, path: &Path, side: Side, written: &schema::TableSide, known: &Known) -> Option<TableSide> {
    let table = desk.required(path, "table", "name the entity set", written.table.clone());
    if let Some(table) = &table {
        let parts: Vec<&str> = table.split('/').collect();
        let is_word = |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c));
        let count = if side == Side::Erp { [1, 4].contains(&parts.len()) } else { parts.len() == 1 };
        if !count || !parts.iter().all(is_word) {
            let path = path.key("table");
            let hint = match side {
                Side::Erp => {
                    "write an entity set (`customers`), or `publisher/group/version/set` for a custom API page"
                }
                Side::Crm => "write an entity set (`accounts`)",
            };
            desk.refuse(
                &path,
                format!("`{}` is no table of the {}", desk.written(&path), side.name()),
                hint.to_owned(),
            );
        }
    }
    let label = written.label.as_ref().filter(|label| column(desk, &path.key("label"), label));
    let filter = written.filter.as_ref();
    let filter = filter.map(|text| sql::expression(desk, &path.key("filter"), text, side, known));
    let modified = written.modified.as_ref().filter(|modified| column(desk, &path.key("modified"), modified));
    let key = written.key.as_ref().filter(|key| column(desk, &path.key("key"), key));
    if key.is_some() && side == Side::Crm {
        desk.refuse(&path.key("key"), "the metadata of the CRM names the key", "remove it".to_owned());
    }
    let options = options(desk, &path.key("options"), side, written.options.as_ref());
    Some(TableSide {
        table: table?,
        label: label.cloned(),
        filter: filter.flatten(),
        key: key.cloned(),
        modified: modified.cloned(),
        options,
    })
}

/// Returns the columns that are called options, with their members.
fn options(
    desk: &mut Desk<'_>,
    path: &Path,
    side: Side,
    written: Option<&schema::values::Pairs<Vec<Option<String>>>>,
) -> Vec<(String, Vec<String>)> {
    let Some(written) = written else { return Vec::new() };
    if side == Side::Crm {
        desk.refuse(path, "the metadata of the CRM tell its choices", "remove it".to_owned());
    }
    let mut options = Vec::new();
    for (column, members) in &written.0 {
        let path = path.key(column);
        let members: Vec<String> = members.iter().flatten().cloned().collect();
        if members.is_empty() && !desk.has_damage_below(&path) {
            let hint = format!("name them in order, the blank one as `\"\"`: `{column}: [\"\", Ship, All]`");
            desk.refuse(&path, "names no members", hint);
        }
        options.push((column.clone(), members));
    }
    options
}

/// Tells whether a text can be a column; if not, that is complained about.
pub(super) fn column(desk: &mut Desk<'_>, path: &Path, name: &str) -> bool {
    let is_name = is_column_name(name);
    if !is_name {
        let hint = "take letters, digits and `_`, and `/` behind a navigation".to_owned();
        desk.refuse(path, format!("`{}` is no name of a column", desk.written(path)), hint);
    }
    is_name && !desk.tree.is_damaged(path)
}

fn match_rules(desk: &mut Desk<'_>, path: &Path, written: &[Option<schema::MatchRule>]) -> Option<Vec<MatchRule>> {
    let mut rules = Some(Vec::new());
    for (path, rule) in desk.elements(path, written) {
        let hint = "name the columns that have to agree: `by: { ERP column: CRM column }`";
        let by = desk.required(&path, "by", hint, rule.by.as_ref());
        let by_path = path.key("by");
        if by.is_some_and(|by| by.0.is_empty()) && !desk.has_damage_below(&by_path) {
            desk.refuse(&by_path, "names no columns", hint.to_owned());
        }
        for (erp, crm) in by.iter().flat_map(|by| &by.0) {
            let path = by_path.key(erp);
            column(desk, &path, crm);
            if !is_column_name(erp) {
                let hint = "take letters, digits and `_`, and `/` behind a navigation".to_owned();
                desk.refuse(&path, format!("`{erp}` is no name of a column"), hint);
            }
        }
        let case_sensitive = rule.case_sensitive.is_some_and(|flag| flag.0);
        match (by, &mut rules) {
            (Some(by), Some(rules)) => rules.push(MatchRule { by: by.0.clone(), case_sensitive }),
            _ => rules = None,
        }
    }
    rules
}

fn templates_of(
    desk: &mut Desk<'_>,
    path: &Path,
    written: &[Option<schema::Template>],
    create: Option<Create>,
    is_own: bool,
    known: &Known,
) -> Option<Vec<Template>> {
    let mut templates = Some(Vec::new());
    for (number, (path, written)) in desk.elements(path, written).into_iter().enumerate() {
        let side =
            desk.required(&path, "side", "say where the record is new: `side: erp` or `side: crm`", written.side);
        let hint = "give values: `set: { column: value }`";
        let set = desk.required(&path, "set", hint, written.set.as_ref());
        let Some(side) = side else {
            templates = None;
            continue;
        };
        if create.is_some_and(|create| !create.on(side)) {
            if is_own {
                let message = format!("is never used: nothing is created in the {}", side.name());
                desk.refuse(&path, message, format!("remove it, or let `create` include `to_{}`", side.key()));
            }
            continue;
        }
        let source = side.other();
        let condition = written.condition.as_ref();
        let condition = condition.and_then(|text| sql::expression(desk, &path.key("if"), text, source, known));
        let mut values = Vec::new();
        for (name, _) in set.iter().flat_map(|set| &set.0) {
            let path = path.key("set").key(name);
            if name.contains('/') || !is_column_name(name) {
                let hint = "take a column of the record itself".to_owned();
                desk.refuse(&path, format!("`{name}` is no column that can be written"), hint);
            }
            let value = match desk.constant(&path) {
                Some(crate::config::Constant::Text(text)) => sql::template_value(desk, &path, &text, source, known),
                constant => constant.map(TemplateValue::Constant),
            };
            values.extend(value.map(|value| (name.clone(), value)));
        }
        if let Some(templates) = &mut templates {
            templates.push(Template { number, side, condition, set: values });
        }
    }
    templates
}

/// Complains about circles that no order of the table maps can satisfy.
fn check_order(desk: &mut Desk<'_>, path: &Path, written: &[(String, schema::Table)]) {
    let number = |name: &str| written.iter().position(|(known, _)| known == name);
    let mut wishes = Vec::new();
    for (table, (_, map)) in written.iter().enumerate() {
        for (position, name) in map.after.iter().flatten().enumerate() {
            let first = name.as_deref().and_then(number);
            wishes.extend(first.map(|first| Wish { table, first, after: Some(position) }));
        }
        for reference in map.fields.iter().flatten().flatten().filter_map(|field| field.reference.as_ref()) {
            let first = reference.table.as_deref().and_then(number);
            wishes.extend(first.map(|first| Wish { table, first, after: None }));
        }
    }
    for circle in circles::find(written.len(), &wishes) {
        let names: Vec<&str> = circle.tables.iter().map(|table| written[*table].0.as_str()).collect();
        let path = path.key(names[0]).key("after").index(circle.wish.after.unwrap_or_default());
        let message = format!("runs in a circle: {}", names.join(" after "));
        let hint = "remove one `after`; a `ref` alone may go in a circle".to_owned();
        desk.refuse(&path, message, hint);
    }
}

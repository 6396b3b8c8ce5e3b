//! Is the file valid, and what does it mean? Text in, a [`Pipeline`] and every complaint at once out.
//!
//! First the text becomes a tree, then the file as it is written, then, here, the file as it is meant. What an earlier step
//! complained about is no reason for a later one to complain again. Whether tables and columns exist is not known here:
//! the metadata of both sides is asked at the start of a run.

mod circles;
mod connection;
mod field;
mod filter;
mod reference;
mod sql;
mod table;

use crate::config::complaint::{Complaint, Complaints, Path, Severity, suggestion};
use crate::config::schema::File;
use crate::config::tree::{Node, Plain, Variables};
use crate::config::{Adapter, Connection, Constant, PerSide, Pipeline, Side, TableMap, read, tree, variables};

/// What the file is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To be judged: a missing variable is a warning.
    Check,
    /// To be used: a missing variable is an error.
    Run,
}

/// The outcome of a check.
#[derive(Debug)]
pub struct Checked {
    /// There if nothing is wrong; where a variable is missing, texts may hold [`variables::PLACEHOLDER`].
    pub pipeline: Option<Pipeline>,
    /// What can be used where something is wrong.
    pub rest: Part,
    /// In the order of the file.
    pub complaints: Vec<Complaint>,
}

/// What of a file can be used, whatever is wrong elsewhere in it.
#[derive(Debug, Default)]
pub struct Part {
    pub name: Option<String>,
    pub connections: PerSide<Option<Connection>>,
    pub state: Option<String>,
    /// Table maps in which nothing is wrong, in the order of the file.
    pub tables: Vec<TableMap>,
    /// The names of the others.
    pub broken: Vec<String>,
}

impl From<Pipeline> for Part {
    fn from(whole: Pipeline) -> Part {
        let Pipeline { name, connections: PerSide { erp, crm }, state, keep_values: _, tables } = whole;
        let connections = PerSide { erp: Some(erp), crm: Some(crm) };
        Part { name: Some(name), connections, state: Some(state), tables, broken: Vec::new() }
    }
}

/// Checks the text of a pipeline file that goes by the name `file`.
pub fn check(text: &str, file: &str, env: &dyn Fn(&str) -> Option<String>, purpose: Purpose) -> Checked {
    let mut complaints = Complaints::new(file);
    let mut rest = Part::default();
    let pipeline = tree::parse(text, &mut complaints).and_then(|mut tree| {
        let severity = match purpose {
            Purpose::Check => Severity::Warning,
            Purpose::Run => Severity::Error,
        };
        variables::fill(&mut tree, env, severity, &mut complaints);
        let file = read::read(&mut tree, &mut complaints)?;
        pipeline(&mut Desk { tree: &tree, complaints: &mut complaints }, file, &mut rest)
    });
    let pipeline = pipeline.filter(|_| !complaints.has_errors());
    Checked { pipeline, rest, complaints: complaints.sorted() }
}

/// Returns the pipeline; `None` where something keeps it from being one, and then the `rest` is what can be used of it.
fn pipeline(desk: &mut Desk<'_>, file: File, rest: &mut Part) -> Option<Pipeline> {
    let root = Path::root();
    if let Some(version) = desk.required(&root, "version", "write `version: 1`", file.version)
        && version.0 != 1
    {
        desk.refuse(&root.key("version"), "this program reads version 1 only", "write `version: 1`".to_owned());
    }
    let name = desk.required(&root, "name", "give the pipeline a name: `name: full`", file.name);
    if name.as_deref().is_some_and(|name| name.trim().is_empty()) {
        desk.refuse(&root.key("name"), "is blank", "give the pipeline a name: `name: full`".to_owned());
    }
    let connections = desk.required(&root, "connections", "say how to reach `erp` and `crm`", file.connections);
    let connections = connections.map(|written| {
        let path = root.key("connections");
        let erp = desk.required(&path, "erp", "say how to reach the ERP", written.erp);
        let erp = erp.map(|erp| connection::check(desk, &path.key("erp"), Side::Erp, erp));
        let crm = desk.required(&path, "crm", "say how to reach the CRM", written.crm);
        let crm = crm.map(|crm| connection::check(desk, &path.key("crm"), Side::Crm, crm));
        PerSide { erp: erp.flatten(), crm: crm.flatten() }
    });
    let state = desk.required(&root, "state", "say where to remember: `state: sqlite:state/full.db`", file.state);
    if let Some(state) = &state {
        check_state(desk, &root.key("state"), state);
    }
    let hint = "pair at least one ERP table with a CRM table";
    let tables = desk.required(&root, "tables", hint, file.tables);
    if tables.as_ref().is_some_and(|tables| tables.0.is_empty()) && !desk.has_damage_below(&root.key("tables")) {
        desk.refuse(&root.key("tables"), "holds no table map", hint.to_owned());
    }
    let names: Vec<String> = tables.iter().flat_map(|tables| &tables.0).map(|(name, _)| name.clone()).collect();
    let tables = tables.map(|tables| table::check_all(desk, &tables.0, &file.defaults.unwrap_or_default()));
    let (mut connections, tables) = (connections.unwrap_or_default(), tables.unwrap_or_default());
    if let Some(connection) = &mut connections.erp {
        give_keys(desk, connection, &tables);
        give_options(desk, connection, &tables);
    }
    let keep_values = file.keep_values.is_none_or(|keep| keep.0);
    let is_whole = tables.len() == names.len() && !desk.complaints.has_errors();
    match (name, connections.erp, connections.crm, state) {
        (Some(name), Some(erp), Some(crm), Some(state)) if is_whole => {
            Some(Pipeline { name, connections: PerSide { erp, crm }, state, keep_values, tables })
        }
        (name, erp, crm, state) => {
            *rest = desk.sound(Part { name, connections: PerSide { erp, crm }, state, tables, broken: names });
            None
        }
    }
}

/// Tells the ERP's connection which key columns the table maps name.
fn give_keys(desk: &mut Desk<'_>, connection: &mut Connection, tables: &[TableMap]) {
    for map in tables {
        let Some(key) = &map.sides.erp.key else { continue };
        let path = Path::root().key("tables").key(&map.name).key("erp").key("key");
        if connection.adapter == Adapter::Nav {
            desk.refuse(&path, "the metadata of OData V4 pages names the key", "remove it".to_owned());
        }
        let known = connection.keys.insert(map.sides.erp.table.clone(), key.clone());
        if known.is_some_and(|known| known != *key) {
            let message = format!("another table map names another key of `{}`", map.sides.erp.table);
            desk.refuse(&path, message, "name the same column in both".to_owned());
        }
    }
}

/// Tells the ERP's connection which columns the table maps call options.
fn give_options(desk: &mut Desk<'_>, connection: &mut Connection, tables: &[TableMap]) {
    for map in tables {
        let path = Path::root().key("tables").key(&map.name).key("erp").key("options");
        if !map.sides.erp.options.is_empty() && connection.adapter != Adapter::Nav {
            let hint = "remove it; it is for `adapter: nav`, where options look like texts".to_owned();
            desk.refuse(&path, "the metadata tell which columns are options", hint);
        }
        let of_table = connection.options.entry(map.sides.erp.table.clone()).or_default();
        for (column, members) in &map.sides.erp.options {
            let known = of_table.insert(column.clone(), members.clone());
            if known.is_some_and(|known| known != *members) {
                let message = format!("another table map names other members of `{column}`");
                desk.refuse(&path.key(column), message, "name the same members in both".to_owned());
            }
        }
    }
}

fn check_state(desk: &mut Desk<'_>, path: &Path, state: &str) {
    if desk.tree.is_damaged(path) {
        return;
    }
    let written = desk.written(path);
    let hint = "write `sqlite:PATH`; a relative path starts at this file's folder".to_owned();
    if state.starts_with("postgres:") || state.starts_with("postgresql:") {
        desk.refuse(path, "state in PostgreSQL is not built yet", hint);
    } else if state.strip_prefix("sqlite:").is_none_or(|rest| rest.trim().is_empty() || rest.starts_with("//")) {
        // A path is no secret, and says more than the variable it came from; an address may hold a password.
        let harmless = !state.contains(['@', '?', '=']) && written != state;
        let shown = if harmless { format!("`{state}`, from `{written}`,") } else { format!("`{written}`") };
        desk.refuse(path, format!("{shown} is no place for the state"), hint);
    }
}

/// Where the checks find the tree and leave their complaints.
struct Desk<'a> {
    tree: &'a Node,
    complaints: &'a mut Complaints,
}

impl Desk<'_> {
    /// Adds an error about the value at `path`, unless something is known to be wrong there.
    fn refuse(&mut self, path: &Path, message: impl Into<String>, hint: impl Into<Option<String>>) {
        self.add(Severity::Error, path, message.into(), hint.into());
    }

    /// Adds an error about what stands in the file at `path`, whatever its variables are, or whether they are missing.
    fn refuse_written(&mut self, path: &Path, message: &str, hint: String) {
        self.complaints.add(Severity::Error, self.tree.place_of(path), path, message.to_owned(), Some(hint));
    }

    /// Adds a warning about the value at `path`, unless something is known to be wrong there.
    fn warn(&mut self, path: &Path, message: impl Into<String>, hint: impl Into<Option<String>>) {
        self.add(Severity::Warning, path, message.into(), hint.into());
    }

    fn add(&mut self, severity: Severity, path: &Path, message: String, hint: Option<String>) {
        if !self.tree.is_damaged(path) {
            self.complaints.add(severity, self.tree.place_of(path), path, message, hint);
        }
    }

    /// Leaves of all that could be made of the file what nothing is wrong with. Where a default is wrong, so is every table
    /// map that takes it from there.
    fn sound(&self, mut part: Part) -> Part {
        let root = Path::root();
        let is_wrong = |path: &Path| self.complaints.has_errors_at(path);
        for side in Side::BOTH.into_iter().filter(|side| is_wrong(&root.key("connections").key(side.key()))) {
            *part.connections.of_mut(side) = None;
        }
        let defaults = root.key("defaults");
        let mut wrong = self.tree.at(&defaults).map(Node::keys).unwrap_or_default();
        wrong.retain(|key| is_wrong(&defaults.key(key)));
        part.tables.retain(|map| {
            let path = root.key("tables").key(&map.name);
            !is_wrong(&path) && wrong.iter().all(|key| self.tree.at(&path.key(key)).is_some())
        });
        part.broken.retain(|name| part.tables.iter().all(|map| map.name != *name));
        part.name = part.name.filter(|_| !is_wrong(&root.key("name")));
        part.state = part.state.filter(|_| !is_wrong(&root.key("state")));
        part
    }

    /// Complains if a key below `path` is missing, unless a slip of the pen is why.
    fn required<T>(&mut self, path: &Path, key: &str, hint: &str, value: Option<T>) -> Option<T> {
        let is_slip = |other: &&str| self.tree.is_damaged(&path.key(other)) && suggestion(other, [key]).is_some();
        let keys = self.tree.at(path).map(Node::keys).unwrap_or_default();
        if value.is_none() && !self.tree.is_damaged(&path.key(key)) && !keys.iter().any(is_slip) {
            self.refuse(path, format!("`{key}` is missing"), hint.to_owned());
        }
        value
    }

    /// Returns the elements of a list with their paths; those that are nothing are complained about.
    fn elements<'t, T>(&mut self, path: &Path, list: &'t [Option<T>]) -> Vec<(Path, &'t T)> {
        let mut elements = Vec::new();
        for (index, element) in list.iter().enumerate() {
            let path = path.index(index);
            match element {
                Some(element) => elements.push((path, element)),
                None => self.refuse(&path, "is empty", "fill it in, or remove the line".to_owned()),
            }
        }
        elements
    }

    /// Returns a scalar as it stands in the file: fit for a message, since no variable is filled in.
    fn written(&self, path: &Path) -> String {
        self.tree.at(path).map(Node::written).unwrap_or_default().to_owned()
    }

    /// Returns a scalar of the file with its spelling.
    fn constant(&self, path: &Path) -> Option<Constant> {
        let tree::Content::Scalar(scalar) = &self.tree.at(path)?.content else { return None };
        let text = scalar.text.clone();
        Some(match scalar.plain_value() {
            Plain::Boolean(value) => Constant::Boolean(value),
            Plain::Number => Constant::Number(text.trim_start_matches('+').to_owned()),
            Plain::Text => Constant::Text(text),
            // A variable may well be empty by its default.
            Plain::Nothing if scalar.variables != Variables::None => Constant::Text(text),
            Plain::Nothing => return None,
        })
    }

    /// Tells whether a list or map lost something that was wrong.
    fn has_damage_below(&self, path: &Path) -> bool {
        match self.tree.at(path).map(|node| &node.content) {
            Some(tree::Content::List(nodes)) => nodes.iter().any(|node| node.pruned),
            Some(tree::Content::Map(entries)) => entries.iter().any(|entry| entry.node.pruned),
            _ => self.tree.is_damaged(path),
        }
    }

    /// Checks that a word names a table map.
    fn names_table(&mut self, path: &Path, name: &str) {
        let tables = self.tree.get("tables").map(Node::keys).unwrap_or_default();
        if !tables.contains(&name) {
            let hint = suggestion(&self.written(path), tables);
            self.refuse(path, format!("no table map `{}`", self.written(path)), hint);
        }
    }
}

#[cfg(test)]
mod tests;

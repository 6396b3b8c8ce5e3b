//! A pipeline by chance, out of all keys that the file has for table maps and field maps.
//!
//! What a key means for a pair is the business of the oracle; here it only has to be a file that `check` takes.

use pipeline::config::{Create, Direction, Side};

use crate::dice::Chance;

/// What a field's value is in the other side's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terms {
    /// The same text.
    Same,
    /// The CRM writes a `+` in front; blank stays blank.
    Plus,
    /// The CRM gets capitals.
    Upper,
    /// A is 1, B is 2.
    Values,
    /// A code of a person, and the id of a user.
    Owner,
    /// A number of a customer, and the id of an account.
    Parent,
    /// The one side holds this.
    Constant(&'static str),
}

/// A drawn pipeline, and what an oracle has to know about it besides.
#[derive(Debug, Clone)]
pub struct Drawn {
    /// The table maps as the file has them.
    pub tables: String,
    /// The terms of each field of `customers`.
    pub terms: Vec<Terms>,
    /// How long a memo may be in the CRM.
    pub memo_max: Option<usize>,
    /// Whether users without partner become people.
    pub makes_people: bool,
    /// Whether a match rule reads the name.
    pub matches_names: bool,
    /// Whether a match rule reads nothing but the number.
    pub matches_numbers_only: bool,
    /// Whether a match rule may meet other capitals.
    pub folds_case: bool,
    /// Whether the company of a new account comes from a template.
    pub templates_company: bool,
}

const DIRECTIONS: [Direction; 4] = [Direction::Both, Direction::Both, Direction::ToCrm, Direction::ToErp];

/// What all drawn fields of one table map share.
struct Pen<'a> {
    chance: &'a mut Chance,
    table: Direction,
    create: Create,
    lines: Vec<String>,
    terms: Vec<Terms>,
}

impl Pen<'_> {
    /// Draws the direction of a field that may go both ways, and how the file says it.
    fn direction(&mut self) -> (Direction, String) {
        if self.table != Direction::Both {
            return (self.table, String::new());
        }
        let choices = [None, None, None, Some(Direction::Both), Some(Direction::ToCrm), Some(Direction::ToErp)];
        match self.chance.pick(&choices) {
            None => (Direction::Both, String::new()),
            Some(direction) => (direction, format!(", direction: {}", direction.key())),
        }
    }

    /// Draws the keys that a field of this direction may have.
    fn keys(&mut self, direction: Direction) -> String {
        let chance = &mut *self.chance;
        let mut keys = String::new();
        let created = Side::BOTH.into_iter().any(|side| direction.writes(side) && self.create.on(side));
        let when = match chance.below(16) {
            0 | 1 if created => ", when: create",
            2 => ", when: update",
            _ => "",
        };
        keys += when;
        if direction == Direction::Both {
            if chance.one_in(2) {
                keys += &format!(", on_conflict: {}", chance.pick(&["hold", "erp", "crm", "newest"]));
            }
            if chance.one_in(3) {
                keys += &format!(", first_sync: {}", chance.pick(&["hold", "erp", "crm"]));
            }
        } else if chance.one_in(2) && when != ", when: create" {
            keys += &format!(", drift: {}", chance.pick(&["restore", "leave", "report"]));
        }
        if chance.one_in(5) {
            keys += &format!(", blank: {}", chance.pick(&["keep", "keep", "write"]));
        }
        keys
    }

    fn line(&mut self, terms: Terms, line: String) {
        self.terms.push(terms);
        self.lines.push(format!("      - {{ {line} }}"));
    }

    /// Draws a field with two columns, unless it is left out.
    fn field(&mut self, terms: Terms, erp: &str, crm: &str, more: &str) {
        if self.chance.one_in(8) {
            return;
        }
        let (direction, written) = self.direction();
        let keys = self.keys(direction);
        self.line(terms, format!("erp: {erp}, crm: {crm}{written}{keys}{more}"));
    }

    /// Draws a field that goes through an expression, each way that it goes.
    fn computed(&mut self, terms: Terms, column: &str, to_crm: &str, to_erp: &str) {
        let (direction, written) = self.direction();
        let mut more = self.keys(direction);
        for (side, sql) in [(Side::Crm, to_crm), (Side::Erp, to_erp)] {
            if direction.writes(side) {
                more += &format!(", to_{}: \"{sql}\"", side.key());
            }
        }
        self.line(terms, format!("erp: {column}, crm: {column}{written}{more}"));
    }

    /// Draws a reference.
    fn reference(&mut self, terms: Terms, erp: &str, crm: &str, leads: &str) {
        let more = match self.chance.below(4) {
            0 => String::new(),
            _ => format!(", on_unresolved: {}", self.chance.pick(&["fail", "clear", "keep"])),
        };
        self.field(terms, erp, crm, &format!(", ref: {leads}{more}"));
    }

    /// Draws a constant on a side that is written, which not every file has.
    fn constant(&mut self, side: Side, column: &str, value: &'static str, always: bool) -> bool {
        if !self.table.writes(side) || !(always || self.chance.one_in(2)) {
            return false;
        }
        let drift = match self.chance.below(3) {
            0 => format!(", drift: {}", self.chance.pick(&["leave", "report"])),
            _ => String::new(),
        };
        // The filter asks for it, so it is always put back.
        let drift = if always { String::new() } else { drift };
        self.line(Terms::Constant(value), format!("{}: {column}, value: {value}{drift}", side.key()));
        true
    }
}

/// Draws a pipeline.
pub fn draw(chance: &mut Chance) -> Drawn {
    let table = chance.pick(&DIRECTIONS);
    let creates: Vec<Create> = [Create::None, Create::ToCrm, Create::ToErp, Create::Both, Create::along(table)]
        .into_iter()
        .filter(|create| Side::BOTH.into_iter().all(|side| !create.on(side) || table.writes(side)))
        .collect();
    let create = chance.pick(&creates);
    let rules: &[&str] = chance.pick::<&[&str]>(&[
        &["number: number"],
        &["number: number", "name: name, city: city"],
        &["name: name, city: city", "number: number"],
        &["name: name, city: city"],
        &["city: city"],
        &["number: number", "city: city"],
    ]);
    let cased: Vec<bool> = rules.iter().map(|_| chance.one_in(3)).collect();
    let matches_numbers_only = rules == ["number: number"];
    let folds_case = !rules.iter().zip(&cased).any(|(rule, cased)| *cased && rule.contains("number"));
    let mut pen = Pen { chance, table, create, lines: Vec::new(), terms: Vec::new() };

    let numbers = if table.writes(Side::Crm) { "direction: to_crm" } else { "direction: to_erp" };
    let drift = pen.chance.pick(&["", ", drift: leave", ", drift: report", ", blank: keep"]);
    pen.line(Terms::Same, format!("erp: number, crm: number, {numbers}{drift}"));
    pen.line(Terms::Same, "erp: city, crm: city".to_owned());
    pen.field(Terms::Same, "name", "name", "");
    if pen.chance.one_in(2) {
        let to_crm = "CASE WHEN phone = '' THEN '' ELSE CONCAT('+', phone) END";
        pen.computed(Terms::Plus, "phone", to_crm, "SUBSTR(phone, 2)");
    } else {
        pen.field(Terms::Same, "phone", "phone", "");
    }
    let memo_max = pen.chance.one_in(2).then_some(2);
    if table.writes(Side::Crm) && pen.chance.one_in(4) {
        let keys = pen.keys(Direction::ToCrm);
        let fit = if memo_max.is_some() { ", fit: truncate" } else { "" };
        pen.line(Terms::Upper, format!("erp: memo, crm: memo, to_crm: \"UPPER(memo)\"{keys}{fit}"));
    } else {
        let fit = if memo_max.is_some() && pen.chance.one_in(2) { ", fit: truncate" } else { "" };
        pen.field(Terms::Same, "memo", "memo", fit);
    }
    pen.field(Terms::Values, "grade", "state", ", values: { A: 1, B: 2 }");
    pen.field(Terms::Same, "limit", "limit", "");
    pen.reference(Terms::Owner, "person", "owner", "{ table: people, erp: code }");
    pen.reference(Terms::Parent, "parent", "parent", "{ table: customers, erp: number }");
    pen.constant(Side::Crm, "kind", "3", true);
    let company = pen.constant(Side::Crm, "company", "North", false);
    pen.constant(Side::Erp, "flag", "true", false);
    let (lines, terms) = (pen.lines, pen.terms);

    let mut keys = String::new();
    let mut key = |name: &str, value: &str| keys += &format!("    {name}: {value}\n");
    key("direction", table.key());
    let create_key = match create {
        Create::None => "none",
        Create::ToCrm => "to_crm",
        Create::ToErp => "to_erp",
        Create::Both => "both",
    };
    key("create", create_key);
    let rules: Vec<String> = rules
        .iter()
        .zip(&cased)
        .map(|(rule, cased)| format!("{{ by: {{ {rule} }}{} }}", if *cased { ", case_sensitive: true" } else { "" }))
        .collect();
    key("match", &format!("[ {} ]", rules.join(", ")));
    let winners = match table {
        Direction::Both => vec!["hold", "erp", "crm"],
        Direction::ToCrm => vec!["hold", "erp"],
        Direction::ToErp => vec!["hold", "crm"],
    };
    if !chance.one_in(4) {
        key("first_sync", chance.pick(&winners));
    }
    if table == Direction::Both && chance.one_in(2) {
        key("on_conflict", chance.pick(&["hold", "erp", "crm", "newest"]));
    }
    key("on_delete", chance.pick(&["hold", "restore", "uncouple", "delete"]));
    match chance.below(4) {
        0 => {
            let (create, update, delete) = (chance.below(3), chance.below(3), chance.below(2));
            key("guard", &format!("{{ create: {create}, update: {update}, delete: {delete} }}"));
        }
        1 => key("guard", "{ create: 20%, update: 20%, delete: 20% }"),
        _ => {}
    }
    let mut templates = Vec::new();
    let templates_company = create.on(Side::Crm) && !company && chance.one_in(2);
    if templates_company {
        let phone = if chance.one_in(3) { ", phone: \"'+0'\"" } else { "" };
        templates.push("{ side: crm, if: \"city = 'city 3'\", set: { company: \"'first'\" } }".to_owned());
        templates.push(format!("{{ side: crm, set: {{ company: \"'other'\"{phone} }} }}"));
        templates.push("{ side: crm, set: { company: \"'never'\" } }".to_owned());
    }
    if create.on(Side::Erp) && chance.one_in(2) {
        templates.push("{ side: erp, set: { number: \"next_number('R', 3)\" } }".to_owned());
    }
    if !templates.is_empty() {
        key("on_create", &format!("[ {} ]", templates.join(", ")));
    }
    let erp_filter = if chance.one_in(4) { "" } else { ", filter: \"blocked = ''\"" };
    let crm_filter = if chance.one_in(4) { "" } else { ", filter: kind = 3" };
    let sides = format!(
        "    erp: {{ table: customers, label: city{erp_filter} }}\n    crm: {{ table: accounts, label: city{crm_filter} }}\n"
    );
    Drawn {
        tables: format!("\n  customers:\n{sides}{keys}    fields:\n{}\n", lines.join("\n")),
        terms,
        memo_max,
        makes_people: chance.one_in(3),
        matches_names: rules.iter().any(|rule| rule.contains("name: name")),
        matches_numbers_only,
        folds_case,
        templates_company,
    }
}

//! The business logic of contacts: a person's name and its parts, the company behind a person, the customer behind that.
//!
//! In: the cells of a contact, and the place of the one just written. Out: the cells that follow from it. A customer has
//! a contact of its own, its company contact, which keeps the same name and address; the link between the two is the
//! product's own and on no page. The rules are those of the product's contact table.

use uuid::Uuid;

use super::cell::Cell;
use super::error::Refusal;
use super::schema::{Role, SETS};
use super::{CONTACTS, CUSTOMERS, Row, State};

/// What a customer and its company contact have in common.
const SHARED: [&str; 12] = [
    "displayName",
    "type",
    "addressLine1",
    "addressLine2",
    "city",
    "state",
    "country",
    "postalCode",
    "phoneNumber",
    "email",
    "website",
    "taxRegistrationNumber",
];

/// The members of the contact types.
pub const COMPANY: Cell = Cell::Member(0);
pub const PERSON: Cell = Cell::Member(1);

/// Places of the columns that the business logic knows by name; a test holds them against the schema.
pub const NUMBER: usize = 1;
pub const TYPE: usize = 2;
pub const NAME: usize = 3;
const JOB_TITLE: usize = 4;
pub const COMPANY_NUMBER: usize = 5;
pub const COMPANY_NAME: usize = 6;
pub const RELATION: usize = 7;
const FIRST_NAME: usize = 22;
const MIDDLE_NAME: usize = 23;
const SURNAME: usize = 24;
pub const CUSTOMER_NUMBER: usize = 25;

/// The longest part of a name.
const PART_MAX: usize = 30;

/// Makes the other cells follow one that was written.
pub fn follow(cells: &mut [Cell], written: usize) {
    match written {
        NAME if cells[TYPE] == PERSON => break_up(cells),
        FIRST_NAME | MIDDLE_NAME | SURNAME => join(cells),
        TYPE if cells[TYPE] == COMPANY => {
            for place in [FIRST_NAME, MIDDLE_NAME, SURNAME, JOB_TITLE, COMPANY_NUMBER] {
                cells[place] = Cell::Text("".into());
            }
        }
        // Parts that came before the type in the same request stay as they are.
        TYPE if !has_parts(cells) => break_up(cells),
        _ => {}
    }
}

/// Makes name and parts of a loaded person agree, as far as it came with one of them only.
pub fn complete(cells: &mut [Cell]) {
    match (cells[TYPE] == PERSON, has_parts(cells)) {
        (true, false) => break_up(cells),
        (true, true) if cells[NAME].text().is_empty() => join(cells),
        _ => {}
    }
}

fn has_parts(cells: &[Cell]) -> bool {
    [FIRST_NAME, MIDDLE_NAME, SURNAME].iter().any(|place| !cells[*place].text().is_empty())
}

/// Breaks the name up: the last word is the surname, the last but one the middle name, all before the first name.
fn break_up(cells: &mut [Cell]) {
    let name = cells[NAME].text().to_string();
    let words: Vec<&str> = name.split(' ').filter(|word| !word.is_empty()).collect();
    let (first, middle, last) = match words.as_slice() {
        [] => (String::new(), "", ""),
        [first] => ((*first).to_string(), "", ""),
        [first, last] => ((*first).to_string(), "", *last),
        [first @ .., middle, last] => (first.join(" "), *middle, *last),
    };
    for (place, part) in [(FIRST_NAME, first.as_str()), (MIDDLE_NAME, middle), (SURNAME, last)] {
        let cut: String = part.chars().take(PART_MAX).collect();
        cells[place] = Cell::Text(cut.trim_end().into());
    }
}

/// Makes the name of its parts.
fn join(cells: &mut [Cell]) {
    let parts = [FIRST_NAME, MIDDLE_NAME, SURNAME].map(|place| cells[place].text());
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    cells[NAME] = Cell::Text(parts.join(" ").trim_start().into());
}

/// Returns the number of a contact's company as the pages show it: a company is its own.
pub fn company_number(cells: &[Cell]) -> &Cell {
    if cells[TYPE] == COMPANY { &cells[NUMBER] } else { &cells[COMPANY_NUMBER] }
}

/// Ends a change of a contact's company; `before` is the number of the company that was shown.
///
/// Only a person changes companies. Whether it is a person is asked of the whole change, so that it does not matter
/// whether the type or the company comes first.
pub fn check_company(cells: &mut [Cell], before: &Cell) -> Result<(), Refusal> {
    if cells[TYPE] != COMPANY {
        return Ok(());
    }
    let wanted = std::mem::replace(&mut cells[COMPANY_NUMBER], Cell::Text("".into()));
    if wanted == *before {
        return Ok(());
    }
    let number = cells[NUMBER].text();
    let message = format!("Type must be equal to 'Person' in Contact: No.={number}. Current value is 'Company'.");
    Err(Refusal::new(400, "Application_FieldValidationException", message))
}

/// Whether what a customer and its company contact have in common differs between two states of one of them.
pub fn shared_differs(set: usize, old: &[Cell], new: &[Cell]) -> bool {
    SHARED.iter().filter_map(|name| SETS[set].column(name)).any(|place| old[place] != new[place])
}

/// Copies what a customer and its company contact have in common.
fn copy_shared(from: (usize, &[Cell]), to: (usize, &mut [Cell])) {
    let ((from, given), (to, taken)) = (from, to);
    let (name, kind) = (taken[NAME].clone(), taken[TYPE].clone());
    for shared in SHARED {
        if let (Some(give), Some(take)) = (SETS[from].column(shared), SETS[to].column(shared)) {
            taken[take] = given[give].clone();
        }
    }
    if to == CONTACTS && taken[TYPE] != kind {
        follow(taken, TYPE);
    }
    if to == CONTACTS && taken[NAME] != name {
        follow(taken, NAME);
    }
}

/// Makes the cells of the contact that belongs to a customer.
pub fn company_contact(customer: &[Cell], id: Uuid, number: &str) -> Box<[Cell]> {
    let mut cells: Box<[Cell]> = SETS[CONTACTS].columns.iter().map(|column| Cell::blank(column.kind)).collect();
    cells[SETS[CONTACTS].role(Role::Id)] = Cell::Guid(id);
    cells[NUMBER] = Cell::Text(number.into());
    copy_shared((CUSTOMERS, customer), (CONTACTS, &mut cells));
    cells
}

impl State {
    /// Inserts the company contact of a new customer.
    pub(super) fn add_company_contact(&mut self, customer: Uuid) {
        let Some(number) = self.number(CONTACTS) else { return };
        let id = Uuid::new_v4();
        let Some(row) = self.tables[CUSTOMERS].get(&customer) else { return };
        let cells = company_contact(&row.cells, id, &number);
        self.put(CONTACTS, number, id, cells);
        self.link(customer, id);
    }

    /// Ties a customer and its company contact together.
    pub(super) fn link(&mut self, customer: Uuid, contact: Uuid) {
        if let Some(row) = self.tables[CUSTOMERS].get_mut(&customer) {
            row.partner = contact;
        }
        if let Some(row) = self.tables[CONTACTS].get_mut(&contact) {
            row.partner = customer;
        }
    }

    /// Carries what a customer and its company contact have in common from one to the other.
    pub(super) fn share(&mut self, from: usize, source: Uuid, to: usize, destination: Uuid) {
        self.remember(to, destination);
        let (Some(given), Some(taken)) = (self.tables[from].get(&source), self.tables[to].get(&destination)) else {
            return;
        };
        let mut cells = taken.cells.clone();
        copy_shared((from, &given.cells), (to, &mut cells));
        self.replace(to, destination, cells);
    }

    /// Returns a contact's company, which is itself when it is one.
    pub(super) fn company_of<'a>(&'a self, contact: &'a Row) -> Option<&'a Row> {
        if contact.cells[TYPE] == COMPANY {
            return Some(contact);
        }
        self.tables[CONTACTS].find(contact.cells[COMPANY_NUMBER].text()).map(|(_, row)| row)
    }

    /// Returns the customer behind a contact: that of its company, or its own when the customer is a person.
    pub(super) fn customer_of(&self, contact: &Row) -> Option<Uuid> {
        let own = Some(contact.partner).filter(|id| !id.is_nil());
        own.or_else(|| self.company_of(contact).map(|company| company.partner).filter(|id| !id.is_nil()))
    }

    /// Returns the number of the company that belongs to a customer.
    pub(super) fn company_of_customer(&self, customer: &Row) -> Option<&Cell> {
        let contact = self.tables[CONTACTS].get(&customer.partner)?;
        (contact.cells[TYPE] == COMPANY).then_some(&contact.cells[NUMBER])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(name: &str) -> Box<[Cell]> {
        let mut cells: Box<[Cell]> = SETS[CONTACTS].columns.iter().map(|column| Cell::blank(column.kind)).collect();
        cells[TYPE] = PERSON;
        cells[NAME] = Cell::Text(name.into());
        follow(&mut cells, NAME);
        cells
    }

    fn parts(cells: &[Cell]) -> [&str; 3] {
        [FIRST_NAME, MIDDLE_NAME, SURNAME].map(|place| cells[place].text())
    }

    #[test]
    fn the_columns_known_by_place_are_where_they_are_said_to_be() {
        let cases = [
            (NUMBER, "number"),
            (TYPE, "type"),
            (NAME, "displayName"),
            (JOB_TITLE, "jobTitle"),
            (COMPANY_NUMBER, "companyNumber"),
            (COMPANY_NAME, "companyName"),
            (RELATION, "contactBusinessRelation"),
            (FIRST_NAME, "firstName"),
            (MIDDLE_NAME, "middleName"),
            (SURNAME, "surname"),
            (CUSTOMER_NUMBER, "customerNumber"),
        ];
        for (place, name) in cases {
            assert_eq!(SETS[CONTACTS].columns[place].name, name);
        }
        for name in SHARED {
            assert!(SETS[CUSTOMERS].column(name).is_some() && SETS[CONTACTS].column(name).is_some(), "{name}");
        }
    }

    #[test]
    fn a_name_is_broken_up_and_joined_again() {
        let long = "Wolfeschlegelsteinhausenbergerdorff";
        let cases = [
            ("", ["", "", ""], ""),
            ("Ida", ["Ida", "", ""], "Ida"),
            ("Ida Sørli", ["Ida", "", "Sørli"], "Ida Sørli"),
            ("Lars Erik Dahl", ["Lars", "Erik", "Dahl"], "Lars Erik Dahl"),
            ("Anna Maria van der Berg", ["Anna Maria van", "der", "Berg"], "Anna Maria van der Berg"),
            (" Ida   Sørli", ["Ida", "", "Sørli"], "Ida Sørli"),
            (long, ["Wolfeschlegelsteinhausenberger", "", ""], "Wolfeschlegelsteinhausenberger"),
        ];
        for (name, expected, joined) in cases {
            let mut cells = person(name);
            assert_eq!(parts(&cells), expected, "{name}");
            follow(&mut cells, SURNAME);
            assert_eq!(cells[NAME].text(), joined, "{name}");
        }
    }

    #[test]
    fn the_type_decides_what_a_name_is() {
        let mut cells = person("Ida Sørli");
        cells[TYPE] = COMPANY;
        cells[JOB_TITLE] = Cell::Text("Buyer".into());
        follow(&mut cells, TYPE);
        assert_eq!((parts(&cells), cells[JOB_TITLE].text(), cells[NAME].text()), (["", "", ""], "", "Ida Sørli"));
        cells[NAME] = Cell::Text("Ida Marie Sørli".into());
        follow(&mut cells, NAME);
        assert_eq!(parts(&cells), ["", "", ""], "the name of a company has no parts");
        cells[TYPE] = PERSON;
        follow(&mut cells, TYPE);
        assert_eq!(parts(&cells), ["Ida", "Marie", "Sørli"]);
    }
}

//! What a table is: its columns with their types, lengths, ranges, choices and lookups.
//!
//! Declared once, in `tables`, and used by everything else: reads (which names exist), writes (what is accepted) and
//! the metadata that a client asks for.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::tables;

/// How strongly a column wants a value, as the metadata says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Required {
    None,
    Recommended,
    Application,
    System,
}

impl Required {
    /// Returns the metadata's word for the level.
    pub fn word(self) -> &'static str {
        match self {
            Required::None => "None",
            Required::Recommended => "Recommended",
            Required::Application => "ApplicationRequired",
            Required::System => "SystemRequired",
        }
    }
}

/// What happens to the row that points when the row pointed at is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDelete {
    /// The lookup is cleared.
    Unlink,
    /// The deletion is refused.
    Restrict,
    /// The pointing row goes too.
    Cascade,
}

/// One way to write a lookup: a navigation property and the table it leads to.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The navigation property, case-sensitive.
    pub navigation: &'static str,
    /// The logical name of the table.
    pub table: &'static str,
}

/// One value of a choice, with the state it belongs to where the choice is a status.
#[derive(Debug, Clone, Copy)]
pub struct Choice {
    pub value: i64,
    pub label: &'static str,
    /// For a status its state, for a state its default status, else zero.
    pub pair: i64,
}

/// The type of a column with what bounds its values.
#[derive(Debug, Clone)]
pub enum Kind {
    Key,
    Guid,
    Text {
        max: usize,
    },
    Memo {
        max: usize,
    },
    Integer {
        min: i64,
        max: i64,
    },
    BigInt,
    Double {
        precision: u32,
        min: i64,
        max: i64,
    },
    Decimal {
        precision: u32,
        min: &'static str,
        max: &'static str,
    },
    Money {
        precision: u32,
        source: u8,
        min: &'static str,
        max: &'static str,
    },
    /// The value of another money column in the base currency, computed.
    Base {
        of: String,
    },
    Boolean,
    Picklist(Vec<Choice>),
    /// Several values of a choice, as a text.
    MultiSelect(Vec<Choice>),
    State(Vec<Choice>),
    Status(Vec<Choice>),
    DateTime,
    Date,
    Lookup {
        targets: Vec<Target>,
        on_delete: OnDelete,
    },
    Owner(Vec<Target>),
    Customer(Vec<Target>),
}

/// A column.
#[derive(Debug, Clone)]
pub struct Column {
    /// The logical name.
    pub name: String,
    pub schema_name: &'static str,
    /// The property on the wire: `_x_value` for a lookup, else the logical name.
    pub property: String,
    pub kind: Kind,
    pub required: Required,
    pub create: bool,
    pub update: bool,
}

impl Column {
    /// Returns the navigation targets; empty for a column that is no lookup.
    pub fn targets(&self) -> &[Target] {
        match &self.kind {
            Kind::Lookup { targets, .. } | Kind::Owner(targets) | Kind::Customer(targets) => targets,
            _ => &[],
        }
    }

    /// Tells whether the column is a lookup of any kind.
    pub fn is_lookup(&self) -> bool {
        matches!(self.kind, Kind::Lookup { .. } | Kind::Owner(_) | Kind::Customer(_))
    }

    /// Returns the choices of a picklist, state or status.
    pub fn choices(&self) -> &[Choice] {
        match &self.kind {
            Kind::Picklist(choices) | Kind::MultiSelect(choices) | Kind::State(choices) | Kind::Status(choices) => {
                choices
            }
            _ => &[],
        }
    }

    /// Returns what happens to this row when the row it points at is deleted.
    pub fn on_delete(&self) -> OnDelete {
        match self.kind {
            Kind::Lookup { on_delete, .. } => on_delete,
            _ => OnDelete::Unlink,
        }
    }

    /// Returns the name a person sees, made of the schema name.
    pub fn label(&self) -> String {
        let mut label = String::new();
        let mut before = ' ';
        for letter in self.schema_name.chars() {
            if letter == '_' {
                label.push(' ');
            } else {
                if letter.is_ascii_uppercase() && before.is_ascii_lowercase() {
                    label.push(' ');
                }
                label.push(letter);
            }
            before = letter;
        }
        label
    }
}

/// A table.
#[derive(Debug, Clone)]
pub struct Table {
    /// The logical name.
    pub name: &'static str,
    /// The entity set.
    pub set: &'static str,
    pub schema_name: &'static str,
    /// The object type code of the standard table.
    pub code: i64,
    pub primary_key: &'static str,
    pub primary_name: &'static str,
    pub columns: Vec<Column>,
    pub(super) names: HashMap<String, usize>,
    pub(super) properties: HashMap<String, usize>,
}

impl Table {
    /// Tells whether the table's changes are tracked; these standard tables come so.
    pub fn is_tracked(&self) -> bool {
        matches!(self.name, "account" | "contact" | "product" | "systemuser")
    }

    /// Finds a column by the name of its property on the wire.
    pub fn by_property(&self, property: &str) -> Option<usize> {
        self.properties.get(property).copied()
    }

    /// Finds a column by its logical name.
    pub fn by_name(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    /// Finds a lookup by the name of one of its navigation properties.
    pub fn by_navigation(&self, navigation: &str) -> Option<(usize, Target)> {
        self.columns.iter().enumerate().find_map(|(index, column)| {
            column.targets().iter().find(|target| target.navigation == navigation).map(|target| (index, *target))
        })
    }

    /// Returns a column that the schema is known to have.
    pub fn column(&self, name: &str) -> usize {
        self.by_name(name).expect("only columns that the schema declares are asked for")
    }

    /// Tells whether rows of the table have an owner.
    pub fn is_owned(&self) -> bool {
        self.by_name("ownerid").is_some()
    }
}

/// All tables, in an order that lets references come after what they refer to.
pub static TABLES: LazyLock<Vec<Table>> = LazyLock::new(tables::declare);

/// Finds a table by its entity set; names are case-sensitive.
pub fn by_set(set: &str) -> Option<usize> {
    TABLES.iter().position(|table| table.set == set)
}

/// Finds a table by its logical name.
pub fn by_name(name: &str) -> Option<usize> {
    TABLES.iter().position(|table| table.name == name)
}

/// Returns the position of a table that the schema is known to have.
pub fn table(name: &str) -> usize {
    by_name(name).expect("only tables that the schema declares are asked for")
}

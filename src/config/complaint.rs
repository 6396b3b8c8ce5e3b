//! What is wrong with a pipeline file: a place, a YAML path, a message and what to do.
//!
//! A [`Complaint`] is made for people and carries no value that came out of the environment. [`Complaints`] collects them
//! in any order and gives them back in the order of the file, each once.

use std::fmt;

/// A place in the file, both numbers from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

impl Place {
    /// The place of a complaint about the file as a whole.
    pub const START: Place = Place { line: 1, column: 1 };
}

/// One step from a node to a node below it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Key(String),
    Index(usize),
}

/// The way from the file's root to a node, `tables.customers.fields[3].crm`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(Vec<Step>);

impl Path {
    /// Returns the path of the whole file.
    pub fn root() -> Path {
        Path::default()
    }

    /// Returns the path of a key below this one.
    pub fn key(&self, key: &str) -> Path {
        self.clone().step(&Step::Key(key.to_owned()))
    }

    /// Returns the path of a list element below this one.
    pub fn index(&self, index: usize) -> Path {
        self.clone().step(&Step::Index(index))
    }

    /// Returns the path of what is one step below this one.
    pub fn step(self, step: &Step) -> Path {
        let mut steps = self.0;
        steps.push(step.clone());
        Path(steps)
    }

    /// Returns the path of the node above; the root is its own.
    pub fn parent(&self) -> Path {
        Path(self.0[..self.0.len().saturating_sub(1)].to_vec())
    }

    /// Returns the steps from the root on.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Returns the last key, blank for the root or a list element.
    pub fn last_key(&self) -> &str {
        match self.0.last() {
            Some(Step::Key(key)) => key,
            _ => "",
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    let dot = if position > 0 { "." } else { "" };
                    let plain = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || "_-/".contains(c));
                    if plain { write!(f, "{dot}{key}")? } else { write!(f, "{dot}{key:?}")? }
                }
            }
        }
        Ok(())
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, but probably not as it is meant.
    Warning,
}

/// One thing that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    pub severity: Severity,
    pub file: String,
    /// From 1, as the column.
    pub line: usize,
    pub column: usize,
    /// Blank for the file as a whole.
    pub path: String,
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// Complaints about one file.
#[derive(Debug)]
pub struct Complaints {
    file: String,
    /// Where the file ends, as soon as that is known.
    end: Option<Place>,
    list: Vec<Complaint>,
}

impl Complaints {
    /// Starts without complaints.
    pub fn new(file: &str) -> Complaints {
        Complaints { file: file.to_owned(), end: None, list: Vec::new() }
    }

    /// Takes note of what the file says: what is missing at its end is told there, and not on a line behind it.
    pub fn read(&mut self, text: &str) {
        // A lone carriage return breaks a line, too.
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let last = text.rsplit('\n').next().unwrap_or_default();
        self.end = Some(Place { line: text.split('\n').count(), column: last.chars().count() + 1 });
    }

    /// Adds one complaint.
    pub fn add(&mut self, severity: Severity, place: Place, path: &Path, message: String, hint: Option<String>) {
        let Place { line, column } = self.end.filter(|end| place.line > end.line).unwrap_or(place);
        let (file, path) = (self.file.clone(), path.to_string());
        let complaint = Complaint { severity, file, line, column, path, message, hint };
        if !self.list.contains(&complaint) {
            self.list.push(complaint);
        }
    }

    /// Tells whether anything is so bad that the file cannot be used.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|complaint| complaint.severity == Severity::Error)
    }

    /// Tells whether what stands at a path, or below it, is so bad that it cannot be used.
    pub fn has_errors_at(&self, path: &Path) -> bool {
        let path = path.to_string();
        let is_at =
            |other: &str| other.strip_prefix(&path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
        self.list.iter().any(|complaint| complaint.severity == Severity::Error && is_at(&complaint.path))
    }

    /// Returns the complaints in the order of the file.
    pub fn sorted(mut self) -> Vec<Complaint> {
        self.list.sort_by_key(|complaint| (complaint.line, complaint.column));
        self.list
    }
}

/// Returns a hint that names what was probably meant, if anything known comes close.
pub fn suggestion<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    near(word, known).first().map(|other| format!("did you mean `{other}`?"))
}

/// Returns what comes close to a word, the closest first.
pub fn near<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let word = word.to_lowercase();
    let distance = |other: &str| strsim::damerau_levenshtein(&word, &other.to_lowercase());
    let letters = word.chars().count();
    let begins = |other: &str| letters > 1 && other.to_lowercase().starts_with(&word);
    // A third of the letters may differ, but not all of a short word.
    let allowed = letters.max(3).div_ceil(3).min(letters.saturating_sub(1));
    let near = known.into_iter().filter(|other| distance(other) <= allowed || begins(other));
    let mut near: Vec<(usize, &str)> = near.map(|other| (distance(other), other)).collect();
    near.sort_by_key(|(distance, _)| *distance);
    near.into_iter().map(|(_, other)| other).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_as_people_write_it() {
        let path = Path::root().key("tables").key("customers").key("fields").index(3).key("values").key("30 DAYS");
        assert_eq!(path.to_string(), "tables.customers.fields[3].values.\"30 DAYS\"");
        assert_eq!(Path::root().to_string(), "");
    }

    #[test]
    fn only_what_is_near_is_suggested() {
        let check = |word: &str, expected: Option<&str>| {
            let known = ["to_crm", "to_erp", "both", "on_conflict", "erp", "crm"];
            assert_eq!(suggestion(word, known), expected.map(|word| format!("did you mean `{word}`?")), "{word}");
        };
        check("to_cmr", Some("to_crm"));
        check("To_ERP", Some("to_erp"));
        check("on_conflicts", Some("on_conflict"));
        check("cmr", Some("crm"));
        check("bo", Some("both"));
        check("x", None);
        check("xyz", None);
        check("direction", None);
        check("", None);
    }

    #[test]
    fn complaints_come_in_the_order_of_the_file_and_once() {
        let mut complaints = Complaints::new("a.yaml");
        let place = |line, column| Place { line, column };
        let path = Path::root().key("name");
        complaints.add(Severity::Warning, place(2, 7), &path, "is odd".into(), Some("change it".into()));
        complaints.add(Severity::Warning, place(2, 7), &path, "is odd".into(), Some("change it".into()));
        complaints.add(Severity::Error, Place::START, &Path::root(), "no map".into(), None);
        assert!(complaints.has_errors());
        complaints.add(Severity::Error, place(3, 1), &Path::root().key("tables").key("a").index(1), "no".into(), None);
        let tables = Path::root().key("tables");
        let is_wrong = [tables.clone(), tables.key("a"), tables.key("a1"), path.clone()];
        assert_eq!(
            is_wrong.map(|path| complaints.has_errors_at(&path)),
            [true, true, false, false],
            "a warning is none"
        );
        let lines: Vec<String> = complaints.sorted().iter().map(Complaint::to_string).collect();
        assert_eq!(
            lines,
            [
                "a.yaml:1:1: no map",
                "a.yaml:2:7: warning: name: is odd\n  hint: change it",
                "a.yaml:3:1: tables.a[1]: no",
            ]
        );
    }
}

//! What does not fit the metadata of a side, as complaints with their places in the file.

use crate::config::complaint::{Complaint, Complaints, Path, Place, Severity};
use crate::config::tree;
use crate::misfit::{At, Misfit};

/// Turns what does not fit the metadata of a side into complaints with their places in the file.
pub fn complaints(file: &str, text: &str, misfits: &[Misfit]) -> Vec<Complaint> {
    located(file, text, misfits, Severity::Error)
}

/// Does the same with what may turn out not to fit.
pub fn warnings(file: &str, text: &str, doubts: &[Misfit]) -> Vec<Complaint> {
    located(file, text, doubts, Severity::Warning)
}

fn located(file: &str, text: &str, misfits: &[Misfit], severity: Severity) -> Vec<Complaint> {
    let mut complaints = Complaints::new(file);
    // The file was read without error before; should it not be now, the places are the file's beginning.
    let tree = tree::parse(text, &mut Complaints::new(file));
    for misfit in misfits {
        let tree = tree.as_ref();
        let path = tree.map_or_else(|| misfit.path.clone(), |tree| written_path(tree, &misfit.path));
        let place = tree.map_or(Place::START, |tree| match misfit.at {
            At::Key => tree.key_place_of(&path),
            At::Value => tree.place_of(&path),
        });
        // What a variable gave is told by its name.
        let written = tree.and_then(|tree| tree.at(&path)).map(tree::Node::written).filter(|text| text.contains("${"));
        let message = match (&misfit.value, written) {
            (Some(value), Some(written)) => misfit.message.replace(value, written),
            _ => misfit.message.clone(),
        };
        let hint = Some(misfit.hint.clone()).filter(|hint| !hint.is_empty());
        complaints.add(severity, place, &path, message, hint);
    }
    complaints.sorted()
}

/// Returns the path at which a key of a table map is written: there, or in the defaults.
fn written_path(tree: &tree::Node, path: &Path) -> Path {
    let own = path.steps().iter().take(3).fold(Path::root(), Path::step);
    let default = path.steps().iter().skip(2).fold(Path::root().key("defaults"), Path::step);
    if tree.at(&own).is_none() && tree.at(&default).is_some() { default } else { path.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_the_defaults_is_told_there() {
        let text = "version: 1\ndefaults:\n  match:\n    - by: { nr: name }\ntables:\n  a: {}\n  b:\n    match: []\n";
        let misfit = |table: &str, at: At| Misfit {
            path: Path::root().key("tables").key(table).key("match").index(0).key("by").key("nr"),
            at,
            value: None,
            message: "is wrong".into(),
            hint: String::new(),
        };
        let told = super::complaints("f", text, &[misfit("a", At::Value), misfit("a", At::Key), misfit("b", At::Key)]);
        let told: Vec<String> = told.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "f:4:13: defaults.match[0].by.nr: is wrong",
                "f:4:17: defaults.match[0].by.nr: is wrong",
                "f:8:5: tables.b.match[0].by.nr: is wrong",
            ]
        );
    }

    #[test]
    fn a_misfit_gets_its_place_in_the_file() {
        let text = "version: 1\ntables:\n  customers:\n    fields:\n      - { erp: number, crm: acountnumber }\n";
        let table = Path::root().key("tables").key("customers");
        let misfit = |path: Path| Misfit {
            path,
            at: At::Value,
            value: None,
            message: "no column `acountnumber` on accounts".into(),
            hint: "did you mean `accountnumber`?".into(),
        };
        let complaints = super::complaints(
            "full.yaml",
            text,
            &[misfit(table.key("fields").index(0).key("crm")), misfit(table.key("filter"))],
        );
        let lines: Vec<String> = complaints.iter().map(|complaint| complaint.to_string()).collect();
        assert_eq!(
            lines,
            [
                "full.yaml:3:3: tables.customers.filter: no column `acountnumber` on accounts\n  hint: did you mean \
                 `accountnumber`?",
                "full.yaml:5:29: tables.customers.fields[0].crm: no column `acountnumber` on accounts\n  hint: did you \
                 mean `accountnumber`?",
            ]
        );
    }
}

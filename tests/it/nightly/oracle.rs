//! What both sides must hold after a night, said from the meaning of the data alone.
//!
//! In go what both fakes held before and what they hold after; out come the couplings that must exist, or the first
//! thing that is wrong. Tables of field pairs, keys and filters of its own; nothing of the engine is asked. Values are
//! compared by what they mean: a reference by the key of what it leads to, an amount by its digits, a zero as a blank.

use std::collections::{BTreeMap, BTreeSet};

use mocks::data::{Row, Side as FakeSide};
use pipeline::config::Side;

use super::meaning::{Field, SUBJECTS, Subject, Way};
use super::world::{World, text};

/// Everything that both fakes hold: side and set, then id.
pub struct Snapshot {
    sets: BTreeMap<(Side, &'static str), BTreeMap<String, Row>>,
}

impl Snapshot {
    /// Takes a look at both fakes.
    pub fn of(world: &World) -> Snapshot {
        Snapshot::from(|side, set| world.records(side, set))
    }

    /// Takes what a function gives of each side's sets.
    pub fn from(records: impl Fn(Side, &str) -> Vec<Row>) -> Snapshot {
        let mut sets = BTreeMap::new();
        for (side, fake) in [(Side::Erp, FakeSide::Erp), (Side::Crm, FakeSide::Crm)] {
            for set in fake.sets() {
                let rows = records(side, set).into_iter().map(|row| (id_of(side, set, &row), row));
                sets.insert((side, *set), rows.collect());
            }
        }
        Snapshot { sets }
    }

    /// Returns the records of a set by id.
    pub fn set(&self, side: Side, set: &str) -> &BTreeMap<String, Row> {
        self.sets.iter().find(|((at, name), _)| *at == side && *name == set).unwrap().1
    }

    /// Returns a property of the record of that id; blank where there is none.
    pub fn via(&self, side: Side, set: &str, id: &str, property: &str) -> String {
        self.set(side, set).get(id).map(|row| raw(row, property)).unwrap_or_default()
    }

    /// Returns the property `wanted` of the one record whose `property` is that text.
    pub fn by(&self, side: Side, set: &str, property: &str, text: &str, wanted: &str) -> String {
        let found = self.set(side, set).values().find(|row| raw(row, property).eq_ignore_ascii_case(text));
        found.map(|row| raw(row, wanted)).unwrap_or_default()
    }

    /// Takes a record as another snapshot has it.
    pub fn take(&mut self, other: &Snapshot, side: Side, set: &'static str, id: &str) {
        let row = other.set(side, set)[id].clone();
        self.sets.get_mut(&(side, set)).unwrap().insert(id.to_owned(), row);
    }
}

/// What moves by itself whenever a record is written.
const STAMPS: &[&str] =
    &["lastModifiedDateTime", "systemModifiedAt", "modifiedon", "_modifiedby_value", "versionnumber"];

/// What the sides work out from other properties.
const COMPUTED: &[&str] = &[
    "currencyId",
    "baseUnitOfMeasureId",
    "companyNumber",
    "companyName",
    "contactBusinessRelation",
    "searchName",
    "exchangerate",
    "_owninguser_value",
    "_owningbusinessunit_value",
    "fullname",
    // Where the fake's people leave a note.
    "description",
];

/// Tells whether a side moves a property by itself, or people leave a note there.
pub fn computed(name: &str) -> bool {
    STAMPS.contains(&name) || COMPUTED.contains(&name) || name.contains('@')
}

fn id_property(side: Side, set: &str) -> &'static str {
    match (side, set) {
        (Side::Erp, _) => "id",
        (_, "businessunits") => "businessunitid",
        (_, "teams") => "teamid",
        (_, "systemusers") => "systemuserid",
        (_, "transactioncurrencies") => "transactioncurrencyid",
        (_, "uomschedules") => "uomscheduleid",
        (_, "uoms") => "uomid",
        (_, "pricelevels") => "pricelevelid",
        (_, "products") => "productid",
        (_, "productpricelevels") => "productpricelevelid",
        (_, "accounts") => "accountid",
        (_, "contacts") => "contactid",
        _ => panic!("no key for {set}"),
    }
}

fn id_of(side: Side, set: &str, row: &Row) -> String {
    raw(row, id_property(side, set))
}

pub fn raw(row: &Row, property: &str) -> String {
    row.get(property).map(text).unwrap_or_default()
}

/// Two records that belong together after the night, and which of them were there before.
struct Pair {
    erp: String,
    crm: String,
    new_erp: bool,
    new_crm: bool,
}

/// Collects what is wrong; a test shows all of it.
#[derive(Default)]
struct Findings(Vec<String>);

impl Findings {
    fn say(&mut self, finding: String) {
        self.0.push(finding);
    }
}

/// What a night may do to one record that was there before.
#[derive(Default)]
struct Licence {
    changes: bool,
    properties: BTreeSet<&'static str>,
}

/// Couplings by the name of the table map: ERP id and CRM id.
pub type Couplings = BTreeMap<&'static str, BTreeSet<(String, String)>>;

/// Demands that a first night's result is what it must be; returns the couplings that must exist.
#[track_caller]
pub fn judge(before: &Snapshot, after: &Snapshot) -> Couplings {
    let (couplings, findings) = findings(before, after);
    let shown = findings.iter().take(40).cloned().collect::<Vec<_>>().join("\n");
    assert!(findings.is_empty(), "{} findings:\n{shown}", findings.len());
    couplings
}

/// Holds a first night's result against what it must be; returns the couplings that must exist, and what is wrong.
pub fn findings(before: &Snapshot, after: &Snapshot) -> (Couplings, Vec<String>) {
    let mut findings = Findings::default();
    let mut couplings = Couplings::new();
    let mut licences: BTreeMap<(Side, &str, String), Licence> = BTreeMap::new();
    let mut made: BTreeSet<(Side, &str, String)> = BTreeSet::new();
    for subject in SUBJECTS {
        let known = partners(subject, before);
        let pairs = pairs(subject, before, after, &mut findings);
        for pair in &pairs {
            if let Some(crm) = known.get(&pair.erp).filter(|_| !pair.new_erp)
                && *crm != pair.crm
            {
                findings.say(format!("{}: {} belongs to {crm}, not to {}", subject.name, pair.erp, pair.crm));
            }
            let alone = !known.contains_key(&pair.erp) && !known.values().any(|crm| *crm == pair.crm);
            if !pair.new_erp && !pair.new_crm && alone {
                findings.say(format!("{}: {} and {} are no pair", subject.name, pair.erp, pair.crm));
            }
            for field in subject.fields {
                compare(subject, field, pair, before, after, &mut licences, &mut findings);
            }
            for (side, set, id, new) in
                [(Side::Erp, subject.erp, &pair.erp, pair.new_erp), (Side::Crm, subject.crm, &pair.crm, pair.new_crm)]
            {
                if new {
                    made.insert((side, set, id.clone()));
                }
            }
        }
        couplings.insert(subject.name, pairs.into_iter().map(|pair| (pair.erp, pair.crm)).collect());
    }
    leave_alone(before, after, &licences, &made, &mut findings);
    (couplings, findings.0)
}

/// Tells which records of both sides are the same one before the night.
fn partners(subject: &Subject, before: &Snapshot) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for (erp_key, crm_key) in subject.same {
        let mut by_key: BTreeMap<String, Vec<&String>> = BTreeMap::new();
        for (id, row) in before.set(Side::Crm, subject.crm).iter().filter(|(_, row)| (subject.crm_in)(row)) {
            if !found.values().any(|taken| taken == id) {
                by_key.entry(crm_key(before, row)).or_default().push(id);
            }
        }
        for (id, row) in before.set(Side::Erp, subject.erp).iter().filter(|(_, row)| (subject.erp_in)(row)) {
            let key = erp_key(before, row);
            if key.is_empty() || found.contains_key(id) {
                continue;
            }
            if let Some([crm]) = by_key.get(&key).map(Vec::as_slice) {
                found.insert(id.clone(), (*crm).clone());
            }
        }
    }
    found
}

/// Tells which records belong together after the night; each that takes part must have exactly one partner.
fn pairs(subject: &Subject, before: &Snapshot, after: &Snapshot, findings: &mut Findings) -> Vec<Pair> {
    let side_of = |side: Side| -> BTreeMap<String, Vec<String>> {
        let (set, inside, key) = match side {
            Side::Erp => (subject.erp, subject.erp_in, subject.after.0),
            Side::Crm => (subject.crm, subject.crm_in, subject.after.1),
        };
        let mut by_key: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (id, row) in after.set(side, set).iter().filter(|(_, row)| inside(row)) {
            by_key.entry(key(after, row)).or_default().push(id.clone());
        }
        by_key
    };
    let (erp, crm) = (side_of(Side::Erp), side_of(Side::Crm));
    let mut pairs = Vec::new();
    for (key, ids) in &erp {
        match (ids.as_slice(), crm.get(key).map(Vec::as_slice).unwrap_or_default()) {
            ([erp], [crm]) => pairs.push(Pair {
                erp: erp.clone(),
                crm: crm.clone(),
                new_erp: !before.set(Side::Erp, subject.erp).contains_key(erp),
                new_crm: !before.set(Side::Crm, subject.crm).contains_key(crm),
            }),
            (_, []) if !subject.makes_crm => {}
            (ids, others) => findings.say(format!(
                "{}: {key:?} is {} times in the ERP, {} in the CRM",
                subject.name,
                ids.len(),
                others.len()
            )),
        }
    }
    for (key, ids) in crm {
        if !erp.contains_key(&key) && subject.makes_erp {
            findings.say(format!("{}: {key:?} is {} times in the CRM and not in the ERP", subject.name, ids.len()));
        }
    }
    pairs
}

/// Compares one field of a pair with what it must be.
fn compare<'a>(
    subject: &'a Subject,
    field: &Field,
    pair: &Pair,
    before: &Snapshot,
    after: &Snapshot,
    licences: &mut BTreeMap<(Side, &'a str, String), Licence>,
    findings: &mut Findings,
) {
    // Ids and numbers of the ERP never change, so what a reference of before means is looked up after.
    let look = |snapshot: &Snapshot, side: Side| -> Option<String> {
        let (set, id, (property, meaning)) = match side {
            Side::Erp => (subject.erp, &pair.erp, field.erp),
            Side::Crm => (subject.crm, &pair.crm, field.crm),
        };
        let row = snapshot.set(side, set).get(id)?;
        Some(meaning(after, &raw(row, property)))
    };
    let (erp_was, crm_was) = (look(before, Side::Erp), look(before, Side::Crm));
    let (erp_is, crm_is) = (look(after, Side::Erp).unwrap(), look(after, Side::Crm).unwrap());
    let constant = field.erp.0.is_empty();
    let erp_kept = erp_was.clone().unwrap_or_else(|| erp_is.clone());
    let crm_kept = crm_was.clone().unwrap_or_else(|| crm_is.clone());
    let (erp_must, crm_must) = match field.way {
        Way::Both => {
            let value = match (&erp_was, &crm_was) {
                (Some(erp), Some(crm)) if erp.is_empty() => crm.clone(),
                (Some(erp), _) => erp.clone(),
                (None, Some(crm)) => crm.clone(),
                (None, None) => unreachable!("no record is made on both sides"),
            };
            (value.clone(), value)
        }
        // Nobody cleared what a record that the ERP was just given does not have yet.
        Way::ToCrm if pair.new_erp && erp_is.is_empty() => (String::new(), crm_kept.clone()),
        Way::ToCrm => (erp_kept.clone(), erp_kept.clone()),
        Way::ToCrmUnlessBlank if erp_kept.is_empty() => (String::new(), crm_kept.clone()),
        Way::ToCrmUnlessBlank => (erp_kept.clone(), erp_kept.clone()),
        Way::IntoNewCrm if pair.new_crm => (erp_kept.clone(), erp_kept.clone()),
        Way::IntoNewCrm => (erp_kept.clone(), crm_kept.clone()),
        Way::ToErp => (crm_kept.clone(), crm_kept.clone()),
        Way::ToErpUnlessBlank if crm_kept.is_empty() => (erp_kept.clone(), String::new()),
        Way::ToErpUnlessBlank => (crm_kept.clone(), crm_kept.clone()),
    };
    for (side, set, id, property, was, is, must) in [
        (Side::Erp, subject.erp, &pair.erp, field.erp.0, &erp_was, &erp_is, &erp_must),
        (Side::Crm, subject.crm, &pair.crm, field.crm.0, &crm_was, &crm_is, &crm_must),
    ] {
        if side == Side::Erp && constant {
            continue;
        }
        if is != must {
            findings.say(format!("{}: {set}({id}).{property} was {was:?}, must be {must:?}, is {is:?}", subject.name));
        }
        let licence = licences.entry((side, set, id.clone())).or_default();
        licence.changes |= was.as_ref().is_some_and(|was| was != must);
        licence.properties.insert(property);
    }
}

/// Looks at everything that is not the night's business.
fn leave_alone(
    before: &Snapshot,
    after: &Snapshot,
    licences: &BTreeMap<(Side, &str, String), Licence>,
    made: &BTreeSet<(Side, &str, String)>,
    findings: &mut Findings,
) {
    let nothing = Licence::default();
    for ((side, set), rows) in &before.sets {
        for (id, was) in rows {
            let Some(is) = after.set(*side, set).get(id) else {
                findings.say(format!("{set}({id}) is gone"));
                continue;
            };
            // The ERP keeps a customer's company contact as it keeps the customer.
            if *side == Side::Erp && *set == "contacts" && raw(was, "type") == "Company" {
                continue;
            }
            let licence = licences.get(&(*side, *set, id.clone())).unwrap_or(&nothing);
            if !licence.changes {
                if was != is {
                    findings.say(format!("{set}({id}) was {was:?} and had to stay, is {is:?}"));
                }
                continue;
            }
            let names: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
            for name in names {
                let own = computed(name)
                    || name.ends_with("_base")
                    || licence.properties.contains(name.as_str())
                    || (*set == "contacts" && name == "displayName");
                if !own && was.get(name) != is.get(name) {
                    findings.say(format!("{set}({id}).{name} was {:?}, is {:?}", was.get(name), is.get(name)));
                }
            }
        }
        for (id, is) in after.set(*side, set) {
            let company_contact = *side == Side::Erp && *set == "contacts" && raw(is, "type") == "Company";
            if !rows.contains_key(id) && !company_contact && !made.contains(&(*side, *set, id.clone())) {
                findings.say(format!("{set}({id}) was made, and nothing asked for it: {is:?}"));
            }
        }
    }
}

//! Small nights in which everything happens: a first load, and a night after people have worked on both sides.
//!
//! A scene is what is there before the run, as bytes, and how an undisturbed run ends; each case begins from the bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use mocks::data::{Side, scaled};
use mocks::{crm, erp};
use pipeline::store::Store;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Call, listed};
use crate::program::oracle::{assert_same, contents, names};
use crate::program::{FULL, World};

pub const RUN: &str = "run night.yaml";

/// With so few firms a run takes a third of a second.
const FIRMS: usize = 20;

/// What both sides and the state hold.
pub struct Kept {
    erp: Vec<u8>,
    crm: Vec<u8>,
    state: Option<Vec<u8>>,
}

/// A night.
pub struct Scene {
    pub name: &'static str,
    kept: Kept,
    pub end: End,
    /// What an undisturbed run asks of the operating system.
    pub calls: Vec<Call>,
}

/// How a run ends.
#[derive(Debug, Clone, PartialEq)]
pub struct End {
    pub code: Option<i32>,
    pub contents: BTreeSet<String>,
    /// Couplings, and what waits for a person.
    pub remembered: BTreeSet<String>,
}

/// Starts a world; what it holds comes from a scene.
pub fn world() -> World {
    let world = World::of(scaled::scaled(FIRMS, 1));
    let mut text = std::fs::read_to_string(FULL).unwrap();
    for (table, on_delete) in [("customers", "restore"), ("contacts", "delete"), ("resources", "uncouple")] {
        let head = format!("\n  {table}:\n");
        assert_eq!(text.matches(&head).count(), 1);
        text = text.replace(&head, &format!("{head}    on_delete: {on_delete}\n"));
    }
    for adapter in ["business-central", "dataverse"] {
        let line = format!("adapter: {adapter}\n");
        assert_eq!(text.matches(&line).count(), 1);
        text = text.replace(&line, &format!("{line}    limits: {{ batch: 8, concurrency: 1 }}\n"));
    }
    world.file("night.yaml", &text);
    world
}

impl World {
    fn keep(&self) -> Kept {
        let mut kept = Kept { erp: Vec::new(), crm: Vec::new(), state: std::fs::read(self.state()).ok() };
        self.erp.with(|erp| erp.save(&mut kept.erp)).unwrap();
        self.crm.with(|crm| crm.save(&mut kept.crm)).unwrap();
        kept
    }

    fn put_back(&self, kept: &Kept) {
        self.erp.with(|erp| *erp = erp::State::restore(&mut kept.erp.as_slice()).unwrap());
        self.crm.with(|crm| {
            let own = (crm.tokens.scope.clone(), crm.root.clone());
            *crm = crm::State::restore(&mut kept.crm.as_slice()).unwrap();
            (crm.tokens.scope, crm.root) = own;
        });
        self.put_back_state(kept);
    }

    fn put_back_state(&self, kept: &Kept) {
        for name in self.state_files().into_keys() {
            std::fs::remove_file(self.folder.path().join(name)).unwrap();
        }
        if let Some(bytes) = &kept.state {
            std::fs::write(self.state(), bytes).unwrap();
        }
    }
}

impl Scene {
    fn of(name: &'static str, world: &World) -> Scene {
        let kept = world.keep();
        let (answer, calls) = listed(world, RUN);
        let end = End::of(world, answer.code);
        assert!(matches!(answer.code, Some(0 | 1)), "{answer:#?}");
        let scene = Scene { name, kept, end, calls };
        quiet(world, scene.end.code, name);
        scene
    }

    /// Brings a world to where the night begins.
    pub fn begin(&self, world: &World) {
        world.put_back(&self.kept);
        world.turnstile.reset();
    }

    /// Runs to the end, compares, and runs once more.
    #[track_caller]
    pub fn recovers(&self, world: &World, when: &str) {
        let answer = world.run(RUN);
        assert_eq!(answer.code, self.end.code, "{when}: {answer:#?}");
        let end = End::of(world, answer.code);
        assert_same(&end.contents, &self.end.contents, when);
        assert_same(&end.remembered, &self.end.remembered, when);
        quiet(world, self.end.code, when);
    }

    /// Puts back the state of before the night, and leaves both sides as they are.
    pub fn put_back_state(&self, world: &World) {
        world.put_back_state(&self.kept);
    }

    /// Demands as many records of each set as after an undisturbed night.
    #[track_caller]
    pub fn has_as_many(&self, world: &World, when: &str) {
        let count = |contents: &BTreeSet<String>| {
            let mut counts: BTreeMap<String, usize> = BTreeMap::new();
            for line in contents {
                *counts.entry(line.split(" {").next().unwrap().to_owned()).or_default() += 1;
            }
            counts
        };
        assert_eq!(count(&contents(world)), count(&self.end.contents), "{when}");
    }
}

/// Runs once more, which writes nothing (I3).
#[track_caller]
pub fn quiet(world: &World, code: Option<i32>, when: &str) {
    world.turnstile.reset();
    let answer = world.run(RUN);
    assert_eq!((answer.code, world.turnstile.seen().1), (code, 0), "{when}, and again: {answer:#?}");
}

impl End {
    /// Looks at both sides and the state.
    pub fn of(world: &World, code: Option<i32>) -> End {
        let store = world.store();
        let names = names(world);
        let name = |id: Uuid| names.get(&id.to_string()).cloned().unwrap_or_else(|| id.to_string());
        let mut remembered = BTreeSet::new();
        for table in store.coupling_counts().unwrap().keys() {
            assert_eq!(store.open_intents(table).unwrap(), [], "{table}");
            for coupling in store.coupled(table).unwrap() {
                remembered.insert(format!("{table}: {} with {}", name(coupling.ids.erp), name(coupling.ids.crm)));
            }
        }
        for item in store.inbox(None).unwrap() {
            let record = (item.erp_id.map(name), item.crm_id.map(name));
            remembered.insert(format!("{}: {:?} {record:?} {:?}: {}", item.table, item.kind, item.field, item.message));
        }
        End { code, contents: contents(world), remembered }
    }
}

/// The first night: couplings by the match rules, and new records on either side.
pub fn first_load() -> &'static Scene {
    static SCENE: OnceLock<Scene> = OnceLock::new();
    SCENE.get_or_init(|| Scene::of("a first load", &world()))
}

/// A later night: edits, new and deleted records on either side, and an answer of a person.
pub fn later_night() -> &'static Scene {
    static SCENE: OnceLock<Scene> = OnceLock::new();
    SCENE.get_or_init(|| {
        let world = world();
        let first = world.run(RUN);
        assert!(matches!(first.code, Some(0 | 1)), "{first:#?}");
        let couplings = |table: &str| world.store().coupled(table).unwrap();
        let customers = couplings("customers");
        let (erp, crm_of) = (|place: usize| customers[place].ids.erp, |place: usize| customers[place].ids.crm);
        edit(&world, Side::Erp, "customers", erp(0), json!({"addressLine1": "1 New Street", "city": "Here"}));
        edit(&world, Side::Crm, "accounts", crm_of(1), json!({"telephone1": "+45 1"}));
        edit(&world, Side::Erp, "customers", erp(2), json!({"city": "Here"}));
        edit(&world, Side::Crm, "accounts", crm_of(2), json!({"telephone1": "+45 2"}));
        edit(&world, Side::Erp, "customers", erp(3), json!({"city": "Here"}));
        edit(&world, Side::Crm, "accounts", crm_of(3), json!({"address1_city": "There", "telephone1": "+45 3"}));
        edit(&world, Side::Erp, "customers", erp(4), json!({"city": "Here"}));
        edit(&world, Side::Crm, "accounts", crm_of(4), json!({"address1_city": "There"}));
        let currencies = world.crm.with(|crm| crm.records("transactioncurrencies"));
        let pound = currencies.iter().find(|currency| currency["isocurrencycode"] == "GBP").unwrap();
        let pound = pound["transactioncurrencyid"].clone();
        for number in 1..=2 {
            let customer = json!({"displayName": format!("Newcomer {number}"), "city": "Here"});
            world.erp.with(|erp| erp.insert("customers", &row(&customer))).unwrap();
            // Without a currency the ERP would fill in its own, which only the answer to the insert tells from an edit.
            let account = json!({
                "name": format!("Beginner {number}"),
                "customertypecode": 3,
                "address1_city": "There",
                "_transactioncurrencyid_value": pound,
            });
            world.crm.with(|crm| crm.insert("accounts", &row(&account))).unwrap();
        }
        let contacts = couplings("contacts");
        world.erp.with(|erp| erp.delete("contacts", contacts[0].ids.erp)).unwrap();
        world.crm.with(|crm| crm.delete("contacts", contacts[1].ids.crm)).unwrap();
        let resources = couplings("resources");
        world.erp.with(|erp| erp.delete("resources", resources[0].ids.erp)).unwrap();
        world.crm.with(|crm| crm.delete("accounts", crm_of(5))).unwrap();
        // One of the two contested cities is decided, the other one goes on waiting.
        let text = |id: Uuid| {
            let records = world.erp.with(|erp| erp.records("customers"));
            let record = records.iter().find(|record| record["id"] == id.to_string()).unwrap();
            record["number"].as_str().unwrap().to_owned()
        };
        let both = format!("--only customers:{} --only customers:{}", text(erp(3)), text(erp(4)));
        world.run(&format!("{RUN} {both}")).code(1);
        let answer = format!("inbox night.yaml resolve customers:{} --field city --take crm", text(erp(3)));
        world.run(&answer).code(0);
        Scene::of("a later night", &world)
    })
}

/// Returns the number of the customer of the later night whose city is contested and not decided.
pub fn undecided() -> String {
    let world = world();
    later_night().begin(&world);
    let decided: Vec<_> =
        world.store().decisions(None).unwrap().iter().map(|decision| Some(decision.ids.erp)).collect();
    let items = world.store().inbox(None).unwrap();
    let item = items.iter().find(|item| item.field.is_some() && !decided.contains(&item.erp_id)).unwrap();
    item.record.trim_start_matches("customers:").to_owned()
}

/// Returns a new customer and a new account of the later night, as people name them.
pub fn newcomers() -> (String, String) {
    let world = world();
    later_night().begin(&world);
    let named = |side: Side| {
        let (records, name, label) = match side {
            Side::Erp => (world.erp.with(|erp| erp.records("customers")), "displayName", "number"),
            Side::Crm => (world.crm.with(|crm| crm.records("accounts")), "name", "accountid"),
        };
        let new = |name: &str| name.starts_with("Newcomer 1") || name.starts_with("Beginner 1");
        let record = records.iter().find(|record| record[name].as_str().is_some_and(new)).unwrap();
        record[label].as_str().unwrap().to_owned()
    };
    (named(Side::Erp), named(Side::Crm))
}

fn row(values: &Value) -> Map<String, Value> {
    values.as_object().unwrap().clone()
}

fn edit(world: &World, side: Side, set: &str, id: Uuid, values: Value) {
    match side {
        Side::Erp => world.erp.with(|erp| erp.edit(set, id, &row(&values))).unwrap(),
        Side::Crm => world.crm.with(|crm| crm.edit(set, id, &row(&values))).unwrap(),
    }
}

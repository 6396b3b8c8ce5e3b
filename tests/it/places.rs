//! The state belongs to one pipeline, one company and one organization; and what it still knows of table maps that the
//! file lost.

use std::sync::atomic::Ordering;

use pipeline::config::Side;
use pipeline::run::RunError;
use pipeline::run::account::RunReport;
use pipeline::store::Store;
use uuid::Uuid;

use crate::fixture::pipeline;
use crate::memory::Memory;
use crate::rules::{CUSTOMERS, PEOPLE, World};

impl World {
    fn place(&self, side: Side) -> &Memory {
        if side == Side::Erp { &self.erp } else { &self.crm }
    }

    fn rename(&self, side: Side, name: &str) {
        self.place(side).identity.lock().unwrap().name = name.to_owned();
    }

    fn lead_elsewhere(&self, side: Side, name: &str) {
        self.place(side).identity.lock().unwrap().id = Uuid::from_u128(2);
        self.rename(side, name);
    }

    fn reads(&self) -> usize {
        Side::BOTH.iter().map(|side| self.place(*side).reads.load(Ordering::Relaxed)).sum()
    }

    /// Runs for real and dry; both must be refused before anything is read or written. Returns what is said.
    fn refused(&mut self) -> String {
        let before = (self.reads(), self.store.runs(99).unwrap(), self.store.binding().unwrap());
        let mut told = Vec::new();
        for dry_run in [false, true] {
            told.push(self.attempt(dry_run, &[], &mut |_| {}).unwrap_err().to_string());
        }
        let after = (self.reads(), self.store.runs(99).unwrap(), self.store.binding().unwrap());
        assert_eq!(before, after);
        assert_eq!(told[0], told[1]);
        told.remove(0)
    }

    /// Runs and returns the report and what was told on the way.
    fn warned(&mut self, only: &[&str]) -> (RunReport, Vec<String>) {
        let mut told = Vec::new();
        let report = self.attempt(false, only, &mut |line| told.push(line)).unwrap();
        (report, told)
    }
}

#[test]
fn a_state_serves_the_company_and_the_organization_it_was_made_from() {
    let mut world = World::settled();
    world.erp.put("customers", 1, &[("name", "Another company's customer of the same id")]);
    world.lead_elsewhere(Side::Erp, "Fabrikam");
    insta::assert_snapshot!(world.refused(), @"it belongs to the ERP company `our ERP` (00000000-0000-0000-0000-000000000001), and the pipeline file now leads to the ERP company `Fabrikam` (00000000-0000-0000-0000-000000000002); nothing was read or written");
    world.lead_elsewhere(Side::Crm, "fabrikam.crm.example");
    insta::assert_snapshot!(world.refused(), @"it belongs to the ERP company `our ERP` (00000000-0000-0000-0000-000000000001) and the CRM organization `our CRM` (00000000-0000-0000-0000-000000000001), and the pipeline file now leads to the ERP company `Fabrikam` (00000000-0000-0000-0000-000000000002) and the CRM organization `fabrikam.crm.example` (00000000-0000-0000-0000-000000000002); nothing was read or written");
    assert_eq!(world.crm.get("accounts", 101, "name"), "Ahlgren");
}

#[test]
fn a_pipeline_of_another_name_needs_a_state_of_its_own() {
    let mut world = World::settled();
    world.pipeline.name = "night".into();
    insta::assert_snapshot!(world.refused(), @"it belongs to the pipeline `test`, and this file is the pipeline `night`; nothing was read or written");
    assert!(matches!(world.attempt(true, &[], &mut |_| {}), Err(RunError::Renamed(_))));
}

#[test]
fn a_renamed_company_and_an_organization_that_moved_go_on() {
    let mut world = World::settled();
    world.rename(Side::Erp, "CRONUS AG");
    world.rename(Side::Crm, "cronus.crm4.example");
    let names = |world: &World| {
        let sides = world.store.binding().unwrap().unwrap().sides;
        [sides.erp.name, sides.crm.name]
    };
    world.run_as(true);
    assert_eq!(names(&world), ["our ERP", "our CRM"], "a plan keeps nothing");
    world.quiet();
    assert_eq!(names(&world), ["CRONUS AG", "cronus.crm4.example"]);
}

/// The table maps with `customers` under another name.
fn with_clients() -> String {
    format!("{PEOPLE}{CUSTOMERS}")
        .replace("customers:\n", "clients:\n")
        .replace("table: customers, erp", "table: clients, erp")
}

#[test]
fn couplings_of_a_table_map_that_the_file_lost_are_named() {
    let mut world = World::settled();
    assert_eq!(world.warned(&[]).1, [""; 0]);
    world.pipeline = pipeline(&with_clients());
    let (report, told) = world.warned(&["people"]);
    insta::assert_snapshot!(told.join("\n"), @"the state holds 1 coupling of `customers`, and the file has no such table map; `people`, `clients` have none: where a table map was renamed, give it its old name back, or its records are coupled anew by the match rules");
    assert_eq!(report.notes, told);
    world.pipeline = pipeline(PEOPLE);
    insta::assert_snapshot!(world.warned(&[]).1.join("\n"), @"the state holds 1 coupling of `customers`, and the file has no such table map; `people` has none: where a table map was renamed, give it its old name back, or its records are coupled anew by the match rules");
}

#[test]
fn a_selection_that_needs_a_table_map_without_couplings_says_so_once() {
    let people = PEOPLE.replace("match:", "after: [customers]\n    match:");
    let home = "      - { erp: home, crm: home, ref: { table: customers, erp: number } }\n";
    let mut world = World::with(&format!(
        "{people}{home}{}",
        CUSTOMERS.replace(
            "      - { erp: person, crm: owner, ref: { table: people, erp: code }, direction: to_crm, blank: keep }\n",
            ""
        )
    ));
    for number in 1..=3 {
        world.crm.put("users", number, &[("mail", &format!("{number}@x")), ("home", &Uuid::from_u128(9).to_string())]);
    }
    let (report, told) = world.warned(&["people"]);
    insta::assert_snapshot!(told.join("\n"), @"`people` refers to `customers`, which has no couplings yet, so that the records that do fail: run `customers` first, or all table maps together");
    assert_eq!((report.notes, report.inbox.len()), (told, 3));
}

#[test]
fn what_a_side_refused_waits_in_the_next_plan_until_it_is_taken() {
    let mut world = World::settled();
    *world.crm.refuses.lock().unwrap() = Some(Box::new(|_, _| Some("no phone like that".into())));
    world.erp.put("customers", 1, &[("phone", "2")]);
    assert_eq!(world.run().inbox.len(), 1);
    for _ in 0..2 {
        let plan = world.run_as(true);
        assert_eq!(plan.outcome, pipeline::run::account::RunOutcome::Incomplete);
        assert_eq!(plan.inbox, world.store.inbox(None).unwrap(), "with its since and attempts; a plan is no attempt");
        assert_eq!(plan.plan.actions().count(), 1, "it would be sent again");
    }
    world.crm.put("accounts", 101, &[("phone", "2")]);
    assert_eq!(world.run_as(true).inbox, [], "nothing is left to send");
}

#[test]
fn a_plan_is_no_attempt() {
    let mut world = World::settled();
    world.erp.put("customers", 1, &[("name", "Ahlgren AB")]);
    world.crm.put("accounts", 101, &[("name", "Ahlgren AS")]);
    let raised = |report: &RunReport| (report.inbox[0].attempts, report.inbox[0].since.clone());
    assert_eq!(raised(&world.run_as(true)), (0, String::new()));
    let first = raised(&world.run());
    assert_eq!(first.0, 1);
    assert_eq!(raised(&world.run_as(true)), first);
}

#[test]
fn what_waits_in_a_table_that_cannot_be_read_still_waits() {
    let mut world = World::settled();
    world.erp.put("customers", 1, &[("name", "Ahlgren AB")]);
    world.crm.put("accounts", 101, &[("name", "Ahlgren AS")]);
    let waiting = world.run().inbox;
    world.crm.unreadable.lock().unwrap().push("accounts".into());
    for dry_run in [true, false] {
        let report = world.run_as(dry_run);
        assert_eq!((&report.inbox, report.tables[1].error.is_some()), (&waiting, true));
    }
}

#[test]
fn a_plan_names_the_records_that_its_values_point_to() {
    let mut world = World::settled();
    world.erp.put("people", 7, &[("code", "IS"), ("email", "ida@x")]);
    world.crm.put("users", 107, &[("mail", "ida@x")]);
    world.erp.put("customers", 1, &[("person", "IS")]);
    let report = world.run_as(true);
    assert_eq!(report.names.get(&Uuid::from_u128(107)).map(String::as_str), Some("people:IS"));
    let text = pipeline::report::plan::text(&report);
    assert!(text.contains("    owner: blank → people:IS ("), "{text}");
    assert!(pipeline::report::plan::json(&report).contains(&Uuid::from_u128(107).to_string()));
}

//! Saved plans from the command line: made, looked at, carried out, refused.

use std::collections::BTreeMap;
use std::process::Stdio;

use pipeline::report::saved;
use pipeline::store::Store;
use serde_json::{Value, json};

use super::oracle::{assert_same, contents};
use super::{Answer, FULL, World};

const TWO: &str = "--only salespeople --only currencies";

fn number(document: &Value, key: &str) -> u64 {
    document["applied"][key].as_u64().unwrap_or_else(|| panic!("{key}: {document:#}"))
}

fn records(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|undone| undone["record"].as_str().unwrap()).collect()
}

/// Runs the program where it knows neither side nor state.
fn without_world(world: &World, line: &str) -> Answer {
    let mut command = world.command(line);
    command.env_clear().stdin(Stdio::null());
    Answer::of(command.output().unwrap())
}

#[test]
fn a_plan_has_the_notes_of_its_run() {
    let world = World::start();
    let notes = |text: &str| text.split("\n\n").find(|section| section.starts_with("notes:\n")).map(str::to_owned);
    let run = notes(&world.run(&format!("run {FULL} --dry-run")).stdout).unwrap();
    assert!(run.contains("\n  contacts: 64 new records in the ERP will be outside the filter there"), "{run}");
    let planned = world.run(&format!("plan {FULL} -o night.plan"));
    assert_eq!(notes(&planned.stdout), Some(run.clone()));
    assert_eq!(notes(&without_world(&world, "show night.plan").stdout), Some(run.clone()));
    let part = notes(&without_world(&world, "show night.plan --table customers").stdout).unwrap();
    let own: Vec<&str> = run.lines().filter(|line| line.starts_with("  customers: ")).collect();
    assert_eq!(part.lines().skip(1).collect::<Vec<_>>(), own);
    for part in ["--record customers:11720", "--table customers --field displayName", "--table currencies"] {
        let shown = without_world(&world, &format!("show night.plan {part}")).code(0);
        assert_eq!(notes(&shown.stdout), None, "{part}: {shown:#?}");
    }
}

#[test]
fn a_first_load_that_is_planned_and_applied_is_the_run() {
    let (planned, ran) = (World::start(), World::start());
    let before = contents(&planned);
    let told = planned.run(&format!("plan {FULL} -o night.plan"));
    assert_same(&contents(&planned), &before, "a plan writes nothing");
    assert_eq!(planned.state_files(), BTreeMap::new(), "no state is made");
    let shown = without_world(&planned, "show night.plan").code(0);
    assert!(shown.stdout.ends_with(&told.stdout), "what is shown is what was planned:\n{}", shown.stdout);
    let document = planned.run(&format!("plan {FULL} --format json")).json();
    assert_eq!(without_world(&planned, "show night.plan --format json").code(0).json(), document);

    let applied = planned.run("apply night.plan --format json");
    let run = ran.run(&format!("run {FULL} --format json"));
    assert_same(&contents(&planned), &contents(&ran), "a plan that is carried out is the run (I8)");
    let (applied, run) = (applied.json(), run.json());
    assert_eq!(number(&applied, "done"), document["actions"].as_array().unwrap().len() as u64, "{applied:#}");
    assert_eq!((&applied["applied"]["moved"], &applied["applied"]["not_in_plan"]), (&json!([]), &json!([])));
    let counts = |report: &Value| {
        let tables = report["tables"].as_array().unwrap().iter();
        tables
            .map(|table| (table["table"].clone(), table["to_crm"].clone(), table["to_erp"].clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(counts(&applied), counts(&run));
    assert_eq!(planned.store().coupling_counts().unwrap(), ran.store().coupling_counts().unwrap());
    let history = planned.run(&format!("history {FULL} --format json")).code(0).json();
    assert_eq!(history["runs"].as_array().unwrap().len(), 1);
    assert_eq!(history["runs"][0]["report"]["applied"], applied["applied"]);

    planned.turnstile.reset();
    let again = planned.run("apply night.plan --format json").json();
    assert_eq!(planned.turnstile.seen().1, 0, "the second time writes nothing");
    assert_eq!((number(&again, "done"), number(&again, "done_before")), (0, number(&applied, "done")));
    assert_eq!((&again["applied"]["moved"], &again["applied"]["not_in_plan"]), (&json!([]), &json!([])), "{again:#}");
}

#[test]
fn what_somebody_edited_since_the_plan_is_named_and_the_others_are_written() {
    let world = World::start();
    world.run(&format!("run {FULL} {TWO}")).code(0);
    let couplings = world.store().couplings("salespeople", &[]).unwrap();
    let users = &couplings.crm[..6];
    let edit = |user, values: Value| {
        world.crm.with(|crm| crm.edit("systemusers", user, values.as_object().unwrap())).unwrap();
    };
    for user in users {
        edit(*user, json!({"firstname": "Renamed"}));
    }
    world.run(&format!("plan {FULL} {TWO} -o night.plan")).code(0);
    // The source, the target in a mapped field, and the target elsewhere.
    edit(users[0], json!({"firstname": "Renamed again"}));
    let person = |at: usize, values: Value| {
        let id = couplings.erp[at];
        world.erp.with(|erp| erp.edit("salespeoplePurchasers", id, values.as_object().unwrap())).unwrap();
    };
    person(1, json!({"displayName": "Typed here"}));
    person(2, json!({"jobTitle": "Manager"}));
    let names = |world: &World| -> BTreeMap<String, String> {
        let records = world.erp.with(|erp| erp.records("salespeoplePurchasers"));
        let text = |record: &serde_json::Map<String, Value>, key: &str| record[key].as_str().unwrap().to_owned();
        records.iter().map(|record| (text(record, "id"), text(record, "displayName"))).collect()
    };
    let before = names(&world);
    world.turnstile.reset();
    let answer = world.run("apply night.plan --format json").code(1);
    let document = answer.json();
    assert_eq!((number(&document, "done"), document["outcome"].as_str()), (3, Some("incomplete")));
    let after = names(&world);
    let changed: Vec<&String> = after.keys().filter(|id| after[*id] != before[*id]).collect();
    let mut expected: Vec<String> = couplings.erp[3..6].iter().map(ToString::to_string).collect();
    expected.sort();
    assert_eq!(changed, expected.iter().collect::<Vec<_>>(), "exactly the others are written");
    let label = |at: usize| {
        let record = world.erp.with(|erp| erp.record("salespeoplePurchasers", couplings.erp[at])).unwrap();
        format!("salespeople:{}", record["code"].as_str().unwrap())
    };
    let mut moved = records(&document["applied"]["moved"]);
    let mut three = [label(0), label(1), label(2)];
    moved.sort();
    three.sort();
    assert_eq!(moved, three.iter().map(String::as_str).collect::<Vec<_>>(), "{document:#}");
    let told = world.run("apply night.plan").code(1).stdout;
    assert!(told.contains("no longer as planned, and left out: 3\n"), "{told}");
    assert!(told.contains("it was edited in the ERP since"), "{told}");
    assert!(told.ends_with("3 actions of the plan were done already; 3 no longer as planned and left out\n"), "{told}");
    world.run("apply night.plan --only salespeople:nobody").code(2);
}

#[test]
fn a_plan_that_does_not_fit_is_refused_with_the_next_step() {
    let world = World::start();
    let full = std::fs::read_to_string(FULL).unwrap();
    world.file("night.yaml", &full);
    world.run(&format!("plan night.yaml {TWO} -o night.plan")).code(0);
    let plan = std::fs::read_to_string(world.folder.path().join("night.plan")).unwrap();
    let before = contents(&world);
    let refused = |line: &str, code: i32, message: &str, hint: &str| {
        let answer = world.run(line).code(code);
        let told = answer.stderr.replace(&*world.folder.path().to_string_lossy(), "FOLDER");
        assert!(told.contains(message) && told.contains(hint), "{line}: {told}");
        assert!(!told.contains("panicked"), "{told}");
        let document = world.run(&format!("{line} --format json")).code(code).json();
        assert!(!document["error"]["hint"].as_str().unwrap().is_empty(), "{document:#}");
    };
    // The file says something else, or is gone.
    world.file("night.yaml", &full.replace("name: full", "name: full # tonight"));
    let anew = "make it anew with `pipeline plan FOLDER/night.yaml -o night.plan`";
    refused("apply night.plan", 2, "its pipeline file FOLDER/night.yaml was changed since it was made", anew);
    std::fs::remove_file(world.folder.path().join("night.yaml")).unwrap();
    refused("apply night.plan", 2, "its pipeline file FOLDER/night.yaml", anew);
    without_world(&world, "show night.plan").code(0);
    world.file("night.yaml", &full);
    // Another state, and another company.
    let mut command = world.command("apply night.plan");
    let other = Answer::of(command.env("PIPELINE_STATE", "sqlite:other.db").output().unwrap()).code(3);
    assert!(other.stderr.contains("it was made over the state ") && other.stderr.contains("other.db"), "{other:#?}");
    let mut foreign = saved::read(&plan).unwrap();
    foreign.binding.sides.erp.id = uuid::Uuid::max();
    world.file("foreign.plan", &saved::text(&foreign));
    refused(
        "apply foreign.plan",
        3,
        "the plan foreign.plan cannot be carried out: it belongs to the ERP company",
        "carry it out where",
    );
    // No plan, half a plan, another format, one that was tampered with.
    world.file("later.plan", &plan.replace("\"plan_format\": 1", "\"plan_format\": 2"));
    refused("apply later.plan", 2, "it is a plan of format 2, and this program reads format 1", "make it anew");
    world.file("half.plan", &plan[..plan.len() / 2]);
    refused("apply half.plan", 2, "it is damaged: EOF while parsing", "make it anew");
    world.file("deep.plan", &format!("{{\"plan_format\": 1, \"tables\": {}", "[".repeat(1 << 20)));
    refused("show deep.plan", 2, "it is damaged: ", "make it anew");
    world.file("typed.plan", &plan.replacen("\"action\": \"couple\"", "\"action\": \"uncouple\"", 1));
    refused("apply typed.plan", 2, "it is damaged: `uncouple` of ", "make it anew");
    world.file("forged.plan", &plan.replacen("\"only\": [", "\"only\": [\n    \"items\",", 1));
    refused("show forged.plan", 2, "it was changed after it was made: it does not fit its seal", "make it anew");
    refused("show night.yaml", 2, "the plan night.yaml cannot be used: it is no saved plan", "make it anew");
    refused("show nothing.plan", 2, "the plan nothing.plan cannot be used: No such file", "give the path of a plan");
    refused(
        "show night.plan --table custmers",
        2,
        "night.plan holds nothing of `custmers`",
        "it has the table maps salespeople",
    );
    refused("show night.plan --field nmae", 2, "night.plan knows no field `nmae`", "a field is named by its column");
    // What is no plan is not overwritten, and nothing is asked of anybody for it.
    world.turnstile.reset();
    refused(
        &format!("plan night.yaml {TWO} -o night.yaml"),
        2,
        "night.yaml is there already and is no saved plan",
        "another name",
    );
    refused(
        &format!("plan night.yaml {TWO} -o missing/night.plan"),
        3,
        "the plan cannot be saved as missing/night.plan",
        "look at",
    );
    assert_eq!(std::fs::read_to_string(world.folder.path().join("night.yaml")).unwrap(), full);
    assert_eq!(world.turnstile.seen().1, 0);
    assert_eq!(world.store().coupling_counts().unwrap(), BTreeMap::new());
    assert_same(&contents(&world), &before, "nothing was written");
    // Nor is anything asked where nobody is there to answer.
    let answer = world.run("apply night.plan").code(0);
    assert!(answer.stdout.contains("\ncarried out "), "{answer:#?}");
}

#[test]
fn what_a_guard_stops_is_saved_and_the_printed_command_carries_it_out() {
    let world = World::start();
    world.run(&format!("run {FULL} {TWO}")).code(0);
    let full = std::fs::read_to_string(FULL).unwrap();
    world.file("guarded.yaml", &full.replace("    create: to_erp\n", "    create: to_erp\n    guard: { update: 0 }\n"));
    let user = world.store().couplings("salespeople", &[]).unwrap().crm[0];
    let rename = |name: &str| {
        let values = json!({ "firstname": name });
        world.crm.with(|crm| crm.edit("systemusers", user, values.as_object().unwrap())).unwrap();
    };
    let saved = world.folder.path().join("full.db.guarded.plan");
    rename("Renamed");
    world.run(&format!("plan guarded.yaml {TWO}")).code(4);
    assert!(!saved.exists(), "a plan stores nothing");
    let answer = world.run(&format!("run guarded.yaml {TWO}")).code(4);
    let command = format!("pipeline apply {}", saved.display());
    assert!(answer.stdout.contains(&format!("`{command}` carries out just that")), "{answer:#?}");
    let json = world.run(&format!("run guarded.yaml {TWO} --format json")).code(4).json();
    assert!(json["tables"][0]["guarded"].as_str().unwrap().contains(&command), "{json:#}");
    let shown = world.run(&format!("show {}", saved.display())).code(0).stdout;
    assert!(shown.contains("stopped by its guard") && shown.contains("only salespeople\n"), "{shown}");
    assert!(!shown.contains("\ncurrencies\n"), "what was not stopped was done");
    // One record of it is no turn of the table map.
    let other = world.store().couplings("salespeople", &[]).unwrap().erp[1];
    world.run(&format!("run guarded.yaml --only salespeople:{other}")).code(0);
    assert!(saved.exists(), "what was stopped still waits");
    let status = world.run("status guarded.yaml").code(0).stdout;
    assert!(status.contains("a guard stopped 1 table map"), "{status}");
    // That record, stopped by itself, takes nothing away either: its plan is kept under another name.
    let part = world.folder.path().join("full.db.guarded-part.plan");
    let before = std::fs::read_to_string(&saved).unwrap();
    let first = world.store().couplings("salespeople", &[]).unwrap().erp[0];
    let answer = world.run(&format!("run guarded.yaml --only salespeople:{first}")).code(4);
    let part_command = format!("pipeline apply {}", part.display());
    assert!(answer.stdout.contains(&format!("`{part_command}` carries out just that")), "{answer:#?}");
    assert_eq!(std::fs::read_to_string(&saved).unwrap(), before);
    // Another plan for the table map changes nothing of what is stopped; nor do many runs over others.
    world.run(&format!("plan guarded.yaml --only salespeople:{other} -o other.plan")).code(0);
    world.run("apply other.plan").code(0);
    for _ in 0..10 {
        world.run("run guarded.yaml --only currencies").code(0);
    }
    let status = world.run("status guarded.yaml --format json").code(0).json();
    let salespeople = status["tables"].as_array().unwrap().iter().find(|table| table["table"] == "salespeople");
    assert!(salespeople.unwrap()["guarded"].as_str().unwrap().contains(&command), "{status:#}");
    // It is another run's turn, in which the guard trips for something else: the plan is that of the last trip.
    rename("Renamed again");
    world.run(&format!("apply {}", saved.display())).code(1);
    world.run(&format!("run guarded.yaml {TWO}")).code(4);
    world.run(command.strip_prefix("pipeline ").unwrap()).code(0);
    let name = |world: &World| {
        let records = world.erp.with(|erp| erp.records("salespeoplePurchasers"));
        records.iter().filter(|record| record["displayName"].as_str().unwrap().starts_with("Renamed again")).count()
    };
    assert_eq!(name(&world), 1);
    assert!(!saved.exists(), "what was stopped is carried out");
    let status = world.run("status guarded.yaml").code(0).stdout;
    assert!(!status.contains("a guard stopped"), "{status}");
    world.run(&format!("run guarded.yaml {TWO}")).code(0);
    assert!(!part.exists(), "what was stopped of a part has had its turn");
    // Another file under that name is left alone, and that is said.
    std::fs::write(&saved, "notes of somebody").unwrap();
    rename("Renamed once more");
    let answer = world.run(&format!("run guarded.yaml {TWO}")).code(4);
    assert!(answer.stderr.contains("warning: the plan cannot be saved as "), "{answer:#?}");
    assert_eq!(std::fs::read_to_string(&saved).unwrap(), "notes of somebody");
}

//! `--format json`: one document on stdout, with the keys that programs rely on; and verbs that store nothing.

use std::collections::BTreeMap;

use pipeline::store::Store;
use serde_json::{Map, Value, json};

use super::oracle::{assert_same, contents};
use super::{FULL, World};

/// Two table maps that need no others. A first plan of all of them counts as failed what depends on records that only
/// the run makes (a unit that comes with its group, a number of a series), so it would end with 1.
const TWO: &str = "--only salespeople --only currencies";

/// Returns the form of a document: keys in order, and the kind of each value. A list is as its first item.
fn form(value: &Value) -> Value {
    match value {
        Value::Null => "null".into(),
        Value::Bool(_) => "bool".into(),
        Value::Number(_) => "number".into(),
        Value::String(_) => "text".into(),
        Value::Array(items) => Value::Array(items.iter().take(1).map(form).collect()),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), form(value))).collect::<Map<_, _>>().into(),
    }
}

#[test]
fn the_documents_have_the_keys_of_the_contract() {
    let world = World::start();
    let (counts, times) = (
        json!({"inserted": "number", "modified": "number", "deleted": "number", "unchanged": "number",
               "skipped": "number", "failed": "number"}),
        json!({"extract": "number", "merge": "number", "apply": "number", "verify": "number"}),
    );
    let traffic = json!({"sent": "number", "retried": "number", "waited_seconds": "number"});
    let run = json!({"pipeline": "text", "run": "text", "outcome": "text", "started": "text", "seconds": "number",
        "tables": [{"table": "text", "mode": "text", "rows": {"erp": "number", "crm": "number"}, "coupled": "number",
            "to_crm": counts, "to_erp": counts, "new_couplings": "number", "uncoupled": "number",
            "contested": "number", "seconds": times}],
        "requests": {"erp": traffic, "crm": traffic}, "inbox": [], "notes": []});
    let plan = |action: Value| json!({"pipeline": "text", "hash": "text", "actions": action, "held": [], "later": []});
    let text = |value: &Value| serde_json::to_string_pretty(value).unwrap();
    let check = |line: &str, code: i32, expected: &Value| {
        let answer = world.run(line).code(code);
        // As texts, so that the order of keys counts.
        assert_eq!(text(&form(&answer.json())), text(expected), "{line}");
        answer.json()
    };
    check(&format!("check {FULL} --format json"), 0, &json!({"complaints": []}));
    let reviewed = world.run(&format!("review {FULL} --format json")).code(0).json();
    assert!(!world.state().exists(), "a review stores nothing");
    assert_eq!(reviewed.as_object().unwrap().keys().collect::<Vec<_>>(), ["pipeline", "tables", "next", "table_notes"]);
    let expected = json!({"table": "text", "direction": "text", "needs": [], "rows": {"erp": "number", "crm": "number"},
        "coupled": "number", "matchable": "number", "ambiguous": "number", "new": {"erp": "number", "crm": "number"},
        "changed": {"erp": "number", "crm": "number"}, "later": "number", "waits": "number", "kept_apart": "number", "advice": "text",
        "message": "text"});
    assert_eq!(text(&form(&reviewed["tables"][0])), text(&expected));
    let planned = world.run(&format!("plan {FULL} {TWO} --format json")).code(0).json();
    let keys: Vec<&String> = planned["actions"][0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["table", "record", "side", "action", "why", "fields"]);
    assert_eq!(
        planned.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["pipeline", "hash", "actions", "held", "later"]
    );
    let update = planned["actions"].as_array().unwrap().iter().find(|action| action["action"] == "update").unwrap();
    for field in update["fields"].as_object().unwrap().values() {
        assert_eq!(field.as_object().unwrap().keys().collect::<Vec<_>>(), ["old", "new"], "{update:#}");
    }
    check(&format!("run {FULL} {TWO} --dry-run --format json"), 0, &run);
    let report = check(&format!("run {FULL} {TWO} --format json"), 0, &run);
    assert_eq!(report["outcome"], "converged");
    check(&format!("plan {FULL} {TWO} --format json"), 0, &plan(json!([])));
    let place = json!({"id": "text", "name": "text"});
    let belongs_to = json!({"pipeline": "text", "erp": place, "crm": place});
    let status = json!({"pipeline": "text", "state": "text", "belongs_to": belongs_to, "in_use_by": "null",
        "tables": [{"table": "text", "coupled": "number", "contested": "number", "failed": "number",
            "skipped": "number", "deleted": "number", "ambiguous": "number", "decided": "number",
            "kept_apart": "number", "guarded": "null", "hidden": [], "read_to": {"erp": "text", "crm": "text"}}],
        "runs": [{"started": "text", "finished": "text", "run": "text", "outcome": "text", "seconds": "number",
            "to_crm": "number", "to_erp": "number"}], "inbox": [], "decisions": [], "notes": []});
    check(&format!("status {FULL} --format json"), 0, &status);
    let mut kept = run.clone();
    kept.as_object_mut().unwrap().remove("inbox");
    check(
        &format!("history {FULL} --format json --limit 1"),
        0,
        &json!({"runs": [{"run": "text", "started": "text",
        "finished": "text", "outcome": "text", "report": kept}]}),
    );
    check(&format!("inbox {FULL} --format json"), 0, &json!({"items": []}));
    check(&format!("inbox {FULL} list --format json"), 0, &json!({"items": []}));
    check(&format!("inbox {FULL} apart --format json"), 0, &json!({"apart": []}));
}

#[test]
fn a_plan_and_a_dry_run_write_nothing_anywhere() {
    let world = World::start();
    let before = contents(&world);
    let lines = [
        format!("plan {FULL} {TWO}"),
        format!("plan {FULL} --exit-code"),
        format!("run {FULL} {TWO} --dry-run"),
        format!("run {FULL} {TWO} --dry-run -vv --format json"),
        format!("status {FULL}"),
    ];
    let codes = |lines: &[String]| lines.iter().map(|line| world.run(line).code).collect::<Vec<_>>();
    assert_eq!(codes(&lines), [Some(0), Some(10), Some(0), Some(0), Some(0)]);
    assert_eq!(world.state_files(), BTreeMap::new(), "no state is made");
    assert_eq!(world.turnstile.seen().1, 0);

    world.run(&format!("run {FULL} {TWO}")).code(0);
    let (kept, after) = (world.state_files(), contents(&world));
    assert_ne!(after, before);
    world.turnstile.reset();
    assert_eq!(codes(&lines), [Some(0), Some(10), Some(0), Some(0), Some(0)]);
    assert_eq!(world.turnstile.seen().1, 0);
    assert_same(&contents(&world), &after, "planned");
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&world.state_files()), names(&kept));
    assert!(world.state_files() == kept, "the state has other bytes");
}

#[test]
fn a_guard_ends_with_4_and_its_plan_too() {
    let world = World::start();
    world.run(&format!("run {FULL} {TWO}")).code(0);
    let full = std::fs::read_to_string(FULL).unwrap();
    let guarded = full.replace("    create: to_erp\n", "    create: to_erp\n    guard: { update: 0 }\n");
    world.file("guarded.yaml", &guarded);
    let user = world.store().couplings("salespeople", &[]).unwrap().crm[0];
    world.crm.with(|crm| crm.edit("systemusers", user, json!({"firstname": "Renamed"}).as_object().unwrap())).unwrap();
    let before = contents(&world);
    for line in ["plan guarded.yaml", "plan guarded.yaml --exit-code", "run guarded.yaml --dry-run", "run guarded.yaml"]
    {
        let answer = world.run(&format!("{line} {TWO}")).code(4);
        let how = match line.ends_with("run guarded.yaml") {
            true => {
                let path = world.folder.path().join("full.db.guarded.plan");
                format!("`pipeline show {0}` shows them; if they are meant, `pipeline apply {0}`", path.display())
            }
            false => "`pipeline plan FILE --only salespeople -o PLAN` saves them; if they are meant, `pipeline apply \
                      PLAN`"
                .to_owned(),
        };
        let told = format!(
            "1 coupled record would be changed, and `guard.update` allows 0; nothing of it was written: {how} carries out \
             just that, or raise `tables.salespeople.guard.update` and run again"
        );
        assert!(answer.stdout.contains(&told), "{line}: {answer:#?}");
        let document = world.run(&format!("{line} {TWO} --format json")).code(4).json();
        let message = match line.starts_with("plan") {
            true => &document["guarded"][0]["message"],
            false => &document["tables"][0]["guarded"],
        };
        assert_eq!(message, &told, "{document:#}");
    }
    assert_same(&contents(&world), &before, "nothing was written");
    world.run(&format!("run {FULL} {TWO}")).code(0);
}

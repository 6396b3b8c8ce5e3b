//! `pipeline why` as a process: the answer and its exit code, what it refuses, and that it leaves nothing behind.

use pipeline::store::Store;

use super::{FULL, World};
use crate::program::oracle::contents;

#[test]
fn a_record_is_explained_and_nothing_is_written() {
    let world = World::start();
    let plan = world.run(&format!("plan {FULL} --format json"));
    assert!(!world.state().exists());
    world.run(&format!("why {FULL} customers:10010 --field name")).code(0).prints(
        "displayName ↔ name  goes to the CRM  first synchronization, the ERP fills it; ERP \"Žižka Strojírny s.r.o.\", \
         CRM \"ŽIŽKA STROJÍRNY S.R.O.\"\n",
        &world,
    );
    assert!(!world.state().exists(), "a state that does not exist is not made");
    let actions = plan.json()["actions"].as_array().unwrap().clone();
    let planned: Vec<_> = actions.into_iter().filter(|action| action["record"] == "customers:10010").collect();
    let why = world.run(&format!("why {FULL} customers:10010 --format json")).code(0).json();
    assert_eq!(why["actions"].as_array().unwrap(), &planned);
    assert_eq!(why["verdict"], "pending");
    world.run(&format!("run {FULL}")).code(0);
    let (before, state) = (contents(&world), world.state_files());
    world.run(&format!("why {FULL} customers:crm:10010")).code(0).prints("customers:10010: both sides agree\n", &world);
    assert_eq!((contents(&world), world.state_files()), (before, state));
}

#[test]
fn the_writes_to_a_record_are_told_over_all_runs() {
    let world = World::start();
    let line = format!("history {FULL} --record customers:10010");
    world.run(&line).code(0).prints("customers:10010: no write to it or to its partner is kept\n", &world);
    world.run(&format!("run {FULL}")).code(0);
    let edit = serde_json::json!({"displayName": "Another name"});
    world.erp.with(|erp| {
        let id = erp.find("customers", "number", "10010").unwrap();
        erp.edit("customers", id, edit.as_object().unwrap()).unwrap();
    });
    world.run(&format!("run {FULL}")).code(0);
    let told = world.run(&line).code(0);
    assert!(told.stdout.starts_with("customers:10010: 2 writes, newest first\n"), "{told:#?}");
    let told =
        world.run(&format!("history {FULL} --record customers:crm:10010 --limit 1 --format json")).code(0).json();
    assert_eq!(told["record"], "customers:crm:10010");
    assert_eq!(told["writes"].as_array().unwrap().len(), 1);
    assert_eq!(told["writes"][0]["fields"]["name"]["new"], "Another name", "{told:#}");
    let told = world.run(&format!("history {FULL} --record customers:99")).code(2);
    assert!(told.stderr.starts_with("error: the ERP has no record `customers:99`\n  hint: "), "{told:#?}");
    world.run(&format!("history {FULL} last --record customers:99")).code(2);
}

#[test]
fn a_record_that_is_gone_is_known_by_the_name_that_it_bore() {
    let world = World::start();
    world.run(&format!("run {FULL}")).code(0);
    let of = |number: &str| world.erp.with(|erp| erp.find("customers", "number", number).unwrap());
    let partner = |erp: uuid::Uuid| {
        let couplings = world.store().couplings("customers", &[]).unwrap();
        couplings.crm[couplings.erp.iter().position(|id| *id == erp).unwrap()]
    };
    // Nothing was ever written to this pair, and no run has seen that a record of it is gone.
    let (erp, crm) = (of("10010"), partner(of("10010")));
    let history = |name: &str| world.run(&format!("history {FULL} --record {name}"));
    let before = history("customers:10010").code(0).stdout;
    world.erp.with(|side| side.delete("customers", erp)).unwrap();
    for name in ["customers:10010".to_owned(), format!("customers:{erp}")] {
        let told = world.run(&format!("why {FULL} {name}")).code(0);
        assert!(told.stdout.contains("was deleted in the ERP"), "{told:#?}");
        assert_eq!(
            history(&name).code(0).stdout.lines().skip(1).collect::<Vec<_>>(),
            before.lines().skip(1).collect::<Vec<_>>()
        );
    }
    // Both are gone, and a run parted them.
    world.crm.with(|side| side.delete("accounts", crm)).unwrap();
    world.run(&format!("run {FULL}")).code(0);
    let names = ["customers:10010", "customers:crm:10010"].map(str::to_owned).into_iter();
    for name in names.chain([format!("customers:{erp}"), format!("customers:crm:{crm}")]) {
        let told = history(&name).code(0);
        assert!(
            told.stdout.contains(" uncouple customers:10010, neither record written (both records are gone): done\n"),
            "{told:#?}"
        );
        let told = world.run(&format!("why {FULL} {name}")).code(1);
        assert!(told.stdout.contains(" any more: it was uncoupled on "), "{told:#?}");
        assert!(told.stdout.contains(", because: both records are gone\n"), "{told:#?}");
    }
}

#[test]
fn a_record_that_nobody_has_is_told_with_its_neighbours() {
    let world = World::start();
    let told = world.run(&format!("why {FULL} customers:1000")).code(1);
    assert!(told.stdout.starts_with("the ERP has no record `customers:1000`\n  similar in the ERP: "), "{told:#?}");
    let told = world.run(&format!("why {FULL} customers:1000 --format json")).code(1).json();
    assert_eq!(told["verdict"], "no_record");
    assert_eq!(told["similar"]["erp"][0], "10000", "{told:#}");
    assert_eq!(told["similar"]["crm"][0], "10000", "{told:#}");
    world
        .run(&format!("why {FULL} customers:NOBODY-AT-ALL"))
        .code(1)
        .prints("no name on either side is like it", &world);
}

#[test]
fn what_is_not_understood_is_refused() {
    let world = World::start();
    let two = world.erp.with(|erp| {
        let ids = ["10000", "10010"].map(|number| erp.find("customers", "number", number).unwrap());
        let name = serde_json::json!({"displayName": "Twins Ltd."});
        for id in ids {
            erp.edit("customers", id, name.as_object().unwrap()).unwrap();
        }
        ids
    });
    let file = std::fs::read_to_string(FULL).unwrap().replace("label: number, filter", "label: displayName, filter");
    world.file("twins.yaml", &file);
    let [first, second] = if two[0] < two[1] { two } else { [two[1], two[0]] };
    let several = format!("take one of customers:{first}, customers:{second}");
    for (line, message, hint) in [
        (format!("{FULL} custmers:10000"), format!("{FULL} has no table map `custmers`"), "did you mean `customers`?"),
        (
            format!("{FULL} customers"),
            "`customers` names no record".to_owned(),
            "a record is named `TABLE:KEY` by its ERP label or id, or `TABLE:crm:KEY` by those of the CRM",
        ),
        (
            format!("{FULL} customers:10000 --field phoneNumbr"),
            "`customers` maps no field `phoneNumbr`".to_owned(),
            "did you mean `phoneNumber`?",
        ),
        (
            "twins.yaml customers:TWINS_LTD.".to_owned(),
            "2 records of the ERP are named `customers:TWINS LTD.`".to_owned(),
            several.as_str(),
        ),
    ] {
        // A blank within a word is written as `_` above.
        let mut command = world.command("why");
        command.args(line.split(' ').map(|word| word.replace('_', " ")));
        let told = super::Answer::of(command.output().unwrap()).code(2);
        assert_eq!(told.stdout, "");
        assert_eq!(told.stderr.trim_end(), format!("error: {message}\n  hint: {hint}"));
        let mut command = world.command("why --format json");
        command.args(line.split(' ').map(|word| word.replace('_', " ")));
        let told = super::Answer::of(command.output().unwrap()).code(2).json();
        assert_eq!(told["error"]["kind"], "arguments");
        assert_eq!((&told["error"]["message"], &told["error"]["hint"]), (&message.as_str().into(), &hint.into()));
    }
}

#[test]
fn a_deleted_record_is_known_by_the_name_that_it_bore() {
    let world = World::start();
    world.run(&format!("run {FULL} --only salespeople --only currencies --only customers")).code(0);
    let delete = |number: &str| {
        world.erp.with(|erp| {
            let id = erp.find("customers", "number", number).unwrap();
            erp.delete("customers", id).unwrap();
        });
    };
    delete("10010");
    world.run(&format!("run {FULL} --only customers")).code(1);
    let told = world.run(&format!("why {FULL} customers:10010")).code(0);
    assert!(told.stdout.starts_with("customers:crm:10010 was deleted in the ERP"), "{told:#?}");
    world.run(&format!("inbox {FULL} restore customers:99999")).code(2);
    let told = world.run(&format!("inbox {FULL} delete customers:10010 --yes")).code(0);
    assert!(told.stdout.contains("customers:crm:10010"), "{told:#?}");
    world.run(&format!("run {FULL} --only customers")).code(0);
    // The survivor is gone as well, by our own write.
    let told = world.run(&format!("why {FULL} customers:crm:10010")).code(1);
    let message = "the CRM has no record `customers:crm:10010` any more: this pipeline deleted it in the CRM on ";
    assert!(told.stdout.starts_with(message), "{told:#?}");
    let told = world.run(&format!("history {FULL} --record customers:crm:10010")).code(0);
    assert!(told.stdout.contains("customers:crm:10010: "), "{told:#?}");
}

#[test]
fn what_a_guard_counted_is_told_with_its_time() {
    let world = World::start();
    let full = std::fs::read_to_string(FULL).unwrap();
    let customers = "\n  customers:\n";
    world.file("guarded.yaml", &full.replacen(customers, &format!("{customers}    guard: {{ create: 20 }}\n"), 1));
    world.run("run guarded.yaml").code(4);
    let history = world.run("history guarded.yaml --format json").code(0).json();
    let at = history["runs"][0]["started"].as_str().unwrap();
    // One record alone stops nothing, so what was counted is what that run counted.
    let told = world.run("why guarded.yaml customers:11720").code(0);
    let message =
        format!("customers:11720: the guard of `customers` stopped it in the run of {at}, and every run counts anew: ");
    assert!(told.stdout.starts_with(&message), "{told:#?}");
    let told = world.run("why guarded.yaml customers:11720 --format json").code(0).json();
    assert_eq!((&told["verdict"], &told["guarded_at"]), (&"guarded".into(), &at.into()), "{told:#}");
}

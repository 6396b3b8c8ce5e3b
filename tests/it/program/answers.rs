//! `inbox` as a process: its lists, its answers, what it refuses, and the way through a spreadsheet.

use insta::assert_snapshot;
use serde_json::{Value, json};
use uuid::Uuid;

use super::refusals::Transcript;
use super::{Answer, FULL, World};
use pipeline::store::{InboxKind, Store};

/// Customers and what they refer to.
const TABLES: &str = "--only salespeople --only currencies --only customers";

/// A world in which a customer is contested in two fields and the CRM's record of another one is deleted.
struct Waiting {
    world: World,
    contested: String,
    /// Ids of the contested pair.
    pair: (Uuid, Uuid),
    deleted: String,
}

impl Waiting {
    fn new() -> Waiting {
        let world = World::start();
        world.run(&format!("run {FULL} {TABLES}"));
        let store = world.store();
        let couplings = store.couplings("customers", &[]).unwrap();
        let waiting: Vec<Option<Uuid>> = store.inbox(None).unwrap().into_iter().map(|item| item.erp_id).collect();
        let settled = couplings.erp.iter().zip(&couplings.crm).filter(|(erp, _)| !waiting.contains(&Some(**erp)));
        let pairs: Vec<(Uuid, Uuid)> = settled.map(|(erp, crm)| (*erp, *crm)).collect();
        drop(store);
        let body = |value: Value| value.as_object().unwrap().clone();
        let (erp, crm) = pairs[0];
        world
            .erp
            .with(|side| side.edit("customers", erp, &body(json!({"phoneNumber": "+47 1", "addressLine2": "=1+1"}))))
            .unwrap();
        world
            .crm
            .with(|side| side.edit("accounts", crm, &body(json!({"telephone1": "+47 2", "address1_line2": "floor 2"}))))
            .unwrap();
        world.crm.with(|side| side.delete("accounts", pairs[1].1)).unwrap();
        let answer = world.run(&format!("run {FULL} {TABLES}")).code(1);
        let items = world.store().inbox(Some("customers")).unwrap();
        let of =
            |kind| items.iter().find(|item| item.kind == kind).unwrap_or_else(|| panic!("{answer:#?}")).record.clone();
        Waiting { contested: of(InboxKind::Contested), pair: pairs[0], deleted: of(InboxKind::Deleted), world }
    }
    /// Runs `inbox` with these words.
    fn inbox(&self, words: &str) -> Answer {
        self.world.run(&format!("inbox {FULL} {words}"))
    }

    /// Returns what both sides hold of the contested customer: phone and second line of the address.
    fn held(&self) -> [(String, String); 2] {
        let value = |record: &serde_json::Map<String, Value>, column: &str| {
            record[column].as_str().unwrap_or_default().to_owned()
        };
        let erp = self.world.erp.with(|side| side.records("customers"));
        let erp = erp.iter().find(|record| record["id"] == self.pair.0.to_string()).unwrap();
        let crm = self.world.crm.with(|side| side.records("accounts"));
        let crm = crm.iter().find(|record| record["accountid"] == self.pair.1.to_string()).unwrap();
        [
            (value(erp, "phoneNumber"), value(crm, "telephone1")),
            (value(erp, "addressLine2"), value(crm, "address1_line2")),
        ]
    }
}

#[test]
fn wrong_answers_are_refused_and_nothing_is_done() {
    let waiting = Waiting::new();
    let Waiting { contested, deleted, world, .. } = &waiting;
    let before = world.state_files();
    let mut told = Transcript::new(world);
    for words in [
        format!("resolve {contested} --field fone --take erp"),
        format!("resolve {contested} --field name --take erp"),
        format!("resolve {contested} --field phoneNumber --take both"),
        "resolve --all --field displayName --take erp".to_owned(),
        "resolve customers:nobody --field phoneNumber --take erp".to_owned(),
        format!("resolve {deleted} --field phoneNumber --take erp"),
        format!("retry {contested}"),
        format!("restore {contested}"),
        format!("delete {contested} --yes"),
        // Nothing is asked where there is no terminal.
        format!("delete {deleted}"),
        // One slip in a list, and none of it is done.
        format!("restore {deleted} {contested}"),
        "import nowhere.csv".to_owned(),
        "export nowhere/inbox.csv".to_owned(),
        "list --table custmers".to_owned(),
        "list --field fone".to_owned(),
        "list --table customers --field displayNam".to_owned(),
    ] {
        told.ask(&format!("inbox {FULL} {words}"), &[], 2);
    }
    assert_eq!(world.store().decisions(None).unwrap(), []);
    assert!(before.keys().eq(world.state_files().keys()));
    assert_snapshot!("answers", told.text);
}

#[test]
fn an_answer_makes_no_state_where_there_is_none() {
    let world = World::start();
    for answer in ["retry customers:1", "restore customers:1", "resolve --all --field city --take erp", "import in.csv"]
    {
        world.file("in.csv", "table,record\n");
        let answer = world.run(&format!("inbox {FULL} {answer}")).code(2);
        assert!(answer.stderr.contains("nothing waits: there is no state in "), "{}", answer.stderr);
        assert!(!world.state().exists() && world.state_files().is_empty(), "{:?}", world.state_files().keys());
    }
}

#[test]
fn what_waits_is_listed_decided_and_written() {
    let waiting = Waiting::new();
    let Waiting { contested, deleted, world, .. } = &waiting;
    let items = |answer: Answer| answer.code(0).json()["items"].as_array().unwrap().clone();
    let of_record = items(waiting.inbox(&format!("--format json list --record {contested}")));
    assert_eq!(of_record.len(), 2, "{of_record:#?}");
    assert_eq!(of_record, items(waiting.inbox(&format!("list --record {contested} --format json"))));
    // Something else waits, and that is not denied.
    for filter in ["--kind skipped", "--table items", "--record customers:99999", "--table customers --field name"] {
        let none = waiting.inbox(&format!("list {filter}")).code(0);
        let told = "nothing of this waits for a person; elsewhere ";
        assert!(none.stdout.starts_with(told), "{filter}: {none:#?}");
    }
    // By either side's column.
    for field in ["phoneNumber", "telephone1"] {
        let of_field = items(waiting.inbox(&format!("list --field {field} --kind contested --format json")));
        assert_eq!(of_field.len(), 1, "{of_field:#?}");
        let keys: Vec<&String> = of_field[0].as_object().unwrap().keys().collect();
        assert_eq!(
            keys,
            [
                "table",
                "record",
                "kind",
                "field",
                "base",
                "erp",
                "crm",
                "message",
                "since",
                "attempts",
                "crm_record",
                "erp_modified",
                "crm_modified",
                "crm_modified_by",
                "decision",
                "last_write"
            ]
        );
        assert_eq!((&of_field[0]["erp"], &of_field[0]["crm"]), (&json!("+47 1"), &json!("+47 2")));
    }
    let answer = waiting.inbox(&format!("resolve {contested} --field telephone1 --take crm")).code(0);
    assert_eq!(
        answer.stdout,
        format!(
            "{contested} phoneNumber: take crm; with the next run \"+47 2\" goes to the ERP in place of \"+47 1\"\n"
        )
    );
    let answer =
        waiting.inbox(&format!("resolve {contested} --field addressLine2 --take value=gate --format json")).code(0);
    let answered = json!({"answered": [{"table": "customers", "record": contested, "field": "addressLine2", "decision": "take value=gate"}]});
    assert_eq!(answer.json(), answered);
    waiting.inbox(&format!("delete {deleted} --yes")).code(0);
    // A decision about a whole record is withdrawn as well, and made once more.
    let none = waiting.inbox(&format!("withdraw {deleted} --field addressLine2")).code(2);
    assert!(none.stderr.contains("hint: decided is delete"), "{none:#?}");
    let withdrawn = waiting.inbox(&format!("withdraw {deleted} --format json")).code(0).json();
    let answered =
        json!({"answered": [{"table": "customers", "record": deleted, "field": null, "decision": "withdraw"}]});
    assert_eq!(withdrawn, answered);
    let waits = items(waiting.inbox("list --kind deleted --format json"));
    assert_eq!(waits[0]["decision"], Value::Null);
    waiting.inbox(&format!("delete {deleted} --yes")).code(0);
    let status = world.run(&format!("status {FULL} --format json")).code(0).json();
    let customers =
        status["tables"].as_array().unwrap().iter().find(|table| table["table"] == "customers").unwrap().clone();
    assert_eq!((&customers["decided"], status["decisions"].as_array().unwrap().len()), (&json!(3), 3), "{status:#}");
    let listed = waiting.inbox(&format!("list --record {contested}")).code(0);
    assert!(listed.stdout.contains("decided, for the next run: 2"), "{listed:#?}");
    assert!(listed.stdout.starts_with("nothing waits for a person\n"), "{listed:#?}");

    world.turnstile.reset();
    world.run(&format!("run {FULL} {TABLES}"));
    let pair = |text: &str| (text.to_owned(), text.to_owned());
    assert_eq!(waiting.held(), [pair("+47 2"), pair("gate")]);
    let left = items(waiting.inbox("--format json"));
    assert!(left.iter().all(|item| item["record"] != json!(contested) && item["kind"] != "deleted"), "{left:#?}");
    let history = world.run(&format!("history {FULL} last --format json")).code(0).json();
    let why = |write: &Value| write["why"].as_str().unwrap().to_owned();
    let whys: Vec<String> = history["writes"].as_array().unwrap().iter().map(why).collect();
    assert!(!whys.is_empty() && whys.iter().all(|why| why.contains("decided by a person on ")), "{whys:#?}");
    world.turnstile.reset();
    world.run(&format!("run {FULL} {TABLES}"));
    assert_eq!(world.turnstile.seen().1, 0, "a second run is quiet");
}

#[test]
fn what_is_uncoupled_is_listed_as_kept_apart() {
    let waiting = Waiting::new();
    let Waiting { contested, world, pair, .. } = &waiting;
    waiting
        .inbox(&format!("uncouple {contested}"))
        .code(0)
        .prints("uncoupled; the two are kept apart from now on", world);
    let apart = waiting.inbox("apart --format json").code(0).json();
    let ids: Vec<&Value> = apart["apart"].as_array().unwrap().iter().map(|record| &record["id"]).collect();
    assert_eq!(ids, [&json!(pair.0.to_string()), &json!(pair.1.to_string())], "{apart:#}");
    assert_eq!(apart["apart"][0]["record"], json!(contested));
    waiting.inbox("apart").code(0).prints(contested, world);
    let history = world.run(&format!("history {FULL} --record {contested} --format json")).code(0).json();
    let last = &history["writes"][0];
    assert_eq!((&last["action"], &last["why"]), (&json!("uncouple"), &json!("by hand")), "{history:#}");
    let held = waiting.held();
    world.run(&format!("run {FULL} {TABLES}"));
    assert_eq!(waiting.held(), held);
    let status = world.run(&format!("status {FULL} --format json")).code(0).json();
    let customers =
        status["tables"].as_array().unwrap().iter().find(|table| table["table"] == "customers").unwrap().clone();
    assert_eq!(customers["kept_apart"], 2);
}

/// Returns an exported file with decisions filled in, as a spreadsheet would save it: `decide` is told record and field.
pub fn filled<'a>(csv: &str, decide: &dyn Fn(&str, &str) -> &'a str) -> String {
    let mut reader = csv::Reader::from_reader(csv.trim_start_matches('\u{feff}').as_bytes());
    let heading = reader.headers().unwrap().clone();
    let at = |name: &str| heading.iter().position(|known| known == name).unwrap();
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&heading).unwrap();
    for row in reader.records() {
        let mut cells: Vec<String> = row.unwrap().iter().map(str::to_owned).collect();
        cells[at("decision")] = decide(&cells[at("record")], &cells[at("field")]).to_owned();
        writer.write_record(&cells).unwrap();
    }
    String::from_utf8(writer.into_inner().unwrap()).unwrap()
}

#[test]
fn answers_come_back_from_a_spreadsheet() {
    let waiting = Waiting::new();
    let Waiting { contested, deleted, world, .. } = &waiting;
    waiting.inbox("export inbox.csv").code(0).prints("written to inbox.csv", world);
    let csv = std::fs::read_to_string(world.folder.path().join("inbox.csv")).unwrap();
    assert_eq!(waiting.inbox("export").code(0).stdout, csv);
    // Whatever has the name already, decisions filled in or not, stays as it is.
    let refused = waiting.inbox("export inbox.csv").code(2);
    assert!(refused.stderr.contains("inbox.csv is there already, and stays as it is"), "{refused:#?}");
    let document = waiting.inbox("export --format json").code(0).json();
    assert_eq!(document["items"].as_array().unwrap().len(), csv.lines().count() - 1, "{document:#}");
    // What a spreadsheet would compute is guarded.
    assert!(csv.contains(",'=1+1,floor 2,") && csv.contains(",'+47 1,'+47 2,"), "{csv}");
    assert!(csv.ends_with("\r\n"), "{csv}");
    world.file("none.csv", &csv);
    waiting.inbox("import none.csv").code(0).prints("nothing was decided", world);

    let all = filled(&csv, &|record, field| match field {
        "phoneNumber" if record == contested => "erp",
        "addressLine2" if record == contested => "value=gate",
        "" if record == deleted => "delete",
        _ => "",
    });
    world.file("all.csv", &all);
    let failure = waiting.inbox("import all.csv").code(2);
    assert!(failure.stderr.contains("whether to let the next run delete"), "{failure:#?}");
    assert_eq!(world.store().decisions(None).unwrap(), [], "nothing is done where one of them has to be asked");

    // All that is wrong is told at once, and nothing is done.
    let wrong = filled(&csv, &|record, field| match field {
        "phoneNumber" if record == contested => "mine",
        "addressLine2" if record == contested => "restore",
        "" if record == deleted => "uncouple",
        _ => "",
    });
    world.file(
        "wrong.csv",
        &wrong.replace(&format!("customers,{deleted},deleted"), &format!("customers,{deleted},failed")),
    );
    world.file("other.csv", "table,record\ncustomers,1\n");
    let mut told = Transcript::new(world);
    told.ask(&format!("inbox {FULL} import wrong.csv"), &[], 2);
    told.ask(&format!("inbox {FULL} import other.csv"), &[], 2);
    assert_snapshot!("sheets", told.text);
    assert_eq!(world.store().decisions(None).unwrap(), []);

    // Somebody is faster: those lines are stale, and nothing is done.
    world
        .erp
        .with(|side| side.edit("customers", waiting.pair.0, json!({"phoneNumber": "+47 3"}).as_object().unwrap()))
        .unwrap();
    world.run(&format!("run {FULL} {TABLES}")).code(1);
    let failure = waiting.inbox("import all.csv --yes").code(2);
    let told = format!("phoneNumber of {contested} has changed since: it is contested, ERP `+47 3`, CRM `+47 2`");
    assert!(failure.stderr.contains(&told), "{failure:#?}");
    assert_eq!(world.store().decisions(None).unwrap(), []);

    world.file(
        "all.csv",
        &filled(&waiting.inbox("export").code(0).stdout, &|record, field| match field {
            "phoneNumber" if record == contested => "erp",
            "addressLine2" if record == contested => "value=gate",
            "" if record == deleted => "delete",
            _ => "",
        }),
    );
    let answered = waiting.inbox("import all.csv --yes --format json").code(0).json();
    assert_eq!(answered["answered"].as_array().unwrap().len(), 3, "{answered:#}");
    // What is decided does not wait any more, so it is not asked a second time.
    let rest = waiting.inbox("export").code(0).stdout;
    assert!(!rest.contains(deleted.as_str()) && !rest.contains("phoneNumber"), "{rest}");
    world.file("rest.csv", &rest);
    waiting.inbox("import rest.csv").code(0).prints("nothing was decided", world);
    world.run(&format!("run {FULL} {TABLES}"));
    assert_eq!(waiting.held(), [("+47 3".into(), "+47 3".into()), ("gate".into(), "gate".into())]);
}

/// The page about the inbox shows what the program says: `DOCUMENTS=write` prints it.
#[test]
fn the_page_about_the_inbox_shows_what_the_program_says() {
    let waiting = Waiting::new();
    let Waiting { contested, deleted, world, .. } = &waiting;
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/inbox.md")).unwrap();
    let told = Transcript::new(world);
    let mut blocks = Vec::new();
    for words in [
        "list --kind contested --kind deleted".to_owned(),
        format!("resolve {contested} --field phoneNumber --take crm"),
        format!("resolve {contested} --field addressLine2 --take 'value=Gate 4'"),
        format!("restore {deleted}"),
        "list --kind contested --kind deleted".to_owned(),
        format!("withdraw {contested} --field addressLine2"),
        format!("uncouple {contested}"),
        "apart".to_owned(),
    ] {
        let mut command = world.command(&format!("inbox {FULL}"));
        let value = words.split_once('\'');
        command.args(value.map_or(&*words, |(before, _)| before).split_whitespace());
        command.args(value.map(|(_, value)| value.trim_end_matches('\'')));
        let answer = Answer::of(command.output().unwrap()).code(0);
        blocks.push(format!("$ pipeline inbox full.yaml {words}\n{}", told.scrub(&answer.stdout)));
    }
    if std::env::var("DOCUMENTS").is_ok_and(|value| value == "write") {
        panic!("{}", blocks.join("\n"));
    }
    for block in blocks {
        assert!(page.contains(&block), "docs/inbox.md does not show\n{block}");
    }
}

#[test]
fn a_contested_field_says_when_both_records_were_modified_and_by_whom_in_the_crm() {
    let waiting = Waiting::new();
    let Waiting { contested, pair, world, .. } = &waiting;
    let filed = waiting.inbox("list --kind contested --field phoneNumber --format json").code(0).json();
    let item = &filed["items"][0];
    let accounts = world.crm.with(|side| side.records("accounts"));
    let account = accounts.iter().find(|account| account["accountid"] == pair.1.to_string()).unwrap();
    let users = world.crm.with(|side| side.records("systemusers"));
    let editor = users.iter().find(|user| user["systemuserid"] == account["_modifiedby_value"]).unwrap();
    let customers = world.erp.with(|side| side.records("customers"));
    let customer = customers.iter().find(|customer| customer["id"] == pair.0.to_string()).unwrap();
    assert_eq!(
        [&item["erp_modified"], &item["crm_modified"], &item["crm_modified_by"]],
        [&customer["lastModifiedDateTime"], &account["modifiedon"], &editor["fullname"]]
    );
    let line = format!(
        "  {contested}: ERP {}, CRM {} by {}\n",
        customer["lastModifiedDateTime"].as_str().unwrap(),
        account["modifiedon"].as_str().unwrap(),
        editor["fullname"].as_str().unwrap()
    );
    let text = waiting.inbox("list").code(0).stdout;
    assert_eq!(text.matches(&line).count(), 1, "both fields are of one record: {text}");
    let why = world.run(&format!("why {FULL} {contested}")).code(0).stdout;
    assert!(why.contains(&line), "{why}");
}

#[test]
fn whoever_retries_twice_is_told_the_same_twice() {
    let world = World::start();
    world.run(&format!("run {FULL} {TABLES}")).code(0);
    // A customizer's key, and an account outside the filter that has it already.
    let website = "http://taken.example";
    world.crm.with(|side| {
        side.add_key("account", "Website", &["websiteurl"]);
        let other = json!({"name": "Other", "customertypecode": 10, "websiteurl": website});
        side.insert("accounts", other.as_object().unwrap()).unwrap();
    });
    let erp = world.store().couplings("customers", &[]).unwrap().erp[0];
    let edit = json!({"website": website});
    world.erp.with(|side| side.edit("customers", erp, edit.as_object().unwrap())).unwrap();
    for _ in 0..2 {
        world.run(&format!("run {FULL} {TABLES}")).code(1);
    }
    let skipped = world.store().inbox(Some("customers")).unwrap().remove(0);
    assert_eq!(skipped.kind, InboxKind::Skipped);
    for _ in 0..2 {
        let told = world.run(&format!("inbox {FULL} retry {}", skipped.record)).code(0);
        assert_eq!(told.stdout, format!("{}: the next run sends it again\n", skipped.record));
    }
    let refused = world.run(&format!("inbox {FULL} withdraw {}", skipped.record)).code(2);
    assert!(refused.stderr.contains("a `retry` is not taken back"), "{refused:#?}");
}

#[test]
fn whom_the_inbox_parts_the_journal_knows_by_either_name() {
    let world = World::start();
    world.run(&format!("run {FULL}")).code(0);
    let erp = world.erp.with(|side| side.find("customers", "number", "10010").unwrap());
    let couplings = world.store().couplings("customers", &[]).unwrap();
    let crm = couplings.crm[couplings.erp.iter().position(|id| *id == erp).unwrap()];
    world.crm.with(|side| side.delete("accounts", crm)).unwrap();
    world.run(&format!("run {FULL}")).code(1);
    world.run(&format!("inbox {FULL} uncouple customers:10010")).code(0);
    world.erp.with(|side| side.delete("customers", erp)).unwrap();
    for name in ["customers:10010", "customers:crm:10010"] {
        let told = world.run(&format!("history {FULL} --record {name}")).code(0);
        assert!(
            told.stdout.contains(" uncouple customers:10010, neither record written (by hand): done\n"),
            "{told:#?}"
        );
    }
}

#[test]
fn what_is_listed_is_told_by_every_name_and_without_the_word() {
    let waiting = Waiting::new();
    let Waiting { contested, deleted, world, .. } = &waiting;
    let listed = waiting.inbox(&format!("list --record {deleted}")).code(0).stdout;
    assert!(listed.starts_with("waiting for a person: 1\n"), "{listed}");
    // The one that is gone waits under the name of its partner.
    let gone = deleted.replace("customers:", "customers:crm:");
    for words in [format!("--record {deleted}"), format!("--record {gone}"), format!("list --record {gone}")] {
        assert_eq!(waiting.inbox(&words).code(0).stdout, listed, "{words}");
    }
    let refused = waiting.inbox(&format!("--record {deleted} list")).code(2);
    assert!(refused.stderr.contains("  hint: give them behind `list` or `export`\n"), "{refused:#?}");
    for (name, told) in [("foo", "`foo` names no record"), ("custmers:1", "has no table map `custmers`")] {
        let refused = waiting.inbox(&format!("list --record {name}")).code(2);
        assert!(refused.stderr.contains(told), "{refused:#?}");
    }
    let none = waiting.inbox("list --record customers:99999").code(0);
    assert!(none.stderr.starts_with("the inbox knows nothing of `customers:99999`; "), "{none:#?}");
    // A run over the one that is gone says who is left.
    let refused = world.run(&format!("run {FULL} --only {gone}")).code(2);
    assert!(refused.stderr.contains(&format!("  hint: `{deleted}` is still there, its partner; ")), "{refused:#?}");
    // An answer in place of another one says so.
    waiting.inbox(&format!("resolve {contested} --field phoneNumber --take value=4")).code(0);
    let all = waiting.inbox("resolve --all --field phoneNumber --take crm --format json").code(0).json();
    assert_eq!(all["answered"][0]["replaces"], "take value=4", "{all:#}");
    let once_more = waiting.inbox(&format!("resolve {contested} --field phoneNumber --take erp")).code(0);
    assert!(once_more.stdout.contains("phoneNumber: take erp (in place of take crm of 20"), "{once_more:#?}");
}

#[test]
fn a_cell_that_a_spreadsheet_took_for_a_number_is_told_as_that() {
    let waiting = Waiting::new();
    let body = |value: Value| value.as_object().unwrap().clone();
    waiting
        .world
        .erp
        .with(|side| side.edit("customers", waiting.pair.0, &body(json!({"phoneNumber": "0010"}))))
        .unwrap();
    waiting.world.run(&format!("run {FULL} {TABLES}")).code(1);
    let csv = waiting.inbox("export").code(0).stdout;
    let answers = filled(&csv, &|_, field| if field == "phoneNumber" { "erp" } else { "" });
    assert!(answers.contains(",0010,"), "{answers}");
    waiting.world.file("in.csv", &answers.replace(",0010,", ",10,"));
    let refused = waiting.inbox("import in.csv").code(2);
    assert!(refused.stderr.contains(" is not what was exported: it is contested, ERP `0010`, "), "{refused:#?}");
    assert!(refused.stderr.contains("; the line says ERP `10`, "), "{refused:#?}");
    assert!(refused.stderr.contains("  hint: a spreadsheet made another value of a cell: "), "{refused:#?}");
    waiting.world.file("in.csv", &answers);
    waiting.inbox("import in.csv").code(0);
}

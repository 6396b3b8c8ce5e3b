//! `-v`: every verb that speaks to a side says more on stderr with it, and the same on stdout; no other verb takes it.

use super::{FULL, World};

/// Two table maps that need no others.
const TWO: &str = "--only salespeople --only currencies";

#[test]
fn every_verb_that_speaks_to_a_side_says_more() {
    let world = World::start();
    world.run(&format!("run {FULL} {TWO}")).code(0);
    world.run(&format!("plan {FULL} {TWO} -o night.plan")).code(0);
    let (asked, read) = ("requests: ", "currencies: 1 ERP, 1 CRM rows\n");
    for (line, told) in [
        (format!("check {FULL} --online"), ["customers: asking for its filters and rights\n", asked]),
        (format!("review {FULL} {TWO}"), ["currencies: ", asked]),
        (format!("why {FULL} currencies:EUR"), [read, asked]),
        (format!("history {FULL} --record currencies:EUR"), [asked; 2]),
        (format!("couplings {FULL} --table currencies"), [asked; 2]),
        (format!("couplings {FULL} list --table currencies"), [asked; 2]),
        (format!("uncouple {FULL} currencies:EUR"), [asked; 2]),
        (format!("couple {FULL} currencies:EUR EUR"), [read; 2]),
    ] {
        let quiet = world.run(&line).code(0);
        assert!(!told.iter().any(|told| *told != "currencies: " && quiet.stderr.contains(told)), "{quiet:#?}");
        // What was parted is coupled again, and the other way round.
        match line.split(' ').next() {
            Some("uncouple") => world.run(&format!("couple {FULL} currencies:EUR EUR")).code(0),
            Some("couple") => world.run(&format!("uncouple {FULL} currencies:EUR")).code(0),
            _ => quiet,
        };
        let more = world.run(&format!("{line} -v")).code(0);
        assert!(told.iter().all(|told| more.stderr.contains(told)), "{line}: {more:#?}");
    }
    for line in [format!("run {FULL} {TWO} -vv"), format!("plan {FULL} {TWO} -vv"), "apply night.plan --yes -vv".into()]
    {
        let more = world.run(&line);
        assert!(more.stderr.contains(" rows of the ERP\n"), "{line}: {more:#?}");
    }
}

/// How much was asked is told most of all where it came to nothing.
#[test]
fn a_verb_that_fails_says_it_too() {
    let world = World::start();
    let refused = world.run(&format!("why {FULL} currencies:XYZ -v")).code(1);
    assert!(refused.stderr.contains("requests: "), "{refused:#?}");
    let mut command = world.command(&format!("couplings {FULL} -v"));
    let refused = super::Answer::of(command.env("CRM_CLIENT_SECRET", "wrong").output().unwrap()).code(3);
    assert!(refused.stderr.contains("requests: "), "{refused:#?}");
}

#[test]
fn what_asks_neither_side_does_not_take_it() {
    let world = World::start();
    for (line, why) in [
        (format!("check {FULL} -v"), "--online"),
        (format!("history {FULL} -v"), "--record"),
        (format!("history {FULL} last -v"), "'[RUN]'"),
        (format!("couplings {FULL} --offline -v"), "`--offline` asks neither"),
        (format!("couplings {FULL} list --offline -v"), "`--offline` asks neither"),
        (format!("status {FULL} -v"), "'-v'"),
        (format!("inbox {FULL} -v"), "'-v'"),
        ("show night.plan -v".to_owned(), "'-v'"),
    ] {
        let refused = world.run(&line).code(2);
        assert!(refused.stderr.contains(why), "{line}: {refused:#?}");
    }
}

/// What the machinery below has to say of its own future is nothing that a file could be written otherwise for.
#[test]
fn nobody_else_talks() {
    let world = World::start();
    let full = std::fs::read_to_string(FULL).unwrap();
    let dated = "{ table: currencies, label: code, filter: \"CAST('2026-01-31' AS DATE) IS NOT NULL\" }";
    world.file("dated.yaml", &full.replace("{ table: currencies, label: code }", dated));
    let told = world.run("run dated.yaml --only currencies").code(0).stderr;
    assert!(told.contains("currencies: ") && !told.contains("Deprecation"), "{told}");
}

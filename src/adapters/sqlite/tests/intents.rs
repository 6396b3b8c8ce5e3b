//! Intents, answers, watermarks.

use super::*;

#[test]
fn what_is_agreed_stands_with_the_intent_until_the_answer_and_is_a_base_then() {
    let (_folder, path) = place();
    let mut store = open(&path);
    let ab = fields(&["a=a", "b=b"]);
    let first = settlement(1, &[both(1), both(2)], &[(0, "A"), (1, "B")]);
    store.commit("customers", &ab, &[couple(1, 1)], &[first]).unwrap();
    let value = |text: &str| PerSide { erp: text.to_owned(), crm: text.to_owned() };
    let agreed = |field: &str, print: u64, text: &str| Agreed {
        field: field.to_owned(),
        base: PerSide { erp: print, crm: u64::MAX },
        values: value(text),
        terms: Terms::AGREED,
    };
    let answered = Agreed { terms: Terms::ANSWERED, ..agreed("c=c", 5, "C") };
    let update = Intent { agreed: vec![agreed("b=b", 3, "\"B\" 2")], ..intent(1) };
    let insert = Intent { agreed: vec![agreed("a=a", 4, ""), answered], ..intent(2) };
    let numbers = store.intend("run 1", &[update.clone(), insert.clone(), intent(3)]).unwrap();
    let open: Vec<Intent> = store.open_intents("customers").unwrap().into_iter().map(|open| open.intent).collect();
    assert_eq!(open, [update.clone(), insert.clone(), intent(3)]);

    let answers: Vec<Answer> = numbers.iter().map(|number| answer(*number)).collect();
    let agreement = |intent: &Intent| Agreement { ids: intent.ids(), fields: intent.agreed.clone() };
    let agreements = [agreement(&update), agreement(&insert), agreement(&intent(3))];
    store.answer(&answers, "customers", &[couple(2, 2)], &agreements).unwrap();
    let abc = fields(&["a=a", "b=b", "c=c"]);
    let print = |print: u64| Some(PerSide { erp: print, crm: u64::MAX });
    let expected = [vec![both(1), print(4)], vec![print(3), None], vec![None, print(5)]];
    let couplings = store.couplings("customers", &abc).unwrap();
    assert_eq!(couplings.bases, expected);
    assert_eq!(couplings.terms.differing, std::collections::HashMap::from([(e(2), vec![(2, Terms::ANSWERED)])]));
    assert_eq!(store.base_values("customers", e(1), c(1)).unwrap()["b=b"], value("\"B\" 2"));
    assert_eq!(store.base_values("customers", e(2), c(2)).unwrap()["c=c"], value("C"));
    let writes = store.writes_of_run("run 1").unwrap();
    assert!(writes.iter().all(|write| write.intent.agreed.is_empty()), "it is kept once: {writes:?}");
}

#[test]
fn the_journal_forgets_old_answers_but_no_open_intent() {
    let (_folder, path) = place();
    let mut store = open(&path);
    let runs_kept = usize::try_from(journal::RUNS_KEPT).unwrap();
    let journal = |store: &SqliteStore<'_>| -> Vec<i64> {
        let mut statement = store.connection.prepare("SELECT id FROM journal ORDER BY id").unwrap();
        statement.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    // Each run writes twice; the first one leaves its second write open.
    for run in 1..=runs_kept + 3 {
        let name = format!("run {run}");
        store.begin_run(&name, NOW).unwrap();
        let numbers = store.intend(&name, &[intent(1), intent(2)]).unwrap();
        store.answer(&[answer(numbers[0])], "customers", &[], &[]).unwrap();
        if run > 1 {
            store.answer(&[answer(numbers[1])], "customers", &[], &[]).unwrap();
        }
        let row = RunRow {
            run: name,
            started: NOW.to_owned(),
            finished: Some(NOW.to_owned()),
            outcome: "converged".to_owned(),
            report: "{\"tables\":[]}".to_owned(),
        };
        store.finish_run(&row).unwrap();
    }
    let last = i64::try_from(2 * (runs_kept + 3)).unwrap();
    assert_eq!(journal(&store), std::iter::once(2).chain(7..=last).collect::<Vec<i64>>());
    assert_eq!(store.open_intents("customers").unwrap().len(), 1);
    let runs = store.runs(usize::MAX).unwrap();
    assert_eq!((runs.len(), runs[0].run.as_str()), (runs_kept, "run 103"));
    assert_eq!(runs[0].outcome, "converged");
    assert_eq!(store.runs(2).unwrap().len(), 2);
    // However much people do by hand, the nights stay.
    for number in 1..=runs_kept + 3 {
        let run = format!("hand {number}");
        let report = "{}".to_owned();
        store.finish_run(&RunRow { run, started: NOW.to_owned(), report, ..RunRow::default() }).unwrap();
    }
    let runs = store.runs(usize::MAX).unwrap();
    assert_eq!((runs.len(), runs[0].run.as_str()), (2 * runs_kept, "hand 103"));
    assert_eq!(runs.iter().filter(|run| run.run.starts_with("run ")).count(), runs_kept);
    assert_eq!(journal(&store).len(), 2 * runs_kept + 1);
}

#[test]
fn watermarks_come_back_and_move_together() {
    let (_folder, path) = place();
    let mut store = open(&path);
    assert_eq!(store.watermarks().unwrap(), BTreeMap::new());
    let time = |text: &str| Some(text.parse().unwrap());
    let mark = Watermark {
        fingerprint: "f".into(),
        read_to: PerSide { erp: time("2026-01-31T02:00:00.123Z"), crm: None },
        token: PerSide { erp: None, crm: Some("/api?$deltatoken=1%212".into()) },
        seen: PerSide { erp: vec![(e(1), 7), (e(2), u64::MAX)], crm: vec![] },
    };
    let later = Watermark { read_to: PerSide { erp: None, crm: time("1969-12-31T23:59:59Z") }, ..mark.clone() };
    store.set_watermarks(&[("customers".into(), mark.clone()), ("items".into(), Watermark::default())]).unwrap();
    store.set_watermarks(&[("items".into(), later.clone())]).unwrap();
    drop(store);
    let expected = BTreeMap::from([("customers".to_owned(), mark), ("items".to_owned(), later)]);
    assert_eq!(SqliteStore::read_only(&path).unwrap().watermarks().unwrap(), expected);
    let mut store = open(&path);
    Connection::open(&path).unwrap().execute("UPDATE watermark SET erp_seen = x'00'", ()).unwrap();
    assert!(matches!(store.watermarks(), Err(StoreError::Damaged { .. })));
    assert!(store.set_watermarks(&[]).is_ok());
}

#[test]
fn the_journal_is_asked_by_run_and_by_record() {
    let (_folder, path) = place();
    let mut store = open(&path);
    store.intend("run 1", &[intent(1), intent(2)]).unwrap();
    let to_partner = Intent { side: Side::Erp, id: e(1), partner: c(1), ..intent(1) };
    let numbers = store.intend("run 2", &[intent(1), to_partner]).unwrap();
    store.answer(&[answer(numbers[0])], "customers", &[], &[]).unwrap();
    let told = |rows: Vec<JournalRow>| -> Vec<String> {
        let row =
            |row: JournalRow| format!("{} {} {} {:?}", row.run, row.intent.side.key(), row.intent.id, row.outcome);
        rows.into_iter().map(row).collect()
    };
    let (crm, erp) = (c(1), e(1));
    let second = format!("run 2 crm {crm} Some(\"written\")");
    assert_eq!(told(store.writes_of_run("run 2").unwrap()), [second.clone(), format!("run 2 erp {erp} None")]);
    let both = PerSide { erp: Some(erp), crm: Some(crm) };
    let newest = [format!("run 2 erp {erp} None"), second, format!("run 1 crm {crm} None")];
    assert_eq!(told(store.writes_to("customers", both, 9).unwrap()), newest);
    assert_eq!(told(store.writes_to("customers", both, 1).unwrap()), newest[..1]);
    assert_eq!(told(store.writes_to("customers", PerSide { erp: Some(e(7)), crm: None }, 9).unwrap()), [""; 0]);
    assert_eq!(told(store.writes_to("items", both, 9).unwrap()), [""; 0]);
    assert_eq!(store.writes_since("customers", NOW).unwrap().len(), 4);
    assert_eq!(store.writes_since("customers", "2999-01-31T02:00:00Z").unwrap(), []);
    assert_eq!(store.writes_since("items", NOW).unwrap(), []);
}

//! What waits for people, what they decided, and what a side refused.

use super::*;

#[test]
fn what_waits_keeps_its_since_and_counts_runs() {
    let (_folder, path) = place();
    let time = std::cell::Cell::new(1);
    let now = || format!("2026-03-0{}T02:00:00Z", time.get());
    let mut store = SqliteStore::open(&path, "host pid 1", &now, true).unwrap();
    let mut nameless = item(InboxKind::Ambiguous, 7, None);
    nameless.erp_id = None;
    let phone = item(InboxKind::Contested, 1, Some("phone"));
    let failed = item(InboxKind::Failed, 1, None);
    let rounds: [(&str, Vec<InboxItem>); 4] = [
        ("run 1", vec![phone.clone(), failed.clone(), nameless.clone()]),
        ("run 1", vec![phone.clone(), failed.clone(), nameless.clone()]),
        ("run 2", vec![phone.clone(), nameless.clone(), item(InboxKind::Contested, 1, Some("name"))]),
        ("run 3", vec![failed.clone(), InboxItem { message: "another".to_owned(), ..phone.clone() }, nameless.clone()]),
    ];
    let mut seen = String::new();
    for (round, (run, items)) in rounds.into_iter().enumerate() {
        time.set(round + 1);
        store.begin_run(run, NOW).unwrap();
        store.replace_inbox("customers", &items).unwrap();
        seen += &format!("{run}\n");
        for item in store.inbox(Some("customers")).unwrap() {
            let field = item.field.as_deref().unwrap_or("-");
            seen += &format!("  {} {field}: {} since {}\n", item.kind.key(), item.attempts, &item.since[..10]);
        }
    }
    insta::assert_snapshot!(seen, @r"
    run 1
      contested phone: 1 since 2026-03-01
      failed -: 1 since 2026-03-01
      ambiguous -: 1 since 2026-03-01
    run 1
      contested phone: 1 since 2026-03-01
      failed -: 1 since 2026-03-01
      ambiguous -: 1 since 2026-03-01
    run 2
      contested phone: 2 since 2026-03-01
      ambiguous -: 2 since 2026-03-01
      contested name: 1 since 2026-03-03
    run 3
      failed -: 1 since 2026-03-04
      contested phone: 3 since 2026-03-01
      ambiguous -: 3 since 2026-03-01
    ");

    store.replace_inbox("items", &[InboxItem { table: "items".to_owned(), ..phone.clone() }]).unwrap();
    let all = store.inbox(None).unwrap();
    let tables: Vec<&str> = all.iter().map(|item| item.table.as_str()).collect();
    assert_eq!(tables, ["customers", "customers", "customers", "items"]);
    assert_eq!(all[3], InboxItem { table: "items".to_owned(), since: now(), attempts: 1, ..phone });
    store.replace_inbox("customers", &[]).unwrap();
    assert_eq!(store.inbox(Some("customers")).unwrap(), []);
    assert_eq!(store.inbox(Some("contacts")).unwrap(), []);
    assert_eq!(store.inbox(None).unwrap().len(), 1, "another table map's stays");
}

#[test]
fn what_older_messages_say_of_a_decision_is_made_of_the_decision() {
    let (_folder, path) = place();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    schema::migrate(&connection, 0, 9).unwrap();
    connection.execute_batch("INSERT INTO table_map VALUES (1, 'customers')").unwrap();
    let base = "1 was deleted in the CRM";
    let stays = format!("{base} and edited in the ERP since; it stays there until somebody decides");
    let twin = format!("{base}, and a record without partner there matches it");
    let cases = [
        (
            1,
            "contested",
            Some("phone"),
            "both changed it; decided on 2026-01-31 for other values (ERP `a`)".to_owned(),
            "both changed it".to_owned(),
        ),
        (2, "deleted", None, format!("{stays} again; decided on 2026-01-31: delete"), stays.clone()),
        (
            3,
            "deleted",
            None,
            format!("{twin}; decided on 2026-01-31: delete, which waits until"),
            format!("{twin}; nothing is done until somebody decides"),
        ),
        (4, "failed", None, "refused; decided on high".to_owned(), "refused; decided on high".to_owned()),
    ];
    for (number, kind, field, message, _) in &cases {
        let (erp, crm) = (e(*number).into_bytes(), c(*number).into_bytes());
        let row = (erp, crm, kind, field, message);
        let insert = "INSERT INTO inbox (table_map, record, kind, erp_id, crm_id, field, message, since, attempts) \
                      VALUES (1, '1', ?3, ?1, ?2, ?4, ?5, '', 1)";
        connection.execute(insert, row).unwrap();
        let insert = "INSERT INTO decision (table_map, record, erp_id, crm_id, field, decided, erp, crm, at) \
                      VALUES (1, '1', ?1, ?2, ?3, 'take erp', 'a', 'b', '2026-01-31T02:00:00Z')";
        connection.execute(insert, (erp, crm, field.map(|field| format!("{field}=telephone1")))).unwrap();
    }
    drop(connection);
    let read = |store: &SqliteStore<'_>| {
        let inbox = store.inbox(None).unwrap();
        for (item, (number, kind, _, _, expected)) in inbox.iter().zip(&cases) {
            assert_eq!(item.message, *expected, "{number}");
            let on = item.outstanding.as_ref().map(|outstanding| outstanding.on.as_str());
            assert_eq!(on, (*kind != "failed").then_some("2026-01-31"), "{number}");
        }
        assert_eq!(inbox.len(), cases.len());
    };
    read(&SqliteStore::read_only(&path).unwrap());
    read(&open(&path));
}

#[test]
fn refusals_are_kept_until_they_are_replaced_or_forgotten() {
    let (_folder, path) = place();
    let mut store = open(&path);
    let refusal = |number: u128, crm: bool| Refusal {
        side: if crm { Side::Erp } else { Side::Crm },
        erp: Some(e(number)),
        crm: crm.then(|| c(number)),
        message: "locked".to_owned(),
        print: u64::MAX - u64::try_from(number).unwrap(),
        times: 2,
    };
    store.replace_refusals("customers", &[refusal(1, true), refusal(2, false)]).unwrap();
    store.replace_refusals("items", &[refusal(3, true)]).unwrap();
    store.replace_refusals("customers", &[refusal(2, false), refusal(4, true)]).unwrap();
    drop(store);
    let mut store = open(&path);
    assert_eq!(store.refusals("customers").unwrap(), [refusal(2, false), refusal(4, true)]);
    assert!(!store.retry("customers", Some(e(2)), Some(c(2))).unwrap(), "a pair is another matter than its record");
    assert!(store.retry("customers", Some(e(2)), None).unwrap());
    assert!(!store.retry("customers", Some(e(2)), None).unwrap());
    assert_eq!(store.refusals("customers").unwrap(), [refusal(4, true)]);
    assert_eq!(store.refusals("items").unwrap(), [refusal(3, true)]);
}

#[test]
fn what_a_person_decided_stands_until_it_is_carried_out() {
    let (_folder, path) = place();
    let decision = |number: u128, field: Option<&str>, verdict: Decided| Decision {
        table: "customers".to_owned(),
        record: format!("customers:{number}"),
        ids: PerSide { erp: e(number), crm: c(number) },
        field: field.map(str::to_owned),
        verdict,
        values: PerSide { erp: "is here".to_owned(), crm: "is there".to_owned() },
        seen: None,
        at: String::new(),
        unmet: None,
        ended: None,
    };
    {
        let mut store = open(&path);
        store.commit("customers", &[], &[couple(1, 1), couple(2, 2)], &[]).unwrap();
        let survivor = |print| Survivor { ids: PerSide { erp: e(2), crm: c(2) }, left: Side::Crm, print };
        store.replace_survivors("customers", &[survivor(None), survivor(Some(u64::MAX))]).unwrap();
        assert_eq!(store.survivors("customers").unwrap(), [survivor(Some(u64::MAX))]);
        let first = decision(1, Some("phone=phone"), Decided::Take(Side::Erp));
        let replies = [
            Reply::Decide(first.clone()),
            Reply::Decide(decision(1, Some("name=name"), Decided::Value(" = \"é\" ".to_owned()))),
            Reply::Decide(decision(2, None, Decided::Restore)),
            // About the same as before: only this one counts.
            Reply::Decide(Decision { verdict: Decided::Take(Side::Crm), ..first }),
            Reply::Decide(decision(2, None, Decided::Delete)),
        ];
        store.reply(&replies).unwrap();
    }
    let mut store = open(&path);
    let standing = |store: &SqliteStore<'_>| {
        let all = store.decisions(Some("customers")).unwrap();
        all.into_iter().filter(|decision| decision.ended.is_none()).collect::<Vec<_>>()
    };
    let dated = |decision: Decision| Decision { at: NOW.to_owned(), ..decision };
    let name = dated(decision(1, Some("name=name"), Decided::Value(" = \"é\" ".to_owned())));
    let phone = dated(decision(1, Some("phone=phone"), Decided::Take(Side::Crm)));
    let delete = Decision { seen: Some(u64::MAX), ..dated(decision(2, None, Decided::Delete)) };
    assert_eq!(standing(&store), [name.clone(), phone.clone(), delete.clone()]);
    // What a run could not carry out is due no more until it is decided once more.
    store.note_unmet("customers", &[(delete.ids, None), (phone.ids, phone.field.clone())]).unwrap();
    let unmet = |decision: &Decision| Decision { unmet: Some(NOW.to_owned()), ..decision.clone() };
    assert_eq!(standing(&store), [name.clone(), unmet(&phone), unmet(&delete)]);
    assert!(phone.is_due() && !unmet(&delete).is_due());
    store.reply(&[Reply::Decide(decision(1, Some("phone=phone"), Decided::Take(Side::Crm)))]).unwrap();
    store.reply(&[Reply::Decide(decision(2, None, Decided::Delete))]).unwrap();
    assert_eq!(standing(&store), [name.clone(), phone.clone(), delete.clone()]);
    assert!(store.decisions(Some("items")).unwrap().is_empty());

    store.end_decisions("customers", &[(name.ids, name.field.clone())]).unwrap();
    assert_eq!(standing(&store), [phone.clone(), delete]);
    assert_eq!(store.decisions(None).unwrap()[0], Decision { ended: Some(NOW.to_owned()), ..name });
    // A pair that is none any more has nothing to decide.
    store.commit("customers", &[], &[CouplingChange::Uncouple { erp: e(2), crm: c(2) }], &[]).unwrap();
    store.end_decisions("customers", &[]).unwrap();
    assert_eq!(standing(&store), [phone]);
}

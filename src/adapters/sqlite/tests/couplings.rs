//! Couplings, bases, values and terms.

use super::*;

#[test]
fn couplings_come_back_in_the_order_in_which_they_were_made() {
    let (_folder, path) = place();
    let ab = fields(&["a=a", "b=b"]);
    {
        let mut store = open(&path);
        store.commit("items", &ab, &[couple(9, 9)], &[]).unwrap();
        store.commit("customers", &ab, &[couple(3, 3), couple(1, 1)], &[]).unwrap();
        store.commit("items", &ab, &[couple(8, 8)], &[settlement(9, &[both(7), None], &[])]).unwrap();
        let created = CouplingChange::Couple { erp: e(2), crm: c(2), origin: Origin::Created(Side::Erp) };
        let split = Some(PerSide { erp: 5, crm: 6 });
        store.commit("customers", &ab, &[created], &[settlement(2, &[None, split], &[])]).unwrap();
    }
    let store = SqliteStore::read_only(&path).unwrap();
    let customers = store.couplings("customers", &fields(&["b=b", "new=new", "a=a"])).unwrap();
    assert_eq!(customers.erp, [e(3), e(1), e(2)]);
    assert_eq!(customers.crm, [c(3), c(1), c(2)]);
    let split = Some(PerSide { erp: 5, crm: 6 });
    assert_eq!(customers.bases, [vec![None, None, split], vec![None; 3], vec![None; 3]]);
    let items = store.couplings("items", &ab).unwrap();
    assert_eq!((items.erp, items.bases), (vec![e(9), e(8)], vec![vec![both(7), None], vec![None; 2]]));
    let coupling = |side, id| store.coupling_of("customers", side, id).unwrap();
    let expected = Coupling {
        ids: PerSide { erp: e(2), crm: c(2) },
        origin: Origin::Created(Side::Erp),
        coupled_at: NOW.to_owned(),
        settled_at: Some(NOW.to_owned()),
    };
    assert_eq!(coupling(Side::Crm, c(2)), Some(expected.clone()));
    assert_eq!(coupling(Side::Erp, e(2)), Some(expected));
    assert_eq!(coupling(Side::Erp, e(3)).map(|coupling| coupling.settled_at), Some(None));
    assert_eq!(coupling(Side::Erp, c(2)), None);
    assert_eq!(store.coupling_of("contacts", Side::Erp, e(2)).unwrap(), None);
    assert_eq!(store.couplings("contacts", &ab).unwrap().bases, [vec![], vec![]]);
    let counts = BTreeMap::from([("customers".to_owned(), 3), ("items".to_owned(), 2)]);
    assert_eq!(store.coupling_counts().unwrap(), counts);
}

#[test]
fn what_is_kept_apart_stays_so_until_it_is_coupled() {
    let (_folder, path) = place();
    let mut store = open(&path);
    let apart = |number| CouplingChange::KeepApart { erp: e(number), crm: c(number), record: number.to_string() };
    store.commit("customers", &[], &[couple(1, 1), couple(2, 2)], &[]).unwrap();
    store.commit("customers", &[], &[apart(1), apart(2), apart(1)], &[]).unwrap();
    assert_eq!(store.coupling_counts().unwrap(), BTreeMap::new());
    let both = |numbers: &[u128]| PerSide {
        erp: numbers.iter().map(|number| e(*number)).collect::<HashSet<_>>(),
        crm: numbers.iter().map(|number| c(*number)).collect::<HashSet<_>>(),
    };
    assert_eq!(store.kept_apart("customers").unwrap(), both(&[1, 2]));
    assert_eq!(store.kept_apart("items").unwrap(), both(&[]));
    let since = |table: &str, side, id| store.kept_apart_since(table, side, id).unwrap();
    assert_eq!(since("customers", Side::Crm, c(2)), Some(NOW.to_owned()));
    assert_eq!(since("customers", Side::Erp, c(2)), None);
    assert_eq!(since("items", Side::Crm, c(2)), None);
    store.commit("customers", &[], &[couple(1, 2)], &[]).unwrap();
    let left = store.kept_apart("customers").unwrap();
    assert_eq!(left, PerSide { erp: HashSet::from([e(2)]), crm: HashSet::from([c(1)]) });
}

#[test]
fn settling_some_fields_leaves_the_others() {
    let (_folder, path) = place();
    let mut store = open(&path);
    let all = fields(&["a=a", "b=b", "c=c"]);
    let first = settlement(1, &[both(1), both(2), both(3)], &[(0, "A"), (1, "B"), (2, "C")]);
    store.commit("customers", &all, &[couple(1, 1)], &[first]).unwrap();
    let values = |store: &SqliteStore<'_>| {
        let values = store.base_values("customers", e(1), c(1)).unwrap();
        values.into_iter().map(|(key, value)| format!("{key} {}", value.erp)).collect::<Vec<_>>()
    };
    assert_eq!(values(&store), ["a=a A", "b=b B", "c=c C"]);

    // A new field, one without a new base, and one whose base moves without its value; `b` is not mentioned.
    let some = fields(&["d=d", "c=c", "a=a"]);
    let second = settlement(1, &[both(4), None, both(9)], &[(0, "D")]);
    store.commit("customers", &some, &[], &[second]).unwrap();
    let bases = store.couplings("customers", &fields(&["a=a", "b=b", "c=c", "d=d"])).unwrap().bases;
    assert_eq!(bases, [vec![both(9)], vec![both(2)], vec![both(3)], vec![both(4)]]);
    assert_eq!(values(&store), ["b=b B", "c=c C", "d=d D"]);
}

#[test]
fn values_are_left_out_where_they_are_not_kept() {
    let (_folder, path) = place();
    let a = fields(&["a=a"]);
    open(&path).commit("customers", &a, &[couple(1, 1)], &[settlement(1, &[both(1)], &[(0, "A")])]).unwrap();
    let mut store = SqliteStore::open(&path, "host pid 1", &clock, false).unwrap();
    assert_eq!(store.base_values("customers", e(1), c(1)).unwrap().len(), 1, "it may be another pipeline's state");
    store.begin_run("run 1", NOW).unwrap();
    assert_eq!(store.base_values("customers", e(1), c(1)).unwrap(), BTreeMap::new(), "kept from an earlier run");
    store.commit("customers", &a, &[couple(2, 2)], &[settlement(2, &[both(1)], &[(0, "A")])]).unwrap();
    assert_eq!(store.base_values("customers", e(2), c(2)).unwrap(), BTreeMap::new());
}

#[test]
fn a_record_has_one_coupling_in_a_table_map() {
    let (_folder, path) = place();
    let mut store = open(&path);
    store.commit("customers", &[], &[couple(1, 1), couple(2, 2)], &[]).unwrap();
    store.commit("items", &[], &[couple(1, 2)], &[]).unwrap();
    let message = |error: StoreError| {
        error.to_string().replace(&e(0).to_string()[..35], "e").replace(&c(0).to_string()[..35], "c")
    };
    for (changes, expected) in [
        (
            vec![couple(3, 3), couple(1, 4)],
            "customers: ERP e1 cannot be coupled with CRM c4, as there is already ERP e1 with CRM c1; uncouple first",
        ),
        (
            vec![couple(4, 1)],
            "customers: ERP e4 cannot be coupled with CRM c1, as there is already ERP e1 with CRM c1; uncouple first",
        ),
        (
            vec![couple(1, 2)],
            "customers: ERP e1 cannot be coupled with CRM c2, as there is already ERP e1 with CRM c1 and ERP e2 with \
             CRM c2; uncouple first",
        ),
    ] {
        let error = message(store.commit("customers", &[], &changes, &[]).unwrap_err());
        assert_eq!(error, format!("the state cannot be used: {expected}"));
    }
    assert_eq!(store.coupling_counts().unwrap()["customers"], 2, "a change that fails leaves nothing");
    store.commit("customers", &[], &[couple(1, 1)], &[]).unwrap();
    let uncouple = CouplingChange::Uncouple { erp: e(1), crm: c(1) };
    store.commit("customers", &[], &[uncouple, couple(1, 5)], &[]).unwrap();
    assert_eq!(store.couplings("customers", &[]).unwrap().crm, [c(2), c(5)]);
    let error = store.commit("customers", &[], &[], &[settlement(1, &[], &[])]).unwrap_err();
    assert!(message(error).ends_with("customers: ERP e1 and CRM c1 are not coupled, so they cannot be settled"));
}

#[test]
fn uncoupling_takes_base_and_values_along() {
    let (_folder, path) = place();
    let mut store = open(&path);
    let a = fields(&["a=a"]);
    store.commit("customers", &a, &[couple(1, 1)], &[settlement(1, &[both(1)], &[(0, "A")])]).unwrap();
    store.commit("customers", &a, &[CouplingChange::Uncouple { erp: e(1), crm: c(1) }], &[]).unwrap();
    store.commit("customers", &a, &[couple(1, 1)], &[]).unwrap();
    assert_eq!(store.couplings("customers", &a).unwrap().bases, [[None]]);
    assert_eq!(store.base_values("customers", e(1), c(1)).unwrap(), BTreeMap::new());
}

/// What an older program settled is unsure as a whole until somebody tells, a field that the file lost included.
#[test]
fn terms_come_back_and_an_older_state_has_none() {
    let (_folder, path) = place();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    schema::migrate(&connection, 0, 10).unwrap();
    connection
        .execute_batch(
            "INSERT INTO table_map VALUES (1, 'customers');
             INSERT INTO field VALUES (1, 0, 'lost=lost'), (1, 1, 'a=a'), (1, 2, 'b=b')",
        )
        .unwrap();
    for number in 1..=2_u128 {
        let id = (1 << 40) + i64::try_from(number).unwrap();
        let prints = base::encode(&[0, 1, 2].map(|field| (field, PerSide { erp: 7, crm: 7 })));
        let print = sound::print(id, e(number), c(number), b"rule 1", &prints, &[]);
        let insert = "INSERT INTO coupling (id, table_map, erp, crm, origin, coupled_at, base, print) \
                      VALUES (?1, 1, ?2, ?3, 'rule 1', 0, ?4, ?5)";
        connection.execute(insert, (id, e(number).as_bytes(), c(number).as_bytes(), prints, print)).unwrap();
    }
    drop(connection);
    let mut store = open(&path);
    let ab = fields(&["a=a", "b=b"]);
    let terms = |store: &SqliteStore<'_>, keys: &[String]| store.couplings("customers", keys).unwrap().terms;
    assert_eq!(terms(&store, &ab).unsure, HashSet::from([e(1), e(2)]));
    let told = |number: u128, base: &[Option<PerSide<u64>>], terms: Option<&[(usize, u64)]>| Settlement {
        terms: terms.unwrap_or_default().to_vec(),
        whole: terms.is_some(),
        ..settlement(number, base, &[])
    };
    let mut commit = |settled: Settlement| {
        store.commit("customers", &ab, &[couple(3, 3)], &[settled]).unwrap();
        let all = fields(&["a=a", "b=b", "lost=lost"]);
        (terms(&store, &ab), terms(&store, &all).differing.remove(&e(1)).unwrap_or_default())
    };
    // A write that is answered tells of its own fields only.
    let (known, all) = commit(told(1, &[both(8), None], None));
    assert_eq!((known.unsure.len(), all), (2, Vec::new()));
    let (known, all) = commit(told(1, &[None, None], Some(&[(1, 99)])));
    assert_eq!((known.unsure, &known.differing[&e(1)]), (HashSet::from([e(2)]), &vec![(1, 99)]));
    assert_eq!(all, [(2, Terms::UNSURE), (1, 99)]);
    let (known, all) = commit(told(1, &[both(9), None], None));
    assert_eq!((&known.differing[&e(1)], all.len()), (&vec![(1, 99)], 2));
    let (known, all) = commit(told(1, &[None, both(9)], None));
    assert_eq!((known.differing[&e(1)].len(), all), (0, vec![(2, Terms::UNSURE)]));
    drop(store);
    // It counts among what decides.
    let connection = Connection::open(&path).unwrap();
    connection.execute("UPDATE coupling SET terms = x'' WHERE erp = ?1", (e(1).as_bytes(),)).unwrap();
    drop(connection);
    let broken = refused(&path).to_string();
    assert!(broken.contains("is not what was written"), "{broken}");
}

#[test]
fn a_mark_settles_nothing_and_goes_when_its_field_is_settled() {
    let (_folder, path) = place();
    let mut store = open(&path);
    let ab = fields(&["a=a", "b=b"]);
    store.commit("customers", &ab, &[couple(1, 1), couple(2, 2)], &[settlement(1, &[both(7), both(8)], &[])]).unwrap();
    let mark =
        |number: u128| Settlement { terms: vec![(1, Terms::ORPHANED)], ..settlement(number, &[None, None], &[]) };
    let told = |store: &SqliteStore<'_>, number: u128| {
        let couplings = store.couplings("customers", &ab).unwrap();
        let at = couplings.erp.iter().position(|erp| *erp == e(number)).unwrap();
        let since = store.coupling_of("customers", Side::Erp, e(number)).unwrap().unwrap().settled_at;
        let bases = (couplings.bases[0][at], couplings.bases[1][at]);
        (bases, [0, 1].map(|field| couplings.terms.of(e(number), field)), since.is_some())
    };
    store.commit("customers", &ab, &[], &[mark(1), mark(2)]).unwrap();
    let marked = [Terms::AGREED, Terms::ORPHANED];
    assert_eq!(told(&store, 1), ((both(7), both(8)), marked, true));
    assert!(!told(&store, 2).2, "who marks a pair has not settled it");
    store.commit("customers", &ab, &[], &[settlement(1, &[both(9), None], &[])]).unwrap();
    assert_eq!(told(&store, 1), ((both(9), both(8)), marked, true), "another field was settled");
    store.commit("customers", &ab, &[], &[settlement(1, &[None, both(8)], &[])]).unwrap();
    assert_eq!(told(&store, 1), ((both(9), both(8)), [Terms::AGREED; 2], true));
}

#[test]
fn a_pair_is_found_by_what_it_held() {
    let (_folder, path) = place();
    let mut store = open(&path);
    store.commit("items", &[], &[couple(1, 1)], &[]).unwrap();
    store.commit("customers", &[], &[couple(1, 1), couple(2, 2), couple(3, 3)], &[]).unwrap();
    let settlement = |number: u128, erp: &str, crm: &str| Settlement {
        erp: e(number),
        crm: c(number),
        base: vec![Some(PerSide { erp: 1, crm: 1 }); 2],
        values: vec![
            (0, PerSide { erp: erp.to_owned(), crm: crm.to_owned() }),
            (1, PerSide { erp: "b".to_owned(), crm: "b".to_owned() }),
        ],
        terms: Vec::new(),
        whole: false,
    };
    let fields = ["number=number".to_owned(), "name=name".to_owned()];
    let settled = [settlement(1, " A ", "a"), settlement(2, "b", "A"), settlement(3, "b", "b")];
    store.commit("customers", &fields, &[], &settled).unwrap();
    let found = |field: &str, side: Side, text: &str| {
        store.pairs_with("customers", field, side, text).unwrap().into_iter().map(|ids| ids.erp).collect::<Vec<_>>()
    };
    assert_eq!(found(&fields[0], Side::Erp, "a"), [e(1)]);
    assert_eq!(found(&fields[0], Side::Crm, "A"), [e(1), e(2)]);
    assert_eq!(found(&fields[1], Side::Erp, "b").len(), 3);
    assert!(found(&fields[1], Side::Erp, "a").is_empty() && found("other=other", Side::Erp, "b").is_empty());
    assert!(store.pairs_with("items", &fields[0], Side::Erp, "a").unwrap().is_empty());
}

#[test]
fn a_pair_that_is_parted_waits_for_nothing() {
    let (_folder, path) = place();
    let mut store = open(&path);
    let coupled = |number| InboxItem { crm_id: Some(c(number)), ..item(InboxKind::Contested, number, Some("phone")) };
    store.commit("customers", &[], &[couple(1, 1), couple(2, 2)], &[]).unwrap();
    store.replace_inbox("customers", &[coupled(1), coupled(2)]).unwrap();
    let ids = PerSide { erp: e(1), crm: c(1) };
    let refusal =
        Refusal { erp: Some(e(1)), crm: Some(c(1)), side: Side::Crm, message: String::new(), print: 1, times: 2 };
    store.replace_refusals("customers", &[refusal]).unwrap();
    store.reply(&[Reply::Part { table: "customers".to_owned(), ids, record: "customers:1".to_owned() }]).unwrap();
    assert_eq!(store.couplings("customers", &[]).unwrap().erp, [e(2)]);
    let left = store.inbox(None).unwrap();
    assert_eq!((left.len(), left[0].erp_id, left[0].attempts), (1, Some(e(2)), 1));
    assert!(store.refusals("customers").unwrap().is_empty());
    let apart = |side, id| Apart {
        table: "customers".to_owned(),
        side,
        id,
        record: Some("customers:1".to_owned()),
        since: NOW.to_owned(),
    };
    assert_eq!(store.apart().unwrap(), [apart(Side::Erp, e(1)), apart(Side::Crm, c(1))]);
}

/// A key goes with its coupling, and is kept of coupled records only.
#[test]
fn keys_come_back_as_long_as_their_records_are_coupled() {
    let (_folder, path) = place();
    let mut store = open(&path);
    let key = |key: &str| vec!["CREDIT \"x\"".to_owned(), key.to_owned()];
    assert!(store.record_keys("customers", Side::Erp).unwrap().is_empty());
    let pairs = [couple(1, 1), couple(2, 2), couple(3, 3)];
    store.commit("customers", &[], &pairs, &[]).unwrap();
    store.commit("items", &[], &pairs[..1], &[]).unwrap();
    assert_eq!(store.without_key("customers", Side::Erp).unwrap(), [e(1), e(2), e(3)]);
    store.remember_keys("customers", Side::Erp, &[(e(1), key("1")), (e(3), key("3")), (e(9), key("9"))]).unwrap();
    store.remember_keys("customers", Side::Erp, &[(e(3), key("4"))]).unwrap();
    drop(store);
    let mut store = open(&path);
    assert_eq!(store.record_keys("customers", Side::Erp).unwrap(), HashMap::from([(e(1), key("1")), (e(3), key("4"))]));
    assert_eq!(store.without_key("customers", Side::Erp).unwrap(), [e(2)]);
    assert_eq!(store.without_key("customers", Side::Crm).unwrap().len(), 3);
    assert_eq!(store.without_key("items", Side::Erp).unwrap(), [e(1)]);
    let anew = [CouplingChange::Uncouple { erp: e(3), crm: c(3) }, couple(3, 3)];
    store.commit("customers", &[], &anew, &[]).unwrap();
    assert_eq!(store.record_keys("customers", Side::Erp).unwrap(), HashMap::from([(e(1), key("1"))]));
}

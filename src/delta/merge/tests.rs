//! Tests of whose value goes where: facts and rules in, verdicts out.

use super::*;

const BOTH_WAYS: Rule = Rule {
    first_sync: None,
    on_conflict: OnConflict::Hold,
    on_unresolved: OnUnresolved::Fail,
    when: When::Always,
    blank: Blank::Write,
    drift: Drift::Restore,
    writes: PerSide { erp: true, crm: true },
};

fn facts(base: Option<(u64, u64)>, erp: u64, crm: u64) -> Facts {
    Facts {
        base: base.map(|(erp, crm)| PerSide { erp, crm }),
        // What differs was settled so.
        terms: Terms::ANSWERED,
        own: PerSide { erp, crm },
        arriving: PerSide { erp: Some(Arriving::Value(crm)), crm: Some(Arriving::Value(erp)) },
        created: None,
        cascaded: None,
    }
}

fn to_crm(rule: Rule) -> Rule {
    Rule { writes: PerSide { erp: false, crm: true }, ..rule }
}

#[test]
fn a_side_that_is_to_win() {
    use Side::{Crm, Erp};
    let forced = |to: Side| Some(Verdict::Write(to, Why::Forced(to.other())));
    for (name, base, erp, crm, to, expected) in [
        ("equal", Some((1, 1)), 1, 1, Crm, None),
        ("they differ as they were settled", Some((1, 2)), 1, 2, Crm, None),
        ("it goes there anyway", Some((1, 1)), 3, 1, Crm, None),
        ("the loser was edited", Some((1, 1)), 1, 3, Crm, forced(Crm)),
        ("both were edited", Some((1, 1)), 2, 3, Erp, forced(Erp)),
        ("never settled", None, 2, 3, Crm, forced(Crm)),
        ("a blank wins", None, BLANK, 3, Crm, forced(Crm)),
    ] {
        assert_eq!(merge_forced(&facts(base, erp, crm), &BOTH_WAYS, to), expected, "{name}");
    }
    for (name, terms, expected) in [
        ("nobody knows why they differ", Terms::UNSURE, forced(Crm)),
        ("they are translated otherwise by now", Terms::AGREED, forced(Crm)),
    ] {
        let facts = Facts { terms, ..facts(Some((1, 2)), 1, 2) };
        assert_eq!(merge_forced(&facts, &BOTH_WAYS, Crm), expected, "{name}");
        let facts = Facts { terms: facts.terms_now(&BOTH_WAYS), ..facts };
        assert_eq!(merge_forced(&facts, &BOTH_WAYS, Crm), expected.filter(|_| terms == Terms::UNSURE), "{name}, later");
    }
    assert_eq!(merge_forced(&facts(None, 2, 3), &to_crm(BOTH_WAYS), Erp), None, "it has an owner");
    let keep = Rule { blank: Blank::Keep, ..BOTH_WAYS };
    assert_eq!(merge_forced(&facts(None, BLANK, 3), &keep, Crm), Some(Verdict::Known), "blanks stay");
}

#[test]
fn a_two_way_field() {
    use Side::{Crm, Erp};
    use Verdict::{Equal, Known, Unfilled, Write};
    let erp_first = Rule { first_sync: Some(Policy::Erp), ..BOTH_WAYS };
    let crm_first = Rule { first_sync: Some(Policy::Crm), ..BOTH_WAYS };
    let erp_wins = Rule { on_conflict: OnConflict::Erp, ..BOTH_WAYS };
    let crm_wins = Rule { on_conflict: OnConflict::Crm, ..BOTH_WAYS };
    let keep = Rule { blank: Blank::Keep, ..BOTH_WAYS };
    for (name, base, erp, crm, rule, expected) in [
        ("nothing happened", Some((1, 1)), 1, 1, BOTH_WAYS, Equal),
        ("edited to the same", Some((1, 1)), 2, 2, BOTH_WAYS, Equal),
        ("edited in the ERP", Some((1, 1)), 2, 1, BOTH_WAYS, Write(Crm, Why::Edited(Erp))),
        ("edited in the CRM", Some((1, 1)), 1, 2, BOTH_WAYS, Write(Erp, Why::Edited(Crm))),
        ("cleared in the ERP", Some((1, 1)), 0, 1, BOTH_WAYS, Write(Crm, Why::Edited(Erp))),
        ("cleared, blanks stay", Some((1, 1)), 0, 1, keep, Known),
        ("edited on both sides", Some((1, 1)), 2, 3, BOTH_WAYS, Verdict::Contested(Standoff::Policy)),
        ("edited on both sides, ERP wins", Some((1, 1)), 2, 3, erp_wins, Write(Crm, Why::Conflict(Erp))),
        ("edited on both sides, CRM wins", Some((1, 1)), 2, 3, crm_wins, Write(Erp, Why::Conflict(Crm))),
        ("a known difference", Some((1, 2)), 1, 2, BOTH_WAYS, Known),
        ("a known difference, then an edit", Some((1, 2)), 1, 3, BOTH_WAYS, Write(Erp, Why::Edited(Crm))),
        ("new and equal", None, 1, 1, BOTH_WAYS, Equal),
        ("new and different", None, 1, 2, BOTH_WAYS, Unfilled),
        ("new and different, ERP fills", None, 1, 2, erp_first, Write(Crm, Why::FirstSync(Erp))),
        ("new and different, CRM fills", None, 1, 2, crm_first, Write(Erp, Why::FirstSync(Crm))),
        ("new, a blank never wins", None, 0, 2, erp_first, Write(Erp, Why::FirstValue(Crm))),
        ("new, a blank never wins either way", None, 1, 0, crm_first, Write(Crm, Why::FirstValue(Erp))),
    ] {
        assert_eq!(merge(&facts(base, erp, crm), &rule), expected, "{name}");
    }
}

/// Nobody edited either side, and yet they differ: by what the two were to each other when they were settled.
#[test]
fn a_two_way_field_that_is_translated_otherwise() {
    use Arriving::{Awaited, Broken, Unresolved, Value};
    use Side::{Crm, Erp};
    use Verdict::{Fail, Known, Unfilled, Write};
    let settled = |erp: u64, crm: u64, arriving: [Arriving; 2], rule: &Rule| {
        Facts {
            arriving: PerSide { erp: Some(arriving[0]), crm: Some(arriving[1]) },
            ..facts(Some((erp, crm)), erp, crm)
        }
        .terms_now(rule)
    };
    let erp_first = Rule { first_sync: Some(Policy::Erp), ..BOTH_WAYS };
    let crm_first = Rule { first_sync: Some(Policy::Crm), ..BOTH_WAYS };
    let keep = Rule { blank: Blank::Keep, ..BOTH_WAYS };
    let keep_erp_first = Rule { blank: Blank::Keep, ..erp_first };
    let known = settled(5, 6, [Value(7), Value(8)], &BOTH_WAYS);
    let blank_written = settled(BLANK, 6, [Value(6), Value(BLANK)], &BOTH_WAYS);
    let blank_kept = settled(BLANK, 6, [Value(6), Value(BLANK)], &keep);
    let agreed = Terms::AGREED;
    for (name, terms, (erp, crm), arriving, rule, expected) in [
        ("the ERP fills it", agreed, (5, 6), [Value(7), Value(8)], erp_first, Write(Crm, Why::Retold(Erp))),
        ("the CRM fills it", agreed, (5, 6), [Value(7), Value(8)], crm_first, Write(Erp, Why::Retold(Crm))),
        ("nobody says who", agreed, (5, 6), [Value(7), Value(8)], BOTH_WAYS, Unfilled),
        ("only one has a value", agreed, (BLANK, 6), [Value(7), Value(BLANK)], erp_first, Write(Erp, Why::Retold(Crm))),
        ("the value has no counterpart any more", agreed, (5, 6), [Broken, Broken], erp_first, Fail(Crm)),
        ("known as it is", known, (5, 6), [Value(7), Value(8)], erp_first, Known),
        ("known, and another by now", known, (5, 6), [Value(7), Value(9)], erp_first, Write(Crm, Why::Retold(Erp))),
        ("nobody remembers", Terms::UNSURE, (5, 6), [Value(7), Value(8)], erp_first, Known),
        ("a blank is kept", blank_kept, (BLANK, 6), [Value(6), Value(BLANK)], keep_erp_first, Known),
        ("a blank was kept", blank_kept, (BLANK, 6), [Value(6), Value(BLANK)], erp_first, Write(Erp, Why::Retold(Crm))),
        ("a blank is kept by now", blank_written, (BLANK, 6), [Value(6), Value(BLANK)], keep_erp_first, Known),
        ("it leads nowhere", agreed, (5, 6), [Unresolved, Unresolved], erp_first, Known),
        ("it leads elsewhere", agreed, (5, 6), [Unresolved, Value(8)], crm_first, Write(Crm, Why::Retold(Erp))),
        ("it will lead elsewhere", agreed, (5, 6), [Unresolved, Awaited], BOTH_WAYS, Fail(Crm)),
    ] {
        let facts = Facts {
            terms,
            arriving: PerSide { erp: Some(arriving[0]), crm: Some(arriving[1]) },
            ..facts(Some((erp, crm)), erp, crm)
        };
        assert_eq!(merge(&facts, &rule), expected, "{name}");
    }
    assert_eq!(settled(5, 6, [Value(7), Value(6)], &BOTH_WAYS), Terms::AGREED, "one direction is enough");
    assert_eq!(
        settled(5, 6, [Unresolved, Unresolved], &BOTH_WAYS),
        Terms::ANSWERED,
        "what leads nowhere tells nothing"
    );
    assert_eq!(settled(5, 6, [Value(7), Value(8)], &to_crm(BOTH_WAYS)), Terms::AGREED, "an owner is asked for nothing");
}

/// One of the values leads to a record of which the key cannot be read.
#[test]
fn what_may_agree_waits_and_what_cannot_is_told() {
    use Arriving::{Illegible, Value};
    use Side::{Crm, Erp};
    use Verdict::{Wait, Write};
    let (there, elsewhere) = (Illegible { there: true }, Illegible { there: false });
    let clear = Rule { on_unresolved: OnUnresolved::Clear, ..BOTH_WAYS };
    let keep = Rule { on_unresolved: OnUnresolved::Keep, ..BOTH_WAYS };
    for (name, base, arriving, rule, expected) in [
        ("nobody edited it", Some((5, 6)), [elsewhere, elsewhere], BOTH_WAYS, Wait),
        ("it may be there", None, [there, there], BOTH_WAYS, Wait),
        ("it may be there, whatever was edited", Some((4, 6)), [there, there], clear, Wait),
        ("it is not there", Some((5, 1)), [elsewhere, Value(7)], BOTH_WAYS, Verdict::Illegible(Erp)),
        ("it is not there, and would be cleared", Some((5, 1)), [elsewhere, Value(7)], clear, Verdict::Illegible(Erp)),
        ("it is not there, and would be kept", Some((5, 1)), [elsewhere, Value(7)], keep, Wait),
        ("it led there", Some((1, 6)), [elsewhere, Value(7)], BOTH_WAYS, Write(Crm, Why::Edited(Erp))),
        ("its owner edited it", Some((1, 6)), [Value(7), elsewhere], to_crm(BOTH_WAYS), Verdict::Illegible(Crm)),
        ("its owner may have edited it", Some((1, 6)), [Value(7), there], to_crm(BOTH_WAYS), Wait),
    ] {
        let arriving = PerSide { erp: Some(arriving[0]), crm: Some(arriving[1]) };
        assert_eq!(merge(&Facts { arriving, ..facts(base, 5, 6) }, &rule), expected, "{name}");
    }
}

#[test]
fn a_one_way_field() {
    use Side::{Crm, Erp};
    use Verdict::{Equal, Known, Write};
    for (name, base, erp, crm, expected) in [
        ("equal", Some((1, 1)), 1, 1, Equal),
        ("edited by the owner", Some((1, 1)), 2, 1, Write(Crm, Why::Edited(Erp))),
        ("drifted", Some((1, 1)), 1, 2, Write(Crm, Why::Owner(Erp))),
        ("edited on both sides", Some((1, 1)), 2, 3, Write(Crm, Why::Edited(Erp))),
        ("a known difference", Some((1, 2)), 1, 2, Known),
        ("new and different", None, 1, 2, Write(Crm, Why::Owner(Erp))),
        ("new, the owner is blank", None, 0, 2, Write(Crm, Why::Owner(Erp))),
    ] {
        assert_eq!(merge(&facts(base, erp, crm), &to_crm(BOTH_WAYS)), expected, "{name}");
    }
    for (name, created, erp, expected) in [
        ("a blank of a record just made clears nothing", Some(Erp), 0, Known),
        ("a number that it was given goes over", Some(Erp), 1, Write(Crm, Why::Owner(Erp))),
        ("the owner's record was there before", Some(Crm), 0, Write(Crm, Why::Owner(Erp))),
    ] {
        let facts = Facts { created, ..facts(None, erp, 2) };
        assert_eq!(merge(&facts, &to_crm(BOTH_WAYS)), expected, "{name}");
    }
    let create = Rule { when: When::Create, ..to_crm(BOTH_WAYS) };
    assert_eq!(merge(&facts(None, 1, 2), &create), Known, "only for new records");
    let keep = Rule { blank: Blank::Keep, ..to_crm(BOTH_WAYS) };
    assert_eq!(merge(&facts(None, 0, 2), &keep), Known, "blanks stay");
}

#[test]
fn the_newer_of_two_edits() {
    use Side::{Crm, Erp};
    let newest = Rule { on_conflict: OnConflict::Newest, ..BOTH_WAYS };
    let facts = facts(Some((1, 1)), 2, 3);
    assert_eq!(merge(&facts, &newest), Verdict::Contested(Standoff::Policy), "without times nobody wins");
    let time = |ms: i64| DateTime::from_timestamp_millis(1_769_810_400_000 + ms);
    for (name, erp, crm, crm_ahead_ms, expected) in [
        ("the ERP is newer", time(2_001), time(0), 0, Some(Erp)),
        ("the CRM is newer", time(0), time(2_001), 0, Some(Crm)),
        ("within the tolerance", time(0), time(2_000), 0, None),
        ("within the tolerance, the other way", time(2_000), time(0), 0, None),
        ("the CRM's clock is ahead", time(0), time(60_000), 62_001, Some(Erp)),
        ("the CRM's clock is behind", time(0), time(-60_000), -70_000, Some(Crm)),
        ("a clock makes them equal", time(0), time(60_000), 59_000, None),
        ("not known, but not later than a second", None, time(0), 0, None),
        ("not known, but surely before", None, time(3_001), 0, Some(Crm)),
        ("not known there", time(0), None, 0, None),
        ("neither is known", None, None, 0, None),
    ] {
        let edits = Edits { at: PerSide { erp, crm }, latest: PerSide { erp: time(1_000), crm }, crm_ahead_ms };
        let got = match merge_newest(&facts, &newest, Ok(edits)) {
            Verdict::Write(to, Why::Newer(newer, _)) if to == newer.other() => Some(newer),
            Verdict::Contested(standoff) => {
                assert_ne!(standoff, Standoff::Policy, "{name}");
                None
            }
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(got, expected, "{name}");
    }
    let latest = PerSide { erp: time(5_000), crm: time(63_000) };
    let edits = Edits { at: PerSide { erp: time(1_237), crm: time(63_000) }, latest, crm_ahead_ms: 59_600 };
    let told = [
        Why::Newer(Crm, edits).to_string(),
        Why::Newer(Crm, Edits { at: PerSide { erp: None, ..edits.at }, ..edits }).to_string(),
        Standoff::Close(Edits { crm_ahead_ms: 0, ..edits }).to_string(),
        Standoff::Untold(Erp).to_string(),
        Standoff::Clock(NoClock::Untold(Crm)).to_string(),
        Standoff::Clock(NoClock::Unsteady(Erp)).to_string(),
    ];
    insta::assert_snapshot!(told.join("\n"), @"
    edited on both sides, the CRM is newer (2026-01-30T22:01:03Z against 2026-01-30T22:00:01.237Z, the CRM's clock being 60 s ahead)
    edited on both sides, the CRM is newer (2026-01-30T22:01:03Z against 2026-01-30T22:00:05Z at the latest, the CRM's clock being 60 s ahead)
    edited on both sides within 2 s (ERP 2026-01-30T22:00:01.237Z, CRM 2026-01-30T22:01:03Z): neither is newer
    edited on both sides, and when the ERP record was edited before we wrote it is not known
    edited on both sides, and the answers of the CRM do not tell what its clock shows
    edited on both sides, and the answers of the ERP contradict each other about what its clock shows
    ");
}

#[test]
fn what_a_person_decided() {
    use Side::{Crm, Erp};
    use Verdict::{Fail, Put, Wait, Write};
    let on = NaiveDate::from_ymd_opt(2026, 1, 31).unwrap();
    let decided = Why::Decided(on);
    let (erp, crm, value) = (Take::Side(Erp), Take::Side(Crm), Take::Value);
    let keep = Rule { blank: Blank::Keep, ..BOTH_WAYS };
    for (name, base, held, rule, take, expected) in [
        ("contested, take the ERP's", Some((1, 1)), (2, 3), BOTH_WAYS, erp, Write(Crm, decided)),
        ("contested, take the CRM's", Some((1, 1)), (2, 3), BOTH_WAYS, crm, Write(Erp, decided)),
        ("contested, a value", Some((1, 1)), (2, 3), BOTH_WAYS, value, Put(on)),
        ("a new pair, take the CRM's", None, (2, 3), BOTH_WAYS, crm, Write(Erp, decided)),
        ("a blank is taken", Some((1, 1)), (BLANK, 3), BOTH_WAYS, erp, Write(Crm, decided)),
        ("a blank is taken where blanks stay", Some((1, 1)), (BLANK, 3), keep, erp, Write(Crm, decided)),
    ] {
        let facts = facts(base, held.0, held.1);
        let waits = merge(&facts, &rule);
        assert!(matches!(waits, Verdict::Contested(_) | Verdict::Unfilled), "{name}: {waits:?}");
        assert_eq!(merge_decided(&facts, &rule, Ruling { take, on }), expected, "{name}");
    }
    for (name, arriving, on_unresolved, expected) in [
        ("what has no counterpart fails", Arriving::Broken, OnUnresolved::Fail, Fail(Crm)),
        ("a reference without coupling fails", Arriving::Unresolved, OnUnresolved::Fail, Fail(Crm)),
        ("a reference without coupling is kept", Arriving::Unresolved, OnUnresolved::Keep, Wait),
    ] {
        let arriving = PerSide { erp: Some(Arriving::Value(3)), crm: Some(arriving) };
        let facts = Facts { arriving, ..facts(Some((1, 1)), 2, 3) };
        let rule = Rule { on_unresolved, ..BOTH_WAYS };
        assert_eq!(merge_decided(&facts, &rule, Ruling { take: erp, on }), expected, "{name}");
    }
    assert_eq!(decided.to_string(), "decided by a person on 2026-01-31");
}

#[test]
fn what_drifted_stays_until_its_owner_moves() {
    use Side::{Crm, Erp};
    use Verdict::{Drifted, Equal, Known, Write};
    for drift in [Drift::Leave, Drift::Report] {
        let rule = Rule { drift, ..to_crm(BOTH_WAYS) };
        for (name, base, erp, crm, expected) in [
            ("equal", Some((1, 1)), 1, 1, Equal),
            ("changed there", Some((1, 1)), 1, 2, Drifted),
            ("cleared there", Some((1, 1)), 1, 0, Drifted),
            ("a known difference", Some((1, 2)), 1, 2, Known),
            ("changed there and by the owner", Some((1, 1)), 3, 2, Write(Crm, Why::Edited(Erp))),
            ("never settled", None, 1, 2, Write(Crm, Why::Owner(Erp))),
        ] {
            assert_eq!(merge(&facts(base, erp, crm), &rule), expected, "{name}");
        }
    }
}

#[test]
fn values_that_only_one_direction_makes_equal() {
    // 12.345678 there is 12.3457 here; the way back differs, and that is no edit.
    let facts = Facts {
        base: None,
        terms: Terms::AGREED,
        own: PerSide { erp: 1, crm: 2 },
        arriving: PerSide { erp: Some(Arriving::Value(2)), crm: Some(Arriving::Value(2)) },
        created: None,
        cascaded: None,
    };
    assert_eq!(merge(&facts, &BOTH_WAYS), Verdict::Equal);
}

#[test]
fn references_without_coupling() {
    use Verdict::{Fail, Wait, Write};
    let unresolved = |base, erp, crm| Facts {
        arriving: PerSide { erp: Some(Arriving::Value(crm)), crm: Some(Arriving::Unresolved) },
        ..facts(base, erp, crm)
    };
    let rule = |on_unresolved| Rule { on_unresolved, ..to_crm(BOTH_WAYS) };
    for (name, on_unresolved, crm, expected) in [
        ("fails", OnUnresolved::Fail, 2, Fail(Side::Crm)),
        ("stays", OnUnresolved::Keep, 2, Wait),
        ("is cleared", OnUnresolved::Clear, 2, Write(Side::Crm, Why::Edited(Side::Erp))),
        ("is clear already", OnUnresolved::Clear, BLANK, Wait),
    ] {
        assert_eq!(merge(&unresolved(Some((1, 2)), 3, crm), &rule(on_unresolved)), expected, "{name}");
    }
}

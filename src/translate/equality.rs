//! When two values are equal, type by type: what both services hold, and what each would become on the other side.
//!
//! Each line of a table is a value of the ERP, one of the CRM, and whether they are the same. What a reference does not
//! say a service to fold is not folded: composed and decomposed letters differ, so do CR LF and LF.

use super::*;
use crate::frame::builder::Builder;
use crate::frame::{Cell, Column};

/// A column of a side, in short.
fn column(kind: Kind) -> ColumnInfo {
    ColumnInfo::plain("c", kind)
}

fn long(kind: Kind, length_max: usize) -> ColumnInfo {
    ColumnInfo { length_max: Some(length_max), ..column(kind) }
}

fn listed(kind: Kind, options: &[(i64, &str)]) -> ColumnInfo {
    let options = options.iter().map(|(number, label)| (*number, (*label).to_owned())).collect();
    ColumnInfo { options, ..column(kind) }
}

/// Returns the value that a column holds when the wire gives this text; `null` is null.
fn held(kind: Kind, wire: &str) -> Value {
    let cell = match (kind, wire) {
        (_, "null") => Cell::Null,
        (Kind::Boolean, _) => Cell::Boolean(wire == "true"),
        (Kind::Integer | Kind::Decimal { .. } | Kind::Choice, _) => Cell::Number(wire),
        _ => Cell::Text(wire),
    };
    let mut builder = Builder::new(vec![Column { name: "c".into(), kind }]);
    builder.push(0, cell).unwrap();
    builder.end(Uuid::from_u128(1), "");
    builder.finish().value("c", 0)
}

/// Tells whether a value of each side is the same, as a two-way field sees it.
fn equal(erp: (&ColumnInfo, &str), crm: (&ColumnInfo, &str)) -> bool {
    let held = [erp, crm].map(|(info, wire)| held(info.column.kind, wire));
    let agrees = |to: Side, info: &ColumnInfo, from: &Value, own: &Value| {
        let kind = info.column.kind;
        let value = match convert(from.clone(), to, info) {
            Ok(value) => value,
            Err(Problem::Moment { day, .. }) => Value::Date(day),
            Err(_) => return false,
        };
        fingerprint(&value, to, kind) == fingerprint(own, to, kind)
    };
    agrees(Side::Crm, crm.0, &held[0], &held[1]) || agrees(Side::Erp, erp.0, &held[1], &held[0])
}

#[track_caller]
fn check(erp: Kind, crm: Kind, same: &[(&str, &str)], different: &[(&str, &str)]) {
    let (erp, crm) = (column(erp), column(crm));
    for (pairs, expected) in [(same, true), (different, false)] {
        for pair in pairs {
            assert_eq!(
                equal((&erp, pair.0), (&crm, pair.1)),
                expected,
                "{:?} and {:?}: {pair:?}",
                erp.column,
                crm.column
            );
        }
    }
}

#[test]
fn texts() {
    check(
        Kind::Text,
        Kind::Text,
        &[
            ("", "null"),
            ("", ""),
            // The ERP drops blanks at the end, so a CRM text with some is the same; the CRM keeps them.
            ("a", "a "),
            ("", "  "),
            (" a", " a"),
            ("a\nb", "a\nb"),
            ("Æøå 😀", "Æøå 😀"),
        ],
        &[
            ("a", "A"),
            ("a", " a"),
            ("a b", "a  b"),
            // Only blanks are dropped at the end of a text.
            ("a", "a\t"),
            ("a", "a\u{a0}"),
            ("a\nb", "a\r\nb"),
            ("a", "a\n"),
            // One letter, composed and decomposed.
            ("\u{e5}", "a\u{30a}"),
            ("\u{fb01}", "fi"),
            ("0", "null"),
        ],
    );
}

#[test]
fn codes() {
    check(
        Kind::Code,
        Kind::Text,
        &[("PCS", "pcs"), ("PCS", " Pcs "), ("ØRE", "øre"), ("", "null"), ("", " "), ("A B", "a b")],
        &[("PCS", "P CS"), ("001", "1"), ("A  B", "a b"), ("PCS", "null")],
    );
}

#[test]
fn enums_against_texts_and_choices() {
    check(
        Kind::Enum,
        Kind::Text,
        &[("Non-Inventory", "Non-Inventory"), ("", "null"), ("", "")],
        &[("Non-Inventory", "Non_x002D_Inventory"), ("Person", "person")],
    );
    // Labels are in the language of whoever asks, so they never stand for their numbers: `values` does.
    let choice = listed(Kind::Choice, &[(0, "Zero"), (1, "Net 30")]);
    let code = column(Kind::Code);
    assert!(!equal((&code, "NET 30"), (&choice, "1")));
    assert!(equal((&code, "1"), (&choice, "1")));
    assert!(!equal((&code, ""), (&choice, "0")), "an option of number 0 is a choice that somebody made");
    assert!(equal((&code, ""), (&choice, "null")));
}

#[test]
fn numbers() {
    let four = Kind::Decimal { scale: 4 };
    let ten = Kind::Decimal { scale: 10 };
    check(
        ten,
        four,
        &[
            ("20000", "20000.0000"),
            ("1000.8", "1000.80"),
            ("0", "null"),
            ("0", "0.0000"),
            ("-0.5", "-0.50"),
            ("0", "-0"),
            // By the smaller scale.
            ("1.23456", "1.2346"),
            ("0.00001", "null"),
            ("123456789012345678.5", "123456789012345678.5"),
        ],
        &[("1.2345", "1.2346"), ("5", "-5"), ("1.23456", "1.2345"), ("5", "null")],
    );
    check(Kind::Integer, four, &[("5", "5.00"), ("0", "null")], &[("5", "5.5")]);
    check(four, Kind::Integer, &[("5.0", "5"), ("0", "null")], &[("5.5", "5")]);
    check(Kind::Text, four, &[("1.5", "1.5"), ("2.50", "2.5"), ("", "null")], &[("1,5", "1.5"), ("x", "null")]);
}

#[test]
fn booleans() {
    check(
        Kind::Boolean,
        Kind::Boolean,
        &[("true", "true"), ("false", "false"), ("false", "null")],
        &[("true", "false"), ("true", "null")],
    );
    check(Kind::Boolean, Kind::Integer, &[("true", "1"), ("false", "0"), ("false", "null")], &[("true", "2")]);
    check(Kind::Text, Kind::Boolean, &[("true", "true"), ("True", "true"), ("1", "true")], &[("yes", "true")]);
    // Of a choice, 0 is a value: false is the option 0 and not nothing.
    check(Kind::Boolean, Kind::Choice, &[("true", "1"), ("false", "0")], &[("true", "0")]);
}

#[test]
fn lists_of_choices() {
    let lists = [("1,3", "3,1"), ("3, 1", "1,3"), ("1", "1"), ("1,1", "1"), ("", "null"), (" ", "")];
    check(
        Kind::Text,
        Kind::Choices,
        &lists,
        &[("1,3", "1"), ("1,3", "1,3,5"), ("", "1"), ("x", "null"), ("0", "null")],
    );
    check(Kind::Integer, Kind::Choices, &[("1", "1"), ("null", "null")], &[("1", "1,3"), ("13", "1,3")]);
}

#[test]
fn dates_and_moments() {
    check(
        Kind::Date,
        Kind::Date,
        &[
            ("2026-01-31", "2026-01-31"),
            ("null", "null"),
            ("0001-01-01", "null"),
            ("2026-01-31T00:00:00Z", "2026-01-31"),
        ],
        &[("2026-01-31", "2026-02-01"), ("2026-01-31", "null")],
    );
    check(
        Kind::DateTime,
        Kind::DateTime,
        &[
            ("2026-01-31T22:10:05.123Z", "2026-01-31T22:10:05Z"),
            ("2026-01-31T22:10:05Z", "2026-01-31T23:10:05+01:00"),
            ("2026-01-31T22:10:05.1234567Z", "2026-01-31T22:10:05Z"),
            ("0001-01-01T00:00:00Z", "null"),
        ],
        &[
            ("2026-01-31T22:10:06.123Z", "2026-01-31T22:10:05Z"),
            ("2026-01-31T22:10:05Z", "2026-01-31T22:10:05+01:00"),
            ("2026-01-31T22:10:05Z", "null"),
        ],
    );
    // A moment is as good as its day in UTC, though it is not sent there; of a date a moment is its midnight.
    check(
        Kind::Date,
        Kind::DateTime,
        &[("2026-01-31", "2026-01-31T00:00:00Z"), ("2026-01-31", "2026-01-31T23:59:59Z"), ("0001-01-01", "null")],
        &[("2026-01-31", "2026-02-01T00:30:00+00:00")],
    );
}

#[test]
fn ids() {
    let id = "a0000000-0000-4000-8000-00000000000b";
    let upper = id.to_uppercase();
    let braced = format!("{{{upper}}}");
    let nil = "00000000-0000-0000-0000-000000000000";
    check(Kind::Guid, Kind::Guid, &[(id, &upper), (id, &braced), (nil, "null"), ("null", nil)], &[(id, "null")]);
    check(Kind::Guid, Kind::Text, &[(id, id), (id, &upper), (nil, "null")], &[(id, nil), (id, "x")]);
}

#[test]
fn what_arrives_is_what_the_column_would_hold() {
    let text = |text: &str| Value::Text(text.to_owned());
    let number = |text: &str| Value::Decimal(text.parse().unwrap());
    let time = |text: &str| Kind::DateTime.parse(text).unwrap();
    let nil = text("00000000-0000-0000-0000-000000000000");
    let money = column(Kind::Decimal { scale: 4 });
    for (value, side, target, expected) in [
        // A blank in the spelling of its type is no value.
        (nil, Side::Crm, column(Kind::Guid), Value::Null),
        (Value::Guid(Uuid::nil()), Side::Crm, column(Kind::Text), Value::Null),
        (text("0001-01-01"), Side::Crm, column(Kind::Date), Value::Null),
        (text("0001-01-01T00:00:00Z"), Side::Crm, column(Kind::DateTime), Value::Null),
        (text("  "), Side::Erp, column(Kind::Text), Value::Null),
        (text("  "), Side::Crm, column(Kind::Decimal { scale: 2 }), Value::Null),
        (text("  "), Side::Crm, column(Kind::Choice), Value::Null),
        // The ERP alone knows whether it is a code, and what it makes of it then.
        (text("straße"), Side::Erp, column(Kind::Code), text("straße")),
        (text("12b "), Side::Erp, column(Kind::Code), text("12b")),
        (text("a\r\nb "), Side::Erp, column(Kind::Text), text("a\r\nb")),
        (text("a "), Side::Crm, column(Kind::Text), text("a ")),
        (text(" 42 "), Side::Crm, column(Kind::Integer), Value::Integer(42)),
        (number("1.23456"), Side::Crm, money.clone(), number("1.2346")),
        (number("-1.23455"), Side::Crm, money, number("-1.2346")),
        (time("2026-01-31T22:10:05.999Z"), Side::Crm, column(Kind::DateTime), time("2026-01-31T22:10:05Z")),
        (time("1969-12-31T23:59:59.999Z"), Side::Crm, column(Kind::DateTime), time("1969-12-31T23:59:59Z")),
        (Value::Boolean(true), Side::Crm, column(Kind::Text), text("true")),
    ] {
        let told = format!("{value:?} to the {} as {:?}", side.name(), target.column.kind);
        assert_eq!(convert(value, side, &target), Ok(expected), "{told}");
    }
}

#[test]
fn what_does_not_fit_says_so_and_what_would() {
    let text = |text: &str| Value::Text(text.to_owned());
    let number = |text: &str| Value::Decimal(text.parse().unwrap());
    let choice = listed(Kind::Choice, &[(1, "Net 30"), (2, ""), (4, "Net 60")]);
    let members = listed(Kind::Enum, &[(0, ""), (1, "Ship"), (2, "Non-Inventory")]);
    let many: Vec<(i64, &str)> = (1..=20).map(|number| (number, "x")).collect();
    for (value, side, target, expected) in [
        (text("abcd"), Side::Crm, long(Kind::Text, 3), "`abcd` has 4 characters, `c` takes 3"),
        (text("ab😀"), Side::Crm, long(Kind::Text, 3), "`ab😀` has 4 characters, `c` takes 3"),
        (text("abcd"), Side::Erp, long(Kind::Code, 3), "`abcd` has 4 characters, `c` takes 3"),
        (number("1234.5"), Side::Erp, long(Kind::Text, 3), "`1234.5` has 6 characters, `c` takes 3"),
        (text("Net 30"), Side::Crm, choice.clone(), "`c` has no option `Net 30`; known: `1 Net 30`, `2`, `4 Net 60`"),
        (Value::Integer(3), Side::Crm, choice.clone(), "`c` has no option `3`; known: `1 Net 30`, `2`, `4 Net 60`"),
        (number("1.5"), Side::Crm, choice, "`c` has no option `1.5`; known: `1 Net 30`, `2`, `4 Net 60`"),
        (text("ship"), Side::Erp, members, "`c` has no option `ship`; known: blank, `Ship`, `Non-Inventory`"),
        (
            Value::Integer(0),
            Side::Crm,
            listed(Kind::Choice, &many),
            "`c` has no option `0`; known: `1 x`, `2 x`, `3 x`, `4 x`, `5 x`, `6 x`, `7 x`, `8 x`, `9 x`, `10 x`, `11 x`, \
             `12 x` and 8 more",
        ),
        (
            text("4, 3"),
            Side::Crm,
            listed(Kind::Choices, &[(1, "Net 30"), (4, "Net 60")]),
            "`c` has no option `3`; known: `1 Net 30`, `4 Net 60`",
        ),
        (text("1;4"), Side::Crm, column(Kind::Choices), "`1;4` is no list of choices, as `c` needs"),
        (text("x"), Side::Crm, column(Kind::Choice), "`x` is no choice, as `c` needs"),
        (text("1.5"), Side::Crm, column(Kind::Integer), "`1.5` is no whole number, as `c` needs"),
        (number("1.5"), Side::Crm, column(Kind::Integer), "`1.5` is no whole number, as `c` needs"),
        (
            number("9223372036854775808"),
            Side::Crm,
            column(Kind::Integer),
            "`9223372036854775808` is no whole number, as `c` needs",
        ),
        (
            text("99999999999999999999999999999"),
            Side::Crm,
            column(Kind::Decimal { scale: 4 }),
            "`99999999999999999999999999999` is no decimal, as `c` needs",
        ),
        (text("1.000,5"), Side::Erp, column(Kind::Decimal { scale: 2 }), "`1.000,5` is no decimal, as `c` needs"),
        (text("yes"), Side::Crm, column(Kind::Boolean), "`yes` is no boolean, as `c` needs"),
        (Value::Integer(2), Side::Crm, column(Kind::Boolean), "`2` is no boolean, as `c` needs"),
        (text("31.01.2026"), Side::Crm, column(Kind::Date), "`31.01.2026` is no date, as `c` needs"),
        (text("2026-02-29"), Side::Erp, column(Kind::Date), "`2026-02-29` is no date, as `c` needs"),
        (text("+12026-01-01"), Side::Erp, column(Kind::Date), "`+12026-01-01` is no date, as `c` needs"),
        (text("2026-01-31"), Side::Crm, column(Kind::DateTime), "`2026-01-31` is no date and time, as `c` needs"),
        (text("x"), Side::Crm, column(Kind::Guid), "`x` is no GUID, as `c` needs"),
        (Value::Boolean(true), Side::Crm, column(Kind::Date), "`true` is no date, as `c` needs"),
        (Value::Boolean(true), Side::Crm, column(Kind::Decimal { scale: 2 }), "`true` is no decimal, as `c` needs"),
    ] {
        let told = format!("{value:?} to the {} as {:?}", side.name(), target.column.kind);
        let problem = convert(value, side, &target).map_err(|problem| problem.to_string());
        assert_eq!(problem, Err(expected.to_owned()), "{told}");
    }
}

//! What pages become.

use super::*;
use crate::frame::Value;
use rust_decimal::Decimal;

fn layout(dialect: Dialect, key: &str, columns: &[(&str, Kind, &str)]) -> Layout {
    let columns = columns
        .iter()
        .map(|(name, kind, property)| (Column { name: (*name).to_owned(), kind: *kind }, (*property).to_owned()));
    Layout::new(dialect, key, columns.collect())
}

fn accounts() -> Layout {
    let columns = [
        ("name", Kind::Text, "name"),
        ("creditlimit", Kind::Decimal { scale: 4 }, "creditlimit"),
        ("primarycontactid", Kind::Guid, "_primarycontactid_value"),
        ("accountid", Kind::Guid, "accountid"),
    ];
    layout(Dialect::Dataverse, "accountid", &columns)
}

fn values(frame: &Frame, column: &str) -> Vec<String> {
    (0..frame.rows()).map(|row| format!("{:?}", frame.value(column, row))).collect()
}

/// What no column holds is no value: its record is named, and the text goes nowhere.
#[test]
fn a_text_that_no_column_holds_costs_its_record() {
    let page = |text: &str| {
        let id = "a0000000-0000-4000-8000-000000000001";
        let row = format!(r#"{{"accountid":"{id}","name":"{text}","creditlimit":1,"_primarycontactid_value":null}}"#);
        let mut rows = accounts().rows();
        accounts().page(&format!(r#"{{"value":[{row}]}}"#), &mut rows).unwrap();
        rows.finish()
    };
    let longest = "ø".repeat(TEXT_CHARS_MAX);
    assert_eq!(page(&longest).value("name", 0), Value::Text(longest.clone()));
    for longer in
        [format!("{longest}x"), "\u{1f600}".repeat(TEXT_CHARS_MAX / 2 + 1), r"\u00f8".repeat(TEXT_CHARS_MAX + 1)]
    {
        let frame = page(&longer);
        let (_, why) = frame.unreadables().first_key_value().unwrap();
        assert!(why.why.starts_with("column `name` holds a text of 104857") && why.why.len() < 200, "{}", why.why);
        assert_eq!(frame.value("name", 0), Value::Null);
    }
    // A key of that length is no key.
    let name = Column { name: "Name".to_owned(), kind: Kind::Text };
    let info =
        TableInfo { table: "T".into(), key: crate::endpoint::Key::Values(vec!["No".into()]), columns: Vec::new() };
    let columns = vec![(name, "Name".to_owned())];
    let keyed = Layout::keyed(Dialect::Plain, &info, &["No".to_owned()], Arc::default(), columns).of_table("Items");
    let body = format!(r#"{{"value":[{{"No":"{longest}x","Name":"x"}}]}}"#);
    let error = keyed.page(&body, &mut keyed.rows()).unwrap_err();
    assert!(error.starts_with("Items: a row's key: column `No` "), "{}", &error[..100]);
}

/// The record is there, with what could be read of it, and the others are untouched.
#[test]
fn a_cell_that_cannot_be_read_costs_its_record() {
    let id = "a0000000-0000-4000-8000-000000000001";
    let whole = r#"{"@odata.etag":"f","accountid":"a0000000-0000-4000-8000-000000000002","name":"y","creditlimit":2.0,"_primarycontactid_value":null}"#;
    let parent = r#""_primarycontactid_value":null"#;
    for (cells, columns, expected) in [
        (
            format!(r#""name":"x","creditlimit":"1",{parent}"#),
            &["creditlimit"][..],
            "column `creditlimit` holds `1`, which is no decimal",
        ),
        (
            format!(r#""name":"x","creditlimit":1e400,{parent}"#),
            &["creditlimit"],
            "column `creditlimit` holds `1e400`, which is no decimal",
        ),
        (
            format!(r#""name":["x"],"creditlimit":1,{parent}"#),
            &["name"],
            r#"column `name` holds `["x"]`, which is no text"#,
        ),
        (format!(r#""name":17,"creditlimit":1,{parent}"#), &["name"], "column `name` holds `17`, which is no text"),
        (
            format!(r#""name":true,"creditlimit":[1],{parent}"#),
            &["name", "creditlimit"],
            "column `name` holds `true`, which is no text, and one more column cannot be read",
        ),
        (
            format!(r#""name":"x","creditlimit":{{}},{parent}"#),
            &["creditlimit"],
            "column `creditlimit` holds `{}`, which is no single value",
        ),
        (
            r#""name":"x","creditlimit":1"#.to_owned(),
            &["primarycontactid"],
            "column `primarycontactid` is missing: there is no `_primarycontactid_value` in what came",
        ),
        // Which of the two counts nobody says.
        (
            format!(r#""name":"x","creditlimit":1,{parent},"name":"x""#),
            &["name"],
            "column `name`: the property `name` comes twice",
        ),
        (
            format!(r#""@odata.etag":"g","name":"x","creditlimit":1,{parent}"#),
            &[],
            "the property `@odata.etag` comes twice",
        ),
    ] {
        let body = format!(r#"{{"value":[{{"@odata.etag":"e","accountid":"{id}",{cells}}},{whole}]}}"#);
        let mut rows = accounts().rows();
        accounts().page(&body, &mut rows).unwrap();
        let frame = rows.finish();
        assert_eq!(frame.rows(), 2);
        let (spoilt, why) = frame.unreadables().first_key_value().unwrap();
        assert_eq!((spoilt.to_string().as_str(), &*why.why), (id, expected));
        assert_eq!(why.columns, columns);
        for (name, value) in [("name", Value::Text("x".into())), ("creditlimit", Value::Decimal(Decimal::ONE))] {
            let expected = if columns.contains(&name) { Value::Null } else { value };
            assert_eq!(frame.value(name, 0), expected, "{cells}");
        }
        assert_eq!((frame.unreadables().len(), frame.value("name", 1)), (1, Value::Text("y".into())));
    }
}

#[test]
fn what_came_is_told_short_and_legible() {
    let body = |text: &str| {
        format!(
            r#"{{"value":[{{"accountid":"a0000000-0000-4000-8000-000000000001","name":"x","creditlimit":"{text}","_primarycontactid_value":null}}]}}"#
        )
    };
    for (text, expected) in [
        (r"a\u001b[31m\u202e b", r"column `creditlimit` holds `a\u{1b}[31m\u{202e} b`, which is no decimal".to_owned()),
        (
            &"9".repeat(9_999),
            format!("column `creditlimit` holds `{}… (9799 more characters)`, which is no decimal", "9".repeat(200)),
        ),
    ] {
        let mut rows = accounts().rows();
        accounts().page(&body(text), &mut rows).unwrap();
        assert_eq!(rows.finish().unreadables().values().next().unwrap().why, expected);
    }
}

#[test]
fn an_expanded_cell_that_cannot_be_read_costs_its_record_as_well() {
    let layout = layout(Dialect::BusinessCentral, "id", &[("term/code", Kind::Code, "term/code")]);
    for (term, expected) in [
        (r#"{"code":"A"}"#, None),
        ("null", None),
        (r#"{"code":7}"#, Some("column `term/code` holds `7`, which is no text")),
        (r#"{"other":"A"}"#, Some("column `term/code` is missing: an expanded row has no `code`")),
        (r#"{"code":"A","code":"A"}"#, Some("column `term/code`: the property `code` comes twice")),
        ("5", Some("column `term/code` was to be inside of an object, and there is `5`")),
    ] {
        let mut rows = layout.rows();
        let row = format!(r#"{{"id":"a0000000-0000-4000-8000-000000000001","term":{term}}}"#);
        layout.page(&format!(r#"{{"value":[{row}]}}"#), &mut rows).unwrap();
        let frame = rows.finish();
        assert_eq!(frame.unreadables().values().next().map(|why| &*why.why), expected, "{term}");
    }
}

#[test]
fn the_later_row_of_a_record_says_whether_it_can_be_read() {
    let row = |limit: &str| {
        format!(
            r#"{{"accountid":"a0000000-0000-4000-8000-000000000001","name":"x","creditlimit":{limit},"_primarycontactid_value":null}}"#
        )
    };
    for (first, second, unreadable) in [("[1]", "1", 0), ("1", "[1]", 1)] {
        let mut rows = accounts().rows();
        accounts().page(&format!(r#"{{"value":[{},{}]}}"#, row(first), row(second)), &mut rows).unwrap();
        let frame = rows.finish();
        assert_eq!((frame.rows(), frame.unreadables().len()), (1, unreadable));
    }
}

/// Then it is the file that does not fit, and a hundred and one wrong records would be told.
#[test]
fn a_table_that_cannot_be_read_is_no_single_mistake() {
    let page = |numbers: std::ops::Range<usize>| {
        let row = |number: usize| {
            format!(
                r#"{{"accountid":"a0000000-0000-4000-8000-{number:012}","name":7,"creditlimit":1,"_primarycontactid_value":null}}"#
            )
        };
        format!(r#"{{"value":[{}]}}"#, numbers.map(row).collect::<Vec<_>>().join(","))
    };
    let layout = accounts().of_table("accounts");
    let mut rows = layout.rows();
    layout.page(&page(0..100), &mut rows).unwrap();
    let error = layout.page(&page(100..120), &mut rows).unwrap_err();
    let expected = "accounts: 101 of the records so far cannot be read, which is more than single mistakes; record \
                    a0000000-0000-4000-8000-000000000000: column `name` holds `7`, which is no text";
    assert!(error.starts_with(expected), "{error}");
    let frame = |numbers| {
        let mut rows = layout.rows();
        layout.page(&page(numbers), &mut rows).unwrap();
        rows.finish()
    };
    let mut pieces = frame(0..60);
    pieces.append(&frame(60..100));
    layout.bound(&pieces).unwrap();
    pieces.append(&frame(100..101));
    assert!(layout.bound(&pieces).unwrap_err().starts_with(expected));
}

#[test]
fn a_crm_page_becomes_rows() {
    let body = r#"{"@odata.nextLink":"https://crm.example/\u0022next","@odata.context":"x","value":[
      {"@odata.etag":"W/\"7100001\"","name":"B\u00f8e \"& Sons","creditlimit":25000.0000,"_primarycontactid_value":"C0000000-0000-4000-8000-000000000011","_primarycontactid_value@x.y":"contact","accountid":"a0000000-0000-4000-8000-000000000001","_transactioncurrencyid_value":null},
      {"accountid":"a0000000-0000-4000-8000-000000000002","creditlimit":null,"name":"","_primarycontactid_value":null,"more":{"a":[1]},"@odata.etag":"W/\"2\""}
    ],"@odata.count":2}"#;
    assert_eq!(next_link(body).unwrap().as_deref(), Some("https://crm.example/\"next"));
    let mut rows = accounts().rows();
    accounts().page(body, &mut rows).unwrap();
    let frame = rows.finish();
    let id = Uuid::from_u128(0xa000_0000_0000_4000_8000_0000_0000_0001);
    assert_eq!(frame.ids()[0], id);
    assert_eq!(frame.etag(0).as_deref(), Some("W/\"7100001\""));
    assert_eq!(frame.value("name", 0), Value::Text("Bøe \"& Sons".into()));
    assert_eq!(frame.value("creditlimit", 0), Value::Decimal(Decimal::new(250_000_000, 4)));
    assert_eq!(frame.value("accountid", 0), Value::Guid(id));
    for column in ["name", "creditlimit", "primarycontactid"] {
        assert_eq!(frame.value(column, 1), Value::Null, "{column}");
    }
}

#[test]
fn erp_blanks_become_ours() {
    let columns = [
        ("number", Kind::Code, "number"),
        ("blocked", Kind::Enum, "blocked"),
        ("currencyId", Kind::Guid, "currencyId"),
        ("lastModifiedDateTime", Kind::DateTime, "lastModifiedDateTime"),
        ("day", Kind::Date, "day"),
        ("paymentTerm/code", Kind::Code, "paymentTerm/code"),
        ("paymentTerm/displayName", Kind::Text, "paymentTerm/displayName"),
    ];
    let layout = layout(Dialect::BusinessCentral, "id", &columns);
    let body = r#"{"value":[
      {"@odata.etag":"e","id":"e1000000-0000-4000-8000-000000000001","number":null,"blocked":"_x0020_","currencyId":"00000000-0000-0000-0000-000000000000","lastModifiedDateTime":"0001-01-01T00:00:00Z","day":"0001-01-01","paymentTerm":null},
      {"@odata.etag":"e","id":"e1000000-0000-4000-8000-000000000002","number":"10","blocked":"Non_x002D_Inventory","currencyId":"e9000000-0000-4000-8000-000000000001","lastModifiedDateTime":"2026-01-30T21:04:11.237Z","day":"2026-01-30","paymentTerm":{"@odata.etag":"x","displayName":"a","code":"30 DAYS"}}
    ]}"#;
    let mut rows = layout.rows();
    layout.page(body, &mut rows).unwrap();
    let frame = rows.finish();
    let table: Vec<_> = columns.iter().map(|(column, ..)| values(&frame, column).join(" | ")).collect();
    insta::assert_snapshot!(table.join("\n"), @r#"
    Text("") | Text("10")
    Text("") | Text("Non-Inventory")
    Null | Guid(e9000000-0000-4000-8000-000000000001)
    Null | DateTime(2026-01-30T21:04:11.237Z)
    Null | Date(2026-01-30)
    Text("") | Text("30 DAYS")
    Text("") | Text("a")
    "#);
}

#[test]
fn of_a_record_on_two_pages_the_later_counts() {
    let page = |names: &[(u8, &str)]| {
        let row = |(id, name): &(u8, &str)| {
            format!(
                r#"{{"@odata.etag":"e","accountid":"00000000-0000-4000-8000-0000000000{id:02}","name":"{name}","creditlimit":1,"_primarycontactid_value":null}}"#
            )
        };
        format!(r#"{{"value":[{}]}}"#, names.iter().map(row).collect::<Vec<_>>().join(","))
    };
    let mut rows = accounts().rows();
    accounts().page(&page(&[(1, "a"), (2, "b")]), &mut rows).unwrap();
    accounts().page(&page(&[(2, "B"), (3, "c")]), &mut rows).unwrap();
    assert_eq!(rows.count(), 3);
    assert_eq!(values(&rows.finish(), "name").join(""), r#"Text("a")Text("B")Text("c")"#);
}

#[test]
fn a_page_that_cannot_be_trusted_is_refused() {
    let row = |cells: &str| format!(r#"{{"value":[{{"@odata.etag":"e",{cells}}}]}}"#);
    let id = r#""accountid":"a0000000-0000-4000-8000-000000000001""#;
    for (body, expected) in [
        (row(r#""name":"x""#), "a row has no `accountid`"),
        (row(&format!(r#""name":"x",{id},{id}"#)), "in a row the property `accountid` comes twice"),
        (
            row(r#""accountid":"1","name":"x","creditlimit":1,"_primarycontactid_value":null"#),
            "a row's `accountid` is no GUID",
        ),
    ] {
        let error = accounts().page(&body, &mut accounts().rows()).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    for cut in [r#"{"value":[{"a":1}"#, r#"{"value":[]"#, "", "<html>", r#"{"other":[]}"#] {
        assert!(next_link(cut).is_err(), "{cut}");
    }
    let broken = r#"{"value":[],"error":{"code":"0x80044151","message":"Generic SQL error."}}"#;
    for body in [broken, &broken.replace(r#""value":[],"#, "")] {
        let told = "the answer breaks off with an error: Generic SQL error (0x80044151)";
        assert_eq!(next_link(body), Err(Amiss::Broken(told.to_owned())));
    }
}

/// A later answer does not make a text of it.
#[test]
fn a_link_that_is_no_text_is_wrong_and_not_broken() {
    let body = |name: &str, link: &str| format!(r#"{{"@odata.{name}":{link},"value":[]}}"#);
    let of_link = "its link to the next page is no text";
    for (body, told) in [
        (body("nextLink", "7"), format!("{of_link}: `7`")),
        (body("nextLink", r#"{"url":"x"}"#), format!(r#"{of_link}: `{{"url":"x"}}`"#)),
        (body("nextLink", "true"), format!("{of_link}: `true`")),
        (body("context", "[]"), "its context is no text: `[]`".to_owned()),
    ] {
        assert_eq!(next_link(&body), Err(Amiss::Wrong(told)), "{body}");
    }
    assert_eq!(next_link(&body("nextLink", "null")), Ok(None));
}

/// What was cut off may be whole the next time; what is whole stays what it is.
#[test]
fn what_is_whole_and_no_page_is_wrong_and_not_broken() {
    for (body, is_wrong) in [
        (r#"{"other":[]}"#, true),
        ("[]", true),
        ("7", true),
        (r#"{"value":[{"a":1}"#, false),
        (r#"{"value":[]"#, false),
        ("", false),
        ("<html>", false),
    ] {
        let amiss = next_link(body).unwrap_err();
        assert_eq!(matches!(amiss, Amiss::Wrong(_)), is_wrong, "{body}: {amiss:?}");
    }
    for (body, is_wrong) in [("[]", true), (r#"{"accountid":"#, false)] {
        let amiss = accounts().record(body, &mut accounts().rows()).unwrap_err();
        assert_eq!(matches!(amiss, Amiss::Wrong(_)), is_wrong, "{body}: {amiss:?}");
    }
}

#[test]
fn an_answer_to_a_write_counts_only_where_it_is_whole() {
    let whole = r#"{"@odata.context":"x","@odata.etag":"e","accountid":"a0000000-0000-4000-8000-000000000001","name":"x","creditlimit":1,"_primarycontactid_value":null}"#;
    let without_etag = whole.replace(r#""@odata.etag":"e","#, "");
    let without_name = whole.replace(r#""name":"x","#, "");
    for (body, expected) in [(whole, true), (without_etag.as_str(), false), (&without_name, false), ("", false)] {
        let mut rows = accounts().rows();
        assert_eq!(accounts().row(body, &mut rows), Ok(expected));
        assert_eq!(rows.finish().rows(), usize::from(expected));
    }
}

/// A write under such a condition would be one without.
#[test]
fn what_names_no_version_counts_as_none() {
    for (etag, expected) in [
        (r#"W/\"7100001\""#, Some(r#"W/"7100001""#)),
        (r#"W/\"JzQ0O1dr*YT0=\""#, Some(r#"W/"JzQ0O1dr*YT0=""#)),
        ("*", None),
        (" * ", None),
        (r#"W/\"1\", *"#, None),
        (r"*\r\nX-Injected: yes", None),
        (r#"W/\"1\"\r\n\r\nDELETE /"#, None),
        (r"W/\u007f", None),
        ("W/é", None),
    ] {
        let body = format!(
            r#"{{"value":[{{"@odata.etag":"{etag}","accountid":"a0000000-0000-4000-8000-000000000001","name":"x","creditlimit":1,"_primarycontactid_value":null}}]}}"#
        );
        let mut rows = accounts().rows();
        accounts().page(&body, &mut rows).unwrap();
        assert_eq!(rows.finish().etag(0).as_deref(), expected, "{etag}");
    }
}

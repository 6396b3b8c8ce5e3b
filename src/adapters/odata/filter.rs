//! Filters: the part of a [`Predicate`] that a side evaluates itself, as `$filter` text.
//!
//! In goes a predicate in SQL meaning, out comes OData text that is true wherever the predicate is, or nothing. What a
//! side might understand more narrowly than SQL is left out: the caller filters again, so a filter that is too wide only
//! costs time, and one that is too narrow would lose records. Rules: erp-api.md §3, crm-api.md §5.

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, TimeDelta, Utc};
use uuid::Uuid;

use crate::adapters::odata::{Dialect, name, percent};
use crate::config::expression::{Comparison, Literal, Predicate};
use crate::endpoint::{ColumnInfo, TableInfo};
use crate::frame::Kind;

/// Characters that Business Central may take for filter syntax inside of a literal (erp-api.md §3).
const ERP_SYNTAX: &[char] = &['*', '?', '(', ')', '&', '|', '<', '>', '=', '@', '\'', '"'];
/// Characters that Dataverse takes for wildcards inside of `startswith` (crm-api.md §5).
const CRM_WILDCARDS: &[char] = &['%', '_', '[', ']', '^'];

/// Returns how many characters of an address a filter may take, so that path, columns and whatever else still fit beside it:
/// into 32,768 of the CRM (crm-api.md §1), 16 KB of the ERP (erp-api.md §3), and the 8 KB that servers take at least.
pub fn chars_max(dialect: Dialect) -> usize {
    match dialect {
        Dialect::Dataverse | Dialect::BusinessCentral => 12_000,
        Dialect::Plain => 6_000,
    }
}

/// Returns an address, which has a query already, with a filter where there is one.
pub fn added(url: &str, filter: Option<&str>) -> String {
    filter.map_or_else(|| url.to_owned(), |filter| format!("{url}&$filter={}", percent::query(filter)))
}

/// Tells whether an address takes a filter.
pub fn fits(dialect: Dialect, filter: &str) -> bool {
    percent::query(filter).len() <= chars_max(dialect)
}

/// Returns how many of some terms, from the first one on, a filter takes that joins them by `or`; one at least, and
/// `count_max` at most.
pub fn together<'t>(dialect: Dialect, terms: impl Iterator<Item = &'t str>, count_max: usize) -> usize {
    let mut chars = 0;
    let fits = |term: &&str| {
        chars += percent::query(term).len() + "%20or%20".len();
        chars <= chars_max(dialect)
    };
    terms.take(count_max).take_while(fits).count().max(1)
}

/// Returns filters of which each joins some terms by `or`, at most `count_max` of them, and fits into an address.
pub fn lists(dialect: Dialect, terms: &[String], count_max: usize) -> Vec<String> {
    let mut lists = Vec::new();
    let mut rest = terms;
    while !rest.is_empty() {
        let (list, more) = rest.split_at(together(dialect, rest.iter().map(String::as_str), count_max));
        lists.push(list.join(" or "));
        rest = more;
    }
    lists
}

/// Returns the questions for records that hold one of some texts in a column of codes. A text that is longer than the column is
/// in none of them, and the ERP would refuse the whole question.
pub fn holding(info: &ColumnInfo, texts: &[String]) -> Vec<Predicate> {
    let texts = texts.iter().map(|text| text.trim()).filter(|text| info.has_room(text));
    let equal = |text: &str| Predicate::Compare {
        column: info.column.name.clone(),
        comparison: Comparison::Equal,
        literal: Literal::Text(text.to_owned()),
    };
    texts.map(equal).collect()
}

/// Returns the part of the predicate that the side may evaluate and an address takes; `property` names a column as the wire
/// does, `None` where a column cannot be filtered by.
pub fn text(
    dialect: Dialect,
    predicate: &Predicate,
    info: &TableInfo,
    property: &dyn Fn(&str) -> Option<String>,
) -> Option<String> {
    Writer { dialect, info, property }.write(predicate).filter(|filter| fits(dialect, filter))
}

struct Writer<'a> {
    dialect: Dialect,
    info: &'a TableInfo,
    property: &'a dyn Fn(&str) -> Option<String>,
}

impl Writer<'_> {
    fn write(&self, predicate: &Predicate) -> Option<String> {
        match predicate {
            Predicate::All(parts) => {
                // A part that cannot be said, or is too long, is left out: the rest is still true wherever the whole is.
                let parts = parts.iter().filter_map(|part| self.operand(part));
                let parts: Vec<String> = parts.filter(|part| fits(self.dialect, part)).collect();
                (!parts.is_empty()).then(|| parts.join(" and "))
            }
            Predicate::Any(parts) => {
                // The ERP refuses `or` across columns (erp-api.md §3).
                if self.dialect == Dialect::BusinessCentral && !on_one_column(predicate) {
                    return None;
                }
                let parts: Option<Vec<String>> = parts.iter().map(|part| self.operand(part)).collect();
                parts.filter(|parts| !parts.is_empty()).map(|parts| parts.join(" or "))
            }
            Predicate::Compare { column, comparison, literal } => {
                let (info, property) = self.column(column)?;
                self.comparison(info, &property, *comparison, literal)
            }
            Predicate::StartsWith { column, prefix } => {
                let (info, property) = self.column(column)?;
                let is_text = matches!(info.column.kind, Kind::Text | Kind::Code);
                let plain = match self.dialect {
                    Dialect::BusinessCentral => self.is_plain(info, prefix),
                    Dialect::Dataverse => !prefix.contains(CRM_WILDCARDS),
                    Dialect::Plain => true,
                };
                (is_text && plain && !prefix.is_empty()).then(|| format!("startswith({property},{})", quote(prefix)))
            }
            Predicate::IsNull { column } => self.null(column, "eq"),
            Predicate::IsNotNull { column } => self.null(column, "ne"),
        }
    }

    /// Writes a part of a larger expression, in parentheses where it is one itself.
    fn operand(&self, predicate: &Predicate) -> Option<String> {
        let text = self.write(predicate)?;
        Some(if matches!(predicate, Predicate::All(_) | Predicate::Any(_)) { format!("({text})") } else { text })
    }

    fn column(&self, name: &str) -> Option<(&ColumnInfo, String)> {
        let info = self.info.column(name).filter(|info| info.readable)?;
        Some((info, (self.property)(name)?))
    }

    /// Only the CRM has nulls; what we read as null from the ERP has several spellings there.
    fn null(&self, column: &str, operator: &str) -> Option<String> {
        let (info, property) = self.column(column)?;
        // Whether a list of choices may be compared at all is not described.
        let asks = self.dialect == Dialect::Dataverse && info.column.kind != Kind::Choices;
        asks.then(|| format!("{property} {operator} null"))
    }

    fn comparison(&self, info: &ColumnInfo, property: &str, how: Comparison, literal: &Literal) -> Option<String> {
        let operator = operator(how);
        let is_equality = matches!(how, Comparison::Equal | Comparison::NotEqual);
        match (info.column.kind, literal) {
            (Kind::Text | Kind::Code, Literal::Text(text)) => self.text_equality(info, property, how, text),
            (Kind::Enum, Literal::Text(member)) => {
                // An unknown member is an error of the request, not an empty answer. Elsewhere a member is written with
                // its type, which is not known here.
                let known = info.options.iter().any(|(_, option)| option == member);
                (is_equality && known && self.dialect != Dialect::Plain)
                    .then(|| format!("{property} {operator} '{}'", name::encode(member)))
            }
            (Kind::Integer | Kind::Choice, Literal::Number(number)) => {
                let fits = number.parse::<i64>().is_ok();
                fits.then(|| format!("{property} {operator} {number}"))
            }
            (Kind::Decimal { scale }, Literal::Number(number)) => {
                // We compare the number rounded to the column's scale, the side the number itself: 1.005 is 1.01 here.
                let robust = matches!(how, Comparison::NotEqual | Comparison::Less | Comparison::Greater);
                (robust && digits_after_point(number)? <= scale as usize)
                    .then(|| format!("{property} {operator} {number}"))
            }
            (Kind::Boolean, Literal::Boolean(value)) => is_equality.then(|| format!("{property} {operator} {value}")),
            (Kind::Date, Literal::Text(text)) => {
                let date: NaiveDate = text.parse().ok()?;
                Some(format!("{property} {operator} {date}"))
            }
            (Kind::DateTime, Literal::Text(text)) => {
                // Here moments have milliseconds, as in the ERP; another service may keep finer ones within each.
                let moment = moment(text)?;
                let written = |moment: DateTime<Utc>| moment.to_rfc3339_opts(SecondsFormat::Millis, true);
                let (at, next) = (written(moment), written(moment.checked_add_signed(TimeDelta::milliseconds(1))?));
                Some(match how {
                    _ if self.dialect != Dialect::Plain => format!("{property} {operator} {at}"),
                    Comparison::Equal => format!("({property} ge {at} and {property} lt {next})"),
                    Comparison::LessOrEqual => format!("{property} lt {next}"),
                    _ => format!("{property} {operator} {at}"),
                })
            }
            (Kind::Guid, Literal::Text(text)) => {
                let id = Uuid::try_parse(text).ok().filter(|id| !id.is_nil())?;
                (how == Comparison::Equal).then(|| format!("{property} eq {id}"))
            }
            _ => None,
        }
    }

    /// The CRM ignores case and trailing blanks, the ERP upper-cases codes: equality is wider there than here, and
    /// inequality narrower, except towards the blank.
    fn text_equality(&self, info: &ColumnInfo, property: &str, how: Comparison, text: &str) -> Option<String> {
        match (self.dialect, how, text.is_empty()) {
            (Dialect::BusinessCentral, Comparison::Equal, _) => {
                self.is_plain(info, text).then(|| format!("{property} eq {}", quote(text)))
            }
            (Dialect::BusinessCentral, Comparison::NotEqual, true) => Some(format!("{property} ne ''")),
            (Dialect::Dataverse | Dialect::Plain, Comparison::Equal, false) => {
                Some(format!("{property} eq {}", quote(text)))
            }
            (Dialect::Dataverse | Dialect::Plain, Comparison::NotEqual, true) => Some(format!("{property} ne null")),
            _ => None,
        }
    }

    /// Tells whether the ERP takes the text as it is: no filter syntax, and not longer than the column, which it refuses.
    fn is_plain(&self, info: &ColumnInfo, text: &str) -> bool {
        info.has_room(text) && !text.contains(ERP_SYNTAX) && !text.contains("..")
    }
}

fn operator(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => "eq",
        Comparison::NotEqual => "ne",
        Comparison::Less => "lt",
        Comparison::LessOrEqual => "le",
        Comparison::Greater => "gt",
        Comparison::GreaterOrEqual => "ge",
    }
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn on_one_column(predicate: &Predicate) -> bool {
    fn collect<'a>(predicate: &'a Predicate, columns: &mut Vec<&'a str>) {
        match predicate {
            Predicate::All(parts) | Predicate::Any(parts) => {
                parts.iter().for_each(|part| collect(part, columns));
            }
            Predicate::Compare { column, .. }
            | Predicate::StartsWith { column, .. }
            | Predicate::IsNull { column }
            | Predicate::IsNotNull { column } => columns.push(column),
        }
    }
    let mut columns = Vec::new();
    collect(predicate, &mut columns);
    columns.windows(2).all(|pair| pair[0] == pair[1])
}

/// Returns how many digits a plain number has after its point; `None` for anything else.
fn digits_after_point(number: &str) -> Option<usize> {
    let digits = number.strip_prefix('-').unwrap_or(number);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = !whole.is_empty() && whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
    (plain && !digits.ends_with('.')).then_some(fraction.len())
}

/// Reads a moment; only UTC, or no zone at all, which means UTC here.
fn moment(text: &str) -> Option<DateTime<Utc>> {
    Some(match text.strip_suffix('Z') {
        Some(_) => DateTime::parse_from_rfc3339(text).ok()?.to_utc(),
        None => NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f")
            .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f"))
            .ok()?
            .and_utc(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use Comparison::*;

    fn info() -> TableInfo {
        let column = |name: &str, kind: Kind, length_max: Option<usize>| ColumnInfo {
            length_max,
            options: match kind {
                Kind::Enum => vec![(0, String::new()), (1, "Non-Inventory".into())],
                _ => Vec::new(),
            },
            ..ColumnInfo::plain(name, kind)
        };
        TableInfo {
            table: "t".into(),
            key: crate::endpoint::Key::Id("id".into()),
            columns: vec![
                column("name", Kind::Text, Some(10)),
                column("number", Kind::Code, Some(20)),
                column("blocked", Kind::Enum, None),
                column("count", Kind::Integer, None),
                column("state", Kind::Choice, None),
                column("credit", Kind::Decimal { scale: 2 }, None),
                column("flag", Kind::Boolean, None),
                column("day", Kind::Date, None),
                column("at", Kind::DateTime, None),
                column("owner", Kind::Guid, None),
                column("nav/code", Kind::Code, None),
                column("tags", Kind::Choices, None),
            ],
        }
    }

    fn push(dialect: Dialect, predicate: &Predicate) -> String {
        let property = |column: &str| match (dialect, column) {
            (_, "nav/code") => None,
            (Dialect::Dataverse, "owner") => Some("_owner_value".to_owned()),
            _ => Some(column.to_owned()),
        };
        text(dialect, predicate, &info(), &property).unwrap_or_else(|| "-".into())
    }

    fn is(column: &str, comparison: Comparison, literal: Literal) -> Predicate {
        Predicate::Compare { column: column.into(), comparison, literal }
    }

    fn word(text: &str) -> Literal {
        Literal::Text(text.into())
    }

    fn number(text: &str) -> Literal {
        Literal::Number(text.into())
    }

    /// The ERP refuses a question for a longer one, and the others with it.
    #[test]
    fn only_texts_that_a_column_can_hold_are_asked_for() {
        let texts = [" 10 ".to_owned(), "1".repeat(20), "1".repeat(21), "\u{1f600}".repeat(10), "\u{1f600}".repeat(11)];
        let expected: Vec<Predicate> =
            ["10", &texts[1], &texts[3]].iter().map(|text| is("number", Equal, word(text))).collect();
        assert_eq!(holding(info().column("number").unwrap(), &texts), expected);
    }

    #[test]
    fn only_what_a_side_sees_at_least_as_widely_is_pushed() {
        let guid = "A0000000-0000-4000-8000-000000000001";
        for (predicate, erp, crm) in [
            (is("name", Equal, word("O'Brien")), "-", "name eq 'O''Brien'"),
            (is("name", Equal, word("Smith")), "name eq 'Smith'", "name eq 'Smith'"),
            (is("name", Equal, word("")), "name eq ''", "-"),
            (is("name", NotEqual, word("")), "name ne ''", "name ne null"),
            (is("name", NotEqual, word("x")), "-", "-"),
            (is("name", Less, word("x")), "-", "-"),
            (is("name", Equal, word("a*")), "-", "name eq 'a*'"),
            (is("name", Equal, word("1..2")), "-", "name eq '1..2'"),
            (is("name", Equal, word("longer than ten")), "-", "name eq 'longer than ten'"),
            (is("name", Equal, number("1")), "-", "-"),
            (is("number", Equal, word("c1")), "number eq 'c1'", "number eq 'c1'"),
            (is("number", NotEqual, word("c1")), "-", "-"),
            (is("blocked", Equal, word("")), "blocked eq '_x0020_'", "blocked eq '_x0020_'"),
            (
                is("blocked", NotEqual, word("Non-Inventory")),
                "blocked ne 'Non_x002D_Inventory'",
                "blocked ne 'Non_x002D_Inventory'",
            ),
            (is("blocked", Equal, word("All")), "-", "-"),
            (is("count", LessOrEqual, number("-5")), "count le -5", "count le -5"),
            (is("count", Equal, number("1.5")), "-", "-"),
            (is("state", NotEqual, number("3")), "state ne 3", "state ne 3"),
            (is("credit", Greater, number("0")), "credit gt 0", "credit gt 0"),
            (is("credit", Less, number("0.005")), "-", "-"),
            (is("credit", GreaterOrEqual, number("1")), "-", "-"),
            (is("credit", Equal, number("1")), "-", "-"),
            (is("credit", NotEqual, number("1e3")), "-", "-"),
            (is("flag", Equal, Literal::Boolean(false)), "flag eq false", "flag eq false"),
            (is("flag", Less, Literal::Boolean(false)), "-", "-"),
            (is("day", GreaterOrEqual, word("2026-01-31")), "day ge 2026-01-31", "day ge 2026-01-31"),
            (is("day", GreaterOrEqual, word("yesterday")), "-", "-"),
            (
                is("at", Less, word("2026-01-31T22:10:05Z")),
                "at lt 2026-01-31T22:10:05.000Z",
                "at lt 2026-01-31T22:10:05.000Z",
            ),
            (
                is("at", Less, word("2026-01-31 22:10:05")),
                "at lt 2026-01-31T22:10:05.000Z",
                "at lt 2026-01-31T22:10:05.000Z",
            ),
            (is("at", Less, word("2026-01-31T22:10:05+02:00")), "-", "-"),
            (
                is("at", LessOrEqual, word("2026-01-31T22:10:05.123Z")),
                "at le 2026-01-31T22:10:05.123Z",
                "at le 2026-01-31T22:10:05.123Z",
            ),
            (
                is("owner", Equal, word(guid)),
                "owner eq a0000000-0000-4000-8000-000000000001",
                "_owner_value eq a0000000-0000-4000-8000-000000000001",
            ),
            (is("owner", NotEqual, word(guid)), "-", "-"),
            (is("nav/code", Equal, word("x")), "-", "-"),
            (is("unknown", Equal, word("x")), "-", "-"),
            (Predicate::IsNull { column: "owner".into() }, "-", "_owner_value eq null"),
            (Predicate::IsNull { column: "tags".into() }, "-", "-"),
            (is("tags", Equal, word("1,2")), "-", "-"),
            (Predicate::IsNotNull { column: "name".into() }, "-", "name ne null"),
            (
                Predicate::StartsWith { column: "name".into(), prefix: "ab".into() },
                "startswith(name,'ab')",
                "startswith(name,'ab')",
            ),
            (Predicate::StartsWith { column: "name".into(), prefix: "a_b".into() }, "startswith(name,'a_b')", "-"),
            (Predicate::StartsWith { column: "name".into(), prefix: "a@".into() }, "-", "startswith(name,'a@')"),
            (Predicate::StartsWith { column: "blocked".into(), prefix: "A".into() }, "-", "-"),
        ] {
            let pushed = (push(Dialect::BusinessCentral, &predicate), push(Dialect::Dataverse, &predicate));
            assert_eq!(pushed, (erp.to_owned(), crm.to_owned()), "{predicate:?}");
        }
    }

    #[test]
    fn of_another_service_no_more_is_asked_than_any_understands() {
        let or = Predicate::Any(vec![is("count", Equal, number("1")), is("flag", Equal, Literal::Boolean(true))]);
        for (predicate, expected) in [
            (is("name", Equal, word("O'Brien *")), "name eq 'O''Brien *'"),
            // It may be empty or null.
            (is("name", Equal, word("")), "-"),
            (is("name", NotEqual, word("")), "name ne null"),
            (is("name", NotEqual, word("x")), "-"),
            // The literal would need the name of the type.
            (is("blocked", Equal, word("Non-Inventory")), "-"),
            (is("count", LessOrEqual, number("5")), "count le 5"),
            // It may keep what is finer than a millisecond, and 05.1234567 is 05.123 here.
            (is("at", LessOrEqual, word("2026-01-31 22:10:05.123")), "at lt 2026-01-31T22:10:05.124Z"),
            (is("at", Greater, word("2026-01-31 22:10:05.123")), "at gt 2026-01-31T22:10:05.123Z"),
            (
                is("at", Equal, word("2026-01-31 22:10:05.999")),
                "(at ge 2026-01-31T22:10:05.999Z and at lt 2026-01-31T22:10:06.000Z)",
            ),
            (or, "count eq 1 or flag eq true"),
            (Predicate::IsNotNull { column: "name".into() }, "-"),
            (Predicate::StartsWith { column: "name".into(), prefix: "a(".into() }, "startswith(name,'a(')"),
        ] {
            assert_eq!(push(Dialect::Plain, &predicate), expected, "{predicate:?}");
        }
    }

    /// A list of values that no address takes is left to us, and what stands beside it is not.
    #[test]
    fn what_is_too_long_for_an_address_is_left_to_us() {
        let any = |count: usize| {
            Predicate::Any((0..count).map(|count| is("number", Equal, word(&format!("NUMBER {count:05}")))).collect())
        };
        let other = is("flag", Equal, Literal::Boolean(true));
        for dialect in [Dialect::BusinessCentral, Dialect::Plain, Dialect::Dataverse] {
            let (short, long) = (push(dialect, &any(100)), push(dialect, &any(600)));
            assert!(fits(dialect, &short) && short.ends_with("'NUMBER 00099'"), "{dialect:?}");
            assert_eq!(long, "-", "{dialect:?}");
            assert_eq!(push(dialect, &Predicate::All(vec![any(600), other.clone()])), "flag eq true");
        }
        let terms: Vec<String> = (0..250).map(|count| format!("number eq '{}{count}'", "\u{d8}".repeat(20))).collect();
        let cut = lists(Dialect::BusinessCentral, &terms, 100);
        assert_eq!(cut.join(" or "), terms.join(" or "));
        assert!(cut.len() > 3 && cut.iter().all(|list| fits(Dialect::BusinessCentral, list)), "{}", cut.len());
        let short: Vec<String> = (0..250).map(|count| format!("number eq '{count}'")).collect();
        assert_eq!(lists(Dialect::BusinessCentral, &short, 100).len(), 3);
        assert_eq!(lists(Dialect::Plain, &[format!("number eq '{}'", "x".repeat(9_000))], 100).len(), 1);
    }

    #[test]
    fn parts_that_cannot_be_said_widen_the_filter_and_never_narrow_it() {
        let (a, b) = (is("count", Equal, number("1")), is("count", Equal, number("2")));
        let (other, unsaid) = (is("flag", Equal, Literal::Boolean(true)), is("name", Less, word("x")));
        let all = |parts: &[&Predicate]| Predicate::All(parts.iter().map(|part| (*part).clone()).collect());
        let any = |parts: &[&Predicate]| Predicate::Any(parts.iter().map(|part| (*part).clone()).collect());
        for (predicate, erp, crm) in [
            (all(&[&a, &unsaid, &other]), "count eq 1 and flag eq true", "count eq 1 and flag eq true"),
            (all(&[&unsaid]), "-", "-"),
            (any(&[&a, &b]), "count eq 1 or count eq 2", "count eq 1 or count eq 2"),
            (any(&[&a, &unsaid]), "-", "-"),
            (any(&[&a, &other]), "-", "count eq 1 or flag eq true"),
            (
                all(&[&any(&[&a, &b]), &other]),
                "(count eq 1 or count eq 2) and flag eq true",
                "(count eq 1 or count eq 2) and flag eq true",
            ),
            (any(&[&all(&[&a, &unsaid]), &b]), "-", "(count eq 1) or count eq 2"),
            (any(&[]), "-", "-"),
            (all(&[]), "-", "-"),
        ] {
            let pushed = (push(Dialect::BusinessCentral, &predicate), push(Dialect::Dataverse, &predicate));
            assert_eq!(pushed, (erp.to_owned(), crm.to_owned()), "{predicate:?}");
        }
    }
}

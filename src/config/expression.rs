//! SQL in filters and field maps: text in, an [`Expression`] that can be evaluated over a frame out.
//!
//! The dialect is the one of polars SQL, less everything that looks at more than one row, plus functions of ours
//! (functions.rs). An expression also offers the
//! part of itself that a side might evaluate, as a [`Predicate`]: always true where the whole is true, so that pushing
//! it down never loses a record. Whether a column exists is not known here; the metadata of a side tells.

mod functions;
mod making;
mod predicate;
mod reading;
mod sound;
mod typing;

use std::sync::Once;

use polars::prelude::*;

use crate::config::expression::making::Way;
use crate::config::expression::sound::Sound;

/// Why a text is no expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExpressionError {
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// A parsed SQL expression over one row.
#[derive(Clone)]
pub struct Expression {
    text: String,
    written: String,
    columns: Vec<String>,
    // Boxed, since constants and expressions stand side by side in a file.
    expr: Box<Sound>,
    predicate: Option<Box<Predicate>>,
}

/// A filter in the terms that both protocols share.
///
/// It speaks of values as [`Expression::evaluate`] compares them: text by its exact characters. A side that compares
/// otherwise (without regard to case, say) may evaluate only what cannot lose a record there.
#[derive(Debug, Clone, PartialEq)]
pub enum Predicate {
    All(Vec<Predicate>),
    Any(Vec<Predicate>),
    Compare { column: String, comparison: Comparison, literal: Literal },
    StartsWith { column: String, prefix: String },
    IsNull { column: String },
    IsNotNull { column: String },
}

/// How a column is compared to a literal; the column always stands first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A constant of a filter.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// A text, or a date as `2026-01-31`.
    Text(String),
    /// A number as it was written.
    Number(String),
    Boolean(bool),
}

/// Reads `next_number('PREFIX', DIGITS)`, which may stand alone as a value of a template: prefix and digits.
///
/// `None` where the text is something else, to be read by [`Expression::parse`].
pub fn next_number(text: &str) -> Result<Option<(String, usize)>, ExpressionError> {
    reading::next_number(&reading::parse(text)?)
}

/// Tells whether a text can be the name of a column: letters, digits and `_`, with `/` behind a navigation.
pub fn is_column_name(name: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_');
    name.split('/').all(is_part)
}

/// By its text alone, so that the same file always looks the same.
impl std::fmt::Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Expression").field(&self.text).finish()
    }
}

impl Expression {
    /// Parses SQL over the columns of one row.
    pub fn parse(text: &str) -> Result<Expression, ExpressionError> {
        // What polars warns of is its own future, in the words of a library; what goes wrong is an error.
        static SILENCE: Once = Once::new();
        SILENCE.call_once(|| polars::error::set_warning_function(|_, _| {}));
        let tree = reading::parse(text)?;
        let columns = reading::columns(&tree)?;
        let made = |way| making::expr(text, &tree, way).map_err(|error| reading::refused(&error.to_string()));
        let expr = Sound::of(made(Way::Strict)?, made(Way::Lenient)?);
        let predicate = predicate::of(&tree).map(Box::new);
        Ok(Expression { text: text.to_owned(), written: text.to_owned(), columns, expr: Box::new(expr), predicate })
    }

    /// Returns the SQL with variables filled in.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Takes note of how the SQL stands in the file, without what variables gave.
    #[must_use]
    pub fn written_as(self, written: String) -> Expression {
        Expression { written, ..self }
    }

    /// Returns the SQL as it stands in the file, for messages.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// Returns the terms that all have to be true for the whole to be true; the whole alone where it is no conjunction.
    pub fn terms(&self) -> Vec<Expression> {
        self.split(reading::terms)
    }

    /// Returns the conditions that `AND`, `OR` and `NOT` join; the whole alone where there is one.
    pub fn parts(&self) -> Vec<Expression> {
        self.split(reading::parts)
    }

    fn split(&self, by: fn(&sqlparser::ast::Expr) -> Vec<String>) -> Vec<Expression> {
        let texts = |text: &str| reading::parse(text).map(|tree| by(&tree)).unwrap_or_default();
        let (terms, written) = (texts(&self.text), texts(&self.written));
        let parsed: Vec<Expression> = terms.iter().filter_map(|term| Expression::parse(term).ok()).collect();
        // What variables gave is not shown, so each term has to be found in the file as well.
        if parsed.len() < 2 || parsed.len() != terms.len() || written.len() != terms.len() {
            return vec![self.clone()];
        }
        parsed.into_iter().zip(written).map(|(term, written)| term.written_as(written)).collect()
    }

    /// Returns the columns that the expression reads, each once, in order of appearance.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Returns what of this filter a side might evaluate: true wherever the whole filter is true.
    pub fn predicate(&self) -> Option<&Predicate> {
        self.predicate.as_deref()
    }

    /// Evaluates the expression over all rows; a constant gives as many cells as there are rows.
    ///
    /// An error means that the expression does not fit the columns, whatever they hold.
    pub fn evaluate(&self, data: &DataFrame) -> PolarsResult<Computed> {
        self.expr.evaluate(data)
    }

    /// Says why there is no value for the one row of `data`, where one of our functions knows.
    pub fn reason(&self, data: &DataFrame) -> Option<String> {
        self.expr.reason(data)
    }
}

/// Marks both ends of what we say ourselves in an error of polars, which may add to it.
const OURS: char = '\u{1}';

/// Makes an error of polars that carries our own words.
fn ours(message: impl std::fmt::Display) -> PolarsError {
    PolarsError::ComputeError(format!("{OURS}{message}{OURS}").into())
}

/// Returns our own words out of an error of polars; `None` where it has none.
pub fn told(error: &PolarsError) -> Option<String> {
    error.to_string().split(OURS).nth(1).map(str::to_owned)
}

/// What an expression gives, one cell a row.
#[derive(Debug, Clone)]
pub struct Computed {
    /// Null also where there is no value.
    pub series: Series,
    /// Rows, in order, for which the expression has no value: a text that is no number, a division by zero.
    pub faults: Vec<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        let error = Expression::parse(text).expect_err(text);
        match error.hint {
            Some(hint) => format!("{} ({hint})", error.message),
            None => error.message,
        }
    }

    #[test]
    fn columns_are_those_that_are_named() {
        let check = |text: &str, expected: &[&str]| {
            assert_eq!(Expression::parse(text).expect(text).columns(), expected, "{text}");
        };
        check("blocked = ''", &["blocked"]);
        check("a = 1 AND b = 2 OR a IN (1, -2) OR c", &["a", "b", "c"]);
        check("\"paymentTerm/code\" = 'X'", &["paymentTerm/code"]);
        check("LOWER(TRIM(email))", &["email"]);
        check("CASE WHEN a THEN b ELSE c || 'x' END", &["a", "b", "c"]);
        check("SUBSTRING(a FROM 2 FOR b)", &["a", "b"]);
        check("EXTRACT(year FROM day)", &["day"]);
        check("'NAV ' || code", &["code"]);
        check("1 + 2", &[]);
    }

    /// A chain as long as it may be fits on the stack of a program; a longer one is told before anybody walks through it.
    #[test]
    fn a_chain_is_no_longer_than_a_stack() {
        let thread = std::thread::Builder::new().stack_size(8 << 20).spawn(chains);
        thread.unwrap().join().unwrap();
    }

    fn chains() {
        let chain = |part: &str, join: &str, parts: usize| vec![part; parts].join(join);
        let cases = |parts: usize| {
            [
                chain("a <> 'x'", " AND ", parts),
                chain("a = 'x'", " OR ", parts),
                chain("a", " || ", parts),
                chain("1", " + ", parts),
                format!("CASE {} ELSE a END", chain("WHEN a = 'x' THEN 'y'", " ", parts)),
            ]
        };
        for text in cases(100) {
            Expression::parse(&text).expect(&text);
        }
        for text in cases(102).into_iter().chain(cases(100_000)) {
            assert!(error(&text).starts_with("has too many operators"), "{}", &text[..60]);
        }
        for (text, expected) in [
            (chain("a", " = ", 300), "is nested too deeply"),
            (chain("a", " = ", 100_000), "has too many operators"),
            (format!("a{}", " IS NULL".repeat(300)), "is nested too deeply"),
            (format!("a{}", ".a".repeat(100_000)), "has too many operators"),
            (format!("{}a", "NOT ".repeat(100_000)), "does not parse as SQL"),
            (format!("{}a", "(".repeat(100_000)), "is nested too deeply"),
            (format!("a{}", "::TEXT".repeat(100_000)), "has too many operators"),
        ] {
            assert!(error(&text).starts_with(expected), "{}: {}", &text[..40], error(&text));
        }
        let many = chain("'x'", ", ", 10_000);
        Expression::parse(&format!("a IN ({many})")).expect("a list is no chain");
        Expression::parse(&format!("COALESCE(a, {many})")).expect("nor are arguments");
    }

    #[test]
    fn what_is_no_expression_over_one_row_is_refused() {
        let texts = [
            "",
            "a = ",
            "a IN (1, b)",
            "a AT TIME ZONE 'UTC'",
            "a = 1 b",
            "a = 'x",
            "a AS b",
            "LOWR(a)",
            "nothing_like_it(a) + other_one(b)",
            "SUM(a) > 3",
            "MAX(a, b)",
            "ROW_NUMBER() OVER (ORDER BY a)",
            "LOWER(a) OVER ()",
            "a IN (SELECT b FROM c)",
            "(SELECT 1)",
            "EXISTS (SELECT 1)",
            "a > ANY(b)",
            "*",
            "a.b = 1",
            "blocked = \"\"",
            "city = \"New York\"",
            "a = ?",
            "SUBSTR(a, b)",
            "SUBSTRING(a FROM b)",
            "LEFT(a)",
            "GREATEST()",
            "RIGHT(a, 99999999999999999999999)",
            "next_number('A', 5) || 'x'",
            "regexp_replac(a, 'b', 'c')",
            "INITCAP()",
            "initcap(a, 'x')",
            "parse_date(a, b)",
            "parse_date(a, 'DD.MM.YYYY')",
            "parse_date(a, 'MM/dd')",
            "parse_decimal(a, 'de-DE')",
            "regexp_match(a, '(')",
            "REGEXP_REPLACE(a, 'b', '$1')",
            "substring_after(a, '')",
            "round_to(a, 0, '=')",
            "round_to(a, 1, 'up')",
            "UPPER(initcap(regexp_match(a, '(')))",
            "a IS DISTINCT FROM 1 AND b = 2",
        ];
        let told: Vec<String> = texts.iter().map(|text| format!("{text}\n  {}", error(text))).collect();
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn a_conjunction_falls_into_its_terms() {
        let check = |text: &str, expected: &[&str]| {
            let terms = Expression::parse(text).expect(text).terms();
            assert_eq!(terms.iter().map(Expression::text).collect::<Vec<_>>(), expected, "{text}");
        };
        check("blocked = ''", &["blocked = ''"]);
        check("a = 1 AND b = 2 AND (c = 3 AND d LIKE 'x%')", &["a = 1", "b = 2", "c = 3", "d LIKE 'x%'"]);
        check("a = 1 AND (b = 2 OR c = 3)", &["a = 1", "(b = 2 OR c = 3)"]);
        check("a = 1 OR b = 2 AND c = 3", &["a = 1 OR b = 2 AND c = 3"]);
        check("a BETWEEN 1 AND 2", &["a BETWEEN 1 AND 2"]);
        let filled = Expression::parse("a = 'North' AND b = 1").unwrap();
        let told = |written: &str| {
            let terms = filled.clone().written_as(written.to_owned()).terms();
            terms.iter().map(|term| term.written().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(told("a = '${COMPANY}' AND b = 1"), ["a = '${COMPANY}'", "b = 1"]);
        assert_eq!(told("a = ${COMPANY} AND b = 1"), ["a = ${COMPANY} AND b = 1"], "no SQL without the value");
    }

    #[test]
    fn a_condition_falls_into_its_parts() {
        let check = |text: &str, expected: &[&str]| {
            let parts = Expression::parse(text).expect(text).parts();
            assert_eq!(parts.iter().map(Expression::text).collect::<Vec<_>>(), expected, "{text}");
        };
        check("blocked = ''", &["blocked = ''"]);
        check("a = 1 OR NOT (b = 2 AND (c = 3 OR d))", &["a = 1", "b = 2", "c = 3", "d"]);
        check("a BETWEEN 1 AND 2", &["a BETWEEN 1 AND 2"]);
    }

    #[test]
    fn a_running_number_stands_alone() {
        let check = |text: &str, expected: Result<Option<(&str, usize)>, &str>| {
            let found = next_number(text).map_err(|error| error.message);
            let expected = expected.map(|call| call.map(|(prefix, digits)| (prefix.to_owned(), digits)));
            assert_eq!(found, expected.map_err(str::to_owned), "{text}");
        };
        check("next_number('SP NO. ', 5)", Ok(Some(("SP NO. ", 5))));
        check(" NEXT_NUMBER('', 18) ", Ok(Some(("", 18))));
        check("'next_number'", Ok(None));
        check("LOWER(a)", Ok(None));
        let wrong = "`next_number` takes a text and a number of digits from 1 to 18";
        check("next_number('A', 19)", Err(wrong));
        check("next_number('A', 0)", Err(wrong));
        check("next_number(a, 5)", Err(wrong));
        check("next_number('A')", Err(wrong));
        check("next_number()", Err(wrong));
    }

    fn evaluate(text: &str, data: &DataFrame) -> Vec<String> {
        let computed = Expression::parse(text).expect(text).evaluate(data).expect(text);
        assert!(computed.faults.is_empty(), "{text}");
        computed.series.iter().map(|value| value.to_string()).collect()
    }

    #[test]
    fn constants_and_empty_frames_evaluate() {
        let three = df!("a" => [Some("x"), None, Some("")]).unwrap();
        assert_eq!(evaluate("7", &three), ["7", "7", "7"]);
        assert_eq!(evaluate("NULL", &three), ["null", "null", "null"]);
        assert_eq!(evaluate("TRUE", &three), ["true", "true", "true"]);
        assert_eq!(evaluate("'k' || a", &three), ["\"kx\"", "null", "\"k\""]);
        assert_eq!(evaluate("a = 'x'", &three), ["true", "null", "false"]);
        let none = three.head(Some(0));
        assert_eq!(evaluate("7", &none), Vec::<String>::new());
        assert_eq!(evaluate("LOWER(a) || 'x'", &none), Vec::<String>::new());
        let bare = DataFrame::new(2, Vec::new()).unwrap();
        assert_eq!(evaluate("'x'", &bare), ["\"x\"", "\"x\""]);
    }

    #[test]
    fn a_display_name_splits_into_first_and_last_name() {
        let names = ["Ida Sørli", "Anna Maria Berg", "Cher", ""];
        let data = df!("displayName" => names).unwrap();
        let first = "TRIM(LEFT(displayName, LENGTH(displayName) - LENGTH(SPLIT_PART(displayName, ' ', -1))))";
        let last = "SPLIT_PART(displayName, ' ', -1)";
        assert_eq!(evaluate(first, &data), ["\"Ida\"", "\"Anna Maria\"", "\"\"", "\"\""]);
        assert_eq!(evaluate(last, &data), ["\"Sørli\"", "\"Berg\"", "\"Cher\"", "\"\""]);
    }

    #[test]
    fn the_functions_that_a_file_needs_compute() {
        let data = df!("t" => ["  Ab-c "], "n" => [-7_i64], "d" => ["2026-01-31"]).unwrap();
        let data = data.lazy().with_column(col("d").str().to_date(StrptimeOptions::default())).collect().unwrap();
        let check = |text: &str, expected: &str| assert_eq!(evaluate(text, &data), [expected], "{text}");
        check("UPPER(TRIM(t))", "\"AB-C\"");
        check("REPLACE(t, '-', '')", "\"  Abc \"");
        check("LEFT(TRIM(t), 2) || RIGHT(TRIM(t), 1)", "\"Abc\"");
        check("SUBSTR(TRIM(t), 2, 2)", "\"b-\"");
        check("STRPOS(t, 'b')", "4");
        check("LENGTH(LTRIM(RTRIM(t)))", "4");
        check("LPAD('7', 3, '0') || RPAD('7', 3, '0')", "\"007700\"");
        check("REVERSE('ab')", "\"ba\"");
        check("CONCAT_WS(', ', 'a', 'b')", "\"a, b\"");
        check("COALESCE(NULLIF(TRIM(t), ''), 'x')", "\"Ab-c\"");
        check("CASE WHEN n < 0 THEN 0 ELSE n END", "0");
        check("GREATEST(n, 0) + LEAST(n, 0) + ABS(n)", "0");
        check("ROUND(n / 2, 1)", "-3.5");
        check("TRUNC(n / 2) + SIGN(n) + MOD(9, 4)", "-3.0");
        check("CAST(n AS VARCHAR)", "\"-7\"");
        check("IF(n = -7, 'y', 'n')", "\"y\"");
        check("REGEXP_LIKE(t, 'b-')", "true");
        check("STARTS_WITH(TRIM(t), 'Ab') AND ENDS_WITH(TRIM(t), 'c')", "true");
        check("t LIKE '%b-%' AND t NOT ILIKE '%X%'", "true");
        check("EXTRACT(year FROM d) * 100 + DATE_PART('month', d)", "202601");
        check("STRFTIME(d, '%d.%m.%Y')", "\"31.01.2026\"");
        check("d >= DATE('2026-01-31')", "true");
        check("NORMALIZE(TRIM(t))", "\"Ab-c\"");
    }

    #[test]
    fn functions_of_ours_stand_anywhere_in_an_expression() {
        let data = df!("t" => [Some("anna BERG"), Some(""), None], "n" => [7_i64, 8, 9]).unwrap();
        let check = |text: &str, expected: [&str; 3]| assert_eq!(evaluate(text, &data), expected, "{text}");
        check("InitCap(t)", ["\"Anna Berg\"", "\"\"", "null"]);
        check("UPPER(initcap(LOWER(t))) || 'x'", ["\"ANNA BERGx\"", "\"x\"", "null"]);
        check("initcap(substring_after(t, 'a ')) = 'Berg'", ["true", "false", "null"]);
        check("initcap('a b')", ["\"A B\""; 3]);
        check("CASE WHEN initcap(t) = '' THEN initcap('none') ELSE t END", ["\"anna BERG\"", "\"None\"", "null"]);
        check("round_to(n, 5, '=') + 1", ["6.0000000000", "11.0000000000", "11.0000000000"]);
        check("EXTRACT(year FROM parse_date('31.12.26', 'dd.MM.yy')) + n", ["2033", "2034", "2035"]);
        check("substring_before(TRIM(BOTH 'a' FROM t), ' ') || 'O''B'", ["\"nnaO'B\"", "\"O'B\"", "null"]);
        check("try_parse_date(t, 'yyyyMMdd') IS NULL OR t IN ('a', 'b')", ["true"; 3]);
        let none = data.head(Some(0));
        assert_eq!(evaluate("initcap(t) || initcap('x')", &none), Vec::<String>::new());
        let wrong = told(&Expression::parse("initcap(n)").unwrap().evaluate(&none).unwrap_err());
        assert_eq!(wrong.as_deref(), Some("`initcap` takes a text, not a whole number"));
        let parsing = Expression::parse("parse_decimal(t, ',')").unwrap();
        assert_eq!(parsing.evaluate(&data).unwrap().faults, [0]);
        let wrong = parsing.reason(&data.head(Some(1)));
        assert_eq!(wrong.as_deref(), Some("`anna BERG` is no number with `,` before its decimals"));
        assert_eq!(parsing.reason(&data.slice(1, 1)), None);
    }

    #[test]
    fn every_listed_function_is_known() {
        for name in reading::OF_ONE_ROW {
            if let Err(error) = polars::sql::sql_expr(format!("{name}(a)")) {
                assert!(!error.to_string().contains("unsupported function"), "{name}: {error}");
            }
        }
    }
}

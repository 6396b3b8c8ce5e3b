//! Exact decimals out of texts, and rounding to any precision.
//!
//! A number is a whole number of units of the last of [`SCALE`] digits. In go texts, out come numbers, or why a text is
//! none: digits that do not fit are an error, never cut. What a column's own scale does to them is not known here.

/// Digits after the point.
pub(super) const SCALE: u32 = 10;
const UNIT: i128 = 10_i128.pow(SCALE);
/// Digits before the point; whole numbers of this length are exact on both sides.
const WHOLE_MAX: usize = 18;

/// Where a number goes that lies between two multiples of the precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// To the nearer one, and away from zero in the middle.
    Nearest,
    Down,
    Up,
}

impl Direction {
    /// Reads `=`, `<` or `>`.
    pub(super) fn read(text: &str) -> Option<Direction> {
        Some(match text {
            "=" => Direction::Nearest,
            "<" => Direction::Down,
            ">" => Direction::Up,
            _ => return None,
        })
    }
}

/// Reads a number as people write it, with `mark` before the decimals; blank is `None`.
///
/// Groups are of three digits; between them stands a blank, an apostrophe or the other one of point and comma.
pub(super) fn written(text: &str, mark: char) -> Result<Option<i128>, String> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Ok(None);
    }
    let wrong = || format!("`{trimmed}` is no number with `{mark}` before its decimals");
    let digits = match trimmed.strip_suffix('-') {
        Some(digits) => format!("-{}", digits.trim_end()),
        None => trimmed.to_owned(),
    };
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", digits.strip_prefix('+').unwrap_or(&digits)),
    };
    let (whole, fraction) = digits.split_once(mark).unwrap_or((digits, ""));
    let other = if mark == ',' { '.' } else { ',' };
    let is_break =
        |character: char| character == other || matches!(character, ' ' | '\u{a0}' | '\u{202f}' | '\'' | '’');
    if let Some(used) = whole.chars().find(|character| is_break(*character)) {
        let mut groups = whole.split(used);
        let first = groups.next().unwrap_or_default();
        if !(1..=3).contains(&first.len()) || groups.any(|group| group.len() != 3) {
            return Err(wrong());
        }
    }
    let whole: String = whole.chars().filter(|character| !is_break(*character)).collect();
    let plain_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !plain_digits(&whole) || !plain_digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return Err(wrong());
    }
    plain(&format!("{sign}{whole}.{fraction}"))
}

/// Reads a number with a point before its decimals and no groups; blank is `None`.
pub(super) fn plain(text: &str) -> Result<Option<i128>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if (whole.is_empty() && fraction.is_empty()) || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return Err(format!("`{text}` is no number"));
    }
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    if whole.len() > WHOLE_MAX || fraction.len() > SCALE as usize {
        return Err(format!("`{text}` has more than {WHOLE_MAX} digits before its point or {SCALE} behind it"));
    }
    let units = format!("{whole}{fraction:0<width$}", width = SCALE as usize);
    let units: i128 = units.parse().map_err(|_| format!("`{text}` is no number"))?;
    Ok(Some(if negative { -units } else { units }))
}

/// Rounds a number to a multiple of `precision`, which is above 0.
pub(super) fn round(value: i128, precision: i128, direction: Direction) -> Result<i128, String> {
    let (below, rest) = (value.div_euclid(precision), value.rem_euclid(precision));
    let up = match direction {
        Direction::Down => false,
        Direction::Up => rest > 0,
        Direction::Nearest => 2 * rest > precision || (2 * rest == precision && value >= 0),
    };
    let rounded = (below + i128::from(up)).checked_mul(precision);
    rounded.ok_or_else(|| format!("{} cannot be rounded", value / UNIT))
}

/// Writes `units` of the last of `scale` digits.
pub(super) fn digits(units: i128, scale: usize) -> String {
    let sign = if units < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", units.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    format!("{sign}{whole}.{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_they_are_written() {
        let check = |text: &str, mark: char, expected: Option<&str>| {
            let read = written(text, mark).ok().map(|units| units.map_or_else(String::new, |units| digits(units, 10)));
            let read = read.map(|read| read.trim_end_matches('0').trim_end_matches('.').to_owned());
            assert_eq!(read.as_deref(), expected, "{text} with {mark}");
        };
        check("1.234,56", ',', Some("1234.56"));
        check("1,234.56", '.', Some("1234.56"));
        check("1 234 567,8", ',', Some("1234567.8"));
        check("1\u{a0}234", ',', Some("1234"));
        check("1'234.5", '.', Some("1234.5"));
        check("-12", ',', Some("-12"));
        check("12,5-", ',', Some("-12.5"));
        check("+,5", ',', Some("0.5"));
        check(" ", ',', Some(""));
        // A group that is none is a decimal mark of another country.
        check("1,5", '.', None);
        check("1.5", ',', None);
        check("1.2345", ',', None);
        check("1.234.56", ',', None);
        check("1,234,567", ',', None);
        check("abc", ',', None);
        check("-", ',', None);
        check("12 kg", ',', None);
        check("1234567890123456789", '.', None);
        check("0.12345678901", '.', None);
        check("0.12345678900", '.', Some("0.123456789"));
    }

    #[test]
    fn rounding_goes_where_it_is_told() {
        let check = |value: &str, precision: &str, expected: [&str; 3]| {
            let number = |text: &str| plain(text).unwrap().unwrap();
            let told = [Direction::Nearest, Direction::Down, Direction::Up]
                .map(|direction| round(number(value), number(precision), direction).unwrap());
            assert_eq!(told, expected.map(number), "{value} to {precision}");
        };
        check("1234.56789", "0.01", ["1234.57", "1234.56", "1234.57"]);
        check("1.025", "0.05", ["1.05", "1", "1.05"]);
        check("-1.025", "0.05", ["-1.05", "-1.05", "-1"]);
        check("149", "100", ["100", "100", "200"]);
        check("2", "0.5", ["2", "2", "2"]);
    }
}

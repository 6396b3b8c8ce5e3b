//! Patterns of dates, such as `dd.MM.yyyy HH:mm`: parts of a date in, texts read and written by them out.
//!
//! The letters are those that data formats have in the ERP. Reading is exact: two letters stand for two digits, one
//! letter for one or two; names of months and days are English. A moment without an offset is UTC.

use chrono::{Datelike, NaiveDate, NaiveDateTime, TimeDelta, Timelike};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Year,
    Month,
    Day,
    /// 0 to 23.
    Hour,
    /// 1 to 12, with [`Part::Half`].
    Hour12,
    Minute,
    Second,
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Literal(char),
    /// A number of so many digits; 1 stands for one or two.
    Number(Field, usize),
    MonthName {
        short: bool,
    },
    DayName {
        short: bool,
    },
    Fraction(usize),
    /// AM or PM.
    Half,
    /// `Z`, or hours and minutes east of Greenwich.
    Offset,
}

/// A pattern that was read.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    written: String,
    parts: Vec<Part>,
}

impl Pattern {
    /// Reads a pattern, or says what in it is no part of a date.
    pub(super) fn read(written: &str) -> Result<Pattern, String> {
        let letters: Vec<char> = written.chars().collect();
        let mut parts = Vec::new();
        let mut at = 0;
        while at < letters.len() {
            let letter = letters[at];
            if matches!(letter, '\'' | '"') {
                let end = letters[at + 1..].iter().position(|other| *other == letter);
                let end = end.ok_or_else(|| format!("`{written}` has a quote that does not end"))?;
                parts.extend(letters[at + 1..at + 1 + end].iter().copied().map(Part::Literal));
                at += end + 2;
                continue;
            }
            if letter == '\\' && at + 1 < letters.len() {
                parts.push(Part::Literal(letters[at + 1]));
                at += 2;
                continue;
            }
            let count = letters[at..].iter().take_while(|other| **other == letter).count();
            parts.push(match (letter, count) {
                ('y', 2 | 4) => Part::Number(Field::Year, count),
                ('M', 1 | 2) => Part::Number(Field::Month, count),
                ('M', 3 | 4) => Part::MonthName { short: count == 3 },
                ('d', 1 | 2) => Part::Number(Field::Day, count),
                ('d', 3 | 4) => Part::DayName { short: count == 3 },
                ('H', 1 | 2) => Part::Number(Field::Hour, count),
                ('h', 1 | 2) => Part::Number(Field::Hour12, count),
                ('m', 1 | 2) => Part::Number(Field::Minute, count),
                ('s', 1 | 2) => Part::Number(Field::Second, count),
                ('f', 1..=9) => Part::Fraction(count),
                ('t', 2) => Part::Half,
                ('K', 1) | ('z', 3) => Part::Offset,
                (letter, _) if !letter.is_ascii_alphabetic() || matches!(letter, 'T' | 'Z') => {
                    parts.push(Part::Literal(letter));
                    at += 1;
                    continue;
                }
                _ => {
                    let wrong: String = letters[at..at + count].iter().collect();
                    return Err(format!(
                        "`{wrong}` is no part of a date; the parts are yyyy yy MMMM MMM MM M dddd ddd dd d HH H hh h mm m \
                         ss s f… tt K"
                    ));
                }
            });
            at += count;
        }
        Ok(Pattern { written: written.to_owned(), parts })
    }

    /// Refuses a pattern that leaves year, month or day open.
    pub(super) fn names_a_day(&self) -> Result<(), String> {
        let has = |field: Field| self.parts.iter().any(|part| matches!(part, Part::Number(own, _) if *own == field));
        let month = has(Field::Month) || self.parts.iter().any(|part| matches!(part, Part::MonthName { .. }));
        for (found, what) in [(has(Field::Year), "year"), (month, "month"), (has(Field::Day), "day")] {
            if !found {
                return Err(format!("`{}` has no {what}", self.written));
            }
        }
        Ok(())
    }

    /// Reads a text, all of it; `None` where it does not follow the pattern or is no day of the calendar.
    pub(super) fn parse(&self, text: &str) -> Option<NaiveDateTime> {
        let mut rest = text;
        let (mut year, mut month, mut day) = (1, 1, 1);
        let (mut hour, mut minute, mut second, mut nanosecond) = (0, 0, 0, 0);
        let (mut half, mut offset, mut weekday) = (None, 0, None);
        for part in &self.parts {
            match part {
                Part::Literal(letter) => rest = rest.strip_prefix(*letter)?,
                Part::Number(field, digits) => {
                    let number = number(&mut rest, *digits)?;
                    match field {
                        // As the ERP's runtime reads it: the century turns at 50.
                        Field::Year if *digits == 2 => year = number + if number < 50 { 2000 } else { 1900 },
                        Field::Year => year = number,
                        Field::Month => month = number,
                        Field::Day => day = number,
                        Field::Hour => hour = number,
                        Field::Hour12 => hour = Some(number).filter(|hour| (1..=12).contains(hour))?,
                        Field::Minute => minute = number,
                        Field::Second => second = number,
                    }
                }
                Part::MonthName { short } => month = name(&mut rest, &MONTHS, *short)? + 1,
                Part::DayName { short } => weekday = Some(name(&mut rest, &DAYS, *short)?),
                Part::Fraction(digits) => {
                    let exactly = rest.get(..*digits).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
                    rest = &rest[*digits..];
                    nanosecond = format!("{exactly:0<9}").parse().ok()?;
                }
                Part::Half => {
                    let word = rest.get(..2)?.to_ascii_uppercase();
                    rest = &rest[2..];
                    half = Some(["AM", "PM"].iter().position(|known| *known == word)?);
                }
                Part::Offset => offset = minutes_east(&mut rest)?,
            }
        }
        if let Some(half) = half {
            hour = hour % 12 + if half == 1 { 12 } else { 0 };
        }
        let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok().filter(|year| *year > 0)?, month, day)?;
        let fits = weekday.is_none_or(|weekday| date.weekday().num_days_from_monday() == weekday);
        let at = date.and_hms_nano_opt(hour, minute, second, nanosecond)?;
        let at = at.checked_sub_signed(TimeDelta::minutes(offset))?;
        (rest.is_empty() && fits && (1..=9999).contains(&at.year())).then_some(at)
    }

    /// Writes a moment.
    pub(super) fn format(&self, at: NaiveDateTime) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(letter) => out.push(*letter),
                Part::Number(field, digits) => {
                    let number = match field {
                        Field::Year if *digits == 2 => at.year().unsigned_abs() % 100,
                        Field::Year => at.year().unsigned_abs(),
                        Field::Month => at.month(),
                        Field::Day => at.day(),
                        Field::Hour => at.hour(),
                        Field::Hour12 => at.hour12().1,
                        Field::Minute => at.minute(),
                        Field::Second => at.second(),
                    };
                    out.push_str(&format!("{number:0digits$}"));
                }
                Part::MonthName { short } => out.push_str(cut(MONTHS[at.month0() as usize], *short)),
                Part::DayName { short } => {
                    out.push_str(cut(DAYS[at.weekday().num_days_from_monday() as usize], *short));
                }
                Part::Fraction(digits) => out.push_str(&format!("{:09}", at.nanosecond())[..*digits]),
                Part::Half => out.push_str(if at.hour12().0 { "PM" } else { "AM" }),
                Part::Offset => out.push('Z'),
            }
        }
        out
    }
}

/// Takes a number of exactly so many digits, or of one or two.
fn number(rest: &mut &str, digits: usize) -> Option<u32> {
    let found = rest.bytes().take_while(u8::is_ascii_digit).count();
    let length = if digits == 1 { found.min(2) } else { digits };
    if length == 0 || found < length {
        return None;
    }
    let number = rest[..length].parse().ok()?;
    *rest = &rest[length..];
    Some(number)
}

/// Takes a name of a list, without regard to case, and returns its place.
fn name(rest: &mut &str, names: &[&str], short: bool) -> Option<u32> {
    for (place, name) in names.iter().enumerate() {
        let name = cut(name, short);
        if rest.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)) {
            *rest = &rest[name.len()..];
            return u32::try_from(place).ok();
        }
    }
    None
}

fn cut(name: &str, short: bool) -> &str {
    if short { &name[..3] } else { name }
}

fn minutes_east(rest: &mut &str) -> Option<i64> {
    if let Some(behind) = rest.strip_prefix('Z') {
        *rest = behind;
        return Some(0);
    }
    let sign = match rest.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    *rest = &rest[1..];
    let hours = number(rest, 2)?;
    *rest = rest.strip_prefix(':').unwrap_or(rest);
    let minutes = number(rest, 2)?;
    (hours <= 14 && minutes < 60).then(|| sign * i64::from(hours * 60 + minutes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_and_written_by_their_patterns() {
        let check = |pattern: &str, text: &str, expected: Option<&str>, again: &str| {
            let pattern = Pattern::read(pattern).expect(pattern);
            let read = pattern.parse(text);
            assert_eq!(read.map(|at| at.to_string()).as_deref(), expected, "{text} by {pattern:?}");
            if let Some(at) = read {
                assert_eq!(pattern.format(at), again, "{text} by {pattern:?}");
            }
        };
        check("dd.MM.yyyy", "31.01.2026", Some("2026-01-31 00:00:00"), "31.01.2026");
        check("dd.MM.yyyy", "1.1.2026", None, "");
        check("d.M.yyyy", "1.12.2026", Some("2026-12-01 00:00:00"), "1.12.2026");
        check("d.M.yyyy", "31.02.2026", None, "");
        check("dd.MM.yyyy", "31.01.2026 ", None, "");
        check("M/d/yy", "5/3/13", Some("2013-05-03 00:00:00"), "5/3/13");
        check("M/d/yy", "5/3/50", Some("1950-05-03 00:00:00"), "5/3/50");
        check("yyyyMMdd", "20260131", Some("2026-01-31 00:00:00"), "20260131");
        check("yyyyMMddHHmmss", "20260131221005", Some("2026-01-31 22:10:05"), "20260131221005");
        check(
            "yyyy-MM-ddTHH:mm:ss.fffK",
            "2026-01-31T22:10:05.123+02:00",
            Some("2026-01-31 20:10:05.123"),
            "2026-01-31T20:10:05.123Z",
        );
        check(
            "dddd, d MMMM yyyy",
            "saturday, 31 january 2026",
            Some("2026-01-31 00:00:00"),
            "Saturday, 31 January 2026",
        );
        check("dddd, d MMMM yyyy", "Sunday, 31 January 2026", None, "");
        check("d MMM yyyy h:mm tt", "1 Feb 2026 12:05 am", Some("2026-02-01 00:05:00"), "1 Feb 2026 12:05 AM");
        check("d MMM yyyy h:mm tt", "1 Feb 2026 1:05 PM", Some("2026-02-01 13:05:00"), "1 Feb 2026 1:05 PM");
        check("d MMM yyyy h:mm tt", "1 Feb 2026 13:05 PM", None, "");
        check("'d'dd\\MMM yyyy", "d31M01 2026", Some("2026-01-31 00:00:00"), "d31M01 2026");
        check("yyyy-MM-dd", "0000-01-01", None, "");
        check("yyyy-MM-dd", "æøå", None, "");
    }

    #[test]
    fn a_pattern_that_is_none_is_told() {
        let told = |pattern: &str| Pattern::read(pattern).and_then(|pattern| pattern.names_a_day()).unwrap_err();
        assert!(told("DD.MM.YYYY").starts_with("`DD` is no part of a date"));
        assert!(told("yyyyy-MM-dd").starts_with("`yyyyy` is no part of a date"));
        assert_eq!(told("MM/dd"), "`MM/dd` has no year");
        assert_eq!(told("HH:mm"), "`HH:mm` has no year");
        assert_eq!(told("yyyy"), "`yyyy` has no month");
        assert_eq!(told("yyyy MMM"), "`yyyy MMM` has no day");
        assert_eq!(told("yyyy 'x"), "`yyyy 'x` has a quote that does not end");
    }
}

//! What answers tell besides what they were asked for: how late it is there, how long to wait, which limit was met.
//!
//! In go answers and their headers; nothing is sent here, and nothing is waited for.

use std::sync::PoisonError;
use std::time::Duration;

use crate::adapters::client::Client;
use crate::adapters::clock::{Observed, offset, retry_after};
use crate::adapters::http::{Answer, header};
use crate::adapters::limiter::{Facet, Met};
use crate::endpoint::Line;

impl Client {
    /// Learns from an answer how late it is there. What is not from the service itself (a gateway that is overloaded, say) may
    /// have another clock.
    pub(super) fn observe(&self, answer: &Answer, began: Duration, ended: Duration) {
        if answer.is_success()
            && let Some(told) = offset(answer.header("date"), began, ended)
        {
            let mut known = self.observed.lock().unwrap_or_else(PoisonError::into_inner);
            *known = Some(Observed::with(*known, told));
        }
    }

    /// Returns how long headers ask to wait; where several do, who passed it on among them, the longest of it.
    pub(super) fn asked(&self, headers: &[(String, String)]) -> Option<Duration> {
        // By the side's clock at the earliest, if it is known: a wait that is a second too long does no harm.
        let ahead_ms = self.clock_offset().filter(|offset| offset.steady).map_or(0, |offset| offset.ms_min);
        let now = self.clock.now();
        let ahead = Duration::from_millis(ahead_ms.unsigned_abs());
        let now = if ahead_ms < 0 { now.saturating_sub(ahead) } else { now.saturating_add(ahead) };
        let date = header(headers, "date");
        let asked = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("retry-after"));
        asked.filter_map(|(_, value)| retry_after(Some(value), date, now)).max()
    }

    /// Returns how long parts of an answer ask to wait, each by its headers: the longest of it.
    pub(super) fn asked_by_parts<'a>(&self, parts: impl Iterator<Item = &'a [(String, String)]>) -> Option<Duration> {
        parts.filter_map(|headers| self.asked(headers)).max()
    }
}

/// Tells whether a side wants rest: it says that there was too much, or how long it is away.
pub(super) fn wants_rest(answer: &Answer, asked: Option<Duration>) -> bool {
    answer.status == 429 || (asked.is_some() && is_transient(answer.status))
}

/// Returns which limit a 429 speaks of, by the codes of Dataverse, and what it says of it (crm-api.md §15); others do not say.
pub(super) fn met(answer: &Answer) -> Option<Met> {
    let fault = answer.fault();
    let facet = match fault.code.as_str() {
        "0x80072322" => Facet::Requests,
        "0x80072321" => Facet::Time,
        "0x80072326" => Facet::Concurrency,
        _ => return None,
    };
    let number = |before: &str| {
        let (_, rest) = fault.message.split_once(before)?;
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != ',').unwrap_or(rest.len());
        rest[..end].replace(',', "").parse::<u32>().ok().filter(|number| *number > 0)
    };
    let granted = number("limit of ").map(f64::from);
    let granted = if facet == Facet::Time { granted.map(|milliseconds| milliseconds / 1_000.0) } else { granted };
    let window = number("time window of ").map(|seconds| Duration::from_secs(u64::from(seconds)));
    Some(Met { facet, granted, window })
}

/// Tells whether a status says that the same read may succeed later.
///
/// 500 is among them: the ERP answers it for a restarting service, the CRM for a database deadlock (erp-api.md §6,
/// crm-api.md §4).
pub(super) fn is_transient(status: u16) -> bool {
    matches!(status, 408 | 500 | 502 | 503 | 504)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In the vendor's words (crm-api.md §15).
    #[test]
    fn a_refusal_says_which_limit_was_met_and_what_it_is() {
        let time = "Combined execution time of incoming requests exceeded limit of 1,200,000 milliseconds over time window \
                    of 300 seconds. Decrease number of concurrent requests or reduce the duration of requests and try \
                    again later.";
        let window = Some(Duration::from_secs(300));
        let met = |facet, granted, window| Some(Met { facet, granted, window });
        for (code, message, expected) in [
            (
                "0x80072322",
                "Number of requests exceeded the limit of 6000 over time window of 300 seconds.",
                met(Facet::Requests, Some(6_000.0), window),
            ),
            ("0x80072321", time, met(Facet::Time, Some(1_200.0), window)),
            (
                "0x80072326",
                "Number of concurrent requests exceeded the limit of 52.",
                met(Facet::Concurrency, Some(52.0), None),
            ),
            ("0x80072322", "zu viele Anfragen", met(Facet::Requests, None, None)),
            (
                "0x80072322",
                "exceeded the limit of 0 over time window of many seconds",
                met(Facet::Requests, None, None),
            ),
            ("Application_TooManyRequests", "Too many requests reached. Actual (101). Maximum (100).", None),
        ] {
            let body = format!(r#"{{"error":{{"code":"{code}","message":"{message}"}}}}"#);
            let answer = Answer { status: 429, headers: Vec::new(), body: body.into_bytes() };
            assert_eq!(super::met(&answer), expected, "{message}");
        }
    }
}

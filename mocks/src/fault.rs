//! Faults asked for by name, and the plan that says which request meets which.
//!
//! In: a service, a plan and one request. Out: the response and what is to happen to it on its way back. A fault never
//! changes what the service is: one that comes "before" leaves the state alone, one that comes "after" lets the service
//! answer and then hides the answer. A plan is deterministic: the same requests in the same order meet the same faults.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::filter;
use crate::service::{Request, Response, Service};

/// Something that goes wrong between a caller and a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// 429 with `Retry-After`; until then every further API request gets it too.
    Throttled,
    /// One 429 without `Retry-After`.
    ThrottledPlain,
    /// All tokens expire just before the request.
    ExpiredToken,
    /// 503 with an HTML body, before a write is applied.
    UnavailableBefore,
    /// 503 with an HTML body, after a write was applied.
    UnavailableAfter,
    /// The connection closes without an answer, before a write is applied.
    DroppedBefore,
    /// The connection closes without an answer, after a write was applied.
    DroppedAfter,
    /// A page comes late.
    SlowPage,
    /// A page ends in the middle of its body.
    TruncatedPage,
    /// The first record of a page comes with a value that is none of its column.
    SpoiltValue,
    /// A person edits the record just before the write arrives.
    StaleEtag,
    /// The first half of a `$batch` is applied, then the connection closes.
    HalfBatch,
    /// All change tokens grow too old just before a read of changes.
    ExpiredChanges,
    /// 504 with an HTML body: the gateway gave up waiting, and a write was applied all the same.
    TimedOut,
    /// All tokens expire just before the request, and the fresh one is refused as well.
    LockedOut,
    /// The caller is no user there any more.
    NotAMember,
    /// The database times out over a write: in the midst of a `$batch`, or over all of it.
    SqlTimeout,
    /// A gateway finds a request with a body too large.
    TooLarge,
    /// A `$batch` is refused as it stands, before any of it is read.
    BatchRefused,
    /// The host goes away in the middle of a request: from then on nobody listens at its port.
    Gone,
}

impl Fault {
    /// All faults, in the order of their names' groups.
    pub const ALL: [Fault; 20] = [
        Fault::Throttled,
        Fault::ThrottledPlain,
        Fault::ExpiredToken,
        Fault::UnavailableBefore,
        Fault::UnavailableAfter,
        Fault::DroppedBefore,
        Fault::DroppedAfter,
        Fault::SlowPage,
        Fault::TruncatedPage,
        Fault::SpoiltValue,
        Fault::StaleEtag,
        Fault::HalfBatch,
        Fault::ExpiredChanges,
        Fault::TimedOut,
        Fault::LockedOut,
        Fault::NotAMember,
        Fault::SqlTimeout,
        Fault::TooLarge,
        Fault::BatchRefused,
        Fault::Gone,
    ];

    fn name(self) -> &'static str {
        match self {
            Fault::Throttled => "throttled",
            Fault::ThrottledPlain => "throttled-plain",
            Fault::ExpiredToken => "expired-token",
            Fault::UnavailableBefore => "unavailable-before",
            Fault::UnavailableAfter => "unavailable-after",
            Fault::DroppedBefore => "dropped-before",
            Fault::DroppedAfter => "dropped-after",
            Fault::SlowPage => "slow-page",
            Fault::TruncatedPage => "truncated-page",
            Fault::SpoiltValue => "spoilt-value",
            Fault::StaleEtag => "stale-etag",
            Fault::HalfBatch => "half-batch",
            Fault::ExpiredChanges => "expired-changes",
            Fault::TimedOut => "timed-out",
            Fault::LockedOut => "locked-out",
            Fault::NotAMember => "not-a-member",
            Fault::SqlTimeout => "sql-timeout",
            Fault::TooLarge => "too-large",
            Fault::BatchRefused => "batch-refused",
            Fault::Gone => "gone",
        }
    }

    /// Tells whether the caller is turned away at the door, or finds none.
    pub fn turns_away(self) -> bool {
        matches!(self, Fault::LockedOut | Fault::NotAMember | Fault::Gone)
    }

    /// Tells whether patience is all it takes: neither is the caller turned away, nor is anything wrong with what comes in the
    /// end.
    pub fn passes(self) -> bool {
        !self.turns_away() && self != Fault::SpoiltValue
    }

    /// Tells whether the fault can happen to this API request.
    fn meets(self, request: &Request) -> bool {
        let (path, _) = filter::query(&request.target);
        let last = path.rsplit('/').next().unwrap_or_default();
        match self {
            Fault::Throttled
            | Fault::ThrottledPlain
            | Fault::ExpiredToken
            | Fault::TimedOut
            | Fault::LockedOut
            | Fault::NotAMember
            | Fault::Gone => true,
            // A page is a read of a set; `$metadata`, functions and single records are none.
            Fault::SlowPage | Fault::TruncatedPage | Fault::SpoiltValue => {
                request.method == "GET" && last.starts_with(|c: char| c.is_ascii_lowercase()) && !last.contains('(')
            }
            Fault::HalfBatch | Fault::BatchRefused => request.method == "POST" && last == "$batch",
            Fault::ExpiredChanges => request.method == "GET" && request.target.contains("$deltatoken="),
            _ => request.method != "GET",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no fault's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownFault(pub String);

impl fmt::Display for UnknownFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = Fault::ALL.iter().map(|fault| fault.name()).collect();
        write!(f, "no fault is named '{}'; there are {}", self.0, names.join(", "))
    }
}

impl std::error::Error for UnknownFault {}

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        Fault::ALL.into_iter().find(|fault| fault.name() == text).ok_or_else(|| UnknownFault(text.into()))
    }
}

/// What only the service itself can do for a fault.
pub trait Faulty: Service {
    /// Tells whether a request is for the token endpoint, which no fault touches.
    fn is_token(&self, request: &Request) -> bool;
    /// Phrases a 429, and notes that a request came.
    fn throttled(&mut self, retry_after: Option<u64>) -> Response;
    /// Lets all tokens expire.
    fn expire_tokens(&mut self);
    /// Lets all change tokens grow too old; a service without change tracking has none.
    fn expire_changes(&mut self) {}
    /// Refuses a caller who is no user.
    fn stranger(&mut self) -> Response {
        Response { status: 403, ..Response::default() }
    }
    /// Answers a write over which the database times out; what is done of it is the service's affair.
    fn timed_out(&mut self, _request: &Request) -> Response {
        Response { status: 500, ..Response::default() }
    }
    /// Refuses a `$batch` as it stands.
    fn refuse_batch(&mut self) -> Response {
        Response { status: 400, ..Response::default() }
    }
    /// Returns how long the last answer took, where that is simulated, and forgets it.
    fn took(&mut self) -> Duration {
        Duration::ZERO
    }
    /// Edits, as a person would, the first existing record that a write is about to change.
    fn touch(&mut self, request: &Request);
    /// Returns the same `$batch` with the first half of its operations.
    fn half(&self, request: &Request) -> Request;
}

/// What happens to a response on its way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    Whole,
    /// Sent after a delay.
    Late(Duration),
    /// Never sent; the connection closes.
    Dropped,
    /// Never sent; all connections close, and the port.
    Gone,
    /// Closed in the middle of the body.
    Truncated,
}

/// The plan, and what of it has happened.
#[derive(Debug, Clone)]
pub struct Faults {
    once: Vec<(Fault, u64)>,
    lasting: Vec<(Fault, u64)>,
    seeded: Option<Seeded>,
    /// The seconds that a 429 or 503 asks to wait.
    pub retry_after: u64,
    /// How late a slow page comes.
    pub delay: Duration,
    met: BTreeMap<Fault, u64>,
    applied: BTreeMap<Fault, u64>,
    throttled_until: Option<Instant>,
    impatient: u64,
    requests: u64,
    locked_out: bool,
}

#[derive(Debug, Clone)]
struct Seeded {
    state: u64,
    rate: f64,
    faults: Vec<Fault>,
}

impl Default for Faults {
    fn default() -> Self {
        Self::none()
    }
}

impl Faults {
    /// No faults.
    pub fn none() -> Self {
        Self {
            once: Vec::new(),
            lasting: Vec::new(),
            seeded: None,
            retry_after: 1,
            delay: Duration::from_secs(1),
            met: BTreeMap::new(),
            applied: BTreeMap::new(),
            throttled_until: None,
            impatient: 0,
            requests: 0,
            locked_out: false,
        }
    }

    /// One fault, at the nth request that it can happen to, counted from 1.
    pub fn once(fault: Fault, nth: u64) -> Self {
        Self::none().and(fault, nth)
    }

    /// Adds one more fault to the plan.
    pub fn and(mut self, fault: Fault, nth: u64) -> Self {
        self.once.push((fault, nth));
        self
    }

    /// Adds a fault that happens from the nth request on that it can happen to, counted from 1, and does not end.
    pub fn from(mut self, fault: Fault, nth: u64) -> Self {
        self.lasting.push((fault, nth));
        self
    }

    /// Lets each API request meet one of the faults with a probability of `rate`.
    pub fn seeded(seed: u64, rate: f64, faults: &[Fault]) -> Self {
        Self { seeded: Some(Seeded { state: seed, rate, faults: faults.to_vec() }), ..Self::none() }
    }

    /// Lets each API request meet, with a probability of `rate`, any fault that a caller can outlast.
    pub fn noise(seed: u64, rate: f64) -> Self {
        let outlasted: Vec<Fault> = Fault::ALL.into_iter().filter(|fault| fault.passes()).collect();
        Self::seeded(seed, rate, &outlasted)
    }

    /// Returns how often each fault has happened.
    pub fn applied(&self) -> &BTreeMap<Fault, u64> {
        &self.applied
    }

    /// Returns how many requests came before the end of a `Retry-After`.
    pub fn impatient(&self) -> u64 {
        self.impatient
    }

    /// Returns how many requests came in all, also those that never reached the service.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    fn draw(&mut self, request: &Request) -> Option<Fault> {
        let mut found = None;
        for fault in Fault::ALL.into_iter().filter(|fault| fault.meets(request)) {
            let met = self.met.entry(fault).or_default();
            *met += 1;
            let lasts = self.lasting.iter().any(|(lasting, nth)| *lasting == fault && *met >= *nth);
            if lasts || self.once.contains(&(fault, *met)) {
                found = found.or(Some(fault));
            }
        }
        if found.is_none()
            && let Some(seeded) = &mut self.seeded
            && seeded.unit() < seeded.rate
        {
            let possible: Vec<_> = seeded.faults.iter().copied().filter(|fault| fault.meets(request)).collect();
            let pick = seeded.unit() * possible.len() as f64;
            found = possible.get(pick as usize).copied();
        }
        if let Some(fault) = found {
            *self.applied.entry(fault).or_default() += 1;
        }
        found
    }

    /// Returns the whole seconds left of a `Retry-After`, if one is running.
    fn wait(&mut self) -> Option<u64> {
        let left = self.throttled_until?.checked_duration_since(Instant::now());
        match left {
            Some(left) if !left.is_zero() => Some(left.as_secs() + u64::from(left.subsec_nanos() > 0)),
            _ => {
                self.throttled_until = None;
                None
            }
        }
    }
}

impl Seeded {
    /// Draws a number in 0..1 (SplitMix64).
    fn unit(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Answers a request under a plan of faults.
pub fn answer<S: Faulty + ?Sized>(service: &mut S, faults: &mut Faults, request: &Request) -> (Response, Delivery) {
    faults.requests += 1;
    if service.is_token(request) {
        return (service.answer(request), Delivery::Whole);
    }
    let (response, delivery) = under(service, faults, request);
    match service.took() {
        took if delivery == Delivery::Whole && !took.is_zero() => (response, Delivery::Late(took)),
        _ => (response, delivery),
    }
}

fn under<S: Faulty + ?Sized>(service: &mut S, faults: &mut Faults, request: &Request) -> (Response, Delivery) {
    if let Some(left) = faults.wait() {
        faults.impatient += 1;
        return (service.throttled(Some(left)), Delivery::Whole);
    }
    if std::mem::take(&mut faults.locked_out) {
        service.expire_tokens();
        return (service.answer(request), Delivery::Whole);
    }
    let Some(fault) = faults.draw(request) else {
        return (service.answer(request), Delivery::Whole);
    };
    match fault {
        Fault::Throttled => {
            faults.throttled_until = Some(Instant::now() + Duration::from_secs(faults.retry_after));
            (service.throttled(Some(faults.retry_after)), Delivery::Whole)
        }
        Fault::ThrottledPlain => (service.throttled(None), Delivery::Whole),
        Fault::ExpiredToken => {
            service.expire_tokens();
            (service.answer(request), Delivery::Whole)
        }
        Fault::TimedOut => {
            service.answer(request);
            let headers = vec![("Content-Type".into(), "text/html; charset=utf-8".into())];
            let body = "<html><head><title>504 Gateway Time-out</title></head></html>\r\n";
            (Response { status: 504, headers, body: body.into() }, Delivery::Whole)
        }
        Fault::UnavailableBefore => (unavailable(faults.retry_after), Delivery::Whole),
        Fault::UnavailableAfter => {
            service.answer(request);
            (unavailable(faults.retry_after), Delivery::Whole)
        }
        Fault::DroppedBefore => (Response::default(), Delivery::Dropped),
        Fault::DroppedAfter => {
            service.answer(request);
            (Response::default(), Delivery::Dropped)
        }
        Fault::Gone => (Response::default(), Delivery::Gone),
        Fault::SlowPage => (service.answer(request), Delivery::Late(faults.delay)),
        Fault::TruncatedPage => (service.answer(request), Delivery::Truncated),
        Fault::SpoiltValue => {
            let response = service.answer(request);
            (Response { body: spoilt(&response.body).unwrap_or(response.body), ..response }, Delivery::Whole)
        }
        Fault::StaleEtag => {
            service.touch(request);
            (service.answer(request), Delivery::Whole)
        }
        Fault::ExpiredChanges => {
            service.expire_changes();
            (service.answer(request), Delivery::Whole)
        }
        Fault::LockedOut => {
            faults.locked_out = true;
            service.expire_tokens();
            (service.answer(request), Delivery::Whole)
        }
        Fault::NotAMember => (service.stranger(), Delivery::Whole),
        Fault::SqlTimeout => (service.timed_out(request), Delivery::Whole),
        Fault::TooLarge => (too_large(), Delivery::Whole),
        Fault::BatchRefused => (service.refuse_batch(), Delivery::Whole),
        Fault::HalfBatch => {
            let half = service.half(request);
            service.answer(&half);
            (Response::default(), Delivery::Dropped)
        }
    }
}

/// Returns a page whose first record holds a number beyond all bounds, or a moment that is none; `None` where it has neither.
fn spoilt(body: &[u8]) -> Option<Vec<u8>> {
    let mut page: Value = serde_json::from_slice(body).ok()?;
    let record = page.get_mut("value")?.get_mut(0)?.as_object_mut()?;
    let is_moment =
        |value: &Value| value.as_str().is_some_and(|text| text.get(10..11) == Some("T") && text.ends_with('Z'));
    let own = || record.iter().filter(|(name, _)| !name.contains('@'));
    let number = own().find(|(_, value)| value.is_number()).map(|(name, _)| (name.clone(), "1e+999"));
    let moment =
        || own().find(|(_, value)| is_moment(value)).map(|(name, _)| (name.clone(), r#""2026-02-31T00:00:00Z""#));
    let (name, text) = number.or_else(moment)?;
    record[&name] = serde_json::from_str(text).expect("it is JSON");
    serde_json::to_vec(&page).ok()
}

fn too_large() -> Response {
    let body = "<!DOCTYPE html>\r\n<html><head><title>413 Request Entity Too Large</title></head></html>\r\n";
    let headers = vec![("Content-Type".into(), "text/html".into())];
    Response { status: 413, headers, body: body.into() }
}

fn unavailable(retry_after: u64) -> Response {
    let body = "<!DOCTYPE html>\r\n<html><head><title>Service Unavailable</title></head>\r\n\
                <body><h2>Our services aren't available right now</h2></body></html>\r\n";
    Response {
        status: 503,
        headers: vec![
            ("Content-Type".into(), "text/html; charset=utf-8".into()),
            ("Retry-After".into(), retry_after.to_string()),
        ],
        body: body.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts what reaches it.
    #[derive(Default)]
    struct Counter {
        answered: u32,
        expired: u32,
        touched: u32,
    }

    impl Service for Counter {
        fn answer(&mut self, request: &Request) -> Response {
            self.answered += if request.body == b"half" { 100 } else { 1 };
            Response { status: 200, ..Response::default() }
        }
    }

    impl Faulty for Counter {
        fn is_token(&self, request: &Request) -> bool {
            request.target == "/token"
        }

        fn throttled(&mut self, retry_after: Option<u64>) -> Response {
            let headers = retry_after.map(|seconds| ("Retry-After".to_string(), seconds.to_string()));
            Response { status: 429, headers: headers.into_iter().collect(), ..Response::default() }
        }

        fn expire_tokens(&mut self) {
            self.expired += 1;
        }

        fn touch(&mut self, _: &Request) {
            self.touched += 1;
        }

        fn half(&self, request: &Request) -> Request {
            Request { body: b"half".into(), ..request.clone() }
        }
    }

    fn request(method: &str, target: &str) -> Request {
        Request { method: method.into(), target: target.into(), ..Request::default() }
    }

    #[test]
    fn names_come_back() {
        for fault in Fault::ALL {
            assert_eq!(fault.to_string().parse(), Ok(fault));
        }
        assert!("nonsense".parse::<Fault>().unwrap_err().to_string().contains("half-batch"));
    }

    #[test]
    fn each_fault_applies_what_its_name_says() {
        let cases = [
            (Fault::ThrottledPlain, "GET", 429, 0, Delivery::Whole),
            (Fault::ExpiredToken, "GET", 200, 1, Delivery::Whole),
            (Fault::UnavailableBefore, "PATCH", 503, 0, Delivery::Whole),
            (Fault::UnavailableAfter, "PATCH", 503, 1, Delivery::Whole),
            (Fault::DroppedBefore, "PATCH", 0, 0, Delivery::Dropped),
            (Fault::DroppedAfter, "PATCH", 0, 1, Delivery::Dropped),
            (Fault::TruncatedPage, "GET", 200, 1, Delivery::Truncated),
            (Fault::StaleEtag, "PATCH", 200, 1, Delivery::Whole),
            (Fault::TimedOut, "PATCH", 504, 1, Delivery::Whole),
            (Fault::TimedOut, "GET", 504, 1, Delivery::Whole),
        ];
        for (fault, method, status, answered, delivery) in cases {
            let (mut service, mut faults) = (Counter::default(), Faults::once(fault, 1));
            let (response, way) = answer(&mut service, &mut faults, &request(method, "/api/customers"));
            assert_eq!((response.status, service.answered, way), (status, answered, delivery), "{fault}");
            assert_eq!(service.touched, u32::from(fault == Fault::StaleEtag));
            assert_eq!(service.expired, u32::from(fault == Fault::ExpiredToken));
            answer(&mut service, &mut faults, &request(method, "/api/customers"));
            assert_eq!(service.answered, answered + 1, "{fault} happens once");
        }
    }

    #[test]
    fn the_nth_matching_request_is_hit_and_others_are_not_counted() {
        let (mut service, mut faults) = (Counter::default(), Faults::once(Fault::HalfBatch, 2));
        for target in ["/api/customers", "/api/$batch", "/api/items", "/api/$batch"] {
            answer(&mut service, &mut faults, &request("POST", target));
        }
        assert_eq!(service.answered, 103);
        assert_eq!(faults.applied().get(&Fault::HalfBatch), Some(&1));
    }

    /// Everything else of the page stays as it is, to the digit.
    #[test]
    fn the_first_record_of_a_page_is_spoilt_and_nothing_else() {
        for (page, expected) in [
            (
                r#"{"@odata.context":"x","value":[{"@odata.count":1,"no":"1","credit":25.0000},{"no":"2","credit":1.50}]}"#,
                Some(
                    r#"{"@odata.context":"x","value":[{"@odata.count":1,"no":"1","credit":1e+999},{"no":"2","credit":1.50}]}"#,
                ),
            ),
            (
                r#"{"value":[{"id":"1","modified":"2026-01-31T10:20:00Z"}]}"#,
                Some(r#"{"value":[{"id":"1","modified":"2026-02-31T00:00:00Z"}]}"#),
            ),
            (r#"{"value":[{"id":"1","name":"x"}]}"#, None),
            (r#"{"value":[]}"#, None),
        ] {
            let told = spoilt(page.as_bytes()).map(|body| String::from_utf8(body).unwrap());
            assert_eq!(told.as_deref(), expected);
        }
    }

    #[test]
    fn what_lasts_happens_from_its_request_on() {
        let (mut service, mut faults) = (Counter::default(), Faults::none().from(Fault::NotAMember, 2));
        let statuses = [(); 4].map(|()| answer(&mut service, &mut faults, &request("GET", "/api/x")).0.status);
        assert_eq!(statuses, [200, 403, 403, 403]);
    }

    #[test]
    fn pushing_on_before_the_end_is_refused_and_counted() {
        let (mut service, mut faults) = (Counter::default(), Faults::once(Fault::Throttled, 1));
        faults.retry_after = 600;
        for _ in 0..3 {
            let (response, _) = answer(&mut service, &mut faults, &request("GET", "/api/customers"));
            assert_eq!((response.status, response.headers[0].1.as_str()), (429, "600"));
        }
        assert_eq!((service.answered, faults.impatient()), (0, 2));
        answer(&mut service, &mut faults, &request("POST", "/token"));
        assert_eq!(service.answered, 1, "tokens are never throttled");
        assert_eq!(faults.requests(), 4, "also those that the service never saw");
    }

    #[test]
    fn the_same_seed_meets_the_same_requests() {
        let run = |seed| {
            let (mut service, mut faults) = (Counter::default(), Faults::seeded(seed, 0.3, &[Fault::DroppedBefore]));
            (0..200).map(|_| answer(&mut service, &mut faults, &request("PATCH", "/api/x")).1).collect::<Vec<_>>()
        };
        let hits = run(7).iter().filter(|way| **way == Delivery::Dropped).count();
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
        assert!((30..=90).contains(&hits), "{hits} of 200");
    }
}

//! Reads as both services page them: a chain of links into one frame, or many lists of ids into one frame.
//!
//! The next page is asked for while the present one is decoded, so waiting and computing overlap. A page that takes the
//! side too long is asked for again, smaller. A read is complete or fails: a chain that loops, leads away or goes nowhere,
//! and a record that was not asked for, are errors. What the addresses look like is the adapters' business.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, channel, sync_channel};
use std::thread;

use uuid::Uuid;

use crate::adapters::client::Client;
use crate::adapters::odata::decode::{Layout, next_link, told_count};
use crate::adapters::odata::link::{self, Chain};
use crate::adapters::odata::{fault, filter};
use crate::endpoint::{EndpointError, Line};
use crate::frame::Frame;

/// Pages in a row that bring no new record, before a chain counts as endless. A page may be empty and yet have a
/// successor (crm-api.md §5), but not forever.
const IDLE_PAGES_MAX: usize = 50;
/// Lists of ids asked for at once; more gain nothing on a side that serves few requests at a time.
const ID_WORKERS_MAX: usize = 8;
/// Answers to a page that was too much: it took longer than the side or its gateway waits, or is larger than it gives
/// (erp-api.md §3, §7).
const TOO_MUCH: [u16; 3] = [408, 413, 504];
/// Smaller pages are not tried: where they take too long, something else is wrong, and only patience helps.
const PAGE_ROWS_MIN: usize = 100;
/// What a side is asked by for pages of so many records.
const PAGE_PREFERENCE: &str = "odata.maxpagesize=";

/// Pages after which a chain has to have brought something: one that brings a record each time may have no end either.
const PAGES_UNPROVEN: usize = 1_000;
/// So many records a page on the average, and half of what was asked for where that is less.
const ROWS_EACH_MIN: usize = 10;

/// Counts what the pages of a chain bring.
#[derive(Debug)]
pub struct Idle {
    rows_each_min: usize,
    count: usize,
    pages: usize,
    /// Of these, the last ones that brought nothing new.
    idle: usize,
}

impl Idle {
    /// Begins a chain of pages that are asked for with these headers.
    pub fn new(headers: &[(&str, String)]) -> Idle {
        let asked = headers.iter().find_map(|(_, value)| preferred(value)).unwrap_or(usize::MAX);
        Idle { rows_each_min: ROWS_EACH_MIN.min(asked / 2), count: 0, pages: 0, idle: 0 }
    }

    /// Hears how much there is after a page; refuses a chain that goes on and on without bringing more, or next to nothing.
    pub fn arrived(&mut self, count: usize) -> Result<(), String> {
        self.pages += 1;
        self.idle = if count == self.count { self.idle + 1 } else { 0 };
        self.count = count;
        if self.idle > IDLE_PAGES_MAX {
            return Err(format!("its last {} pages bring nothing new, and it goes on", self.idle));
        }
        if self.pages > PAGES_UNPROVEN && count < self.rows_each_min * self.pages {
            return Err(format!("it has no end: {} pages brought {count} records, and it goes on", self.pages));
        }
        Ok(())
    }
}

/// Returns how many records a header asks a page to have.
fn preferred(value: &str) -> Option<usize> {
    let (_, rest) = value.split_once(PAGE_PREFERENCE)?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).map_or(rest, |end| &rest[..end]);
    digits.parse().ok()
}

/// Whether a side tells how many records there are when it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    Told,
    /// It is not known of it, and not held against it.
    Perhaps,
}

/// One read: where it begins, with which headers, and how rows are laid out.
pub struct Reading<'a> {
    pub client: &'a Client,
    pub url: String,
    pub headers: Vec<(&'static str, String)>,
    pub layout: &'a Layout,
    /// The only records that may come.
    pub asked: Option<&'a [Uuid]>,
}

impl<'a> Reading<'a> {
    /// Makes a read of what a filter lets through, where there is one; `url` has a query already.
    pub fn filtered(
        client: &'a Client,
        url: &str,
        filter: Option<&str>,
        headers: Vec<(&'static str, String)>,
        layout: &'a Layout,
        asked: Option<&'a [Uuid]>,
    ) -> Reading<'a> {
        Reading { client, url: filter::added(url, filter), headers, layout, asked }
    }

    /// Reads all pages.
    pub fn run(&self, progress: &dyn Fn(usize)) -> Result<Frame, EndpointError> {
        self.follow(&self.url, progress).map(|(frame, _)| frame)
    }

    /// Reads all pages, and holds them against the number of records that the side tells with the first one: a page that
    /// comes empty, or without its link to the next one, shows by nothing else.
    ///
    /// The CRM counts to 5,000 and no further (crm-api.md §5). More may come than were counted, since people add some.
    pub fn run_counted(&self, count: Count, progress: &dyn Fn(usize)) -> Result<Frame, EndpointError> {
        let counting = format!("{}{}$count=true", self.url, if self.url.contains('?') { '&' } else { '?' });
        let (frame, told) = self.follow(&counting, progress)?;
        let came = frame.rows();
        let told = match (told, count) {
            (Some(told), _) => told,
            (None, Count::Perhaps) => return Ok(frame),
            (None, Count::Told) => {
                return Err(self.untrusted("it was asked how many records there are, and does not tell".to_owned()));
            }
        };
        if told <= came {
            return Ok(frame);
        }
        // People delete some, too: then there are no more left than came.
        let headers: Vec<_> =
            self.headers.iter().filter(|(_, value)| !value.contains(PAGE_PREFERENCE)).cloned().collect();
        let (answer, left) = self.client.get(&format!("{counting}&$top=1"), &headers, |answer| {
            let body = answer.text()?;
            next_link(body).map(|_| told_count(body))
        })?;
        let short = format!("it counts {told} records, and {came} came");
        match left {
            Some(left) if left.is_none_or(|left| came < left) => Err(self.untrusted(short)),
            Some(_) => Ok(frame),
            None => Err(self.untrusted(format!("{short}; asked again, it says: {}", answer.fault()))),
        }
    }

    /// Reads all pages from `url` on; tells how many records there are, where the first page does.
    fn follow(&self, url: &str, progress: &dyn Fn(usize)) -> Result<(Frame, Option<usize>), EndpointError> {
        let asked: Option<HashSet<Uuid>> = self.asked.map(|ids| ids.iter().copied().collect());
        thread::scope(|scope| {
            let (sender, pages) = sync_channel(1);
            scope.spawn(|| self.fetch(url, sender));
            let mut rows = self.layout.rows();
            let mut idle = Idle::new(&self.headers);
            let mut told = None;
            for (number, page) in pages.into_iter().enumerate() {
                let page = page?;
                if number == 0 && url != self.url {
                    told = told_count(&page);
                }
                self.layout.page(&page, &mut rows).map_err(|message| self.untrusted(message))?;
                let path = link::path(self.client.base(), url);
                idle.arrived(rows.count()).map_err(|message| self.untrusted(format!("{path}: {message}")))?;
                if let Some(stranger) = asked.as_ref().and_then(|asked| rows.stranger(asked)) {
                    // An ERP that ignores a filter answers with the whole table (erp-api.md §3).
                    return Err(self.untrusted(format!("record {stranger} was not asked for")));
                }
                progress(rows.count());
            }
            Ok((rows.finish(), told))
        })
    }

    /// Sends the pages' bodies one after the other; ends when the chain does, or when nobody listens any more.
    fn fetch(&self, url: &str, sender: SyncSender<Result<String, EndpointError>>) {
        let mut chain = Chain::new(self.client.base(), url);
        let mut url = url.to_owned();
        let mut headers = self.headers.clone();
        loop {
            let (body, next) = match self.page(&url, &mut headers) {
                Ok(page) => page,
                Err(error) => {
                    // Nobody listens after the first error of the decoding side; then this one does not matter.
                    let _ = sender.send(Err(error));
                    return;
                }
            };
            if sender.send(Ok(body)).is_err() {
                return;
            }
            match next.map(|link| chain.follow(&link)) {
                None => return,
                Some(Ok(_)) if self.client.is_ending() => {
                    let _ = sender.send(Err(EndpointError::Interrupted { side: self.client.side() }));
                    return;
                }
                Some(Ok(next)) => url = next,
                Some(Err(message)) => {
                    let _ = sender.send(Err(self.untrusted(message)));
                    return;
                }
            }
        }
    }

    /// Reads one page. What was too much is halved, for the pages that follow as well: the link stays the same, since it
    /// says where to go on and not how far.
    fn page(
        &self,
        url: &str,
        headers: &mut Vec<(&'static str, String)>,
    ) -> Result<(String, Option<String>), EndpointError> {
        loop {
            let smaller = self.smaller(headers);
            let handed_back = if smaller.is_some() { &TOO_MUCH[..] } else { &[] };
            let (answer, next) =
                self.client.get_unless(handed_back, url, headers, |answer| next_link(answer.text()?))?;
            match (next, smaller) {
                (Some(next), _) => {
                    let body = String::from_utf8(answer.body).expect("the body was read as UTF-8 a moment ago");
                    return Ok((body, next));
                }
                (None, Some(smaller)) if TOO_MUCH.contains(&answer.status) => *headers = smaller,
                (None, _) => {
                    let message = answer.fault().to_string();
                    return Err(EndpointError::Refused { side: self.client.side(), message });
                }
            }
        }
    }

    /// Returns the headers that ask for half as much; `None` where that is not worth trying.
    fn smaller(&self, headers: &[(&'static str, String)]) -> Option<Vec<(&'static str, String)>> {
        let mut headers = headers.to_vec();
        let (header, rows) = headers.iter_mut().find_map(|(_, value)| preferred(value).map(|rows| (value, rows)))?;
        // More than was asked for never comes.
        let most = self.asked.map_or(rows, |ids| rows.min(ids.len()));
        let half = (most / 2).max(PAGE_ROWS_MIN);
        *header = header.replace(&format!("{PAGE_PREFERENCE}{rows}"), &format!("{PAGE_PREFERENCE}{half}"));
        (half < most).then_some(headers)
    }

    fn untrusted(&self, message: String) -> EndpointError {
        EndpointError::Untrusted { side: self.client.side(), message }
    }
}

/// Returns names as a message lists them.
pub fn listed(names: &[String]) -> String {
    match names {
        [] => "none that the login may see".to_owned(),
        names => fault::legible(&names.join(", ")),
    }
}

/// Reads records by lists of ids, several at once; the rows come in the order of the ids' lists. `chunk` tells how many of
/// some ids, from the first one on, go into one list.
pub fn by_ids(
    client: &Client,
    ids: &[Uuid],
    chunk: &dyn Fn(&[Uuid]) -> usize,
    layout: &Layout,
    progress: &dyn Fn(usize),
    read: &(dyn Fn(&[Uuid]) -> Result<Frame, EndpointError> + Sync),
) -> Result<Frame, EndpointError> {
    let mut known = HashSet::new();
    let ids: Vec<Uuid> = ids.iter().copied().filter(|id| known.insert(*id)).collect();
    let (mut chunks, mut rest): (Vec<&[Uuid]>, &[Uuid]) = (Vec::new(), &ids);
    while !rest.is_empty() {
        let (list, more) = rest.split_at(chunk(rest).clamp(1, rest.len()));
        chunks.push(list);
        rest = more;
    }
    let workers = client.concurrency().min(chunks.len()).min(ID_WORKERS_MAX);
    let next = AtomicUsize::new(0);
    let mut frames: Vec<Option<Frame>> = vec![None; chunks.len()];
    thread::scope(|scope| {
        let (sender, results) = channel();
        for _ in 0..workers {
            let sender = sender.clone();
            let (chunks, next) = (&chunks, &next);
            scope.spawn(move || {
                loop {
                    let position = next.fetch_add(1, Ordering::Relaxed);
                    let Some(chunk) = chunks.get(position) else { return };
                    if sender.send((position, read(chunk))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut count = 0;
        for (position, result) in results {
            let frame = result?;
            count += frame.rows();
            progress(count);
            frames[position] = Some(frame);
        }
        Ok(())
    })?;
    let mut all = layout.rows().finish();
    frames.iter().flatten().for_each(|frame| all.append(frame));
    all.settle();
    layout.bound(&all).map_err(|message| EndpointError::Untrusted { side: client.side(), message })?;
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::client::tests::{client, impatient};
    use crate::adapters::odata::Dialect;
    use crate::adapters::script::{Line, Script, say};
    use crate::endpoint::Line as _;
    use std::sync::Mutex;

    fn layout() -> Layout {
        Layout::new(Dialect::Dataverse, "id", Vec::new())
    }

    fn page(ids: &[u8], next: &str) -> Line {
        let rows: Vec<String> =
            ids.iter().map(|id| format!(r#"{{"id":"00000000-0000-4000-8000-0000000000{id:02}"}}"#)).collect();
        let link = if next.is_empty() { String::new() } else { format!(r#""@odata.nextLink":"{next}","#) };
        say(200, &format!(r#"{{{link}"value":[{}]}}"#, rows.join(",")))
    }

    /// Reads what a script serves; tells the number of records or the error, and the paths asked for.
    fn read(pages: Vec<Line>, asked: Option<&[Uuid]>) -> (String, Vec<String>) {
        let login = Script::play(vec![say(200, r#"{"access_token":"t","expires_in":3599}"#)]);
        let server = Script::play(pages);
        let (client, _) = client(&server.url, &login.url);
        let (url, layout) = (format!("{}/t?1", server.url), layout());
        let reading = Reading { client: &client, url, headers: Vec::new(), layout: &layout, asked };
        let result = match reading.run(&|_| {}) {
            Ok(frame) => frame.rows().to_string(),
            Err(error) => error.to_string().replace(&server.url, "ROOT"),
        };
        let path = |line: &String| line.split(' ').nth(1).unwrap_or_default().to_owned();
        (result, server.heard().iter().map(path).collect())
    }

    #[test]
    fn a_chain_is_read_to_its_end_or_not_at_all() {
        let untrusted = "CRM gave an answer that cannot be trusted: ";
        for (pages, expected, paths) in [
            (
                vec![page(&[1, 2], "ROOT/t?2&a=%22"), page(&[], "ROOT/t?3"), page(&[2, 3], "")],
                "3",
                &["/t?1", "/t?2&a=%22", "/t?3"][..],
            ),
            (
                vec![page(&[1], "ROOT/t?2"), page(&[2], "ROOT/t?1")],
                "/t: its link leads to a page that was read before",
                &["/t?1", "/t?2"],
            ),
            (vec![page(&[1], "ROOT/other?2")], "/t: its link to the next page leads elsewhere, to `/other`", &["/t?1"]),
            (
                vec![page(&[1], "http://127.0.0.1:1/t?2")],
                "/t: its link to the next page leads away, to http://127.0.0.1:1",
                &["/t?1"],
            ),
            (
                vec![page(&[1], "ROOT/t?2"), say(400, r#"{"error":{"code":"c","message":"no"}}"#)],
                "CRM refused the request: no (c)",
                &["/t?1", "/t?2"],
            ),
            (
                vec![say(200, r#"{"@odata.nextLink":{"url":"ROOT/t?2"},"value":[]}"#)],
                "GET /t: its link to the next page is no text: `{\"url\":\"ROOT/t?2\"}`",
                &["/t?1"],
            ),
            (vec![say(200, r#"{"value":[{"key":1}]}"#)], "a row has no `id`", &["/t?1"]),
        ] {
            let (result, asked) = read(pages, None);
            assert!(result == expected || result.starts_with(&format!("{untrusted}{expected}")), "{result}");
            assert_eq!(asked, paths);
        }
    }

    #[test]
    fn what_comes_is_held_against_what_was_counted() {
        let counted = |line: Line, count: usize| match line {
            Line::Say(status, headers, body) => {
                Line::Say(status, headers, body.replacen('{', &format!("{{\"@odata.count\":{count},"), 1))
            }
            other => other,
        };
        let untrusted = "CRM gave an answer that cannot be trusted: it counts 3 records, and";
        let counts = "CRM gave an answer that cannot be trusted: it was asked how many records there are";
        let refused = say(400, r#"{"error":{"code":"c","message":"no"}}"#);
        for (what, pages, expected, requests) in [
            ("whole", vec![counted(page(&[1, 2], "ROOT/t?2"), 3), page(&[3], "")], "3".to_owned(), 2),
            ("more came", vec![counted(page(&[1, 2], ""), 1)], "2".to_owned(), 1),
            ("not told", vec![page(&[1, 2], "")], format!("{counts}, and does not tell"), 1),
            ("no link", vec![counted(page(&[1], ""), 3), counted(page(&[1], ""), 3)], format!("{untrusted} 1 came"), 2),
            (
                "an empty page",
                vec![counted(page(&[], ""), 3), counted(page(&[1], ""), 3)],
                format!("{untrusted} 0 came"),
                2,
            ),
            ("deleted meanwhile", vec![counted(page(&[1, 2], ""), 3), counted(page(&[1], ""), 2)], "2".to_owned(), 2),
            ("not told again", vec![counted(page(&[1], ""), 3), page(&[1], "")], format!("{untrusted} 1 came"), 2),
            (
                "refused",
                vec![counted(page(&[1], ""), 3), refused],
                format!("{untrusted} 1 came; asked again, it says: no (c)"),
                2,
            ),
        ] {
            let login = Script::play(vec![say(200, r#"{"access_token":"t","expires_in":3599}"#)]);
            let server = Script::play(pages);
            let (client, _) = client(&server.url, &login.url);
            let headers = vec![("Prefer", "odata.maxpagesize=10".to_owned())];
            let (url, layout) = (format!("{}/t?$select=id", server.url), layout());
            let reading = Reading { client: &client, url, headers, layout: &layout, asked: None };
            let told = reading.run_counted(Count::Told, &|_| {});
            let told = told.map_or_else(|error| error.to_string(), |frame| frame.rows().to_string());
            let heard = server.heard();
            assert_eq!((told, heard.len()), (expected, requests), "{what}");
            assert!(heard[0].starts_with("GET /t?$select=id&$count=true "), "{}", heard[0]);
            // A page size would make `$top` mean nothing there.
            assert!(
                heard.last().is_none_or(|line| !line.contains("$top") || !line.contains("maxpagesize")),
                "{heard:?}"
            );
        }
    }

    /// Nothing is lost or doubled: the link is the same, and it leads on from where the last page ended.
    #[test]
    fn a_page_that_takes_too_long_is_asked_for_again_in_halves() {
        let late = |status: u16| say(status, "<html>");
        for (page_rows, pages, expected, asked) in [
            (
                800,
                vec![page(&[1], "ROOT/t?2"), late(504), late(408), page(&[2], "ROOT/t?3"), late(413), page(&[3], "")],
                "3",
                &["/t?1 800", "/t?2 800", "/t?2 400", "/t?2 200", "/t?3 200", "/t?3 100"][..],
            ),
            // There is a smallest page, and then only patience is left (three attempts here).
            (150, vec![late(504), late(504), page(&[1], "")], "1", &["/t?1 150", "/t?1 100", "/t?1 100"]),
            (
                70,
                vec![late(504), late(504), late(504)],
                "CRM cannot be reached: it answered HTTP 504",
                &["/t?1 70", "/t?1 70", "/t?1 70"],
            ),
            (70, vec![late(413)], "CRM refused the request: HTTP 413", &["/t?1 70"]),
        ] {
            let login = Script::play(vec![say(200, r#"{"access_token":"t","expires_in":3599}"#)]);
            let count = asked.len() as u64;
            let server = Script::play(pages);
            let (client, _) = client(&server.url, &login.url);
            let headers = vec![("Prefer", format!("a,odata.maxpagesize={page_rows},b=1"))];
            let (url, layout) = (format!("{}/t?1", server.url), layout());
            let reading = Reading { client: &client, url, headers, layout: &layout, asked: None };
            let told = reading.run(&|_| {}).map_or_else(|error| error.to_string(), |frame| frame.rows().to_string());
            let short = |line: String| {
                let rows = line.split("maxpagesize=").nth(1).unwrap_or_default();
                let path = line.split(' ').nth(1).unwrap_or_default();
                format!("{path} {}", rows.trim_end_matches(",b=1"))
            };
            let heard: Vec<String> = server.heard().into_iter().map(short).collect();
            assert_eq!((told.as_str(), heard), (expected, asked.iter().map(|line| (*line).to_owned()).collect()));
            let pages_read = expected.parse().unwrap_or(1);
            assert_eq!((client.traffic().sent, client.traffic().retried), (count, count - pages_read));
        }
    }

    /// No answer at all is as good as one that tells of a time-out.
    #[test]
    fn a_page_that_never_comes_is_asked_for_again_in_halves() {
        let login = Script::play(vec![say(200, r#"{"access_token":"t","expires_in":3599}"#)]);
        let server = Script::play(vec![page(&[1], "ROOT/t?2"), Line::Hold, page(&[2], "")]);
        let client = impatient(&server.url, &login.url);
        let headers = vec![("Prefer", "odata.maxpagesize=800".to_owned())];
        let (url, layout) = (format!("{}/t?1", server.url), layout());
        let reading = Reading { client: &client, url, headers, layout: &layout, asked: None };
        assert_eq!(reading.run(&|_| {}).unwrap().rows(), 2);
        let heard = server.heard();
        let asked = ["/t?1 800", "/t?2 800", "/t?2 400"].map(|line| line.split_once(' ').unwrap());
        assert_eq!(heard.len(), asked.len(), "{heard:?}");
        for (line, (path, rows)) in heard.iter().zip(asked) {
            assert!(line.contains(path) && line.ends_with(&format!("maxpagesize={rows}")), "{line}");
        }
    }

    #[test]
    fn a_list_of_ids_is_never_asked_for_in_pages_that_are_larger_than_itself() {
        let (client, _) = client("http://127.0.0.1:1", "http://127.0.0.1:1");
        let ids: Vec<Uuid> = (0..300).map(Uuid::from_u128).collect();
        let (headers, layout) = (vec![("Prefer", "odata.maxpagesize=20000".to_owned())], layout());
        let smaller = |asked: Option<&[Uuid]>| {
            let reading =
                Reading { client: &client, url: String::new(), headers: headers.clone(), layout: &layout, asked };
            reading.smaller(&headers).map(|headers| headers[0].1.clone())
        };
        let rows = |rows: usize| Some(format!("odata.maxpagesize={rows}"));
        assert_eq!(smaller(None), rows(10_000));
        assert_eq!(smaller(Some(&ids)), rows(150));
        assert_eq!(smaller(Some(&ids[..100])), None, "a hundred rows are the smallest page");
    }

    #[test]
    fn a_chain_that_brings_nothing_new_is_given_up() {
        let pages = (2..=90).map(|number| page(&[1], &format!("ROOT/t?{number}"))).collect();
        let (result, asked) = read(pages, None);
        let expected = "/t: its last 51 pages bring nothing new, and it goes on";
        assert_eq!(result, format!("CRM gave an answer that cannot be trusted: {expected}"));
        assert!(asked.len() < 60);
    }

    #[test]
    fn a_chain_that_brings_next_to_nothing_has_an_end() {
        let told = |rows_asked: usize, rows_each: usize| {
            let mut idle = Idle::new(&[("Prefer", format!("odata.maxpagesize={rows_asked}"))]);
            (1..=3_000).find_map(|page| idle.arrived(page * rows_each).err())
        };
        let endless =
            |records: usize| Some(format!("it has no end: 1001 pages brought {records} records, and it goes on"));
        for (rows_asked, rows_each, expected) in [
            (5_000, 1, endless(1_001)),
            (5_000, 9, endless(9_009)),
            (5_000, 10, None),
            (19, 9, None),
            (5, 5, None),
            (5, 1, endless(1_001)),
            (1, 1, None),
        ] {
            assert_eq!(told(rows_asked, rows_each), expected, "{rows_each} of {rows_asked}");
        }
    }

    #[test]
    fn a_record_that_was_not_asked_for_is_no_answer() {
        let asked = [Uuid::from_u128(0x4000_8000_0000_0000_0001)];
        assert_eq!(read(vec![page(&[1], "")], Some(&asked)).0, "1");
        let (result, _) = read(vec![page(&[1, 2], "")], Some(&asked));
        assert_eq!(
            result,
            "CRM gave an answer that cannot be trusted: record 00000000-0000-4000-8000-000000000002 was not asked for"
        );
    }

    #[test]
    fn lists_of_ids_come_back_in_their_order() {
        let (client, _) = client("http://127.0.0.1:1", "http://127.0.0.1:1");
        let ids: Vec<Uuid> = (0..25).map(Uuid::from_u128).chain([Uuid::from_u128(3)]).collect();
        let chunks = Mutex::new(Vec::new());
        let one = |ids: &[Uuid]| {
            chunks.lock().unwrap().push(ids.len());
            let mut rows = layout().rows();
            let row = |id: &Uuid| format!(r#"{{"id":"{id}"}}"#);
            let body = ids.iter().map(row).collect::<Vec<_>>().join(",");
            layout().page(&format!(r#"{{"value":[{body}]}}"#), &mut rows).unwrap();
            Ok(rows.finish())
        };
        let frame = by_ids(&client, &ids, &|_| 10, &layout(), &|_| {}, &one).unwrap();
        assert_eq!(frame.ids(), ids[..25]);
        let mut chunks = chunks.into_inner().unwrap();
        chunks.sort_unstable();
        assert_eq!(chunks, [5, 10, 10]);
        let error = EndpointError::Unreachable { side: client.side(), keys: &["url"], message: "x".into() };
        assert_eq!(by_ids(&client, &ids, &|_| 10, &layout(), &|_| {}, &|_| Err(error.clone())).err(), Some(error));
    }
}

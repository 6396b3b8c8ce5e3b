//! Records of Dataverse by lists of ids or texts, in addresses that the service takes (crm-api.md §1, §7).
//!
//! In go ids, out come their records: a few by one address, many by several lists in one batch, which is one request.
//! There is no `in` here; the service has a function instead, whose list grows the address by every value.

use uuid::Uuid;

use crate::adapters::client::Client;
use crate::adapters::dataverse::requests::{self, path_of};
use crate::adapters::odata::decode::{Layout, next_link};
use crate::adapters::odata::link::Chain;
use crate::adapters::odata::{filter, percent, value};
use crate::adapters::pages::Reading;
use crate::endpoint::{BLANKS, EndpointError, Line, without_blanks};
use crate::frame::Frame;

/// Ids in one list; more ask too much of the database (crm-api.md §7).
pub const IDS_MAX: usize = 250;
/// Lists in one batch, which the service works off one after the other.
const LISTS_MAX: usize = 8;
/// Characters that a list of texts may have in one address.
const TEXTS_CHARS_MAX: usize = 16_000;

/// What is asked of each record of a list.
pub struct Lists<'a> {
    pub client: &'a Client,
    /// The address of the table, with what is selected.
    pub url: String,
    pub headers: Vec<(&'static str, String)>,
    /// The address of a batch and its headers.
    pub batch: (String, Vec<(&'static str, String)>),
    pub key: &'a str,
    pub filter: Option<&'a str>,
    pub layout: &'a Layout,
    pub page_rows_max: usize,
}

/// One list: its address, and the only records that may come, where these are known.
struct List<'a> {
    address: String,
    asked: Option<&'a [Uuid]>,
}

/// Returns how many ids one request asks for.
pub fn ids_max(page_rows_max: usize) -> usize {
    // A list whose records do not fit into a page takes several requests anyway.
    if page_rows_max < IDS_MAX { IDS_MAX } else { IDS_MAX * LISTS_MAX }
}

impl Lists<'_> {
    /// Reads the records of at most [`ids_max`] ids.
    pub fn read(&self, ids: &[Uuid]) -> Result<Frame, EndpointError> {
        let list = |ids| List { address: self.address(&id_list(self.key, ids, self.filter)), asked: Some(ids) };
        self.all(&ids.chunks(IDS_MAX).map(list).collect::<Vec<_>>())
    }

    /// Reads the records that hold one of these texts in a column, as the database compares them.
    pub fn holding(&self, column: &str, texts: &[String]) -> Result<Frame, EndpointError> {
        let list = |filter: &String| List { address: self.address(filter), asked: None };
        let lists: Vec<List<'_>> = text_lists(column, texts).iter().map(list).collect();
        let mut found = self.layout.rows().finish();
        for some in lists.chunks(ids_max(self.page_rows_max) / IDS_MAX) {
            found.upsert(&self.all(some)?);
        }
        Ok(found)
    }

    fn all(&self, lists: &[List<'_>]) -> Result<Frame, EndpointError> {
        let bodies = match lists.len() {
            0 | 1 => None,
            _ => {
                let paths = lists.iter().map(|list| path_of(&list.address).to_owned()).collect();
                let whole = |body: &str| next_link(body).map(drop);
                requests::ask(self.client, &self.batch, paths, &self.headers, whole)?
            }
        };
        let mut all = self.layout.rows().finish();
        match bodies {
            // A service that does not take the batch, or refuses one of its lists, says why when it is asked alone.
            None => {
                for list in lists {
                    all.append(&self.from(list.address.clone(), list).run(&|_| {})?);
                }
            }
            Some(bodies) => {
                for (list, body) in lists.iter().zip(bodies) {
                    all.append(&self.decoded(list, &body)?);
                }
            }
        }
        all.settle();
        Ok(all)
    }

    /// Decodes the first page of a list, and reads what follows it.
    fn decoded(&self, list: &List<'_>, body: &str) -> Result<Frame, EndpointError> {
        let untrusted = |message: String| EndpointError::Untrusted { side: self.client.side(), message };
        let mut rows = self.layout.rows();
        self.layout.page(body, &mut rows).map_err(untrusted)?;
        let asked = list.asked.map(|ids| ids.iter().copied().collect());
        if let Some(stranger) = asked.and_then(|asked| rows.stranger(&asked)) {
            return Err(untrusted(format!("record {stranger} was not asked for")));
        }
        let mut frame = rows.finish();
        if let Some(next) = next_link(body).map_err(|amiss| untrusted(amiss.to_string()))? {
            let next = Chain::new(self.client.base(), &list.address).follow(&next).map_err(untrusted)?;
            frame.append(&self.from(next, list).run(&|_| {})?);
        }
        Ok(frame)
    }

    fn from<'a>(&'a self, url: String, list: &List<'a>) -> Reading<'a> {
        Reading { client: self.client, url, headers: self.headers.clone(), layout: self.layout, asked: list.asked }
    }

    fn address(&self, filter: &str) -> String {
        filter::added(&self.url, Some(filter))
    }
}

/// Returns a filter for a list of ids.
pub fn id_list(key: &str, ids: &[Uuid], filter: Option<&str>) -> String {
    let ids: Vec<String> = ids.iter().map(|id| format!("\"{id}\"")).collect();
    let list = format!("Microsoft.Dynamics.CRM.In(PropertyName='{key}',PropertyValues=[{}])", ids.join(","));
    match filter {
        None => list,
        Some(filter) => format!("{list} and ({filter})"),
    }
}

/// Returns filters for texts in a column, each short enough for an address.
///
/// The database compares without regard to case and to blanks at the end. What begins with a blank would be missed, and what
/// holds another one of [`BLANKS`], so all of that comes along; there is hardly any.
fn text_lists(column: &str, texts: &[String]) -> Vec<String> {
    let mut lists: Vec<String> = Vec::new();
    let mut open: Vec<String> = Vec::new();
    let mut length = 0;
    let list = |texts: &mut Vec<String>| {
        let texts = std::mem::take(texts).join(",");
        format!("Microsoft.Dynamics.CRM.In(PropertyName='{column}',PropertyValues=[{texts}])")
    };
    for text in texts {
        let text = value::string(without_blanks(text));
        let more = percent::query(&text).len() + 3;
        if open.len() == IDS_MAX || (length + more > TEXTS_CHARS_MAX && !open.is_empty()) {
            lists.push(list(&mut open));
            length = 0;
        }
        length += more;
        open.push(text);
    }
    if !open.is_empty() {
        lists.push(list(&mut open));
    }
    if let Some(first) = lists.first_mut() {
        let others =
            BLANKS.iter().filter(|blank| **blank != ' ').map(|blank| format!(" or contains({column},'{blank}')"));
        *first = format!("{first} or startswith({column},' '){}", others.collect::<String>());
    }
    lists
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::client::tests::client;
    use crate::adapters::odata::{Dialect, batch_multipart, filter};
    use crate::adapters::script::{Line, Script, say};

    #[test]
    fn ids_are_asked_for_in_lists() {
        let ids = [Uuid::from_u128(1), Uuid::from_u128(2)];
        let list = r#"Microsoft.Dynamics.CRM.In(PropertyName='contactid',PropertyValues=["00000000-0000-0000-0000-000000000001","00000000-0000-0000-0000-000000000002"])"#;
        assert_eq!(id_list("contactid", &ids, None), list);
        assert_eq!(id_list("contactid", &ids, Some("a eq 1 or b eq 2")), format!("{list} and (a eq 1 or b eq 2)"));
    }

    #[test]
    fn texts_are_asked_for_in_lists_that_fit() {
        let texts = ["O'Hara \"x\"", " a "].map(str::to_owned);
        let list = r#"Microsoft.Dynamics.CRM.In(PropertyName='name',PropertyValues=["O'Hara \"x\"","a"])"#;
        let odd = "or contains(name,'\u{a0}') or contains(name,'\u{202f}') or contains(name,'\u{3000}')";
        assert_eq!(text_lists("name", &texts), [format!("{list} or startswith(name,' ') {odd}")]);
        let many: Vec<String> = (0..600).map(|number| format!("text {number}")).collect();
        assert_eq!(text_lists("name", &many).len(), 3);
        let long: Vec<String> = (0..20).map(|number| format!("{number}{}", "ø".repeat(400))).collect();
        let lists = text_lists("name", &long);
        assert!(lists.len() > 1 && lists.iter().all(|list| percent::query(list).len() < 20_000), "{}", lists.len());
        assert_eq!(text_lists("name", &[]), Vec::<String>::new());
    }

    const KEY: &str = "contactid";

    fn row(id: usize) -> String {
        format!(r#"{{"contactid":"{}"}}"#, Uuid::from_u128(id as u128))
    }

    fn page(ids: std::ops::Range<usize>, next: &str) -> String {
        let link = if next.is_empty() { String::new() } else { format!(r#""@odata.nextLink":"{next}","#) };
        format!(r#"{{{link}"value":[{}]}}"#, ids.map(row).collect::<Vec<_>>().join(","))
    }

    /// An answer to a batch: the status and the body of each part.
    fn parts(parts: &[(u16, String)]) -> Line {
        let part = |(status, body): &(u16, String)| {
            format!("--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 {status} X\r\n\r\n{body}\r\n")
        };
        let body: String = parts.iter().map(part).collect();
        Line::Say(200, "Content-Type: multipart/mixed; boundary=b\r\n", format!("{body}--b--\r\n"))
    }

    /// Reads 600 ids; tells how many came or the error, and the methods and paths of the requests, and the longest line.
    fn read(lines: Vec<Line>, filter: Option<&str>) -> (String, Vec<String>, usize) {
        let login = Script::play(vec![say(200, r#"{"access_token":"t","expires_in":3599}"#)]);
        let server = Script::play(lines);
        let (client, _) = client(&server.url, &login.url);
        let layout = Layout::new(Dialect::Dataverse, KEY, Vec::new());
        let lists = Lists {
            client: &client,
            url: format!("{}/api/contacts?$select=contactid", server.url),
            headers: vec![("Prefer", "odata.maxpagesize=5000".to_owned())],
            batch: (format!("{}/api/$batch", server.url), vec![("Content-Type", batch_multipart::content_type())]),
            key: KEY,
            filter,
            layout: &layout,
            page_rows_max: 5_000,
        };
        let ids: Vec<Uuid> = (0..600).map(Uuid::from_u128).collect();
        let result = match lists.read(&ids) {
            Ok(frame) => frame.rows().to_string(),
            Err(error) => error.to_string(),
        };
        let heard = server.heard();
        let path = |line: &String| line.split(['?', ' ']).take(2).collect::<Vec<_>>().join(" ");
        let longest = heard.iter().flat_map(|line| line.lines()).map(str::len).max().unwrap_or_default();
        (result, heard.iter().map(path).collect(), longest)
    }

    #[test]
    fn many_lists_go_as_one_request_and_otherwise_one_by_one() {
        let three = || vec![(200, page(0..250, "")), (200, page(250..499, "")), (200, page(500..600, ""))];
        let with = |at: usize, status: u16, body: &str| {
            let mut all = three();
            all[at] = (status, body.to_owned());
            parts(&all)
        };
        let singles = || [page(0..250, ""), page(250..499, ""), page(500..600, "")].map(|body| say(200, &body));
        let refusal = r#"{"error":{"code":"0x0","message":"no"}}"#;
        let (batch, single) = ("POST /api/$batch", "GET /api/contacts");
        for (what, lines, expected, paths) in [
            ("taken", vec![parts(&three())], "599", vec![batch]),
            ("busy inside", vec![with(1, 429, ""), parts(&three())], "599", vec![batch, batch]),
            (
                "busy inside for good",
                (0..3).map(|_| with(1, 503, "")).collect(),
                "CRM cannot be reached: it answered HTTP 503",
                vec![batch; 3],
            ),
            ("cut inside", vec![with(1, 200, "{"), parts(&three())], "599", vec![batch, batch]),
            ("short", vec![parts(&three()[..2]), parts(&three())], "599", vec![batch, batch]),
            (
                "refused as a whole",
                std::iter::once(say(400, refusal)).chain(singles()).collect(),
                "599",
                vec![batch, single, single, single],
            ),
            (
                "refused inside",
                vec![with(1, 400, refusal), say(200, &page(0..250, "")), say(400, refusal)],
                "CRM refused the request: no",
                vec![batch, single, single],
            ),
            (
                "a stranger",
                vec![with(2, 200, &page(700..701, ""))],
                "CRM gave an answer that cannot be trusted: record 00000000-0000-0000-0000-0000000002bc was not asked for",
                vec![batch],
            ),
            (
                "a page goes on",
                vec![with(0, 200, &page(0..100, "ROOT/api/contacts?$skiptoken=1")), say(200, &page(100..250, ""))],
                "599",
                vec![batch, single],
            ),
            (
                "a page leads elsewhere",
                vec![with(0, 200, &page(0..100, "ROOT/api/accounts?$skiptoken=1"))],
                "CRM gave an answer that cannot be trusted: /api/contacts: its link to the next page leads elsewhere, to \
                 `/api/accounts`",
                vec![batch],
            ),
        ] {
            let (result, asked, _) = read(lines, None);
            assert_eq!((result.as_str(), asked), (expected, paths.into_iter().map(str::to_owned).collect()), "{what}");
        }
    }

    /// The longest filter that is pushed down still leaves an address that a service takes outside of a batch.
    #[test]
    fn addresses_stay_within_the_limit() {
        let filter = "x".repeat(filter::chars_max(Dialect::Dataverse));
        let pages = || [page(0..250, ""), page(250..500, ""), page(500..600, "")].map(|body| say(200, &body));
        let lines = std::iter::once(say(400, "{}")).chain(pages()).collect();
        let (result, asked, longest) = read(lines, Some(&filter));
        assert_eq!((result.as_str(), asked.len()), ("600", 4));
        assert!((20_000..32_768).contains(&longest), "{longest}");
    }
}

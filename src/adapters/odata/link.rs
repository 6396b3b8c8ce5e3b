//! Page links that a side gives: where they lead, and how they go back over the wire unchanged.
//!
//! A link is opaque and carries cookies that a side compares byte by byte (crm-api.md §5), so nothing in it is decoded,
//! reordered or encoded again. One that is relative is completed by the address that it is relative to. Text in, text
//! out; requests are made elsewhere.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Write;

use uuid::Uuid;

use crate::adapters::odata::fault::legible;
use crate::adapters::odata::percent;

/// As much of a link that is none is shown.
const SHOWN_CHARS: usize = 60;
/// The first segment of the ERP's online addresses (erp-api.md §1).
const ONLINE: &str = "v2.0";

/// The links of one page chain: each may be followed once, and only to more of what the first page is of.
pub struct Chain<'a> {
    base: &'a str,
    first: String,
    /// Where the page is whose link comes next.
    page: String,
    seen: HashSet<String>,
}

impl<'a> Chain<'a> {
    /// Starts a chain whose first page is at `first`, under the configured address `base`.
    pub fn new(base: &'a str, first: &str) -> Chain<'a> {
        Chain { base, first: first.to_owned(), page: first.to_owned(), seen: HashSet::from([first.to_owned()]) }
    }

    /// Returns the address of the next page, or why it must not be asked for.
    pub fn follow(&mut self, link: &str) -> Result<String, String> {
        let refused = |why: String| format!("{}: its link {why}", path(self.base, &self.page));
        let next =
            led(self.base, &self.first, &self.page, link).map_err(|why| refused(format!("to the next page {why}")))?;
        // A relative link that comes again would only lead deeper and deeper.
        if self.seen.contains(link) || !self.seen.insert(next.clone()) {
            return Err(refused("leads to a page that was read before".to_owned()));
        }
        self.seen.insert(link.to_owned());
        self.page.clone_from(&next);
        Ok(sendable(&next).into_owned())
    }

    /// Returns the address at which the changes after the last page will be, or why it must not be asked for. Where nothing
    /// happened it may well be the very address of the first page.
    pub fn delta(&self, link: &str) -> Result<String, String> {
        let next = led(self.base, &self.first, &self.page, link);
        let next = next.map_err(|why| format!("{}: its delta link {why}", path(self.base, &self.page)))?;
        Ok(sendable(&next).into_owned())
    }
}

/// Completes a link of a page; else says where it leads. It may lead to the host that was configured, and there to the
/// environment, the company and the table that `first` asks for: what another one holds are records as well, and nothing in a
/// row tells whose it is.
fn led(base: &str, first: &str, page: &str, link: &str) -> Result<String, String> {
    let shown = |text: &str| legible(&text.chars().take(SHOWN_CHARS).collect::<String>());
    if link.is_empty() {
        return Err("is empty".to_owned());
    }
    let next = join(page, link);
    match (origin(base), origin(&next)) {
        (Some(ours), Some(theirs)) if ours == theirs => {}
        (_, Some((scheme, host, port))) => return Err(format!("leads away, to {scheme}://{host}:{port}")),
        (_, None) => return Err(format!("is no address: `{}`", shown(link))),
    }
    // Without a company, a service takes the login's own one, and says nothing of it (erp-api.md §2).
    match (company(first), company(&next)) {
        (None, _) => {}
        (Some(_), None) => return Err("names no company".to_owned()),
        (Some(ours), Some(theirs)) if ours == theirs => {}
        (_, Some(theirs)) => return Err(format!("leads to another company, `{}`", shown(&theirs))),
    }
    match is_same(&place(base), &place(first), &place(&next)) {
        true => Ok(next),
        false => Err(format!("leads elsewhere, to `{}`", shown(path(base, &next)))),
    }
}

/// Returns the path of an address by its segments, in a form that can be compared: without the company, which may as well be
/// an option (erp-api.md §1).
fn place(url: &str) -> Vec<String> {
    let url = &url[..url.find(['?', '#']).unwrap_or(url.len())];
    let behind_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (_, path) = behind_scheme.split_once('/').unwrap_or_default();
    let mut segments = path.split('/').filter(|segment| !segment.is_empty()).peekable();
    let mut place = Vec::new();
    while let Some(segment) = segments.next() {
        // The last one is what is asked for, which may be companies.
        if segments.peek().is_none() || company_in(segment).is_none() {
            place.push(percent::decoded(segment).to_lowercase());
        }
    }
    place
}

/// Tells whether two paths lead to the same below `base`. The ERP's online address may name the tenant before the environment,
/// by its id or its domain, or leave it to the login (erp-api.md §1).
fn is_same(base: &[String], ours: &[String], theirs: &[String]) -> bool {
    let Some(rest) = ours.strip_prefix(base) else { return ours == theirs };
    let Some(root) = theirs.strip_suffix(rest) else { return false };
    let is_id = |tenant: &String| Uuid::try_parse(tenant).is_ok();
    match (base, root) {
        (base, root) if base == root => true,
        ([online, one], [routed, _, other]) | ([online, _, one], [routed, other]) => {
            online == ONLINE && routed == ONLINE && one == other
        }
        ([online, ours, one], [routed, theirs, other]) => {
            online == ONLINE && routed == ONLINE && one == other && is_id(ours) != is_id(theirs)
        }
        _ => false,
    }
}

/// Returns where an address leads below the configured one, without its query: as messages name it.
pub fn path<'a>(base: &str, url: &'a str) -> &'a str {
    let below = url.strip_prefix(base).filter(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']));
    below.unwrap_or(url).split(['?', '#']).next().unwrap_or_default()
}

/// Returns the company that an address of Microsoft's ERP names, in its path or as an option (erp-api.md §2), in a form that
/// can be compared; `None` where it names none.
fn company(url: &str) -> Option<String> {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let mut segments = path.split('/').rev();
    // The last one is what is asked for, which may be companies.
    segments.next();
    let option = |option: &str| {
        let (name, value) = option.split_once('=')?;
        name.eq_ignore_ascii_case("company").then(|| percent::decoded(&value.replace('+', "%20")))
    };
    segments.find_map(company_in).or_else(|| query.split('&').find_map(option)).map(|company| company.to_lowercase())
}

/// Returns the company that a segment of a path names.
fn company_in(segment: &str) -> Option<String> {
    let segment = percent::decoded(segment);
    let (set, key) = segment.strip_suffix(')')?.split_once('(')?;
    let is_set = set.eq_ignore_ascii_case("companies") || set.eq_ignore_ascii_case("company");
    is_set.then(|| key.trim_matches('\'').replace("''", "'"))
}

/// Completes a reference by the address that it is relative to, which may be relative itself (RFC 3986 §5.2).
///
/// An absolute reference comes back as it is, byte for byte; of a relative one only the dot segments are worked off.
pub fn join(base: &str, reference: &str) -> String {
    let scheme = reference.find(':').map(|end| &reference[..end]).filter(|scheme| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.bytes().all(plain)
    });
    if scheme.is_some() {
        return reference.to_owned();
    }
    let base = &base[..base.find('#').unwrap_or(base.len())];
    let (base, query) = base.split_at(base.find('?').unwrap_or(base.len()));
    // Where the path begins; a base that is relative itself is all path.
    let host = base.find("://").map_or(0, |at| at + 3);
    let root = if host == 0 { 0 } else { base[host..].find('/').map_or(base.len(), |at| host + at) };
    let (root, path) = base.split_at(root);
    if reference.starts_with("//") {
        return format!("{}{reference}", &root[..root.find("//").unwrap_or(0)]);
    }
    let (way, rest) = reference.split_at(reference.find(['?', '#']).unwrap_or(reference.len()));
    match way {
        "" if rest.starts_with('?') => format!("{base}{rest}"),
        "" => format!("{base}{query}{rest}"),
        _ if way.starts_with('/') => format!("{root}{}{rest}", without_dots(way, !root.is_empty())),
        _ => {
            let folder = path.rfind('/').map_or(if root.is_empty() { "" } else { "/" }, |end| &path[..=end]);
            format!("{root}{}{rest}", without_dots(&format!("{folder}{way}"), !root.is_empty()))
        }
    }
}

/// Works off the dot segments of a path; one that is not `whole` keeps those that lead out of it.
fn without_dots(path: &str, whole: bool) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path.split('/').collect();
    for (position, segment) in segments.iter().enumerate() {
        let last = position + 1 == segments.len();
        match *segment {
            ".." if kept.last().is_some_and(|kept| !kept.is_empty() && *kept != "..") => {
                kept.pop();
            }
            ".." if whole || path.starts_with('/') => {}
            "." => {}
            segment => {
                kept.push(segment);
                continue;
            }
        }
        // What a dot segment at the end leads to is a folder.
        if last {
            kept.push("");
        }
    }
    kept.join("/")
}

/// Returns scheme, host and port in a form that can be compared; `None` for anything but a plain http(s) address.
pub fn origin(url: &str) -> Option<(String, String, u16)> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let port = match scheme.as_str() {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    // A name before the host, or a backslash, are old tricks to disguise where a link leads.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    if authority.is_empty() || !authority.bytes().all(plain) {
        return None;
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, digits)) if !digits.ends_with(']') => (host, digits.parse().ok()?),
        _ => (authority, port),
    };
    Some((scheme, host.to_ascii_lowercase(), port))
}

/// Returns the host of an address; blank where it is none.
pub fn host(url: &str) -> String {
    origin(url).map(|(_, host, _)| host).unwrap_or_default()
}

/// Returns what a link has behind the configured address `base`; `None` where it leads elsewhere.
///
/// A side may write its own name in other letters than the file, or with the port that goes without saying.
pub fn behind<'a>(base: &str, link: &'a str) -> Option<&'a str> {
    fn path(url: &str) -> &str {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        &rest[rest.find(['/', '?', '#']).unwrap_or(rest.len())..]
    }
    (origin(base)? == origin(link)?).then(|| path(link).strip_prefix(path(base)))?
}

/// Returns the link as the HTTP client can send it.
///
/// The client (`http::Uri`) keeps every byte it accepts, non-ASCII ones included. It refuses control characters, the
/// space, `<` and `>`, in a query also `"`, in a path also the backtick; and it drops what follows a `#`. Only these
/// are percent-encoded, since the request line could not carry them otherwise.
fn sendable(link: &str) -> Cow<'_, str> {
    let query = link.find('?').unwrap_or(link.len());
    let refused = |at: usize, byte: u8| match byte {
        0..=b' ' | b'<' | b'>' | b'#' | 0x7f => true,
        b'"' => at > query,
        b'`' => at < query,
        _ => false,
    };
    if !link.bytes().enumerate().any(|(at, byte)| refused(at, byte)) {
        return Cow::Borrowed(link);
    }
    let mut out = String::with_capacity(link.len() + 16);
    for (at, character) in link.char_indices() {
        match u8::try_from(character) {
            Ok(byte) if byte.is_ascii() && refused(at, byte) => {
                write!(out, "%{byte:02X}").expect("a string takes any text");
            }
            _ => out.push(character),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "https://crm.example/org";

    #[test]
    fn a_link_is_followed_byte_for_byte() {
        for link in [
            "https://crm.example/org/api/data/v9.2/accounts?$select=name&$skiptoken=%3Ccookie%20pagenumber=%222%22%3e%253c",
            "HTTPS://CRM.example:443/api?$filter=name eq'x'".replace(' ', "+").as_str(),
            "https://crm.example/a('b')?x=[1]{2}|^`~!@$&'()*+,;=:\\ø",
        ] {
            let (first, _) = link.split_once('?').unwrap();
            let followed = Chain::new(BASE, first).follow(link).unwrap();
            assert_eq!(followed, link);
        }
    }

    #[test]
    fn a_relative_link_is_completed_by_the_page_that_it_is_on() {
        let first = "https://crm.example/org/api/Ts?$select=a/b";
        let whole = |rest: &str| Ok(format!("https://crm.example/org/{rest}"));
        for (link, expected) in [
            ("Ts?%24select=a&%24skiptoken='x/y'", whole("api/Ts?%24select=a&%24skiptoken='x/y'")),
            ("/org/api/Ts?$skiptoken=2", whole("api/Ts?$skiptoken=2")),
            ("../v2/./../api/Ts?$skiptoken=../2", whole("api/Ts?$skiptoken=../2")),
            ("?$skiptoken=2", whole("api/Ts?$skiptoken=2")),
            ("//crm.example/org//api/Ts/?$skiptoken=2", whole("/api/Ts/?$skiptoken=2")),
            ("Ts?x=a:b", whole("api/Ts?x=a:b")),
        ] {
            assert_eq!(Chain::new(BASE, first).follow(link), expected, "{link}");
        }
        let mut chain = Chain::new(BASE, first);
        assert_eq!(chain.follow("../api/Ts?2"), whole("api/Ts?2"));
        assert_eq!(chain.follow("Ts?3"), whole("api/Ts?3"));
        for again in ["../api/Ts?2", "/org/api/./Ts?2", "Ts?$select=a/b", "Ts?3"] {
            let told = chain.follow(again).unwrap_err();
            assert!(told.ends_with("Ts: its link leads to a page that was read before"), "{again}: {told}");
        }
    }

    /// Another environment, interface or table has records as well, some of them under the same ids.
    #[test]
    fn a_link_stays_with_what_was_asked_for() {
        let crm = "https://crm.example/org/api/data/v9.2/accounts?$select=name";
        let nav = "https://crm.example/org/ODataV4/Company('A B')/Customer";
        let elsewhere = |path: &str| Some(format!("leads elsewhere, to `{path}`"));
        for (first, link, expected) in [
            (crm, "https://crm.example/ORG/api/data/v9.2/Accounts?$SkipToken=1", None),
            (crm, "https://CRM.example:443/org/api/data/v9%2E2/%61ccounts?$skiptoken=1", None),
            (crm, "https://crm.example/org/api/data/v9.2/contacts?$skiptoken=1", elsewhere("/api/data/v9.2/contacts")),
            (crm, "https://crm.example/org/api/data/v9.1/accounts?$skiptoken=1", elsewhere("/api/data/v9.1/accounts")),
            (crm, "https://crm.example/org2/api/data/v9.2/accounts?1", {
                elsewhere("https://crm.example/org2/api/data/v9.2/accounts")
            }),
            (crm, "https://crm.example/api/data/v9.2/accounts?1", {
                elsewhere("https://crm.example/api/data/v9.2/accounts")
            }),
            (crm, "https://crm.example/org/api/data/v9.2/accounts(1)/contacts", {
                elsewhere("/api/data/v9.2/accounts(1)/contacts")
            }),
            (crm, "contacts?$skiptoken=1", elsewhere("/api/data/v9.2/contacts")),
            (crm, "https://crm.example/org?x=/api/data/v9.2/accounts", elsewhere("")),
            (nav, "https://crm.example/org/ODataV4/company(%27a%20b%27)/customer?$skiptoken=1", None),
            (nav, "https://crm.example/org/ODataV4/Customer?company=A%20B&tenant=default&$skiptoken=1", None),
            (nav, "https://crm.example/org/ODataV4/Company('A B')/Vendor?1", {
                elsewhere("/ODataV4/Company('A B')/Vendor")
            }),
        ] {
            let told = Chain::new(BASE, first).follow(link).err();
            let expected = expected.map(|why| format!("{}: its link to the next page {why}", path(BASE, first)));
            assert_eq!(told, expected, "{link}");
        }
    }

    /// The tenant may be left out of the ERP's online address, and may be written in two ways; it follows from the login.
    #[test]
    fn a_link_may_name_the_tenant_and_not_another_environment() {
        const HOST: &str = "https://api.businesscentral.example";
        let (id, other) = ("6ab9e3a4-7a44-4f11-8e52-6045bd2b1a01", "6ab9e3a4-7a44-4f11-8e52-6045bd2b1a02");
        let with = |tenant: &str| format!("/v2.0/{tenant}/Production");
        for (base, theirs, is_same) in [
            ("/v2.0/Production".to_owned(), with(id), true),
            (with("a.example"), "/v2.0/production".to_owned(), true),
            (with("a.example"), with(id), true),
            (with(id), with("a.example"), true),
            (with(id), with(id), true),
            (with(id), with(other), false),
            (with("a.example"), with("b.example"), false),
            ("/v2.0/Production".to_owned(), "/v2.0/Sandbox".to_owned(), false),
            ("/v2.0/Production".to_owned(), format!("/v2.0/{id}/Sandbox"), false),
            (with(id), format!("/v2.0/{id}/Sandbox"), false),
            (with(id), format!("/v2.0/{id}/x/Production"), false),
            ("/BC240".to_owned(), "/v2.0/BC240".to_owned(), false),
            ("/BC240/x".to_owned(), "/BC240/y/x".to_owned(), false),
        ] {
            let base = format!("{HOST}{base}");
            for rest in ["/api/v2.0/companies", "/api/v2.0/companies(1)/customers"] {
                let link = format!("{HOST}{theirs}{rest}?$skiptoken=1&aid=FIM");
                let told = Chain::new(&base, &format!("{base}{rest}?$select=id")).follow(&link);
                assert_eq!(told.is_ok(), is_same, "{base} {theirs}: {told:?}");
            }
        }
    }

    /// Another company's customers are customers as well, and nothing of a row tells whose it is.
    #[test]
    fn a_link_stays_in_its_company() {
        let api =
            "https://crm.example/org/api/v2.0/companies(5B1E0C52-7a44-ef11-8e52-6045bd2b1a01)/customers?$select=id";
        let page = "https://crm.example/org/ODataV4/Company('O''Hara%20AS')/Customer";
        let same = "https://crm.example/org/api/v2.0/companies(5b1e0c52-7A44-ef11-8e52-6045bd2b1a01)/customers?aid=FIM&$skiptoken=1";
        let option =
            "https://crm.example/org/api/v2.0/customers?company=5b1e0c52-7a44-ef11-8e52-6045bd2b1a01&$skiptoken=1";
        let other =
            "https://crm.example/org/api/v2.0/companies(5b1e0c52-7a44-ef11-8e52-6045bd2b1a02)/customers?$skiptoken=1";
        let none = "https://crm.example/org/api/v2.0/customers?$skiptoken=1";
        for (first, link, expected) in [
            (api, same, ""),
            (api, option, ""),
            (api, "customers?$skiptoken=1", ""),
            (api, "?$skiptoken=1", ""),
            (api, other, "leads to another company, `5b1e0c52-7a44-ef11-8e52-6045bd2b1a02`"),
            (api, none, "names no company"),
            (api, "/org/api/v2.0/companies?$skiptoken=1", "names no company"),
            (page, "https://crm.example/org/ODataV4/Company(%27O%27%27Hara%20AS%27)/Customer?$skiptoken=1", ""),
            (page, "https://crm.example/org/ODataV4/Customer?company=O%27Hara+AS&$skiptoken=1", ""),
            (page, "https://crm.example/org/ODataV4/Customer?$skiptoken=1", "names no company"),
            (none, other, ""),
            ("https://crm.example/org/api/v2.0/companies?$select=id", "companies?$select=id&$skiptoken=1", ""),
        ] {
            let told = Chain::new(BASE, first).follow(link).err().unwrap_or_default();
            assert!(told.ends_with(expected) && told.is_empty() == expected.is_empty(), "{first} {link}: {told}");
        }
    }

    #[test]
    fn a_link_is_relative_to_the_context_that_its_page_names() {
        for (context, link, expected) in [
            ("$metadata#Ts", "Ts?$skiptoken=2", "Ts?$skiptoken=2"),
            ("../$metadata#Ts(a,b)/c", "Ts?$skiptoken=2", "../Ts?$skiptoken=2"),
            ("../$metadata", "../../Ts", "../../../Ts"),
            ("https://crm.example/org/$metadata#Ts/$entity", "Ts", "https://crm.example/org/Ts"),
            ("https://crm.example", "Ts", "https://crm.example/Ts"),
            ("$metadata#Ts", "/org/Ts", "/org/Ts"),
            ("$metadata#Ts", "https://evil.example/Ts", "https://evil.example/Ts"),
            ("https://crm.example/org/api/Ts?a/b", "../../../../Ts", "https://crm.example/Ts"),
            ("https://crm.example/org/api/Ts?a/b", "Ts('a:b')", "https://crm.example/org/api/Ts('a:b')"),
            ("https://crm.example/org/api/Ts?a/b", "//crm.example/Ts", "https://crm.example/Ts"),
        ] {
            assert_eq!(join(context, link), expected, "{context} {link}");
        }
    }

    #[test]
    fn only_what_cannot_be_sent_is_encoded() {
        for (link, sent) in [
            ("https://crm.example/a?b=\"c d\"<e>#f", "https://crm.example/a?b=%22c%20d%22%3Ce%3E%23f"),
            ("https://crm.example/a`\"b?c=`%20", "https://crm.example/a%60\"b?c=`%20"),
            ("https://crm.example/a?b=\tø\u{7f}", "https://crm.example/a?b=%09ø%7F"),
        ] {
            let (first, _) = link.split_once('?').unwrap();
            assert_eq!(Chain::new(BASE, first).follow(link).unwrap(), sent);
        }
    }

    #[test]
    fn what_is_behind_the_address_does_not_depend_on_how_the_host_is_written() {
        for (base, link, expected) in [
            (BASE, "https://crm.example/org/a?b=%22", Some("/a?b=%22")),
            ("https://CRM.example:443/org", "https://crm.example/org/a", Some("/a")),
            (BASE, "HTTPS://Crm.Example:443/org/a", Some("/a")),
            ("https://crm.example", "https://crm.example/a", Some("/a")),
            ("https://crm.example", "https://crm.example", Some("")),
            (BASE, "https://crm.example/ORG/a", None),
            (BASE, "https://crm.example", None),
            (BASE, "https://evil.example/org/a", None),
            (BASE, "/org/a", None),
        ] {
            assert_eq!(behind(base, link), expected, "{base} {link}");
        }
    }

    #[test]
    fn a_link_that_leads_away_or_back_is_refused() {
        for (link, expected) in [
            ("https://evil.example/org/x", "leads away, to https://evil.example:443"),
            ("http://crm.example/org/x", "leads away, to http://crm.example:80"),
            ("https://crm.example:8443/org/x", "leads away, to https://crm.example:8443"),
            ("https://crm.example@evil.example/x", "is no address: `https://crm.example@evil.example/x`"),
            ("https://crm.example\\@evil.example/x", "is no address: `"),
            ("//evil.example/org/x", "leads away, to https://evil.example:443"),
            ("javascript:x", "is no address: `"),
            ("ftp://crm.example/x", "is no address: `"),
            ("", "to the next page is empty"),
            ("https://crm.example/first", "leads to a page that was read before"),
        ] {
            let followed = Chain::new(BASE, "https://crm.example/first").follow(link);
            let told = followed.err().unwrap_or_default();
            assert!(told.contains("/first: its link ") && told.contains(expected), "{link}: {told}");
        }
    }
}

//! Page links that a side gives: where they lead, and how they go back over the wire unchanged.
//!
//! A link is opaque and carries cookies that a side compares byte by byte (crm-api.md §5), so nothing in it is decoded,
//! reordered or encoded again. Text in, text out; requests are made elsewhere.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Write;

/// The links of one page chain: each may be followed once, and only within the host that was configured.
pub struct Chain<'a> {
    base: &'a str,
    seen: HashSet<String>,
}

impl<'a> Chain<'a> {
    /// Starts a chain whose first page is at `first`, under the configured address `base`.
    pub fn new(base: &'a str, first: &str) -> Chain<'a> {
        Chain { base, seen: HashSet::from([first.to_owned()]) }
    }

    /// Returns the address of the next page, or why it must not be asked for.
    pub fn follow(&mut self, link: &str) -> Result<String, String> {
        match (origin(self.base), origin(link)) {
            (Some(ours), Some(theirs)) if ours == theirs => {}
            (_, Some((scheme, host, port))) => {
                return Err(format!("a page link leads away, to {scheme}://{host}:{port}"));
            }
            (_, None) => return Err("a page link is no absolute address".to_owned()),
        }
        if !self.seen.insert(link.to_owned()) {
            return Err("the chain of pages loops".to_owned());
        }
        Ok(sendable(link).into_owned())
    }
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
            let followed = Chain::new(BASE, "").follow(link).unwrap();
            assert_eq!(followed, link);
        }
    }

    #[test]
    fn only_what_cannot_be_sent_is_encoded() {
        for (link, sent) in [
            ("https://crm.example/a?b=\"c d\"<e>#f", "https://crm.example/a?b=%22c%20d%22%3Ce%3E%23f"),
            ("https://crm.example/a`\"b?c=`%20", "https://crm.example/a%60\"b?c=`%20"),
            ("https://crm.example/a?b=\tø\u{7f}", "https://crm.example/a?b=%09ø%7F"),
        ] {
            assert_eq!(Chain::new(BASE, "").follow(link).unwrap(), sent);
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
            ("https://evil.example/org/x", "a page link leads away, to https://evil.example:443"),
            ("http://crm.example/org/x", "a page link leads away, to http://crm.example:80"),
            ("https://crm.example:8443/org/x", "a page link leads away, to https://crm.example:8443"),
            ("https://crm.example@evil.example/x", "a page link is no absolute address"),
            ("https://crm.example\\@evil.example/x", "a page link is no absolute address"),
            ("/org/x", "a page link is no absolute address"),
            ("ftp://crm.example/x", "a page link is no absolute address"),
            ("https://crm.example/first", "the chain of pages loops"),
        ] {
            let followed = Chain::new(BASE, "https://crm.example/first").follow(link);
            assert_eq!(followed.err().as_deref().unwrap_or("ok"), expected, "{link}");
        }
    }
}

//! Connections: how to reach one side, as written in, as meant out.
//!
//! Addresses are judged by their text alone. Nothing that a variable gave is repeated in a complaint.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use uuid::Uuid;

use crate::config::check::Desk;
use crate::config::complaint::Path;
use crate::config::schema;
use crate::config::variables;
use crate::config::{
    Adapter, Auth, Bypass, ClientCredentials, Connection, Features, Limits, Proof, SecretSource, Side,
};

/// What the ERP lets one client do by itself, and the most it takes at once (`erp-api.md`).
const ERP_LIMITS: Limits = Limits { concurrency: 5, requests: 6000, per_seconds: 300, batch: 100, page: 20_000 };
/// The same for pages of NAV: whether it takes a batch at all is for the file to say.
const PAGE_LIMITS: Limits = Limits { batch: 1, ..ERP_LIMITS };
/// The most operations that a batch of the ERP or of another service has.
const ERP_BATCH_MAX: usize = 100;
/// The same for the CRM (`crm-api.md`).
const CRM_LIMITS: Limits = Limits { concurrency: 52, requests: 6000, per_seconds: 300, batch: 1000, page: 5000 };

/// The most that can be asked for where no side says what it takes: each of them is a thread.
const CONCURRENCY_MAX: usize = 1_000;
/// The longest window, a day: what one grants is told in days at most (`crm-api.md` §15).
const PER_SECONDS_MAX: usize = 86_400;

/// Checks the connection of `side`.
pub(super) fn check(desk: &mut Desk<'_>, path: &Path, side: Side, written: schema::Connection) -> Option<Connection> {
    let adapter = adapter(desk, path, side, written.adapter);
    let insecure = written.insecure.is_some_and(|insecure| insecure.0);
    let hint = "write the service root: `url: https://…`";
    let url = desk.required(path, "url", hint, written.url);
    let url = url.map(|url| url.trim_end_matches('/').to_owned());
    if let Some(url) = &url {
        check_url(desk, &path.key("url"), url, insecure);
        let is_pages = format!("{url}/").contains("/ODataV4/");
        let api = match side {
            Side::Erp if is_pages => "/ODataV4",
            Side::Erp => "/api/v2.0",
            Side::Crm => "/api/data/v9.2",
        };
        // Any other service has its root where it has it.
        if adapter != Some(Adapter::OData) && (url.contains("/api/") || is_pages) {
            let message = "is more than the service root";
            desk.refuse(&path.key("url"), message, format!("leave out `{api}`"));
        }
    }
    let company = match side {
        Side::Erp if adapter == Some(Adapter::OData) => {
            if written.company.is_some() {
                let hint = "remove it; a service that has some shows each at an address of its own";
                desk.refuse(&path.key("company"), "`adapter: odata` knows no companies", hint.to_owned());
            }
            None
        }
        Side::Erp => desk.required(path, "company", "name the company as the ERP does", written.company),
        Side::Crm => {
            if written.company.is_some() {
                desk.refuse(&path.key("company"), "the CRM has no companies", "remove it".to_owned());
            }
            None
        }
    };
    let hint = match adapter {
        Some(Adapter::Nav | Adapter::OData) => "give `auth: { type: basic, user, password }`",
        _ => "give `auth: { type: oauth2, token_url, client_id, client_secret, scope }`",
    };
    let auth = desk.required(path, "auth", hint, written.auth);
    let auth = auth.and_then(|auth| self::auth(desk, &path.key("auth"), side, auth, insecure));
    let limits = limits(desk, &path.key("limits"), side, adapter, written.limits.unwrap_or_default());
    let features = features(desk, &path.key("features"), side, written.features.as_ref());
    let act_as = act_as(desk, &path.key("act_as"), side, written.act_as);
    let ca_file = written.ca_file.and_then(|file| self::file(desk, &path.key("ca_file"), &file));
    Some(Connection {
        adapter: adapter?,
        url: url?,
        company,
        auth: auth?,
        limits,
        features,
        act_as,
        ca_file,
        authorities: Vec::new(),
        // The table maps tell these.
        keys: BTreeMap::new(),
        options: BTreeMap::new(),
    })
}

/// Returns the user in whose name is written.
fn act_as(desk: &mut Desk<'_>, path: &Path, side: Side, written: Option<String>) -> Option<Uuid> {
    let text = written?;
    if side == Side::Erp {
        desk.refuse(path, "the ERP lets nobody write for somebody else", "remove it".to_owned());
        return None;
    }
    let id = Uuid::try_parse(text.trim()).ok().filter(|id| !id.is_nil());
    if id.is_none() {
        let hint = "give the object id that Microsoft Entra shows of the user: `act_as: 8ba1f1d2-…`";
        desk.refuse(path, "is no id of a user", hint.to_owned());
    }
    id
}

/// Returns what is used where a table has it; the ERP has none of it.
fn features(desk: &mut Desk<'_>, path: &Path, side: Side, written: Option<&schema::Features>) -> Features {
    let mut used = |key: &str, written: Option<schema::Feature>, message: &str, hint: &str| {
        if side == Side::Erp && written == Some(schema::Feature::Auto) {
            desk.refuse(&path.key(key), message, hint.to_owned());
        }
        side == Side::Crm && written != Some(schema::Feature::Off)
    };
    let features = written;
    let written = |feature: fn(&schema::Features) -> Option<schema::Feature>| written.and_then(feature);
    Features {
        bulk: used(
            "bulk",
            written(|features| features.bulk),
            "the ERP has no message for many records",
            "remove it; many records go there in batches",
        ),
        change_tracking: used(
            "change_tracking",
            written(|features| features.change_tracking),
            "the ERP does not track changes",
            "remove it; `run --changed` goes by the time of the last change there",
        ),
        bypass: bypass(desk, path, side, features),
    }
}

/// Returns what of an organization's own logic our writes pass by: nothing, unless the file says so.
fn bypass(desk: &mut Desk<'_>, path: &Path, side: Side, written: Option<&schema::Features>) -> Bypass {
    use schema::CustomLogic::{Bypass as Both, BypassAsync, BypassSync};
    let logic = written.and_then(|features| features.custom_logic);
    let flows = written.and_then(|features| features.flows);
    for (key, is_given) in [("custom_logic", logic.is_some()), ("flows", flows.is_some())] {
        if side == Side::Erp && is_given {
            desk.refuse(&path.key(key), "the ERP lets nothing be passed by", "remove it".to_owned());
        }
    }
    Bypass {
        sync: matches!(logic, Some(Both | BypassSync)),
        asynchronous: matches!(logic, Some(Both | BypassAsync)),
        flows: flows == Some(schema::Flows::Bypass),
    }
}

/// Returns the adapter of a side; `None` where it has none, which is complained about.
fn adapter(desk: &mut Desk<'_>, path: &Path, side: Side, written: Option<schema::Adapter>) -> Option<Adapter> {
    let word = match side {
        Side::Erp => "business-central",
        Side::Crm => "dataverse",
    };
    let hint = format!("write `adapter: {word}`");
    let written = desk.required(path, "adapter", &hint, written)?;
    let path = path.key("adapter");
    match (side, written) {
        (Side::Erp, schema::Adapter::BusinessCentral) => return Some(Adapter::BusinessCentral),
        (Side::Erp, schema::Adapter::Nav) => return Some(Adapter::Nav),
        (Side::Erp, schema::Adapter::Odata) => return Some(Adapter::OData),
        (Side::Crm, schema::Adapter::Dataverse) => return Some(Adapter::Dataverse),
        _ => {
            let message = format!("`{}` is not for the {}", desk.written(&path), side.name());
            desk.refuse(&path, message, hint);
        }
    }
    None
}

/// Checks how to log in; a key of another way to do it is complained about.
fn auth(desk: &mut Desk<'_>, path: &Path, side: Side, written: schema::Auth, insecure: bool) -> Option<Auth> {
    use schema::AuthKind::{Basic, Bearer, Oauth2};
    let kind = desk.required(path, "type", "write `type: oauth2`", written.kind);
    let given = [
        ("token_url", written.token_url.is_some(), Oauth2, "oauth2"),
        ("client_id", written.client_id.is_some(), Oauth2, "oauth2"),
        ("client_secret", written.client_secret.is_some(), Oauth2, "oauth2"),
        ("client_secret_file", written.client_secret_file.is_some(), Oauth2, "oauth2"),
        ("certificate", written.certificate.is_some(), Oauth2, "oauth2"),
        ("scope", written.scope.is_some(), Oauth2, "oauth2"),
        ("user", written.user.is_some(), Basic, "basic"),
        ("password", written.password.is_some(), Basic, "basic"),
        ("password_file", written.password_file.is_some(), Basic, "basic"),
        ("token_file", written.token_file.is_some(), Bearer, "bearer"),
    ];
    for (key, is_given, of, word) in given {
        if is_given && kind.is_some_and(|kind| kind != of) {
            desk.refuse(&path.key(key), format!("belongs to `type: {word}`"), "remove it".to_owned());
        }
    }
    match kind {
        None | Some(Oauth2) => credentials(desk, path, written, insecure).map(Auth::OAuth2),
        Some(Basic) => {
            if side == Side::Crm {
                desk.refuse(&path.key("type"), "the CRM takes tokens only", "write `type: oauth2`".to_owned());
            }
            basic(desk, path, written)
        }
        Some(Bearer) => {
            let hint = "name the file in which something else keeps a token fresh";
            let token_file = desk.required(path, "token_file", hint, written.token_file)?;
            Some(Auth::Bearer { token_file: file(desk, &path.key("token_file"), &token_file)? })
        }
    }
}

fn basic(desk: &mut Desk<'_>, path: &Path, written: schema::Auth) -> Option<Auth> {
    let user = desk.required(path, "user", "name the user as the ERP does", written.user);
    let user = user.filter(|user| {
        // It would end where the password begins.
        let is_plain = !user.contains(':');
        if !is_plain {
            desk.refuse(&path.key("user"), "holds a colon, which a login cannot carry", None);
        }
        is_plain
    });
    let ways = [("password", written.password), ("password_file", written.password_file)];
    let [given, file] = one_of(desk, path, ways, "name a variable: `password: ${…}`, or a `password_file`")?;
    let password = given
        .and_then(|text| secret(desk, &path.key("password"), &text))
        .or(file.and_then(|text| self::file(desk, &path.key("password_file"), &text)).map(SecretSource::File));
    Some(Auth::Basic { user: user?, password: password? })
}

fn credentials(desk: &mut Desk<'_>, path: &Path, written: schema::Auth, insecure: bool) -> Option<ClientCredentials> {
    let token_url = desk.required(path, "token_url", "name the address that gives tokens", written.token_url);
    if let Some(url) = &token_url {
        check_url(desk, &path.key("token_url"), url, insecure);
    }
    let client_id = desk.required(path, "client_id", "name the registered application", written.client_id);
    let ways = [
        ("client_secret", written.client_secret),
        ("client_secret_file", written.client_secret_file),
        ("certificate", written.certificate),
    ];
    let hint = "name a variable: `client_secret: ${…}`, or a `client_secret_file`, or a `certificate`";
    let proof = one_of(desk, path, ways, hint).and_then(|[given, file, certificate]| {
        let given = given.and_then(|text| secret(desk, &path.key("client_secret"), &text)).map(Proof::Secret);
        let file = file.and_then(|text| self::file(desk, &path.key("client_secret_file"), &text));
        let certificate = certificate.and_then(|text| self::file(desk, &path.key("certificate"), &text));
        given.or(file.map(|file| Proof::Secret(SecretSource::File(file)))).or(certificate.map(Proof::Certificate))
    });
    let scope = desk.required(path, "scope", "name what the token is for", written.scope);
    Some(ClientCredentials { token_url: token_url?, client_id: client_id?, proof: proof?, scope: scope? })
}

/// Returns a secret that a variable gives. The end of its line is none of it, as in a file; nothing of it may stand in the
/// pipeline file, which is copied, mailed and kept where many can read it.
fn secret(desk: &mut Desk<'_>, path: &Path, text: &str) -> Option<SecretSource> {
    let key = path.last_key();
    let ends = ['\r', '\n'];
    if variables::holds_text(desk.written(path).trim_end_matches(ends)) {
        let hint = format!("name a variable, `{key}: ${{…}}` without a default, or a `{key}_file`");
        desk.refuse_written(path, "stands in this file itself, for everybody who may read it", hint);
        return None;
    }
    let text = text.trim_end_matches(ends);
    if text.contains(ends) {
        let hint = "give one line; what ends it is left out".to_owned();
        desk.refuse(path, "its variable holds more than one line", hint);
        return None;
    }
    Some(SecretSource::given(text.to_owned()))
}

/// Returns the path that a text is.
fn file(desk: &mut Desk<'_>, path: &Path, text: &str) -> Option<PathBuf> {
    if text.trim().is_empty() {
        desk.refuse(path, "names no file", "name one, or remove the line".to_owned());
        return None;
    }
    Some(text.into())
}

/// Returns the ways to give one thing, of which exactly one must be written.
fn one_of<const N: usize>(
    desk: &mut Desk<'_>,
    path: &Path,
    ways: [(&str, Option<String>); N],
    hint: &str,
) -> Option<[Option<String>; N]> {
    let written: Vec<&str> = ways.iter().filter(|(_, text)| text.is_some()).map(|(key, _)| *key).collect();
    match written[..] {
        [_] => Some(ways.map(|(_, text)| text)),
        [] => {
            let (first, text) = ways.into_iter().next()?;
            desk.required(path, first, hint, text);
            None
        }
        [first, second, ..] => {
            desk.refuse(&path.key(second), format!("is given beside `{first}`"), "keep one of them".to_owned());
            None
        }
    }
}

fn limits(desk: &mut Desk<'_>, path: &Path, side: Side, adapter: Option<Adapter>, written: schema::Limits) -> Limits {
    let (base, batch_max) = match (side, adapter) {
        (Side::Erp, Some(Adapter::Nav)) => (PAGE_LIMITS, ERP_BATCH_MAX),
        (Side::Erp, _) => (ERP_LIMITS, ERP_BATCH_MAX),
        (Side::Crm, _) => (CRM_LIMITS, CRM_LIMITS.batch),
    };
    let takes = |max: usize| Some((max, format!("the {} takes {max} at most", side.name())));
    let mut limit =
        |key: &str, written: Option<schema::values::Whole>, default: usize, max: Option<(usize, String)>| {
            let Some(schema::values::Whole(number)) = written else { return default };
            let path = path.key(key);
            let number = usize::try_from(number).unwrap_or(usize::MAX);
            if number == 0 {
                desk.refuse(&path, "nothing can be done with 0", format!("the default is {default}"));
            } else if let Some((_, message)) = max.filter(|(max, _)| number > *max) {
                desk.refuse(&path, message, "lower it, or remove it".to_owned());
            }
            number
        };
    let bears = Some((CONCURRENCY_MAX, format!("more than {CONCURRENCY_MAX} is nothing that a side bears")));
    let lasts = Some((PER_SECONDS_MAX, format!("more than {PER_SECONDS_MAX} is longer than a day")));
    Limits {
        concurrency: limit("concurrency", written.concurrency, base.concurrency, bears),
        requests: limit("requests", written.requests, base.requests, None),
        per_seconds: limit("per_seconds", written.per_seconds, base.per_seconds, lasts),
        batch: limit("batch", written.batch, base.batch, takes(batch_max)),
        page: limit("page", written.page, base.page, takes(base.page)),
    }
}

fn check_url(desk: &mut Desk<'_>, path: &Path, url: &str, insecure: bool) {
    if let Some((message, hint)) = fault(url, insecure) {
        desk.refuse(path, message, hint.to_owned());
    }
}

/// Returns what is wrong with an address and what to do, without repeating it.
fn fault(url: &str, insecure: bool) -> Option<(&'static str, &'static str)> {
    let no_address = Some(("is no address", "write `https://HOST/…`"));
    let (secure, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => return no_address,
    };
    if url.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return no_address;
    }
    if url.contains(['?', '#']) {
        return Some(("holds a query or a fragment", "write the address without `?` and `#`"));
    }
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.contains('@') {
        return Some(("holds a user or a password", "write the address alone; who logs in belongs into `auth`"));
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, port)) if host.parse::<Ipv6Addr>().is_ok() => (host, port),
            _ => return no_address,
        },
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let is_port = |text: &str| text.parse::<u16>().is_ok_and(|port| port > 0);
    if host.is_empty() || !(port.is_empty() || port.strip_prefix(':').is_some_and(is_port)) {
        return no_address;
    }
    if !secure && !insecure && !is_loopback(host) {
        return Some(("sends secrets unencrypted", "write `https://`, or add `insecure: true` to the connection"));
    }
    None
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        || host.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_judged() {
        let check = |url: &str, insecure: bool, expected: Option<&str>| {
            assert_eq!(fault(url, insecure).map(|(message, _)| message), expected, "{url}");
        };
        check("https://api.businesscentral.dynamics.com/v2.0/t/production", false, None);
        check("https://erp.example:8443", false, None);
        check("http://127.0.0.1:8080/t/production", false, None);
        check("http://127.1.2.3", false, None);
        check("http://localhost:1", false, None);
        check("http://[::1]:8080", false, None);
        check("http://erp.example", true, None);
        check("http://erp.example", false, Some("sends secrets unencrypted"));
        check("http://127.0.0.1.example", false, Some("sends secrets unencrypted"));
        check("http://localhost.example", false, Some("sends secrets unencrypted"));
        check("https://me:word@erp.example", false, Some("holds a user or a password"));
        check("https://erp.example?a=b", false, Some("holds a query or a fragment"));
        check("ftp://erp.example", false, Some("is no address"));
        check("erp.example", false, Some("is no address"));
        check("https://", false, Some("is no address"));
        check("https://:80", false, Some("is no address"));
        check("https://erp.example:port", false, Some("is no address"));
        check("https://erp.example:0", false, Some("is no address"));
        check("https://erp example", false, Some("is no address"));
        check("https://[::1", false, Some("is no address"));
    }
}

//! The words after `mocks conform`: which service, where it is, how it is logged in to.
//!
//! Secrets come by the environment alone, and the addresses do where they are not given, under the names that `mocks`
//! gives to a command.

use std::env;

use clap::{Args, Subcommand, ValueEnum};

use super::wire::{Login, Remote};
use super::{Report, crm, erp, nav, odata, play, tell};

/// The service that is looked at.
#[derive(Subcommand)]
pub enum Asked {
    /// A service with Business Central's API v2.0 (ERP_URL, ERP_TOKEN_URL, ERP_CLIENT_ID, ERP_CLIENT_SECRET).
    ///
    /// Example: mocks conform erp --url https://bc.example/BC --company 'CRONUS International Ltd.'
    Erp {
        #[command(flatten)]
        place: Place,
        /// The company's name; the first one listed without it.
        #[arg(long, value_name = "NAME")]
        company: Option<String>,
    },
    /// A service with OData V4 pages as NAV 2018 has them (NAV_URL, NAV_USER, NAV_ACCESS_KEY).
    ///
    /// It has to publish Customer (page 21) and Salesperson (page 5116). Example: mocks conform nav --url
    /// https://nav.example:7048/DynamicsNAV110
    Nav {
        #[command(flatten)]
        place: Place,
        /// The company's name; the first one listed without it.
        #[arg(long, value_name = "NAME")]
        company: Option<String>,
    },
    /// Any service that speaks OData V4, by one of its tables (ODATA_URL, ODATA_USER, ODATA_PASSWORD).
    ///
    /// What --new has for a key may be `<code>` (a text), `<own>` (a GUID) or nothing, where the service gives it. Example:
    /// mocks conform odata --url https://erp.example/odata --table Items --key number --text description --write --new
    /// '{"number":"<code>","description":"<mark>"}'
    Odata {
        #[command(flatten)]
        place: Place,
        /// The entity set.
        #[arg(long, value_name = "SET")]
        table: String,
        /// The property that is its key.
        #[arg(long, value_name = "PROPERTY")]
        key: String,
        /// A text that may be changed.
        #[arg(long, value_name = "PROPERTY")]
        text: String,
        /// The body of a new record; nothing is written without it.
        #[arg(long, value_name = "JSON", requires = "write")]
        new: Option<String>,
    },
    /// A service with Dataverse's Web API (CRM_URL, CRM_TOKEN_URL, CRM_CLIENT_ID, CRM_CLIENT_SECRET).
    ///
    /// Example: mocks conform crm --url https://contoso.crm4.dynamics.com --write
    Crm {
        #[command(flatten)]
        place: Place,
    },
}

/// Where a service is, and what may be done there.
#[derive(Args)]
pub struct Place {
    /// The service's root, before /api or /ODataV4; ERP_URL, NAV_URL, ODATA_URL or CRM_URL without it.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Where tokens are issued; ERP_TOKEN_URL or CRM_TOKEN_URL without it.
    ///
    /// Where neither is given, ERP_TOKEN (NAV_TOKEN, ODATA_TOKEN, CRM_TOKEN) is the token, or ERP_USER and ERP_ACCESS_KEY
    /// (NAV_USER and NAV_ACCESS_KEY, ODATA_USER and ODATA_PASSWORD) are a basic login, or there is no login.
    #[arg(long, value_name = "URL")]
    token_url: Option<String>,
    /// Who fetches tokens; ERP_CLIENT_ID or CRM_CLIENT_ID without it. The secret is ERP_CLIENT_SECRET or CRM_CLIENT_SECRET.
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// What tokens are asked for; the service's usual one without it.
    #[arg(long, value_name = "SCOPE")]
    scope: Option<String>,
    /// Make, change and delete records, too: own ones, named `Conformance` and eight digits, which are deleted at the end.
    #[arg(long)]
    write: bool,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Looks at a service: what is to be printed, and whether all that was tried is met.
///
/// # Errors
///
/// Says what is missing, why there is no login, or that nobody answers.
pub fn conform(asked: &Asked) -> Result<(String, bool), String> {
    let (side, place) = match asked {
        Asked::Erp { place, .. } => ("ERP", place),
        Asked::Nav { place, .. } => ("NAV", place),
        Asked::Odata { place, .. } => ("ODATA", place),
        Asked::Crm { place } => ("CRM", place),
    };
    let url = given(place.url.as_ref(), side, "URL")
        .ok_or_else(|| format!("no address is given; hint: --url, or {side}_URL in the environment"))?;
    let url = url.trim_end_matches('/').to_owned();
    let reached = |service: Remote| {
        let hint = format!("hint: check --url, or {side}_URL in the environment");
        service.reached().map_err(|error| format!("{error}; {hint}")).map(|()| service)
    };
    let (report, source): (Report, _) = match asked {
        Asked::Erp { company, .. } => {
            let scope = "https://api.businesscentral.dynamics.com/.default".to_owned();
            let service = reached(Remote::open(format!("{url}/api/v2.0/"), erp::HEADERS, login(place, side, scope)?)?)?;
            let company = given(company.as_ref(), side, "COMPANY").unwrap_or_default();
            (play(erp::EXPECTATIONS, &service, &[("company name", &company)], place.write), "erp-api.md")
        }
        Asked::Nav { company, .. } => {
            let service =
                reached(Remote::open(format!("{url}/ODataV4/"), erp::HEADERS, login(place, side, String::new())?)?)?;
            let company = given(company.as_ref(), side, "COMPANY").unwrap_or_default();
            (play(nav::EXPECTATIONS, &service, &[("company name", &company)], place.write), "erp-api.md")
        }
        Asked::Odata { table, key, text, new, .. } => {
            let service =
                reached(Remote::open(format!("{url}/"), odata::HEADERS, login(place, side, String::new())?)?)?;
            let mut names = vec![("table", table.as_str()), ("key", key), ("text", text)];
            names.extend(new.as_ref().map(|body| ("new body", body.as_str())));
            (play(odata::EXPECTATIONS, &service, &names, place.write), "OData 4.0")
        }
        Asked::Crm { .. } => {
            let scope = format!("{url}/.default");
            let service =
                reached(Remote::open(format!("{url}/api/data/v9.2/"), crm::HEADERS, login(place, side, scope)?)?)?;
            (play(crm::EXPECTATIONS, &service, &[], place.write), "crm-api.md")
        }
    };
    let text = match place.format {
        Format::Text => tell::text(&report, source),
        Format::Json => tell::json(&report, source),
    };
    Ok((text, tell::counts(&report).1 == 0 && report.left.is_empty()))
}

fn login(place: &Place, side: &str, usual_scope: String) -> Result<Login, String> {
    if let Some(token_url) = given(place.token_url.as_ref(), side, "TOKEN_URL") {
        let needed = |value: Option<String>, hint: &str| value.ok_or_else(|| format!("login: hint: {hint}"));
        return Ok(Login::Client {
            token_url,
            client_id: needed(
                given(place.client_id.as_ref(), side, "CLIENT_ID"),
                &format!("--client-id, or {side}_CLIENT_ID in the environment"),
            )?,
            secret: needed(given(None, side, "CLIENT_SECRET"), &format!("{side}_CLIENT_SECRET in the environment"))?,
            scope: place.scope.clone().unwrap_or(usual_scope),
        });
    }
    let key = given(None, side, if side == "ODATA" { "PASSWORD" } else { "ACCESS_KEY" });
    Ok(match (given(None, side, "TOKEN"), given(None, side, "USER"), key) {
        (Some(token), ..) => Login::Token(token),
        (None, Some(user), Some(key)) => Login::Basic { user, key },
        _ => Login::None,
    })
}

/// What was given as an argument, or else in the environment.
fn given(argument: Option<&String>, side: &str, name: &str) -> Option<String> {
    argument.cloned().or_else(|| env::var(format!("{side}_{name}")).ok()).filter(|text| !text.is_empty())
}

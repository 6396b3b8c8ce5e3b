//! The words after `mocks conform`: which service, where it is, how it is logged in to.
//!
//! Secrets come by the environment alone, and the addresses do where they are not given, under the names that `mocks`
//! gives to a command.

use std::env;

use clap::{Args, Subcommand, ValueEnum};

use super::wire::{Login, Remote};
use super::{Report, crm, erp, nav, play, tell};

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
    /// The service's root, before /api or /ODataV4; ERP_URL, NAV_URL or CRM_URL without it.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Where tokens are issued; ERP_TOKEN_URL or CRM_TOKEN_URL without it.
    ///
    /// Where neither is given, ERP_TOKEN (NAV_TOKEN, CRM_TOKEN) is the token, or ERP_USER and ERP_ACCESS_KEY (NAV_USER and NAV_ACCESS_KEY) are a basic login, or
    /// there is no login.
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
/// Says what is missing, or why there is no login.
pub fn conform(asked: &Asked) -> Result<(String, bool), String> {
    let (side, place) = match asked {
        Asked::Erp { place, .. } => ("ERP", place),
        Asked::Nav { place, .. } => ("NAV", place),
        Asked::Crm { place } => ("CRM", place),
    };
    let url = given(place.url.as_ref(), side, "URL")
        .ok_or_else(|| format!("no address is given; hint: --url, or {side}_URL in the environment"))?;
    let url = url.trim_end_matches('/').to_owned();
    let (report, source): (Report, _) = match asked {
        Asked::Erp { company, .. } => {
            let scope = "https://api.businesscentral.dynamics.com/.default".to_owned();
            let service = Remote::open(format!("{url}/api/v2.0/"), erp::HEADERS, login(place, side, scope)?)?;
            let company = given(company.as_ref(), side, "COMPANY").unwrap_or_default();
            (play(erp::EXPECTATIONS, &service, &[("company name", &company)], place.write), "erp-api.md")
        }
        Asked::Nav { company, .. } => {
            let service = Remote::open(format!("{url}/ODataV4/"), erp::HEADERS, login(place, side, String::new())?)?;
            let company = given(company.as_ref(), side, "COMPANY").unwrap_or_default();
            (play(nav::EXPECTATIONS, &service, &[("company name", &company)], place.write), "erp-api.md")
        }
        Asked::Crm { .. } => {
            let scope = format!("{url}/.default");
            let service = Remote::open(format!("{url}/api/data/v9.2/"), crm::HEADERS, login(place, side, scope)?)?;
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
    Ok(match (given(None, side, "TOKEN"), given(None, side, "USER"), given(None, side, "ACCESS_KEY")) {
        (Some(token), ..) => Login::Token(token),
        (None, Some(user), Some(key)) => Login::Basic { user, key },
        _ => Login::None,
    })
}

/// What was given as an argument, or else in the environment.
fn given(argument: Option<&String>, side: &str, name: &str) -> Option<String> {
    argument.cloned().or_else(|| env::var(format!("{side}_{name}")).ok()).filter(|text| !text.is_empty())
}

//! Change tracking: a first read that ends with a delta link, and reads of what changed since.
//!
//! A token is the version up to which a client knows the table, and when it was given. Changed rows come first, by their
//! version, then deletions; a row that was made and deleted since is a deletion only. Tokens grow old.

use std::fmt;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::error::Error;
use super::schema::TABLES;
use super::state::State;
use super::store::{Cell, Row};
use crate::filter;

/// After how many days a token is too old: `expirechangetrackingindays` of the organization, as it is delivered.
const EXPIRES_DAYS: i64 = 7;

/// What a client knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    version: i64,
    given: DateTime<Utc>,
}

/// Percent-encoded in lower case, as the service writes it.
impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%21{}", self.version, self.given.format("%m%%2f%d%%2f%Y%%20%H%%3a%M%%3a%S"))
    }
}

/// How far a tracked read has come; a cursor carries it from page to page.
#[derive(Debug, Clone, Copy)]
pub struct Tracking {
    /// The version that the client knows; nothing in a first read.
    since: Option<i64>,
    /// The version when the read began: what changes meanwhile is for the next one.
    upto: i64,
    /// The last item of a page of changes: whether it was a deletion, its version, its id.
    after: Option<(bool, i64, Uuid)>,
}

/// A row that changed, or a deletion.
pub type Item<'a> = (Uuid, Option<&'a Row>);

/// Says whether a read is tracked; refuses what cannot be asked of such a read.
pub fn of(state: &State, table: usize, wanted: bool, options: &[(String, String)]) -> Result<Option<Tracking>, Error> {
    let token = filter::option(options, "$deltatoken");
    if !wanted && token.is_none() {
        return Ok(None);
    }
    let declared = &TABLES[table];
    if !declared.is_tracked() {
        return Err(Error::argument(format!("Change tracking is not enabled for entity '{}'.", declared.name)));
    }
    for name in ["$filter", "$orderby", "$expand", "$top"] {
        if filter::option(options, name).is_some() {
            let message = format!("The \"{name}\" query parameter isn't supported when Change Tracking is enabled.");
            return Err(Error::new(400, "0x80060888", message));
        }
    }
    let since = token.map(|token| state.known(token)).transpose()?;
    Ok(Some(Tracking { since, upto: state.version, after: None }))
}

impl Tracking {
    /// Tells whether this is a read of changes, and not the first one.
    pub fn is_delta(&self) -> bool {
        self.since.is_some()
    }

    /// Continues after an item.
    pub fn after(self, (id, row): Item<'_>, table: usize, state: &State) -> Tracking {
        let version = row.map_or_else(|| state.store.buried(table, id), |row| version(table, row));
        Tracking { after: Some((row.is_none(), version, id)), ..self }
    }

    /// Returns the token that the read ends with.
    pub fn token(&self, state: &State) -> Token {
        Token { version: self.upto, given: state.now() }
    }
}

impl State {
    /// Reads a token, as it came decoded.
    fn known(&self, text: &str) -> Result<i64, Error> {
        let invalid = || Error::new(400, "0x80060888", format!("The deltatoken '{text}' is not valid."));
        let (version, given) = text.split_once('!').ok_or_else(invalid)?;
        let version: i64 = version.parse().ok().filter(|version| *version <= self.version).ok_or_else(invalid)?;
        let given = NaiveDateTime::parse_from_str(given, "%m/%d/%Y %H:%M:%S").map_err(|_| invalid())?.and_utc();
        let old = self.now() - given > TimeDelta::days(EXPIRES_DAYS);
        if old || version < self.tracked_from {
            let message = "Version stamp associated with the client has expired. Please perform a full sync.";
            return Err(Error::new(400, "0x80044352", message));
        }
        Ok(version)
    }

    /// Remembers which columns of which set a token was given for.
    pub(super) fn token_given(&mut self, token: Token, set: &str, options: &[(String, String)]) {
        self.tokens_for.entry(filter::decode(&token.to_string(), false)).or_default().insert(wanted(set, options));
    }

    /// Refuses a token that was given for other columns, which says nothing of what these hold; of a token that an earlier
    /// process gave out nothing is known.
    pub(super) fn token_is_for(&self, set: &str, options: &[(String, String)]) -> Result<(), Error> {
        let Some(token) = filter::option(options, "$deltatoken") else { return Ok(()) };
        match self.tokens_for.get(token) {
            Some(given) if !given.contains(&wanted(set, options)) => {
                let message = format!("The deltatoken '{token}' was given for another list of columns.");
                Err(Error::new(400, "0x80060888", message))
            }
            _ => Ok(()),
        }
    }

    /// Lets all tokens that were given out grow too old.
    pub fn expire_changes(&mut self) {
        self.version += 1;
        self.tracked_from = self.version;
    }

    /// Returns a page of what changed, and whether there is more.
    pub fn changes(&self, table: usize, tracking: &Tracking, rows_max: usize) -> (Vec<Item<'_>>, bool) {
        let since = tracking.since.unwrap_or(i64::MIN);
        let is_new = |version: i64| version > since && version <= tracking.upto;
        let rows = self.store.rows(table).iter().map(|(id, row)| (false, version(table, row), *id, Some(row)));
        let graves = self.store.graves(table).map(|(id, version)| (true, version, id, None));
        let mut items: Vec<_> = rows.chain(graves).filter(|(_, version, ..)| is_new(*version)).collect();
        items.retain(|(gone, version, id, _)| tracking.after.is_none_or(|after| (*gone, *version, *id) > after));
        items.sort_unstable_by_key(|(gone, version, id, _)| (*gone, *version, *id));
        let more = items.len() > rows_max;
        items.truncate(rows_max);
        (items.into_iter().map(|(_, _, id, row)| (id, row)).collect(), more)
    }

    /// Counts what changed since a token was given.
    pub fn changes_count(&self, table: usize, tracking: &Tracking) -> usize {
        self.changes(table, tracking, usize::MAX).0.len()
    }
}

/// Names a set and the columns that are asked for, in whatever order.
fn wanted(set: &str, options: &[(String, String)]) -> String {
    let mut columns: Vec<&str> = filter::option(options, "$select").unwrap_or("*").split(',').map(str::trim).collect();
    columns.sort_unstable();
    format!("{set}({})", columns.join(","))
}

fn version(table: usize, row: &Row) -> i64 {
    row.get(TABLES[table].column("versionnumber")).and_then(Cell::whole).unwrap_or_default()
}

//! Records without a partner in, those whose partner was deleted and may be made anew among them, everything in that a
//! match rule could take for the same one.
//!
//! A rule counts only where it finds one record on each side, so both sides are asked for everything that bears the same
//! keys, inside the filters or not; and for what comes that has no partner either, again, until nothing new comes. A side
//! that cannot be asked by what a column holds is read.

use std::collections::{BTreeSet, HashMap, HashSet};

use uuid::Uuid;

use crate::config::{MatchRule, PerSide, Side, TableMap};
use crate::couple::resembling::{like_any, may_be};
use crate::endpoint::{EndpointError, Query, without_blanks};
use crate::extract::{self, Scope};
use crate::frame::{Frame, Kind};
use crate::run::context::Context;
use crate::run::gather::Gathered;
use crate::run::needs::name_needed;
use crate::run::rows::{unreadable_in, without};
use crate::run::step::PassError;
use crate::translate::links::Links;

/// Adds the candidates of all records inside their filters that have no partner, or had one and are `widowed`.
pub(super) fn candidates(
    context: &Context<'_>,
    scope: &Scope,
    map: &TableMap,
    deferred: &[bool],
    (gathered, widowed): (&mut Gathered<'_>, &PerSide<HashSet<Uuid>>),
    links: &mut Links,
) -> Result<(), PassError> {
    let mut done: PerSide<HashSet<Uuid>> = PerSide::default();
    let mut search = Search { context, scope, map, tables: PerSide::default(), held: HashMap::new() };
    loop {
        let mut rows = PerSide::from_fn(|side| scope.empty(side));
        for side in Side::BOTH {
            let (inside, _) = gathered.split(side)?;
            let coupled = |id: &Uuid| gathered.is_coupled(side, *id) && !widowed.of(side).contains(id);
            let is_old = |id: &Uuid| coupled(id) || done.of(side).contains(id);
            *rows.of_mut(side) = without(&inside.frame, is_old);
            done.of_mut(side).extend(rows.of(side).ids());
        }
        if map.match_rules.is_empty() || (rows.erp.rows() == 0 && rows.crm.rows() == 0) {
            return Ok(());
        }
        name_needed(context, map, scope, deferred, &rows, links)?;
        for rule in &map.match_rules {
            let pool = search.pool(rule, &rows)?;
            name_needed(context, map, scope, deferred, &pool, links)?;
            let found = like_any(map, rule, &scope.infos, &rows, &pool, links);
            for side in Side::BOTH {
                gathered.add(side, &pool.of(side).take(found.of(side)));
                // What cannot be read may be the same one as well: then nothing is made beside it.
                let (there, other) = (unreadable_in(pool.of(side)), side.other());
                let all: Vec<usize> = (0..rows.of(other).rows()).collect();
                let doubtful = may_be(map, &scope.infos, other, rows.of(other), &all, &there, links);
                gathered.add(side, &there.take(&doubtful.into_values().collect::<Vec<_>>()));
            }
        }
        gathered.fetch()?;
    }
}

/// What was asked for so far.
struct Search<'a> {
    context: &'a Context<'a>,
    scope: &'a Scope,
    map: &'a TableMap,
    /// A side's whole table, where it had to be read.
    tables: PerSide<Option<Frame>>,
    /// By side and column: the texts that were asked for, and all that came.
    held: HashMap<(Side, String), (HashSet<String>, Frame)>,
}

impl Search<'_> {
    /// Returns, of both sides, all records that a rule could take for one of `rows`, and perhaps more.
    fn pool(&mut self, rule: &MatchRule, rows: &PerSide<Frame>) -> Result<PerSide<Frame>, EndpointError> {
        let mut pool = PerSide::from_fn(|side| self.scope.empty(side));
        // Where a column is blank everywhere, the rule finds nothing.
        let comparable = |side: Side| {
            let frame = rows.of(side);
            let has_value = |row: usize| {
                rule.by.iter().all(|(erp, crm)| {
                    let columns = PerSide { erp: erp.as_str(), crm: crm.as_str() };
                    self.is_translated(&columns) || !frame.value(columns.of(side), row).is_blank()
                })
            };
            (0..frame.rows()).any(has_value)
        };
        if !comparable(Side::Erp) && !comparable(Side::Crm) {
            return Ok(pool);
        }
        for side in Side::BOTH {
            *pool.of_mut(side) = match self.holding(rule, rows, side)? {
                Some(frame) => frame,
                None => self.table(side)?,
            };
        }
        Ok(pool)
    }

    /// Asks a side by one column of the rule; `None` where it cannot be asked by any.
    fn holding(&mut self, rule: &MatchRule, rows: &PerSide<Frame>, side: Side) -> Result<Option<Frame>, EndpointError> {
        for pair in &rule.by {
            let columns = PerSide { erp: pair.0.as_str(), crm: pair.1.as_str() };
            let column = *columns.of(side);
            let is_text = |side: Side| {
                let info = self.scope.infos.of(side).column(columns.of(side));
                info.is_some_and(|info| matches!(info.column.kind, Kind::Text | Kind::Code))
            };
            if self.is_translated(&columns) || !is_text(Side::Erp) || !is_text(Side::Crm) {
                continue;
            }
            let mut texts: BTreeSet<String> = BTreeSet::new();
            for from in Side::BOTH {
                let frame = rows.of(from);
                let values = (0..frame.rows()).map(|row| frame.value(columns.of(from), row).to_string());
                texts.extend(values.map(|text| without_blanks(&text).to_owned()).filter(|text| !text.is_empty()));
            }
            let key = (side, column.to_owned());
            if let Some((asked, _)) = self.held.get(&key) {
                texts.retain(|text| !asked.contains(text));
            }
            let texts: Vec<String> = texts.into_iter().collect();
            let query = Query {
                info: self.scope.infos.of(side),
                columns: self.scope.columns.of(side).clone(),
                filter: None,
                ids: None,
            };
            if let Some(frame) = self.context.endpoints.of(side).read_holding(&query, column, &texts)? {
                let empty = || (HashSet::new(), self.scope.empty(side));
                let (asked, held) = self.held.entry(key).or_insert_with(empty);
                asked.extend(texts);
                held.upsert(&extract::of_company(self.map, side, frame));
                return Ok(Some(held.clone()));
            }
        }
        Ok(None)
    }

    /// Tells whether a field map makes something else of the value that travels between two columns.
    fn is_translated(&self, columns: &PerSide<&str>) -> bool {
        self.map.fields.iter().any(|field| {
            field.erp.as_deref() == Some(columns.erp)
                && field.crm.as_deref() == Some(columns.crm)
                && (field.reference.is_some()
                    || !field.values.is_empty()
                    || field.to_crm.is_some()
                    || field.to_erp.is_some())
        })
    }

    /// Reads a side's table, once.
    fn table(&mut self, side: Side) -> Result<Frame, EndpointError> {
        if let Some(frame) = self.tables.of(side) {
            return Ok(frame.clone());
        }
        let frame = extract::read_beyond(self.map, self.scope, side, *self.context.endpoints.of(side))?;
        *self.tables.of_mut(side) = Some(frame.clone());
        Ok(frame)
    }
}

//! Whose new record would be just like one that is there, where only some records are read.
//!
//! Where a side gives the keys of new records, what they hold is all that tells them. So who holds all of what another one
//! would be made with gets no partner ([`given`](crate::run::given)), and a run over single records has to know of such others as
//! one over everything does. Here they are read along, as far as columns that travel as they are can tell; what each of them
//! would be made with, the pass decides.
//!
//! A run over changes needs none of it: whoever is not made when it comes waits in the inbox, and is looked at with that.

use crate::config::expression::{Comparison, Literal, Predicate};
use crate::config::{FieldMap, Fit, PerSide, Side, TableMap, When};
use crate::endpoint::{EndpointError, Query};
use crate::extract::{self, Scope};
use crate::frame::{Frame, Kind, Value};
use crate::run::context::Context;
use crate::run::gather::Gathered;
use crate::run::given::gives_key;
use crate::run::rows::without;
use crate::run::step::PassError;
use crate::run::written::fingerprint_in;
use crate::translate::canonical::{BLANK, fingerprint};

/// How many columns one question names: a few tell almost everybody apart, and an address holds only so much.
const COLUMNS_MAX: usize = 3;

/// How long a text may be that is asked for, and the column that holds it.
const TEXT_LENGTH_MAX: usize = 250;

/// Adds, for the records inside their filters that have no partner, whoever may be made on their side just like one of them.
pub(super) fn add_twins(
    context: &Context<'_>,
    scope: &Scope,
    map: &TableMap,
    gathered: &mut Gathered<'_>,
) -> Result<(), PassError> {
    if context.options.selection.double || !Side::BOTH.into_iter().all(|side| map.create.on(side)) {
        return Ok(());
    }
    for side in Side::BOTH.into_iter().filter(|side| gives_key(scope, map, *side)) {
        let (inside, _) = gathered.split(side)?;
        let alone = without(&inside.frame, |id| gathered.is_coupled(side, *id));
        if alone.rows() == 0 {
            continue;
        }
        let from = side.other();
        let likeness = Likeness { context, scope, map, side, columns: plain_columns(scope, map, side) };
        let pool = extract::inside(map, from, likeness.pool(&alone, gathered.couplings_count())?)?.frame;
        let free = without(&pool, |id| gathered.is_coupled(from, *id));
        gathered.add(from, &free.take(&likeness.rows(&alone, &free)));
    }
    Ok(())
}

/// Returns the pairs of columns between which a text goes to `side` as it is, for a new record too.
fn plain_columns<'a>(scope: &Scope, map: &'a TableMap, side: Side) -> Vec<PerSide<&'a str>> {
    let is_plain = |field: &&FieldMap| {
        let translates = field.reference.is_some() || !field.values.is_empty() || field.expression_to(side).is_some();
        field.writes(side) && field.when != When::Update && field.fit == Fit::Reject && !translates
    };
    let columns = |field: &'a FieldMap| {
        let columns = PerSide { erp: field.erp.as_deref()?, crm: field.crm.as_deref()? };
        let is_text = |of: Side| {
            let info = scope.infos.of(of).column(columns.of(of)).filter(|info| of != side || info.insertable);
            info.is_some_and(|info| matches!(info.column.kind, Kind::Text | Kind::Code))
        };
        Side::BOTH.into_iter().all(is_text).then_some(columns)
    };
    map.fields.iter().filter(is_plain).filter_map(columns).collect()
}

/// What makes a record of the other side one that may be made on `side` like another one that is there.
struct Likeness<'a> {
    context: &'a Context<'a>,
    scope: &'a Scope,
    map: &'a TableMap,
    side: Side,
    columns: Vec<PerSide<&'a str>>,
}

impl Likeness<'_> {
    /// Returns all records of the other side that may be made like one of `alone`, and perhaps more, whatever takes fewer
    /// requests: one question for each, or reading what is inside the filter, about `rows_count` records.
    fn pool(&self, alone: &Frame, rows_count: usize) -> Result<Frame, EndpointError> {
        let from = self.side.other();
        let endpoint = *self.context.endpoints.of(from);
        let whole = rows_count.div_ceil(endpoint.bounds().page_rows_max.max(1)).max(1);
        let questions: Option<Vec<Predicate>> = (0..alone.rows()).map(|row| self.question(alone, row)).collect();
        let Some(questions) = questions.filter(|questions| questions.len() <= whole) else {
            return Ok(extract::read_side(self.map, self.scope, from, endpoint, &|_| {})?.frame);
        };
        let mut pool = self.scope.empty(from);
        for question in questions {
            let query = Query {
                info: self.scope.infos.of(from),
                columns: self.scope.columns.of(from).clone(),
                filter: Some(question),
                ids: None,
            };
            pool.upsert(&endpoint.read(&query, &|_| {})?);
        }
        Ok(pool)
    }

    /// Asks for the records that hold what a row does, or nothing, in some columns; `None` where none can be asked by.
    fn question(&self, alone: &Frame, row: usize) -> Option<Predicate> {
        let from = self.side.other();
        let part = |columns: &PerSide<&str>| {
            let info = self.scope.infos.of(from).column(columns.of(from))?;
            // A code counts without regard to blanks around it, which a question would have to name.
            let is_text = |of: Side| {
                let info = self.scope.infos.of(of).column(columns.of(of));
                info.is_some_and(|info| info.column.kind == Kind::Text)
            };
            let is_short = |length: Option<usize>| length.is_some_and(|length| length <= TEXT_LENGTH_MAX);
            let text = alone.value(columns.of(self.side), row).to_string();
            let asks = info.readable && is_short(info.length_max) && is_text(Side::Erp) && is_text(Side::Crm);
            if !asks || text.trim().is_empty() || text.chars().count() > TEXT_LENGTH_MAX {
                return None;
            }
            let column = || info.column.name.clone();
            let equal = Comparison::Equal;
            Some(Predicate::Any(vec![
                Predicate::Compare { column: column(), comparison: equal, literal: Literal::Text(text) },
                Predicate::IsNull { column: column() },
            ]))
        };
        let parts: Vec<Predicate> = self.columns.iter().filter_map(part).take(COLUMNS_MAX).collect();
        (!parts.is_empty()).then_some(Predicate::All(parts))
    }

    /// Returns the rows of `pool` that may be made like one of `alone`: that one holds whatever would be sent.
    fn rows(&self, alone: &Frame, pool: &Frame) -> Vec<usize> {
        let (side, from) = (self.side, self.side.other());
        let kind = |columns: &PerSide<&str>| {
            let info = self.scope.infos.of(side).column(columns.of(side));
            info.map_or(Kind::Text, |info| info.column.kind)
        };
        let held = |row: usize| {
            let print = |columns: &PerSide<&str>| fingerprint_in(alone, side, columns.of(side), row);
            self.columns.iter().map(print).collect::<Vec<u64>>()
        };
        let held: Vec<Vec<u64>> = (0..alone.rows()).map(held).collect();
        let sent = |row: usize| {
            let print = |columns: &PerSide<&str>| {
                let value: Value = pool.value(columns.of(from), row);
                if value.is_blank() { BLANK } else { fingerprint(&value, side, kind(columns)) }
            };
            self.columns.iter().map(print).collect::<Vec<u64>>()
        };
        let holds =
            |held: &Vec<u64>, sent: &[u64]| held.iter().zip(sent).all(|(held, sent)| *sent == BLANK || sent == held);
        let is_like = |row: &usize| {
            let sent = sent(*row);
            held.iter().any(|held| holds(held, &sent))
        };
        (0..pool.rows()).filter(is_like).collect()
    }
}

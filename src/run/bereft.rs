//! Deletions that a run came upon by the references that they cleared, while their own table map was not read, or not as far:
//! they are filed as its turn would have done it, and the next run that reads it decides what follows.

use std::collections::HashSet;

use uuid::Uuid;

use crate::config::{PerSide, Side};
use crate::couple::rows_by_id;
use crate::delta::deletion::{Facts, Fate, Reason, decide};
use crate::delta::names::Names;
use crate::extract::{self, Scope};
use crate::frame::Frame;
use crate::run::context::Context;
use crate::run::decided;
use crate::run::reading::sorted;
use crate::run::state::PassState;
use crate::run::step::PassError;
use crate::run::unreadable::which;
use crate::store::{Background, InboxItem, InboxKind, Store, StoreError, Survivor};
use crate::translate::links::Links;

/// Files the deletions in a table map that neither its own turn, where it had one, nor an earlier run has told of; returns
/// what waits for a person.
pub(super) fn file_bereft(
    context: &Context<'_>,
    store: &mut dyn Store,
    table: usize,
    own: Option<&PassState>,
    links: &mut Links,
) -> Result<Vec<InboxItem>, PassError> {
    let map = &context.pipeline.tables[table];
    let untold = PerSide::from_fn(|left| {
        let told = |id: &&Uuid| own.is_some_and(|own| own.consequences.bereft(left).contains(id));
        links.table(&map.name).all_left(left).iter().filter(|id| !told(id)).copied().collect::<HashSet<Uuid>>()
    });
    if untold.erp.is_empty() && untold.crm.is_empty() {
        return Ok(Vec::new());
    }
    let mut items = store.inbox(Some(&map.name))?;
    let filed = items.iter().filter(|item| item.kind == InboxKind::Deleted);
    let filed: HashSet<(Option<Uuid>, Option<Uuid>)> = filed.map(|item| (item.erp_id, item.crm_id)).collect();
    let mut found: Vec<(InboxItem, Survivor)> = Vec::new();
    for (left, untold) in Side::BOTH.into_iter().zip([untold.erp, untold.crm]) {
        let pairs = pairs(store, &map.name, left, untold)?;
        let is_new = |ids: &PerSide<Uuid>| !filed.contains(&(Some(ids.erp), Some(ids.crm)));
        let pairs: Vec<PerSide<Uuid>> = pairs.into_iter().filter(is_new).collect();
        if !pairs.is_empty() {
            found.extend(survivors(context, table, left, &pairs)?);
        }
    }
    if context.options.dry_run || found.is_empty() {
        return Ok(found.into_iter().map(|(item, _)| item).collect());
    }
    let mut all = store.survivors(&map.name)?;
    for (item, survivor) in &found {
        items.push(item.clone());
        all.push(*survivor);
    }
    store.replace_inbox(&map.name, &items)?;
    store.replace_survivors(&map.name, &all)?;
    let is_new = |item: &InboxItem| {
        found.iter().any(|(new, _)| (new.kind, new.erp_id, new.crm_id) == (item.kind, item.erp_id, item.crm_id))
    };
    Ok(decided::undecided(store, &map.name)?.into_iter().filter(is_new).collect())
}

/// Returns the pairs of coupled records, in a fixed order.
fn pairs(store: &dyn Store, table: &str, side: Side, ids: HashSet<Uuid>) -> Result<Vec<PerSide<Uuid>>, StoreError> {
    let coupled = sorted(ids).into_iter().map(|id| store.coupling_of(table, side, id));
    let coupled = coupled.collect::<Result<Vec<_>, StoreError>>()?;
    Ok(coupled.into_iter().flatten().map(|coupling| coupling.ids).collect())
}

/// Reads the survivors of a side, and says of each what a turn of its table map would say that holds it.
fn survivors(
    context: &Context<'_>,
    table: usize,
    left: Side,
    pairs: &[PerSide<Uuid>],
) -> Result<Vec<(InboxItem, Survivor)>, PassError> {
    let map = &context.pipeline.tables[table];
    let scope = Scope::describe(context.pipeline, table, context.endpoints)?;
    let ids = pairs.iter().map(|ids| *ids.of(left)).collect();
    let frame = extract::read_ids(&scope, left, *context.endpoints.of(left), ids)?;
    let inside = rows_by_id(&extract::inside(map, left, frame.clone())?.frame);
    let mut frames = PerSide::from_fn(|side| scope.empty(side));
    *frames.of_mut(left) = frame;
    let names = Names::new(map, &[&frames]);
    let frame: &Frame = frames.of(left);
    let rows = rows_by_id(frame);
    let survivor = |ids: &PerSide<Uuid>| {
        let id = *ids.of(left);
        // Where both are gone the next run ends the coupling.
        let row = *rows.get(&id)?;
        let unread = frame.unreadable(id).map(|why| which(map, left, id, why));
        let writes = PerSide::from_fn(|side| map.direction.writes(side));
        let facts = Facts { on_delete: map.on_delete, gone: left.other(), writes, inside: inside.contains_key(&id) };
        let reason = match decide(&facts) {
            _ if unread.is_some() => Reason::Unreadable,
            Fate::Hold(reason) => reason,
            Fate::Restore | Fate::Uncouple | Fate::Delete => Reason::Unseen,
        };
        let record = names.row(frame, left, row);
        let print = inside.contains_key(&id).then(|| decided::print_of(map, left, frame, row));
        let item = InboxItem {
            table: map.name.clone(),
            kind: InboxKind::Deleted,
            erp_id: Some(ids.erp),
            crm_id: Some(ids.crm),
            field: None,
            base: None,
            erp: None,
            crm: None,
            message: reason.told(&record, left.other(), unread.as_deref()),
            record,
            outstanding: None,
            since: String::new(),
            attempts: 0,
            background: Background::default(),
        };
        Some((item, Survivor { ids: *ids, left, print }))
    };
    Ok(pairs.iter().filter_map(survivor).collect())
}

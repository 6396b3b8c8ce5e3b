//! Keys of coupled records whose ids do not tell them ([`Key::Values`]): kept in the state, and given back to their side.
//!
//! A side learns the key of a record by reading it. One that no list brings any more can be asked for by its key alone, and
//! only what is said to that proves a deletion (I7): so the key has to outlast the run that read it.

use crate::config::{PerSide, Side, TableMap};
use crate::endpoint::{Endpoint, Key};
use crate::extract::Scope;
use crate::store::{Store, StoreError};

/// Tells both sides the keys that earlier runs kept.
pub fn recall(
    endpoints: PerSide<&dyn Endpoint>,
    scope: &Scope,
    store: &dyn Store,
    map: &TableMap,
) -> Result<(), StoreError> {
    for side in Side::BOTH {
        let info = scope.infos.of(side);
        if let Key::Values(_) = info.key {
            endpoints.of(side).recall(info, store.record_keys(&map.name, side)?);
        }
    }
    Ok(())
}

/// Keeps the keys of coupled records that were seen and are not kept yet, or are written in another way by now.
pub fn remember(
    endpoints: PerSide<&dyn Endpoint>,
    scope: &Scope,
    store: &mut dyn Store,
    map: &TableMap,
) -> Result<(), StoreError> {
    for side in Side::BOTH {
        let info = scope.infos.of(side);
        if matches!(info.key, Key::Id(_)) {
            continue;
        }
        let kept = store.record_keys(&map.name, side)?;
        let mut coupled = store.without_key(&map.name, side)?;
        coupled.extend(kept.keys());
        let mut keys = endpoints.of(side).seen_keys(info, &coupled);
        keys.retain(|(id, key)| kept.get(id) != Some(key));
        if !keys.is_empty() {
            store.remember_keys(&map.name, side, &keys)?;
        }
    }
    Ok(())
}

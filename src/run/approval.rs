//! What a person approved: of all that a run decides, the actions of a plan are carried out and nothing else (I8).
//!
//! An action is the plan's where table, side, kind and ids are the same, and the same columns go from the same old to the
//! same new values, and the record is in the version that the plan looked at where it names one. What the plan could not
//! know is allowed where it says so: the key of a new record behind its placeholder, what a new record's side gives on its
//! own (`follow_ups`, and what it puts into two-way columns that came blank), and the records that it left to the run
//! (`later`). What else is decided is dropped, and told by [`crate::run::closing`].

use std::collections::HashMap;

use uuid::Uuid;

use crate::binding::Binding;
use crate::config::{FieldMap, PerSide};
use crate::frame::Value;
use crate::plan::choice::Choice;
use crate::plan::{Plan, placeholder};
use crate::translate::links::{Links, canonical_key};

/// A plan that is to be carried out.
#[derive(Debug, Clone)]
pub struct Approved {
    pub plan: Plan,
    /// To what the state belonged when it was made.
    pub binding: Binding,
    /// When it was made, RFC 3339.
    pub moment: String,
    /// The part that is to be carried out now.
    pub choice: Choice,
    /// The records that it makes, by what stands for their keys.
    made: HashMap<String, PerSide<Uuid>>,
}

impl Approved {
    /// Approves a part of a plan.
    pub fn new(plan: Plan, binding: Binding, moment: String, choice: Choice) -> Approved {
        let makes = plan.actions().filter(|action| action.kind.makes_record());
        let made = makes.map(|action| (placeholder(*action.ids.of(action.side)), action.ids)).collect();
        Approved { plan, binding, moment, choice, made }
    }

    /// Tells whether a value is the planned one, or what the planned one stands for.
    pub(super) fn means(
        &self,
        planned: &Value,
        now: &Value,
        ids: PerSide<Uuid>,
        field: Option<&FieldMap>,
        links: &Links,
    ) -> bool {
        if planned == now {
            return true;
        }
        let (Value::Text(planned), Value::Text(now)) = (planned, now) else { return false };
        let reference = field.and_then(|field| field.reference.as_ref());
        // The key of a record that is made first: its side may write it in its own way, as the ERP does with codes.
        if reference.is_some() && canonical_key(planned) == canonical_key(now) {
            return true;
        }
        let Some((before, own, after, made)) = self.placeholder_in(planned) else { return false };
        match reference {
            // The key of the very record that the plan makes, and of no other.
            Some(reference) => planned == own && links.name_of(reference, made.crm).map(str::trim) == Some(now.trim()),
            // The new record's own key, which its side gave.
            None => {
                (ids.erp == made.erp || ids.crm == made.crm)
                    && now.len() > before.len() + after.len()
                    && now.starts_with(before)
                    && now.ends_with(after)
            }
        }
    }

    /// Finds in a text what stands for the key of a new record: what is before it, itself, what is behind it, and the ids
    /// of that record and its source.
    pub(super) fn placeholder_in<'t>(&self, text: &'t str) -> Option<(&'t str, &'t str, &'t str, PerSide<Uuid>)> {
        let length = placeholder(Uuid::nil()).len();
        let known = |start: usize| text.get(start..start + length).and_then(|own| self.made.get_key_value(own));
        let (start, (_, made)) = text.match_indices("(NEW ").find_map(|(start, _)| Some((start, known(start)?)))?;
        Some((&text[..start], &text[start..start + length], &text[start + length..], *made))
    }
}

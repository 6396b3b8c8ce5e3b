//! The answer in one sentence: what matters most of all that is known about a record.

use crate::config::{PerSide, Side, TableMap};
use crate::delta::decided;
use crate::endpoint::Hidden;
use crate::plan::{Action, ActionKind};
use crate::run::sight::Search;
use crate::store::{InboxItem, InboxKind};
use crate::why::{Guarded, Place, Presence};

/// The answer in one sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub kind: Kind,
    pub message: String,
}

/// How it stands with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Something waits for a person.
    Waits(InboxKind),
    /// Its table map could not be looked at.
    Unreadable,
    /// The guard of its table map stops it.
    Guarded,
    /// The next run does something.
    Pending,
    /// It is decided during the next run, when that has made something else.
    Later,
    /// It is outside the filter, or its partner is.
    Outside,
    /// It is not shown by its side, or its partner is not.
    Hidden,
    /// A person, or the deletion of its partner, keeps it apart.
    KeptApart,
    /// It has no partner, and gets none.
    NotCoupled,
    /// Both sides agree.
    InSync,
}

impl Kind {
    /// Returns the word of the JSON output.
    pub fn key(self) -> &'static str {
        match self {
            Kind::Waits(kind) => kind.key(),
            Kind::Unreadable => "unreadable",
            Kind::Guarded => "guarded",
            Kind::Pending => "pending",
            Kind::Later => "later",
            Kind::Outside => "outside",
            Kind::Hidden => "hidden",
            Kind::KeptApart => "kept_apart",
            Kind::NotCoupled => "not_coupled",
            Kind::InSync => "in_sync",
        }
    }
}

/// What a verdict depends on besides the record's own decisions.
pub(super) struct Circumstances<'a> {
    pub(super) error: Option<&'a str>,
    pub(super) guarded: Option<&'a Guarded>,
    pub(super) notes: &'a [String],
    pub(super) later: Option<&'a str>,
    pub(super) apart: Option<&'a str>,
    pub(super) is_coupled: bool,
    /// Why it gets no partner although new ones are made.
    pub(super) unpartnered: Option<&'a str>,
}

/// Gives the verdict on a record of `side`.
pub(super) fn verdict(
    map: &TableMap,
    side: Side,
    circumstances: &Circumstances<'_>,
    waits: &[InboxItem],
    actions: &[Action],
    places: &PerSide<Place>,
    searches: &[Search],
) -> Verdict {
    let told = |kind: Kind, message: String| Verdict { kind, message };
    if let Some(error) = circumstances.error {
        return told(Kind::Unreadable, format!("`{}` could not be looked at: {error}", map.name));
    }
    if let Some(item) = waits.first() {
        let field = item.field.as_ref().filter(|_| item.kind == InboxKind::Contested);
        let more = if waits.len() > 1 { format!(", and {} more", waits.len() - 1) } else { String::new() };
        let message = match field {
            Some(field) => format!("{field}: {}{more}", decided::told(item)),
            None => format!("{}{more}", decided::told(item)),
        };
        return told(Kind::Waits(item.kind), message);
    }
    if let (Some(guarded), false) = (circumstances.guarded, actions.is_empty()) {
        let message = match guarded {
            Guarded { why, at: None } => format!("the guard of `{}` stops it: {why}", map.name),
            Guarded { why, at: Some(at) } => {
                format!("the guard of `{}` stopped it in the run of {at}, and every run counts anew: {why}", map.name)
            }
        };
        return told(Kind::Guarded, message);
    }
    if !actions.is_empty() {
        return told(Kind::Pending, actions.iter().map(pending).collect::<Vec<_>>().join("; "));
    }
    if let Some(message) = circumstances.later {
        return told(Kind::Later, format!("decided during the next run: {message}"));
    }
    let hidden = [side, side.other()].into_iter().find_map(|side| match places.of(side).presence {
        Presence::Hidden(why) => Some((side.name(), why)),
        _ => None,
    });
    if let Some((name, why)) = hidden {
        let message = match why {
            Hidden::Forbidden => format!("the {name} does not let the login read it: it is left alone until it does"),
            Hidden::Untold => format!(
                "it is in no list of the {name}, which does not tell whether it exists: it is left alone, and where it is gone \
                 `uncouple` ends its coupling"
            ),
        };
        return told(Kind::Hidden, message);
    }
    let outside = |side: &Side| matches!(places.of(*side).presence, Presence::Outside(_));
    let first = [side, side.other()].into_iter().find(outside);
    if let Some(outside) = first {
        let name = outside.name();
        let message = match circumstances.is_coupled {
            true => format!("outside the filter of the {name}: nothing is written on either side until it comes back"),
            false => format!("outside the filter of the {name}: it is neither matched nor created"),
        };
        return told(Kind::Outside, message);
    }
    if circumstances.is_coupled {
        return told(Kind::InSync, "both sides agree".to_owned());
    }
    if let Some(since) = circumstances.apart {
        let message = format!("kept apart since {since}: neither matched nor created anew until a person couples it");
        return told(Kind::KeptApart, message);
    }
    let to = side.other();
    let beyond = searches.iter().flat_map(|search| &search.found).find(|found| found.side == to && !found.inside);
    let reason = match (map.create.on(to), beyond) {
        _ if let Some(why) = circumstances.unpartnered => why.to_owned(),
        (false, _) => format!("no match rule finds a partner, and `create` makes none in the {}", to.name()),
        (true, Some(found)) => format!("{} is there already, outside the filter", found.record),
        (true, None) => {
            circumstances.notes.first().cloned().unwrap_or_else(|| "no match rule finds a partner".to_owned())
        }
    };
    told(Kind::NotCoupled, format!("not coupled: {reason}"))
}

/// Says what the next run does.
fn pending(action: &Action) -> String {
    let side = action.side.name();
    let does = match action.kind {
        ActionKind::Insert => format!("makes its partner in the {side}"),
        ActionKind::Restore { .. } => format!("makes it anew in the {side}"),
        ActionKind::Update => format!("updates it in the {side}"),
        ActionKind::Delete => format!("deletes it in the {side}"),
        ActionKind::Couple { .. } => "couples it".to_owned(),
        ActionKind::Uncouple | ActionKind::KeepApart => "removes its coupling".to_owned(),
    };
    format!("the next run {does}: {}", action.why)
}

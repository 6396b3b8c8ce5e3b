//! One record of a coupled pair is gone: what becomes of the other?
//!
//! In go the answer of the table map and what is known of the survivor, out comes its [`Fate`]. That the partner is gone
//! and not merely out of sight has been proven before, by asking for it by id. Nothing is written here.

use crate::config::{OnDelete, PerSide, Side, TableMap};
use crate::endpoint::TableInfo;
use crate::frame::evaluated::EvaluationError;
use crate::frame::{Frame, Kind};
use crate::store::{Decided, Outstanding};
use crate::translate::Translator;
use crate::translate::canonical::{fingerprint, own};
use crate::translate::links::Links;

/// What is known of a pair of which one record is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    pub on_delete: OnDelete,
    /// The side that lost its record.
    pub gone: Side,
    /// Whether the table map writes to each side.
    pub writes: PerSide<bool>,
    /// Whether the survivor is inside its filter.
    pub inside: bool,
}

/// What becomes of the survivor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It stays as it is until somebody decides.
    Hold(Reason),
    /// Its partner is made anew.
    Restore,
    /// It stays, without partner.
    Uncouple,
    /// It follows its partner, if nobody edited it since.
    Delete,
}

/// Why somebody has to decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The table map wants it so.
    Asked,
    /// The survivor left its filter, and what is outside is left alone.
    Outside,
    /// The table map does not write to the side that would have to change.
    OneWay,
    /// The run does not write to the side that would have to change.
    OtherWay,
    /// It would be deleted, and somebody edited it since the two were last settled.
    Edited,
    /// It would be deleted, and the two never agreed on anything, so nobody knows whether it was edited.
    NeverSettled,
    /// It would be deleted because a person decided so, and somebody edited it since.
    Changed,
    /// Its partner would be made anew, or it deleted, and a record that looks the same is where its partner was.
    Twin,
    /// It cannot be read, or a record cannot be read that may be where its partner was.
    Unreadable,
    /// The run came upon the deletion by a reference that it cleared, and has not read the table map for that.
    Unseen,
}

impl Reason {
    /// Says it of a survivor on a side; `unread` tells which record cannot be read, where that is the reason.
    pub fn told(self, record: &str, gone: Side, unread: Option<&str>) -> String {
        let sentence = self.sentence(record, gone);
        match unread.filter(|_| self == Reason::Unreadable) {
            Some(unread) => format!("{sentence}: {unread}"),
            None => sentence,
        }
    }

    /// Says it of a survivor on a side.
    pub fn sentence(self, record: &str, gone: Side) -> String {
        let (lost, left) = (gone.name(), gone.other().name());
        let deleted = format!("{record} was deleted in the {lost}");
        match self {
            Reason::Asked => format!("{deleted}; it stays in the {left} until somebody decides"),
            Reason::Outside => format!("{deleted}; in the {left} it is outside the filter, so it is left alone"),
            Reason::OneWay => {
                format!("{deleted}; `direction` lets `on_delete` do nothing about that, so it stays in the {left}")
            }
            Reason::OtherWay => {
                format!("{deleted}; what follows from that goes the other way than this run, so it waits")
            }
            Reason::Edited => {
                format!("{deleted} and edited in the {left} since; it stays there until somebody decides")
            }
            Reason::NeverSettled => {
                format!("{deleted} before both sides ever agreed; it stays in the {left} until somebody decides")
            }
            Reason::Changed => format!(
                "{deleted} and edited in the {left} after somebody decided about it; it stays there until somebody decides \
                 again"
            ),
            Reason::Twin => format!(
                "{deleted}, and a record without partner there matches it; nothing is done until somebody decides"
            ),
            Reason::Unreadable => {
                format!("{deleted}; nothing is done as long as a record cannot be read that has a say in it")
            }
            Reason::Unseen => format!("{deleted}; the next run that reads it in the {left} decides what follows"),
        }
    }
}

/// How a decision is told, behind why it does not help.
pub(super) const DECIDED_ON: &str = "; decided on ";

impl Reason {
    const ALL: [Reason; 10] = [
        Reason::Asked,
        Reason::Outside,
        Reason::OneWay,
        Reason::OtherWay,
        Reason::Edited,
        Reason::NeverSettled,
        Reason::Changed,
        Reason::Twin,
        Reason::Unreadable,
        Reason::Unseen,
    ];

    /// Returns what is said of a survivor about which a person decided what cannot be done now; `message` is what is said
    /// where nobody did.
    pub fn told_decided(record: &str, message: &str, outstanding: &Outstanding) -> String {
        let all = Side::BOTH.into_iter().flat_map(|gone| Reason::ALL.map(|reason| (reason, gone)));
        // What cannot be read stands behind its sentence.
        let says = |reason: Reason, sentence: String| match reason {
            Reason::Unreadable => message.starts_with(&sentence),
            _ => message == sentence,
        };
        let known = all.into_iter().find(|(reason, gone)| says(*reason, reason.sentence(record, *gone)));
        let Outstanding { verdict, on, .. } = outstanding;
        match known {
            Some((Reason::Unreadable, _)) => message.to_owned(),
            Some((reason, gone)) => reason.sentence_decided(record, gone, outstanding),
            None => format!("{message}{DECIDED_ON}{on}: {verdict}"),
        }
    }

    fn sentence_decided(self, record: &str, gone: Side, Outstanding { verdict, on, .. }: &Outstanding) -> String {
        let sentence = self.sentence(record, gone);
        match self {
            // It says so, and the decision is over; or the next run does what was decided.
            Reason::Asked | Reason::Changed | Reason::OtherWay | Reason::Unreadable | Reason::Unseen => sentence,
            Reason::Outside => format!("{sentence}{DECIDED_ON}{on}: {verdict}, which waits until it comes back"),
            Reason::OneWay => format!("{sentence}{DECIDED_ON}{on}: {verdict}"),
            Reason::Edited | Reason::NeverSettled => format!("{sentence} again{DECIDED_ON}{on}: {verdict}"),
            Reason::Twin => {
                // Whoever wants the partner back gets that record for it, where nothing else could be meant.
                let or = if *verdict == Decided::Restore { ", or the only one and inside its filter" } else { "" };
                format!(
                    "{record} was deleted in the {0}, and a record without partner there matches it{DECIDED_ON}{on}: {verdict}, \
                     which waits until that record is gone{or}",
                    gone.name()
                )
            }
        }
    }
}

/// Decides, as far as the table map alone does.
pub fn decide(facts: &Facts) -> Fate {
    let reaches = |side: Side| *facts.writes.of(side);
    match facts.on_delete {
        OnDelete::Hold => Fate::Hold(Reason::Asked),
        _ if !facts.inside => Fate::Hold(Reason::Outside),
        OnDelete::Uncouple => Fate::Uncouple,
        OnDelete::Restore if reaches(facts.gone) => Fate::Restore,
        OnDelete::Delete if reaches(facts.gone.other()) => Fate::Delete,
        OnDelete::Restore | OnDelete::Delete => Fate::Hold(Reason::OneWay),
    }
}

/// Tells of each survivor why it must not be deleted: it holds something else than when it was last settled.
///
/// `survivors` are the rows of a frame of `side`, and `bases` what was remembered of each, field by field. A field of
/// which nothing is remembered says nothing; an edit of a column that is not mapped is nobody's business here. `text`
/// gives, for a row and a field, what a person would have read there when the pair was last settled.
pub fn edited(
    map: &TableMap,
    infos: &PerSide<TableInfo>,
    links: &Links,
    side: Side,
    survivors: &Frame,
    bases: &[Vec<Option<PerSide<u64>>>],
    text: &dyn Fn(usize, usize) -> Option<String>,
) -> Result<Vec<Option<Reason>>, EvaluationError> {
    let rows = survivors.rows();
    let mut edited = vec![false; rows];
    let mut remembered = vec![false; rows];
    for (number, field) in map.fields.iter().enumerate() {
        let Some(column) = field.column(side) else { continue };
        let known = |row: usize| bases[row].get(number).copied().flatten().map(|base| *base.of(side));
        let other = side.other();
        let owner = field.writes(other) && !field.writes(side);
        let target = field.column(other).and_then(|column| infos.of(other).column(column));
        // Of an owner's value its form on the other side is remembered, see `merge::settled`.
        let translator = match target {
            Some(target) if owner => Translator::new(field, other, target, links, survivors)?,
            _ => None,
        };
        let kind = target.map_or(Kind::Text, |target| target.column.kind);
        let held = own(survivors, side, column);
        for row in 0..rows {
            let Some(base) = known(row) else { continue };
            remembered[row] = true;
            let same = match translator.as_ref().map(|translator| translator.value(row)) {
                None => held[row] == base,
                Some(Ok(value)) => fingerprint(&value, other, kind) == base,
                // It refers to a record that has no partner any more, or not yet. What cannot be told may be an edit.
                Some(Err(_)) => text(row, number) == Some(survivors.value(column, row).to_string()),
            };
            edited[row] |= !same;
        }
    }
    Ok((0..rows)
        .map(|row| match (remembered[row], edited[row]) {
            (false, _) => Some(Reason::NeverSettled),
            (true, true) => Some(Reason::Edited),
            (true, false) => None,
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_reaches_the_sides_that_are_written() {
        let both = PerSide { erp: true, crm: true };
        let to_crm = PerSide { erp: false, crm: true };
        let (hold, outside) = (Fate::Hold(Reason::Asked), Fate::Hold(Reason::Outside));
        let one_way = Fate::Hold(Reason::OneWay);
        for (on_delete, writes, inside, gone_erp, gone_crm) in [
            (OnDelete::Hold, both, true, hold, hold),
            (OnDelete::Hold, both, false, hold, hold),
            (OnDelete::Restore, both, true, Fate::Restore, Fate::Restore),
            (OnDelete::Restore, both, false, outside, outside),
            (OnDelete::Restore, to_crm, true, one_way, Fate::Restore),
            (OnDelete::Uncouple, to_crm, true, Fate::Uncouple, Fate::Uncouple),
            (OnDelete::Uncouple, both, false, outside, outside),
            (OnDelete::Delete, both, true, Fate::Delete, Fate::Delete),
            (OnDelete::Delete, both, false, outside, outside),
            (OnDelete::Delete, to_crm, true, Fate::Delete, one_way),
        ] {
            for (gone, expected) in [(Side::Erp, gone_erp), (Side::Crm, gone_crm)] {
                let facts = Facts { on_delete, gone, writes, inside };
                assert_eq!(decide(&facts), expected, "{facts:?}");
            }
        }
    }
}

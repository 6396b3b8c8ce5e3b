//! What a side's outcome and what is found there afterwards say of one write, and what becomes of its pair.
//!
//! A function of what is known, so that all cases stand side by side. Nothing is read here and nothing carried out.

use crate::endpoint::{Hidden, Outcome};
use crate::run::written::Proof;

/// What is known of a write besides its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Evidence {
    /// It makes a record.
    pub(super) is_new: bool,
    /// The answer shows the record.
    pub(super) is_shown: bool,
    /// The record was read afterwards, and is there.
    pub(super) is_there: bool,
    /// It is there and inside its filter.
    pub(super) is_inside: bool,
    /// It was read afterwards, and its side tells that nobody else has changed it since it was made.
    pub(super) is_untouched: bool,
}

/// What a write came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The record is there, and known so well.
    Written(Proof, News),
    /// The answer was lost, and what is there of an update has to be seen.
    InPart,
    /// The answer was lost, and the new record is not there yet.
    Awaited,
    /// Somebody was faster, or nothing is known.
    Open,
    /// It was deleted meanwhile.
    Gone,
    /// The side would not have it.
    Refused,
    /// It did not come to the side.
    KeptOut,
}

/// What the journal does not know of a write yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// It knows all of it.
    Nothing,
    /// That the record was written.
    Written,
    /// That it is there although nobody confirmed it; a new one is still to be coupled.
    Found,
}

/// What becomes of the pair of a write in this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// It is decided again.
    Again,
    /// It is none any more: its record is outside the filter by now.
    Outside,
    /// It is not tried again.
    Over,
}

/// Judges one write.
pub(super) fn judge(outcome: &Outcome, evidence: Evidence) -> Verdict {
    let Evidence { is_new, is_shown, is_there, is_untouched, .. } = evidence;
    let read = if is_untouched { Proof::Returned } else { Proof::Read };
    match outcome {
        Outcome::Written if is_shown => Verdict::Written(Proof::Returned, News::Nothing),
        // The side confirmed it, and did not show what it made of it.
        Outcome::Written if is_new && is_there => Verdict::Written(read, News::Written),
        Outcome::Written => Verdict::Written(Proof::Read, News::Written),
        Outcome::Exists => Verdict::Written(Proof::Found, News::Nothing),
        Outcome::Unknown { .. } if is_new && is_there => Verdict::Written(read, News::Found),
        Outcome::Unknown { .. } if is_new => Verdict::Awaited,
        Outcome::Unknown { .. } => Verdict::InPart,
        // An earlier attempt took the key after all.
        Outcome::Refused { .. } if is_new && is_there => Verdict::Written(Proof::Read, News::Found),
        Outcome::Refused { .. } => Verdict::Refused,
        Outcome::Stale => Verdict::Open,
        Outcome::Gone => Verdict::Gone,
        Outcome::NotSent { .. } | Outcome::Barred { .. } => Verdict::KeptOut,
    }
}

/// Says what becomes of the pair after that.
pub(super) fn next(verdict: Verdict, evidence: Evidence) -> Next {
    let is_outside = !evidence.is_new && evidence.is_there && !evidence.is_inside;
    match verdict {
        Verdict::Gone | Verdict::Refused | Verdict::KeptOut => Next::Over,
        Verdict::InPart | Verdict::Open if is_outside => Next::Outside,
        Verdict::Written(..) | Verdict::InPart | Verdict::Awaited | Verdict::Open => Next::Again,
    }
}

/// What a deletion came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deletion {
    /// The record is gone, and the coupling is still to be ended.
    Done,
    /// It is there, although the side says that it is gone.
    Kept,
    /// It is there, so it has to be looked at again.
    Open,
    /// Nobody can tell.
    Hidden(Hidden),
    /// The side would not have it.
    Refused,
    /// It did not come to the side.
    KeptOut,
}

/// Judges one deletion, by whether the record was read afterwards, or why it may be there all the same.
pub(super) fn judge_deletion(outcome: &Outcome, is_there: bool, hidden: Option<Hidden>) -> Deletion {
    match outcome {
        Outcome::Refused { .. } => Deletion::Refused,
        Outcome::NotSent { .. } | Outcome::Barred { .. } => Deletion::KeptOut,
        Outcome::Written | Outcome::Gone if is_there => Deletion::Kept,
        // Where somebody was faster there is nothing left to do.
        Outcome::Written | Outcome::Gone | Outcome::Stale | Outcome::Exists | Outcome::Unknown { .. } => match hidden {
            Some(why) => Deletion::Hidden(why),
            None if is_there => Deletion::Open,
            None => Deletion::Done,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Evidence =
        Evidence { is_new: false, is_shown: false, is_there: false, is_inside: false, is_untouched: false };
    const SHOWN: Evidence = Evidence { is_shown: true, ..NOTHING };
    const OUTSIDE: Evidence = Evidence { is_there: true, ..NOTHING };
    const THERE: Evidence = Evidence { is_inside: true, ..OUTSIDE };
    const UNTOUCHED: Evidence = Evidence { is_untouched: true, ..THERE };

    fn message() -> String {
        "why".to_owned()
    }

    #[test]
    fn each_outcome_of_an_update_means_what_is_there() {
        use Next::{Again, Outside, Over};
        use Verdict::{Gone, InPart, KeptOut, Open, Refused, Written};
        let written = |proof| Written(proof, News::Written);
        for (outcome, evidence, verdict, then) in [
            (Outcome::Written, SHOWN, Written(Proof::Returned, News::Nothing), Again),
            (Outcome::Written, THERE, written(Proof::Read), Again),
            // What took it out of its filter is what was written.
            (Outcome::Written, OUTSIDE, written(Proof::Read), Again),
            (Outcome::Written, NOTHING, written(Proof::Read), Again),
            (Outcome::Unknown { message: message() }, THERE, InPart, Again),
            (Outcome::Unknown { message: message() }, OUTSIDE, InPart, Outside),
            (Outcome::Unknown { message: message() }, NOTHING, InPart, Again),
            (Outcome::Stale, THERE, Open, Again),
            (Outcome::Stale, OUTSIDE, Open, Outside),
            (Outcome::Stale, NOTHING, Open, Again),
            (Outcome::Gone, NOTHING, Gone, Over),
            (Outcome::Refused { message: message() }, NOTHING, Refused, Over),
            (Outcome::NotSent { message: message() }, NOTHING, KeptOut, Over),
            (Outcome::Barred { message: message() }, NOTHING, KeptOut, Over),
        ] {
            let judged = judge(&outcome, evidence);
            assert_eq!((judged, next(judged, evidence)), (verdict, then), "{outcome:?}, {evidence:?}");
        }
    }

    #[test]
    fn each_outcome_of_a_new_record_means_whether_it_is_there() {
        use Next::{Again, Over};
        use Verdict::{Awaited, Gone, KeptOut, Open, Refused, Written};
        for (outcome, evidence, verdict, then) in [
            (Outcome::Written, SHOWN, Written(Proof::Returned, News::Nothing), Again),
            (Outcome::Written, UNTOUCHED, Written(Proof::Returned, News::Written), Again),
            (Outcome::Written, THERE, Written(Proof::Read, News::Written), Again),
            (Outcome::Written, NOTHING, Written(Proof::Read, News::Written), Again),
            (Outcome::Exists, THERE, Written(Proof::Found, News::Nothing), Again),
            (Outcome::Unknown { message: message() }, UNTOUCHED, Written(Proof::Returned, News::Found), Again),
            (Outcome::Unknown { message: message() }, THERE, Written(Proof::Read, News::Found), Again),
            // New records may be outside, as long as their own pipeline made them.
            (Outcome::Unknown { message: message() }, OUTSIDE, Written(Proof::Read, News::Found), Again),
            (Outcome::Unknown { message: message() }, NOTHING, Awaited, Again),
            (Outcome::Refused { message: message() }, THERE, Written(Proof::Read, News::Found), Again),
            (Outcome::Refused { message: message() }, NOTHING, Refused, Over),
            (Outcome::Stale, OUTSIDE, Open, Again),
            (Outcome::Gone, NOTHING, Gone, Over),
            (Outcome::NotSent { message: message() }, NOTHING, KeptOut, Over),
            (Outcome::Barred { message: message() }, NOTHING, KeptOut, Over),
        ] {
            let evidence = Evidence { is_new: true, ..evidence };
            let judged = judge(&outcome, evidence);
            assert_eq!((judged, next(judged, evidence)), (verdict, then), "{outcome:?}, {evidence:?}");
        }
    }

    #[test]
    fn each_outcome_of_a_deletion_means_whether_the_record_is_gone() {
        for (outcome, is_there, hidden, expected) in [
            (Outcome::Written, false, None, Deletion::Done),
            (Outcome::Written, true, None, Deletion::Kept),
            (Outcome::Gone, false, None, Deletion::Done),
            (Outcome::Gone, true, None, Deletion::Kept),
            (Outcome::Gone, false, Some(Hidden::Forbidden), Deletion::Hidden(Hidden::Forbidden)),
            (Outcome::Unknown { message: message() }, false, None, Deletion::Done),
            (Outcome::Unknown { message: message() }, true, None, Deletion::Open),
            (
                Outcome::Unknown { message: message() },
                false,
                Some(Hidden::Forbidden),
                Deletion::Hidden(Hidden::Forbidden),
            ),
            (Outcome::Stale, true, None, Deletion::Open),
            (Outcome::Stale, false, None, Deletion::Done),
            (Outcome::Stale, false, Some(Hidden::Untold), Deletion::Hidden(Hidden::Untold)),
            (Outcome::Refused { message: message() }, false, None, Deletion::Refused),
            (Outcome::NotSent { message: message() }, false, None, Deletion::KeptOut),
            (Outcome::Barred { message: message() }, false, None, Deletion::KeptOut),
        ] {
            assert_eq!(judge_deletion(&outcome, is_there, hidden), expected, "{outcome:?}, {is_there}, {hidden:?}");
        }
    }
}

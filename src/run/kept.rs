//! What a side made of what it was sent: it took the value, made something of its own of it, or kept what it had.
//!
//! A success says of a record that the write arrived, and of none of its fields that the value did: services leave out
//! without a word what a page does not let them change (erp-api.md §4). What stands there afterwards tells.

use chrono::TimeDelta;
use rust_decimal::Decimal;

use crate::config::Side;
use crate::endpoint::{Endpoint, capitals};
use crate::frame::{Frame, Value, brief};
use crate::plan::{Action, ActionKind, FieldChange};
use crate::run::written::{Before, Got, Proof};
use crate::translate::canonical::{BLANK, fingerprint};

/// Returns the positions of the changes of an action that its side did not take: it holds in `row` what it held before,
/// though something else was sent; of a new record, nothing.
///
/// What it made of a value in a form of its own, which `forms` tell, it has taken, also where that is what it held before. Where
/// its answer shows it, other capitals are such a form, too; what was read afterwards may be somebody's.
pub(super) fn kept_of(
    (to, forms): (Side, Forms),
    (frame, row, proof): Got<'_>,
    before: &Before,
    action: &Action,
) -> Vec<usize> {
    let blank = Vec::new();
    let was = match before.get(action.ids.of(to)) {
        _ if action.kind.makes_record() => &blank,
        Some(was) => was,
        None => return Vec::new(),
    };
    let is_kept = |change: &FieldChange| {
        let (Some(number), Some(column)) = (change.field, frame.column(&change.column)) else { return false };
        let held = frame.value(&change.column, row);
        let now = fingerprint(&held, to, column.kind);
        let differs = now != fingerprint(&change.new, to, column.kind);
        let is_form = || forms.are(&held, &change.new) || (proof == Proof::Returned && is_shouted(&held, &change.new));
        differs && now == was.get(number).copied().unwrap_or(BLANK) && !is_form()
    };
    (0..action.fields.len()).filter(|at| is_kept(&action.fields[*at])).collect()
}

/// Returns what is left of an action whose record kept some of its values: they still have to be written.
pub(super) fn still_to_write(action: &Action, kept: &[usize]) -> Action {
    let fields = kept.iter().map(|at| action.fields[*at].clone()).collect();
    Action { kind: ActionKind::Update, etag: None, fields, follow_ups: Vec::new(), ..action.clone() }
}

/// Says what a side kept, of the fields of [`still_to_write`].
pub(super) fn told(rest: &Action, frame: &Frame, row: usize) -> String {
    let one = |change: &FieldChange| {
        let held = shown(&frame.value(&change.column, row));
        format!("{held} in {} where {} was sent", change.column, shown(&change.new))
    };
    let all: Vec<String> = rest.fields.iter().map(one).collect();
    let side = rest.side.name();
    format!("the {side} answered success and kept {}; it may let nobody change that there", all.join(", and "))
}

/// Returns a value as people read it; an id says nothing to them.
pub(super) fn shown(value: &Value) -> String {
    match value {
        value if value.is_blank() => "blank".to_owned(),
        Value::Link { .. } | Value::Guid(_) => "another record".to_owned(),
        value => format!("`{}`", brief(&value.to_string())),
    }
}

/// The forms in which a side may keep a value that it is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Forms {
    /// It may keep a text in capitals without telling of which.
    capitals: bool,
}

impl Forms {
    /// Returns those of a side.
    pub(super) fn of(endpoint: &dyn Endpoint) -> Forms {
        Forms { capitals: endpoint.may_capitalize() }
    }

    /// Tells whether what a side holds is the very value that was sent, in a form of the side's own: a number or a time that it
    /// keeps less exactly, a text without the blanks around it or with other line ends, or all in capitals where the side may
    /// do that.
    ///
    /// Nobody edits a record to that, so it is the side's doing even where no answer proves it. A shorter text, other capitals
    /// and zero are not among them: a person may well have typed that.
    pub(super) fn are(self, held: &Value, sent: &Value) -> bool {
        let is_capital = || self.capitals && matches!(sent, Value::Text(sent) if is_form_of(held, &capital(sent)));
        is_form_of(held, sent) || is_capital()
    }
}

/// Returns a text in capitals.
fn capital(text: &str) -> Value {
    Value::Text(capitals(text))
}

/// Tells the same of the forms that any side may make.
fn is_form_of(held: &Value, sent: &Value) -> bool {
    match (held, sent) {
        (Value::Text(held), Value::Text(sent)) => !held.is_empty() && lines(held).eq(lines(sent)),
        (Value::DateTime(held), Value::DateTime(sent)) => (*held - *sent).abs() < TimeDelta::seconds(1),
        _ => match (number(held), number(sent)) {
            (Some(held), Some(sent)) => {
                let (held, sent) = (held.normalize(), sent.normalize());
                let last_digit = Decimal::new(1, held.scale());
                !held.is_zero() && held.scale() < sent.scale() && (held - sent).abs() < last_digit
            }
            _ => false,
        },
    }
}

/// Tells whether two texts differ in nothing but capitals.
fn is_shouted(held: &Value, sent: &Value) -> bool {
    matches!((held, sent), (Value::Text(held), Value::Text(sent)) if held.to_lowercase() == sent.to_lowercase())
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.trim().lines()
}

fn number(value: &Value) -> Option<Decimal> {
    match value {
        Value::Decimal(number) => Some(*number),
        Value::Integer(number) => Some(Decimal::from(*number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capitals_are_a_form_of_a_text_where_a_side_may_make_them() {
        for (held, sent, everywhere, there) in [
            ("Berg", "Berg ", true, true),
            ("BERG", "Berg", false, true),
            ("BERG", "berg ", false, true),
            // `ß` has no capital of one letter.
            ("STRAßE", "Straße", false, true),
            // A person may well have typed these.
            ("berg", "Berg", false, false),
            ("Berg", "BERG", false, false),
            ("BERGE", "Berg", false, false),
            ("", "Berg", false, false),
        ] {
            let text = |text: &str| Value::Text(text.to_owned());
            let are = |capitals: bool| Forms { capitals }.are(&text(held), &text(sent));
            assert_eq!((are(false), are(true)), (everywhere, there), "`{held}` of `{sent}`");
        }
    }
}

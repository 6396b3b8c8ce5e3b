//! Several companies in one CRM: a table map in, the column that keeps their records apart out.
//!
//! The built-in synchronization has a filter *this company or none* and claims what nobody owns yet (sync-semantics.md
//! §24). Here both stand in the file: the filter lets in one value of a column or none, and a constant writes that value.
//! Such a record of another company is no record of this pipeline, not even outside of its filter.

use crate::config::expression::{Comparison, Literal, Predicate};
use crate::config::{Constant, Side, TableMap};

/// The column that tells whose a record is, and this company's value.
#[derive(Debug, Clone, PartialEq)]
pub struct Company<'a> {
    pub column: &'a str,
    literal: &'a Literal,
}

impl Company<'_> {
    /// Returns the part of the filter that says *this company or none*.
    pub fn predicate(&self) -> Predicate {
        let column = || self.column.to_owned();
        let (comparison, literal) = (Comparison::Equal, self.literal.clone());
        Predicate::Any(vec![
            Predicate::Compare { column: column(), comparison, literal },
            Predicate::IsNull { column: column() },
        ])
    }

    /// Tells whether a record with that value, as people read it, is this company's or nobody's.
    pub fn may_own(&self, value: &str) -> bool {
        // An id may be written in either case.
        value.is_empty() || value.eq_ignore_ascii_case(text(self.literal))
    }
}

impl TableMap {
    /// Returns what keeps companies apart on a side; `None` where the file does not do so.
    pub fn company_of(&self, side: Side) -> Option<Company<'_>> {
        let filter = self.sides.of(side).filter.as_ref()?.predicate()?;
        let parts = match filter {
            Predicate::All(parts) => parts.as_slice(),
            one => std::slice::from_ref(one),
        };
        parts.iter().filter_map(this_or_none).find(|company| {
            let writes = |value: &Constant| value.text().eq_ignore_ascii_case(text(company.literal));
            let is_it = |column: Option<&str>| column == Some(company.column);
            self.fields.iter().any(|field| is_it(field.column(side)) && field.value.as_ref().is_some_and(writes))
        })
    }
}

/// Reads `column = value OR column IS NULL`.
fn this_or_none(part: &Predicate) -> Option<Company<'_>> {
    let Predicate::Any(either) = part else { return None };
    let (Some(own), Some(none), 2) = (
        either.iter().find_map(|part| match part {
            Predicate::Compare { column, comparison: Comparison::Equal, literal } => Some((column, literal)),
            _ => None,
        }),
        either.iter().find_map(|part| match part {
            Predicate::IsNull { column } => Some(column),
            _ => None,
        }),
        either.len(),
    ) else {
        return None;
    };
    (own.0 == none).then_some(Company { column: own.0, literal: own.1 })
}

fn text(literal: &Literal) -> &str {
    match literal {
        Literal::Text(text) | Literal::Number(text) => text,
        Literal::Boolean(true) => "true",
        Literal::Boolean(false) => "false",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::check::{Purpose, check};

    #[test]
    fn a_company_is_a_filter_and_a_constant() {
        let column = |filter: &str, constant: &str| {
            let auth = r#"auth: { type: oauth2, token_url: http://127.0.0.1:1/t, client_id: i, client_secret: "${S}", scope: x }"#;
            let text = format!(
                "version: 1\nname: t\nconnections:\n  erp: {{ adapter: business-central, url: http://127.0.0.1:1, company: C, \
                 {auth} }}\n  crm: {{ adapter: dataverse, url: http://127.0.0.1:1, {auth} }}\nstate: sqlite:t.db\ntables:\n  \
                 customers:\n    erp: {{ table: c }}\n    crm: {{ table: a, filter: \"{filter}\" }}\n    direction: both\n    \
                 fields: [ {{ erp: n, crm: n }}, {{ crm: kind, value: 3 }}, {constant} ]\n"
            );
            let checked = check(&text, "t.yaml", &|_| Some("hush".to_owned()), Purpose::Run);
            let pipeline = checked.pipeline.unwrap_or_else(|| panic!("{:#?}", checked.complaints));
            pipeline.tables[0].company_of(Side::Crm).map(|company| company.column.to_owned())
        };
        let own = "{ crm: company, value: North }";
        for (filter, constant, expected) in [
            ("kind = 3 AND (company = 'North' OR company IS NULL)", own, Some("company")),
            ("company IS NULL OR company = 'North'", own, Some("company")),
            ("company = 'North'", own, None),
            ("company = 'South' OR company IS NULL", own, None),
            ("company = 'North' OR company IS NULL OR kind = 4", own, None),
            ("company = 'North' OR kind IS NULL", own, None),
            ("kind = 3 OR kind IS NULL", own, Some("kind")),
        ] {
            assert_eq!(column(filter, constant).as_deref(), expected, "{filter}");
        }
    }
}

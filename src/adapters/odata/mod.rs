//! OData as the services speak it: pure functions from text to text, no network.
//!
//! In go predicates, values and bodies; out come addresses, JSON, batches and frames. The services differ in what they
//! understand and how they write blanks; that difference is [`Dialect`], known here and nowhere above.

pub mod percent;
pub mod link;
pub mod name;
pub mod fault;
pub mod amiss;
pub mod decode;
pub mod value;
pub mod filter;
pub mod select;
pub mod batch_json;
pub mod batch_multipart;

/// Whose OData it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Business Central: no nulls, enums by encoded name, filters that become AL filters.
    BusinessCentral,
    /// Any other service: a text may be null or empty, which is blank to us alike; enums by their names.
    Plain,
    /// Dataverse: empty texts are null, choices are numbers, filters that become SQL.
    Dataverse,
}

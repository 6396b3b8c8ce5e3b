//! Answers that are a success by their status and do not hold what they should: whether the next one may be right.
//!
//! Whoever reads an answer says what is amiss with it; whoever sends requests decides by it whether to ask again.

use crate::adapters::odata::fault::Fault;

/// What is amiss with an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Amiss {
    /// It is not whole, or something else came in its place: the next one may be right.
    #[error("{0}")]
    Broken(String),
    /// It is whole, and not as the protocol has it: the next one would be the same.
    #[error("{0}")]
    Wrong(String),
    /// Of what it answers in one, something was put off: in these words, and with these headers of each such part.
    #[error("{fault}")]
    PutOff { fault: Fault, parts: Vec<Vec<(String, String)>> },
}

impl Amiss {
    /// Says why JSON cannot be read, with what stands before it in a message: what breaks off, or is no JSON at all, may be
    /// whole the next time; what has another shape keeps it.
    pub fn of_json(what: &str, error: &serde_json::Error) -> Amiss {
        let message = format!("{what}: {error}");
        if error.is_data() { Amiss::Wrong(message) } else { Amiss::Broken(message) }
    }
}

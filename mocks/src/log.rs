//! What arrived at a fake, compactly: counters for everything, and one entry for each operation.
//!
//! An operation is a request to a record or a set, or one inner operation of a `$batch`; the batch's envelope and the
//! token endpoint are only counted. Entries are bounded, so a bench of any length can run against one fake; the
//! counters are not.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex};

use uuid::Uuid;

const WRITES_MAX: usize = 1_000_000;
const READS_MAX: usize = 100_000;

/// The log as a fake and its callers share it.
pub type Shared = Arc<Mutex<Log>>;

/// One operation and how it was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The verb, in capitals.
    pub method: &'static str,
    /// The entity set, or the special resource's name.
    pub set: Arc<str>,
    /// The record's id, as far as the operation named one or made one.
    pub id: Option<Uuid>,
    /// The status of the (inner) response.
    pub status: u16,
}

/// Sums since the start or the last [`Log::clear`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// HTTP requests of any kind, batches as one.
    pub requests: u64,
    /// Requests to the token endpoint.
    pub tokens: u64,
    /// `$batch` envelopes.
    pub batches: u64,
    /// GET operations.
    pub reads: u64,
    /// Operations that are no GET.
    pub writes: u64,
    /// Operations answered with 400 or above.
    pub refused: u64,
    /// Requests refused because there were too many, by the service's own limits.
    pub throttled: u64,
    /// Those of them that had just been refused already.
    pub throttled_again: u64,
}

/// Counters and the latest entries.
#[derive(Debug, Default)]
pub struct Log {
    counts: Counts,
    writes: VecDeque<Entry>,
    reads: VecDeque<Entry>,
    sets: HashSet<Arc<str>>,
}

impl Log {
    /// Counts one HTTP request of any kind.
    pub fn request(&mut self) {
        self.counts.requests += 1;
    }

    /// Counts one request to the token endpoint.
    pub fn token(&mut self) {
        self.counts.tokens += 1;
    }

    /// Counts one `$batch` envelope.
    pub fn batch(&mut self) {
        self.counts.batches += 1;
    }

    /// Counts one request refused because there were too many; `again` if it had just been refused already.
    pub fn throttled(&mut self, again: bool) {
        self.counts.throttled += 1;
        self.counts.throttled_again += u64::from(again);
    }

    /// Notes one operation, inner or not.
    pub fn operation(&mut self, method: &str, set: &str, id: Option<Uuid>, status: u16) {
        let method = match method {
            "GET" => "GET",
            "POST" => "POST",
            "PATCH" => "PATCH",
            "DELETE" => "DELETE",
            "PUT" => "PUT",
            _ => "OTHER",
        };
        // The few set names are shared by all entries.
        let set = self.sets.get(set).cloned().unwrap_or_else(|| {
            let set = Arc::<str>::from(set);
            self.sets.insert(set.clone());
            set
        });
        self.counts.refused += u64::from(status >= 400);
        let (entries, max) = if method == "GET" {
            self.counts.reads += 1;
            (&mut self.reads, READS_MAX)
        } else {
            self.counts.writes += 1;
            (&mut self.writes, WRITES_MAX)
        };
        if entries.len() == max {
            entries.pop_front();
        }
        entries.push_back(Entry { method, set, id, status });
    }

    /// Returns the latest operations that are no GET, oldest first.
    pub fn writes(&self) -> Vec<Entry> {
        self.writes.iter().cloned().collect()
    }

    /// Returns the latest GET operations, oldest first.
    pub fn reads(&self) -> Vec<Entry> {
        self.reads.iter().cloned().collect()
    }

    /// Returns the sums.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Forgets everything, for a test that looks at what comes next.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_go_on_where_entries_end() {
        let mut log = Log::default();
        for number in 0..READS_MAX as u128 + 5 {
            log.operation("GET", "customers", Some(Uuid::from_u128(number)), 200);
        }
        log.operation("PATCH", "customers", None, 409);
        let reads = log.reads();
        assert_eq!((reads.len(), reads[0].id), (READS_MAX, Some(Uuid::from_u128(5))));
        assert_eq!(log.writes().len(), 1);
        let counts = Counts { reads: READS_MAX as u64 + 5, writes: 1, refused: 1, ..Counts::default() };
        assert_eq!(log.counts(), counts);
    }
}

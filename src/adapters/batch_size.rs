//! How many writes go into one request: as many as the side carries out in time.
//!
//! A side that ran out of time over a request, or found it too large, gets half as many at once; each request that went
//! well raises the number a little again. Nothing is sent here.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Fewer are never sent at once because of a side that is slow: below this it is not their number.
const LEAST: usize = 10;

/// The number for one side, shared by all threads.
pub struct BatchSize {
    most: usize,
    now: AtomicUsize,
}

impl BatchSize {
    /// Begins with as many as are allowed.
    pub fn new(most: usize) -> BatchSize {
        BatchSize { most, now: AtomicUsize::new(most) }
    }

    /// Returns how many go into one request now.
    pub fn now(&self) -> usize {
        self.now.load(Ordering::Relaxed)
    }

    /// Notes that so many were too much.
    pub fn too_much(&self, count: usize) {
        // Of the requests of one moment only the first halves the number: the others were as large as it was then.
        self.now.fetch_min((count / 2).max(LEAST.min(self.most)), Ordering::Relaxed);
    }

    /// Notes that so many were too large together; even a few may be. One alone says nothing of a number.
    pub fn too_large(&self, count: usize) {
        if count > 1 {
            self.now.fetch_min(count / 2, Ordering::Relaxed);
        }
    }

    /// Notes that so many were carried out in time.
    pub fn went_well(&self, count: usize) {
        // Where even a few were too large, a few more may be again.
        let step = |now: usize| if now < LEAST { 1 } else { self.most.div_ceil(50) };
        let more = |now: usize| (count >= now && now < self.most).then(|| (now + step(now)).min(self.most));
        // It stays as it is where nothing is to be added.
        let _ = self.now.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_too_much_is_halved_and_grows_again() {
        let batch_size = BatchSize::new(1_000);
        let after = |change: &dyn Fn(&BatchSize)| {
            change(&batch_size);
            batch_size.now()
        };
        assert_eq!(after(&|batch_size| batch_size.went_well(1_000)), 1_000);
        assert_eq!(after(&|batch_size| batch_size.too_much(1_000)), 500);
        assert_eq!(after(&|batch_size| batch_size.too_much(1_000)), 500, "it was under way already");
        assert_eq!(after(&|batch_size| batch_size.went_well(30)), 500, "few tell nothing");
        assert_eq!(after(&|batch_size| batch_size.went_well(500)), 520);
        assert_eq!(after(&|batch_size| (0..50).for_each(|_| batch_size.went_well(1_000))), 1_000);
        assert_eq!(after(&|batch_size| batch_size.too_much(1)), LEAST);
        assert_eq!(after(&|batch_size| batch_size.too_large(1)), LEAST, "that is the record's size");
        assert_eq!(after(&|batch_size| batch_size.too_large(10)), 5);
        assert_eq!(after(&|batch_size| batch_size.too_large(5)), 2);
        assert_eq!(after(&|batch_size| batch_size.went_well(2)), 3);
        let small = BatchSize::new(3);
        small.too_much(3);
        assert_eq!(small.now(), 3);
    }
}

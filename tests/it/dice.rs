//! Chance that can be had again: the same seed gives the same numbers, and a failing seed says how it is played once more.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Numbers by chance, the same for the same seed.
#[derive(Debug, Clone)]
pub struct Chance(pub u64);

impl Chance {
    /// Returns a number from 0 to `bound` - 1.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// Tells whether something happens that happens once in so many times.
    pub fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    /// Returns one of these.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap()]
    }
}

/// Plays seeds of a world in memory: as many as `SEEDS` says, see [`each_of`].
pub fn each_seed(test: &str, usual: u64, kept: &[u64], play: impl FnMut(u64)) {
    each_of("SEEDS", test, usual, kept, play);
}

/// Plays seeds: the one that `SEED` names, else the `kept` ones and as many from 0 on as the variable says (`600`, or
/// `600..900`), else `usual`.
///
/// Seeds that fail are named, with the command that plays one again.
pub fn each_of(variable: &str, test: &str, usual: u64, kept: &[u64], mut play: impl FnMut(u64)) {
    let seeds: Vec<u64> = match (std::env::var("SEED"), std::env::var(variable)) {
        (Ok(seed), _) => vec![seed.parse().unwrap()],
        (_, Ok(seeds)) => {
            let (from, to) = seeds.split_once("..").unwrap_or(("0", &seeds));
            kept.iter().copied().chain(from.parse().unwrap()..to.parse().unwrap()).collect()
        }
        _ => kept.iter().copied().chain(0..usual).collect(),
    };
    // What is wrong with one was told when it panicked; the others are played all the same.
    let mut fails = |seed: &u64| catch_unwind(AssertUnwindSafe(|| play(*seed))).is_err();
    let failed: Vec<String> = seeds.into_iter().filter(&mut fails).map(|seed| seed.to_string()).collect();
    let again = failed.first().map(|seed| format!("SEED={seed} cargo test --test it {test}"));
    assert!(failed.is_empty(), "seeds that failed: {}; once more: {}", failed.join(", "), again.unwrap_or_default());
}

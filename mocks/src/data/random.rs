//! A small generator of numbers that look random and are not.
//!
//! SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014): one word of state, every seed
//! good, the same numbers on every machine. A record that is made by formula takes its own generator from the seed and
//! its place, so that it does not depend on how many were made before.

/// The generator; its state is the seed plus a constant for each number drawn.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Starts the sequence that belongs to a seed and a place in the data.
    pub fn new(seed: u64, place: u64) -> Self {
        let mut random = Random(seed ^ place.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        random.next();
        random
    }

    /// Draws a number from 0 up to, but not including, `bound`; the bias is far below what any test here could see.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// Draws one element of a list.
    pub fn pick<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.below(list.len())]
    }

    /// Fills a pattern: `#` becomes a digit, `@` a capital letter, everything else stays.
    pub fn fill(&mut self, pattern: &str) -> String {
        pattern
            .chars()
            .map(|mark| match mark {
                '#' => char::from(b'0' + self.below(10) as u8),
                // Post codes avoid letters that look like digits.
                '@' => char::from(b"ABDEFGHJLNPQRSTUWXYZ"[self.below(20)]),
                other => other,
            })
            .collect()
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn the_numbers_are_those_of_the_paper() {
        // The first numbers of SplitMix64 for seed 1234567, from the reference implementation.
        let mut random = Random(1234567);
        assert_eq!(
            [random.next(), random.next(), random.next()],
            [6457827717110365317, 3203168211198807973, 9817491932198370423]
        );
    }

    #[test]
    fn a_pattern_keeps_its_shape() {
        let filled = Random::new(1, 2).fill("AB#-@@ #");
        let shape = [char::is_alphabetic, char::is_alphabetic, char::is_numeric, |c| c == '-', char::is_alphabetic];
        let shape = shape.into_iter().chain([char::is_alphabetic, |c| c == ' ', char::is_numeric]);
        assert!(filled.starts_with("AB") && filled.chars().zip(shape).all(|(c, is)| is(c)), "{filled}");
    }
}

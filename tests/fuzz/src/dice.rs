//! Random numbers that a seed decides.

/// A generator (SplitMix64): the same seed throws the same numbers.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// A generator that begins with a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Throws.
    fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, or 0 where there is none.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let next = usize::try_from(self.throw() >> 32).unwrap_or_default();
        next.checked_rem(end).unwrap_or_default()
    }

    /// A part of what has this length: never empty unless the whole is.
    pub(crate) fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length);
        // Mostly short, so that the rest stays as it was.
        let most = if self.below(4) == 0 { length - start } else { (length - start).min(16) };
        start..start + self.below(most).max(usize::from(start < length))
    }

    /// One of some.
    pub(crate) fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        all.get(self.below(all.len()))
    }
}

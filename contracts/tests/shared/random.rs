//! A small seeded generator: SplitMix64 (Steele, Lea and Flood 2014).

/// State of the generator; equal seeds give equal draws.
pub struct Random(pub u64);

impl Random {
    /// 64 uniform bits.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 32 uniform bits.
    pub fn bits(&mut self) -> u32 {
        (self.word() >> 32) as u32
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: i32, high: i32) -> i32 {
        let width = i64::from(high) - i64::from(low) + 1;
        (i64::from(low) + i64::from(self.bits()) % width) as i32
    }

    /// One of the items, which must not be empty.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.word() as usize % items.len()]
    }
}

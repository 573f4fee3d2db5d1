//! Heavy tails of delays, from fixed tables in integers: the same on every machine.
//!
//! A word of 32 random bits is a probability; its quantile is computed in thousandths of a scale.
//! The log-normal one is read from a table with linear interpolation, which halves its steps toward
//! the tail: 17 points up to the median, then two for every halving of the probability to exceed,
//! down to 2⁻²⁵. The Pareto one is an integer square root.

/// What a delay has on top of everything else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tail {
    /// Nothing.
    #[default]
    None,
    /// Log-normal with σ = 1: one delay in twenty exceeds 5.2 medians, one in a thousand 22.
    LogNormal {
        /// Half of all delays exceed this, in milliseconds.
        median_ms: u32,
        /// No delay exceeds this, in milliseconds.
        cap_ms: u32,
    },
    /// Pareto with α = 2, from 0: P(delay > x) = (1 + x / scale)⁻². One delay in a hundred exceeds
    /// 9 scales, one in ten thousand 99.
    Pareto {
        /// The mean without a cap, in milliseconds.
        scale_ms: u32,
        /// No delay exceeds this, in milliseconds.
        cap_ms: u32,
    },
}

impl Tail {
    /// The delay, in milliseconds, that falls on a random word. It grows with the word.
    pub fn delay_ms(self, word: u32) -> u64 {
        let (scale, thousandths, cap) = match self {
            Self::None => return 0,
            Self::LogNormal { median_ms, cap_ms } => (median_ms, log_normal(word), cap_ms),
            Self::Pareto { scale_ms, cap_ms } => (scale_ms, pareto(word), cap_ms),
        };
        let exact = u64::from(scale) * thousandths;
        ((exact + 500) / 1000).min(cap.into())
    }
}

/// exp of the standard normal quantiles of i/32, in thousandths; the first, 0, for 0.
const TO_MEDIAN: [u32; 17] = [
    0, 155, 216, 268, 317, 364, 412, 460, 509, 560, 613, 669, 727, 789, 854, 925, 1000,
];

/// exp of the standard normal quantiles that are exceeded with probability 2⁻ᵏ and ¾ · 2⁻ᵏ for k =
/// 1, 2, …, 24, and 2⁻²⁵, in thousandths.
const FROM_MEDIAN: [u32; 49] = [
    1000, 1375, 1963, 2428, 3159, 3736, 4637, 5344, 6441, 7297, 8618, 9643, 11218, 12435, 14297,
    15730, 17915, 19590, 22137, 24084, 27037, 29287, 32691, 35280, 39186, 42151, 46615, 49996,
    55079, 58922, 64688, 69039, 75559, 80473, 87823, 93355, 101619, 107830, 117097, 124053, 134419,
    142192, 153762, 162427, 175314, 184955, 199279, 209985, 225875,
];

/// The quantile of the word, in thousandths of the median.
fn log_normal(word: u32) -> u64 {
    const CELL_BITS: u32 = 27;
    if word < 1 << 31 {
        return between(&TO_MEDIAN, word.into(), CELL_BITS);
    }
    // Below 2³¹; its highest bit says how often the probability to exceed was halved.
    let exceeding = u32::MAX - word;
    let Some(high) = exceeding.checked_ilog2() else {
        return FROM_MEDIAN[FROM_MEDIAN.len() - 1].into();
    };
    let halvings = u64::from(30 - high);
    let within = (2u64 << high) - 1 - u64::from(exceeding);
    between(&FROM_MEDIAN, ((2 * halvings) << high) + 2 * within, high)
}

/// The table at `place`, whose integer part lies above `bits`; the last entry beyond the end.
fn between(table: &[u32], place: u64, bits: u32) -> u64 {
    let cell = (place >> bits) as usize;
    let rest = place & ((1 << bits) - 1);
    match table.get(cell..cell + 2) {
        Some([low, high]) => u64::from(*low) + ((u64::from(high - low) * rest) >> bits),
        _ => table.last().copied().map_or(0, u64::from),
    }
}

/// The quantile of the word, in thousandths of the scale: 1 / √(probability to exceed) − 1.
fn pareto(word: u32) -> u64 {
    let exceeding = (1u64 << 32) - u64::from(word);
    ((1_000_000u64 << 32) / exceeding).isqrt() - 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG_NORMAL: Tail = Tail::LogNormal {
        median_ms: 1000,
        cap_ms: u32::MAX,
    };
    const PARETO: Tail = Tail::Pareto {
        scale_ms: 1000,
        cap_ms: u32::MAX,
    };

    /// The word that is exceeded with a probability.
    fn exceeded(probability: f64) -> u32 {
        ((1.0 - probability) * 2f64.powi(32)) as u32
    }

    #[test]
    fn quantiles_are_those_of_the_distributions() {
        // (probability to exceed, exp of the normal quantile, 1 / √probability − 1)
        let known = [
            (0.9, 0.2776, 0.0541),
            (0.5, 1.0, 0.4142),
            (0.25, 1.9630, 1.0),
            (0.1, 3.6022, 2.1623),
            (0.05, 5.1802, 3.4721),
            (0.01, 10.2405, 9.0),
            (0.001, 21.9823, 30.6228),
            (0.000_01, 71.1549, 315.2278),
        ];
        for (probability, log_normal, pareto) in known {
            let word = exceeded(probability);
            for (tail, expected) in [(LOG_NORMAL, log_normal), (PARETO, pareto)] {
                let got = tail.delay_ms(word) as f64 / 1000.0;
                let error = (got - expected).abs() / expected;
                assert!(
                    error < 0.03,
                    "{tail:?} at {probability}: {got}, not {expected}"
                );
            }
        }
    }

    #[test]
    fn delays_grow_with_the_word() {
        let last = u32::MAX - 100_000;
        let words = (0..last).step_by(65_521).chain(last..=u32::MAX);
        for tail in [LOG_NORMAL, PARETO] {
            let delays: Vec<_> = words.clone().map(|word| tail.delay_ms(word)).collect();
            assert!(delays.is_sorted(), "{tail:?}");
            assert_eq!(delays[0], 0);
        }
        let worst = [LOG_NORMAL, PARETO].map(|tail| tail.delay_ms(u32::MAX));
        assert_eq!(worst, [225_875, 65_535_000]);
    }

    #[test]
    fn no_delay_exceeds_the_cap() {
        let (scale_ms, cap_ms) = (20, 900);
        let median_ms = scale_ms;
        let tails = [
            Tail::LogNormal { median_ms, cap_ms },
            Tail::Pareto { scale_ms, cap_ms },
        ];
        assert_eq!(tails.map(|tail| tail.delay_ms(u32::MAX)), [900; 2]);
        assert_eq!(tails.map(|tail| tail.delay_ms(1 << 31)), [20, 8]);
        assert_eq!(Tail::None.delay_ms(u32::MAX), 0);
    }
}

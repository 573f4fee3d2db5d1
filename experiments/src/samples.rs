//! Repeated timings of one contender, and ratios between contenders that took turns.

/// Times of one contender in seconds, in the order of the rounds.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// Adds the time of a round.
    pub fn push(&mut self, seconds: f64) {
        self.0.push(seconds);
    }

    /// The shortest time; infinite without any.
    pub fn best(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// The longest time; negative without any.
    pub fn longest(&self) -> f64 {
        self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }

    /// The middle time; not a number without any.
    pub fn median(&self) -> f64 {
        median(self.0.clone())
    }

    /// The median over rounds of this contender's time over the other's in the same round: what a
    /// busy moment does to both cancels.
    pub fn ratio_to(&self, other: &Self) -> f64 {
        median(
            self.0
                .iter()
                .zip(&other.0)
                .map(|(ours, theirs)| ours / theirs)
                .collect(),
        )
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Mean and standard deviation (of a sample: over n − 1) of some numbers; no spread for a single
/// one.
pub fn mean_and_spread(values: &[f64]) -> (f64, f64) {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0).max(1.0)).sqrt())
}

/// Rounded to three decimals, so that the result's JSON stays readable; `None`, which JSON calls
/// null, if not finite.
pub fn rounded(value: f64) -> Option<f64> {
    value.is_finite().then(|| (value * 1e3).round() / 1e3)
}

/// Rounded to a number of decimals for a table; a dash if not finite.
pub fn shown(value: f64, decimals: usize) -> String {
    if value.is_finite() {
        format!("{value:.decimals$}")
    } else {
        "–".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_pair_the_rounds() {
        let [mut ours, mut theirs] = [Samples::default(), Samples::default()];
        for (x, y) in [(1.0, 2.0), (10.0, 20.0), (3.0, 6.0)] {
            ours.push(x);
            theirs.push(y);
        }
        assert_eq!(
            (ours.best(), ours.median(), ours.ratio_to(&theirs)),
            (1.0, 3.0, 0.5)
        );
        assert!(ours.ratio_to(&Samples::default()).is_nan());
    }

    #[test]
    fn spread_is_that_of_a_sample() {
        assert_eq!(mean_and_spread(&[1.0, 3.0]), (2.0, 2f64.sqrt()));
        assert_eq!(mean_and_spread(&[4.0]), (4.0, 0.0));
    }

    #[test]
    fn what_is_no_number_is_shown_as_missing() {
        assert_eq!((rounded(f64::NAN), rounded(1.23456)), (None, Some(1.235)));
        assert_eq!(
            (shown(f64::INFINITY, 2), shown(1.237, 2)),
            ("–".to_owned(), "1.24".to_owned())
        );
    }
}

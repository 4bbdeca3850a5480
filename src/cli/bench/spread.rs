//! Percentiles.

use serde::Serialize;

/// How a figure spreads over all times it was taken.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    pub count: usize,
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub max: f64,
}

impl Spread {
    /// None of no values. A percentile is the smallest value that so many of all do not exceed:
    /// one that was measured, and the largest where there are too few to tell.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        let rank = |percent: usize| (values.len() * percent).div_ceil(100).saturating_sub(1);
        let at = |index: usize| round(values.get(index).copied().unwrap_or(f64::NAN));
        Some(Self {
            count: values.len(),
            p50: at(rank(50)),
            p95: at(rank(95)),
            p99: at(rank(99)),
            max: at(last),
        })
    }
}

/// To three digits behind the point: a microsecond in milliseconds.
pub fn round(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let spread = Spread::of((1..=200).rev().map(f64::from).collect()).expect("values");
        assert_eq!((spread.p50, spread.p95, spread.p99, spread.max), (100.0, 190.0, 198.0, 200.0));
        assert_eq!(spread.count, 200);
    }

    /// Twenty values cannot tell what one in a hundred is like: the worst stands for it.
    #[test]
    fn few_values_give_the_largest() {
        let spread = Spread::of((1..=20).map(f64::from).collect()).expect("values");
        assert_eq!((spread.p50, spread.p95, spread.p99), (10.0, 19.0, 20.0));
        let one = Spread::of(vec![7.0]).expect("a value");
        assert_eq!((one.p50, one.p99, one.max), (7.0, 7.0, 7.0));
        assert_eq!(Spread::of(vec![]), None);
    }
}

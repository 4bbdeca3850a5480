//! Sines that become vector code.

use super::vectorised;
use std::f32::consts::{FRAC_1_PI, FRAC_PI_2, TAU};

vectorised!(
    /// Adds to each of `output` the sine of an angle that begins at `turns` and grows by `rate`,
    /// both in whole turns and not negative, times `amplitude`.
    pub(crate) add_tone, add_tone_body(output: &mut [f32], amplitude: f32, turns: f64, rate: f64)
);

#[inline(always)]
fn add_tone_body(output: &mut [f32], amplitude: f32, turns: f64, rate: f64) {
    // Not converted from 64-bit integers, which few processors do by vectors.
    for (i, output) in (0u32..).zip(output) {
        let turns = turns + rate * f64::from(i);
        *output += amplitude * sine((turns - turns.floor()) as f32 * TAU);
    }
}

/// Adding 1.5 * 2^23 leaves the nearest integer in the low bits of the sum.
const ROUND: f32 = 12_582_912.0;

/// `sin x` to 4e-7 for `|x|` up to 1e4; further out it loses the angle but stays within -1 and 1.
/// NaN for what is not finite. Without branches or calls.
#[inline(always)]
pub(super) fn sine(x: f32) -> f32 {
    let (rest, turns) = reduce(x);
    // The sign changes with every half turn.
    f32::from_bits(half_turn(rest).to_bits() ^ (turns.to_bits() << 31))
}

/// `(sin x)^2`, which repeats with every half turn.
#[inline(always)]
pub(super) fn sine_squared(x: f32) -> f32 {
    let sine = half_turn(reduce(x).0);
    sine * sine
}

/// The angle left of `x` after whole half turns, within a quarter turn, and [`ROUND`] plus their
/// number.
#[inline(always)]
fn reduce(x: f32) -> (f32, f32) {
    let shifted = x * FRAC_1_PI + ROUND;
    let n = shifted - ROUND;
    // Pi in three parts, the first two short enough that their products with n are exact.
    let rest = ((x - n * 3.140_625) - n * 9.675_026e-4) - n * 1.509_958e-7;
    (rest.clamp(-FRAC_PI_2, FRAC_PI_2), shifted)
}

/// The sine's series within a quarter turn.
#[inline(always)]
fn half_turn(r: f32) -> f32 {
    let s = r * r;
    let series = 2.755_731_9e-6 - s * 2.505_210_8e-8;
    let series = 8.333_334e-3 - s * (1.984_127e-4 - s * series);
    r - r * s * (0.166_666_67 - s * series)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects the reduction where it is hardest: many turns, and angles near their ends.
    #[test]
    fn sines_are_those_of_the_definition() {
        let near = (-6000..6000).map(|i| i as f32 * 0.01);
        let far = (0..400_000).map(|i| i as f32 * 0.025 - 5_000.0).map(|x| 2.0 * x);
        let ends = (-3000..3000).map(|i| i as f32 * FRAC_PI_2);
        for x in near.chain(far).chain(ends) {
            let want = f64::from(x).sin();
            let errors = [f64::from(sine(x)) - want, f64::from(sine_squared(x)) - want * want];
            assert!(errors.iter().all(|e| e.abs() < 4e-7), "{x}: {errors:?}");
        }
    }

    /// Protects tones that have run for long.
    #[test]
    fn tones_do_not_drift() {
        let mut tone = vec![1.0; 1003];
        add_tone(&mut tone, 0.5, 900.75, 0.0123);
        for (i, value) in tone.into_iter().enumerate() {
            let want = 1.0 + 0.5 * ((0.75 + 0.0123 * i as f64) * std::f64::consts::TAU).sin();
            assert!((f64::from(value) - want).abs() < 1e-6, "{i}: {value}, not {want}");
        }
    }

    #[test]
    fn what_has_no_sine_is_bounded_or_nan() {
        for x in [1e6, -3e9, f32::MAX] {
            assert!(sine(x).abs() <= 1.0 && sine_squared(x) <= 1.0);
        }
        for x in [f32::NAN, f32::INFINITY] {
            assert!(sine(x).is_nan() && sine_squared(x).is_nan());
        }
    }
}

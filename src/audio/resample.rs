//! Windowed-sinc resampling of whole clips, sample for sample that of the original front end.

/// Zero crossings of the sinc on either side.
const LOBES: f64 = 6.0;
/// Where the pass band ends, as a share of the lower Nyquist frequency.
const ROLLOFF: f64 = 0.99;

/// Brings `samples` from rate `from` to rate `to` (both in Hz, above zero): `ceil(n * to / from)`
/// samples, without delay.
///
/// A polyphase filter: output `p` of each `to / gcd` weighs the same few inputs with the same
/// kernel, `cos^2`-windowed `sinc`, made once in f64. (Smith, "Digital Audio Resampling".)
pub fn resample(samples: &[f32], from: u32, to: u32) -> Vec<f32> {
    if from == to || from == 0 || to == 0 {
        return samples.to_vec();
    }
    let divisor = gcd(from, to);
    let (orig, new) = ((from / divisor) as usize, (to / divisor) as usize);
    let len = (samples.len() * new).div_ceil(orig);
    let phases: Vec<Phase> = (0..new.min(len)).map(|p| Phase::new(p, orig, new)).collect();
    (0..len)
        .map(|m| {
            let phase = &phases[m % new];
            let start = (m / new * orig) as isize + phase.first;
            // Beyond both ends the clip is silent.
            let skip = start.min(0).unsigned_abs().min(phase.taps.len());
            let begin = start.max(0) as usize;
            let inputs = samples.get(begin..).unwrap_or_default();
            dot(&phase.taps[skip..], inputs)
        })
        .collect()
}

/// The kernel of one output position, without its zeros.
struct Phase {
    /// Input of the first tap, relative to the first input of the period.
    first: isize,
    taps: Vec<f32>,
}

impl Phase {
    fn new(p: usize, orig: usize, new: usize) -> Self {
        let base = ROLLOFF * orig.min(new) as f64;
        let centre = p as f64 / new as f64;
        let reach = LOBES / base;
        let first = ((centre - reach) * orig as f64).ceil() as isize;
        let last = ((centre + reach) * orig as f64).floor() as isize;
        let taps = (first..=last)
            .map(|k| {
                let t = ((k as f64 / orig as f64 - centre) * base).clamp(-LOBES, LOBES);
                let window = (t * std::f64::consts::PI / (2.0 * LOBES)).cos().powi(2);
                let x = t * std::f64::consts::PI;
                let sinc = if x == 0.0 { 1.0 } else { x.sin() / x };
                (base / orig as f64 * window * sinc) as f32
            })
            .collect();
        Self { first, taps }
    }
}

/// Over the shorter of both. Eight sums side by side, so that the loop becomes vector code.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let n = a.len().min(b.len());
    let (a_head, a_tail) = a[..n].as_chunks::<8>();
    let (b_head, b_tail) = b[..n].as_chunks::<8>();
    let mut sums = [0f32; 8];
    for (x, y) in a_head.iter().zip(b_head) {
        for i in 0..8 {
            sums[i] += x[i] * y[i];
        }
    }
    let tail: f32 = a_tail.iter().zip(b_tail).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f32>() + tail
}

pub(super) fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(hz: f64, rate: u32, n: usize) -> Vec<f32> {
        let step = std::f64::consts::TAU * hz / f64::from(rate);
        (0..n).map(|i| (step * i as f64).sin() as f32).collect()
    }

    /// Up and down, telephone rates included: the same tone, in place.
    #[test]
    fn a_tone_stays_itself() {
        for (from, to) in [(8000, 16_000), (8000, 24_000), (44_100, 24_000), (48_000, 16_000)] {
            let out = resample(&sine(440.0, from, from as usize / 2), from, to);
            let want = sine(440.0, to, out.len());
            let edge = to as usize / 100;
            let worst =
                (edge..out.len() - edge).map(|i| (out[i] - want[i]).abs()).fold(0.0, f32::max);
            assert!(worst < 3e-3, "{from} to {to}: {worst}");
        }
    }

    #[test]
    fn lengths_round_up() {
        for (n, from, to, len) in [
            (0, 8000, 16_000, 0),
            (1, 48_000, 8000, 1),
            (7, 48_000, 8000, 2),
            (441, 44_100, 16_000, 160),
            (5, 16_000, 16_000, 5),
        ] {
            assert_eq!(resample(&vec![0.5; n], from, to).len(), len, "{n} from {from} to {to}");
        }
    }

    /// The worst pair of rates a file can name must not cost minutes.
    #[test]
    fn awkward_rates_are_affordable() {
        let started = std::time::Instant::now();
        let out = resample(&vec![0.1; 383_999], 383_999, 24_000);
        assert_eq!(out.len(), 24_000);
        assert!(started.elapsed().as_secs() < 5);
    }
}

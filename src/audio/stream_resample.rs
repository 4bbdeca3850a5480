//! Resampling of speech while it is made.

use super::resample::gcd;
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Async, FixedAsync, Indexing, Resampler, SincInterpolationParameters, WindowFunction};

/// Length of the filter in samples of the lower rate. The output lags half of it behind: 2.7 ms
/// from 24 kHz up, 8 ms down to 8 kHz.
const SINC_LEN: usize = 128;
/// Most input samples that are filtered at once.
const BLOCK: usize = 1024;

/// Rates that a stream can be brought to, in Hz.
const OUTPUT_RATES: std::ops::RangeInclusive<u32> = 8_000..=48_000;

/// Why there is no resampler for a pair of rates.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("cannot resample from {from} Hz to {to} Hz")]
pub struct RateError {
    pub from: u32,
    pub to: u32,
}

/// Brings a stream of mono samples to another rate, piece by piece.
///
/// All pieces together are `ceil(n * to / from)` samples that lie where the input's lay (the
/// filter's delay is cut off the start and made up for at the end), whatever the pieces' lengths.
pub struct StreamResampler {
    from: u64,
    to: u64,
    /// None where the rates are equal.
    filter: Option<Async<f32>>,
    /// Length of the filter in input samples.
    length: usize,
    /// Output samples still to be dropped: the filter's delay.
    lead: usize,
    taken: u64,
    given: u64,
}

impl StreamResampler {
    /// # Errors
    /// When `to` lies outside 8 to 48 kHz, or `from` outside 8 to 192 kHz.
    pub fn new(from: u32, to: u32) -> Result<Self, RateError> {
        let error = || RateError { from, to };
        if !OUTPUT_RATES.contains(&to) || !(8_000..=192_000).contains(&from) {
            return Err(error());
        }
        let mut this = Self {
            from: u64::from(from),
            to: u64::from(to),
            filter: None,
            length: 0,
            lead: 0,
            taken: 0,
            given: 0,
        };
        if from == to {
            return Ok(this);
        }
        let length = SINC_LEN * from.div_ceil(to) as usize;
        let parameters = SincInterpolationParameters::new(length, WindowFunction::BlackmanHarris2);
        let ratio = f64::from(to) / f64::from(from);
        let filter = Async::new_sinc(ratio, 1.0, &parameters, BLOCK, 1, FixedAsync::Input);
        this.filter = Some(filter.map_err(|_| error())?);
        this.length = length;
        // The filter puts input sample 0 at output sample `delay * to / from - 1`. That is between
        // two samples as a rule; silence before the input moves it onto one.
        let delay = length / 2;
        let (from, to) = ((from / gcd(from, to)) as usize, (to / gcd(from, to)) as usize);
        let periods = delay.div_ceil(from);
        this.lead = periods * to - 1;
        this.filter(&vec![0.0; periods * from - delay]);
        Ok(this)
    }

    /// Takes the next samples; returns those of the output that are complete with them.
    pub fn push(&mut self, samples: &[f32]) -> Vec<f32> {
        self.taken += samples.len() as u64;
        let out = self.filter(samples);
        self.given += out.len() as u64;
        out
    }

    /// The rest, after which the resampler is used up.
    pub fn finish(mut self) -> Vec<f32> {
        let total = (self.taken * self.to).div_ceil(self.from);
        let missing = usize::try_from(total.saturating_sub(self.given)).unwrap_or(0);
        // What the filter still holds is less than twice its length.
        let mut out = self.filter(&vec![0.0; 2 * self.length]);
        out.resize(missing, 0.0);
        out
    }

    fn filter(&mut self, samples: &[f32]) -> Vec<f32> {
        let Some(filter) = &mut self.filter else { return samples.to_vec() };
        let mut out = Vec::new();
        for block in samples.chunks(BLOCK) {
            // A partial block would be filled up with silence, so the filter's block is set to
            // what there is.
            let resized = filter.as_resizable().map(|filter| filter.set_chunk_size(block.len()));
            debug_assert!(matches!(resized, Some(Ok(()))));
            let start = out.len();
            out.resize(start + filter.output_frames_next(), 0.0);
            let room = out.len() - start;
            let done = InterleavedSlice::new(block, 1, block.len()).ok().and_then(|input| {
                let mut output = InterleavedSlice::new_mut(&mut out[start..], 1, room).ok()?;
                filter.process_into_buffer(&input, &mut output, None::<&Indexing>).ok()
            });
            debug_assert!(done.is_some());
            out.truncate(start + done.map_or(0, |(_, written)| written));
        }
        let drop = self.lead.min(out.len());
        self.lead -= drop;
        out.drain(..drop);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: [u32; 11] =
        [8000, 9999, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 47_999, 48_000];

    fn voice(rate: u32, n: usize) -> Vec<f32> {
        let at =
            |hz: f64, i: usize| (std::f64::consts::TAU * hz * i as f64 / f64::from(rate)).sin();
        (0..n)
            .map(|i| (0.4 * at(220.0, i) + 0.3 * at(1100.0, i) + 0.1 * at(2900.0, i)) as f32)
            .collect()
    }

    fn in_pieces(samples: &[f32], to: u32, mut pieces: impl FnMut() -> usize) -> Vec<f32> {
        let mut resampler = StreamResampler::new(24_000, to).expect("rates");
        let mut rest = samples;
        let mut out = Vec::new();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(pieces().min(rest.len()));
            out.extend(resampler.push(piece));
            rest = after;
        }
        out.extend(resampler.finish());
        out
    }

    /// In tune, in place, and of the right length at every rate: a click at the edge of a piece,
    /// a lost sample or a shift would show as a difference from the tones themselves.
    #[test]
    fn output_lies_where_the_input_lay() {
        let samples = voice(24_000, 24_017);
        for to in RATES {
            let out = in_pieces(&samples, to, || 960);
            assert_eq!(out.len(), (24_017 * to as usize).div_ceil(24_000), "{to}");
            let want = voice(to, out.len());
            let edge = to as usize / 100;
            let inner = edge..out.len() - edge;
            let worst = inner.map(|i| (out[i] - want[i]).abs()).fold(0.0, f32::max);
            println!("24000 to {to}: {worst:.1e}");
            assert!(worst < 2e-3, "{to}: {worst}");
        }
    }

    #[test]
    fn pieces_make_no_difference() {
        let samples = voice(24_000, 5000);
        for to in [8000, 16_000, 44_100, 48_000] {
            let whole = in_pieces(&samples, to, || usize::MAX);
            for size in [1, 7, 960, 1025] {
                let pieces = in_pieces(&samples, to, || size);
                assert_eq!(pieces.len(), whole.len());
                let worst =
                    pieces.iter().zip(&whole).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(worst < 1e-5, "{to} by {size}: {worst}");
            }
        }
    }

    /// The first packet must not wait for the filter.
    #[test]
    fn all_but_a_few_milliseconds_leave_at_once() {
        for to in RATES {
            let mut resampler = StreamResampler::new(24_000, to).expect("rates");
            let out = resampler.push(&voice(24_000, 2400));
            let ms = 100.0 - out.len() as f64 * 1000.0 / f64::from(to);
            println!("24000 to {to}: {ms:.2} ms behind");
            assert!(ms < if to < 24_000 { 8.2 } else { 2.8 }, "{to}: {ms}");
        }
    }

    #[test]
    fn short_and_empty_streams_have_their_length() {
        for to in RATES {
            for n in [0, 1, 2, 100] {
                let out = in_pieces(&voice(24_000, n), to, || 1);
                assert_eq!(out.len(), (n * to as usize).div_ceil(24_000), "{n} to {to}");
            }
        }
    }

    #[test]
    fn rates_out_of_range_are_refused() {
        for (from, to) in [(24_000, 0), (24_000, 7999), (24_000, 48_001), (0, 16_000)] {
            assert_eq!(StreamResampler::new(from, to).err(), Some(RateError { from, to }));
        }
    }
}

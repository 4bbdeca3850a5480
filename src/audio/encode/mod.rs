//! Compressed audio while the sound is made: samples in, as many as there are, bytes out as soon
//! as a frame is complete.
//!
//! Each encoder makes the same bytes of the same samples, however they are cut, and none waits for
//! the end of the stream. All take mono samples in `[-1, 1]`; what lies beyond is clipped.

mod flac;
mod mp3;
mod opus;

pub use flac::Flac;
pub use mp3::Mp3;
pub use opus::{Opus, OpusOptions};

/// What an encoder could not do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{codec}: {reason}")]
pub struct EncodeError {
    codec: &'static str,
    reason: String,
}

impl EncodeError {
    fn new(codec: &'static str, reason: impl ToString) -> Self {
        Self { codec, reason: reason.to_string() }
    }
}

/// Cuts a stream of samples into frames of equal length.
#[derive(Debug)]
struct Frames {
    length: usize,
    /// Less than a frame.
    held: Vec<f32>,
    /// Samples that came in all.
    total: u64,
}

impl Frames {
    fn new(length: usize) -> Self {
        Self { length, held: Vec::with_capacity(length), total: 0 }
    }

    /// Passes on each frame that is complete with `samples`.
    fn push(
        &mut self,
        samples: &[f32],
        mut frame: impl FnMut(&[f32]) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        self.total += samples.len() as u64;
        let mut rest = samples;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(self.length - self.held.len()));
            rest = later;
            self.held.extend(now.iter().map(|sample| clip(*sample)));
            if self.held.len() == self.length {
                frame(&self.held)?;
                self.held.clear();
            }
        }
        Ok(())
    }

    /// The samples left, and as much silence as makes whole frames of them and `tail` more.
    fn padded(mut self, tail: usize) -> Vec<f32> {
        let frames = (self.held.len() + tail).div_ceil(self.length);
        self.held.resize(frames * self.length, 0.0);
        self.held
    }
}

/// Into `[-1, 1]`; not-a-number is silence.
fn clip(sample: f32) -> f32 {
    if sample.is_nan() { 0.0 } else { sample.clamp(-1.0, 1.0) }
}

#[cfg(test)]
mod tests;

//! WAV files: 16-bit mono PCM.

use super::pcm::append_s16le;

/// A complete file.
pub fn encode(samples: &[f32], rate: u32) -> Vec<u8> {
    let mut out = header(rate, Some(samples.len() * 2)).to_vec();
    append_s16le(samples, &mut out);
    out
}

/// Bytes of [`header`].
pub const HEADER: usize = 44;

/// The bytes before the samples, of which there are `data_len` bytes.
///
/// `None` (or more than the format can say) stands for a stream whose length is not known yet:
/// both sizes are then `0xFFFF_FFFF`, which players read to the end.
pub fn header(rate: u32, data_len: Option<usize>) -> [u8; HEADER] {
    const BYTES_PER_SAMPLE: u16 = 2;
    const AFTER_RIFF_SIZE: u32 = 36;
    let (riff, data) = data_len
        .and_then(|len| u32::try_from(len).ok())
        .and_then(|len| Some((len.checked_add(AFTER_RIFF_SIZE)?, len)))
        .unwrap_or((u32::MAX, u32::MAX));
    let mut out = [0; HEADER];
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        out[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    put(b"RIFF");
    put(&riff.to_le_bytes());
    put(b"WAVEfmt ");
    put(&16u32.to_le_bytes());
    put(&1u16.to_le_bytes()); // integer PCM
    put(&1u16.to_le_bytes()); // channels
    put(&rate.to_le_bytes());
    put(&rate.saturating_mul(u32::from(BYTES_PER_SAMPLE)).to_le_bytes());
    put(&BYTES_PER_SAMPLE.to_le_bytes());
    put(&(8 * BYTES_PER_SAMPLE).to_le_bytes());
    put(b"data");
    put(&data.to_le_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another implementation of the format reads what we write.
    #[test]
    fn an_independent_reader_agrees() {
        let samples = [0.0, 0.25, -0.25, 0.999];
        let file = encode(&samples, 24_000);
        let mut reader = hound::WavReader::new(&file[..]).expect("a WAV file");
        let spec = reader.spec();
        assert_eq!((spec.channels, spec.sample_rate, spec.bits_per_sample), (1, 24_000, 16));
        let read: Vec<i16> = reader.samples().map(|s| s.expect("sample")).collect();
        assert_eq!(read, samples.map(super::super::pcm::to_i16));
    }

    #[test]
    fn unknown_and_impossible_lengths_are_marked_so() {
        for len in [None, Some(usize::MAX), Some(u32::MAX as usize - 10)] {
            let header = header(16_000, len);
            assert_eq!(header[4..8], [0xFF; 4]);
            assert_eq!(header[40..44], [0xFF; 4]);
        }
    }
}

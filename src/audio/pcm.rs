//! Samples as 16-bit integers.

/// One sample as a 16-bit integer: rounded, and clipped beyond `[-1, 1]`. Not-a-number is silence.
pub fn to_i16(sample: f32) -> i16 {
    (sample * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16
}

/// Appends samples as little-endian 16-bit integers.
pub fn append_s16le(samples: &[f32], out: &mut Vec<u8>) {
    out.reserve(samples.len() * 2);
    out.extend(samples.iter().flat_map(|sample| to_i16(*sample).to_le_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_rounded_and_clipped() {
        let samples = [0.0, 1.0, -1.0, 7.0, -7.0, f32::NAN, 0.6 / 32_768.0, -0.6 / 32_768.0];
        assert_eq!(samples.map(to_i16), [0, 32_767, -32_768, 32_767, -32_768, 0, 1, -1]);
    }

    #[test]
    fn bytes_are_little_endian() {
        let mut out = vec![9];
        append_s16le(&[0.5, -0.5], &mut out);
        assert_eq!(out, [9, 0x00, 0x40, 0x00, 0xC0]);
    }
}

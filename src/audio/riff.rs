//! WAV headers that lie about sizes.
//!
//! A WAV file written to a pipe says 0 or `0xFFFF_FFFF` where its sizes belong, a truncated one
//! says more than there is, and both are common as prompts. Rebuilding the header from what is
//! there lets a strict reader read them.

/// A header that tells the truth about `data`, and the samples that follow it. `None` when the
/// bytes are no WAV file with a format and a data chunk.
pub(super) fn repair(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    if !matches!(bytes.get(..4)?, b"RIFF" | b"RF64") || bytes.get(8..12)? != b"WAVE" {
        return None;
    }
    let mut rest = bytes.get(12..)?;
    let mut format: Option<&[u8]> = None;
    loop {
        let (tag, size) = (rest.get(..4)?, u32::from_le_bytes(*rest.get(4..8)?.first_chunk()?));
        let body = rest.get(8..)?;
        let size = usize::try_from(size).ok()?;
        match tag {
            b"data" => {
                let unknown = size == 0 || size > body.len();
                let data = if unknown { body } else { &body[..size] };
                return Some((header(format?, data.len()), data));
            }
            b"fmt " => format = Some(body.get(..size)?),
            _ => {}
        }
        // Chunks start at even offsets.
        rest = body.get(size.checked_next_multiple_of(2)?..)?;
    }
}

/// How many channels a WAV file's format chunk names. `None` when the bytes are no WAV file with one.
pub(super) fn channels(bytes: &[u8]) -> Option<u16> {
    if !matches!(bytes.get(..4)?, b"RIFF" | b"RF64") || bytes.get(8..12)? != b"WAVE" {
        return None;
    }
    let mut rest = bytes.get(12..)?;
    loop {
        let size = usize::try_from(u32::from_le_bytes(*rest.get(4..8)?.first_chunk()?)).ok()?;
        if rest.get(..4)? == b"fmt " {
            return Some(u16::from_le_bytes(*rest.get(10..12)?.first_chunk()?));
        }
        // Chunks start at even offsets.
        rest = rest.get(size.checked_next_multiple_of(2)?.checked_add(8)?..)?;
    }
}

fn header(format: &[u8], data_len: usize) -> Vec<u8> {
    // Writers pad the format chunk of plain PCM and float with bytes that mean nothing.
    const PLAIN: usize = 16;
    let plain = matches!(format, [1 | 3, 0, ..]);
    let format = if plain { format.get(..PLAIN).unwrap_or(format) } else { format };
    let size = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
    let mut out = Vec::with_capacity(28 + format.len());
    out.extend_from_slice(b"RIFF");
    out.extend(size((20 + format.len()).saturating_add(data_len)));
    out.extend_from_slice(b"WAVEfmt ");
    out.extend(size(format.len()));
    out.extend_from_slice(format);
    out.extend_from_slice(b"data");
    out.extend(size(data_len));
    out
}

//! Text to be normalised, whole and cut: the first byte seeds the cuts.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mynah::text::{NormalStream, Normalizer, Piece};

/// Most characters that are held back.
const HELD: usize = 200;
/// What may be spoken of a text besides thirty times its bytes.
const MARGIN: usize = 200;

fn spoken(pieces: &[Piece]) -> String {
    pieces.iter().map(|piece| piece.spoken.as_str()).collect()
}

fuzz_target!(|bytes: &[u8]| {
    let [seed, rest @ ..] = bytes else { return };
    let text = String::from_utf8_lossy(rest);
    for emoji in [false, true] {
        let normalizer = Normalizer { emoji, ..Normalizer::default() };
        let whole = normalizer.pieces(&text);
        let all = spoken(&whole);
        assert!(all.len() <= 30 * text.len() + MARGIN, "{} of {}", all.len(), text.len());
        let written: String = whole.iter().map(|piece| piece.written.as_str()).collect();
        assert_eq!(written, text);

        let mut stream = NormalStream::new(normalizer);
        let (mut parts, mut pushed, mut read) = (String::new(), 0, 0);
        let chars: Vec<char> = text.chars().collect();
        let mut state = u32::from(*seed) + 1;
        let mut at = 0;
        while at < chars.len() {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let len = (state >> 28) as usize + usize::from(*seed == 0);
            let end = chars.len().min(at + len.max(1));
            let part: String = chars[at..end].iter().collect();
            let pieces = stream.push(&part);
            pushed += end - at;
            read = pieces.last().map_or(read, |piece| piece.source.end);
            assert!(pushed - read <= HELD, "{} held", pushed - read);
            parts += &spoken(&pieces);
            at = end;
        }
        parts += &spoken(&stream.finish());
        assert_eq!(parts, all);
        assert!(stream.is_empty());
    }
});

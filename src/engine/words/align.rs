//! Words to their places in a segment's sound.

use crate::text::Word;

/// Seconds of a frame of the envelope.
const FRAME: f64 = 0.01;

/// Silence shorter than this, in frames, is part of a consonant.
const SHORTEST_PAUSE: usize = 10;

/// A frame is silent where it is this much quieter than the segment's loud ones (26 dB).
const SILENT: f32 = 0.05;

/// What it costs to have a pause of a second within a word, to have none at punctuation, and to
/// have one between words without any. In units of the square of a typical deviation.
const PAUSE_IN_WORD: f64 = 8.0;
const NO_PAUSE: f64 = 2.0;
const BARE_PAUSE: f64 = 1.0;

/// A pause is taken for a boundary of words that is expected no further from it, in seconds.
const REACH: f64 = 1.0;

/// Variance of a stretch's duration per second of it, in s²/s.
const VARIANCE: f64 = 0.02;

/// How much longer the last word before a pause, or of all, is spoken.
const LENGTHENED: f64 = 1.2;

/// A word, and about how long it takes relative to others.
#[derive(Debug, Clone)]
pub struct Unit {
    pub word: Word,
    pub weight: f64,
}

/// How long letters take to speak, in units of about a consonant: the first vowel of a group is
/// a syllable's kernel, and an ideograph is a syllable.
pub fn weight(letters: &[char]) -> f64 {
    let mut sum = 0.3;
    let mut in_vowels = false;
    for c in letters {
        let vowel = matches!(c.to_ascii_lowercase(), 'a' | 'e' | 'i' | 'o' | 'u' | 'y');
        sum += match c {
            _ if vowel && in_vowels => 0.6,
            _ if vowel => 1.6,
            c if c.is_ascii_digit() => 4.0,
            c if (*c as u32) < 0x1100 => 1.0,
            // Ideographs, kana, Hangul.
            _ => 3.0,
        };
        in_vowels = vowel;
    }
    let ends_silent = matches!(letters, [.., before, 'e'] if letters.len() > 3
        && !matches!(before, 'a' | 'e' | 'i' | 'o' | 'u' | 'y'));
    if ends_silent { sum - 1.2 } else { sum }
}

/// Loudness of a sound, frame by frame.
#[derive(Debug, Default)]
pub struct Envelope {
    /// Root mean squares.
    frames: Vec<f32>,
    /// Sum of squares and number of the samples of the frame in progress.
    open: (f32, usize),
    samples: usize,
    rate: u32,
}

impl Envelope {
    pub fn push(&mut self, samples: &[f32], rate: u32) {
        self.rate = rate;
        self.samples += samples.len();
        let length = ((f64::from(rate) * FRAME) as usize).max(1);
        for sample in samples {
            self.open.0 += sample * sample;
            self.open.1 += 1;
            if self.open.1 == length {
                self.frames.push((self.open.0 / length as f32).sqrt());
                self.open = (0.0, 0);
            }
        }
    }

    pub fn seconds(&self) -> f64 {
        self.samples as f64 / f64::from(self.rate.max(1))
    }

    /// The stretches of silence, in seconds: what comes before the sound, pauses in it, and what
    /// comes after.
    fn pauses(&self) -> (f64, Vec<(f64, f64)>, f64) {
        let mut sorted = self.frames.clone();
        sorted.sort_by(f32::total_cmp);
        let loud = sorted.get(sorted.len() * 9 / 10).copied().unwrap_or_default();
        let sounds = |e: &f32| *e > loud * SILENT;
        let (Some(first), Some(last)) =
            (self.frames.iter().position(sounds), self.frames.iter().rposition(sounds))
        else {
            return (0.0, vec![], self.seconds());
        };
        let mut pauses = Vec::new();
        let mut since = None;
        for (i, frame) in self.frames.iter().enumerate().take(last + 1).skip(first) {
            if !sounds(frame) {
                since.get_or_insert(i);
            } else if let Some(start) = since.take()
                && i - start >= SHORTEST_PAUSE
            {
                pauses.push((start as f64 * FRAME, i as f64 * FRAME));
            }
        }
        (first as f64 * FRAME, pauses, (last + 1) as f64 * FRAME)
    }
}

/// Start and end of each word in seconds of the sound, and the pace that this amounts to, in
/// seconds for a weight of 1.
///
/// Between the pauses that are taken for a boundary of words, words share the time by their
/// weights. Which pause belongs to which boundary is what makes the pace most even, prefers
/// punctuation, and leaves few long pauses inside words.
pub fn place(words: &[Unit], sound: &Envelope) -> (Vec<(f64, f64)>, Option<f64>) {
    let (first, pauses, last) = sound.pauses();
    // Weight before each word, and in all.
    let mut before = vec![0.0];
    before.extend(words.iter().enumerate().scan(0.0, |sum, (i, unit)| {
        let last = words.get(i + 1).is_none_or(|next| next.word.after_pause);
        *sum += if last { unit.weight * LENGTHENED } else { unit.weight };
        Some(*sum)
    }));
    let total = before.last().copied().unwrap_or_default();
    let silent: f64 = pauses.iter().map(|(a, b)| b - a).sum();
    if words.is_empty() || total <= 0.0 {
        return (vec![], None);
    }
    let pace = (last - first - silent).max(0.0) / total;
    let anchors = anchors(words, &before, &pauses, (first, last), pace);
    let mut spans = Vec::with_capacity(words.len());
    for pair in anchors.windows(2) {
        let (from, to) = (&pair[0], &pair[1]);
        let weight = before[to.word] - before[from.word];
        let scale = if weight > 0.0 { (to.ends - from.resumes).max(0.0) / weight } else { 0.0 };
        for i in from.word..to.word {
            let at = |sum: f64| from.resumes + (sum - before[from.word]) * scale;
            spans.push((at(before[i]), at(before[i + 1])));
        }
    }
    (spans, (pace > 0.0).then_some(pace))
}

/// A boundary of words whose time is known: the sound before it ends, and goes on.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    /// The word after it.
    word: usize,
    ends: f64,
    resumes: f64,
}

/// The best way from the beginning to the end over some of the pauses.
fn anchors(
    words: &[Unit],
    before: &[f64],
    pauses: &[(f64, f64)],
    (first, last): (f64, f64),
    pace: f64,
) -> Vec<Anchor> {
    let start = Anchor { word: 0, ends: first, resumes: first };
    let mut nodes = vec![start];
    let mut silent = 0.0;
    for (ends, resumes) in pauses.iter().copied() {
        let sounded = ends - first - silent;
        let near = |word: &usize| (pace * before[*word] - sounded).abs() < REACH;
        nodes.extend((1..words.len()).filter(near).map(|word| Anchor { word, ends, resumes }));
        silent += resumes - ends;
    }
    nodes.push(Anchor { word: words.len(), ends: last, resumes: last });
    // Sums over what is skipped.
    let marks: Vec<f64> = std::iter::once(0.0)
        .chain(words.iter().scan(0.0, |sum, unit| {
            *sum += if unit.word.after_pause { NO_PAUSE } else { 0.0 };
            Some(*sum)
        }))
        .collect();
    let silence_until =
        |time: f64| -> f64 { pauses.iter().filter(|(_, b)| *b <= time).map(|(a, b)| b - a).sum() };
    let silences: Vec<(f64, f64)> =
        nodes.iter().map(|n| (silence_until(n.ends), silence_until(n.resumes))).collect();
    let mut best: Vec<(f64, usize)> = vec![(0.0, 0)];
    for (i, node) in nodes.iter().enumerate().skip(1) {
        let is_end = node.word == words.len();
        let bare = !is_end && words.get(node.word).is_some_and(|unit| !unit.word.after_pause);
        let mut choice = (f64::INFINITY, 0);
        for (j, from) in nodes.iter().enumerate().take(i) {
            if from.word >= node.word || from.resumes > node.ends || !best[j].0.is_finite() {
                continue;
            }
            let expected = pace * (before[node.word] - before[from.word]);
            let deviation = node.ends - from.resumes - expected;
            let cost = best[j].0
                + deviation * deviation / (VARIANCE * (expected + 0.1))
                + PAUSE_IN_WORD * (silences[i].0 - silences[j].1)
                + (marks[node.word] - marks[from.word + 1])
                + if bare { BARE_PAUSE } else { 0.0 };
            if cost < choice.0 {
                choice = (cost, j);
            }
        }
        best.push(choice);
    }
    let mut path = Vec::new();
    let mut at = nodes.len() - 1;
    while at > 0 {
        path.push(nodes[at]);
        at = best[at].1;
    }
    path.push(start);
    path.reverse();
    path
}

//! One run's figures, from what its clients saw.

use super::client::{Outcome, TextPace, Utterance};
use super::memory::{Caches, Memory, Seen};
use super::player;
use super::spread::{Spread, round};
use super::stages::StageFigures;
use serde::Serialize;
use std::collections::BTreeMap;

/// Everything measured over one number of sessions, or one rate of requests.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Run {
    /// Clients of a closed loop.
    pub sessions: Option<usize>,
    /// Requests per second of an open loop.
    pub rate: Option<f64>,
    /// Utterances spoken.
    pub utterances: usize,
    pub refused: usize,
    /// Of all requests.
    pub refused_share: f64,
    /// How long a refusal took to come.
    pub refusal_ms: Option<Spread>,
    /// From the request to the first audio: with whole text from its end, word by word from the
    /// first word.
    pub first_packet_ms: Option<Spread>,
    /// Word by word: from the end of the text. Negative where sound came before it.
    pub first_packet_after_text_ms: Option<Spread>,
    /// What of the first packet was waiting for a session.
    pub queued_ms: Option<Spread>,
    /// Between two packets of a stream.
    pub packet_gap_ms: Option<Spread>,
    pub underruns: Underruns,
    /// Wall time.
    pub seconds: f64,
    /// Processor time of the whole process.
    pub processor_seconds: Option<f64>,
    pub processor_seconds_per_audio_second: Option<f64>,
    pub audio_seconds: f64,
    /// Of all sessions together.
    pub audio_seconds_per_second: f64,
    /// A stream's time from request to end, by its audio.
    pub rtf: f64,
    pub resident_mib: Memory,
    pub device_mib: Option<Memory>,
    pub cache_mib: Caches,
    pub stages: BTreeMap<&'static str, StageFigures>,
}

/// What players that began with the first packet met.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Underruns {
    /// Streams that ran dry at least once.
    pub streams: usize,
    /// Of all streams.
    pub share: f64,
    pub gaps: usize,
    pub gap_seconds: f64,
    pub smallest_margin_ms: Option<f64>,
}

impl Underruns {
    fn of(streams: &[&Utterance]) -> Self {
        let played: Vec<_> = streams.iter().map(|stream| player::play(&stream.packets)).collect();
        let dry = played.iter().filter(|played| played.gaps > 0).count();
        let margins = played.iter().filter_map(|played| played.smallest_margin);
        Self {
            streams: dry,
            share: round(dry as f64 / streams.len().max(1) as f64),
            gaps: played.iter().map(|played| played.gaps).sum(),
            gap_seconds: round(played.iter().map(|played| played.gap_seconds).sum()),
            smallest_margin_ms: margins.min_by(f64::total_cmp).map(|margin| round(margin * 1e3)),
        }
    }
}

/// What was measured around the clients.
pub struct Around {
    pub seconds: f64,
    pub processor_seconds: Option<f64>,
    pub memory: Seen,
    pub stages: BTreeMap<&'static str, StageFigures>,
}

/// Seconds of audio in all.
pub fn audio_seconds(outcomes: &[Outcome]) -> f64 {
    spoken(outcomes).iter().map(|stream| stream.audio()).sum()
}

fn spoken(outcomes: &[Outcome]) -> Vec<&Utterance> {
    outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            Outcome::Spoken(utterance) => Some(utterance),
            Outcome::Refused { .. } => None,
        })
        .collect()
}

impl Run {
    pub fn new(
        sessions: Option<usize>,
        rate: Option<f64>,
        text: TextPace,
        outcomes: &[Outcome],
        around: Around,
    ) -> Self {
        let streams = spoken(outcomes);
        let refusals: Vec<f64> = outcomes
            .iter()
            .filter_map(|outcome| match outcome {
                Outcome::Refused { after } => Some(after * 1e3),
                Outcome::Spoken(_) => None,
            })
            .collect();
        let first = |since: fn(&Utterance) -> f64| {
            let of = |stream: &&Utterance| Some((stream.first_packet()? - since(stream)) * 1e3);
            Spread::of(streams.iter().filter_map(of).collect())
        };
        let gaps = streams.iter().flat_map(|stream| {
            stream.packets.windows(2).map(|pair| (pair[1].at - pair[0].at) * 1e3)
        });
        let audio = audio_seconds(outcomes);
        let spent: f64 = streams.iter().map(|stream| stream.ended - stream.queued).sum();
        Self {
            sessions,
            rate,
            utterances: streams.len(),
            refused: refusals.len(),
            refused_share: round(refusals.len() as f64 / outcomes.len().max(1) as f64),
            refusal_ms: Spread::of(refusals),
            first_packet_ms: first(|_| 0.0),
            first_packet_after_text_ms: match text {
                TextPace::Whole => None,
                TextPace::Words(_) => first(|stream| stream.text_complete),
            },
            queued_ms: Spread::of(streams.iter().map(|stream| stream.queued * 1e3).collect()),
            packet_gap_ms: Spread::of(gaps.collect()),
            underruns: Underruns::of(&streams),
            seconds: round(around.seconds),
            processor_seconds: around.processor_seconds.map(round),
            processor_seconds_per_audio_second: around
                .processor_seconds
                .map(|spent| round(spent / audio.max(1e-9))),
            audio_seconds: round(audio),
            audio_seconds_per_second: round(audio / around.seconds.max(1e-9)),
            rtf: round(spent / audio.max(1e-9)),
            resident_mib: around.memory.resident,
            device_mib: around.memory.device,
            cache_mib: around.memory.caches,
            stages: around.stages,
        }
    }

    /// Names the run among others.
    pub fn name(&self) -> String {
        match (self.sessions, self.rate) {
            (Some(1), _) => "1 session".into(),
            (Some(sessions), _) => format!("{sessions} sessions"),
            (None, Some(rate)) => format!("{rate} per second"),
            (None, None) => "run".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::player::Arrival;
    use super::*;

    fn stream(queued: f64, text_complete: f64, packets: &[(f64, f64)], ended: f64) -> Outcome {
        let packets = packets.iter().map(|&(at, audio)| Arrival { at, audio }).collect();
        Outcome::Spoken(Utterance { queued, text_complete, packets, ended })
    }

    #[test]
    fn figures_of_two_streams_and_a_refusal() {
        let outcomes = [
            stream(0.0, 0.5, &[(0.25, 1.0), (1.0, 1.0)], 1.0),
            stream(0.5, 0.5, &[(1.0, 0.5), (2.0, 1.5)], 2.5),
            Outcome::Refused { after: 0.001 },
        ];
        let around = Around {
            seconds: 2.0,
            processor_seconds: Some(3.0),
            memory: Seen::default(),
            stages: BTreeMap::new(),
        };
        let run = Run::new(Some(2), None, TextPace::Words(None), &outcomes, around);
        assert_eq!((run.utterances, run.refused, run.refused_share), (2, 1, 0.333));
        assert_eq!(run.processor_seconds_per_audio_second, Some(0.75));
        assert_eq!(run.refusal_ms.map(|s| s.max), Some(1.0));
        assert_eq!(run.first_packet_ms.map(|s| (s.p50, s.max)), Some((250.0, 1000.0)));
        // The first stream sounded a quarter of a second before its text was complete.
        let after = run.first_packet_after_text_ms.map(|s| (s.p50, s.max));
        assert_eq!(after, Some((-250.0, 500.0)));
        assert_eq!(run.packet_gap_ms.map(|s| (s.p50, s.max)), Some((750.0, 1000.0)));
        assert_eq!((run.audio_seconds, run.audio_seconds_per_second), (4.0, 2.0));
        // Waiting for a session is not generating.
        assert_eq!(run.rtf, 0.75);
        let underruns = Underruns {
            streams: 1,
            share: 0.5,
            gaps: 1,
            gap_seconds: 0.5,
            smallest_margin_ms: Some(-500.0),
        };
        assert_eq!(run.underruns, underruns);
    }
}

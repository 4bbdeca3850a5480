//! Clients: so many at a time, or coming at a rate.

use super::Failure;
use super::client::{Job, Outcome, TextPace, speak};
use super::player;
use crate::engine::{DEFAULT_VOICE, EngineHandle, Prompt, VoiceSource};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use indicatif::ProgressBar;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::sleep_until;

/// Short everyday sentences, spoken in turn.
const SENTENCES: [&str; 4] = [
    "The bus was late because of the heavy rain.",
    "Good morning and welcome to the show.",
    "We had dinner with our friends last night.",
    "The old man walked slowly across the bridge.",
];

/// Whose voice a request asks for.
pub enum Voices {
    /// The default voice, which is always ready.
    Cached,
    /// A recording that nobody used before.
    New(Prompt),
}

/// What all clients have in common.
pub struct Workload {
    pub engine: EngineHandle,
    /// In place of [`SENTENCES`].
    text: Option<String>,
    pub pace: TextPace,
    pub voices: Voices,
    /// Whether a client listens to the end before it asks for more.
    pub realtime: bool,
    pub progress: ProgressBar,
    /// Requests so far.
    made: Cell<usize>,
}

impl Workload {
    pub fn new(
        engine: EngineHandle,
        text: Option<String>,
        pace: TextPace,
        voices: Voices,
        realtime: bool,
        progress: ProgressBar,
    ) -> Self {
        Self { engine, text, pace, voices, realtime, progress, made: Cell::new(0) }
    }

    /// The next request: the sentence of that turn in a voice of its own or everybody's.
    fn job(&self, turn: usize) -> Job {
        let number = self.made.replace(self.made.get() + 1);
        let voice = match &self.voices {
            Voices::Cached => VoiceSource::Named(DEFAULT_VOICE.into()),
            Voices::New(prompt) => unheard(prompt, number),
        };
        let sentence = SENTENCES[turn % SENTENCES.len()];
        let text = self.text.clone().unwrap_or_else(|| sentence.to_owned());
        Job { text, pace: self.pace, voice, seed: turn as u64 }
    }

    async fn one(&self, turn: usize) -> Result<Outcome, Failure> {
        let job = self.job(turn);
        let start = Instant::now();
        let outcome = speak(&self.engine, job).await?;
        if let (true, Outcome::Spoken(heard)) = (self.realtime, &outcome) {
            let ends = player::play(&heard.packets).ends;
            sleep_until((start + Duration::from_secs_f64(ends)).into()).await;
        }
        self.progress.inc(1);
        Ok(outcome)
    }

    /// `clients` start together; each asks `each` times, for the next utterance when the last has
    /// ended. Client n begins with sentence n, so that sentences of different lengths meet.
    pub async fn closed(&self, clients: usize, each: usize) -> Result<Vec<Outcome>, Failure> {
        let client = async |client: usize| {
            let mut outcomes = Vec::with_capacity(each);
            for turn in 0..each {
                outcomes.push(self.one(client + turn).await?);
            }
            Ok::<_, Failure>(outcomes)
        };
        let outcomes = futures::future::try_join_all((0..clients).map(client)).await?;
        Ok(outcomes.into_iter().flatten().collect())
    }

    /// Requests come at random, `rate` a second on average, whether or not those before them have
    /// ended; all that came within `duration` are waited for. The moments are the same every time.
    pub async fn open(&self, rate: f64, duration: Duration) -> Result<Vec<Outcome>, Failure> {
        let mut moments = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut interval = || {
            let uniform: f64 = moments.random();
            Duration::try_from_secs_f64(-(1.0 - uniform).ln() / rate).unwrap_or(duration)
        };
        let start = Instant::now();
        let mut next = interval();
        let mut running = FuturesUnordered::new();
        let mut outcomes = Vec::new();
        let mut turn = 0;
        loop {
            tokio::select! {
                () = sleep_until((start + next).into()), if next < duration => {
                    running.push(self.one(turn));
                    turn += 1;
                    next += interval();
                }
                Some(outcome) = running.next() => outcomes.push(outcome?),
                else => return Ok(outcomes),
            }
        }
    }
}

/// The prompt with one sample changed by an amount that nobody hears, another for every number.
fn unheard(prompt: &Prompt, number: usize) -> VoiceSource {
    let mut audio = (*prompt.audio).clone();
    let step = (1 + number / audio.samples.len().max(1)) as f32 / 32_768.0;
    let index = number % audio.samples.len().max(1);
    if let Some(sample) = audio.samples.get_mut(index) {
        *sample += if *sample > 0.0 { -step } else { step };
    }
    VoiceSource::Prompt { audio: Arc::new(audio), text: prompt.text.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::Clip;
    use crate::config::EngineConfig;
    use crate::engine::start_silent;

    fn workload(realtime: bool, text: TextPace, engine: EngineConfig) -> Workload {
        let engine = start_silent(&engine);
        Workload::new(engine, None, text, Voices::Cached, realtime, ProgressBar::hidden())
    }

    fn spoken(outcomes: &[Outcome]) -> usize {
        outcomes.iter().filter(|o| matches!(o, Outcome::Spoken(_))).count()
    }

    /// The cache of voices must never have met any of them.
    #[test]
    fn new_voices_differ_from_each_other() {
        let audio = Arc::new(Clip { samples: vec![0.0, 0.5, -0.5], rate: 16_000 });
        let prompt = Prompt::new(audio, "x");
        let clips: Vec<Vec<f32>> = (0..9)
            .map(|number| match unheard(&prompt, number) {
                VoiceSource::Prompt { audio, .. } => audio.samples.clone(),
                VoiceSource::Named(_) => panic!("a prompt is asked for"),
            })
            .collect();
        for (index, clip) in clips.iter().enumerate() {
            assert!(!clips[..index].contains(clip) && *clip != prompt.audio.samples, "{index}");
        }
    }

    #[tokio::test]
    async fn every_client_speaks_its_turns() {
        let workload = workload(false, TextPace::Whole, EngineConfig::default());
        let outcomes = workload.closed(3, 2).await.expect("speech");
        assert_eq!((outcomes.len(), spoken(&outcomes)), (6, 6));
    }

    /// Ten come in a second and two have room: the others are told at once.
    #[tokio::test]
    async fn an_open_loop_counts_who_is_refused() {
        let engine = EngineConfig { max_sessions: 1, queue: 1, ..EngineConfig::default() };
        let workload = workload(false, TextPace::Whole, engine);
        let outcomes = workload.open(10.0, Duration::from_secs(1)).await.expect("speech");
        assert!((2..=4).contains(&spoken(&outcomes)), "{outcomes:?}");
        assert!(outcomes.len() > spoken(&outcomes), "{outcomes:?}");
        for outcome in outcomes {
            if let Outcome::Refused { after } = outcome {
                assert!(after < 0.5, "refused after {after} s");
            }
        }
    }

    /// Nine words at twenty in a second are complete after 0.4 s, and sound begins before.
    #[tokio::test]
    async fn words_come_at_their_rate() {
        let workload = workload(false, TextPace::Words(Some(20.0)), EngineConfig::default());
        let outcomes = workload.closed(1, 1).await.expect("speech");
        let [Outcome::Spoken(heard)] = &outcomes[..] else { panic!("{outcomes:?}") };
        assert!((0.4..0.8).contains(&heard.text_complete), "{}", heard.text_complete);
        assert!(heard.first_packet().is_some_and(|first| first < heard.text_complete));
    }
}

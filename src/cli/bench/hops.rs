//! Cost of the n-th hop of one long utterance: it must not grow with n.

use super::Failure;
use super::machine::processor_time;
use super::spread::round;
use crate::cli::setup;
use crate::config::Config;
use crate::engine::{DEFAULT_VOICE, VoiceSource};
use crate::model::cosyvoice2::{CosyVoice2, Generation, GenerationOptions, Next, Voice};
use crate::model::device;
use indicatif::ProgressBar;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// Hops that are shown. The first makes fewer tokens than the others, after the prefill.
const SHOWN: [usize; 5] = [1, 3, 10, 30, 60];
/// Utterances, of which the median counts.
const REPEATS: usize = 3;
/// What is spoken over and over.
const TEXT: &str = "the old man walked slowly across the bridge and looked at the water, and then ";
/// Text tokens of the utterance: with a word in three tokens of speech, more than 60 hops.
const MAX_TEXT: usize = 900;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Hops {
    /// Wall time from one packet to the next, in milliseconds, by n: the hop's tokens, mel and
    /// samples. Of the first, since the utterance began.
    pub cost_ms: BTreeMap<usize, f64>,
    /// What of it was mel and samples.
    pub token_to_wave_ms: BTreeMap<usize, f64>,
    /// Processor time of all threads, by the system's clock of 10 ms. Other work on the machine
    /// changes it less than wall time.
    pub processor_ms: BTreeMap<usize, f64>,
    /// The last of them by the first of equal size.
    pub flatness: Option<f64>,
}

/// Times of one hop in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Hop {
    cost: f64,
    token_to_wave: f64,
    processor: f64,
}

/// Speaks utterances of 60 hops with a model of its own: the engine would cut them into sentences.
///
/// # Errors
/// A model that does not load or fails.
pub fn run(config: &Config, progress: &ProgressBar) -> Result<Hops, Failure> {
    let dir = setup::model_dir(config)?;
    let device = device::by_name(&config.model.device)?;
    let registry = setup::registry(&dir, config)?;
    let found = registry.resolve(&VoiceSource::Named(DEFAULT_VOICE.into()))?;
    let model = CosyVoice2::load(&dir, &device, setup::load_options(config))?;
    let mut making = registry.begin(&found, &model, config.engine.first_hop)?;
    let voice = loop {
        if let Some(voice) = making.step(&model)? {
            break Arc::new(voice);
        }
    };
    let most = SHOWN.into_iter().max().unwrap_or_default();
    // Warms up as well.
    utterance(&model, &voice, config.engine.first_hop, 3, progress)?;
    let runs: Result<Vec<_>, _> = (0..REPEATS)
        .map(|_| utterance(&model, &voice, config.engine.first_hop, most, progress))
        .collect();
    let runs = runs?;
    let of = |part: fn(&Hop) -> f64| -> BTreeMap<usize, f64> {
        let median = |hop: usize| {
            let mut costs: Vec<f64> =
                runs.iter().filter_map(|run| run.get(hop - 1)).map(part).collect();
            costs.sort_by(f64::total_cmp);
            costs.get(costs.len() / 2).map(|cost| (hop, round(*cost)))
        };
        SHOWN.into_iter().filter_map(median).collect()
    };
    let cost_ms = of(|hop| hop.cost);
    let flatness =
        cost_ms.get(&most).zip(cost_ms.get(&SHOWN[1])).map(|(last, first)| round(last / first));
    Ok(Hops {
        flatness,
        token_to_wave_ms: of(|hop| hop.token_to_wave),
        processor_ms: of(|hop| hop.processor),
        cost_ms,
    })
}

/// The first `most` hops of an utterance whose text never ends.
fn utterance(
    model: &CosyVoice2,
    voice: &Arc<Voice>,
    first_hop: usize,
    most: usize,
    progress: &ProgressBar,
) -> Result<Vec<Hop>, Failure> {
    let text = model.tokenizer().encode(TEXT);
    let options = GenerationOptions {
        seed: 7,
        streaming: true,
        speed: 1.0,
        max_text_tokens: MAX_TEXT,
        first_hop,
        adaptive: false,
        sampling: Default::default(),
        guards: false,
    };
    let mut generation = Generation::streamed(model, &mut model.slots(1, 0), voice, options)?;
    let mut hops = Vec::with_capacity(most);
    let mut pushed = 0;
    let mut last = Instant::now();
    let mut last_processor = processor_time().unwrap_or_default();
    let mut token_to_wave = 0.0;
    let ms = |since: Instant| since.elapsed().as_secs_f64() * 1e3;
    while hops.len() < most {
        match generation.next() {
            Next::Prefill => generation.prefill(model)?,
            Next::Token => {
                for row in Generation::decode(model, &mut [&mut generation])? {
                    row?;
                }
            }
            Next::Text => {
                pushed += text.len();
                if pushed > MAX_TEXT {
                    return Err(format!("the text ended after {} hops", hops.len()).into());
                }
                generation.push_text(&text)?;
            }
            Next::Wave(_) => {
                let step = Instant::now();
                let sound = Generation::wave(model, &mut [&mut generation]).remove(0)?;
                token_to_wave += ms(step);
                if sound.is_empty() {
                    continue;
                }
                let spent = processor_time().unwrap_or_default();
                let processor = spent.saturating_sub(last_processor).as_secs_f64() * 1e3;
                hops.push(Hop { cost: ms(last), token_to_wave, processor });
                (last, last_processor, token_to_wave) = (Instant::now(), spent, 0.0);
                progress.inc(1);
            }
            Next::Done => return Err(format!("the speech ended after {} hops", hops.len()).into()),
        }
    }
    Ok(hops)
}

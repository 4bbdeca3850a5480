//! `POST /inference_zero_shot`: text and a prompt in, a file or a stream of speech out.

use super::form::{Bounds, Form, OVERHEAD};
use super::{check_model, check_voice};
use crate::engine::{SpeakRequest, TextInput, VoiceSource};
use crate::server::account::Account;
use crate::server::app::App;
use crate::server::client::Peer;
use crate::server::error::ApiError;
use crate::server::format::{Container, Encoder};
use crate::server::request::RequestId;
use crate::server::speech::{Packet, Speech};
use crate::server::{prompt, upload};
use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::stream;
use std::sync::Arc;
use std::time::Instant;
use tracing::Instrument;

pub async fn handle(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Result<Response, ApiError> {
    let mut account = Account::open(&app, id, "/inference_zero_shot");
    account.note(app.charge(peer, request.headers()))?;
    let span = account.span.clone();
    async {
        let asked = Asked::read(&app, request).await;
        let asked = account.note(asked)?;
        account.characters(asked.characters);
        asked.answer(&app, account).await
    }
    .instrument(span)
    .await
}

/// A request that is understood.
struct Asked {
    voice: VoiceSource,
    text: String,
    characters: usize,
    speed: f32,
    seed: Option<u64>,
    stream: bool,
    /// None: what the seed of this dialect documents.
    container: Option<Container>,
    encoder: Encoder,
    since: Instant,
}

impl Asked {
    async fn read(app: &Arc<App>, request: Request) -> Result<Self, ApiError> {
        let settings = &app.settings;
        let room = app.uploads.room();
        let (parts, body) = request.into_parts();
        let limit = settings.max_file_size.saturating_add(OVERHEAD);
        let bounds = upload::Bounds { bytes: limit, idle: settings.request_idle };
        let body = upload::bounded(body, &parts.headers, bounds, room.clone())?;
        let bounds =
            Bounds { file_bytes: settings.max_file_size, text_chars: settings.max_text_length };
        let form = Form::read(Request::from_parts(parts, body), bounds).await?;
        let since = Instant::now();

        if let Some(name) = &form.tts_model_name {
            check_model(app, name)?;
        }
        let text = required("tts_text", form.tts_text)?;
        let stream = form.stream.unwrap_or(false);
        let speed = form.speed.unwrap_or(1.0);
        if stream && speed != 1.0 {
            let words = "`speed` can only be 1.0 with `stream`";
            return Err(ApiError::InvalidParameter(words.into()));
        }
        let model_rate = app.engine.status().sample_rate;
        let rate = form.sample_rate.or(settings.light_sample_rate).unwrap_or(model_rate);
        let encoder = Encoder::new(model_rate, rate)?;
        let voice = match form.voice {
            Some(name) => {
                check_voice(app, &name)?;
                VoiceSource::Named(name)
            }
            None => {
                let text = required("prompt_text", form.prompt_text)?;
                let bytes = form.prompt_wav.ok_or_else(|| missing("prompt_wav"))?;
                VoiceSource::Prompt { audio: prompt::read(app.clone(), bytes, room).await?, text }
            }
        };
        Ok(Self {
            voice,
            characters: text.chars().count(),
            text,
            speed,
            seed: form.seed,
            stream,
            container: form.response_format,
            encoder,
            since,
        })
    }

    /// Starts the synthesis and waits for its first audio, so that what fails before it is told
    /// with a status of its own.
    async fn answer(self, app: &Arc<App>, account: Account) -> Result<Response, ApiError> {
        let default = if self.stream { Container::Pcm } else { Container::Wav };
        let container = self.container.unwrap_or(default);
        let media_type = self.container.map_or("application/octet-stream", Container::media_type);
        let headers = [
            (header::CONTENT_TYPE.as_str(), media_type.to_string()),
            ("x-sample-rate", self.encoder.rate().to_string()),
            ("x-bit-depth", "16".into()),
            ("x-channels", "1".into()),
            ("x-audio-format", container.name().into()),
        ];
        let request = SpeakRequest {
            id: account.id.0.to_string(),
            voice: self.voice,
            text: TextInput::Whole(self.text),
            streaming: self.stream,
            speed: self.speed,
            seed: self.seed,
            sampling: Default::default(),
            timestamps: false,
        };
        let (speech, _) = Speech::begin(app, account, request, self.encoder, self.since)?;
        let body = if self.stream {
            pour(speech, container).await?
        } else {
            fill(speech, container).await?
        };
        Ok((headers, body).into_response())
    }
}

fn missing(name: &str) -> ApiError {
    ApiError::InvalidParameter(format!("`{name}` is missing"))
}

fn required(name: &str, value: Option<String>) -> Result<String, ApiError> {
    value.filter(|text| !text.trim().is_empty()).ok_or_else(|| missing(name))
}

/// The whole of the speech, in one piece of known length.
async fn fill(mut speech: Speech, container: Container) -> Result<Body, ApiError> {
    let mut samples = Vec::new();
    while let Some(packet) = speech.next().await {
        match packet? {
            Packet::Started { .. } => {}
            Packet::Audio { bytes } | Packet::Done { bytes, .. } => {
                samples.extend_from_slice(&bytes);
            }
        }
    }
    if container == Container::Wav {
        let header = speech.encoder().header(Some(samples.len()));
        samples.splice(..0, header);
    }
    Ok(Body::from(samples))
}

/// The speech as it is made. A failure after the first packet breaks the body off, which the
/// client sees as an incomplete one.
async fn pour(mut speech: Speech, container: Container) -> Result<Body, ApiError> {
    let mut first = match container {
        Container::Wav => speech.encoder().header(None).to_vec(),
        Container::Pcm => Vec::new(),
    };
    while let Some(packet) = speech.next().await {
        if let Packet::Audio { bytes } | Packet::Done { bytes, .. } = packet? {
            first.extend_from_slice(&bytes);
            break;
        }
    }
    let state = (Some(first), speech);
    Ok(Body::from_stream(stream::unfold(state, |(first, mut speech)| async move {
        let bytes = match first {
            Some(first) => Ok(first),
            None => match speech.next().await? {
                Ok(Packet::Audio { bytes } | Packet::Done { bytes, .. }) => Ok(bytes),
                Ok(Packet::Started { .. }) => Ok(Vec::new()),
                Err(error) => Err(error),
            },
        };
        Some((bytes.map(Bytes::from), (None, speech)))
    })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::engine::{AudioEvent, EngineError, start_silent};
    use crate::server::settings::Settings;
    use crate::telemetry::metrics;
    use tokio::sync::mpsc;

    /// An utterance of these events.
    async fn speech(events: Vec<AudioEvent>) -> Speech {
        let config = Config::default();
        let settings = Settings::new(&config).expect("the defaults");
        let engine = start_silent(&config.engine);
        let app = Arc::new(App::new(engine, settings, metrics::install()));
        let account = Account::open(&app, RequestId("r1".into()), "/test");
        let encoder = Encoder::new(24_000, 24_000).expect("an encoder");
        let (sender, receiver) = mpsc::channel(events.len().max(1));
        for event in events {
            sender.send(event).await.expect("sent");
        }
        Speech::of_events(&app, account, receiver, encoder, Instant::now())
    }

    fn started() -> AudioEvent {
        AudioEvent::Started { queued: Default::default(), voice_cached: false }
    }

    fn failed() -> AudioEvent {
        AudioEvent::Failed(EngineError::Failed("not a number in the mel".into()))
    }

    #[tokio::test]
    async fn failures_before_the_first_audio_have_a_status() {
        for events in [vec![], vec![failed()], vec![started(), failed()]] {
            for container in [Container::Wav, Container::Pcm] {
                let error = pour(speech(events.clone()).await, container).await.err();
                assert_eq!(error.map(|e| e.code()), Some("PROCESSING_ERROR"));
            }
        }
        let late = vec![started(), AudioEvent::Audio(vec![0.0; 480]), failed()];
        let error = fill(speech(late).await, Container::Wav).await.err();
        assert_eq!(error.map(|e| e.code()), Some("PROCESSING_ERROR"));
    }

    /// A client must not take half a sentence for the whole of it.
    #[tokio::test]
    async fn later_failures_break_the_body_off() {
        let events = vec![started(), AudioEvent::Audio(vec![0.0; 480]), failed()];
        let body = pour(speech(events).await, Container::Pcm).await.expect("a body");
        assert!(axum::body::to_bytes(body, usize::MAX).await.is_err());

        let done = AudioEvent::Done(Default::default());
        let events = vec![started(), AudioEvent::Audio(vec![0.0; 480]), done];
        let body = pour(speech(events).await, Container::Pcm).await.expect("a body");
        let bytes = axum::body::to_bytes(body, usize::MAX).await.expect("all of it");
        assert_eq!(bytes.len(), 960);
    }
}

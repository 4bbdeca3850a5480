//! `POST /synthesize_stream_opus`: Opus in an Ogg container while it is spoken, one request at a
//! time.

use super::parameters::Parameters;
use super::queue::{Place, Turn};
use super::utterance::Utterance;
use crate::engine::{EngineError, SpeakRequest};
use crate::server::account::Account;
use crate::server::answer::{begun, packets};
use crate::server::app::App;
use crate::server::asked::{self, Asked};
use crate::server::error::ApiError;
use crate::server::format::{Container, Encoder, Format, OpusOptions};
use crate::server::health::unix_seconds;
use crate::server::json::Fields;
use crate::server::openapi::{Binary, Refusals};
use crate::server::speech::{Speech, label};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::{TryStreamExt, stream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a request whose turn it is asks an engine again that has no room.
const AGAIN: Duration = Duration::from_millis(100);

/// Where nobody is before it, a request is answered with its first audio, so that what fails until
/// then has a status of its own; otherwise at once, and the audio follows when its turn has come.
#[utoipa::path(
    post,
    path = "/synthesize_stream_opus",
    tag = "index",
    operation_id = "index_synthesize_stream_opus",
    summary = "Speech as Opus, one request at a time",
    request_body = super::api::IndexOpusRequest,
    responses(
        (
            status = 200,
            description = "Opus in Ogg",
            content_type = "audio/ogg",
            body = inline(Binary),
            headers(
                ("X-Opus-Sample-Rate" = u32, description = "Samples per second of a decoder"),
                ("X-Original-Sample-Rate" = u32, description = "Samples per second of the model"),
                ("X-Opus-Bitrate" = u32),
                ("X-Opus-Complexity" = u32),
                ("X-Channels" = u32),
                ("X-Queue-Info" = String, description = "`sequential-processing`"),
                ("X-Ignored-Parameters" = String, description = "What was not heeded"),
            ),
        ),
        Refusals,
    )
)]
pub async fn handle(State(app): State<Arc<App>>, asked: Asked) -> Result<Response, ApiError> {
    let read = |request| Job::read(&app, request);
    let answer = |job: Job, account| job.answer(&app, account);
    asked::answer(&app, "/synthesize_stream_opus", asked, read, answer).await
}

/// A request that is understood.
struct Job {
    utterance: Utterance,
    opus: OpusOptions,
    encoder: Encoder,
    since: Instant,
}

impl Job {
    async fn read(app: &App, request: Request) -> Result<Self, ApiError> {
        let fields = Fields::read(app, request, ApiError::WrongType).await?;
        let parameters = Parameters::read(&fields, false)?;
        let utterance = Utterance::new(app, &fields, parameters)?;
        let opus = options(&fields)?;
        // Resampling could add nothing to what the model made.
        let rate = app.engine.status().sample_rate;
        let encoder = Encoder::new(rate, Format { container: Container::Opus, rate, opus })?;
        Ok(Self { utterance, opus, encoder, since: Instant::now() })
    }

    async fn answer(self, app: &Arc<App>, mut account: Account) -> Result<Response, ApiError> {
        account.characters(self.utterance.characters());
        let headers = [
            (header::CONTENT_TYPE.as_str(), "audio/ogg".to_string()),
            ("x-opus-sample-rate", self.encoder.rate().to_string()),
            ("x-original-sample-rate", app.engine.status().sample_rate.to_string()),
            ("x-opus-bitrate", self.opus.bitrate.to_string()),
            ("x-opus-complexity", self.opus.complexity.to_string()),
            ("x-channels", "1".into()),
            ("x-queue-info", "sequential-processing".into()),
            (header::CACHE_CONTROL.as_str(), "no-cache, no-store, must-revalidate".into()),
            (header::PRAGMA.as_str(), "no-cache".into()),
            (header::EXPIRES.as_str(), "0".into()),
            ("x-accel-buffering", "no".into()),
            (header::CONNECTION.as_str(), "keep-alive".into()),
        ];
        let ignored = self.utterance.headers();
        let place = account.note(app.opus_queue.enter())?;
        let (text, index) = (self.utterance.text.clone(), self.utterance.index);
        let body = match place.try_turn(&text, index, unix_seconds()) {
            Ok(turn) => {
                let request = self.utterance.request(&account.id.0, true);
                let (speech, _) = Speech::begin(app, account, request, self.encoder, self.since)?;
                Body::from_stream(turn.during(begun(speech).await?))
            }
            Err(place) => self.wait(app.clone(), account, place),
        };
        Ok((headers, ignored, body).into_response())
    }

    /// A body that begins when the turn has come. Dropping it leaves the line.
    fn wait(self, app: Arc<App>, mut account: Account, place: Place) -> Body {
        let begun = async move {
            let Self { utterance, encoder, since, .. } = self;
            let (text, index) = (utterance.text.clone(), utterance.index);
            let turn = tokio::select! {
                turn = place.turn(&text, index, unix_seconds) => turn,
                () = app.lifecycle.draining() => Err(ApiError::Draining),
            };
            let turn: Turn = account.note(turn)?;
            let request = utterance.request(&account.id.0, true);
            let speech = insist(&app, account, request, encoder, since).await?;
            Ok::<_, ApiError>(turn.during(packets(speech)))
        };
        Body::from_stream(stream::once(begun).try_flatten())
    }
}

/// # Errors
/// [`ApiError::WrongType`], [`ApiError::OutOfRange`].
fn options(fields: &Fields) -> Result<OpusOptions, ApiError> {
    let mut options = OpusOptions { bitrate: 32_000, complexity: 10 };
    let (low, high) = OpusOptions::BITRATES.into_inner();
    let bitrate = fields.integer("opus_bitrate", low.into()..=high.into())?;
    let (low, high) = OpusOptions::COMPLEXITIES.into_inner();
    let complexity = fields.integer("opus_complexity", low.into()..=high.into())?;
    if let Some(bitrate) = bitrate.and_then(|n| u32::try_from(n).ok()) {
        options.bitrate = bitrate;
    }
    if let Some(complexity) = complexity.and_then(|n| u8::try_from(n).ok()) {
        options.complexity = complexity;
    }
    Ok(options)
}

/// Begins an utterance whose client has been told that it will be spoken: an engine that is full
/// just now is asked again for a while.
///
/// # Errors
/// The engine's refusal.
async fn insist(
    app: &Arc<App>,
    mut account: Account,
    request: SpeakRequest,
    encoder: Encoder,
    since: Instant,
) -> Result<Speech, ApiError> {
    let deadline = Instant::now() + app.settings.queue_timeout;
    loop {
        match app.engine.speak(request.clone()) {
            Err(EngineError::Overloaded { .. }) if Instant::now() < deadline => {
                tokio::time::sleep(AGAIN).await;
            }
            result => {
                let session = account.note(result.map_err(ApiError::from))?;
                account.submitted(&label(&request.voice));
                return Ok(Speech::of_events(app, account, session.events, encoder, since));
            }
        }
    }
}

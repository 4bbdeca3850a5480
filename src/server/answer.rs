//! An utterance as the body of an HTTP response.

use super::error::ApiError;
use super::speech::{Packet, Speech};
use axum::body::{Body, Bytes};
use futures::{Stream, StreamExt, stream};

/// The whole of the speech, in one piece of known length.
///
/// # Errors
/// Whatever ended the speech early.
pub async fn fill(mut speech: Speech) -> Result<Body, ApiError> {
    let mut file = Vec::new();
    while let Some(packet) = speech.next().await {
        match packet? {
            Packet::Started { .. } => {}
            Packet::Audio { bytes } | Packet::Done { bytes, .. } => file.extend_from_slice(&bytes),
        }
    }
    speech.encoder().complete(&mut file);
    Ok(Body::from(file))
}

/// The speech as it is made, once its first audio is there. A failure after that breaks the body
/// off, which the client sees as an incomplete one.
///
/// # Errors
/// What failed before the first audio, so that it can be told with a status of its own.
pub async fn pour(speech: Speech) -> Result<Body, ApiError> {
    begun(speech).await.map(Body::from_stream)
}

/// [`pour`], as a stream.
///
/// # Errors
/// Those of [`pour`].
pub async fn begun(
    mut speech: Speech,
) -> Result<impl Stream<Item = Result<Bytes, ApiError>> + Send, ApiError> {
    let first = first(&mut speech).await?;
    let first = stream::once(async { Ok(Bytes::from(first)) });
    Ok(first.chain(packets(speech)))
}

/// The first bytes of the speech.
async fn first(speech: &mut Speech) -> Result<Vec<u8>, ApiError> {
    while let Some(packet) = speech.next().await {
        match packet? {
            // A codec may await more before it gives any.
            Packet::Audio { bytes } if !bytes.is_empty() => return Ok(bytes),
            Packet::Started { .. } | Packet::Audio { .. } => {}
            Packet::Done { bytes, .. } => return Ok(bytes),
        }
    }
    Ok(Vec::new())
}

/// What is left of the speech, packet by packet.
pub fn packets(speech: Speech) -> impl Stream<Item = Result<Bytes, ApiError>> + Send {
    stream::unfold(speech, |mut speech| async move {
        let bytes = match speech.next().await? {
            Ok(Packet::Audio { bytes } | Packet::Done { bytes, .. }) => Ok(bytes.into()),
            Ok(Packet::Started { .. }) => Ok(Bytes::new()),
            Err(error) => Err(error),
        };
        Some((bytes, speech))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::engine::{AudioEvent, EngineError, start_silent};
    use crate::server::account::Account;
    use crate::server::app::App;
    use crate::server::format::{Container, Encoder, Format};
    use crate::server::request::RequestId;
    use crate::server::settings::Settings;
    use crate::telemetry::metrics;
    use std::sync::Arc;
    use std::time::Instant;
    use tokio::sync::mpsc;

    /// An utterance of these events.
    async fn speech(events: Vec<AudioEvent>, container: Container) -> Speech {
        let config = Config::default();
        let settings = Settings::new(&config).expect("the defaults");
        let engine = start_silent(&config.engine);
        let app = Arc::new(App::new(engine, settings, metrics::install()));
        let account = Account::open(&app, RequestId("r1".into()), "/test");
        let encoder = Encoder::new(24_000, Format::new(container, 24_000)).expect("an encoder");
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
            for container in [Container::Wav, Container::Pcm, Container::Opus] {
                let error = pour(speech(events.clone(), container).await).await.err();
                assert_eq!(error.map(|e| e.code()), Some("PROCESSING_ERROR"));
            }
        }
        let late = vec![started(), AudioEvent::Audio(vec![0.0; 480]), failed()];
        let error = fill(speech(late, Container::Wav).await).await.err();
        assert_eq!(error.map(|e| e.code()), Some("PROCESSING_ERROR"));
    }

    /// A client must not take half a sentence for the whole of it.
    #[tokio::test]
    async fn later_failures_break_the_body_off() {
        let events = vec![started(), AudioEvent::Audio(vec![0.0; 480]), failed()];
        let body = pour(speech(events, Container::Pcm).await).await.expect("a body");
        assert!(axum::body::to_bytes(body, usize::MAX).await.is_err());

        let done = AudioEvent::Done(Default::default());
        let events = vec![started(), AudioEvent::Audio(vec![0.0; 480]), done];
        let body = pour(speech(events, Container::Pcm).await).await.expect("a body");
        let bytes = axum::body::to_bytes(body, usize::MAX).await.expect("all of it");
        assert_eq!(bytes.len(), 960);
    }
}

//! One utterance between a dialect and the engine: events in, packets of bytes out.

use super::account::Account;
use super::app::App;
use super::error::ApiError;
use super::format::Encoder;
use crate::engine::{AudioEvent, Session, SpeakRequest, Summary, TextEvent, VoiceSource, WordTime};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// What an utterance yields: `Started`, any number of `Audio`, `Done`.
#[derive(Debug)]
pub enum Packet {
    Started {
        queued: Duration,
        voice_cached: bool,
    },
    /// Encoded samples.
    Audio {
        bytes: Vec<u8>,
    },
    /// The last encoded samples, which may be none.
    Done {
        bytes: Vec<u8>,
        summary: Summary,
    },
}

/// A packet, or what only some dialects tell their clients.
#[derive(Debug)]
pub enum News {
    Packet(Packet),
    /// When words are spoken: see [`AudioEvent::Words`].
    Words {
        words: Vec<WordTime>,
        settled: bool,
    },
    /// All text before a flush is spoken.
    Flushed,
}

/// An utterance under way. Dropping it cancels it.
pub struct Speech {
    pub account: Account,
    encoder: Encoder,
    events: mpsc::Receiver<AudioEvent>,
    model_rate: u32,
    /// When its text was there, from which the wait for the first packet is counted.
    since: Instant,
    /// Until when it may wait in the queue; None once it has left it.
    queue_deadline: Option<Instant>,
    queue_timeout: Duration,
}

impl Speech {
    /// Hands a request to the engine. Returns the utterance, and where its text goes if it comes
    /// in a stream.
    ///
    /// # Errors
    /// The engine's refusal, noted in the account.
    pub fn begin(
        app: &Arc<App>,
        mut account: Account,
        request: SpeakRequest,
        encoder: Encoder,
        since: Instant,
    ) -> Result<(Self, mpsc::Sender<TextEvent>), ApiError> {
        let voice = match &request.voice {
            VoiceSource::Named(name) => name.clone(),
            VoiceSource::Prompt { audio, .. } => format!("prompt of {:.1} s", audio.seconds()),
        };
        let Session { text, events } =
            account.note(app.engine.speak(request).map_err(ApiError::from))?;
        account.submitted(&voice);
        Ok((Self::of_events(app, account, events, encoder, since), text))
    }

    /// An utterance that the engine has.
    pub fn of_events(
        app: &App,
        account: Account,
        events: mpsc::Receiver<AudioEvent>,
        encoder: Encoder,
        since: Instant,
    ) -> Self {
        let queue_timeout = app.settings.queue_timeout;
        Self {
            account,
            encoder,
            events,
            model_rate: app.engine.status().sample_rate,
            since,
            queue_deadline: Some(Instant::now() + queue_timeout),
            queue_timeout,
        }
    }

    /// Since its text was there.
    pub fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// The next packet. None after `Done` or an error. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Result<Packet, ApiError>> {
        loop {
            match self.next_news().await? {
                Ok(News::Packet(packet)) => return Some(Ok(packet)),
                Ok(News::Words { .. } | News::Flushed) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Like [`Self::next`], with everything the engine tells.
    pub async fn next_news(&mut self) -> Option<Result<News, ApiError>> {
        if self.account.is_over() {
            return None;
        }
        let event = match self.queue_deadline {
            None => self.events.recv().await,
            Some(deadline) => {
                match tokio::time::timeout_at(deadline.into(), self.events.recv()).await {
                    Ok(event) => event,
                    Err(_) => {
                        // Ends the wait in the engine too.
                        self.events.close();
                        return Some(self.account.note(Err(ApiError::Overloaded {
                            reason: "no session became free in time",
                            retry_after: self.queue_timeout,
                        })));
                    }
                }
            }
        };
        let packet = match event {
            Some(AudioEvent::Started { queued, voice_cached }) => {
                self.queue_deadline = None;
                Ok(Packet::Started { queued, voice_cached })
            }
            Some(AudioEvent::Audio(samples)) => {
                let seconds = samples.len() as f64 / f64::from(self.model_rate.max(1));
                self.account.audio(seconds, self.since);
                self.encoder.push(&samples).map(|bytes| Packet::Audio { bytes })
            }
            Some(AudioEvent::Done(summary)) => {
                let bytes = self.encoder.finish();
                if bytes.is_ok() {
                    self.account.done(&summary);
                }
                bytes.map(|bytes| Packet::Done { bytes, summary })
            }
            Some(AudioEvent::Words { words, settled }) => {
                return Some(Ok(News::Words { words, settled }));
            }
            Some(AudioEvent::Flushed) => return Some(Ok(News::Flushed)),
            Some(AudioEvent::Failed(error)) => Err(error.into()),
            None => Err(ApiError::Processing("the engine dropped the session".into())),
        };
        Some(self.account.note(packet.map(News::Packet)))
    }
}

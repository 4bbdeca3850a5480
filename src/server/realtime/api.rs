//! The dialect's part of the description at `/openapi.json`: the frames of the socket.
#![expect(dead_code, reason = "only the schemas of these types are used")]

use utoipa::{OpenApi, ToSchema};

/// A frame of the client. `context_id` names an utterance: 1 to 64 bytes, new with each `start`.
#[derive(ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RealtimeCommand {
    /// Begins an utterance, with a `voice` or a `prompt`.
    Start {
        #[schema(min_length = 1, max_length = 64, example = "a")]
        context_id: String,
        /// A registered voice.
        #[schema(example = "default")]
        voice: Option<String>,
        prompt: Option<RealtimePrompt>,
        #[schema(default = "pcm")]
        format: Option<RealtimeFormat>,
        /// Unset: the model's own.
        #[schema(minimum = 8000, maximum = 48000)]
        sample_rate: Option<u32>,
        /// The same seed gives the same speech.
        seed: Option<u64>,
        /// Other speeds than 1 are made sentence by sentence.
        #[schema(default = 1.0, minimum = 0.5, maximum = 2.0)]
        speed: Option<f32>,
        /// Whether `words` tell when each word is spoken.
        #[schema(default = false)]
        timestamps: Option<bool>,
        /// Whether contexts speak at the same time, each frame of sound tagged. The same for all
        /// contexts of a socket.
        multiplex: Option<bool>,
    },
    /// More text, cut anywhere.
    Text {
        #[schema(min_length = 1, max_length = 64, example = "a")]
        context_id: String,
        #[schema(example = "Good mor")]
        text: String,
    },
    /// Speaks what has come without waiting for more; `flush_done` follows its last sound.
    Flush {
        #[schema(min_length = 1, max_length = 64, example = "a")]
        context_id: String,
    },
    /// Ends an utterance at once; after `cancelled` no byte of it follows.
    Cancel {
        #[schema(min_length = 1, max_length = 64, example = "a")]
        context_id: String,
    },
    /// No more text follows; `done` follows the last sound.
    CloseContext {
        #[schema(min_length = 1, max_length = 64, example = "a")]
        context_id: String,
    },
}

/// A recording whose voice is to be used.
#[derive(ToSchema)]
pub struct RealtimePrompt {
    /// WAV, MP3, FLAC, M4A or OGG of 0.5 to 30 s, in base64.
    audio: String,
    /// What is said in it.
    text: String,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum RealtimeFormat {
    Pcm,
    Wav,
    Opus,
    Mp3,
    Flac,
}

/// A frame of the server beside sound.
#[derive(ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RealtimeEvent {
    /// The first frame.
    Ready {
        #[schema(example = "mynah.realtime.v1")]
        protocol: String,
        request_id: String,
        #[schema(example = "CosyVoice2")]
        model: String,
        /// The model's own.
        sample_rate: u32,
        /// The lowest and the highest that can be asked for.
        #[schema(min_items = 2, max_items = 2)]
        sample_rates: Vec<u32>,
        multiplex: bool,
        limits: RealtimeLimits,
    },
    /// Before the first sound of a context.
    AudioStart {
        context_id: String,
        request_id: String,
        format: RealtimeFormat,
        sample_rate: u32,
        channels: u32,
        queued_ms: f64,
        first_packet_ms: f64,
        voice_cached: bool,
    },
    /// When words are spoken: first as expected, then as it was (`final`).
    Words { context_id: String, r#final: bool, words: Vec<RealtimeWord> },
    /// After the last sound of what was there at a `flush`.
    FlushDone { context_id: String, audio_seconds: f64 },
    /// After the last sound of a context.
    Done {
        context_id: String,
        audio_seconds: f64,
        /// Null where nothing was said.
        first_packet_ms: Option<f64>,
        elapsed_ms: f64,
        text_tokens: u64,
        speech_tokens: u64,
        underruns: u64,
    },
    /// The last frame of a context that was cancelled.
    Cancelled { context_id: String },
    /// The last frame of a context, or, without `context_id`, of the socket.
    Error {
        message: String,
        detail: String,
        #[schema(example = "INVALID_PARAMETER")]
        error_code: String,
        /// Whether the same request may succeed later.
        retryable: bool,
        #[schema(required = false)]
        retry_after_ms: f64,
        #[schema(required = false)]
        context_id: String,
    },
}

/// How much may be said on this socket.
#[derive(ToSchema)]
pub struct RealtimeLimits {
    contexts: u64,
    context_id_bytes: u64,
    flushes: u64,
    /// Characters.
    text_per_frame: u64,
    text_per_context: u64,
    prompt_bytes: u64,
    idle_timeout_s: f64,
}

#[derive(ToSchema)]
pub struct RealtimeWord {
    /// As the client wrote it.
    text: String,
    /// Seconds of the context's sound.
    start: f64,
    end: f64,
    /// Its place in the context's text, in characters; `to` is the first after it.
    from: u64,
    to: u64,
}

#[derive(OpenApi)]
#[openapi(
    paths(super::handle),
    components(schemas(RealtimeCommand, RealtimeEvent)),
    tags((name = "realtime", description = "One socket for many utterances, for voice agents"))
)]
pub struct Api;

//! The `index` dialect over real sockets, with an engine that emits silence on a clock: every
//! documented request as it is documented.

// Clients of other dialects are in it too.
#[allow(dead_code)]
#[path = "light_silent_cases/support.rs"]
mod support;

#[path = "index_cases/opus.rs"]
mod opus;
#[path = "index_cases/synthesis.rs"]
mod synthesis;
#[path = "index_cases/system.rs"]
mod system;

use serde_json::{Value, json};
use support::{Answer, Server};

async fn post(server: &Server, path: &str, body: &Value) -> Answer {
    Answer::of(server.http.post(server.url(path)).json(body).send().await).await
}

async fn post_raw(server: &Server, path: &str, body: &'static str) -> Answer {
    Answer::of(server.http.post(server.url(path)).body(body).send().await).await
}

/// The body of `/synthesize` with every documented field at its documented default.
fn documented() -> Value {
    json!({
        "text": "你好，欢迎使用 IndexTTS。",
        "reference_audio_index": 0,
        "use_fast_inference": false,
        "verbose": false,
        "max_text_tokens_per_sentence": 120,
        "do_sample": true,
        "top_p": 0.95,
        "top_k": 30,
        "temperature": 1.2,
        "length_penalty": 0.0,
        "num_beams": 3,
        "repetition_penalty": 10.0,
        "max_mel_tokens": 600,
        "sentences_bucket_max_size": 2
    })
}

/// The same with some fields changed.
fn with(changes: Value) -> Value {
    let mut body = documented();
    for (name, value) in changes.as_object().expect("fields") {
        body[name] = value.clone();
    }
    body
}

//! What a bistream client may not say.

use crate::support::{Heard, Server, tone};
use tokio_tungstenite::tungstenite::Message;

const PROMPTED: &str = r#"{"prompt_text":"友好自然的声音","tts_model_name":"CosyVoice2"}"#;

#[tokio::test]
async fn wrong_orders_are_answered() {
    let server = Server::start().await;

    let mut client = server.connect().await;
    client.binary(tone(1.0, 16_000)).await;
    client.is_refused("INVALID_PARAMETER", 1007).await;

    let mut client = server.connect().await;
    client.text(PROMPTED).await;
    client.say("text before the prompt", false).await;
    client.is_refused("INVALID_PARAMETER", 1007).await;

    let mut client = server.connect_voiced().await;
    client.binary(tone(1.0, 16_000)).await;
    client.is_refused("INVALID_PARAMETER", 1007).await;

    let mut client = server.connect().await;
    client.text(PROMPTED).await;
    client.binary(tone(1.0, 16_000)).await;
    client.say("hello", false).await;
    client.binary(tone(1.0, 16_000)).await;
    client.is_refused("INVALID_PARAMETER", 1007).await;

    let mut client = server.connect_voiced().await;
    client.say(&"x".repeat(200), true).await;
    client.say("more", false).await;
    client.is_refused("INVALID_PARAMETER", 1007).await;
    server.becomes_idle().await;
}

#[tokio::test]
async fn frames_that_cannot_be_read() {
    let server = Server::start().await;
    for frame in ["hello", "{", "[]", "{}", r#"{"prompt_text":1}"#, r#"{"tts_text":"a"}"#] {
        let mut client = server.connect().await;
        client.text(frame).await;
        client.is_refused("INVALID_PARAMETER", 1007).await;
    }
    for frame in ["hello", "{}", r#"{"tts_text":1}"#, r#"{"finish":"perhaps"}"#] {
        let mut client = server.connect_voiced().await;
        client.text(frame).await;
        client.is_refused("INVALID_PARAMETER", 1007).await;
    }
}

#[tokio::test]
async fn options_of_the_first_frame() {
    let server = Server::start().await;
    for (frame, code) in [
        (r#"{"voice":"default","tts_model_name":"other"}"#, "INVALID_PARAMETER"),
        (r#"{"voice":"nobody"}"#, "NOT_FOUND"),
        (r#"{"voice":"default","sample_rate":7999}"#, "VALIDATION_FAILED"),
        (r#"{"voice":"default","response_format":"aac"}"#, "INVALID_PARAMETER"),
    ] {
        let mut client = server.connect().await;
        client.text(frame).await;
        client.is_refused(code, 1007).await;
    }
}

#[tokio::test]
async fn prompts_that_are_no_voice() {
    let server = Server::start().await;
    let silence = mynah::audio::wav::encode(&[0.0; 32_000], 16_000);
    for (prompt, error, close) in [
        (vec![7], "UNSUPPORTED_AUDIO", 1003),
        (silence, "UNSUPPORTED_AUDIO", 1003),
        (tone(0.2, 16_000), "UNSUPPORTED_AUDIO", 1003),
        (tone(31.0, 8_000), "VALIDATION_FAILED", 1008),
    ] {
        let mut client = server.connect().await;
        client.text(PROMPTED).await;
        client.binary(prompt).await;
        client.say("hello", true).await;
        client.is_refused(error, close).await;
    }
}

/// A client may wait to hear whether its recording is good before it sends text.
#[tokio::test]
async fn a_bad_prompt_is_told_without_text() {
    let server = Server::with(|c| c.limits.idle_timeout = 1.0).await;
    let mut client = server.connect().await;
    client.text(PROMPTED).await;
    client.binary(vec![7; 100]).await;
    client.is_refused("UNSUPPORTED_AUDIO", 1003).await;
}

#[tokio::test]
async fn finish_before_any_text_closes_without_audio() {
    let server = Server::start().await;
    for frames in [&[][..], &[r#"{"voice":"default"}"#], &[PROMPTED]] {
        let mut client = server.connect().await;
        for frame in frames {
            client.text(frame).await;
        }
        client.text(r#"{"finish":true}"#).await;
        assert_eq!(client.hear().await, Heard::Close(1000));
    }
    let mut client = server.connect_voiced().await;
    client.say("  ", false).await;
    client.say("", true).await;
    assert_eq!(client.hear().await, Heard::Close(1000));
}

#[tokio::test]
async fn too_long_and_too_large() {
    let server = Server::with(|c| {
        c.limits.max_file_size = 200_000;
        c.limits.max_stream_text = 2_500;
    })
    .await;
    let mut client = server.connect_voiced().await;
    client.say(&"长".repeat(1001), false).await;
    client.is_refused("TEXT_TOO_LONG", 1008).await;

    let mut client = server.connect_voiced().await;
    for _ in 0..3 {
        client.say(&"x".repeat(1000), false).await;
    }
    client.is_refused("TEXT_TOO_LONG", 1008).await;

    let mut client = server.connect().await;
    client.text(PROMPTED).await;
    for _ in 0..3 {
        client.binary(vec![0; 100_000]).await;
    }
    client.is_refused("PAYLOAD_TOO_LARGE", 1009).await;
}

/// The frame is refused at its header, while the client is still busy sending the rest.
#[tokio::test]
async fn one_frame_that_is_far_too_large() {
    let server = Server::with(|c| c.limits.max_file_size = 1_000_000).await;
    let mut client = server.connect().await;
    client.text(PROMPTED).await;
    client.binary(vec![0; 40_000_000]).await;
    client.is_refused("PAYLOAD_TOO_LARGE", 1009).await;
}

#[tokio::test]
async fn silence_of_the_client_has_an_end() {
    let server = Server::with(|c| c.limits.idle_timeout = 0.3).await;
    for frames in [&[][..], &[r#"{"voice":"default"}"#], &[PROMPTED]] {
        let mut client = server.connect().await;
        for frame in frames {
            client.text(frame).await;
        }
        client.is_refused("TASK_TIMEOUT", 1008).await;
    }
    // In the middle of a text, too; pings are no text.
    let mut client = server.connect_voiced().await;
    client.say("hi", false).await;
    use futures::SinkExt;
    client.socket.send(Message::Ping(Default::default())).await.expect("sent");
    client.is_refused("TASK_TIMEOUT", 1008).await;
    server.becomes_idle().await;
}

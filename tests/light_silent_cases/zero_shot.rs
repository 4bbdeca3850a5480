//! `/inference_zero_shot`.

use crate::support::{Server, ZERO_SHOT, form, tone, voiced};
use mynah::audio::decode;
use reqwest::multipart::{Form, Part};

/// 24 kHz, 20 ms per character, two bytes per sample.
const BYTES_PER_CHAR: usize = 960;

#[tokio::test]
async fn a_complete_wav_file() {
    let server = Server::start().await;
    for path in [ZERO_SHOT, "/inference_zero_shot/"] {
        let request = server.http.post(server.url(path)).multipart(form("你好世界"));
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        let headers = response.headers().clone();
        for (name, value) in [
            ("content-type", "application/octet-stream"),
            ("x-sample-rate", "24000"),
            ("x-bit-depth", "16"),
            ("x-channels", "1"),
            ("x-audio-format", "wav"),
        ] {
            assert_eq!(headers[name], value, "{name}");
        }
        assert!(headers.contains_key("x-request-id"));
        let body = response.bytes().await.expect("a body");
        assert_eq!(body.len(), 44 + 4 * BYTES_PER_CHAR);
        let size = |at: usize| u32::from_le_bytes(body[at..at + 4].try_into().expect("4 bytes"));
        assert_eq!(size(4) as usize, body.len() - 8);
        assert_eq!(size(40) as usize, body.len() - 44);
        let clip = decode(&body, 10.0).expect("a WAV file");
        assert_eq!((clip.rate, clip.samples.len()), (24_000, 4 * 480));
    }
}

#[tokio::test]
async fn raw_samples_as_they_are_made() {
    let server = Server::start().await;
    for yes in ["true", "True", "1", "yes", "ON"] {
        let form = form("hello there").text("stream", yes);
        let request = server.http.post(server.url(ZERO_SHOT)).multipart(form);
        let mut response = request.send().await.expect("an answer");
        assert_eq!(response.headers()["x-audio-format"], "pcm");
        assert_eq!(response.headers()["transfer-encoding"], "chunked");
        let (mut chunks, mut bytes) = (0, 0);
        while let Some(chunk) = response.chunk().await.expect("a chunk") {
            chunks += 1;
            bytes += chunk.len();
        }
        assert_eq!(bytes, 11 * BYTES_PER_CHAR, "{yes}");
        assert!(chunks > 5, "{chunks} chunks");
    }
    for no in ["false", "False", "0", "no", "off", ""] {
        let answer = server.post(voiced("a").text("stream", no)).await;
        assert_eq!(answer.header("x-audio-format"), "wav", "{no:?}");
    }
    server.post(voiced("a").text("stream", "maybe")).await.is_error(400, "INVALID_PARAMETER");
}

#[tokio::test]
async fn formats_and_rates() {
    let server = Server::start().await;
    for (format, stream, media_type, header) in [
        ("wav", "false", "audio/wav", 44),
        ("wav", "true", "audio/wav", 44),
        ("pcm", "false", "audio/pcm", 0),
        ("PCM", "true", "audio/pcm", 0),
    ] {
        for (rate, per_char) in [(8_000, 320), (16_000, 640), (48_000, 1920)] {
            let form = voiced("abcd")
                .text("response_format", format)
                .text("stream", stream)
                .text("sample_rate", rate.to_string());
            let answer = server.post(form).await;
            assert_eq!(answer.header("content-type"), media_type);
            assert_eq!(answer.header("x-sample-rate"), rate.to_string());
            assert_eq!(answer.body.len(), header + 4 * per_char, "{format} {stream} {rate}");
            if header > 0 {
                assert_eq!(decode(&answer.body, 9.0).map(|c| c.rate), Ok(rate));
            }
        }
    }
    let answer = server.post(voiced("a").text("response_format", "aac")).await;
    answer.is_error(400, "INVALID_PARAMETER");
    let detail = answer.json()["detail"].to_string();
    assert!(detail.contains("wav, pcm, opus, mp3 or flac"), "{detail}");
}

#[tokio::test]
async fn compressed_formats() {
    let server = Server::start().await;
    for (format, media_type, rate, start) in [
        ("opus", "audio/ogg", "48000", &b"OggS"[..]),
        ("mp3", "audio/mpeg", "24000", &b"\xFF\xF3"[..]),
        ("flac", "audio/flac", "24000", &b"fLaC"[..]),
    ] {
        for stream in ["false", "true"] {
            let form = voiced("twenty characters or").text("response_format", format);
            let answer = server.post(form.text("stream", stream)).await;
            assert_eq!(answer.header("content-type"), media_type);
            assert_eq!(answer.header("x-audio-format"), format);
            assert_eq!(answer.header("x-sample-rate"), rate);
            assert!(answer.body.starts_with(start), "{format} {:?}", &answer.body[..4]);
            if format != "opus" {
                let clip = decode(&answer.body, 9.0).expect("a file of this format");
                let more = clip.samples.len() - 20 * 480;
                assert!(clip.rate == 24_000 && more < 2000, "{format}: {more} samples more");
            }
        }
    }
    let form = voiced("a").text("response_format", "mp3").text("sample_rate", "9999");
    server.post(form).await.is_error(422, "VALIDATION_FAILED");
}

#[tokio::test]
async fn the_configured_rate_is_the_default() {
    let server = Server::with(|c| c.light.sample_rate = Some(16_000)).await;
    let answer = server.post(voiced("a")).await;
    assert_eq!(answer.header("x-sample-rate"), "16000");
}

#[tokio::test]
async fn missing_and_wrong_fields() {
    let server = Server::start().await;
    let part = || Part::bytes(tone(1.0, 16_000));
    for (name, form, status, code) in [
        ("no text", Form::new().text("voice", "default"), 400, "INVALID_PARAMETER"),
        ("blank text", voiced(" \n"), 400, "INVALID_PARAMETER"),
        ("no prompt", Form::new().text("tts_text", "a"), 400, "INVALID_PARAMETER"),
        (
            "no prompt text",
            Form::new().text("tts_text", "a").part("prompt_wav", part()),
            400,
            "INVALID_PARAMETER",
        ),
        (
            "no prompt wav",
            Form::new().text("tts_text", "a").text("prompt_text", "b"),
            400,
            "INVALID_PARAMETER",
        ),
        ("model", voiced("a").text("tts_model_name", "other"), 400, "INVALID_PARAMETER"),
        ("voice", Form::new().text("tts_text", "a").text("voice", "nobody"), 404, "NOT_FOUND"),
        ("long", voiced(&"长".repeat(1001)), 422, "TEXT_TOO_LONG"),
        ("speed", voiced("a").text("speed", "2.5"), 422, "VALIDATION_FAILED"),
        ("no speed", voiced("a").text("speed", "fast"), 400, "INVALID_PARAMETER"),
        (
            "fast stream",
            voiced("a").text("speed", "1.5").text("stream", "true"),
            400,
            "INVALID_PARAMETER",
        ),
        ("rate", voiced("a").text("sample_rate", "96000"), 422, "VALIDATION_FAILED"),
        ("seed", voiced("a").text("seed", "x"), 400, "INVALID_PARAMETER"),
    ] {
        println!("{name}");
        server.post(form).await.is_error(status, code);
    }
    for form in [
        voiced("a").text("tts_model_name", "default"),
        voiced("a").text("tts_model_name", "CosyVoice2"),
        voiced("a").text("speed", "0.5"),
        voiced("a").text("speed", "1").text("stream", "true"),
        voiced("a").text("seed", "7").text("unknown", "ignored"),
    ] {
        assert_eq!(server.post(form).await.status, 200);
    }
    let answer = server.http.post(server.url(ZERO_SHOT)).body("{}").send().await;
    assert_eq!(answer.expect("an answer").status(), 400);
}

#[tokio::test]
async fn prompts_of_all_kinds() {
    let server = Server::start().await;
    let with = async |bytes: Vec<u8>| {
        let form = Form::new().text("tts_text", "a").text("prompt_text", "b");
        server.post(form.part("prompt_wav", Part::bytes(bytes).file_name("p.wav"))).await
    };
    let silence = mynah::audio::wav::encode(&[0.0; 32_000], 16_000);
    for bad in
        [vec![], vec![7], b"RIFF....WAVE".to_vec(), vec![0x55; 5000], silence, tone(0.3, 16_000)]
    {
        with(bad).await.is_error(400, "UNSUPPORTED_AUDIO");
    }
    with(tone(31.0, 16_000)).await.is_error(422, "VALIDATION_FAILED");
    let mp3 = std::fs::read("tests/data/prompt.mp3").expect("test data");
    for good in [tone(29.9, 8_000), tone(1.0, 48_000), mp3] {
        assert_eq!(with(good).await.status, 200);
    }
}

#[tokio::test]
async fn a_client_that_leaves_is_not_spoken_to() {
    let server = Server::start().await;
    for stream in ["true", "false"] {
        let form = voiced(&"x".repeat(900)).text("stream", stream);
        let request = server.http.post(server.url(ZERO_SHOT)).multipart(form).send();
        // Headers of a stream come at once; those of a file never do within this time.
        let _ = tokio::time::timeout(std::time::Duration::from_millis(150), request).await;
        server.becomes_idle().await;
    }
}

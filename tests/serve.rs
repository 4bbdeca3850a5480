//! The real binary with the bundled voice, driven over real sockets: what users of the `light`
//! dialect rely on, with the model behind it.

#[path = "support/server.rs"]
mod server;

use futures::{SinkExt, StreamExt};
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use server::Server;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const BISTREAM: &str = "/inference_zero_shot_bistream";
const PROMPT_TEXT: &str = "It is easy to find fault, if one has that disposition.";
/// Nothing the server does may keep a client waiting longer than this.
const PATIENCE: Duration = Duration::from_secs(60);

fn prompt_wav() -> Vec<u8> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/model_weights/mynah-mini/prompts");
    std::fs::read(format!("{dir}/slt.wav")).expect("the bundled prompt")
}

fn prompt_text() -> String {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/model_weights/mynah-mini/prompts");
    std::fs::read_to_string(format!("{dir}/slt.txt")).unwrap_or_else(|_| PROMPT_TEXT.into())
}

/// A WAV of `seconds` with `channels`, from a function of time in seconds.
fn wav(rate: u32, channels: u16, seconds: f64, sound: impl Fn(f64) -> f64) -> Vec<u8> {
    let spec = hound::WavSpec {
        channels,
        sample_rate: rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut bytes, spec).expect("wav");
    for n in 0..(seconds * f64::from(rate)) as usize {
        let value = sound(n as f64 / f64::from(rate)) * 20_000.0;
        for _ in 0..channels {
            writer.write_sample(value as i16).expect("sample");
        }
    }
    writer.finalize().expect("wav");
    bytes.into_inner()
}

/// Something with the pitch and the loudness of a voice.
fn hum(t: f64) -> f64 {
    (t * 120.0 * std::f64::consts::TAU).sin()
        * (0.6 + 0.4 * (t * 3.0 * std::f64::consts::TAU).sin())
}

struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// Everything a connection sent until it ended.
#[derive(Debug, Default)]
struct Heard {
    audio: Vec<u8>,
    frames: Vec<Value>,
    close: Option<u16>,
}

impl Heard {
    fn seconds(&self) -> f64 {
        self.audio.len() as f64 / 48_000.0
    }

    fn loudness(&self) -> f64 {
        let samples = self.audio.as_chunks::<2>().0;
        let sum: f64 = samples.iter().map(|b| f64::from(i16::from_le_bytes(*b)).powi(2)).sum();
        (sum / samples.len().max(1) as f64).sqrt()
    }
}

impl Socket {
    async fn open(server: &Server) -> Self {
        Self(connect_async(server.ws(BISTREAM)).await.expect("connect").0)
    }

    /// Opened, with the default voice chosen.
    async fn with_voice(server: &Server) -> Self {
        let mut socket = Self::open(server).await;
        socket.json(json!({"voice": "default", "seed": 1})).await;
        socket
    }

    /// Opened, with a prompt sent as LightTTS's clients do.
    async fn with_prompt(server: &Server) -> Self {
        let mut socket = Self::open(server).await;
        let init = json!({"prompt_text": prompt_text(), "tts_model_name": "CosyVoice2"});
        socket.json(init).await;
        socket.binary(prompt_wav()).await;
        socket
    }

    async fn json(&mut self, value: Value) {
        self.0.send(Message::text(value.to_string())).await.expect("send");
    }

    async fn text(&mut self, text: &str, finish: bool) {
        self.json(json!({"tts_text": text, "finish": finish})).await;
    }

    async fn binary(&mut self, bytes: Vec<u8>) {
        self.0.send(Message::binary(bytes)).await.expect("send");
    }

    /// The next binary frame.
    async fn audio(&mut self) -> Vec<u8> {
        loop {
            let message =
                tokio::time::timeout(PATIENCE, self.0.next()).await.expect("audio in time");
            match message.expect("open").expect("message") {
                Message::Binary(bytes) => return bytes.to_vec(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("instead of audio: {other:?}"),
            }
        }
    }

    /// Listens until the server closes.
    async fn listen(mut self) -> Heard {
        let mut heard = Heard::default();
        loop {
            let message =
                tokio::time::timeout(PATIENCE, self.0.next()).await.expect("close in time");
            match message {
                Some(Ok(Message::Binary(bytes))) => heard.audio.extend_from_slice(&bytes),
                Some(Ok(Message::Text(text))) => {
                    heard.frames.push(serde_json::from_str(&text).expect("JSON frame"));
                }
                Some(Ok(Message::Close(frame))) => {
                    heard.close = frame.map(|f| f.code.into());
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return heard,
            }
        }
    }
}

fn form(text: &str, prompt: Vec<u8>) -> Form {
    Form::new()
        .text("tts_text", text.to_owned())
        .text("prompt_text", prompt_text())
        .part("prompt_wav", Part::bytes(prompt).file_name("reference.wav"))
}

async fn synthesize(server: &Server, form: Form) -> reqwest::Response {
    let request = reqwest::Client::new().post(server.url("/inference_zero_shot")).multipart(form);
    request.timeout(PATIENCE).send().await.expect("answer")
}

async fn metric(server: &Server, name: &str) -> f64 {
    let text =
        reqwest::get(server.url("/metrics")).await.expect("metrics").text().await.expect("text");
    let line = text.lines().find(|l| l.starts_with(name) && !l.starts_with('#'));
    line.and_then(|l| l.split_whitespace().last()).and_then(|v| v.parse().ok()).unwrap_or(f64::NAN)
}

/// Waits until no session is active.
async fn idle(server: &Server, limit: Duration) {
    let deadline = Instant::now() + limit;
    while metric(server, "mynah_sessions_active").await != 0.0 {
        assert!(Instant::now() < deadline, "sessions are still active");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The point of the whole server: sound comes while the text is still coming.
#[tokio::test]
async fn speech_starts_before_the_text_ends() {
    let server = Server::start(&[]);
    let mut socket = Socket::with_prompt(&server).await;
    for word in
        ["Good ", "morning ", "and ", "wel", "come ", "to ", "the ", "show, ", "my ", "friends "]
    {
        socket.text(word, false).await;
    }
    let first = socket.audio().await;
    assert!(!first.is_empty() && first.len() % 2 == 0);
    socket.text("of the radio.", true).await;
    let rest = socket.listen().await;
    assert_eq!(rest.close, Some(1000));
    let seconds = (first.len() + rest.audio.len()) as f64 / 48_000.0;
    assert!((1.0..20.0).contains(&seconds), "{seconds} s of speech");
    assert!(rest.loudness() > 100.0, "speech, not silence: {}", rest.loudness());
}

/// A pause in the text is spoken up to, without `finish`.
#[tokio::test]
async fn a_pause_flushes_what_is_held() {
    let server = Server::start(&[]);
    let mut socket = Socket::with_voice(&server).await;
    socket.text("Good morning", false).await;
    let audio = socket.audio().await;
    assert!(!audio.is_empty());
    socket.text(" and good night.", true).await;
    assert_eq!(socket.listen().await.close, Some(1000));
}

/// Text reaches the voice whole wherever the frames cut it, also inside words and numbers.
#[tokio::test]
async fn text_cut_at_every_character_is_spoken() {
    let server = Server::start(&[]);
    let text = "There are 3.5 streams here.";
    let whole = {
        let mut socket = Socket::with_voice(&server).await;
        socket.text(text, true).await;
        socket.listen().await.seconds()
    };
    for cut in 1..text.len() {
        let mut socket = Socket::with_voice(&server).await;
        socket.text(&text[..cut], false).await;
        socket.text(&text[cut..], true).await;
        let heard = socket.listen().await;
        assert_eq!(heard.close, Some(1000), "cut at {cut}");
        let seconds = heard.seconds();
        assert!(
            seconds > whole * 0.4 && seconds < whole * 2.5,
            "cut at {cut}: {seconds} s of {whole} s"
        );
    }
}

#[tokio::test]
async fn six_bistreams_at_once_all_speak() {
    let server = Server::start(&[]);
    let one = async |index: usize| {
        let mut socket = Socket::with_prompt(&server).await;
        for word in ["We ", "had ", "dinner ", "with ", "our ", "friends ", "last ", "night"] {
            socket.text(word, false).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        socket.text(".", true).await;
        let heard = socket.listen().await;
        assert_eq!(heard.close, Some(1000), "stream {index}: {:?}", heard.frames);
        assert!(heard.seconds() > 0.8, "stream {index}: {} s", heard.seconds());
    };
    futures::future::join_all((0..6).map(one)).await;
    idle(&server, Duration::from_secs(2)).await;
}

/// Clients that vanish cost nothing afterwards.
#[tokio::test]
async fn fifty_vanishing_clients_leave_nothing_behind() {
    // What the C library keeps for later varies by a third from round to round and would hide
    // what the server keeps: it is told to give everything back at once.
    let give_back = [("MALLOC_TRIM_THRESHOLD_", "65536"), ("MALLOC_MMAP_THRESHOLD_", "65536")];
    let server = Server::start_with(&[], &give_back);
    let vanish = async |index: u64| {
        let mut socket = Socket::with_voice(&server).await;
        socket
            .text("The old man walked slowly across the bridge and then went home again. ", false)
            .await;
        if index.is_multiple_of(2) {
            socket.text("Nobody knows what happened.", true).await;
        }
        // Spread over the life of a session: some are queued, some prefill, some play.
        let listen = async { while self::next(&mut socket).await.is_some() {} };
        let _ = tokio::time::timeout(Duration::from_millis(37 * (index % 20)), listen).await;
    };
    let mut resident = Vec::new();
    for round in 0..3 {
        for batch in 0..5 {
            futures::future::join_all((0..10).map(|i| vanish(round * 50 + batch * 10 + i))).await;
        }
        idle(&server, Duration::from_secs(5)).await;
        resident.push(server.resident());
    }
    let growth = resident[2] as f64 / resident[0] as f64;
    assert!(growth < 1.1, "resident memory grew: {resident:?}");
    let mut socket = Socket::with_voice(&server).await;
    socket.text("Still here.", true).await;
    assert!(socket.listen().await.seconds() > 0.3);
}

async fn next(socket: &mut Socket) -> Option<Message> {
    socket.0.next().await.and_then(Result::ok)
}

/// A client that reads late gets everything, and does not slow others down.
#[tokio::test]
async fn a_slow_reader_harms_nobody() {
    let server = Server::start(&[]);
    let mut slow = Socket::with_voice(&server).await;
    slow.text(
        "We had dinner with our friends last night. The cat is sleeping under the chair.",
        true,
    )
    .await;
    let start = Instant::now();
    let mut quick = Socket::with_voice(&server).await;
    quick.text("Turn left at the next corner.", true).await;
    assert_eq!(quick.listen().await.close, Some(1000));
    assert!(start.elapsed() < Duration::from_secs(20));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let heard = slow.listen().await;
    assert_eq!(heard.close, Some(1000));
    assert!(heard.seconds() > 1.5, "{} s", heard.seconds());
}

#[tokio::test]
async fn whole_text_gives_a_wav_and_a_stream_gives_pcm() {
    // Sound that does not depend on the speed of this machine.
    let server = Server::start_with(&[], &[("MYNAH_ENGINE__ADAPTIVE_FIRST_HOP", "false")]);
    let text = "The meeting will start in half an hour.";
    let answer = synthesize(&server, form(text, prompt_wav()).text("seed", "5")).await;
    assert_eq!(answer.status(), 200);
    let body = answer.bytes().await.expect("body");
    let reader = hound::WavReader::new(&body[..]).expect("a WAV file");
    assert_eq!((reader.spec().sample_rate, reader.spec().channels), (24_000, 1));
    let samples = reader.len();
    assert!((24_000..24_000 * 12).contains(&samples), "{samples} samples");

    let answer =
        synthesize(&server, form(text, prompt_wav()).text("seed", "5").text("stream", "true"))
            .await;
    assert_eq!(answer.headers()["x-sample-rate"], "24000");
    let pcm = answer.bytes().await.expect("body");
    assert_eq!(pcm.len(), samples as usize * 2, "the same tokens, streamed or whole");
    let again =
        synthesize(&server, form(text, prompt_wav()).text("seed", "5").text("stream", "true"))
            .await;
    assert_eq!(again.bytes().await.expect("body"), pcm, "equal seeds give equal speech");

    let answer =
        synthesize(&server, form(text, prompt_wav()).text("seed", "5").text("speed", "1.5")).await;
    let fast = hound::WavReader::new(&answer.bytes().await.expect("body")[..]).expect("WAV").len();
    let ratio = f64::from(samples) / f64::from(fast);
    assert!((1.4..1.6).contains(&ratio), "speed 1.5 made it {ratio} times shorter");

    let answer = synthesize(
        &server,
        form(text, prompt_wav()).text("seed", "5").text("sample_rate", "16000"),
    )
    .await;
    let reader = hound::WavReader::new(std::io::Cursor::new(answer.bytes().await.expect("body")))
        .expect("WAV");
    assert_eq!(reader.spec().sample_rate, 16_000);
    assert!((f64::from(reader.len()) * 1.5 - f64::from(samples)).abs() < 10.0);
}

#[tokio::test]
async fn a_paragraph_of_a_thousand_characters_is_spoken_to_its_end() {
    let server = Server::start(&[]);
    let mut text =
        "The old man walked slowly across the bridge and looked at the water. ".repeat(15);
    text.truncate(1000);
    let fields = Form::new()
        .text("tts_text", text.trim().to_owned())
        .text("voice", "default")
        .text("stream", "true");
    let answer = synthesize(&server, fields).await;
    assert_eq!(answer.status(), 200);
    let seconds = answer.bytes().await.expect("whole body").len() as f64 / 48_000.0;
    assert!(seconds > 30.0, "only {seconds} s");
}

/// Prompts of every kind get speech or the contract's error, on both doors.
#[tokio::test]
async fn prompts_good_and_bad() {
    let server = Server::start(&[]);
    let mp3 =
        std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/prompt.mp3")).expect("mp3");
    let cases: [(&str, Vec<u8>, u16, &str, u16); 10] = [
        ("empty", vec![], 400, "UNSUPPORTED_AUDIO", 1003),
        ("1 byte", vec![7], 400, "UNSUPPORTED_AUDIO", 1003),
        (
            "not audio",
            b"hello there, this is not audio at all".to_vec(),
            400,
            "UNSUPPORTED_AUDIO",
            1003,
        ),
        ("silence", wav(24_000, 1, 2.0, |_| 0.0), 400, "UNSUPPORTED_AUDIO", 1003),
        ("0.3 s", wav(24_000, 1, 0.3, hum), 400, "UNSUPPORTED_AUDIO", 1003),
        ("31 s", wav(16_000, 1, 31.0, hum), 422, "VALIDATION_FAILED", 1008),
        ("8 kHz mono", wav(8_000, 1, 2.0, hum), 200, "", 1000),
        ("48 kHz stereo", wav(48_000, 2, 2.0, hum), 200, "", 1000),
        ("mp3", mp3, 200, "", 1000),
        ("0.6 s", wav(16_000, 1, 0.6, hum), 200, "", 1000),
    ];
    for (name, bytes, status, code, close) in cases {
        let answer = synthesize(&server, form("Hello.", bytes.clone())).await;
        assert_eq!(answer.status(), status, "{name}");
        if status != 200 {
            let body: Value = answer.json().await.expect("JSON error");
            assert_eq!(body["error_code"], code, "{name}");
        }
        let mut socket = Socket::open(&server).await;
        socket.json(json!({"prompt_text": "some words"})).await;
        socket.binary(bytes).await;
        socket.text("Hello.", true).await;
        let heard = socket.listen().await;
        assert_eq!(heard.close, Some(close), "{name}: {:?}", heard.frames);
        if close != 1000 {
            assert_eq!(heard.frames.last().expect("an error frame")["error_code"], code, "{name}");
        }
    }
}

/// SIGTERM: what plays is finished, nothing new is let in, exit code 0.
#[tokio::test]
async fn sigterm_finishes_what_plays() {
    let mut server = Server::start(&[]);
    let mut socket = Socket::with_voice(&server).await;
    socket
        .text("We had dinner with our friends last night, and then we all went home.", true)
        .await;
    let first = socket.audio().await;
    server.terminate();
    let heard = socket.listen().await;
    assert_eq!(heard.close, Some(1000), "{:?}", heard.frames);
    assert!(heard.audio.len() + first.len() > 48_000);
    assert_eq!(server.exit_code(Duration::from_secs(10)), Some(0));
}

/// An open stream whose client sends no more text does not keep the server from ending.
#[tokio::test]
async fn sigterm_does_not_wait_for_silent_clients() {
    let mut server = Server::start_with(&[], &[("MYNAH_SERVER__DRAIN_TIMEOUT", "1.0")]);
    let _socket = Socket::with_voice(&server).await;
    server.terminate();
    assert_eq!(server.exit_code(Duration::from_secs(10)), Some(0));
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let server = Server::start_with(&["--max-sessions", "1"], &[("MYNAH_ENGINE__QUEUE", "0")]);
    let mut first = Socket::with_voice(&server).await;
    first.text("The old man walked slowly across the bridge.", false).await;
    first.audio().await;
    let start = Instant::now();
    let answer =
        synthesize(&server, Form::new().text("tts_text", "Hello.").text("voice", "default")).await;
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(answer.json::<Value>().await.expect("JSON")["error_code"], "OVERLOADED");
    assert!(start.elapsed() < Duration::from_secs(1));
    let mut second = Socket::with_voice(&server).await;
    second.text("Hello.", true).await;
    assert_eq!(second.listen().await.close, Some(1013));
}

#[tokio::test]
async fn requests_past_the_rate_limit_get_429() {
    let limits = [("MYNAH_LIMITS__RATE_LIMIT_LOOPBACK", "true")];
    let server = Server::start_with(&["--rate-limit", "2/minute"], &limits);
    let ask = async || {
        synthesize(&server, Form::new().text("tts_text", "Hello.").text("voice", "default")).await
    };
    assert_eq!(ask().await.status(), 200);
    assert_eq!(ask().await.status(), 200);
    let third = ask().await;
    assert_eq!(third.status(), 429);
    assert!(third.headers().contains_key("retry-after"));
    assert_eq!(third.json::<Value>().await.expect("JSON")["error_code"], "RATE_LIMITED");
}

/// `/readiness` is 503 until the model is warm; `/liveness` answers at once.
#[tokio::test]
async fn a_loading_server_is_alive_but_not_ready() {
    let server = Server::start_cold(&[]);
    let live = reqwest::get(server.url("/liveness")).await.expect("liveness");
    assert_eq!(live.status(), 200);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = reqwest::get(server.url("/readiness")).await.expect("readiness").status();
        if status == 200 {
            break;
        }
        assert_eq!(status, 503);
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let models: Value = reqwest::get(server.url("/query_tts_model/"))
        .await
        .expect("models")
        .json()
        .await
        .expect("JSON");
    assert_eq!(models, json!({"tts_models": ["CosyVoice2"]}));
}

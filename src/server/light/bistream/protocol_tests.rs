use super::*;

const LIMITS: Limits = Limits { frame_chars: 10, total_chars: 25, prompt_bytes: 8 };

/// A frame of a conversation.
#[derive(Clone, Copy)]
enum F {
    T(&'static str),
    B(&'static [u8]),
}
use F::{B, T};

const PROMPTED: F = T(r#"{"prompt_text":"友好自然的声音","tts_model_name":"CosyVoice2"}"#);
const VOICED: F = T(r#"{"voice":"default"}"#);
const HI: F = T(r#"{"tts_text":"hi","finish":false}"#);
const FINISH: F = T(r#"{"finish":true}"#);

/// Speaks the frames; returns the protocol, all text that was passed on, and whether it finished.
fn converse(frames: &[F]) -> Result<(Protocol, String, bool), ApiError> {
    let mut protocol = Protocol::new(LIMITS);
    let (mut text, mut finished) = (String::new(), false);
    for frame in frames {
        match frame {
            T(json) if protocol.awaits_init() => finished = protocol.init(json)?.is_none(),
            T(json) => {
                let said = protocol.text(json)?;
                text += &said.text;
                finished = said.finish;
            }
            B(bytes) => protocol.binary(bytes)?,
        }
    }
    Ok((protocol, text, finished))
}

#[track_caller]
fn fails(frames: &[F], code: &str, close: u16) {
    match converse(frames) {
        Err(error) => assert_eq!((error.code(), error.close_code()), (code, close), "{error:?}"),
        Ok((_, text, _)) => panic!("accepted, with text {text:?}"),
    }
}

#[test]
fn the_documented_conversation() {
    let last = T(r#"{"tts_text":"再见","finish":true}"#);
    let (protocol, text, finished) =
        converse(&[PROMPTED, B(b"RI"), B(b""), B(b"FF"), HI, HI, last]).expect("accepted");
    assert_eq!(protocol.prompt(), b"RIFF");
    assert_eq!((text.as_str(), finished), ("hihi再见", true));
    assert_eq!(protocol.chars(), 6);
}

#[test]
fn a_voice_needs_no_prompt() {
    let (_, text, finished) = converse(&[VOICED, HI, FINISH]).expect("accepted");
    assert_eq!((text.as_str(), finished), ("hi", true));
    fails(&[VOICED, B(b"RIFF")], "INVALID_PARAMETER", 1007);
}

#[test]
fn all_options_of_the_first_frame() {
    let init = Protocol::new(LIMITS).init(
        r#"{"voice":"v","tts_model_name":"m","sample_rate":16000,"response_format":"wav",
            "seed":7,"normalize":"off","events":true,"unknown":[]}"#,
    );
    let expected = Init {
        voice: Voice::Named("v".into()),
        tts_model_name: Some("m".into()),
        sample_rate: Some(16_000),
        container: Container::Wav,
        seed: Some(7),
        normalize: Some(false),
        events: true,
    };
    assert_eq!(init, Ok(Some(expected)));
}

#[test]
fn finish_before_any_text_is_an_end_like_any_other() {
    let empty = T(r#"{"tts_text":"","finish":true}"#);
    for frames in [
        &[FINISH][..],
        &[empty],
        &[PROMPTED, FINISH],
        &[PROMPTED, B(b"RIFF"), FINISH],
        &[PROMPTED, B(b"RIFF"), empty],
        &[VOICED, FINISH],
        &[VOICED, T(r#"{"tts_text":" \n"}"#), empty],
    ] {
        let (_, text, finished) = converse(frames).expect("accepted");
        assert_eq!((text.as_str(), finished), ("", true));
    }
}

/// The engine is not asked to say nothing, but a blank between words is part of them.
#[test]
fn blanks_wait_for_a_word() {
    let blank = T(r#"{"tts_text":" "}"#);
    let (_, text, _) = converse(&[VOICED, blank, blank]).expect("accepted");
    assert_eq!(text, "");
    let (_, text, _) = converse(&[VOICED, blank, HI, blank, HI]).expect("accepted");
    assert_eq!(text, " hi hi");
}

#[test]
fn wrong_orders() {
    for frames in [
        &[B(b"RIFF")][..],
        &[HI],
        &[PROMPTED, HI],
        &[PROMPTED, PROMPTED],
        &[PROMPTED, B(b"RIFF"), HI, B(b"RIFF")],
        &[PROMPTED, B(b"RIFF"), PROMPTED],
        &[VOICED, HI, FINISH, HI],
        &[VOICED, HI, FINISH, FINISH],
        &[VOICED, FINISH, B(b"x")],
    ] {
        fails(frames, "INVALID_PARAMETER", 1007);
    }
}

/// A client that read an empty file is told so when the recording is decoded.
#[test]
fn an_empty_prompt_is_a_prompt() {
    let (mut protocol, text, _) = converse(&[PROMPTED, B(b""), HI, FINISH]).expect("accepted");
    assert_eq!((protocol.take_prompt(), text.as_str()), (vec![], "hi"));
}

#[test]
fn frames_that_mean_nothing() {
    for odd in ["", "hello", "[]", "7", "{", r#"{"prompt_text":5}"#, "{}", r#"{"prompt_text":" "}"#]
    {
        fails(&[T(odd)], "INVALID_PARAMETER", 1007);
    }
    for odd in ["", "[]", "{}", r#"{"tts_text":5}"#, r#"{"tts_text":"a","finish":"perhaps"}"#] {
        fails(&[VOICED, T(odd)], "INVALID_PARAMETER", 1007);
    }
    fails(&[T(r#"{"voice":"v","sample_rate":"16k"}"#)], "INVALID_PARAMETER", 1007);
    fails(&[T(r#"{"voice":"v","sample_rate":100}"#)], "VALIDATION_FAILED", 1007);
    fails(&[T(r#"{"voice":"v","seed":-1}"#)], "VALIDATION_FAILED", 1007);
    fails(&[T(r#"{"voice":"v","seed":1.5}"#)], "INVALID_PARAMETER", 1007);
    assert!(converse(&[T(r#"{"voice":"v","seed":18446744073709551615}"#)]).is_ok());
    fails(&[T(r#"{"voice":"v","response_format":"aac"}"#)], "INVALID_PARAMETER", 1007);
}

#[test]
fn limits_at_their_edges() {
    let ten = T(r#"{"tts_text":"一二三四五六七八九十"}"#);
    let five = T(r#"{"tts_text":"12345"}"#);
    assert!(converse(&[VOICED, ten, ten, five]).is_ok());
    fails(&[VOICED, ten, ten, five, HI], "TEXT_TOO_LONG", 1008);
    fails(&[VOICED, T(r#"{"tts_text":"12345678901"}"#)], "TEXT_TOO_LONG", 1008);
    fails(&[T(r#"{"prompt_text":"12345678901"}"#)], "TEXT_TOO_LONG", 1008);
    assert!(converse(&[PROMPTED, B(b"1234"), B(b"5678")]).is_ok());
    fails(&[PROMPTED, B(b"1234"), B(b"56789")], "PAYLOAD_TOO_LARGE", 1009);
}

#[test]
fn booleans_in_frames() {
    for yes in ["true", "1", "\"True\"", "\"yes\""] {
        let mut protocol = Protocol::new(LIMITS);
        protocol.init(r#"{"voice":"v"}"#).expect("accepted");
        let said = protocol.text(&format!(r#"{{"tts_text":"a","finish":{yes}}}"#));
        assert_eq!(said, Ok(Said { text: "a".into(), finish: true }), "{yes}");
    }
}

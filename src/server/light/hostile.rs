//! What strangers send, without a socket: entries for the fuzz targets in `fuzz/`.

use super::bistream::{Limits, Protocol};
use super::form::{Bounds, Form};
use axum::body::Body;
use axum::extract::Request;
use axum::http::header;
use futures::FutureExt;

/// A body of `/inference_zero_shot`: a multipart form with the boundary `x`, or, where its first
/// byte is odd, a URL-encoded one. Returns whether it is a form.
pub fn form(bytes: &[u8]) -> bool {
    let Some((kind, body)) = bytes.split_first() else { return false };
    let media_type = match kind % 2 {
        0 => "multipart/form-data; boundary=x",
        _ => "application/x-www-form-urlencoded",
    };
    let request = Request::builder().header(header::CONTENT_TYPE, media_type);
    let Ok(request) = request.body(Body::from(body.to_vec())) else { return false };
    let bounds = Bounds { file_bytes: 4096, text_chars: 64 };
    // All of the body is there, so there is nothing to wait for.
    Form::read(request, bounds).now_or_never().is_some_and(|form| form.is_ok())
}

/// Frames of `/inference_zero_shot_bistream`, one a line; those that begin with `!` are binary.
/// Returns whether all of them were accepted.
pub fn frames(bytes: &[u8]) -> bool {
    let limits = Limits { frame_chars: 64, total_chars: 256, prompt_bytes: 4096 };
    let mut protocol = Protocol::new(limits);
    for frame in bytes.split(|byte| *byte == b'\n') {
        let accepted = match (frame, std::str::from_utf8(frame)) {
            ([b'!', piece @ ..], _) => protocol.binary(piece).is_ok(),
            (_, Ok(text)) if protocol.awaits_init() => protocol.init(text).is_ok(),
            (_, Ok(text)) => protocol.text(text).is_ok(),
            _ => false,
        };
        if !accepted {
            return false;
        }
        assert!(protocol.prompt().len() <= limits.prompt_bytes);
        assert!(protocol.chars() <= limits.total_chars);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Targets that refuse everything would find nothing.
    #[test]
    fn what_is_sound_gets_through() {
        assert!(form(b"\x01tts_text=hello&stream=1"));
        assert!(form(
            b"\x00--x\r\nContent-Disposition: form-data; name=\"seed\"\r\n\r\n7\r\n--x--\r\n"
        ));
        assert!(!form(b"\x01seed=seven"));
        assert!(frames(b"{\"prompt_text\":\"a\"}\n!RIFF\n{\"tts_text\":\"b\",\"finish\":true}"));
        assert!(!frames(b"!RIFF"));
    }
}

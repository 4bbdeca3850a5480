//! What is wrong with a client's recording, told where its dialect has a place for it.

use crate::audio::PromptWarning;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use serde_json::{Value, json};

/// Carries the warnings of an answer.
pub const HEADER: HeaderName = HeaderName::from_static("x-mynah-warning");

/// Bytes of the header's value. All warnings there are fit.
const LONGEST: usize = 1024;

/// Puts warnings into the answer's header.
pub fn note(response: &mut Response, warnings: &[PromptWarning]) {
    let lines: Vec<String> = warnings.iter().map(PromptWarning::line).collect();
    note_lines(response, &lines);
}

/// Puts [lines](PromptWarning::line) into the answer's header, as many as there is room for.
pub fn note_lines(response: &mut Response, lines: &[String]) {
    let mut joined = String::new();
    for line in lines {
        let separator = if joined.is_empty() { "" } else { "; " };
        if joined.len() + separator.len() + line.len() <= LONGEST {
            joined = joined + separator + line;
        }
    }
    if let Ok(value) = HeaderValue::from_str(&joined)
        && !joined.is_empty()
    {
        response.headers_mut().insert(HEADER, value);
    }
}

/// Warnings as JSON answers and events carry them.
pub fn json(warnings: &[PromptWarning]) -> Value {
    let one = |w: &PromptWarning| json!({ "code": w.code(), "message": w.to_string() });
    warnings.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse;

    fn header(lines: &[String]) -> Option<String> {
        let mut response = ().into_response();
        note_lines(&mut response, lines);
        let value = response.headers().get(HEADER)?.to_str().expect("ASCII");
        Some(value.to_string())
    }

    #[test]
    fn all_warnings_at_once_fit_into_the_header() {
        let all = [
            PromptWarning::Clipped { share: 1.0 },
            PromptWarning::Noisy { below: 14.9 },
            PromptWarning::Quiet { level: -100.0 },
            PromptWarning::Short { seconds: 1.9 },
            PromptWarning::TextLong { seconds: 30.0 },
            PromptWarning::TextShort { seconds: 30.0 },
        ];
        let value = header(&all.map(|warning| warning.line())).expect("a header");
        let told: Vec<&str> = value.split("; ").collect();
        assert_eq!(told.len(), all.len(), "{value}");
        for (line, warning) in told.iter().zip(&all) {
            assert_eq!(line.split_once(": "), Some((warning.code(), &*warning.to_string())));
        }
        assert_eq!(header(&[]), None);
    }

    /// Warnings of jobs come from a store that others write to.
    #[test]
    fn the_header_is_bounded_and_sound() {
        let many = vec!["x".repeat(100); 50];
        assert!(header(&many).is_some_and(|value| value.len() <= LONGEST));
        assert_eq!(header(&["a\r\nSet-Cookie: b".into()]), None);
    }
}

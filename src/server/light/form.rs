//! The form of `/inference_zero_shot`, read field by field within bounds.

use super::fields;
use crate::server::error::ApiError;
use crate::server::format::{Container, check_rate};
use crate::server::upload;
use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{FromRequest, Request};
use axum::http::header;

/// Bytes of a field that is neither text nor a file.
const SHORT: usize = 256;

/// Bytes of a form beside its file: text, boundaries, headers, fields nobody asked for.
pub const OVERHEAD: usize = 256 * 1024;

/// How long what a field holds may be.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub file_bytes: usize,
    pub text_chars: usize,
}

/// What was asked for; None where the form says nothing.
#[derive(Debug, Default, PartialEq)]
pub struct Form {
    pub tts_text: Option<String>,
    pub prompt_text: Option<String>,
    /// The file as it came.
    pub prompt_wav: Option<Vec<u8>>,
    pub voice: Option<String>,
    pub tts_model_name: Option<String>,
    pub stream: Option<bool>,
    pub speed: Option<f32>,
    pub seed: Option<u64>,
    pub sample_rate: Option<u32>,
    pub response_format: Option<Container>,
    pub normalize: Option<bool>,
}

impl Form {
    /// Reads a multipart form, or a URL-encoded one, which clients send that name a voice and so
    /// have no file.
    ///
    /// # Errors
    /// The first field that is wrong, or what broke the body.
    pub async fn read(request: Request, bounds: Bounds) -> Result<Self, ApiError> {
        let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
        let media_type = media_type.unwrap_or_default().to_ascii_lowercase();
        let mut form = Self::default();
        if media_type.starts_with("application/x-www-form-urlencoded") {
            // Escaping makes three bytes of each.
            let most = bounds.text_chars.saturating_mul(24).saturating_add(OVERHEAD);
            let body = axum::body::to_bytes(request.into_body(), most).await;
            let body = body.map_err(|e| match upload::reason(&e) {
                ApiError::InvalidParameter(_) => ApiError::PayloadTooLarge { limit: most },
                error => error,
            })?;
            for (name, value) in form_urlencoded::parse(&body) {
                form.set(&name, &value, bounds)?;
            }
            return Ok(form);
        }
        let multipart = Multipart::from_request(request, &()).await;
        let mut multipart = multipart.map_err(|_| {
            ApiError::InvalidParameter("the body must be multipart/form-data".into())
        })?;
        while let Some(field) = multipart.next_field().await.map_err(reason)? {
            let name = field.name().unwrap_or_default().to_string();
            if name == "prompt_wav" {
                form.prompt_wav = Some(file(field, bounds.file_bytes).await?);
            } else if let Some(limit) = text_limit(&name, bounds) {
                let value = text(&name, field, limit, bounds).await?;
                form.set(&name, &value, bounds)?;
            }
        }
        Ok(form)
    }

    /// Takes one text field. An optional one that is empty is as good as none: browsers send what
    /// was left blank.
    fn set(&mut self, name: &str, value: &str, bounds: Bounds) -> Result<(), ApiError> {
        let filled = Some(value.trim()).filter(|v| !v.is_empty());
        match name {
            "tts_text" | "prompt_text" => {
                fields::check_length(value, bounds.text_chars)?;
                let slot =
                    if name == "tts_text" { &mut self.tts_text } else { &mut self.prompt_text };
                *slot = Some(value.to_string());
            }
            "voice" => self.voice = filled.map(str::to_string),
            "tts_model_name" => self.tts_model_name = filled.map(str::to_string),
            "stream" => self.stream = filled.map(|v| fields::boolean(name, v)).transpose()?,
            "speed" => self.speed = filled.map(fields::speed).transpose()?,
            "seed" => {
                let number = filled.map(|v| fields::integer(name, v)).transpose()?;
                self.seed = number.map(fields::seed).transpose()?;
            }
            "sample_rate" => {
                let number = filled.map(|v| fields::integer(name, v)).transpose()?;
                self.sample_rate = number.map(check_rate).transpose()?;
            }
            "normalize" => {
                self.normalize = filled.map(|v| fields::boolean(name, v)).transpose()?;
            }
            "response_format" => {
                self.response_format = filled.map(Container::parse).transpose()?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Most bytes of a text field, or None for a name that means nothing here.
fn text_limit(name: &str, bounds: Bounds) -> Option<usize> {
    match name {
        // No character takes more than four bytes.
        "tts_text" | "prompt_text" => Some(bounds.text_chars.saturating_mul(4)),
        "voice" | "tts_model_name" | "stream" | "speed" | "seed" | "sample_rate"
        | "response_format" | "normalize" => Some(SHORT),
        _ => None,
    }
}

async fn text(
    name: &str,
    mut field: Field<'_>,
    limit: usize,
    bounds: Bounds,
) -> Result<String, ApiError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(reason)? {
        if bytes.len() + chunk.len() > limit {
            return Err(match name {
                "tts_text" | "prompt_text" => ApiError::TextTooLong { limit: bounds.text_chars },
                _ => ApiError::InvalidParameter(format!("`{name}` is too long")),
            });
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes)
        .map_err(|_| ApiError::InvalidParameter(format!("`{name}` is not UTF-8 text")))
}

async fn file(mut field: Field<'_>, limit: usize) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(reason)? {
        if bytes.len() + chunk.len() > limit {
            return Err(ApiError::PayloadTooLarge { limit });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn reason(error: MultipartError) -> ApiError {
    upload::reason(&error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    const BOUNDS: Bounds = Bounds { file_bytes: 1000, text_chars: 20 };

    fn request(media_type: &str, body: impl Into<Body>) -> Request {
        let builder = Request::builder().header(header::CONTENT_TYPE, media_type);
        builder.body(body.into()).expect("a request")
    }

    async fn multipart(fields: &[(&str, &[u8])]) -> Result<Form, ApiError> {
        let mut body = Vec::new();
        for (name, value) in fields {
            let head = format!("--xx\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(value);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--xx--\r\n");
        Form::read(request("multipart/form-data; boundary=xx", body), BOUNDS).await
    }

    #[tokio::test]
    async fn all_fields_are_read() {
        let form = multipart(&[
            ("tts_text", "你好".as_bytes()),
            ("prompt_text", b"hello"),
            ("prompt_wav", &[0xFF; 900]),
            ("voice", b"default"),
            ("tts_model_name", b"CosyVoice2"),
            ("stream", b"True"),
            ("speed", b"1.5"),
            ("seed", b"7"),
            ("normalize", b"off"),
            ("sample_rate", b"16000"),
            ("response_format", b"PCM"),
            ("somebody_else", &[b'x'; 5000]),
        ])
        .await
        .expect("a form");
        assert_eq!(form.tts_text.as_deref(), Some("你好"));
        assert_eq!(form.prompt_text.as_deref(), Some("hello"));
        assert_eq!(form.prompt_wav, Some(vec![0xFF; 900]));
        assert_eq!(form.voice.as_deref(), Some("default"));
        assert_eq!((form.stream, form.speed), (Some(true), Some(1.5)));
        assert_eq!((form.seed, form.sample_rate), (Some(7), Some(16_000)));
        assert_eq!(form.normalize, Some(false));
        assert_eq!(form.response_format, Some(Container::Pcm));
    }

    #[tokio::test]
    async fn blank_options_are_none() {
        let names =
            ["voice", "stream", "speed", "seed", "sample_rate", "response_format", "normalize"];
        let form = multipart(&names.map(|name| (name, &b" "[..]))).await;
        assert_eq!(form, Ok(Form::default()));
    }

    #[tokio::test]
    async fn each_field_has_its_limit_and_its_error() {
        let code = async |name: &str, value: &[u8]| {
            multipart(&[(name, value)]).await.map_err(|e| (e.status().as_u16(), e.code())).err()
        };
        assert_eq!(code("tts_text", "你".repeat(20).as_bytes()).await, None);
        let too_long = Some((422, "TEXT_TOO_LONG"));
        assert_eq!(code("tts_text", "你".repeat(21).as_bytes()).await, too_long);
        assert_eq!(code("tts_text", &[b'x'; 81]).await, too_long);
        assert_eq!(code("prompt_text", &[b'x'; 21]).await, too_long);
        assert_eq!(code("prompt_wav", &[0; 1001]).await, Some((413, "PAYLOAD_TOO_LARGE")));
        let invalid = Some((400, "INVALID_PARAMETER"));
        assert_eq!(code("tts_text", &[0xFF, 0xFE]).await, invalid);
        assert_eq!(code("voice", &[b'x'; 257]).await, invalid);
        assert_eq!(code("stream", b"maybe").await, invalid);
        assert_eq!(code("sample_rate", b"16k").await, invalid);
        assert_eq!(code("response_format", b"aac").await, invalid);
        let out_of_range = Some((422, "VALIDATION_FAILED"));
        assert_eq!(code("sample_rate", b"7999").await, out_of_range);
        assert_eq!(code("seed", b"-1").await, out_of_range);
        assert_eq!(code("speed", b"2.5").await, out_of_range);
    }

    #[tokio::test]
    async fn broken_bodies_are_the_clients_mistake() {
        for (media_type, body) in [
            ("multipart/form-data; boundary=xx", "--xx\r\nrubbish"),
            ("multipart/form-data; boundary=xx", ""),
            ("multipart/form-data", "--xx--"),
            ("application/json", "{}"),
            ("", "tts_text=hello"),
        ] {
            let result = Form::read(request(media_type, body), BOUNDS).await;
            let code = result.as_ref().map_err(ApiError::code);
            assert_eq!(code.err(), Some("INVALID_PARAMETER"), "{media_type} {body:?} {result:?}");
        }
    }

    #[tokio::test]
    async fn url_encoded_forms_are_read_too() {
        let media_type = "application/x-www-form-urlencoded; charset=utf-8";
        let body = "tts_text=%E4%BD%A0+x&voice=default&stream=on";
        let form = Form::read(request(media_type, body), BOUNDS).await.expect("a form");
        assert_eq!(form.tts_text.as_deref(), Some("你 x"));
        assert_eq!((form.voice.as_deref(), form.stream), (Some("default"), Some(true)));
        let long = request(media_type, vec![b'x'; OVERHEAD + 1000]);
        let error = Form::read(long, BOUNDS).await;
        assert_eq!(error.map_err(|e| e.code()), Err("PAYLOAD_TOO_LARGE"));
    }
}

//! Reference audios: the registered voices, by number.

use crate::audio::wav;
use crate::engine::EngineError;
use crate::server::app::App;
use crate::server::error::ApiError;
use crate::server::openapi::Binary;
use crate::server::param::Param;
use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::fmt::Write;
use std::sync::Arc;

/// `GET /reference_audios`.
///
/// `path` is where the recording would lie below the server's folder of voices; where that folder
/// is concerns no client.
#[utoipa::path(
    get,
    path = "/reference_audios",
    tag = "index",
    operation_id = "index_reference_audios",
    summary = "Reference audios",
    responses((status = 200, description = "The registered voices", body = super::api::IndexAudios))
)]
pub async fn list(State(app): State<Arc<App>>) -> Json<Value> {
    let voices = app.engine.status().voices;
    let audios: Vec<_> = voices
        .iter()
        .enumerate()
        .map(|(index, name)| {
            let filename = filename(name);
            let path = format!("voices/{filename}");
            json!({ "index": index, "path": path, "exists": true, "filename": filename })
        })
        .collect();
    Json(json!({ "total_count": audios.len(), "reference_audios": audios }))
}

/// `GET /download_reference_audio/{audio_index}`.
#[utoipa::path(
    get,
    path = "/download_reference_audio/{audio_index}",
    tag = "index",
    operation_id = "index_download_reference_audio",
    summary = "The recording of a voice",
    params(("audio_index" = i64, Path, description = "Of `/reference_audios`", minimum = 0)),
    responses(
        (
            status = 200,
            description = "A WAV file",
            content_type = "audio/wav",
            body = inline(Binary),
            headers(("Content-Disposition" = String)),
        ),
        (status = 400, description = "The path is malformed"),
        (status = 404, description = "There is no reference audio of this number"),
        (status = 422, description = "That is no whole number"),
    )
)]
pub async fn download(
    State(app): State<Arc<App>>,
    Param(index): Param,
) -> Result<Response, ApiError> {
    let index: i64 = index.trim().parse().map_err(|_| {
        ApiError::WrongType("the number of a reference audio must be a whole number".into())
    })?;
    let name = find(&app, index).map_err(ApiError::NotFound)?;
    // The semaphore is never closed.
    let permit = app.decoders.clone().acquire_owned().await.ok();
    let (engine, voice) = (app.engine.clone(), name.clone());
    let reading = tokio::task::spawn_blocking(move || {
        let prompt = engine.registry().prompt(&voice)?;
        drop(permit);
        Ok::<_, EngineError>(wav::encode(&prompt.audio.samples, prompt.audio.rate))
    });
    let file =
        reading.await.map_err(|e| ApiError::Processing(format!("reading a voice: {e}")))??;
    let headers = [
        (header::CONTENT_TYPE, "audio/wav".into()),
        (header::CONTENT_DISPOSITION, attachment(&filename(&name))),
    ];
    Ok((headers, file).into_response())
}

/// The voice of this number.
///
/// # Errors
/// Words that say which numbers there are, in the language of this interface's clients too.
pub fn find(app: &App, index: i64) -> Result<String, String> {
    let voices = app.engine.status().voices;
    let voice = usize::try_from(index).ok().and_then(|index| voices.get(index));
    voice.cloned().ok_or_else(|| match voices.len() {
        0 => "no voice is registered (没有可用的参考音频)".into(),
        count => {
            let last = count - 1;
            format!(
                "there is no reference audio {index}; valid are 0 to {last} \
                 (参考音频序号无效: {index}. 有效范围: 0-{last})"
            )
        }
    })
}

fn filename(voice: &str) -> String {
    format!("{voice}.wav")
}

/// The value of `Content-Disposition` for a file of this name (RFC 6266).
fn attachment(filename: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let fallback: String = filename.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    let mut value = format!("attachment; filename=\"{fallback}\"");
    if fallback != filename {
        value.push_str("; filename*=UTF-8''");
        for byte in filename.bytes() {
            // Writing to a string cannot fail.
            let _ = match plain(byte.into()) {
                true => write!(value, "{}", char::from(byte)),
                false => write!(value, "%{byte:02X}"),
            };
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of bundled voices are names of files, which may hold anything.
    #[test]
    fn file_names_fit_into_a_header() {
        assert_eq!(attachment("awb.wav"), "attachment; filename=\"awb.wav\"");
        assert_eq!(
            attachment("ä \"x\r\n.wav"),
            "attachment; filename=\"___x__.wav\"; filename*=UTF-8''%C3%A4%20%22x%0D%0A.wav"
        );
    }
}

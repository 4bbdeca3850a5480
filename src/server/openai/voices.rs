//! `/v1/audio/voices`: which voices there are, new ones, and none of some.

use crate::engine::{Recording, Store, StoreError, VoiceName, report_prompt};
use crate::server::app::App;
use crate::server::client::Peer;
use crate::server::error::ApiError;
use crate::server::json::truth;
use crate::server::openapi::Refusals;
use crate::server::param::Param;
use crate::server::{prompt, upload, warning};
use axum::extract::multipart::{Field, Multipart};
use axum::extract::{FromRequest, Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// Bytes of a form beside its recording.
const OVERHEAD: usize = 256 * 1024;
/// Bytes of a field that is short.
const SHORT: usize = 256;
/// Voices that clients may fill the disk with.
const MOST: usize = 1000;

/// The registered voices.
#[utoipa::path(
    get,
    path = "/v1/audio/voices",
    tag = "openai",
    operation_id = "openai_voices",
    responses((status = 200, description = "All of them", body = super::api::OpenaiVoices))
)]
pub async fn list(State(app): State<Arc<App>>) -> Result<Json<Value>, ApiError> {
    blocking(move || {
        let registry = app.engine.registry();
        let stored = registry.store().map(|store| (store, store.names()));
        let voice = |name: &String| {
            let found = stored.as_ref().and_then(|(store, names)| {
                names.iter().find(|n| n.as_str() == name).map(|name| created(store, name))
            });
            match found {
                Some(created) => voice(name, created),
                None => {
                    json!({ "id": name, "object": "audio.voice", "name": name, "bundled": true })
                }
            }
        };
        let names = registry.names();
        let data: Vec<Value> = names.iter().map(voice).collect();
        Ok(Json(json!({ "object": "list", "data": data, "voices": names })))
    })
    .await
}

/// Registers a voice of a recording, what is said in it, and its speaker's consent.
#[utoipa::path(
    post,
    path = "/v1/audio/voices",
    tag = "openai",
    operation_id = "openai_add_voice",
    request_body(content = super::api::OpenaiNewVoice, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "The voice", body = super::api::OpenaiVoice),
        (status = 404, description = "This server keeps no voices"),
        Refusals,
    )
)]
pub async fn add(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Result<Response, ApiError> {
    app.charge(peer, request.headers())?;
    let room = app.uploads.room();
    let (parts, body) = request.into_parts();
    let bytes = app.settings.max_file_size.saturating_add(OVERHEAD);
    let bounds = upload::Bounds { bytes, idle: app.settings.request_idle };
    let body = upload::bounded(body, &parts.headers, bounds, room.clone())?;
    let form = Form::read(&app, Request::from_parts(parts, body)).await?;
    if !form.consent {
        let words = "`consent` must be true: the speaker agrees that this voice is made";
        return Err(invalid(words));
    }
    let name = form.name.ok_or_else(|| missing("name"))?;
    let name = VoiceName::new(&name).map_err(|e| invalid(e.to_string()))?;
    let text = form.ref_text.ok_or_else(|| missing("ref_text"))?;
    let sample = form.audio_sample.ok_or_else(|| missing("audio_sample"))?;
    if app.engine.registry().contains(name.as_str()) {
        return Err(taken(&name));
    }
    let audio = prompt::read(app.clone(), sample, text.clone(), room).await?;
    blocking(move || {
        let store = store(&app)?;
        if store.names().len() >= MOST {
            return Err(ApiError::StorageFull);
        }
        let recording = Recording::new(&audio.clip, &text).map_err(ApiError::UnsupportedAudio)?;
        store.add_recording(&name, &recording).map_err(|error| match error {
            StoreError::Exists(name) => taken(&name),
            other => ApiError::Processing(other.to_string()),
        })?;
        tracing::info!(voice = %name, seconds = audio.clip.seconds(), "a voice was registered");
        report_prompt(&audio.warnings);
        let mut made = voice(name.as_str(), created(store, &name));
        made["warnings"] = warning::json(&audio.warnings);
        let mut response = Json(made).into_response();
        warning::note(&mut response, &audio.warnings);
        Ok(response)
    })
    .await
}

/// Removes a voice that clients registered.
#[utoipa::path(
    delete,
    path = "/v1/audio/voices/{name}",
    tag = "openai",
    operation_id = "openai_remove_voice",
    params(("name" = String, Path, description = "Of `/v1/audio/voices`")),
    responses(
        (status = 200, description = "It is gone", body = super::api::OpenaiDeleted),
        (status = 400, description = "It comes with the model, or the path is malformed"),
        (status = 404, description = "No voice of that name is registered"),
        (status = 429, description = "Too many requests; `Retry-After` says when to come back"),
    )
)]
pub async fn remove(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    Param(name): Param,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    app.charge(peer, request.headers())?;
    blocking(move || {
        let unknown = || ApiError::NotFound("no voice of that name is registered".into());
        let registry = app.engine.registry();
        let known = registry.bundled().any(|(bundled, _)| bundled == name);
        // A name that could not be stored may still be one of the model's.
        let removed = match (VoiceName::new(&name), registry.store()) {
            (Ok(name), Some(store)) => {
                store.remove(&name).map_err(|e| ApiError::Processing(e.to_string()))?
            }
            _ => false,
        };
        match (removed, known) {
            (true, _) => {
                tracing::info!(voice = name, "a voice was removed");
                Ok(Json(json!({ "id": name, "object": "audio.voice.deleted", "deleted": true })))
            }
            (false, true) => Err(invalid("this voice comes with the model and cannot be deleted")),
            (false, false) => Err(unknown()),
        }
    })
    .await
}

/// What a client sends to register a voice.
#[derive(Default)]
struct Form {
    name: Option<String>,
    audio_sample: Option<Vec<u8>>,
    ref_text: Option<String>,
    consent: bool,
}

impl Form {
    async fn read(app: &App, request: Request) -> Result<Self, ApiError> {
        let multipart = Multipart::from_request(request, &()).await;
        let mut multipart =
            multipart.map_err(|_| invalid("the body must be multipart/form-data"))?;
        let mut form = Self::default();
        let chars = app.settings.max_text_length;
        while let Some(field) = multipart.next_field().await.map_err(|e| upload::reason(&e))? {
            let field_name = field.name().unwrap_or_default().to_string();
            match field_name.as_str() {
                "audio_sample" => {
                    let limit = app.settings.max_file_size;
                    let too_long = ApiError::PayloadTooLarge { limit };
                    form.audio_sample = Some(bytes(field, limit, too_long).await?);
                }
                "ref_text" => {
                    let too_long = ApiError::TextTooLong { limit: chars };
                    let limit = chars.saturating_mul(4);
                    let text = text(bytes(field, limit, too_long.clone()).await?, "ref_text")?;
                    if text.chars().count() > chars {
                        return Err(too_long);
                    }
                    form.ref_text = Some(text).filter(|text| !text.trim().is_empty());
                }
                "name" | "consent" => {
                    let too_long = invalid(format!("`{field_name}` is too long"));
                    let value = text(bytes(field, SHORT, too_long).await?, &field_name)?;
                    if field_name == "name" {
                        form.name = Some(value.trim().to_string()).filter(|name| !name.is_empty());
                    } else {
                        form.consent = truth(&value) == Some(true);
                    }
                }
                _ => {}
            }
        }
        Ok(form)
    }
}

async fn bytes(
    mut field: Field<'_>,
    limit: usize,
    too_long: ApiError,
) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(|e| upload::reason(&e))? {
        if bytes.len() + chunk.len() > limit {
            return Err(too_long);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn text(bytes: Vec<u8>, name: &str) -> Result<String, ApiError> {
    String::from_utf8(bytes).map_err(|_| invalid(format!("`{name}` is not UTF-8 text")))
}

/// A stored voice as the interface shows it.
fn voice(name: &str, created: u64) -> Value {
    json!({ "id": name, "object": "audio.voice", "name": name, "created_at": created })
}

/// When a voice was stored, in seconds.
fn created(store: &Store, name: &VoiceName) -> u64 {
    let modified = std::fs::metadata(store.path(name)).and_then(|m| m.modified()).ok();
    modified.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map_or(0, |at| at.as_secs())
}

fn store(app: &App) -> Result<&Store, ApiError> {
    let words = || ApiError::NotFound("this server keeps no voices".into());
    app.engine.registry().store().ok_or_else(words)
}

fn taken(name: &VoiceName) -> ApiError {
    invalid(format!("a voice called `{name}` exists already"))
}

fn missing(name: &str) -> ApiError {
    invalid(format!("`{name}` is missing"))
}

fn invalid(words: impl Into<String>) -> ApiError {
    ApiError::InvalidParameter(words.into())
}

/// Runs what waits for the disk on a thread of its own.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let work = tokio::task::spawn_blocking(work);
    work.await.unwrap_or_else(|e| Err(ApiError::Processing(format!("the voice store: {e}"))))
}

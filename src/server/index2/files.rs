//! Uploaded recordings.

use super::reply;
use crate::jobs::{FileInfo, JobError, is_file_id, now};
use crate::server::app::App;
use crate::server::error::ApiError;
use crate::server::param::Param;
use crate::server::upload::Room;
use crate::server::{prompt, upload, warning};
use axum::Json;
use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{FromRequest, Request, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Bytes of a form beside its file.
const OVERHEAD: usize = 64 * 1024;

const SUFFIXES: [&str; 4] = ["wav", "mp3", "m4a", "flac"];

/// Stores a recording. An upload's id is the digest of its content, whichever one the client would
/// like.
#[utoipa::path(
    post,
    path = "/api/v1/upload/audio",
    tag = "index2",
    operation_id = "index2_upload",
    request_body(content = super::api::Index2Form, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "It is stored", body = super::api::Index2Uploaded),
        (status = 400, description = "The form or its recording cannot be used"),
        (status = 404, description = "This server stores nothing"),
        (status = 408, description = "The body came too slowly"),
        (status = 413, description = "The file is larger than allowed"),
        (status = 422, description = "The recording is too long"),
        (status = 503, description = "The storage is full, or there are too many uploads"),
    )
)]
pub async fn upload(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let room = app.uploads.room();
    let (name, bytes) = read(&app, request, &room).await?;
    check_suffix(&name)?;
    // One copy is decoded, one is stored.
    room.grow(bytes.len())?;
    // What is said in it nobody tells.
    let read = prompt::read(app.clone(), bytes.clone(), String::new(), room.clone()).await?;
    let message =
        format!("文件上传成功，采样率: {}Hz，时长: {:.2}秒", read.clip.rate, read.seconds);
    let info = app.jobs.put_upload(&name, bytes).await?;
    let mut reply = reply::uploaded(&info, &message, now());
    reply["warnings"] = warning::json(&read.warnings);
    let mut response = Json(reply).into_response();
    warning::note(&mut response, &read.warnings);
    Ok(response)
}

/// The form's file, and the name its client gives it.
async fn read(app: &App, request: Request, room: &Room) -> Result<(String, Vec<u8>), ApiError> {
    let limit = app.settings.max_file_size;
    let (parts, body) = request.into_parts();
    let bounds =
        upload::Bounds { bytes: limit.saturating_add(OVERHEAD), idle: app.settings.request_idle };
    let body = upload::bounded(body, &parts.headers, bounds, room.clone())?;
    let request = Request::from_parts(parts, body);
    let mut form = Multipart::from_request(request, &())
        .await
        .map_err(|_| ApiError::InvalidParameter("the body must be multipart/form-data".into()))?;
    let mut file = None;
    while let Some(field) = form.next_field().await.map_err(reason)? {
        if field.name() == Some("file") {
            let name = field.file_name().unwrap_or_default().to_string();
            file = Some((name, whole(field, limit).await?));
        }
    }
    file.ok_or_else(|| ApiError::InvalidParameter("`file` is missing".into()))
}

async fn whole(mut field: Field<'_>, limit: usize) -> Result<Vec<u8>, ApiError> {
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

fn check_suffix(name: &str) -> Result<(), ApiError> {
    let suffix = name.rsplit_once('.').map(|(_, suffix)| suffix.to_ascii_lowercase());
    if suffix.is_some_and(|suffix| SUFFIXES.contains(&suffix.as_str())) {
        return Ok(());
    }
    let all = SUFFIXES.join(", ");
    Err(ApiError::UnsupportedAudio(format!("不支持的音频格式: the file's name must end in {all}")))
}

/// What is known of an upload.
#[utoipa::path(
    get,
    path = "/api/v1/file/{file_id}",
    tag = "index2",
    operation_id = "index2_file",
    params((
"file_id" = String, Path, description = "Of the answer to its upload",
pattern = "^[0-9a-f]{64}$",
)),
    responses(
        (status = 200, description = "The upload", body = super::api::Index2File),
        (status = 400, description = "That can be no id"),
        (status = 404, description = "There is no such upload"),
    )
)]
pub async fn one(State(app): State<Arc<App>>, Param(id): Param) -> Result<Json<Value>, ApiError> {
    Ok(Json(reply::file(&find(&app, &id).await?)))
}

/// An upload that a client names.
///
/// # Errors
/// [`ApiError::InvalidParameter`] for what can be no id, [`ApiError::NotFound`].
pub async fn find(app: &App, id: &str) -> Result<FileInfo, ApiError> {
    if !is_file_id(id) {
        let words = "a file's id is the 64 hexadecimal digits that its upload was answered with";
        return Err(ApiError::InvalidParameter(words.into()));
    }
    app.jobs.upload(id).await.map_err(|error| match error {
        JobError::NotFound(_) => ApiError::NotFound("文件不存在".into()),
        error => error.into(),
    })
}

/// The names of all uploads by their ids.
#[utoipa::path(
    get,
    path = "/api/v1/files",
    tag = "index2",
    operation_id = "index2_files",
    responses(
        (status = 200, description = "All of them", body = super::api::Index2Files),
        (status = 404, description = "This server stores nothing"),
    )
)]
pub async fn all(State(app): State<Arc<App>>) -> Result<Json<Value>, ApiError> {
    let uploads = app.jobs.uploads().await?;
    let files: Map<_, _> =
        uploads.into_iter().map(|info| (info.file_id, json!(info.filename))).collect();
    Ok(Json(json!({ "success": true, "count": files.len(), "files": files })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_some_suffixes_are_audio() {
        for good in ["a.wav", "a.b.MP3", "x.m4a", ".flac"] {
            assert_eq!(check_suffix(good), Ok(()), "{good}");
        }
        for bad in ["", "wav", "a.ogg", "a.wav.exe", "a."] {
            assert!(matches!(check_suffix(bad), Err(ApiError::UnsupportedAudio(_))), "{bad}");
        }
    }
}

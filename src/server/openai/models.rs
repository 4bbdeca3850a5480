//! `GET /v1/models` and `/v1/models/{id}`.

use crate::server::app::App;
use crate::server::error::ApiError;
use crate::server::param::Param;
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};
use std::time::{SystemTime, UNIX_EPOCH};

/// Names that programs written for OpenAI send. Each stands for the loaded model.
const ALIASES: [&str; 3] = ["tts-1", "tts-1-hd", "gpt-4o-mini-tts"];

/// When this was first asked for, in seconds: models have no date that anybody would know.
static CREATED: LazyLock<u64> =
    LazyLock::new(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs()));

/// The loaded model.
#[utoipa::path(
    get,
    path = "/v1/models",
    tag = "openai",
    operation_id = "openai_models",
    responses((status = 200, description = "A list of one", body = super::api::OpenaiModels))
)]
pub async fn list(State(app): State<Arc<App>>) -> Json<Value> {
    Json(json!({ "object": "list", "data": [model(&app.engine.status().model_name)] }))
}

/// One model, by its own name or another that requests may use.
#[utoipa::path(
    get,
    path = "/v1/models/{id}",
    tag = "openai",
    operation_id = "openai_model",
    params(("id" = String, Path, description = "Its name", example = "tts-1")),
    responses(
        (status = 200, description = "The model", body = super::api::OpenaiModel),
        (status = 400, description = "The path is malformed"),
        (status = 404, description = "No model of that name is loaded"),
    )
)]
pub async fn get(State(app): State<Arc<App>>, Param(id): Param) -> Result<Json<Value>, ApiError> {
    let missing = |_| ApiError::NotFound("no model of that name is loaded".into());
    check(&app, &id).map_err(missing)?;
    Ok(Json(model(&id)))
}

/// # Errors
/// [`ApiError::InvalidParameter`] for a name that stands for no model here.
pub fn check(app: &App, name: &str) -> Result<(), ApiError> {
    let loaded = app.engine.status().model_name;
    if name == loaded || name == "default" || ALIASES.contains(&name) {
        return Ok(());
    }
    Err(ApiError::InvalidParameter(format!(
        "`model` must be `{loaded}`, the model that is loaded, or stand for it: {}",
        ALIASES.join(", ")
    )))
}

fn model(id: &str) -> Value {
    json!({ "id": id, "object": "model", "created": *CREATED, "owned_by": "mynah" })
}

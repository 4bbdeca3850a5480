//! The dialect of LightTTS.

mod api;
mod bistream;
mod fields;
mod form;
pub mod hostile;
mod zero_shot;

use super::app::App;
use super::error::ApiError;
use super::request;
use axum::extract::{DefaultBodyLimit, State};
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use std::sync::Arc;
use utoipa::OpenApi;

/// The dialect's part of the description.
pub fn openapi() -> utoipa::openapi::OpenApi {
    api::Api::openapi()
}

pub fn router(app: Arc<App>) -> Router<Arc<App>> {
    Router::new()
        .route("/inference_zero_shot", post(zero_shot::handle))
        .route("/inference_zero_shot_bistream", get(bistream::handle))
        .route("/query_tts_model", get(models).post(models_too))
        .route_layer(from_fn_with_state(app, request::gate))
        // Bodies have bounds of their own.
        .layer(DefaultBodyLimit::disable())
}

/// Models that can speak.
#[utoipa::path(
    get,
    path = "/query_tts_model",
    tag = "light",
    operation_id = "light_models",
    responses((status = 200, description = "The loaded model"
        , body = api::LightModels),
        (status = 503, description = "Loading or shutting down"),
    )
)]
async fn models(State(app): State<Arc<App>>) -> Json<Value> {
    Json(json!({ "tts_models": [app.engine.status().model_name] }))
}

/// The same: clients of the original post to it.
#[utoipa::path(
    post,
    path = "/query_tts_model",
    tag = "light",
    operation_id = "light_models_too",
    responses(
        (status = 200, description = "The loaded model", body = api::LightModels),
        (status = 503, description = "Loading or shutting down"),
    )
)]
async fn models_too(app: State<Arc<App>>) -> Json<Value> {
    models(app).await
}

/// # Errors
/// [`ApiError::InvalidParameter`] for a name that [`models`] does not list.
fn check_model(app: &App, name: &str) -> Result<(), ApiError> {
    let loaded = app.engine.status().model_name;
    if name == "default" || name == loaded {
        return Ok(());
    }
    Err(ApiError::InvalidParameter(format!(
        "`tts_model_name` must be `default` or `{loaded}`, the model that is loaded"
    )))
}

/// # Errors
/// [`ApiError::NotFound`] for a voice that is not registered.
fn check_voice(app: &App, name: &str) -> Result<(), ApiError> {
    if app.engine.status().voices.iter().any(|voice| voice == name) {
        return Ok(());
    }
    Err(ApiError::NotFound("no voice of that name is registered".into()))
}

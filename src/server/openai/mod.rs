//! The dialect of OpenAI's speech API.

mod api;
mod models;
mod speech;
mod sse;
mod voices;

use super::app::App;
use super::request;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, post};
use std::sync::Arc;
use utoipa::OpenApi;

/// The dialect's part of the description.
pub fn openapi() -> utoipa::openapi::OpenApi {
    api::Api::openapi()
}

pub fn router(app: Arc<App>) -> Router<Arc<App>> {
    let working = Router::new()
        .route("/v1/audio/speech", post(speech::handle))
        .route("/v1/audio/voices", post(voices::add))
        .route_layer(from_fn_with_state(app, request::gate));
    Router::new()
        .route("/v1/audio/voices", get(voices::list))
        .route("/v1/audio/voices/{name}", delete(voices::remove))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{id}", get(models::get))
        .merge(working)
        // Bodies have bounds of their own.
        .layer(DefaultBodyLimit::disable())
}

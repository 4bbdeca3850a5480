//! The dialect of the IndexTTS API server.
//!
//! Its *reference audios* are the registered voices, in the order of their names.

mod api;
mod info;
mod opus;
mod parameters;
mod queue;
mod synthesize;
mod utterance;
mod voices;

pub use info::about;
pub use queue::OpusQueue;

use super::app::App;
use super::request;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use std::sync::Arc;
use utoipa::OpenApi;

/// The dialect's part of the description.
pub fn openapi() -> utoipa::openapi::OpenApi {
    api::Api::openapi()
}

pub fn router(app: Arc<App>) -> Router<Arc<App>> {
    Router::new()
        .route("/synthesize", post(synthesize::whole))
        .route("/synthesize_simple", post(synthesize::simple))
        .route("/synthesize_stream", post(synthesize::stream))
        .route("/synthesize_stream_opus", post(opus::handle))
        .route("/test", get(synthesize::test))
        .route_layer(from_fn_with_state(app, request::gate))
        // What answers also while the model loads or the server drains.
        .route("/opus_queue_status", get(queue::status))
        .route("/reference_audios", get(voices::list))
        .route("/download_reference_audio/{audio_index}", get(voices::download))
        .route("/model_info", get(info::model))
        .route("/test_stream", get(info::test_stream))
        // Bodies have bounds of their own.
        .layer(DefaultBodyLimit::disable())
}

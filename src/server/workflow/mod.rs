//! The dialect of the IndexTTS workflow service.

mod request;

use super::app::App;
use axum::Router;
use std::sync::Arc;

pub fn router(_app: Arc<App>) -> Router<Arc<App>> {
    Router::new()
}

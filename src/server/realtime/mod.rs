//! The dialect of voice agents: one WebSocket, many utterances.

use super::app::App;
use axum::Router;
use std::sync::Arc;

pub fn router(_app: Arc<App>) -> Router<Arc<App>> {
    Router::new()
}

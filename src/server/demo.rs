//! The page to try it with, and what `/` says.

use super::app::App;
use super::dialect::Dialects;
use super::{index, openapi};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use serde_json::json;
use std::sync::Arc;

/// The page's files: route, media type, content.
const FILES: &[(&str, &str, &[u8])] = &[
    ("/demo", "text/html; charset=utf-8", include_bytes!("../../web_demo/index.html")),
    ("/demo/style.css", "text/css; charset=utf-8", include_bytes!("../../web_demo/style.css")),
    ("/demo/app.js", "text/javascript; charset=utf-8", include_bytes!("../../web_demo/app.js")),
    (
        "/demo/worklet.js",
        "text/javascript; charset=utf-8",
        include_bytes!("../../web_demo/worklet.js"),
    ),
];

pub fn router() -> Router<Arc<App>> {
    FILES.iter().fold(
        Router::new().route("/", get(root)),
        |router, &(path, media_type, content)| {
            let headers = [(header::CONTENT_TYPE, media_type), (header::CACHE_CONTROL, "no-cache")];
            router.route(path, get(move || async move { (headers, content) }))
        },
    )
}

/// Browsers go to the page; programs read what there is.
#[utoipa::path(
    get,
    path = "/",
    tag = "common",
    operation_id = "root",
    security(()),
    responses((status = 200, description = "What the server is, and what it answers", body = Object))
)]
pub async fn root(
    State(app): State<Arc<App>>,
    Extension(dialects): Extension<Dialects>,
    headers: HeaderMap,
) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    if accept.is_some_and(|accept| accept.contains("text/html")) {
        return Redirect::to("/demo").into_response();
    }
    let mut about = index::about(&app);
    about["endpoints"] = json!(openapi::endpoints(dialects));
    Json(about).into_response()
}

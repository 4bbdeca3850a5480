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

/// A file of the page: its route, its media type, its content.
type File = (&'static str, &'static str, &'static [u8]);

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

const FILES: &[File] = &[
    ("/demo", HTML, include_bytes!("../../web_demo/index.html")),
    ("/demo/style.css", CSS, include_bytes!("../../web_demo/style.css")),
    ("/demo/app.js", SCRIPT, include_bytes!("../../web_demo/app.js")),
    ("/demo/compare.js", SCRIPT, include_bytes!("../../web_demo/compare.js")),
    ("/demo/composer.js", SCRIPT, include_bytes!("../../web_demo/composer.js")),
    ("/demo/doors.js", SCRIPT, include_bytes!("../../web_demo/doors.js")),
    ("/demo/i18n.js", SCRIPT, include_bytes!("../../web_demo/i18n.js")),
    ("/demo/karaoke.js", SCRIPT, include_bytes!("../../web_demo/karaoke.js")),
    ("/demo/library.js", SCRIPT, include_bytes!("../../web_demo/library.js")),
    ("/demo/player.js", SCRIPT, include_bytes!("../../web_demo/player.js")),
    ("/demo/recent.js", SCRIPT, include_bytes!("../../web_demo/recent.js")),
    ("/demo/recorder.js", SCRIPT, include_bytes!("../../web_demo/recorder.js")),
    ("/demo/server.js", SCRIPT, include_bytes!("../../web_demo/server.js")),
    ("/demo/simulator.js", SCRIPT, include_bytes!("../../web_demo/simulator.js")),
    ("/demo/speech.js", SCRIPT, include_bytes!("../../web_demo/speech.js")),
    ("/demo/stage.js", SCRIPT, include_bytes!("../../web_demo/stage.js")),
    ("/demo/store.js", SCRIPT, include_bytes!("../../web_demo/store.js")),
    ("/demo/theme.js", SCRIPT, include_bytes!("../../web_demo/theme.js")),
    ("/demo/visuals.js", SCRIPT, include_bytes!("../../web_demo/visuals.js")),
    ("/demo/voices.js", SCRIPT, include_bytes!("../../web_demo/voices.js")),
    ("/demo/wav.js", SCRIPT, include_bytes!("../../web_demo/wav.js")),
    ("/demo/worklet.js", SCRIPT, include_bytes!("../../web_demo/worklet.js")),
    ("/demo/zh.js", SCRIPT, include_bytes!("../../web_demo/zh.js")),
];

/// The page needs nothing but itself and this server, so it may have nothing else. Recordings and
/// what was spoken are `blob:`; the icon is `data:`.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data:; media-src 'self' blob:; connect-src 'self'; worker-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub fn router() -> Router<Arc<App>> {
    FILES.iter().fold(
        Router::new().route("/", get(root)),
        |router, &(path, media_type, content)| {
            let headers = [
                (header::CONTENT_TYPE, media_type),
                (header::CACHE_CONTROL, "no-cache"),
                (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
                (header::REFERRER_POLICY, "no-referrer"),
            ];
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What is embedded is listed by hand: a module left out would break the page at its first
    /// import.
    #[test]
    fn every_file_of_the_page_is_served() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/web_demo");
        let mut total = 0;
        for file in std::fs::read_dir(folder).expect("the page's folder") {
            let file = file.expect("a file");
            let name = file.file_name().to_string_lossy().into_owned();
            let path = if name == "index.html" { "/demo".into() } else { format!("/demo/{name}") };
            assert!(FILES.iter().any(|(served, _, _)| *served == path), "{name} is not served");
            total += file.metadata().expect("its size").len();
        }
        assert!(total < 130_000, "the page weighs {total} bytes");
    }
}

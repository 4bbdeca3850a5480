//! What the server is, what it has loaded, and whether it can stream.

use crate::config::ModelSettings;
use crate::engine::EngineStatus;
use crate::server::app::App;
use crate::server::error::ApiError;
use crate::server::health::unix_seconds;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use futures::stream;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// The version of the interface.
const VERSION: &str = "1.0.0";

/// Folder of the model that comes with the server.
const BUNDLED: &str = "mynah-mini";

/// Lines of `/test_stream`, and the time that each takes.
const LINES: u32 = 10;
const LINE: Duration = Duration::from_secs(1);

/// What `GET /` says of this interface.
pub fn about(app: &App) -> Value {
    json!({
        "message": "IndexTTS API 服务运行中",
        "version": VERSION,
        "status": "running",
        "model_loaded": app.engine.status().ready,
    })
}

/// `GET /model_info`.
///
/// # Errors
/// [`ApiError::NotReady`] until there is a model.
#[utoipa::path(
    get,
    path = "/model_info",
    tag = "index",
    operation_id = "index_model_info",
    summary = "What is loaded",
    responses(
        (status = 200, description = "The loaded model", body = super::api::IndexModel),
        (status = 503, description = "It is still loading"),
    )
)]
pub async fn model(State(app): State<Arc<App>>) -> Result<Json<Value>, ApiError> {
    let status = app.engine.status();
    if !status.ready {
        return Err(ApiError::NotReady);
    }
    Ok(Json(describe(&app.settings.model, &status)))
}

/// The model, with its folder's name but not where that folder is.
fn describe(settings: &ModelSettings, status: &EngineStatus) -> Value {
    let dir = settings.dir.as_deref().unwrap_or(Path::new(BUNDLED));
    let name = dir.file_name().unwrap_or(dir.as_os_str()).to_string_lossy();
    let official = "cosyvoice2.yaml";
    let file = if dir.join(official).is_file() { official } else { "config.json" };
    json!({
        "model_loaded": status.ready,
        // There is one device, the first of its kind.
        "device": if settings.device == "cuda" { "cuda:0" } else { &settings.device },
        "is_fp16": settings.dtype == "f16",
        // The vocoder kernel that IndexTTS can be built with.
        "use_cuda_kernel": false,
        "model_version": status.model_name,
        "config_path": format!("{name}/{file}"),
        "model_dir": name,
    })
}

/// `GET /test_stream`: a line each second, for ten seconds or until the client leaves.
#[utoipa::path(
    get,
    path = "/test_stream",
    tag = "index",
    operation_id = "index_test_stream",
    summary = "Lines, to try whether streams arrive",
    responses((status = 200, description = "A line a second", content_type = "text/plain", body = String))
)]
pub async fn test_stream() -> impl IntoResponse {
    let start = Instant::now();
    let lines = stream::unfold(0, move |line: u32| async move {
        sleep_until(start + line * LINE).await;
        let text = || format!("数据块 {}/{LINES} - 时间戳: {:.3}\n", line + 1, unix_seconds());
        (line < LINES).then(|| (Ok::<_, std::convert::Infallible>(text()), line + 1))
    });
    let headers = [
        (header::CONTENT_TYPE.as_str(), "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL.as_str(), "no-cache"),
        ("x-accel-buffering", "no"),
    ];
    (headers, Body::from_stream(lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> EngineStatus {
        EngineStatus {
            ready: true,
            draining: false,
            active: 0,
            queued: 0,
            stalled_for: Duration::ZERO,
            model_name: "CosyVoice2".into(),
            model_version: None,
            sample_rate: 24_000,
            voices: vec![],
        }
    }

    #[test]
    fn models_are_described_without_the_servers_paths() {
        let bundled = describe(&ModelSettings::default(), &status());
        let expected = json!({
            "model_loaded": true, "device": "cpu", "is_fp16": false, "use_cuda_kernel": false,
            "model_version": "CosyVoice2", "config_path": "mynah-mini/config.json",
            "model_dir": "mynah-mini"
        });
        assert_eq!(bundled, expected);

        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().join("CosyVoice2-0.5B");
        std::fs::create_dir(&dir).expect("a folder");
        std::fs::write(dir.join("cosyvoice2.yaml"), "").expect("a file");
        let (device, dtype) = ("cuda".into(), "f16".into());
        let own = ModelSettings { dir: Some(dir), device, dtype, ..ModelSettings::default() };
        let own = describe(&own, &status());
        assert_eq!(own["device"], json!("cuda:0"));
        assert_eq!(own["is_fp16"], json!(true));
        assert_eq!(own["config_path"], json!("CosyVoice2-0.5B/cosyvoice2.yaml"));
        assert_eq!(own["model_dir"], json!("CosyVoice2-0.5B"));
    }
}

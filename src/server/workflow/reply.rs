//! What this interface answers, in its own shapes.

use super::request::{SPEECH, Speech};
use super::time::iso;
use crate::jobs::{JobRecord, JobState};
use crate::server::app::App;
use serde_json::{Value, json};

/// What begins a workflow's id, and a task's; the rest is the same.
pub const WORKFLOW: &str = "workflow_";
const TASK: &str = "task_";

/// The id of a workflow's one task.
pub fn task_id(workflow_id: &str) -> String {
    format!("{TASK}{}", workflow_id.strip_prefix(WORKFLOW).unwrap_or(workflow_id))
}

/// The device the model runs on, as this interface's clients know devices.
pub fn device(app: &App) -> &'static str {
    if app.settings.model.device == "cuda" { "cuda:0" } else { "cpu" }
}

/// Whether somebody computes on the device.
pub fn is_busy(app: &App) -> bool {
    app.engine.status().active > 0
}

/// What the client said, as the answer repeats it.
pub fn parameters(speech: &Speech) -> Value {
    json!({
        "reference_audio": speech.reference_audio,
        "emotion_alpha": speech.emotion_alpha,
        "emotion_vector": speech.emotion_vector,
        "use_random": speech.use_random,
        "max_text_tokens_per_segment": speech.max_text_tokens_per_segment,
    })
}

/// What a job remembers of its request for [`done`].
pub fn extra(speech: &Speech) -> Value {
    json!({ "output_path": speech.output_path, "parameters": parameters(speech) })
}

/// Speech that has been made and written.
pub fn done(app: &App, record: &JobRecord) -> Value {
    let id = record.id.as_str();
    let extra = &record.spec.extra;
    let model = app.engine.status();
    json!({
        "status": "success",
        "workflow_id": id,
        "task_id": task_id(id),
        "output_path": extra["output_path"],
        "duration": record.duration_ms.map(|ms| ms as f64 / 1000.0),
        "sample_rate": record.sample_rate,
        "text_length": record.spec.text.chars().count(),
        "processing_time": record.process_seconds.map(hundredths),
        "model_info": {
            "model_type": model.model_name,
            "model_version": model.model_version,
            "device": device(app),
        },
        "parameters": extra["parameters"],
    })
}

/// A workflow that goes on after its request has been answered.
pub fn running(record: &JobRecord) -> Value {
    let id = record.id.as_str();
    json!({ "workflow_id": id, "task_id": task_id(id), "status": "running" })
}

fn status(state: JobState) -> &'static str {
    match state {
        JobState::Processing => "running",
        other => other.name(),
    }
}

/// A workflow as it stands. Once it has ended, `result` is what the request that waits is
/// answered.
pub fn workflow(app: &App, record: &JobRecord) -> Value {
    let status = status(record.state);
    let result = (record.state == JobState::Completed).then(|| done(app, record));
    let error = (record.state == JobState::Failed).then_some(&record.message);
    json!({
        "workflow_id": record.id.as_str(),
        "task_id": task_id(record.id.as_str()),
        "status": status,
        "current_stage": SPEECH,
        "progress": (f64::from(record.progress) * 100.0).clamp(0.0, 100.0) as u64,
        "stages": [{
            "name": SPEECH,
            "status": status,
            "started_at": record.started_at.map(iso),
            "output": {"processing_time": record.process_seconds.map(hundredths)},
        }],
        "created_at": iso(record.created_at),
        "updated_at": iso(record.updated_at),
        "result": result,
        "error": error,
        "error_code": record.error_code,
    })
}

/// The answer of `indextts.health_check`.
pub fn health(app: &App) -> Value {
    let is_gpu = app.settings.model.device == "cuda";
    let ready = app.engine.status().ready;
    json!({
        "status": if app.healthy() { "healthy" } else { "unhealthy" },
        "service": "indextts_service",
        "gpu": {"available": is_gpu, "count": u8::from(is_gpu), "name": null},
        "device": device(app),
        "model": if ready { "ready" } else { "loading" },
        "gpu_lock": if is_busy(app) { "in_use" } else { "available" },
    })
}

/// The answer of `indextts.get_model_info`.
pub fn model_info(app: &App) -> Value {
    let status = app.engine.status();
    let folder = app.settings.model.dir.as_ref();
    json!({
        "status": "success",
        "model_info": {
            "model_type": status.model_name,
            "model_version": status.model_version,
            "device": device(app),
            "model_path": folder.map(|folder| folder.display().to_string()),
            "status": if status.ready { "ready" } else { "loading" },
            "capabilities": {
                "text_to_speech": true,
                "voice_cloning": true,
                "emotion_control": false,
                "multi_language": true,
                "real_time": true,
            },
        },
    })
}

/// The answer of `indextts.list_voice_presets`: the registered voices. Their language and gender
/// are not known.
pub fn presets(app: &App) -> Value {
    let voices = app.engine.status().voices;
    let preset = |name: &String| {
        let words = json!({
            "name": name,
            "description": format!("registered voice `{name}`"),
            "language": null,
            "gender": null,
        });
        (name.clone(), words)
    };
    let presets: serde_json::Map<String, Value> = voices.iter().map(preset).collect();
    json!({ "status": "success", "total_count": presets.len(), "presets": presets })
}

fn hundredths(seconds: f64) -> f64 {
    (seconds * 100.0).round() / 100.0
}

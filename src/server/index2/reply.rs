//! What this interface answers, in its own shapes.

use crate::jobs::{FileInfo, JobRecord, JobState};
use serde_json::{Value, json};

/// Where a task's audio is found.
pub fn audio_url(id: &str) -> String {
    format!("/api/v1/audio/{id}.wav")
}

/// A task that has just been made.
pub fn created(id: &str) -> Value {
    json!({
        "success": true,
        "message": "任务已创建，请使用task_id查询状态",
        "audio_url": null,
        "task_id": id,
        "duration": null,
    })
}

/// A task that has been waited for.
pub fn finished(record: &JobRecord) -> Value {
    let id = record.id.as_str();
    json!({
        "success": true,
        "message": "生成完成",
        "audio_url": audio_url(id),
        "task_id": id,
        "duration": record.duration_ms,
    })
}

/// This interface knows four states: what was cancelled has failed.
pub fn status(state: JobState) -> &'static str {
    match state {
        JobState::Pending => "pending",
        JobState::Processing => "processing",
        JobState::Completed => "completed",
        JobState::Failed | JobState::Cancelled => "failed",
    }
}

/// The states that a status of this interface stands for.
pub fn states(status: &str) -> Option<&'static [JobState]> {
    match status {
        "pending" => Some(&[JobState::Pending]),
        "processing" => Some(&[JobState::Processing]),
        "completed" => Some(&[JobState::Completed]),
        "failed" => Some(&[JobState::Failed, JobState::Cancelled]),
        _ => None,
    }
}

/// A task as it stands. `duration` is the audio's, in milliseconds; times are Unix seconds.
pub fn task(record: &JobRecord) -> Value {
    let id = record.id.as_str();
    let message = match record.state {
        JobState::Pending => "任务已创建",
        JobState::Processing => "正在生成",
        JobState::Completed => "生成完成",
        JobState::Cancelled => "任务已取消",
        JobState::Failed => &record.message,
    };
    let audio_url = (record.state == JobState::Completed).then(|| audio_url(id));
    json!({
        "task_id": id,
        "status": status(record.state),
        "progress": (f64::from(record.progress) * 1000.0).round() / 1000.0,
        "message": message,
        "error_code": record.error_code,
        "audio_url": audio_url,
        "duration": record.duration_ms,
        "created_at": record.created_at,
        "completed_at": record.completed_at,
    })
}

/// An upload just stored. Two revisions of the service name its name and size differently.
pub fn uploaded(info: &FileInfo, message: &str, now: f64) -> Value {
    let extension = info.filename.rsplit_once('.').map_or("wav", |(_, extension)| extension);
    json!({
        "success": true,
        "message": message,
        "file_id": info.file_id,
        "filename": info.filename,
        "original_filename": info.filename,
        "saved_filename": format!("{}.{extension}", info.file_id),
        "size": info.size,
        "file_size": info.size,
        "is_duplicate": info.is_duplicate,
        "upload_time": now,
        "expires_at": info.expires,
    })
}

/// What is known of an upload.
pub fn file(info: &FileInfo) -> Value {
    json!({
        "success": true,
        "file_id": info.file_id,
        "filename": info.filename,
        "size": info.size,
        "file_size": info.size,
        "created_time": info.created,
        "modified_time": info.created,
        "expires_at": info.expires,
    })
}

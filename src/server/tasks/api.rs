//! The dialect's part of the description at `/openapi.json`.
#![expect(dead_code, reason = "only the schemas of these types are used")]

use crate::server::openapi::Text;
use utoipa::{OpenApi, ToSchema};

/// A task to be made.
#[derive(ToSchema)]
pub struct TasksRequest {
    #[schema(value_type = Text)]
    text: String,
    /// The folder that the file is written to, in or below the server's `storage.output_dir`.
    #[schema(example = "outputs")]
    output_path: String,
    /// Both are the same here.
    #[schema(default = "普通推理")]
    infer_mode: Option<TasksMode>,
    /// One of `/api/tts/prompts`.
    #[schema(example = "default.wav")]
    prompt_path: Option<String>,
}

#[derive(ToSchema)]
pub enum TasksMode {
    #[serde(rename = "普通推理")]
    Usual,
    #[serde(rename = "批次推理")]
    Batch,
}

#[derive(ToSchema)]
pub struct TasksPrompts {
    #[schema(example = json!(["default.wav"]))]
    prompts: Vec<String>,
}

/// A task that has just been made.
#[derive(ToSchema)]
pub struct TasksCreated {
    #[schema(example = "task_1709123456_0")]
    task_id: String,
    #[schema(example = "pending")]
    status: String,
}

/// A task as it stands.
#[derive(ToSchema)]
pub struct TasksTask {
    #[schema(example = "task_1709123456_0")]
    task_id: String,
    status: TasksStatus,
    /// As the client wrote it.
    output_path: String,
    /// Seconds, of a task that has ended.
    #[schema(required = false, minimum = 0)]
    process_time: f64,
    /// The file, of a task that is completed.
    #[schema(required = false)]
    output_file: String,
    /// Why, of a task that failed.
    #[schema(required = false)]
    error: String,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum TasksStatus {
    Pending,
    Processing,
    Completed,
    Failed,
}

#[derive(ToSchema)]
pub struct TasksHealth {
    /// `ok` or `error`.
    #[schema(example = "ok")]
    status: String,
}

#[derive(OpenApi)]
#[openapi(
    paths(super::prompts, super::create, super::status, super::health),
    tags((name = "tasks", description = "The interface of the IndexTTS task API"))
)]
pub struct Api;

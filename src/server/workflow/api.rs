//! The dialect's part of the description at `/openapi.json`. What is read field by field has its
//! description here.
#![expect(dead_code, reason = "only the schemas of these types are used")]

use super::{monitoring, workflows};
use crate::server::openapi::Text;
use std::collections::HashMap;
use utoipa::{OpenApi, ToSchema};

/// A workflow of one task.
#[derive(ToSchema)]
pub struct WorkflowRequest {
    /// For other services of a chain. Speech needs none.
    #[schema(example = "/app/videos/example.mp4")]
    video_path: Option<String>,
    workflow_config: WorkflowConfig,
}

#[derive(ToSchema)]
pub struct WorkflowConfig {
    #[schema(min_items = 1, max_items = 1, example = json!(["indextts.health_check"]))]
    workflow_chain: Vec<WorkflowTaskName>,
    /// Needed by `indextts.generate_speech`.
    indextts_config: Option<WorkflowSpeech>,
}

#[derive(ToSchema)]
pub enum WorkflowTaskName {
    #[serde(rename = "indextts.generate_speech")]
    Speech,
    #[serde(rename = "indextts.health_check")]
    Health,
    #[serde(rename = "indextts.get_model_info")]
    Model,
    #[serde(rename = "indextts.list_voice_presets")]
    Presets,
}

/// What to say, and how. What the loaded model has no use for is checked, and named in the header
/// `X-Ignored-Parameters` of the answer.
#[derive(ToSchema)]
pub struct WorkflowSpeech {
    #[schema(value_type = Text)]
    text: String,
    /// The WAV file to be written, below the server's `storage.output_dir`.
    #[schema(example = "outputs/speech.wav", min_length = 1)]
    output_path: String,
    /// A recording below the server's `storage.shared_dir` or `storage.voices_dir`. None: the
    /// default voice.
    reference_audio: Option<String>,
    /// The same, by another name.
    spk_audio_prompt: Option<String>,
    /// The same, by another name.
    speaker_audio: Option<String>,
    /// The loaded model knows no emotion: 501, unless `emotion_alpha` is 0.
    emotion_reference: Option<String>,
    /// The same, by another name.
    emo_audio_prompt: Option<String>,
    #[schema(default = 0.65, minimum = 0.0, maximum = 1.0)]
    emotion_alpha: Option<f64>,
    /// Joy, anger, sadness, fear, disgust, low mood, surprise, calm, each 0 to 1. More than calm:
    /// 501, unless `emotion_alpha` is 0.
    #[schema(schema_with = crate::server::openapi::shares)]
    emotion_vector: Option<Vec<f64>>,
    /// As `emotion_reference`.
    emotion_text: Option<String>,
    #[schema(default = false)]
    use_random: Option<bool>,
    #[schema(default = 120, minimum = 20, maximum = 500)]
    max_text_tokens_per_segment: Option<i64>,
}

/// What a workflow yields, by its task.
#[derive(ToSchema)]
#[serde(untagged)]
pub enum WorkflowResult {
    Speech(WorkflowDone),
    Model(WorkflowModel),
    Presets(WorkflowPresets),
    Health(WorkflowHealth),
}

/// Of `indextts.generate_speech`: speech that has been made and written.
#[derive(ToSchema)]
pub struct WorkflowDone {
    #[schema(example = "success")]
    status: String,
    #[schema(example = "workflow_0123456789abcdef")]
    workflow_id: String,
    #[schema(example = "task_0123456789abcdef")]
    task_id: String,
    /// As the client wrote it.
    output_path: String,
    /// Seconds of the speech.
    duration: Option<f64>,
    sample_rate: Option<u32>,
    /// In characters.
    text_length: u64,
    /// Seconds.
    processing_time: Option<f64>,
    model_info: WorkflowModelInfo,
    parameters: WorkflowParameters,
}

#[derive(ToSchema)]
pub struct WorkflowModelInfo {
    #[schema(example = "CosyVoice2")]
    model_type: String,
    /// The model's, and behind `+` what tells its weights from others'. Null until it is loaded.
    #[schema(example = "2.0+1f2e3d4c")]
    model_version: Option<String>,
    /// `cpu` or `cuda:0`.
    #[schema(example = "cpu")]
    device: String,
}

/// What the client said, or would have said where it left it out.
#[derive(ToSchema)]
pub struct WorkflowParameters {
    reference_audio: Option<String>,
    emotion_alpha: f64,
    emotion_vector: Option<Vec<f64>>,
    use_random: bool,
    max_text_tokens_per_segment: i64,
}

/// Of `indextts.health_check`.
#[derive(ToSchema)]
pub struct WorkflowHealth {
    /// `healthy` or `unhealthy`.
    #[schema(example = "healthy")]
    status: String,
    #[schema(example = "indextts_service")]
    service: String,
    gpu: WorkflowGpu,
    #[schema(example = "cpu")]
    device: String,
    /// `ready` or `loading`.
    #[schema(example = "ready")]
    model: String,
    /// `available` or `in_use`.
    #[schema(example = "available")]
    gpu_lock: String,
}

#[derive(ToSchema)]
pub struct WorkflowGpu {
    available: bool,
    count: u64,
    /// Not known.
    name: Option<String>,
}

/// Of `indextts.get_model_info`.
#[derive(ToSchema)]
pub struct WorkflowModel {
    #[schema(example = "success")]
    status: String,
    model_info: WorkflowModelDetail,
}

#[derive(ToSchema)]
pub struct WorkflowModelDetail {
    #[schema(example = "CosyVoice2")]
    model_type: String,
    /// The model's, and behind `+` what tells its weights from others'. Null until it is loaded.
    #[schema(example = "2.0+1f2e3d4c")]
    model_version: Option<String>,
    #[schema(example = "cpu")]
    device: String,
    /// The folder that the settings name. Null: the bundled voice.
    model_path: Option<String>,
    /// `ready` or `loading`.
    #[schema(example = "ready")]
    status: String,
    capabilities: HashMap<String, bool>,
}

/// Of `indextts.list_voice_presets`: the registered voices.
#[derive(ToSchema)]
pub struct WorkflowPresets {
    #[schema(example = "success")]
    status: String,
    total_count: u64,
    presets: HashMap<String, WorkflowPreset>,
}

#[derive(ToSchema)]
pub struct WorkflowPreset {
    name: String,
    description: String,
    /// Not known.
    language: Option<String>,
    /// Not known.
    gender: Option<String>,
}

/// A workflow that goes on after its request has been answered.
#[derive(ToSchema)]
pub struct WorkflowRunning {
    workflow_id: String,
    task_id: String,
    #[schema(example = "running")]
    status: String,
}

/// A workflow as it stands.
#[derive(ToSchema)]
pub struct WorkflowStatus {
    workflow_id: String,
    task_id: String,
    status: WorkflowState,
    #[schema(example = "indextts.generate_speech")]
    current_stage: String,
    /// In percent.
    #[schema(minimum = 0, maximum = 100)]
    progress: u64,
    stages: Vec<WorkflowStage>,
    created_at: String,
    updated_at: String,
    /// Of one that is completed: what a request that waits is answered.
    result: Option<WorkflowDone>,
    /// Of one that failed.
    error: Option<String>,
    error_code: Option<String>,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum WorkflowState {
    Pending,
    Running,
    Completed,
    Failed,
    Cancelled,
}

#[derive(ToSchema)]
pub struct WorkflowStage {
    name: String,
    status: WorkflowState,
    #[schema(example = "2025-10-12T10:25:00Z")]
    started_at: Option<String>,
    output: WorkflowStageOutput,
}

#[derive(ToSchema)]
pub struct WorkflowStageOutput {
    /// Seconds.
    processing_time: Option<f64>,
}

/// The engine as a lock that is held while it generates.
#[derive(ToSchema)]
pub struct WorkflowLocks {
    /// `healthy` or `degraded`.
    #[schema(example = "healthy")]
    status: String,
    #[schema(example = "cpu")]
    device: String,
    total_locks: u64,
    active_locks: u64,
    locks: Vec<WorkflowLock>,
    health_thresholds: WorkflowThresholds,
}

#[derive(ToSchema)]
pub struct WorkflowLock {
    #[schema(example = "gpu_lock:0")]
    lock_key: String,
    locked: bool,
    last_acquired: Option<String>,
    /// Null: it never expires.
    expires_at: Option<String>,
}

#[derive(ToSchema)]
pub struct WorkflowThresholds {
    min_success_rate: f64,
    max_timeout_rate: f64,
}

#[derive(ToSchema)]
pub struct WorkflowHeartbeats {
    /// Jobs that have not ended.
    total_tasks: u64,
    /// Those that are being spoken.
    active_tasks: u64,
    tasks: Vec<WorkflowHeartbeat>,
}

#[derive(ToSchema)]
pub struct WorkflowHeartbeat {
    task_id: String,
    task_name: String,
    worker_id: String,
    /// Its last progress.
    #[schema(example = "2025-10-12T10:30:00Z")]
    last_heartbeat: String,
    #[schema(example = "running")]
    status: String,
}

#[derive(ToSchema)]
pub struct WorkflowStatistics {
    system: WorkflowSystem,
    /// Null is what is not measured.
    gpu: WorkflowGpuUse,
    workers: WorkflowWorkers,
}

/// Of the jobs that the store remembers.
#[derive(ToSchema)]
pub struct WorkflowSystem {
    total_tasks: u64,
    successful_tasks: u64,
    failed_tasks: u64,
    cancelled_tasks: u64,
    pending_tasks: u64,
    /// Null until one has ended.
    success_rate: Option<f64>,
    /// Seconds. Null until one has succeeded.
    avg_processing_time: Option<f64>,
}

#[derive(ToSchema)]
pub struct WorkflowGpuUse {
    #[schema(example = "cpu")]
    device: String,
    utilization: Option<f64>,
    memory_used: Option<String>,
    memory_total: Option<String>,
}

#[derive(ToSchema)]
pub struct WorkflowWorkers {
    total: u64,
    active: u64,
    idle: u64,
}

/// Why a request failed.
#[derive(ToSchema)]
pub struct WorkflowProblem {
    /// `error`.
    #[schema(example = "error")]
    status: String,
    /// What was wrong this time, which `detail` says too.
    #[schema(example = "输入文本不能为空")]
    error: String,
    /// The kind of failure.
    message: String,
    detail: String,
    /// For programs.
    #[schema(example = "INVALID_INPUT")]
    error_code: String,
    #[schema(required = false)]
    workflow_id: String,
    #[schema(required = false)]
    task_id: String,
}

#[derive(OpenApi)]
#[openapi(
    paths(
        workflows::run,
        workflows::status,
        monitoring::gpu_lock,
        monitoring::heartbeats,
        monitoring::statistics,
    ),
    components(schemas(WorkflowProblem)),
    tags((name = "workflow", description = "The interface of the IndexTTS workflow service"))
)]
pub struct Api;

//! From settings to a loaded model or a running engine.

use super::{Failure, ModelArgs};
use crate::audio::{self, Clip};
use crate::config::Config;
use crate::engine::{self, Budget, EngineHandle, EngineSettings, Readings, Registry, Store};
use crate::model::cosyvoice2::{
    CosyVoice2, Footprint, LoadOptions, ModelConfig, ModelError, RandomSize,
};
use crate::model::device::{self, DeviceMemory};
use crate::model::nn::Precision;
use burn::tensor::Device;
use serde_json::{Value, json};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use tokio::sync::oneshot;

/// Folder of the voice that comes with Mynah.
const BUNDLED: &str = "model_weights/mynah-mini";

/// Merges the settings with the flags that all commands share and with `more` of the command's.
pub fn config(args: &ModelArgs, more: Value) -> Result<Config, Failure> {
    let mut flags = json!({});
    if let Some(dir) = &args.model_dir {
        flags["model"]["dir"] = json!(dir);
    }
    if let Some(name) = &args.device {
        flags["model"]["device"] = json!(name);
    }
    if let (Value::Object(flags), Value::Object(more)) = (&mut flags, more) {
        flags.extend(more);
    }
    Ok(Config::load(args.config.as_deref(), flags)?)
}

/// The model directory of the settings, or the bundled voice.
pub fn model_dir(config: &Config) -> Result<PathBuf, Failure> {
    match &config.model.dir {
        Some(dir) if dir.is_dir() => Ok(dir.clone()),
        Some(dir) => {
            let what = if dir.exists() { "is not a directory" } else { "does not exist" };
            Err(format!("the model directory {} {what}", dir.display()).into())
        }
        None => bundled(),
    }
}

fn bundled() -> Result<PathBuf, Failure> {
    bundled_dir().ok_or_else(|| {
        format!("the bundled voice {BUNDLED} was not found; run from the project's folder or set --model-dir").into()
    })
}

/// The bundled voice: below the working directory, beside the executable, or where the binary was
/// built.
fn bundled_dir() -> Option<PathBuf> {
    let executable = std::env::current_exe().ok();
    let beside = executable.as_deref().and_then(Path::parent);
    [Some(Path::new(".")), beside, Some(Path::new(env!("CARGO_MANIFEST_DIR")))]
        .into_iter()
        .flatten()
        .map(|root| root.join(BUNDLED))
        .find(|dir| dir.is_dir())
}

/// Registered voices: the prompts of the model directory, or else those of the bundled voice
/// (a prompt is a recording; any model can speak with it), and those of the store.
pub fn registry(model_dir: &Path, config: &Config) -> Result<Registry, Failure> {
    let own = model_dir.join("prompts");
    let dir = if own.is_dir() { Some(own) } else { bundled_dir().map(|dir| dir.join("prompts")) };
    let bundled = match dir {
        Some(dir) => Registry::from_dir(&dir)?,
        None => Registry::default(),
    };
    Ok(bundled.with_store(Store::new(&config.storage.voices_dir)))
}

/// A recording to make a voice of, prepared as the settings say. What is wrong with it is told on
/// standard error.
pub fn prompt(file: &Path, transcript: &str, config: &Config) -> Result<Clip, Failure> {
    let clip = recording(file, config)?;
    let prepared = engine::prepare_prompt(clip, transcript, config.audio.prompt_care());
    for warning in &prepared.warnings {
        eprintln!("mynah: warning: {warning}");
    }
    Ok(prepared.clip)
}

/// A recording of a voice from a file of at most `limits.max_file_size`, as it is.
pub fn recording(file: &Path, config: &Config) -> Result<Clip, Failure> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let limit = config.limits.max_file_size;
    let mut bytes = Vec::new();
    // Pipes and devices are files too, and some never end.
    let opened = File::open(file).map_err(|e| named(&e))?;
    let most = u64::try_from(limit)?.saturating_add(1);
    opened.take(most).read_to_end(&mut bytes).map_err(|e| named(&e))?;
    if bytes.len() > limit {
        return Err(named(&format_args!("longer than {limit} bytes")).into());
    }
    Ok(audio::decode_prompt(&bytes).map_err(|e| named(&e))?)
}

/// How the settings, which have been checked, want a model loaded.
pub fn load_options(config: &Config) -> LoadOptions {
    let precision = match config.model.dtype.as_str() {
        "f16" => Precision::F16,
        "bf16" => Precision::Bf16,
        _ => Precision::F32,
    };
    LoadOptions { precision, left_blocks: config.flow.left_blocks }
}

/// Replaces device `auto` by what it comes to on this machine, so that everybody who asks the
/// settings is told the same. Gives why it is not a GPU, if it is not: there is none that can be
/// used, or it has too little memory for what `footprint` says; and if it is, why the weights are
/// not in the numbers that the settings ask for.
pub fn settle_device(
    config: &mut Config,
    footprint: impl FnOnce(&Config) -> Result<Footprint, Failure>,
) -> Option<String> {
    if config.model.device != "auto" {
        return None;
    }
    device::keep_kernels(config.model.kernel_dir().as_deref());
    let (name, reason) = device::settle(&config.model.device);
    let mut reason = reason.map(|reason| reason.to_string());
    let mut name = name.to_owned();
    if name != "cpu"
        && let Some(memory) = device::by_name(&name).ok().and_then(|on| device::memory(&on))
        // What is wrong with the model is told when it is loaded.
        && let Ok(footprint) = footprint(config)
        && let footprint = footprint.in_precision(load_options(config).precision)
        && let Err(large) =
            Budget::new(footprint, &config.engine, config.flow.left_blocks).check(memory)
    {
        reason = Some(large.to_string());
        name = "cpu".into();
    }
    config.model.device = name;
    if reason.is_none() && config.model.dtype == "f16" {
        config.model.dtype = "f32".into();
        return Some(
            "model.dtype `f16` is for the CPU, but device `auto` is a GPU: its weights are f32; set `bf16` for half the memory".into(),
        );
    }
    reason.map(|reason| format!("device `auto` is the CPU: {reason}"))
}

/// What the model of the settings takes of a device's memory.
pub fn footprint(config: &Config) -> Result<Footprint, Failure> {
    let dir = model_dir(config)?;
    let model = ModelConfig::from_dir(&dir)?;
    Ok(Footprint::of(&dir, &model)?)
}

/// What that of a model of random weights takes.
pub fn random_footprint(size: RandomSize) -> Result<Footprint, Failure> {
    Ok(size.footprint(&bundled()?)?)
}

/// Has panics of the threads that use a GPU told in the log, where they are wanted, and not on
/// standard error: the backend knows no other way to say that the GPU refused something, and what
/// comes of it is told once, as an error.
fn quiet_panics(device: &Device) {
    static SET: std::sync::Once = std::sync::Once::new();
    if *device == Device::flex() {
        return;
    }
    SET.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let thread = std::thread::current();
            // The engine's own, those that compute, and the backend's server of the device.
            match thread.name() {
                Some(name)
                    if name == "engine"
                        || name.starts_with("compute-")
                        || name.starts_with("DSD-") =>
                {
                    tracing::debug!("{panic}");
                }
                _ => others(panic),
            }
        }));
    });
}

/// The device of the settings.
pub fn device(config: &Config) -> Result<Device, Failure> {
    device::keep_kernels(config.model.kernel_dir().as_deref());
    let device = device::by_name(&config.model.device)?;
    quiet_panics(&device);
    Ok(device)
}

/// Checks that what the settings let the model and its sessions take is there, where the device
/// tells what it has.
fn check_memory(
    config: &Config,
    on: &Device,
    footprint: impl FnOnce() -> Result<Footprint, ModelError>,
) -> Result<(), Failure> {
    let Some(memory) = device::memory(on) else { return Ok(()) };
    let footprint = footprint()?.in_precision(load_options(config).precision);
    let budget = Budget::new(footprint, &config.engine, config.flow.left_blocks);
    budget.check(memory)?;
    tracing::info!("memory of the GPU: {budget} of {} MiB free", memory.free >> 20);
    let (most, holds) = (config.engine.max_sessions as u64, budget.sentences());
    if holds < most {
        tracing::warn!(
            "a sentence of 10 s takes {} MiB of engine.cache_mib, which holds {holds} of them: fewer than engine.max_sessions = {most} will speak at a time; raise engine.cache_mib or set flow.left_blocks",
            budget.sentence >> 20,
        );
    }
    Ok(())
}

/// Starts the engine; the receiver tells when the model is loaded and warm.
pub fn start_engine(
    config: &Config,
) -> Result<(EngineHandle, oneshot::Receiver<Result<(), ModelError>>), Failure> {
    let dir = model_dir(config)?;
    let device = device(config)?;
    let model = ModelConfig::from_dir(&dir)?;
    check_memory(config, &device, || Footprint::of(&dir, &model))?;
    let settings = engine_settings(config, &dir, &model)?;
    let options = load_options(config);
    Ok(engine::start(settings, move || CosyVoice2::load(&dir, &device, options))?)
}

fn engine_settings(
    config: &Config,
    dir: &Path,
    model: &ModelConfig,
) -> Result<EngineSettings, Failure> {
    Ok(EngineSettings {
        engine: config.engine.clone(),
        limits: config.limits.clone(),
        registry: registry(dir, config)?,
        readings: Readings::open(&config.text)?,
        sample_rate: u32::try_from(model.sample_rate)?,
    })
}

/// Starts the engine and waits until it is ready.
pub fn ready_engine(config: &Config) -> Result<EngineHandle, Failure> {
    until_loaded(config, start_engine(config)?)
}

/// [`ready_engine`] with a model of random weights, which takes text and voices from the bundled
/// one.
pub fn ready_random_engine(config: &Config, size: RandomSize) -> Result<EngineHandle, Failure> {
    let dir = bundled()?;
    let device = device(config)?;
    check_memory(config, &device, || size.footprint(&dir))?;
    let settings = engine_settings(config, &dir, &size.config(&dir)?)?;
    let options = load_options(config);
    let load = move || CosyVoice2::random(size, &dir, &device, options);
    until_loaded(config, engine::start(settings, load)?)
}

/// Why a model was not loaded, with what its GPU has left: too little is the usual reason.
pub fn load_failure(config: &Config, error: &ModelError) -> String {
    let memory = device::by_name(&config.model.device).ok().and_then(|on| device::memory(&on));
    let error = one_line(&error.to_string());
    match memory {
        Some(DeviceMemory { free, total }) => format!(
            "{error} (the GPU has {} of {} MiB free; lower engine.cache_mib or engine.max_sessions if that is little, or use device `cpu`)",
            free >> 20,
            total >> 20
        ),
        None => error,
    }
}

/// What a backend says over many lines of where it happened, cut to what happened.
fn one_line(text: &str) -> String {
    const LONGEST: usize = 400;
    // The cause of all the rest, wherever it stands.
    if let Some(at) = text.find("out of device memory") {
        return text[at..].lines().next().unwrap_or_default().to_owned();
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut told = lines.collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = told.char_indices().nth(LONGEST) {
        told.truncate(end);
        told.push('…');
    }
    told
}

fn until_loaded(
    config: &Config,
    (handle, loaded): (EngineHandle, oneshot::Receiver<Result<(), ModelError>>),
) -> Result<EngineHandle, Failure> {
    match loaded.blocking_recv() {
        Ok(Ok(())) => Ok(handle),
        Ok(Err(error)) => Err(load_failure(config, &error).into()),
        Err(_) => Err("the engine thread ended while loading".into()),
    }
}

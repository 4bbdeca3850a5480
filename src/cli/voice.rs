//! `mynah voice`: registered voices.

use super::{Failure, ModelArgs, setup};
use crate::engine::{Recording, Registry, Store, StoreError, VoiceName};
use crate::model::cosyvoice2::CosyVoice2;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

#[derive(Debug, Subcommand)]
pub enum VoiceCommand {
    /// Register a voice under a name
    Add(AddArgs),
    /// List the voices that can be spoken with
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Remove a registered voice
    #[command(visible_alias = "remove")]
    Rm(RmArgs),
}

#[derive(Debug, Args)]
pub struct AddArgs {
    /// 1 to 64 letters, digits, `-`, `_` or `.`
    name: String,
    /// A recording of the voice, 0.5 to 30 seconds (WAV, MP3, FLAC, M4A, OGG)
    #[arg(long, value_name = "FILE")]
    audio: PathBuf,
    #[command(flatten)]
    transcript: Transcript,
    /// Replace a voice of the same name
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    model: ModelArgs,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Transcript {
    /// What is said in the recording
    #[arg(long)]
    text: Option<String>,
    /// A file with what is said in the recording
    #[arg(long, value_name = "FILE")]
    text_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// One JSON array instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelArgs,
}

#[derive(Debug, Args)]
pub struct RmArgs {
    name: String,
    #[command(flatten)]
    model: ModelArgs,
}

pub fn run(command: VoiceCommand) -> Result<(), Failure> {
    match command {
        VoiceCommand::Add(args) => add(&args),
        VoiceCommand::List(args) => list(&args),
        VoiceCommand::Rm(args) => remove(&args),
    }
}

fn add(args: &AddArgs) -> Result<(), Failure> {
    let config = setup::config(&args.model, json!({}))?;
    let name = VoiceName::new(&args.name)?;
    let store = Store::new(&config.storage.voices_dir);
    // Before the time is spent to load a model.
    if !args.force && store.is_taken(&name) {
        return Err(taken(&name));
    }
    let text = transcript(&args.transcript, config.limits.max_text_length)?;
    let clip = setup::prompt(&args.audio, &text, &config)?;
    let recording = Recording::new(&clip, &text)?;
    let device = setup::device(&config)?;
    let model =
        CosyVoice2::load(&setup::model_dir(&config)?, &device, setup::load_options(&config))?;
    let tensors = model.encode_prompt(&recording.prompt.audio, &recording.prompt.text)?;
    store.add(&name, &recording, &tensors, model.fingerprint(), args.force).map_err(|error| {
        match error {
            StoreError::Exists(name) => taken(&name),
            other => other.into(),
        }
    })?;
    println!("{name}: {:.1} s, in {}", clip.seconds(), store.path(&name).display());
    Ok(())
}

fn taken(name: &VoiceName) -> Failure {
    format!("a voice called `{name}` exists already; --force replaces it").into()
}

/// The text of at most `limit` characters that the flags give.
fn transcript(args: &Transcript, limit: usize) -> Result<String, Failure> {
    let text = match &args.text_file {
        Some(file) => read(file, limit).map_err(|e| format!("{}: {e}", file.display()))?,
        None => args.text.clone().unwrap_or_default(),
    };
    match text.trim().chars().count() {
        0 => Err("the transcript is empty".into()),
        n if n > limit => Err(too_long(limit).into()),
        _ => Ok(text),
    }
}

/// A file of UTF-8 text; an error for one that is longer than `limit` characters can be.
fn read(file: &Path, limit: usize) -> Result<String, Failure> {
    // Four bytes are the longest character, and white space at the ends does not count.
    let most = limit.saturating_mul(4).saturating_add(4096);
    let mut bytes = Vec::new();
    File::open(file)?.take(u64::try_from(most)?).read_to_end(&mut bytes)?;
    if bytes.len() == most {
        return Err(too_long(limit).into());
    }
    Ok(String::from_utf8(bytes).map_err(|_| "is not UTF-8 text")?)
}

fn too_long(limit: usize) -> String {
    format!("the transcript is longer than {limit} characters")
}

fn list(args: &ListArgs) -> Result<(), Failure> {
    let config = setup::config(&args.model, json!({}))?;
    let dir = setup::model_dir(&config)?;
    let registry = setup::registry(&dir, &config)?;
    let store = Store::new(&config.storage.voices_dir);
    let voices: Vec<Listed> = listed(&registry, &store);
    if args.json {
        println!("{}", Value::from_iter(voices.iter().map(Listed::json)));
        return Ok(());
    }
    let width = voices.iter().map(|voice| voice.name.len()).max().unwrap_or(0);
    for voice in &voices {
        let place =
            voice.place.as_ref().map_or("with the model".into(), |p| p.display().to_string());
        match &voice.prompt {
            Ok((seconds, text)) => {
                println!("{:width$}  {seconds:5.1} s  {place}  {}", voice.name, shortened(text));
            }
            Err(error) => println!("{:width$}  cannot be used: {error}", voice.name),
        }
    }
    Ok(())
}

/// A line of the listing.
struct Listed {
    name: String,
    /// The folder of a stored voice.
    place: Option<PathBuf>,
    /// Length and transcript, or why there are none.
    prompt: Result<(f64, String), String>,
}

impl Listed {
    fn json(&self) -> Value {
        let mut value = json!({"name": self.name, "path": self.place});
        match &self.prompt {
            Ok((seconds, text)) => {
                value["seconds"] = json!((seconds * 1000.0).round() / 1000.0);
                value["text"] = json!(text);
            }
            Err(error) => value["error"] = json!(error),
        }
        value
    }
}

/// The voices that names lead to, in order.
fn listed(registry: &Registry, store: &Store) -> Vec<Listed> {
    let stored = store.names();
    let bundled =
        registry.bundled().filter(|(name, _)| !stored.iter().any(|s| s.as_str() == *name));
    let mut all: Vec<Listed> = bundled
        .map(|(name, prompt)| Listed {
            name: name.into(),
            place: None,
            prompt: Ok((prompt.audio.seconds(), prompt.text.clone())),
        })
        .collect();
    all.extend(stored.iter().map(|name| Listed {
        name: name.to_string(),
        place: Some(store.path(name)),
        prompt: match store.prompt(name) {
            Ok(prompt) => Ok((prompt.audio.seconds(), prompt.text)),
            Err(error) => Err(error.to_string()),
        },
    }));
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// The beginning of a text, on one line.
fn shortened(text: &str) -> String {
    const LENGTH: usize = 60;
    let line: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LENGTH + 1).collect();
    match line.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn remove(args: &RmArgs) -> Result<(), Failure> {
    let config = setup::config(&args.model, json!({}))?;
    let name = VoiceName::new(&args.name)?;
    let store = Store::new(&config.storage.voices_dir);
    if store.remove(&name)? {
        println!("{name} is removed");
        return Ok(());
    }
    // A model that cannot be found has no voices of the name.
    let registry = setup::model_dir(&config).and_then(|dir| setup::registry(&dir, &config));
    if registry.is_ok_and(|registry| registry.bundled().any(|(n, _)| n == name.as_str())) {
        return Err(format!("`{name}` comes with the model and cannot be removed").into());
    }
    let names: Vec<String> = store.names().iter().map(ToString::to_string).collect();
    let hint = match near(name.as_str(), &names).as_slice() {
        [] if names.is_empty() => format!("; there are none in {}", store.dir().display()),
        [] => "; `mynah voice list` shows all".into(),
        near => format!("; did you mean {}?", near.join(" or ")),
    };
    Err(format!("no registered voice is called `{name}`{hint}").into())
}

/// Up to three names that somebody who typed `name` may have meant, the nearest first.
fn near<'a>(name: &str, names: &'a [String]) -> Vec<&'a str> {
    let typed = name.to_lowercase();
    let distance = |other: &str| {
        let other = other.to_lowercase();
        let slips = strsim::damerau_levenshtein(&typed, &other);
        if other.contains(&typed) { slips.min(1) } else { slips }
    };
    let limit = (name.len() / 3).max(1);
    let mut near: Vec<(usize, &str)> = names.iter().map(|n| (distance(n), n.as_str())).collect();
    near.retain(|(distance, _)| *distance <= limit);
    near.sort();
    near.into_iter().take(3).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_those_of_slips() {
        let names = ["anna", "Anna-2", "bob", "joanna", "otto"].map(String::from);
        assert_eq!(near("ana", &names), ["anna"]);
        assert_eq!(near("ANNA", &names), ["anna", "Anna-2", "joanna"]);
        assert_eq!(near("bbo", &names), ["bob"]);
        assert_eq!(near("zoe", &names), [""; 0]);
    }

    #[test]
    fn a_long_text_takes_one_line() {
        assert_eq!(shortened("你好\n再见"), "你好 再见");
        let long = shortened(&"你".repeat(61));
        assert_eq!((long.chars().count(), long.ends_with('…')), (61, true));
        assert_eq!(shortened(&"你".repeat(60)).chars().count(), 60);
    }
}

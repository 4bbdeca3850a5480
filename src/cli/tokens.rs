//! `mynah tokens`: what the speech tokenizer hears.

use super::{Failure, ModelArgs, setup};
use crate::model::cosyvoice2::CosyVoice2;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct TokensArgs {
    /// A recording of 0.5 to 30 seconds (WAV, MP3, FLAC, M4A, OGG)
    file: PathBuf,
    #[command(flatten)]
    model: ModelArgs,
}

pub fn run(args: TokensArgs) -> Result<(), Failure> {
    let config = setup::config(&args.model, json!({}))?;
    let clip = setup::recording(&args.file, &config)?;
    let device = setup::device(&config)?;
    let dir = setup::model_dir(&config)?;
    let model = CosyVoice2::load(&dir, &device, setup::load_options(&config))?;
    let tokens: Vec<String> = model.speech_tokens(&clip).iter().map(u32::to_string).collect();
    println!("{}", tokens.join(" "));
    Ok(())
}

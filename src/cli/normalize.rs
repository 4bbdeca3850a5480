//! `mynah normalize`: how texts are read.

use super::Failure;
use crate::config::Config;
use crate::engine::Readings;
use crate::text::Normalizer;
use clap::Args;
use serde_json::json;
use std::io::{BufRead, Write};
use std::path::PathBuf;

/// Longest line that is read, in bytes.
const MAX_LINE: u64 = 64 << 20;

#[derive(Debug, Args)]
#[command(after_help = "Reads lines from standard input where no text is given.")]
pub struct NormalizeArgs {
    /// Texts, a line each
    text: Vec<String>,
    /// Language of numbers and symbols [default: that of the words around them]
    #[arg(long, value_parser = ["auto", "en", "zh"])]
    lang: Option<String>,
    /// Show what was read otherwise than it is written, and by which rule
    #[arg(long)]
    explain: bool,
    /// Read emoji by their names
    #[arg(long)]
    emoji: bool,
    /// A TOML file of words and how they are read
    #[arg(long, value_name = "FILE")]
    lexicon: Option<PathBuf>,
    /// Settings file [default: config.toml in the working directory, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub fn run(args: NormalizeArgs) -> Result<(), Failure> {
    let mut flags = json!({});
    if let Some(lang) = &args.lang {
        flags["text"]["language"] = json!(lang);
    }
    if let Some(file) = &args.lexicon {
        flags["text"]["lexicon"] = json!(file);
    }
    if args.emoji {
        flags["text"]["emoji"] = json!(true);
    }
    let config = Config::load(args.config.as_deref(), flags)?;
    let normalizer = Readings::open(&config.text)?.normalizer();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let written = if args.text.is_empty() {
        lines(&normalizer, args.explain, &mut out)
    } else {
        args.text.iter().try_for_each(|text| line(&normalizer, text, args.explain, &mut out))
    };
    match written.and_then(|()| out.flush()) {
        // Whoever reads has read enough.
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

fn lines(normalizer: &Normalizer, explain: bool, out: &mut impl Write) -> std::io::Result<()> {
    let mut input = std::io::stdin().lock();
    let mut text = String::new();
    loop {
        text.clear();
        let mut bounded = std::io::Read::take(&mut input, MAX_LINE);
        if bounded.read_line(&mut text)? == 0 {
            return Ok(());
        }
        line(normalizer, text.trim_end_matches(['\n', '\r']), explain, out)?;
    }
}

fn line(
    normalizer: &Normalizer,
    text: &str,
    explain: bool,
    out: &mut impl Write,
) -> std::io::Result<()> {
    let pieces = normalizer.pieces(text);
    for piece in &pieces {
        write!(out, "{}", piece.spoken)?;
    }
    writeln!(out)?;
    if explain {
        for piece in &pieces {
            if let Some(rule) = piece.rule {
                let from = piece.source.start;
                writeln!(
                    out,
                    "  {from}: {rule}: {:?} -> {:?}",
                    piece.written,
                    piece.spoken.trim()
                )?;
            }
        }
    }
    Ok(())
}

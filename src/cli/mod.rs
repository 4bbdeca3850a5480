//! The command line: one file per command.
//!
//! Exit codes: 0 done, 1 failed (the reason is on stderr), 2 wrong usage.

mod bench;
mod check;
mod limits;
mod normalize;
mod say;
mod serve;
mod setup;
mod tokens;
mod voice;

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Realtime streaming text-to-speech: text streams in, speech in the voice of a short recording
/// streams out before the sentence is finished.
#[derive(Debug, Parser)]
#[command(name = "mynah", version, arg_required_else_help = true, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Settings come from config.toml (in the working directory, or --config), then from the environment \
(MYNAH_SERVER__PORT=9000 sets server.port), then from flags; later ones win.

Exit codes: 0 done, 1 failed, 2 wrong usage.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve speech over HTTP and WebSocket
    Serve(serve::ServeArgs),
    /// Speak a text into a WAV file or to standard output
    Say(say::SayArgs),
    /// Load a model directory and report every tensor found, missing or unused
    Check(check::CheckArgs),
    /// Show how texts are read: numbers, dates, abbreviations
    Normalize(normalize::NormalizeArgs),
    /// Print the speech tokens of a recording
    Tokens(tokens::TokensArgs),
    /// Register voices, list and remove them
    #[command(subcommand)]
    Voice(voice::VoiceCommand),
    /// Measure first packet, speed and memory on this machine
    Bench(bench::BenchArgs),
}

/// Flags that every command which loads a model has.
#[derive(Debug, Args)]
struct ModelArgs {
    /// Settings file [default: config.toml in the working directory, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A CosyVoice2 model directory [default: the bundled voice]
    #[arg(long, value_name = "DIR")]
    model_dir: Option<PathBuf>,
    /// Where to compute; auto: on a GPU that can be used, else on the CPU [default: cpu]
    #[arg(long, value_parser = ["cpu", "cuda", "vulkan", "auto"])]
    device: Option<String>,
}

/// Why a command failed. Printed to stderr as one line.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs the command that the process arguments name.
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(args) => serve::run(args),
        Command::Say(args) => say::run(args),
        Command::Check(args) => check::run(args),
        Command::Normalize(args) => normalize::run(args),
        Command::Tokens(args) => tokens::run(args),
        Command::Voice(command) => voice::run(command),
        Command::Bench(args) => bench::run(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mynah: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// Clap checks names, conflicts and defaults of all flags.
    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}

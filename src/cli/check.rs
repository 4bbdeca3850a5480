//! `mynah check`: is this directory a model we can run?

use super::Failure;
use crate::model::cosyvoice2::CosyVoice2;
use crate::model::device;
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// A CosyVoice2 model directory
    model_dir: PathBuf,
    /// Print the name and shape of every tensor too
    #[arg(short, long)]
    verbose: bool,
}

pub fn run(args: CheckArgs) -> Result<(), Failure> {
    let device = device::by_name("cpu")?;
    let report = CosyVoice2::check(&args.model_dir, &device)?;
    for file in &report.files {
        println!(
            "{}: {} tensors used, {} unused",
            file.path.display(),
            file.used.len(),
            file.unused.len()
        );
        if args.verbose {
            file.used.iter().for_each(|(name, shape)| println!("  used    {name} {shape:?}"));
        }
        file.unused.iter().for_each(|name| println!("  unused  {name}"));
    }
    report.problems.iter().for_each(|problem| println!("  problem {problem}"));
    match report.problems.len() {
        0 => Ok(()),
        n => Err(format!(
            "{} cannot be used: {n} problem(s), listed above",
            args.model_dir.display()
        )
        .into()),
    }
}

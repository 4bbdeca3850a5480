use std::process::ExitCode;

fn main() -> ExitCode {
    mynah::cli::main()
}

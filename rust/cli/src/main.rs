//! The `lore` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    lorekit_cli::run()
}

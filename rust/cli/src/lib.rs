//! The `lore` command: models, packs, questions, figures.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr)] // a command speaks through them
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod models;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Answers questions from a knowledge pack, on this machine, with proof.
#[derive(Parser)]
#[command(name = "lore", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List, fetch and check the models of the catalogue.
    Models(models::ModelsArgs),
}

/// Runs the command line and returns the process's exit code.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let cancel = lorekit_cancel::CancelToken::new();
    match cli.command {
        Command::Models(args) => match models::command(&args, &mut std::io::stdout(), &cancel) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        },
    }
}

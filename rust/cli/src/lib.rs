//! The `lore` command: models, packs, questions, figures.
//!
//! One module a command. What a command prints for people goes to standard output as text;
//! with `--json` it is one JSON object a line. Progress and errors go to standard error.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr)] // a command speaks through them
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod models;

mod ask;
mod bench;
mod build;
mod build_journal;
mod chain;
mod chat;
mod delta;
mod diff;
mod error;
mod eval;
mod inspect;
mod key_file;
mod keys;
mod labels;
mod library;
mod place;
mod publish;
mod rankings;
mod redact;
mod resolve;
mod reuse;
mod search;
mod show;
mod sign;
mod ui;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use error::CliError;

/// Answers questions from a knowledge pack, on this machine, with proof.
#[derive(Parser)]
#[command(name = "lore", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List, fetch and check the models of the catalogue.
    Models(models::ModelsArgs),
    /// Build a knowledge pack from a folder of documents.
    Build(build::BuildArgs),
    /// Build a delta: what a new edition of the documents adds, changes and withdraws.
    Delta(delta::DeltaArgs),
    /// Say what changed between two packs.
    Diff(diff::DiffArgs),
    /// Keep a library as an app does: apply deltas, roll back, compact, purge.
    #[command(subcommand)]
    Library(library::LibraryCommand),
    /// Show everything a pack says of itself.
    Inspect(inspect::InspectArgs),
    /// Check every byte of a pack against its hashes, its index and database for damage, and who signed it.
    Verify(verify::VerifyArgs),
    /// Make a key pair that signs packs or key sets.
    Keygen(keys::KeygenArgs),
    /// Say with a root key which keys may sign packs.
    Keyset(keys::KeysetArgs),
    /// Sign packs.
    Sign(sign::SignArgs),
    /// Find the passages for a question.
    Search(search::SearchArgs),
    /// Answer one question, with citations.
    Ask(ask::AskArgs),
    /// Ask one question after another.
    Chat(chat::ChatArgs),
    /// Open a citation: show a passage in full, with its place in the source.
    Show(show::ShowArgs),
    /// Take personal data out of JSON Lines before anything is trained on them.
    Redact(redact::RedactArgs),
    /// Measure the quality of retrieval on a file of questions.
    #[command(subcommand)]
    Eval(eval::EvalCommand),
    /// Measure speed and memory on this machine.
    Bench(bench::BenchArgs),
}

/// Runs the command line and returns the process's exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    quiet_pdf_panics();
    let cancel = ui::cancel_on_interrupt();
    let outcome = match cli.command {
        Command::Models(command) => models::command(&command, &mut std::io::stdout(), &cancel).map_err(CliError::from),
        Command::Build(args) => build::run(&args, &cancel),
        Command::Delta(args) => delta::run(&args, &cancel),
        Command::Diff(args) => diff::run(&args, &cancel),
        Command::Library(command) => library::run(&command, &cancel),
        Command::Inspect(args) => inspect::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Keygen(args) => keys::keygen(&args),
        Command::Keyset(args) => keys::keyset(&args),
        Command::Sign(args) => sign::run(&args),
        Command::Search(args) => search::run(&args, &cancel),
        Command::Ask(args) => ask::run(&args, &cancel),
        Command::Chat(args) => chat::run(&args, &cancel),
        Command::Show(args) => show::run(&args),
        Command::Redact(args) => redact::run(&args, &cancel),
        Command::Eval(command) => eval::run(&command, &cancel),
        Command::Bench(args) => bench::run(&args, &cancel),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_interrupt() => {
            eprintln!("interrupted");
            ExitCode::from(130)
        }
        // A closed pipe, as in `lore search … | head`, is no failure worth a message.
        Err(CliError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            ui::print_error(&error);
            ExitCode::FAILURE
        }
    }
}

/// Keeps panics of the PDF parser off the terminal: they are caught, the page is reported as unreadable, and the message
/// could hold a piece of the document.
fn quiet_pdf_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().name() != Some("lorekit-pdf") {
            usual(panic);
        }
    }));
}

//! `lore chat`: one question after another, over one engine.

use std::io::{BufRead, IsTerminal, Write};

use clap::Args;
use lorekit_answer::{CancelToken, Exchange};

use crate::ask::AnswerArgs;
use crate::error::{CliError, Result};
use crate::ui::print_error;

/// Earlier exchanges that the model reads: more would push passages out of the window.
const REMEMBERED: usize = 2;

/// Arguments of `lore chat`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "lore chat <--pack <PACK>|--base <PACK> --library <DIR>> [OPTIONS]")]
pub struct ChatArgs {
    #[command(flatten)]
    answer: AnswerArgs,
}

pub(crate) fn run(args: &ChatArgs, cancel: &CancelToken) -> Result<()> {
    let engine = args.answer.open(cancel)?;
    let prompt = std::io::stdin().is_terminal();
    if prompt {
        eprintln!("{}: ask; an empty line or Ctrl-D ends", engine.pack_info().title);
    }
    let mut history: Vec<Exchange> = Vec::new();
    let mut lines = std::io::stdin().lock().lines();
    loop {
        if prompt {
            eprint!("> ");
            std::io::stderr().flush()?;
        }
        let Some(line) = lines.next() else { return Ok(()) };
        let line = line.map_err(|source| CliError::File { path: "standard input".into(), source })?;
        let question = line.trim();
        if question.is_empty() {
            return Ok(());
        }
        match args.answer.ask(&engine, question, history.clone(), cancel) {
            Ok(answer) => {
                history.push(Exchange { question: question.to_owned(), answer: answer.text });
                if history.len() > REMEMBERED {
                    history.remove(0);
                }
            }
            Err(error) if error.is_interrupt() => return Err(error),
            // One question that cannot be answered does not end a conversation.
            Err(error) => print_error(&error),
        }
        println!();
    }
}

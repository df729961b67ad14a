//! `lore ask`: one question, streamed, with citations.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use lorekit_answer::{
    Answer, AnswerEvent, AnswerFormat, AnswerOptions, CancelToken, Citation, Engine, EngineOptions, Exchange, Outcome,
    RetrievedPassage, SearchOptions,
};
use serde_json::{Value, json};

use crate::error::{CliError, Result};
use crate::place::Source;
use crate::resolve::{self, DEFAULT_MODEL};
use crate::search::{SearchMode, embedder, origin, passage_json, place, show, source};
use crate::ui::{Style, excerpt};

/// What `ask` and `chat` share.
#[derive(Args, Clone, Debug)]
pub struct AnswerArgs {
    #[command(flatten)]
    source: Source,
    /// The language model, a name of the catalogue or a GGUF file.
    #[arg(long, default_value = DEFAULT_MODEL)]
    model: String,
    /// The embedder, a name of the catalogue or a GGUF file; the pack's own unless given.
    #[arg(long)]
    embedder: Option<String>,
    /// A LoRA adapter (GGUF) that decides how it is said.
    #[arg(long, value_name = "FILE")]
    adapter: Option<PathBuf>,
    /// How many places the model reads.
    #[arg(long, default_value_t = 3)]
    top_k: usize,
    /// Which lists take part in the search.
    #[arg(long, value_enum, default_value_t = SearchMode::Hybrid)]
    mode: SearchMode,
    /// The shape of the answer: basis and explanation, or free text.
    #[arg(long, value_enum, default_value_t = Format::Basis)]
    format: Format,
    /// Tokens of the answer at most.
    #[arg(long, default_value_t = 320)]
    max_tokens: usize,
    /// Window of prompt and answer in tokens; 0 takes 4096, or the model's own if smaller.
    #[arg(long, default_value_t = 0)]
    context: usize,
    /// Randomness of the free parts; 0 always takes the likeliest token.
    #[arg(long, default_value_t = 0.0)]
    temperature: f32,
    /// Seed for a temperature above 0.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Cosine below which nothing counts as found; the pack's own unless given.
    #[arg(long)]
    floor: Option<f32>,
    /// The day whose rules are asked, YYYY-MM-DD; today unless given.
    #[arg(long, value_name = "DATE")]
    as_of: Option<String>,
    /// The caller's access labels, separated by commas; what is public is found without any.
    #[arg(long, value_name = "LABELS", value_delimiter = ',')]
    labels: Vec<String>,
    /// Threads; 0 takes all processors, at most four.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Never touch the network.
    #[arg(long)]
    offline: bool,
    /// Print one event a line, as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    Basis,
    Free,
}

/// Arguments of `lore ask`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "lore ask <QUESTION> <--pack <PACK>|--base <PACK> --library <DIR>> [OPTIONS]")]
pub struct AskArgs {
    /// The question.
    question: String,
    #[command(flatten)]
    answer: AnswerArgs,
}

pub(crate) fn run(args: &AskArgs, cancel: &CancelToken) -> Result<()> {
    let engine = args.answer.open(cancel)?;
    args.answer.ask(&engine, &args.question, Vec::new(), cancel)?;
    Ok(())
}

impl AnswerArgs {
    /// Opens the engine these arguments describe.
    pub(crate) fn open(&self, cancel: &CancelToken) -> Result<Engine> {
        let embedder = embedder(self.source.base()?, self.embedder.as_deref(), self.offline, cancel)?;
        let model = resolve::model(&self.model, self.offline, cancel)?;
        let adapters = self.adapter.iter().map(|path| (ADAPTER.to_owned(), path.clone())).collect();
        Ok(Engine::open(EngineOptions {
            embedder,
            model: Some(model),
            adapters,
            threads: self.threads,
            context_tokens: self.context,
            cache_folder: Some(resolve::run_folder()),
            ..self.source.engine()?
        })?)
    }

    /// Asks one question and prints what comes; returns the whole answer.
    pub(crate) fn ask(
        &self,
        engine: &Engine,
        question: &str,
        history: Vec<Exchange>,
        cancel: &CancelToken,
    ) -> Result<Answer> {
        let options = AnswerOptions {
            search: SearchOptions {
                limit: self.top_k,
                mode: self.mode.into(),
                as_of: self.as_of.clone(),
                labels: self.labels.clone(),
                ..SearchOptions::default()
            },
            format: match self.format {
                Format::Basis => AnswerFormat::Basis,
                Format::Free => AnswerFormat::Free,
            },
            max_tokens: self.max_tokens,
            temperature: self.temperature,
            seed: self.seed,
            adapter: self.adapter.as_ref().map(|_| ADAPTER.to_owned()),
            floor: self.floor,
            history,
            ..AnswerOptions::default()
        };
        let stream = engine.answer(question, options)?;
        let style = Style::stdout();
        if !self.json {
            println!("{}\n", style.bold(question));
        }
        // Ctrl-C sets a flag; a thread that waits for events has to be woken by it.
        std::thread::scope(|scope| {
            let (finished, watching) = std::sync::mpsc::channel::<()>();
            let stream = &stream;
            scope.spawn(move || {
                let tick = std::time::Duration::from_millis(50);
                while watching.recv_timeout(tick) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                    if cancel.is_cancelled() {
                        stream.cancel();
                        return;
                    }
                }
            });
            let printed = self.print(stream);
            drop(finished);
            printed
        })
    }

    fn print(&self, stream: &lorekit_answer::AnswerStream) -> Result<Answer> {
        let style = Style::stdout();
        loop {
            let batch = stream.next_batch()?;
            if batch.is_empty() {
                return Err(CliError::Usage("the answer ended without an end: this is a defect of lore".into()));
            }
            for event in batch {
                if self.json {
                    writeln!(std::io::stdout(), "{}", event_json(&event))?;
                }
                match event {
                    AnswerEvent::Retrieved(found) if !self.json => {
                        show(&found);
                        println!();
                    }
                    AnswerEvent::Text(delta) if !self.json => {
                        let mut out = std::io::stdout();
                        out.write_all(delta.as_bytes())?;
                        out.flush()?;
                    }
                    AnswerEvent::Finished(answer) => {
                        if !self.json {
                            finish(&answer, style);
                        }
                        return Ok(*answer);
                    }
                    _ => {}
                }
            }
        }
    }
}

const ADAPTER: &str = "adapter";

fn finish(answer: &Answer, style: Style) {
    println!("\n");
    match answer.outcome {
        Outcome::Answered => {}
        Outcome::Truncated => println!("{}", style.dim("(the answer was cut at its token limit)")),
        Outcome::Declined(_) => println!("{}", style.dim("(declined; the nearest passages are above)")),
    }
    for citation in &answer.citations {
        let retrieved = &answer.passages[citation.passage];
        println!(
            "[{}] {} {}",
            citation.passage + 1,
            style.bold(&place(retrieved)),
            style.dim(&format!(
                "{}, quote at bytes {}–{}",
                source(retrieved),
                citation.source.start,
                citation.source.end
            ))
        );
        println!("    “{}”", excerpt(&answer.text[citation.answer.clone()], 90));
    }
    let usage = &answer.usage;
    println!(
        "{}",
        style.dim(&format!(
            "passages after {:.0} ms, first word after {:.0} ms, all in {:.1} s; prompt {} tokens ({} reused) at {:.0}/s, answer {} tokens at {:.0}/s",
            usage.time_to_passages.as_secs_f64() * 1e3,
            usage.time_to_first_text.as_secs_f64() * 1e3,
            usage.total_time.as_secs_f64(),
            usage.prompt_tokens,
            usage.reused_tokens,
            usage.prefill_tokens_per_second,
            usage.completion_tokens,
            usage.decode_tokens_per_second,
        ))
    );
}

/// One event as one JSON object.
pub(crate) fn event_json(event: &AnswerEvent) -> Value {
    match event {
        AnswerEvent::Retrieved(found) => {
            json!({ "event": "retrieved", "passages": found.iter().map(passage_json).collect::<Vec<_>>() })
        }
        AnswerEvent::Text(delta) => json!({ "event": "text", "delta": delta }),
        AnswerEvent::Citation(citation) => json!({ "event": "citation", "citation": citation_json(citation) }),
        AnswerEvent::Finished(answer) => json!({ "event": "finished", "answer": answer_json(answer) }),
    }
}

fn citation_json(citation: &Citation) -> Value {
    json!({
        "answer": [citation.answer.start, citation.answer.end],
        "passage": citation.passage,
        "quoted": [citation.quoted.start, citation.quoted.end],
        "source": [citation.source.start, citation.source.end],
        "origin": origin(citation.origin),
    })
}

/// A whole answer as JSON; passages by id and place.
pub(crate) fn answer_json(answer: &Answer) -> Value {
    let outcome = match answer.outcome {
        Outcome::Answered => "answered".to_owned(),
        Outcome::Truncated => "truncated".to_owned(),
        Outcome::Declined(reason) => format!("declined: {reason:?}"),
    };
    let passage = |retrieved: &RetrievedPassage| json!({ "id": retrieved.passage.id.to_string(), "place": retrieved.passage.place, "origin": origin(retrieved.passage.origin), "dense": retrieved.dense });
    let usage = &answer.usage;
    json!({
        "text": answer.text,
        "citations": answer.citations.iter().map(citation_json).collect::<Vec<_>>(),
        "passages": answer.passages.iter().map(passage).collect::<Vec<_>>(),
        "outcome": outcome,
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "reused_tokens": usage.reused_tokens,
            "completion_tokens": usage.completion_tokens,
            "time_to_passages_ms": usage.time_to_passages.as_secs_f64() * 1e3,
            "time_to_first_text_ms": usage.time_to_first_text.as_secs_f64() * 1e3,
            "total_ms": usage.total_time.as_secs_f64() * 1e3,
            "prefill_tokens_per_second": usage.prefill_tokens_per_second,
            "decode_tokens_per_second": usage.decode_tokens_per_second,
        },
    })
}

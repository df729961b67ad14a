//! `lore redact`: take personal data out of JSON Lines, and show that it was done.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, Subcommand, ValueEnum};
use lorekit_cancel::CancelToken;
use lorekit_redact::{
    Action, Detector, DetectorOptions, EntityType, Gate, Policy, Redactor, Report, StreamOptions, Surrogates,
    redact_jsonl,
};
use serde_json::json;

use crate::error::{CliError, Result};
use crate::key_file;
use crate::ui::Progress;

/// Arguments of `lore redact`.
#[derive(Args, Clone, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Every string and every long number of each line is read; keys, order and spacing stay as they are.\n\
        Kinds: PERSON ADDRESS ORGANISATION ID_CARD PHONE EMAIL BANK_CARD PASSPORT PERMIT CREDIT_CODE PLATE IP_ADDRESS\n\
        URL_CREDENTIALS SECRET IBAN US_SSN UK_NINO DATE_OF_BIRTH POLICY_NUMBER ACCOUNT_NUMBER"
)]
pub struct RedactArgs {
    #[command(subcommand)]
    check: Option<RedactCommand>,
    /// The data, one JSON value a line.
    #[arg(required = true, value_name = "IN.jsonl")]
    input: Option<PathBuf>,
    /// Where the redacted data goes.
    #[arg(short, long, required = true, value_name = "OUT.jsonl")]
    output: Option<PathBuf>,
    /// Where the report goes, which a trainer asks for: counts and hashes, never a value.
    #[arg(long, required = true, value_name = "FILE")]
    report: Option<PathBuf>,
    /// What becomes of what is found.
    #[arg(long, value_enum, default_value = "label")]
    action: Choice,
    /// Another action for one kind, as in PHONE=keep; may be repeated.
    #[arg(long = "for", value_name = "KIND=ACTION", value_parser = kind_and_action)]
    by_kind: Vec<(EntityType, Choice)>,
    /// Look for these kinds only.
    #[arg(long, value_delimiter = ',', value_name = "KIND,…", value_parser = kind)]
    kinds: Vec<EntityType>,
    /// The lowest score that counts, 0 to 1; lower finds more, and more that is none.
    #[arg(long, default_value_t = 0.5, value_name = "SCORE")]
    threshold: f32,
    /// Key of the surrogates: a file of 32 bytes or 64 hexadecimal digits. Without it a key is drawn for this run and
    /// forgotten, and the surrogates of another run are others.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// The data was redacted before: leave the surrogates that this report lists alone. Needs --key-file.
    #[arg(long, value_name = "REPORT", requires = "key_file")]
    again: Option<PathBuf>,
    /// Threads; all cores if it is not given.
    #[arg(long)]
    threads: Option<NonZeroUsize>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand, Clone, Debug)]
enum RedactCommand {
    /// Check that data is what a redaction report speaks of, as the trainer does before it reads any.
    Check {
        /// The redacted data.
        data: PathBuf,
        /// Its report.
        #[arg(long, value_name = "FILE")]
        report: PathBuf,
    },
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum Choice {
    /// A `*` for each character.
    Mask,
    /// The kind: `<PHONE>`.
    Label,
    /// A false value of the same shape, the same for the same value.
    Surrogate,
    /// Counted, and left as it is.
    Keep,
}

impl From<Choice> for Action {
    fn from(choice: Choice) -> Self {
        match choice {
            Choice::Mask => Self::Mask,
            Choice::Label => Self::Label,
            Choice::Surrogate => Self::Surrogate,
            Choice::Keep => Self::Keep,
        }
    }
}

fn kind(name: &str) -> Result<EntityType, String> {
    let found = EntityType::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(name));
    found.ok_or_else(|| format!("there is no kind {name}; see below for those there are"))
}

fn kind_and_action(text: &str) -> Result<(EntityType, Choice), String> {
    let (name, action) = text.split_once('=').ok_or("is not KIND=ACTION")?;
    Ok((kind(name)?, Choice::from_str(action, true)?))
}

pub(crate) fn run(args: &RedactArgs, cancel: &CancelToken) -> Result<()> {
    if let Some(RedactCommand::Check { data, report }) = &args.check {
        return check(data, report);
    }
    let (Some(input), Some(output), Some(report)) = (&args.input, &args.output, &args.report) else {
        return Err(CliError::Usage("lore redact takes the data, -o and --report".into()));
    };
    for written in [output, report] {
        if same_file(input, written) {
            let reason = "is the data itself; name another file".into();
            return Err(CliError::Input { path: written.clone(), reason });
        }
    }
    let redactor = redactor(args)?;
    let file = File::open(input).map_err(CliError::file(input))?;
    let total = file.metadata().map_err(CliError::file(input))?.len();
    let mut options = StreamOptions::default();
    if let Some(threads) = args.threads {
        options.threads = threads;
    }
    // A stopped run must not leave data that looks redacted to its end.
    let unfinished = beside(output);
    let out = File::create(&unfinished).map_err(CliError::file(&unfinished))?;
    let (started, mut progress) = (Instant::now(), Progress::new("bytes read", total));
    let done = redact_jsonl(BufReader::new(file), BufWriter::new(&out), &redactor, &options, cancel, &mut |bytes| {
        progress.set(bytes);
    });
    progress.finish();
    let seconds = started.elapsed().as_secs_f64();
    let made = done
        .map_err(|error| reading(input, error))
        .and_then(|made| out.sync_all().map_err(CliError::file(&unfinished)).map(|()| made))
        .and_then(|made| std::fs::rename(&unfinished, output).map_err(CliError::file(output)).map(|()| made));
    let made = match made {
        Ok(made) => made,
        Err(error) => {
            // The error says what went wrong; that the unfinished file could not be removed adds nothing to it.
            let _ = std::fs::remove_file(&unfinished);
            return Err(error);
        }
    };
    std::fs::write(report, made.to_json() + "\n").map_err(CliError::file(report))?;
    say(args, &made, seconds)
}

fn redactor(args: &RedactArgs) -> Result<Redactor> {
    if !(0.0..=1.0).contains(&args.threshold) {
        return Err(CliError::Usage("--threshold lies between 0 and 1".into()));
    }
    let mut options = DetectorOptions { threshold: args.threshold, ..DetectorOptions::default() };
    if !args.kinds.is_empty() {
        options.kinds = args.kinds.iter().copied().collect();
    }
    let by_kind: BTreeMap<EntityType, Action> =
        args.by_kind.iter().map(|(kind, choice)| (*kind, (*choice).into())).collect();
    let policy = Policy { action: args.action.into(), by_kind };
    let surrogates = match &args.key_file {
        Some(path) => Surrogates::new(key_file::read(path)?),
        None => Surrogates::random()?,
    };
    let redactor = Redactor::new(Detector::new(options), policy, surrogates);
    let Some(path) = &args.again else { return Ok(redactor) };
    let reason = "lists no surrogates: there were too many".into();
    let own = read_report(path)?.issued.ok_or(CliError::Input { path: path.clone(), reason })?;
    Ok(redactor.leaving(own))
}

fn read_report(path: &Path) -> Result<Report> {
    let text = std::fs::read_to_string(path).map_err(CliError::file(path))?;
    Report::from_json(&text).map_err(|error| reading(path, error))
}

fn check(data: &Path, report: &Path) -> Result<()> {
    let read = read_report(report)?;
    let file = File::open(data).map_err(CliError::file(data))?;
    lorekit_redact::check(BufReader::new(file), Some(&read), Gate::RequireReport)
        .map_err(|error| reading(data, error))?;
    println!("{}: is what {} speaks of (rules {})", data.display(), report.display(), read.detector);
    Ok(())
}

fn say(args: &RedactArgs, report: &Report, seconds: f64) -> Result<()> {
    let rate = report.input.bytes as f64 / 1e6 / seconds.max(1e-9);
    if args.json {
        println!("{}", json!({ "report": report, "seconds": seconds, "megabytes_per_second": rate }));
        return Ok(());
    }
    let mut out = std::io::stdout().lock();
    let lines = report.input.lines;
    writeln!(out, "{} of {lines} lines changed, {seconds:.1} s, {rate:.1} MB/s", report.changed_lines)?;
    for (kind, count) in &report.counts {
        let action = report.policy.action_for(*kind);
        writeln!(out, "{count:>8}  {:<16} {}", kind.name(), word(action))?;
    }
    writeln!(out, "A name or address that nothing around it gives away is not found; the report says how much is.")?;
    Ok(())
}

fn word(action: Action) -> &'static str {
    match action {
        Action::Mask => "masked",
        Action::Label => "labelled",
        Action::Surrogate => "replaced by surrogates",
        Action::Keep => "kept",
    }
}

fn reading(path: &Path, error: lorekit_redact::Error) -> CliError {
    match error {
        lorekit_redact::Error::Cancelled(_) => CliError::Redact(error),
        other => CliError::Input { path: path.into(), reason: other.to_string() },
    }
}

fn beside(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".unfinished");
    name.into()
}

fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

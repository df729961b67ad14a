//! `lore library`: a library on this machine, kept as an app keeps one on a device.

use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, Subcommand};
use lorekit_answer::{ChangeStage, Engine, EngineOptions, OwnDocument};
use lorekit_cancel::CancelToken;
use lorekit_pack::SealKey;
use lorekit_store::{AppliedPack, ApplyReport, Library, LibraryState, Purge};
use serde_json::{Value, json};

use crate::build::with_bars;
use crate::error::{CliError, Result};
use crate::key_file;
use crate::place::Place;
use crate::search::embedder;
use crate::ui::{Progress, Style};

/// The library that a command is about, and how to speak of it.
#[derive(Args, Clone, Debug)]
pub struct Kept {
    #[command(flatten)]
    place: Place,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What to do with a library.
#[derive(Subcommand, Clone, Debug)]
pub enum LibraryCommand {
    /// Apply deltas, in order.
    Apply {
        /// The deltas.
        #[arg(required = true)]
        deltas: Vec<PathBuf>,
        #[command(flatten)]
        place: Kept,
    },
    /// Add a document of this device's own, or replace the one of the same id.
    Add(AddArgs),
    /// Remove a document of this device's own.
    Remove {
        /// Its id.
        id: String,
        #[command(flatten)]
        place: Kept,
    },
    /// Say what the library is: version, state, packs, what a rollback can go to.
    State {
        #[command(flatten)]
        place: Kept,
    },
    /// Go back to the state before the last update.
    Rollback {
        #[command(flatten)]
        place: Kept,
    },
    /// Merge the base and its deltas into one new base in the folder.
    Compact {
        #[command(flatten)]
        place: Kept,
    },
    /// Seal the library with another key, instead of the one that --key names.
    Rekey {
        /// A file with the new key: 32 bytes, or 64 hexadecimal digits. Keep both until this has ended.
        #[arg(long, value_name = "FILE")]
        new_key: PathBuf,
        #[command(flatten)]
        place: Kept,
    },
    /// Destroy the library, or with --revoked only what was revoked.
    Purge {
        /// Only the bytes of revoked passages; the library goes on.
        #[arg(long)]
        revoked: bool,
        #[command(flatten)]
        place: Kept,
    },
    /// Check every byte of the library's packs against their hashes.
    Verify {
        #[command(flatten)]
        place: Kept,
    },
}

/// Arguments of `lore library add`.
#[derive(Args, Clone, Debug)]
pub struct AddArgs {
    /// The document: Markdown, text, HTML, PDF.
    file: PathBuf,
    /// Its id; the file's name unless given.
    #[arg(long)]
    id: Option<String>,
    /// Who may see it: labels separated by commas, of which a caller needs any.
    #[arg(long, value_name = "LABELS", value_delimiter = ',')]
    labels: Vec<String>,
    /// The embedder, a name of the catalogue or a GGUF file; the base's own unless given.
    #[arg(long)]
    embedder: Option<String>,
    /// Never touch the network.
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    place: Kept,
}

impl Kept {
    fn open(&self) -> Result<Library> {
        self.place.open()
    }

    /// Prints a result as one JSON object or in words.
    fn say(&self, started: Instant, mut object: Value, words: &str) {
        if self.json {
            object["seconds"] = json!(started.elapsed().as_secs_f64());
            println!("{object}");
        } else {
            println!("{words}");
        }
    }
}

pub(crate) fn run(command: &LibraryCommand, cancel: &CancelToken) -> Result<()> {
    match command {
        LibraryCommand::Apply { deltas, place } => apply(deltas, place, cancel),
        LibraryCommand::Add(args) => add(args, cancel),
        LibraryCommand::Remove { id, place } => {
            let library = place.open()?;
            let started = Instant::now();
            let removed = library.remove(id, cancel)?;
            let words = if removed { "removed" } else { "there is no document of this id" };
            place.say(started, json!({ "removed": removed }), words);
            Ok(())
        }
        LibraryCommand::State { place } => {
            let state = place.open()?.state()?;
            if place.json {
                println!("{}", state_json(&state));
            } else {
                show(&state);
            }
            Ok(())
        }
        LibraryCommand::Rollback { place } => {
            let library = place.open()?;
            let started = Instant::now();
            let report = library.rollback()?;
            let words = format!("back at version {}, state {}", report.version, report.state);
            place.say(started, report_json(&report), &words);
            Ok(())
        }
        LibraryCommand::Compact { place } => {
            let library = place.open()?;
            let started = Instant::now();
            let report = with_bars(|progress| library.compact(progress, cancel))?;
            let words = format!(
                "merged {} packs of the publisher and {} local ones; {} kept states were given up",
                report.publisher_packs, report.local_packs, report.dropped_states
            );
            let object = json!({
                "generation": report.generation,
                "publisher_packs": report.publisher_packs,
                "local_packs": report.local_packs,
                "dropped_states": report.dropped_states,
            });
            place.say(started, object, &words);
            Ok(())
        }
        LibraryCommand::Rekey { new_key, place } => {
            let new = SealKey::new(key_file::read(new_key)?);
            let library = place.open()?;
            let started = Instant::now();
            let n_packs = library.rotate_key(new)?;
            place.say(
                started,
                json!({ "packs": n_packs }),
                &format!("{n_packs} packs have the new key; destroy the old one"),
            );
            Ok(())
        }
        LibraryCommand::Purge { revoked, place } => purge(*revoked, place, cancel),
        LibraryCommand::Verify { place } => {
            let library = place.open()?;
            let started = Instant::now();
            let bytes = library.verify()?;
            place.say(started, json!({ "bytes": bytes }), &format!("sound; {bytes} bytes hashed"));
            Ok(())
        }
    }
}

fn apply(deltas: &[PathBuf], place: &Kept, cancel: &CancelToken) -> Result<()> {
    let library = place.open()?;
    for delta in deltas {
        let started = Instant::now();
        let mut bar: Option<Progress> = None;
        let report = library.apply(
            delta,
            &mut |progress| bar.get_or_insert_with(|| Progress::new("applying", progress.total)).set(progress.done),
            cancel,
        );
        if let Some(bar) = bar {
            bar.finish();
        }
        let report = report?;
        let what = if report.applied { "applied" } else { "was applied already" };
        let words = format!("{} {what}: version {}, state {}", delta.display(), report.version, report.state);
        place.say(started, report_json(&report), &words);
    }
    Ok(())
}

/// As an app does it: by an engine, which cuts and embeds as the base's publisher did.
fn add(args: &AddArgs, cancel: &CancelToken) -> Result<()> {
    let AddArgs { file, place, .. } = args;
    let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned();
    let document = OwnDocument {
        id: args.id.clone().unwrap_or_else(|| name.clone()),
        path: name,
        content: std::fs::read(file).map_err(CliError::file(file))?,
        title: None,
        labels: args.labels.clone(),
    };
    let embedder = embedder(place.place.base(), args.embedder.as_deref(), args.offline, cancel)?;
    let library = Some(place.place.options()?);
    let engine = Engine::open(EngineOptions { embedder, library, ..EngineOptions::default() })?;
    let started = Instant::now();
    let mut bar: Option<Progress> = None;
    let report = engine.add(
        document,
        &mut |step| {
            if step.stage == ChangeStage::Embed {
                bar.get_or_insert_with(|| Progress::new("embedding passages", step.total)).set(step.done);
            }
        },
        cancel,
    );
    if let Some(bar) = bar {
        bar.finish();
    }
    let report = report?;
    let object = json!({ "generation": report.generation, "passages": report.passages });
    place.say(started, object, &format!("{} passages added", report.passages));
    Ok(())
}

fn purge(revoked: bool, place: &Kept, cancel: &CancelToken) -> Result<()> {
    let library = place.open()?;
    let started = Instant::now();
    let what = if revoked { Purge::Revoked } else { Purge::Everything };
    let report = with_bars(|progress| library.purge(what, progress, cancel))?;
    let mut words = format!("{} files removed, {} kept states given up", report.files_removed, report.dropped_states);
    if report.base_still_holds {
        words.push_str("; the base in its own place still holds what was purged, and nobody here can change that file");
    }
    if report.refusal_recorded {
        words.push_str("; this library opens no more");
    }
    let object = json!({
        "files_removed": report.files_removed,
        "dropped_states": report.dropped_states,
        "base_still_holds": report.base_still_holds,
        "refusal_recorded": report.refusal_recorded,
    });
    place.say(started, object, &words);
    Ok(())
}

fn report_json(report: &ApplyReport) -> Value {
    json!({
        "applied": report.applied,
        "generation": report.generation,
        "version": report.version,
        "state": report.state,
        "owner_rollback": report.owner_rollback,
    })
}

fn pack_json(pack: &AppliedPack) -> Value {
    json!({
        "manifest": pack.manifest,
        "version": pack.version,
        "signer": pack.signer,
        "bytes": pack.bytes,
        "passages": pack.passages,
        "withdrawals": pack.withdrawals,
    })
}

fn state_json(state: &LibraryState) -> Value {
    let local: Vec<_> = state.local_documents.iter().map(|d| json!({ "id": d.id, "title": d.title })).collect();
    json!({
        "generation": state.generation,
        "pack_id": state.pack_id,
        "version": state.version,
        "state": state.state,
        "version_floor": state.version_floor,
        "base": pack_json(&state.base),
        "compacted": state.compacted,
        "deltas": state.deltas.iter().map(pack_json).collect::<Vec<_>>(),
        "local_documents": local,
        "kept": state.kept.iter().map(|k| json!({ "version": k.version, "state": k.state })).collect::<Vec<_>>(),
        "passages": state.passages,
        "revoked": state.revoked,
        "revoked_in_read_only_base": state.revoked_in_read_only_base,
        "sealed": state.sealed,
        "base_sealed": state.base_sealed,
        "bytes": state.bytes,
        "expires": state.expires,
        "expired": state.expired,
        "clock_turned_back": state.clock_turned_back,
    })
}

fn show(state: &LibraryState) {
    let style = Style::stdout();
    let line = |name: &str, value: String| println!("{}  {value}", style.dim(&format!("{name:>12}")));
    println!("{}", style.bold(&state.pack_id));
    line("version", format!("{}, generation {}", state.version, state.generation));
    line("state", state.state.to_string());
    line("accepts", format!("deltas from version {} on", state.version_floor));
    let pack = |pack: &AppliedPack| {
        let signer = pack.signer.as_deref().map_or("unsigned".into(), |key| format!("signed by {key}"));
        format!("version {}, {} passages, {} bytes, {signer}", pack.version, pack.passages, pack.bytes)
    };
    line(if state.compacted { "compacted" } else { "base" }, pack(&state.base));
    for delta in &state.deltas {
        line("delta", format!("{}, {} withdrawn", pack(delta), delta.withdrawals));
    }
    for document in &state.local_documents {
        line("local", format!("{} ({})", document.title, document.id));
    }
    for kept in &state.kept {
        line("kept", format!("version {}, state {}", kept.version, kept.state));
    }
    line("passages", format!("{} live, {} revoked", state.passages, state.revoked));
    if state.revoked_in_read_only_base > 0 {
        let hidden = state.revoked_in_read_only_base;
        line("", format!("{hidden} revoked passages still stand in the base in its own place, hidden"));
    }
    line("bytes", state.bytes.to_string());
    let sealed = |sealed| if sealed { "sealed" } else { "in clear" };
    line(
        "files",
        format!("the folder's {}, the base in its own place {}", sealed(state.sealed), sealed(state.base_sealed)),
    );
    if let Some(day) = &state.expires {
        line("expires", format!("{day}{}", if state.expired { ", over" } else { "" }));
    }
    if state.clock_turned_back {
        line("clock", "the day is earlier than one seen before".into());
    }
}

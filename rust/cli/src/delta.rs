//! `lore delta`: what a new edition of the documents changes, as a pack that a library applies.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use lorekit_cancel::CancelToken;
use lorekit_ingest::{SPLITTER_VERSION, SplitOptions};
use lorekit_model::embed::{Embedder, EmbedderOptions};
use lorekit_pack::{Manifest, PackKind, RetrievalInfo};
use lorekit_store::{BuildReport, DeltaInput, DeltaPlan, Fate, NewPassage, PackFacts, Parent, plan_delta, write_delta};
use serde_json::json;

use crate::build;
use crate::chain;
use crate::error::{CliError, Result};
use crate::publish::PublishArgs;
use crate::resolve;
use crate::reuse;

/// Arguments of `lore delta`.
///
/// Identity, embedder, dimensions and splitter are the parent's. Reading and cutting the folder takes time for all of
/// it; embedding, the file and its size follow what changed.
#[derive(Args, Clone, Debug)]
pub struct DeltaArgs {
    /// The folder with the new edition of all documents.
    dir: PathBuf,
    /// What the delta builds on: the base, then each delta that was released since, in order.
    #[arg(long, value_name = "PACK", required = true)]
    from: Vec<PathBuf>,
    /// The delta to write.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Take these passages away for good, even from libraries rolled back: a document's id, of which all passages that
    /// leave are meant, or a passage's id. May be repeated.
    #[arg(long, value_name = "DOCUMENT_OR_ID")]
    revoke: Vec<String>,
    /// The embedder's file or name, if it is not in the catalogue; it must be the parent's.
    #[arg(long)]
    embedder: Option<String>,
    /// Version of the delta; one more than the parent's unless given.
    #[arg(long)]
    pack_version: Option<u64>,
    /// Title people see; the parent's unless given.
    #[arg(long)]
    title: Option<String>,
    /// Licence of the contents; the parent's unless given.
    #[arg(long)]
    licence: Option<String>,
    /// Cosine below which nothing counts as found; the parent's unless given.
    #[arg(long)]
    floor: Option<f64>,
    #[command(flatten)]
    publish: PublishArgs,
}

pub(crate) fn run(args: &DeltaArgs, cancel: &CancelToken) -> Result<()> {
    let started = Instant::now();
    let parent = chain::open(&args.from)?;
    let manifest = Parent::manifest(&parent).clone();
    let reading = build::read(&args.dir, cancel)?;
    let embedder = open_embedder(args, &manifest, cancel)?;
    let split_options = split_options(&manifest)?;
    let labels = args.publish.labels.as_deref();
    let (documents, passages) = build::cut(&args.dir, &reading.documents, labels, &split_options, &embedder, cancel)?;
    let plan = plan_delta(&parent, &documents, &passages, &args.revoke)?;
    if plan.is_empty() {
        return Err(CliError::Usage("nothing changed: there is no delta to write".into()));
    }
    let to_embed: Vec<NewPassage> = plan.to_embed().into_iter().map(|n| passages[n].clone()).collect();
    let known = reuse::vectors(&args.publish.reuse, &manifest.embedder)?;
    let embed_from = Instant::now();
    let (vectors, embedded) = build::embed(&args.output, &documents, &to_embed, &embedder, known, cancel)?;
    let embed_seconds = embed_from.elapsed().as_secs_f64();
    let input = DeltaInput {
        parent: &parent,
        plan: &plan,
        documents: &documents,
        passages: &passages,
        vectors: &vectors.vectors,
        facts: &facts(args, &manifest, reading.skipped.len() as u64),
        index: args.publish.index.into(),
    };
    let report = build::with_bars(|progress| write_delta(&args.output, &input, progress, cancel))?;
    vectors.journal.finish()?;
    build::report_skipped(&reading);
    summary(args, &plan, &report, embedded, embed_seconds, started);
    Ok(())
}

/// The parent's embedder, by name or by file, checked against the parent's manifest.
fn open_embedder(args: &DeltaArgs, manifest: &Manifest, cancel: &CancelToken) -> Result<Embedder> {
    let name = match args.embedder.as_deref() {
        Some(name) => name,
        None => resolve::embedder_for(&manifest.embedder)?,
    };
    let file = resolve::model(name, args.publish.offline, cancel)?;
    let options = EmbedderOptions {
        threads: resolve::threads(args.publish.threads),
        dims: Some(manifest.embedder.dims as usize),
        side_folder: Some(resolve::side_folder()),
        ..EmbedderOptions::default()
    };
    let embedder = Embedder::open(&file, &options)?;
    if build::embedder_info(&embedder) != manifest.embedder {
        return Err(CliError::Usage(format!("{} is not the embedder that the parent was built with", file.display())));
    }
    Ok(embedder)
}

fn split_options(manifest: &Manifest) -> Result<SplitOptions> {
    let splitter = &manifest.splitter;
    if splitter.version != SPLITTER_VERSION {
        return Err(CliError::Usage(format!(
            "the parent was cut by version {} of the splitting rules and this build has version {SPLITTER_VERSION}: each passage would be another, release a new base",
            splitter.version
        )));
    }
    Ok(SplitOptions {
        max_tokens: splitter.max_tokens as usize,
        overlap_tokens: splitter.overlap_tokens as usize,
        ..SplitOptions::default()
    })
}

fn facts(args: &DeltaArgs, parent: &Manifest, skipped_documents: u64) -> PackFacts {
    PackFacts {
        pack_id: parent.pack_id.clone(),
        version: args.pack_version.unwrap_or(parent.version + 1),
        kind: PackKind::Delta,
        parent: Some(parent.state),
        title: args.title.clone().unwrap_or_else(|| parent.title.clone()),
        languages: Vec::new(),
        licence: args.licence.clone().unwrap_or_else(|| parent.licence.clone()),
        embedder: parent.embedder.clone(),
        splitter: parent.splitter.clone(),
        skipped_documents,
        build_tool: format!("lore {}", env!("CARGO_PKG_VERSION")),
        retrieval: RetrievalInfo { floor: args.floor.or(parent.retrieval.floor), ..parent.retrieval },
        calibration: parent.calibration.clone(),
        expires: args.publish.expires.clone(),
    }
}

fn summary(
    args: &DeltaArgs,
    plan: &DeltaPlan,
    report: &BuildReport,
    embedded: usize,
    embed_seconds: f64,
    started: Instant,
) {
    let manifest = &report.manifest;
    let [superseded, removed, revoked] = plan.withdrawn();
    let (unchanged, redescribed) = (plan.count(Fate::Unchanged), plan.count(Fate::Redescribed));
    let added = plan.count(Fate::Added);
    let copied = redescribed + added - plan.to_embed().len();
    let seconds = started.elapsed().as_secs_f64();
    if args.publish.json {
        let object = json!({
            "pack": report.path,
            "file_bytes": report.file_bytes,
            "version": manifest.version,
            "parent": manifest.parent,
            "state": manifest.state,
            "documents": manifest.counts.documents,
            "passages": manifest.counts.passages,
            "unchanged": unchanged,
            "redescribed": redescribed,
            "added": added,
            "vectors_copied": copied,
            "embedded": embedded,
            "superseded": superseded,
            "removed": removed,
            "revoked": revoked,
            "index": manifest.index,
            "embed_seconds": embed_seconds,
            "seconds": seconds,
        });
        println!("{object}");
        return;
    }
    println!("{}: {:.1} MB, version {}", report.path.display(), report.file_bytes as f64 / 1e6, manifest.version);
    println!("  {added} passages added, {redescribed} described anew, {unchanged} unchanged and not embedded again");
    println!("  {superseded} superseded, {removed} removed, {revoked} revoked");
    println!("  from state {}", manifest.parent.map_or_else(String::new, |parent| parent.to_string()));
    println!("  to state   {}", manifest.state);
    println!("  {embedded} passages embedded in {embed_seconds:.1} s, all in {seconds:.1} s");
}

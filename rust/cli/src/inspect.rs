//! `lore inspect`: everything a pack says of itself.

use std::path::PathBuf;

use clap::Args;
use lorekit_pack::{Manifest, Pack};
use lorekit_store::{OpenOptions, Segment};
use serde_json::json;

use crate::error::Result;
use crate::ui::Style;

/// Arguments of `lore inspect`.
#[derive(Args, Clone, Debug)]
pub struct InspectArgs {
    /// The pack.
    pack: PathBuf,
    /// List the documents as well.
    #[arg(long)]
    documents: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &InspectArgs) -> Result<()> {
    let pack = Pack::open(&args.pack)?;
    let manifest = pack.manifest();
    let documents =
        if args.documents { Some(Segment::open(&args.pack, &OpenOptions::default())?.documents()?) } else { None };
    if args.json {
        let listed = documents.map(|documents| {
            documents
                .iter()
                .map(|d| json!({ "id": d.id, "title": d.title, "path": d.path, "version": d.version, "valid_from": d.valid_from }))
                .collect::<Vec<_>>()
        });
        println!("{}", json!({ "manifest": manifest, "documents": listed }));
        return Ok(());
    }
    show(manifest);
    for document in documents.unwrap_or_default() {
        let version = document.version.map_or_else(String::new, |version| format!(", version {version}"));
        println!("  {}  {}{version}  ({})", document.id, document.title, document.path);
    }
    Ok(())
}

fn show(manifest: &Manifest) {
    let style = Style::stdout();
    let line = |name: &str, value: String| println!("{}  {value}", style.dim(&format!("{name:>12}")));
    println!("{}", style.bold(&manifest.title));
    line("id", format!("{} version {}", manifest.pack_id, manifest.version));
    line("kind", format!("{:?}, format {}", manifest.kind, manifest.format_version));
    line("state", manifest.state.to_string());
    line("parent", manifest.parent.as_ref().map_or("none".into(), ToString::to_string));
    line("languages", manifest.languages.join(", "));
    line("licence", manifest.licence.clone());
    line(
        "counts",
        format!(
            "{} documents, {} passages, {} tokens",
            manifest.counts.documents, manifest.counts.passages, manifest.counts.tokens
        ),
    );
    let embedder = &manifest.embedder;
    line(
        "embedder",
        format!("{}, {} dimensions, {:?} pooling", embedder.architecture, embedder.dims, embedder.pooling),
    );
    line("", format!("weights {}", embedder.weights));
    line(
        "splitter",
        format!(
            "version {}, at most {} tokens, {} shared",
            manifest.splitter.version, manifest.splitter.max_tokens, manifest.splitter.overlap_tokens
        ),
    );
    line(
        "index",
        match manifest.index.recall_at_10 {
            Some(recall) => format!(
                "{:?}, connectivity {}, expansion {}/{}, recall@10 {recall:.4} on {} queries",
                manifest.index.kind,
                manifest.index.connectivity,
                manifest.index.expansion_add,
                manifest.index.expansion_search,
                manifest.index.recall_sample
            ),
            None => format!("{:?}", manifest.index.kind),
        },
    );
    let floor = manifest.retrieval.floor.map_or("none".into(), |floor| format!("{floor:.2}"));
    line(
        "retrieval",
        format!(
            "{} dense + {} lexical, floor {floor}",
            manifest.retrieval.dense_weight, manifest.retrieval.lexical_weight
        ),
    );
    line(
        "calibration",
        manifest.calibration.as_ref().map_or("none: no promise about refusals".into(), |calibration| {
            format!("{} at {:.3}, error rate {:.3}", calibration.method, calibration.threshold, calibration.error_rate)
        }),
    );
    line("expires", manifest.expires.clone().unwrap_or_else(|| "never".into()));
    line("sealed", if manifest.sealing.is_some() { "yes".into() } else { "no".into() });
    line("built by", manifest.build_tool.clone());
    for section in &manifest.sections {
        line(
            "section",
            format!("{:<12} {:>12} bytes at {:>10}  {}", section.name, section.length, section.offset, section.blake3),
        );
    }
}

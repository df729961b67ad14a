//! `lore show`: a citation opened.

use std::path::PathBuf;

use clap::Args;
use lorekit_store::{OpenOptions, PassageId, Scope, Snapshot};

use crate::error::{CliError, Result};
use crate::ui::Style;

/// Arguments of `lore show`.
#[derive(Args, Clone, Debug)]
pub struct ShowArgs {
    /// The passage's id, as `search` and `ask` print it.
    passage: String,
    /// The pack.
    #[arg(long)]
    pack: PathBuf,
    /// The caller's access labels, separated by commas; what is public is found without any.
    #[arg(long, value_name = "LABELS", value_delimiter = ',')]
    labels: Vec<String>,
    /// The folder the pack was built from: compare the passage with the bytes of the source file.
    #[arg(long, value_name = "DIR")]
    source: Option<PathBuf>,
}

pub(crate) fn run(args: &ShowArgs) -> Result<()> {
    let library = Snapshot::open_pack(&args.pack, &OpenOptions::default())?;
    let unknown = || CliError::Usage(format!("{} has no passage {}", args.pack.display(), args.passage));
    let id: PassageId = args.passage.parse().map_err(|_| unknown())?;
    let key = library.by_id(id)?.ok_or_else(unknown)?;
    let passage = library.passage(key)?;
    // A citation of a superseded passage is opened as of its own last day.
    let scope = Scope { labels: &args.labels, as_of: library.superseded_day(key) };
    if !library.allows(key, &scope) {
        return Err(unknown());
    }
    let style = Style::stdout();
    println!("{}", style.bold(&passage.title_path.join(" › ")));
    println!("{}", style.dim(&format!("{} · {}", passage.place, passage.id)));
    let document = &passage.document;
    let version = document.version.as_deref().unwrap_or("none stated");
    println!(
        "{}",
        style.dim(&format!(
            "{}, version {version}, valid from {}, bytes {}–{}",
            document.path,
            document.valid_from.as_deref().unwrap_or("not stated"),
            passage.source.start,
            passage.source.end
        ))
    );
    println!("\n{}", passage.text);
    if let Some(folder) = &args.source {
        let file = folder.join(&document.path);
        let bytes = std::fs::read(&file).map_err(CliError::file(&file))?;
        let same = *blake3::hash(&bytes).as_bytes() == document.source_hash;
        let (start, end) = (passage.source.start as usize, passage.source.end as usize);
        let slice = bytes.get(start..end).ok_or_else(|| CliError::Input {
            path: file.clone(),
            reason: format!("has {} bytes, the passage ends at {end}", bytes.len()),
        })?;
        println!(
            "\n{}",
            style.dim(if same {
                "the source file is the one the pack was built from; its bytes:"
            } else {
                "the source file has CHANGED since the pack was built; the bytes now at this place:"
            })
        );
        println!("{}", String::from_utf8_lossy(slice));
    }
    Ok(())
}

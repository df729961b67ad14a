//! `lore verify`: is every byte of a pack what its manifest says, and is it safe to open?

use std::path::PathBuf;

use clap::Args;
use lorekit_pack::Pack;
use lorekit_store::{Segment, OpenOptions};

use crate::error::Result;

/// Arguments of `lore verify`.
#[derive(Args, Clone, Debug)]
pub struct VerifyArgs {
    /// The packs.
    #[arg(required = true)]
    packs: Vec<PathBuf>,
}

pub(crate) fn run(args: &VerifyArgs) -> Result<()> {
    for path in &args.packs {
        Pack::open(path)?.verify()?;
        // Opening a library walks the index and compares the database's schema: what a hash cannot tell.
        let library = Segment::open(path, &OpenOptions { verify_hashes: false, ..OpenOptions::default() })?;
        let manifest = library.manifest();
        println!(
            "{}: sound; {} sections, {} passages, state {}",
            path.display(),
            manifest.sections.len(),
            manifest.counts.passages,
            manifest.state
        );
    }
    Ok(())
}

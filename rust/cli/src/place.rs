//! Where passages come from on the command line: a pack alone, or a library.

use std::path::{Path, PathBuf};

use clap::Args;
use lorekit_answer::{EngineOptions, today};
use lorekit_pack::SealKey;
use lorekit_pack::signing::Trust;
use lorekit_store::{Library, LibraryOptions};

use crate::error::{CliError, Result};
use crate::key_file;
use crate::keys::public_key;

/// Where a library is and whom it believes.
#[derive(Args, Clone, Debug)]
pub struct Place {
    /// The base pack of a library; it is never written to.
    #[arg(long, value_name = "PACK")]
    base: PathBuf,
    /// The folder that belongs to this library alone; made if it does not exist.
    #[arg(long = "library", alias = "folder", value_name = "DIR")]
    folder: PathBuf,
    /// A public key whose signatures are believed, as a PEM file or as 64 hexadecimal digits. May be repeated.
    #[arg(long = "trust", alias = "root", value_name = "KEY")]
    roots: Vec<String>,
    /// Take unsigned packs: for development.
    #[arg(long)]
    allow_unsigned: bool,
    /// A file with the key that seals whatever is written to the folder: 32 bytes, or 64 hexadecimal digits.
    #[arg(long = "key", alias = "key-file", value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// The day by which packs expire, YYYY-MM-DD; today unless given.
    #[arg(long, value_name = "DATE")]
    today: Option<String>,
}

impl Place {
    /// The base pack.
    pub(crate) fn base(&self) -> &Path {
        &self.base
    }

    pub(crate) fn options(&self) -> Result<LibraryOptions> {
        let roots = self.roots.iter().map(|key| public_key(key)).collect::<Result<Vec<_>>>()?;
        let trust = Trust { allow_unsigned: self.allow_unsigned, ..Trust::pinned(roots) };
        let options = LibraryOptions::new(&self.base, Some(self.folder.clone()), trust);
        let key = self.key_file.as_deref().map(|path| key_file::read(path).map(SealKey::new)).transpose()?;
        Ok(LibraryOptions { key, today: Some(self.today.clone().unwrap_or_else(today)), ..options })
    }

    pub(crate) fn open(&self) -> Result<Library> {
        Ok(Library::open(self.options()?)?)
    }
}

/// What a question is asked of.
#[derive(Args, Clone, Debug)]
pub struct Source {
    /// The pack, if it is no library.
    #[arg(long, conflicts_with_all = ["base", "folder"], required_unless_present = "base")]
    pack: Option<PathBuf>,
    #[command(flatten)]
    library: Option<Place>,
}

impl Source {
    /// The pack, or the library's base: both say which embedder they need.
    pub(crate) fn base(&self) -> Result<&Path> {
        let base = self.pack.as_deref().or(self.library.as_ref().map(Place::base));
        base.ok_or_else(|| CliError::Usage("name a pack, or a library by its base and folder".into()))
    }

    /// Options of an engine on it.
    pub(crate) fn engine(&self) -> Result<EngineOptions> {
        Ok(match &self.library {
            Some(place) => EngineOptions { library: Some(place.options()?), ..EngineOptions::default() },
            None => EngineOptions { pack: self.base()?.to_owned(), ..EngineOptions::default() },
        })
    }
}

//! What a build that was cut short leaves for the next one of the same input.
//!
//! A finished stage is a file `compact-INPUT-PART-CONTENT.part`: what went in, what it is, and the first 16 bytes of the
//! content's BLAKE3. It is written beside its place, made durable and renamed, so that a file of such a name is whole or,
//! if the medium lost something, recognised as damaged and made anew. With a key it is a sealed container. Stages save
//! time and nothing else: what cannot be kept is not kept, and no error comes of it.

use std::io::Read;
use std::path::{Path, PathBuf};

use lorekit_cancel::CancelToken;
use lorekit_seal::{ChunkCache, ReadAt, SealKey, SealedFile, seal_to};

use crate::files::FileSystem;

const SUFFIX: &str = ".part";
const COPY_BYTES: usize = 1 << 20;

/// The first bytes of a hash, as they stand in names.
fn short(hash: &blake3::Hash) -> String {
    hash.to_hex().chars().take(32).collect()
}

/// The beginning of the names of all stages of one input, given by its hash.
pub(crate) fn name_prefix(input: &blake3::Hash) -> String {
    format!("compact-{}-", short(input))
}

/// Whether a file of this name is a stage, of whatever input.
pub(crate) fn is_stage(name: &str) -> bool {
    name.starts_with("compact-") && name.ends_with(SUFFIX)
}

/// The stages of one input in one folder.
pub(crate) struct Stages<'a> {
    pub files: &'a dyn FileSystem,
    pub folder: &'a Path,
    /// From [`name_prefix`].
    pub prefix: String,
    /// Seals what is kept. What is there in clear then is not believed.
    pub seal: Option<&'a SealKey>,
}

impl Stages<'_> {
    /// The greatest number under which a part is kept.
    pub fn newest(&self, part: &str) -> Option<u64> {
        self.of(part).into_iter().map(|(number, _)| number).max()
    }

    /// The content of a part, if it is kept and whole.
    pub fn bytes(&self, part: &str, number: u64) -> Option<Vec<u8>> {
        let (_, name) = self.of(part).into_iter().find(|(found, _)| *found == number)?;
        let content = self.read(&self.folder.join(&name));
        let whole = content.filter(|bytes| self.name(part, number, &blake3::hash(bytes)) == name);
        if whole.is_none() {
            let _ = self.files.remove(&self.folder.join(&name));
        }
        whole
    }

    /// The file of a part, if it is kept in clear and whole.
    pub fn file(&self, part: &str, number: u64) -> Option<PathBuf> {
        let (_, name) = self.of(part).into_iter().find(|(found, _)| *found == number)?;
        let path = self.folder.join(&name);
        let whole = self.seal.is_none() && hash_file(&path).is_ok_and(|hash| self.name(part, number, &hash) == name);
        if !whole {
            let _ = self.files.remove(&path);
        }
        whole.then_some(path)
    }

    /// Keeps a part in place of what was kept of it before.
    pub fn keep(&self, part: &str, number: u64, content: &[u8]) {
        let name = self.name(part, number, &blake3::hash(content));
        let scratch = self.folder.join(format!("{name}.tmp"));
        let written = || -> std::io::Result<()> {
            let mut file = self.files.create(&scratch)?;
            match self.seal {
                None => file.write_all(content)?,
                Some(key) => seal_to(content, content.len() as u64, &mut file, key, &CancelToken::new())
                    .map_err(std::io::Error::other)?,
            }
            file.sync()
        };
        match written() {
            Ok(()) => drop(self.place(part, &scratch, &name)),
            Err(error) => {
                log::warn!("a stage of the compaction is not kept: {}", error.kind());
                let _ = self.files.remove(&scratch);
            }
        }
    }

    /// Keeps a file that was written by other means, by giving it its name. Where it is then; none if it stays where it
    /// was.
    pub fn keep_file(&self, part: &str, number: u64, path: &Path) -> Option<PathBuf> {
        let name = self.name(part, number, &hash_file(path).ok()?);
        self.files.sync_file(path).ok()?;
        self.place(part, path, &name)
    }

    fn place(&self, part: &str, from: &Path, name: &str) -> Option<PathBuf> {
        let path = self.folder.join(name);
        if let Err(error) = self.files.rename(from, &path) {
            log::warn!("a stage of the compaction is not kept: {}", error.kind());
        }
        // Even a rename that failed may have happened.
        if !path.exists() {
            return None;
        }
        let _ = self.files.sync_folder(self.folder);
        for (_, other) in self.of(part).into_iter().filter(|(_, other)| other != name) {
            let _ = self.files.remove(&self.folder.join(other));
        }
        Some(path)
    }

    /// Names of what is kept of a part, with their numbers.
    fn of(&self, part: &str) -> Vec<(u64, String)> {
        let start = format!("{}{part}-", self.prefix);
        let names = self.files.list(self.folder).unwrap_or_default().into_iter();
        names
            .filter_map(|name| {
                let (number, _) = name.strip_prefix(&start)?.strip_suffix(SUFFIX)?.split_once('-')?;
                Some((number.parse().ok()?, name))
            })
            .collect()
    }

    fn name(&self, part: &str, number: u64, content: &blake3::Hash) -> String {
        format!("{}{part}-{number}-{}{SUFFIX}", self.prefix, short(content))
    }

    fn read(&self, path: &Path) -> Option<Vec<u8>> {
        let Some(key) = self.seal else { return std::fs::read(path).ok() };
        let sealed = SealedFile::open(path, key, &ChunkCache::new(0)).ok()?;
        let mut content = vec![0; usize::try_from(sealed.len()).ok()?];
        sealed.read_once(0, &mut content).ok()?;
        Some(content)
    }
}

fn hash_file(path: &Path) -> std::io::Result<blake3::Hash> {
    let (mut file, mut hasher) = (std::fs::File::open(path)?, blake3::Hasher::new());
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize()),
            n_bytes => hasher.update(&buffer[..n_bytes]),
        };
    }
}

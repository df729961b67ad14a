//! Reading a pack: everything is checked against everything else before a section is handed out.

use std::borrow::Cow;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lorekit_seal::{ChunkCache, FileSource, ReadAt, SealedFile, Window};

use crate::error::{Error, Result};
use crate::id::ContentHash;
use crate::layout::{
    FOOTER_BYTES, HEADER_BYTES, Header, MAGIC, MAX_MANIFEST_BYTES, MAX_SECTIONS, PART_ALIGNMENT, SECTION_ALIGNMENT,
    SIGNATURE_AREA_BYTES, SectionKind, TABLE_ENTRY_BYTES, TableEntry, align_up, encode_footer,
};
use crate::manifest::Manifest;
use crate::map::map_read_only;
use crate::source::{Mapped, PackOptions, SectionReader, Source};
use crate::writer::SEALING;

/// A pack whose structure was checked: mapped read-only, or decrypted as it is read.
#[derive(Debug)]
pub struct Pack {
    path: PathBuf,
    source: Source,
    /// The plain bytes from the manifest to the end of the file.
    tail: Vec<u8>,
    manifest: Manifest,
    header: Header,
    /// The content of publisher-sealed sections, by kind; empty without their key.
    sealed_sections: Vec<(u32, SectionReader)>,
    cache: Arc<ChunkCache>,
}

/// Bytes decrypted at a time while hashing.
const VERIFY_BYTES: usize = 1 << 20;

/// What [`Pack::verify`] went through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyReport {
    /// Sections hashed.
    pub sections: usize,
    /// Bytes hashed.
    pub bytes: u64,
    /// BLAKE3 of the manifest: the identity of this pack, signed or not.
    pub manifest: ContentHash,
}

impl Pack {
    /// Maps a pack and checks header, footer, table, manifest and bounds. Sections are not hashed: their cost is
    /// reading them once, see [`open_verified`](Self::open_verified).
    ///
    /// # Errors
    /// A variant of [`Error`] that names what is wrong; hostile bytes never panic and never make it allocate more than
    /// the limits on manifest and sections allow.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, &PackOptions::default())
    }

    /// As [`open`](Self::open), with keys: a sealed file is decrypted as it is read, and nothing of it is mapped. All
    /// checks are those of a plain pack. A plain file is opened as such whatever keys are given, see
    /// [`is_sealed`](Self::is_sealed).
    ///
    /// # Errors
    /// As [`open`](Self::open); [`Error::KeyNeeded`] for a sealed file without a key, [`Error::WrongKey`] with another key,
    /// [`Error::Sealed`] for damage.
    pub fn open_with(path: impl AsRef<Path>, options: &PackOptions) -> Result<Self> {
        let path = path.as_ref();
        let (file, length) = open_file(path)?;
        Self::open_file(path, file, 0, length, options)
    }

    /// Opens a pack that is a part of a larger file, such as an uncompressed entry of an APK.
    ///
    /// # Errors
    /// As [`open`](Self::open); [`Error::Truncated`] if the range leaves the file.
    pub fn open_range(path: impl AsRef<Path>, offset: u64, length: u64) -> Result<Self> {
        Self::open_range_with(path, offset, length, &PackOptions::default())
    }

    /// [`open_range`](Self::open_range) with keys.
    ///
    /// # Errors
    /// As [`open_range`](Self::open_range) and [`open_with`](Self::open_with).
    pub fn open_range_with(path: impl AsRef<Path>, offset: u64, length: u64, options: &PackOptions) -> Result<Self> {
        let path = path.as_ref();
        let (file, found) = open_file(path)?;
        match offset.checked_add(length) {
            Some(end) if end <= found => Self::open_file(path, file, offset, length, options),
            end => Err(truncated(path, "the range of the pack", end.unwrap_or(u64::MAX), found)),
        }
    }

    /// [`open`](Self::open), then [`verify`](Self::verify).
    ///
    /// # Errors
    /// As both.
    pub fn open_verified(path: impl AsRef<Path>) -> Result<Self> {
        let pack = Self::open(path)?;
        pack.verify()?;
        Ok(pack)
    }

    fn open_file(path: &Path, file: File, offset: u64, length: u64, options: &PackOptions) -> Result<Self> {
        let cache = options.cache.clone().unwrap_or_else(|| ChunkCache::new(ChunkCache::DEFAULT_BUDGET));
        let failed = || Error::sealed(path);
        let raw =
            Arc::new(FileSource::new(file.try_clone().map_err(Error::io(path, "open a pack"))?).map_err(failed())?);
        let mut head = vec![0; length.min(lorekit_seal::HEADER_BYTES as u64) as usize];
        let window = Window::new(raw, offset, length).map_err(failed())?;
        window.read_at(0, &mut head).map_err(failed())?;
        let source = if !head.starts_with(&MAGIC) && lorekit_seal::is_sealed(&head) {
            let key = options.key.as_ref().ok_or_else(|| Error::KeyNeeded { path: path.into() })?;
            let sealed = SealedFile::open_source(Arc::new(window), key, &cache).map_err(failed())?;
            Source::Sealed(Arc::new(sealed))
        } else {
            let mappable = usize::try_from(length).ok().filter(|&n| n <= isize::MAX as usize);
            let Some(mappable) = mappable else {
                return Err(Error::damaged(path, "file", "a length this machine can map", length));
            };
            if mappable < HEADER_BYTES {
                return Err(truncated(path, "header", HEADER_BYTES as u64, length));
            }
            let map = map_read_only(&file, offset, mappable).map_err(Error::io(path, "map the file"))?;
            Source::Mapped(Mapped(Arc::new(map)))
        };
        let mut pack = Self::open_source(path, source, cache)?;
        if let Some(sealing) = &pack.manifest.sealing {
            if sealing.algorithm != SEALING {
                let feature = format!("sealing {}", sealing.algorithm);
                return Err(Error::UnsupportedFeature { path: path.into(), feature });
            }
            if let Some(key) = &options.content_key {
                for entry in &pack.manifest.sections {
                    let window = pack.stored(entry.offset, entry.length)?;
                    let sealed = SealedFile::open_source(Arc::new(window), key, &pack.cache).map_err(failed())?;
                    pack.sealed_sections.push((entry.kind, SectionReader::new(Arc::new(sealed))));
                }
            }
        }
        Ok(pack)
    }

    fn open_source(path: &Path, source: Source, cache: Arc<ChunkCache>) -> Result<Self> {
        let length = source.len();
        let smallest = SECTION_ALIGNMENT + SIGNATURE_AREA_BYTES + FOOTER_BYTES as u64;
        if length < HEADER_BYTES as u64 {
            return Err(truncated(path, "header", HEADER_BYTES as u64, length));
        }
        let mut head = [0; HEADER_BYTES];
        source.reader_ref().read_at(0, &mut head).map_err(Error::sealed(path))?;
        let header = Header::decode(path, &head)?;
        if header.file_bytes > length {
            return Err(truncated(path, "file", header.file_bytes, length));
        }
        if header.file_bytes < length {
            return Err(Error::damaged(path, "file", format!("{} bytes", header.file_bytes), length));
        }
        if length < smallest {
            return Err(truncated(path, "file", smallest, length));
        }
        let footer = encode_footer(&head, length);
        let mut found_footer = [0; FOOTER_BYTES];
        let footer_offset = length - FOOTER_BYTES as u64;
        source.reader_ref().read_at(footer_offset, &mut found_footer).map_err(Error::sealed(path))?;
        if found_footer != footer {
            return Err(Error::damaged(path, "footer", "the header's length and checksum", "other bytes"));
        }
        // The limits on manifest and sections bound the tail, whose parts follow one another without a gap.
        let manifest_bytes = check_parts(path, &header)?;
        let mut tail = vec![0; (length - header.manifest_offset) as usize];
        source.reader_ref().read_at(header.manifest_offset, &mut tail).map_err(Error::sealed(path))?;
        let manifest_range = slice(&tail, 0, manifest_bytes)
            .ok_or_else(|| truncated(path, "manifest", header.manifest_offset + manifest_bytes, length))?;
        let found = ContentHash::of(manifest_range);
        if found != header.manifest_hash {
            return Err(hash_mismatch(path, "manifest", header.manifest_hash, found));
        }
        let manifest = Manifest::decode(path, manifest_range)?;
        let table_bytes = u64::from(header.sections) * TABLE_ENTRY_BYTES as u64;
        let table = slice(&tail, header.table_offset - header.manifest_offset, table_bytes)
            .ok_or_else(|| truncated(path, "section table", header.signature_offset, length))?;
        check_sections(path, &header, &manifest, table)?;
        Ok(Self { path: path.to_path_buf(), source, tail, manifest, header, sealed_sections: Vec::new(), cache })
    }

    /// Hashes each section and compares with the manifest. Costs one read of the file.
    ///
    /// # Errors
    /// [`Error::HashMismatch`] for the first section that differs; [`Error::Damaged`] if bytes between sections are
    /// not zero.
    pub fn verify(&self) -> Result<VerifyReport> {
        let mut end = HEADER_BYTES as u64;
        let mut bytes = 0;
        for entry in &self.manifest.sections {
            self.check_zeros(end, entry.offset)?;
            let found = self.hash(entry.offset, entry.length)?;
            if found != entry.blake3 {
                return Err(hash_mismatch(&self.path, &entry.name, entry.blake3, found));
            }
            bytes += entry.length;
            end = entry.offset + entry.length;
        }
        self.check_zeros(end, self.header.manifest_offset)?;
        self.check_zeros(self.header.manifest_offset + self.header.manifest_bytes, self.header.table_offset)?;
        Ok(VerifyReport { sections: self.manifest.sections.len(), bytes, manifest: self.header.manifest_hash })
    }

    fn hash(&self, offset: u64, length: u64) -> Result<ContentHash> {
        if let Some(section) = self.source.slice(offset, length) {
            return Ok(ContentHash::of(section));
        }
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; VERIFY_BYTES];
        let mut at = offset;
        while at < offset + length {
            let part = (offset + length - at).min(buffer.len() as u64) as usize;
            self.source.reader_ref().read_once(at, &mut buffer[..part]).map_err(Error::sealed(&self.path))?;
            hasher.update(&buffer[..part]);
            at += part as u64;
        }
        Ok(ContentHash(*hasher.finalize().as_bytes()))
    }

    fn check_zeros(&self, start: u64, end: u64) -> Result<()> {
        // Gaps are shorter than one alignment; the structure was checked.
        let mut gap = vec![0; end.saturating_sub(start).min(SECTION_ALIGNMENT) as usize];
        self.source.reader_ref().read_at(start, &mut gap).map_err(Error::sealed(&self.path))?;
        if gap.iter().any(|&byte| byte != 0) {
            return Err(Error::damaged(&self.path, "padding", "zeros", "other bytes"));
        }
        Ok(())
    }

    /// Whether the sections' bytes are encrypted in the file: the whole file, by LoreKit under the app's key, or each
    /// section, by the publisher.
    pub fn is_sealed(&self) -> bool {
        matches!(self.source, Source::Sealed(_)) || self.manifest.sealing.is_some()
    }

    /// Where decrypted chunks are kept.
    pub fn cache(&self) -> &Arc<ChunkCache> {
        &self.cache
    }

    /// The bytes of a section, if the pack has it and it is mapped; they live as long as the pack. None as well for a
    /// sealed pack, which nothing is mapped of: see [`section_reader`](Self::section_reader).
    pub fn section(&self, kind: SectionKind) -> Option<&[u8]> {
        if self.manifest.sealing.is_some() {
            return None;
        }
        let entry = self.manifest.section(kind)?;
        self.source.slice(entry.offset, entry.length)
    }

    /// The bytes of a section that the caller cannot do without.
    ///
    /// # Errors
    /// [`Error::MissingSection`]; [`Error::NotMapped`] for a section of a sealed pack.
    pub fn require(&self, kind: SectionKind) -> Result<&[u8]> {
        self.section(kind).ok_or_else(|| match self.manifest.section(kind) {
            Some(_) => Error::NotMapped { path: self.path.clone(), section: kind.name() },
            None => self.missing(kind),
        })
    }

    /// The plain bytes of a section, whether the pack is sealed or not.
    ///
    /// # Errors
    /// [`Error::MissingSection`]; [`Error::KeyNeeded`] for a section that the publisher sealed, without its key.
    pub fn section_reader(&self, kind: SectionKind) -> Result<SectionReader> {
        let entry = self.manifest.section(kind).ok_or_else(|| self.missing(kind))?;
        if self.manifest.sealing.is_some() {
            let mut sealed = self.sealed_sections.iter();
            let found = sealed.find(|(number, _)| *number == entry.kind);
            return found.map(|(_, reader)| reader.clone()).ok_or_else(|| Error::KeyNeeded { path: self.path.clone() });
        }
        Ok(SectionReader::new(Arc::new(self.stored(entry.offset, entry.length)?)))
    }

    /// All plain bytes of a section: mapped, or decrypted into memory as a whole.
    ///
    /// # Errors
    /// As [`section_reader`](Self::section_reader), and as reading it.
    pub fn read_section(&self, kind: SectionKind) -> Result<Cow<'_, [u8]>> {
        if let Some(bytes) = self.section(kind) {
            return Ok(Cow::Borrowed(bytes));
        }
        let reader = self.section_reader(kind)?;
        let length = usize::try_from(reader.len());
        let length = length.map_err(|_| Error::damaged(&self.path, kind.name(), "a length that fits", reader.len()))?;
        let mut bytes = vec![0; length];
        reader.read_once(0, &mut bytes).map_err(Error::sealed(&self.path))?;
        Ok(Cow::Owned(bytes))
    }

    /// The plain bytes of the whole pack, for copying it.
    pub fn reader(&self) -> SectionReader {
        SectionReader::new(self.source.reader())
    }

    fn stored(&self, offset: u64, length: u64) -> Result<Window> {
        Window::new(self.source.reader(), offset, length).map_err(Error::sealed(&self.path))
    }

    fn missing(&self, kind: SectionKind) -> Error {
        Error::MissingSection { path: self.path.clone(), section: kind.name() }
    }

    /// What the pack says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// BLAKE3 of the manifest's bytes: the identity of this pack.
    pub fn manifest_hash(&self) -> ContentHash {
        self.header.manifest_hash
    }

    /// The manifest's bytes as stored: what a signature is over.
    pub fn manifest_bytes(&self) -> &[u8] {
        slice(&self.tail, 0, self.header.manifest_bytes).unwrap_or_default()
    }

    /// The signature area, 16 KiB; none when it is all zeros, that is, when the pack is unsigned.
    pub fn signature_area(&self) -> Option<&[u8]> {
        slice(&self.tail, self.header.signature_offset - self.header.manifest_offset, SIGNATURE_AREA_BYTES)
            .filter(|area| area.iter().any(|&byte| byte != 0))
    }

    /// Where the signature area begins.
    pub(crate) fn signature_offset(&self) -> u64 {
        self.header.signature_offset
    }

    /// Where the pack is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The pack's length; the file's, unless it is sealed, which adds some.
    pub fn file_bytes(&self) -> u64 {
        self.header.file_bytes
    }
}

fn open_file(path: &Path) -> Result<(File, u64)> {
    let file = File::open(path).map_err(Error::io(path, "open a pack"))?;
    let metadata = file.metadata().map_err(Error::io(path, "read the length of a pack"))?;
    if !metadata.is_file() {
        return Err(Error::damaged(path, "file", "a regular file", "something else"));
    }
    Ok((file, metadata.len()))
}

fn truncated(path: &Path, part: &str, expected: u64, found: u64) -> Error {
    Error::Truncated { path: path.into(), part: part.into(), expected, found }
}

fn hash_mismatch(path: &Path, section: &str, expected: ContentHash, found: ContentHash) -> Error {
    Error::HashMismatch {
        path: path.into(),
        section: section.into(),
        expected: expected.to_string(),
        found: found.to_string(),
    }
}

fn slice(map: &[u8], offset: u64, length: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    let end = start.checked_add(usize::try_from(length).ok()?)?;
    map.get(start..end)
}

/// Checks that manifest, table, signature area and footer follow one another as the format says; gives the manifest's
/// length.
fn check_parts(path: &Path, header: &Header) -> Result<u64> {
    let Header { file_bytes, manifest_offset, manifest_bytes, table_offset, signature_offset, sections, .. } = *header;
    if manifest_bytes > MAX_MANIFEST_BYTES {
        return Err(Error::damaged(path, "manifest", format!("at most {MAX_MANIFEST_BYTES} bytes"), manifest_bytes));
    }
    if sections as usize > MAX_SECTIONS {
        return Err(Error::damaged(path, "section table", format!("at most {MAX_SECTIONS} sections"), sections));
    }
    let expect = |part: &str, found: u64, expected: Option<u64>| match expected {
        Some(expected) if expected == found => Ok(()),
        Some(expected) => Err(Error::damaged(path, part, format!("offset {expected}"), found)),
        None => Err(Error::damaged(path, part, "an offset within 64 bits", found)),
    };
    if manifest_offset < SECTION_ALIGNMENT || manifest_offset % PART_ALIGNMENT != 0 {
        return Err(Error::damaged(path, "manifest", "an aligned offset behind the header", manifest_offset));
    }
    let manifest_end = manifest_offset.checked_add(manifest_bytes);
    expect("section table", table_offset, manifest_end.and_then(|end| align_up(end, PART_ALIGNMENT)))?;
    let table_bytes = u64::from(sections) * TABLE_ENTRY_BYTES as u64;
    expect("signature area", signature_offset, table_offset.checked_add(table_bytes))?;
    let tail = SIGNATURE_AREA_BYTES + FOOTER_BYTES as u64;
    expect("end of the file", file_bytes, signature_offset.checked_add(tail))?;
    Ok(manifest_bytes)
}

/// Checks that table and manifest agree and that the sections lie in order, aligned, apart, and before the manifest.
fn check_sections(path: &Path, header: &Header, manifest: &Manifest, table: &[u8]) -> Result<()> {
    if manifest.sections.len() != header.sections as usize {
        return Err(Error::damaged(path, "section table", manifest.sections.len().to_string(), header.sections));
    }
    let mut end = HEADER_BYTES as u64;
    let mut seen = Vec::with_capacity(manifest.sections.len());
    for (entry, bytes) in manifest.sections.iter().zip(table.chunks_exact(TABLE_ENTRY_BYTES)) {
        let bytes = bytes.first_chunk::<TABLE_ENTRY_BYTES>().expect("chunks have their size");
        let row = TableEntry::decode(path, bytes)?;
        let same = row.kind == entry.kind
            && row.required == entry.required
            && row.offset == entry.offset
            && row.length == entry.length
            && row.hash == entry.blake3;
        if !same {
            return Err(Error::damaged(path, "section table", "the manifest's entries", "others"));
        }
        let name = match SectionKind::from_number(entry.kind) {
            Some(kind) => kind.name().to_owned(),
            None if entry.required => {
                let feature = format!("section {}", entry.kind);
                return Err(Error::UnsupportedFeature { path: path.into(), feature });
            }
            None => format!("section {}", entry.kind),
        };
        if SectionKind::from_number(entry.kind).is_some_and(|kind| entry.name != kind.name()) {
            return Err(Error::damaged(path, name, "its own name in the manifest", "another"));
        }
        if seen.contains(&entry.kind) {
            return Err(Error::damaged(path, name, "one section of this kind", "two"));
        }
        seen.push(entry.kind);
        if entry.offset % SECTION_ALIGNMENT != 0 {
            return Err(Error::damaged(path, name, "an offset of a multiple of 16 KiB", entry.offset));
        }
        // Gaps hold padding only, so that no bytes hide between sections.
        if align_up(end, SECTION_ALIGNMENT) != Some(entry.offset) {
            return Err(Error::damaged(path, name, "an offset right behind the section before", entry.offset));
        }
        end = match entry.offset.checked_add(entry.length) {
            Some(end) if end <= header.manifest_offset => end,
            _ => return Err(truncated(path, &name, entry.offset.saturating_add(entry.length), header.manifest_offset)),
        };
    }
    let first = if manifest.sections.is_empty() { SECTION_ALIGNMENT } else { end };
    if align_up(first, PART_ALIGNMENT) != Some(header.manifest_offset) {
        return Err(Error::damaged(
            path,
            "manifest",
            "an offset right behind the last section",
            header.manifest_offset,
        ));
    }
    Ok(())
}

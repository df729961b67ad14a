//! Files that arrive in pieces, and zip archives (a wheel is one).
//!
//! Pieces are read as one file without being joined on the disk first.
//! Archives are hostile bytes: nothing is written but the members that the caller names,
//! to paths that the caller chose, and never more bytes than the caller allows.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use lorekit_cancel::CancelToken;
use rawzip::{CompressionMethod, FileReader, ReaderAt, ZipArchive, ZipArchiveEntryWayfinder, ZipLocator};

use super::error::{Failure, ModelsError, SourceError};
use super::place;

/// Several files read as one.
pub(crate) struct Joined {
    pieces: Vec<(FileReader, u64)>,
    at: u64,
    len: u64,
}

impl Joined {
    /// Opens the pieces in their order.
    pub fn open(paths: &[PathBuf]) -> Result<Self, ModelsError> {
        let mut pieces = Vec::with_capacity(paths.len());
        let mut len = 0u64;
        for path in paths {
            let failed = |e| ModelsError::io("open", path, e);
            let file = File::open(path).map_err(failed)?;
            let bytes = file.metadata().map_err(failed)?.len();
            pieces.push((FileReader::from(file), bytes));
            len += bytes;
        }
        Ok(Self { pieces, at: 0, len })
    }

    /// Length of the whole in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }
}

impl ReaderAt for Joined {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let mut start = 0;
        for (file, bytes) in &self.pieces {
            if at < start + *bytes {
                let room = usize::try_from(start + *bytes - at).unwrap_or(usize::MAX).min(buffer.len());
                return file.read_at(&mut buffer[..room], at - start);
            }
            start += *bytes;
        }
        Ok(0)
    }
}

impl Read for Joined {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.read_at(buffer, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

/// A zip archive.
pub(crate) struct Archive {
    name: String,
    zip: ZipArchive<Joined>,
    members: Vec<Member>,
}

struct Member {
    path: String,
    method: CompressionMethod,
    place: ZipArchiveEntryWayfinder,
}

/// More members than any package that carries a model has.
const MAX_MEMBERS: usize = 10_000;

impl Archive {
    /// Reads the archive's list of members; `name` stands for it in errors.
    pub fn open(name: &str, bytes: Joined) -> Result<Self, SourceError> {
        let damaged = |e: rawzip::Error| SourceError::Archive { archive: name.to_owned(), reason: e.to_string() };
        let mut buffer = vec![0; rawzip::RECOMMENDED_BUFFER_SIZE];
        let end = bytes.len();
        let zip = ZipLocator::new().locate_in_reader(bytes, &mut buffer, end).map_err(|(_, e)| damaged(e))?;
        let mut members = Vec::new();
        let mut entries = zip.entries(&mut buffer);
        while let Some(entry) = entries.next_entry().map_err(damaged)? {
            if members.len() == MAX_MEMBERS {
                let reason = format!("more than {MAX_MEMBERS} members");
                return Err(SourceError::Archive { archive: name.to_owned(), reason });
            }
            if let Ok(path) = std::str::from_utf8(entry.file_path().as_bytes())
                && !entry.is_dir()
            {
                members.push(Member {
                    path: path.to_owned(),
                    method: entry.compression_method(),
                    place: entry.wayfinder(),
                });
            }
        }
        Ok(Self { name: name.to_owned(), zip, members })
    }

    /// Writes the one member that matches `pattern` to `target`, at most `limit` bytes of it.
    /// `target` appears whole or not at all; its bytes agree with the archive's checksum, which is no proof of origin.
    pub fn extract(
        &self,
        pattern: &str,
        target: &Path,
        limit: u64,
        cancel: &CancelToken,
        on_bytes: &mut dyn FnMut(u64),
    ) -> Result<(), Failure> {
        let wrong = |reason: String| SourceError::Archive { archive: self.name.clone(), reason };
        let mut matching = self.members.iter().filter(|m| matches(pattern, &m.path));
        let member = match (matching.next(), matching.next()) {
            (Some(one), None) => one,
            (None, _) => return Err(wrong(format!("has no {pattern}")).into()),
            (Some(_), Some(_)) => return Err(wrong(format!("has more than one {pattern}")).into()),
        };
        let entry = self.zip.get_entry(member.place).map_err(|e| wrong(e.to_string()))?;
        let raw = entry.reader();
        let mut bytes: Box<dyn Read> = match member.method {
            CompressionMethod::STORE => Box::new(entry.verifying_reader(raw)),
            CompressionMethod::DEFLATE => Box::new(entry.verifying_reader(flate2::read::DeflateDecoder::new(raw))),
            other => {
                return Err(wrong(format!("{} is compressed by method {other:?}", member.path)).into());
            }
        };

        place::make_parent(target)?;
        let mut part = target.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let mut out = File::create(&part).map_err(|e| ModelsError::io("write", &part, e))?;
        let mut block = vec![0; 1 << 17];
        let mut done = 0u64;
        loop {
            cancel.check()?;
            let n = match bytes.read(&mut block) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) => return Err(wrong(format!("{}: {e}", member.path)).into()),
            };
            done += n as u64;
            if done > limit {
                drop(out);
                place::remove(&part)?;
                return Err(wrong(format!("{} is longer than {limit} bytes", member.path)).into());
            }
            place::write_block(&mut out, &part, &block[..n])?;
            on_bytes(done);
        }
        out.flush().map_err(|e| ModelsError::io("write", &part, e))?;
        drop(out);
        place::commit(&part, target)?;
        Ok(())
    }
}

/// Whether `path` has the form of `pattern`, in which `*` stands for any run of characters but `/`.
/// Takes time in the product of the lengths.
fn matches(pattern: &str, path: &str) -> bool {
    let (pattern, path) = (pattern.as_bytes(), path.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to go back to: after the last star, and the text position it has eaten up to.
    let mut star: Option<(usize, usize)> = None;
    while t < path.len() {
        if p < pattern.len() && pattern[p] == b'*' {
            star = Some((p + 1, t));
            p += 1;
        } else if p < pattern.len() && pattern[p] == path[t] {
            p += 1;
            t += 1;
        } else if let Some((after, eaten)) = star
            && path[eaten] != b'/'
        {
            star = Some((after, eaten + 1));
            p = after;
            t = eaten + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&b| b == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A zip archive with one deflated member per pair.
    fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = rawzip::ZipArchiveWriter::new(Vec::new());
        for (path, bytes) in members {
            let (mut entry, config) =
                archive.new_file(path).compression_method(CompressionMethod::DEFLATE).start().unwrap();
            let encoder = flate2::write::DeflateEncoder::new(&mut entry, flate2::Compression::default());
            let mut writer = config.wrap(encoder);
            writer.write_all(bytes).unwrap();
            let (encoder, descriptor) = writer.finish().unwrap();
            encoder.finish().unwrap();
            entry.finish(descriptor).unwrap();
        }
        archive.finish().unwrap()
    }

    fn open(folder: &Path, bytes: &[u8], cut: usize) -> Result<Archive, SourceError> {
        let (a, b) = bytes.split_at(cut.min(bytes.len()));
        let paths = [folder.join("a"), folder.join("b")];
        std::fs::write(&paths[0], a).unwrap();
        std::fs::write(&paths[1], b).unwrap();
        Archive::open("test.zip", Joined::open(&paths).unwrap())
    }

    fn extract(archive: &Archive, pattern: &str, target: &Path, limit: u64) -> Result<(), Failure> {
        archive.extract(pattern, target, limit, &CancelToken::new(), &mut |_| ())
    }

    #[test]
    fn an_archive_in_two_pieces_is_read_wherever_it_was_cut() {
        let folder = tempfile::tempdir().unwrap();
        let text: Vec<u8> = (0..3000u32).flat_map(u32::to_le_bytes).collect();
        let bytes = zip(&[("m/one.bin", &text), ("m/two.bin", b"two")]);
        for cut in [0, 1, 30, bytes.len() / 2, bytes.len() - 1, bytes.len()] {
            let archive = open(folder.path(), &bytes, cut).unwrap();
            let target = folder.path().join("out/one");
            extract(&archive, "m/one.bin", &target, u64::MAX).unwrap();
            assert_eq!(std::fs::read(&target).unwrap(), text, "cut at {cut}");
        }
    }

    #[test]
    fn a_member_longer_than_allowed_is_refused_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let archive = open(folder.path(), &zip(&[("bomb", &vec![0; 1 << 20])]), 10).unwrap();
        let target = folder.path().join("bomb");
        assert!(matches!(extract(&archive, "bomb", &target, 1 << 16), Err(Failure::Source(_))));
        assert!(!target.exists() && !folder.path().join("bomb.part").exists());
    }

    #[test]
    fn absent_and_ambiguous_members_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let archive = open(folder.path(), &zip(&[("p/a.bin", b"1"), ("p/b.bin", b"2")]), 10).unwrap();
        let reason = |pattern| match extract(&archive, pattern, &folder.path().join("x"), 9) {
            Err(Failure::Source(SourceError::Archive { reason, .. })) => reason,
            other => panic!("{other:?}"),
        };
        assert!(reason("p/c.bin").contains("has no"));
        assert!(reason("p/*.bin").contains("more than one"));
    }

    #[test]
    fn no_damaged_archive_gives_a_file_with_other_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let text = b"the same text again and again, again and again".repeat(8);
        let bytes = zip(&[("t", &text)]);
        let target = folder.path().join("t");
        for i in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[i] ^= 0x41;
            if let Ok(archive) = open(folder.path(), &bad, bytes.len() / 2)
                && extract(&archive, "t", &target, 1 << 16).is_ok()
            {
                assert_eq!(std::fs::read(&target).unwrap(), text, "byte {i}");
            }
            let _ = std::fs::remove_file(&target);
        }
        for cut in 0..bytes.len() {
            assert!(open(folder.path(), &bytes[..cut], cut / 2).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_star_stops_at_a_slash() {
        assert!(matches("*/data/part*.bin", "pandas/data/part01.bin"));
        assert!(matches("a*", "a") && matches("*", "abc") && matches("a*c*", "abcbc"));
        assert!(!matches("*.bin", "x/y.bin") && !matches("a*c", "ab/c") && !matches("a", "ab") && !matches("ab", "a"));
    }
}

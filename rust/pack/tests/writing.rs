//! A pack appears whole or not at all.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use common::{manifest, sample_section, write_sample};
use lorekit_pack::{Error, Pack, PackWriter, SectionKind};

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn sections_come_back_as_written_on_their_boundaries() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.lorepack");
    write_sample(&path);
    let pack = Pack::open_verified(&path).unwrap();
    assert_eq!(pack.section(SectionKind::Passages).unwrap(), sample_section(1));
    assert_eq!(pack.section(SectionKind::Vectors).unwrap(), sample_section(2));
    assert!(pack.section(SectionKind::Withdrawals).is_none());
    assert!(pack.manifest().sections.iter().all(|entry| entry.offset % (16 * 1024) == 0));
    assert_eq!(pack.file_bytes(), fs::metadata(&path).unwrap().len());
    assert_eq!(names(folder.path()), ["x.lorepack"]);
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("1"), folder.path().join("2"));
    write_sample(&one);
    write_sample(&two);
    assert!(fs::read(one).unwrap() == fs::read(two).unwrap());
}

#[test]
fn a_dropped_writer_leaves_nothing_and_keeps_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.lorepack");
    fs::write(&path, b"old").unwrap();
    let mut writer = PackWriter::create(&path).unwrap();
    writer.section_from_bytes(SectionKind::Notices, b"licence").unwrap();
    assert_eq!(names(folder.path()).len(), 2);
    drop(writer);
    assert_eq!(names(folder.path()), ["x.lorepack"]);
    assert_eq!(fs::read(&path).unwrap(), b"old");
}

#[test]
fn errors_while_writing_leave_nothing() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("broken"))
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.lorepack");
    let mut writer = PackWriter::create(&path).unwrap();
    assert!(matches!(writer.section_from_reader(SectionKind::Notices, Broken), Err(Error::Io { .. })));
    drop(writer);

    let mut writer = PackWriter::create(&path).unwrap();
    writer.section_from_bytes(SectionKind::Notices, b"a").unwrap();
    assert!(matches!(writer.section_from_bytes(SectionKind::Notices, b"a"), Err(Error::InvalidInput { .. })));
    drop(writer);

    let mut refused = manifest();
    refused.embedder.dims = 0;
    let error = PackWriter::create(&path).unwrap().finish(refused).unwrap_err();
    assert!(matches!(error, Error::ManifestValue { field: "embedder.dims", .. }));

    let mut long = manifest();
    long.title = "x".repeat(2 << 20);
    assert!(matches!(PackWriter::create(&path).unwrap().finish(long), Err(Error::InvalidInput { .. })));
    assert!(names(folder.path()).is_empty());
    assert!(matches!(PackWriter::create(folder.path().join("no/x")), Err(Error::Io { .. })));
}

#[test]
fn a_target_that_cannot_be_replaced_is_an_error_that_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.lorepack");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("child"), b"").unwrap();
    assert!(matches!(PackWriter::create(&path).unwrap().finish(manifest()), Err(Error::Io { .. })));
    assert_eq!(names(folder.path()), ["x.lorepack"]);
}

#[test]
fn a_pack_without_sections_is_sound() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.lorepack");
    PackWriter::create(&path).unwrap().finish(manifest()).unwrap();
    Pack::open_verified(&path).unwrap();
    let mut writer = PackWriter::create(&path).unwrap();
    writer.section_from_bytes(SectionKind::Passages, b"").unwrap();
    writer.section_from_bytes(SectionKind::Vectors, b"").unwrap();
    writer.finish(manifest()).unwrap();
    let pack = Pack::open_verified(&path).unwrap();
    assert_eq!(pack.section(SectionKind::Vectors), Some(&[][..]));
}

//! Sealed packs: the same content and the same checks as plain ones, behind a key.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::Path;

use common::{manifest, sample_section, write_sample};
use lorekit_pack::{Error, Pack, PackOptions, PackWriter, ReadAt, SealKey, SectionKind};

fn with_key(key: u8) -> PackOptions {
    PackOptions { key: Some(SealKey::new([key; 32])), ..PackOptions::default() }
}

fn with_content_key(key: u8) -> PackOptions {
    PackOptions { content_key: Some(SealKey::new([key; 32])), ..PackOptions::default() }
}

fn fill(mut writer: PackWriter) {
    writer.section_from_bytes(SectionKind::Passages, &sample_section(1)).unwrap();
    writer.section_from_bytes(SectionKind::Vectors, &sample_section(2)).unwrap();
    writer.finish(manifest()).unwrap();
}

fn read(pack: &Pack, kind: SectionKind) -> Vec<u8> {
    pack.read_section(kind).unwrap().into_owned()
}

fn holds(path: &Path, what: &[u8]) -> bool {
    fs::read(path).unwrap().windows(what.len()).any(|window| window == what)
}

#[test]
fn a_sealed_pack_has_the_manifest_and_sections_of_the_plain_one() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, sealed) = (folder.path().join("plain"), folder.path().join("sealed"));
    write_sample(&plain);
    fill(PackWriter::create_sealed(&sealed, &SealKey::new([1; 32])).unwrap());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no scratch file is left");
    let plain = Pack::open(&plain).unwrap();
    let pack = Pack::open_with(&sealed, &with_key(1)).unwrap();
    assert!(pack.is_sealed() && !plain.is_sealed());
    assert_eq!(pack.manifest(), plain.manifest());
    assert_eq!(pack.manifest_bytes(), plain.manifest_bytes());
    assert_eq!(pack.verify().unwrap(), plain.verify().unwrap());
    assert_eq!(pack.reader().len(), plain.reader().len());
    for (seed, kind) in [(1, SectionKind::Passages), (2, SectionKind::Vectors)] {
        assert_eq!(read(&pack, kind), sample_section(seed));
        assert_eq!(read(&plain, kind), sample_section(seed));
        assert!(pack.section(kind).is_none());
        assert!(matches!(pack.require(kind), Err(Error::NotMapped { .. })));
        let mut part = [0; 100];
        pack.section_reader(kind).unwrap().read_at(17, &mut part).unwrap();
        assert_eq!(part, sample_section(seed)[17..117]);
    }
    assert!(matches!(pack.section_reader(SectionKind::Notices), Err(Error::MissingSection { .. })));
    assert!(!holds(&sealed, b"test.pack") && !holds(&sealed, &sample_section(1)[..16]));
}

#[test]
fn a_missing_and_a_wrong_key_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let sealed = folder.path().join("sealed");
    fill(PackWriter::create_sealed(&sealed, &SealKey::new([1; 32])).unwrap());
    assert!(matches!(Pack::open(&sealed), Err(Error::KeyNeeded { .. })));
    assert!(matches!(Pack::open_with(&sealed, &with_key(2)), Err(Error::WrongKey { .. })));
}

#[test]
fn a_plain_pack_stays_plain_whatever_keys_are_given() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain");
    write_sample(&plain);
    let options = PackOptions { content_key: Some(SealKey::new([3; 32])), ..with_key(1) };
    let pack = Pack::open_with(&plain, &options).unwrap();
    assert!(!pack.is_sealed());
    assert_eq!(pack.section(SectionKind::Passages).unwrap(), sample_section(1));
}

#[test]
fn damage_in_a_sealed_pack_is_an_error_of_opening_or_verifying() {
    let folder = tempfile::tempdir().unwrap();
    let sealed = folder.path().join("sealed");
    fill(PackWriter::create_sealed(&sealed, &SealKey::new([1; 32])).unwrap());
    let bytes = fs::read(&sealed).unwrap();
    for at in (0..bytes.len()).step_by(997).filter(|at| !(4096..8192).contains(at)) {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        fs::write(&sealed, changed).unwrap();
        let result = Pack::open_with(&sealed, &with_key(1)).and_then(|pack| pack.verify());
        assert!(matches!(result, Err(Error::Sealed { .. } | Error::NotAPack { .. })), "byte {at}: {result:?}");
    }
    for length in [0, 100, 8191, 8192, bytes.len() - 1] {
        fs::write(&sealed, &bytes[..length]).unwrap();
        assert!(Pack::open_with(&sealed, &with_key(1)).is_err(), "cut at {length}");
    }
}

#[test]
fn sections_that_the_publisher_sealed_need_the_content_key_and_the_manifest_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("published");
    let mut writer = PackWriter::create(&path).unwrap();
    writer.seal_sections(&SealKey::new([3; 32])).unwrap();
    fill(writer);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no scratch file is left");
    let closed = Pack::open_verified(&path).unwrap();
    assert_eq!(closed.manifest().sealing.as_ref().unwrap().key_id, SealKey::new([3; 32]).id().to_string());
    assert!(closed.is_sealed());
    assert!(matches!(closed.section_reader(SectionKind::Passages), Err(Error::KeyNeeded { .. })));
    assert!(matches!(closed.require(SectionKind::Passages), Err(Error::NotMapped { .. })));
    let pack = Pack::open_with(&path, &with_content_key(3)).unwrap();
    assert_eq!(read(&pack, SectionKind::Passages), sample_section(1));
    assert_eq!(read(&pack, SectionKind::Vectors), sample_section(2));
    assert!(matches!(Pack::open_with(&path, &with_content_key(4)), Err(Error::WrongKey { .. })));
    assert!(!holds(&path, &sample_section(1)[..16]));
}

#[test]
fn sections_can_be_sealed_twice_by_publisher_and_device() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("both");
    let mut writer = PackWriter::create_sealed(&path, &SealKey::new([1; 32])).unwrap();
    writer.seal_sections(&SealKey::new([3; 32])).unwrap();
    fill(writer);
    let options = PackOptions { content_key: Some(SealKey::new([3; 32])), ..with_key(1) };
    let pack = Pack::open_with(&path, &options).unwrap();
    pack.verify().unwrap();
    assert_eq!(read(&pack, SectionKind::Vectors), sample_section(2));
}

#[test]
fn a_pack_is_sealed_from_its_first_section_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = PackWriter::create(folder.path().join("late")).unwrap();
    writer.section_from_bytes(SectionKind::Passages, b"plain").unwrap();
    assert!(matches!(writer.seal_sections(&SealKey::new([3; 32])), Err(Error::InvalidInput { .. })));
}

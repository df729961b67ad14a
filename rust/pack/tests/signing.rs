//! Who may sign what: one test a refusal, and none of the others takes its place.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{Forgery, PAGE, write_sample};
use lorekit_pack::signing::{
    KeySet, PackState, RollbackStatement, SignatureArea, SignedKeySet, SigningKey, Trust, Verified, attach_rollback,
    sign_pack,
};
use lorekit_pack::{Error, Pack, Result, StateHash};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

fn pack() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sample.lorepack");
    write_sample(&path);
    (folder, path)
}

/// Trusts the root with seed 1.
fn trust() -> Trust {
    Trust::pinned(vec![key(1).verifying_key()])
}

fn check(trust: &Trust, path: &Path) -> Result<Verified> {
    trust.check(&Pack::open(path)?)
}

/// Set `version` of the keys with these seeds, signed by root 1.
fn key_set(version: u64, seeds: &[u8]) -> SignedKeySet {
    let keys = seeds.iter().map(|&seed| key(seed).verifying_key()).collect();
    KeySet { version, keys, expires: None, pack_ids: None }.sign(Path::new("set"), &key(1)).unwrap()
}

#[test]
fn a_root_and_a_key_of_its_set_are_believed() {
    let (_folder, path) = pack();
    sign_pack(&path, &key(1), None).unwrap();
    let verified = check(&trust(), &path).unwrap();
    assert_eq!(verified.signer, Some(key(1).verifying_key()));
    assert_eq!((verified.key_set_version, verified.unsigned), (None, false));
    let (_folder, path) = pack();
    sign_pack(&path, &key(2), Some(&key_set(4, &[3, 2]))).unwrap();
    let verified = check(&trust(), &path).unwrap();
    assert_eq!((verified.signer, verified.key_set_version), (Some(key(2).verifying_key()), Some(4)));
    Pack::open_verified(&path).unwrap();
}

#[test]
fn signing_changes_nothing_but_the_signature_area() {
    let (_folder, path) = pack();
    let before = fs::read(&path).unwrap();
    sign_pack(&path, &key(2), Some(&key_set(1, &[2]))).unwrap();
    let after = fs::read(&path).unwrap();
    let area = before.len() - 32 - PAGE..before.len() - 32;
    assert_eq!(before.len(), after.len());
    assert!(before[..area.start] == after[..area.start] && before[area.end..] == after[area.end..]);
    assert_ne!(before[area.clone()], after[area]);
    let names: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["sample.lorepack"], "nothing is left beside the pack");
}

#[test]
fn signing_again_replaces_its_own_signature_and_keeps_others() {
    let (_folder, path) = pack();
    for seed in [5, 1, 5] {
        sign_pack(&path, &key(seed), None).unwrap();
    }
    let area = SignatureArea::decode(&path, Pack::open(&path).unwrap().signature_area().unwrap()).unwrap();
    let keys: Vec<_> = area.signatures.iter().map(|signature| signature.key).collect();
    assert_eq!(keys, [key(5).verifying_key(), key(1).verifying_key()]);
    assert_eq!(check(&trust(), &path).unwrap().signer, Some(key(1).verifying_key()));
}

#[test]
fn an_unsigned_pack_needs_the_developer_switch() {
    let (_folder, path) = pack();
    assert!(matches!(check(&trust(), &path), Err(Error::Unsigned { .. })));
    let verified = check(&Trust { allow_unsigned: true, ..trust() }, &path).unwrap();
    assert!(verified.unsigned && verified.signer.is_none());
}

#[test]
fn a_pack_signed_by_a_stranger_is_refused_even_with_the_developer_switch() {
    let (_folder, path) = pack();
    sign_pack(&path, &key(9), None).unwrap();
    assert!(matches!(check(&trust(), &path), Err(Error::UnknownSigner { .. })));
    assert!(matches!(check(&Trust::default(), &path), Err(Error::UnknownSigner { .. })));
    assert!(matches!(check(&Trust::only_unsigned(), &path), Err(Error::UnknownSigner { .. })));
}

#[test]
fn a_signature_moved_from_another_pack_is_refused() {
    let (folder, path) = pack();
    sign_pack(&path, &key(1), None).unwrap();
    let signed = fs::read(&path).unwrap();
    let mut other = Forgery::new();
    other.manifest["version"] = 8.into();
    let mut bytes = other.bytes();
    let end = bytes.len() - 32;
    bytes[end - PAGE..end].copy_from_slice(&signed[signed.len() - 32 - PAGE..signed.len() - 32]);
    let moved = folder.path().join("moved.lorepack");
    fs::write(&moved, bytes).unwrap();
    Pack::open_verified(&moved).unwrap();
    assert!(matches!(check(&trust(), &moved), Err(Error::BadSignature { .. })));
    assert!(matches!(sign_pack(&moved, &key(2), None), Err(Error::BadSignature { .. })));
}

#[test]
fn a_swapped_section_does_not_match_what_was_signed() {
    let (_folder, path) = pack();
    sign_pack(&path, &key(1), None).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    // The first byte of the first section; the manifest, and with it the signature, is as it was.
    bytes[PAGE] ^= 1;
    fs::write(&path, &bytes).unwrap();
    check(&trust(), &path).unwrap();
    assert!(matches!(Pack::open_verified(&path), Err(Error::HashMismatch { .. })));
    assert!(matches!(sign_pack(&path, &key(1), None), Err(Error::HashMismatch { .. })), "nobody vouches for it");
}

#[test]
fn a_key_that_left_the_set_is_refused() {
    let (_folder, path) = pack();
    sign_pack(&path, &key(2), Some(&key_set(1, &[2]))).unwrap();
    // The publisher replaces key 2 by key 3; a thief of key 2 signs on, with the newest set he can find.
    let mut area = SignatureArea { key_set: Some(key_set(2, &[3])), ..SignatureArea::default() };
    area.sign(Pack::open(&path).unwrap().manifest_bytes(), &key(2));
    put_area(&path, &area.encode(&path).unwrap());
    let refused = check(&trust(), &path);
    assert!(matches!(refused, Err(Error::KeyNotInSet { version: 2, .. })), "{refused:?}");
}

#[test]
fn an_older_key_set_than_one_seen_is_refused() {
    let (_folder, path) = pack();
    sign_pack(&path, &key(2), Some(&key_set(4, &[2]))).unwrap();
    check(&Trust { key_set_floor: 4, ..trust() }, &path).unwrap();
    let refused = check(&Trust { key_set_floor: 5, ..trust() }, &path);
    assert!(matches!(refused, Err(Error::KeySetOutdated { version: 4, floor: 5, .. })), "{refused:?}");
}

#[test]
fn a_key_set_of_another_root_is_refused() {
    let (_folder, path) = pack();
    let set = KeySet { version: 1, keys: vec![key(2).verifying_key()], expires: None, pack_ids: None };
    sign_pack(&path, &key(2), Some(&set.sign(&path, &key(9)).unwrap())).unwrap();
    assert!(matches!(check(&trust(), &path), Err(Error::KeySetUnknownRoot { .. })));
}

#[test]
fn a_key_set_changed_after_signing_is_refused() {
    let (_folder, path) = pack();
    let mut set = key_set(1, &[2]);
    set.set.keys.push(key(9).verifying_key());
    sign_pack(&path, &key(9), Some(&set)).unwrap();
    assert!(matches!(check(&trust(), &path), Err(Error::KeySetBadSignature { .. })));
}

#[test]
fn a_key_set_is_refused_after_its_last_day() {
    let (_folder, path) = pack();
    let set = KeySet { expires: Some("2026-03-31".into()), ..key_set(1, &[2]).set };
    sign_pack(&path, &key(2), Some(&set.sign(&path, &key(1)).unwrap())).unwrap();
    let on = |day: Option<&str>| check(&Trust { today: day.map(Into::into), ..trust() }, &path);
    on(None).unwrap();
    on(Some("2026-03-31")).unwrap();
    assert!(matches!(on(Some("2026-04-01")), Err(Error::KeySetExpired { .. })));
    assert!(matches!(on(Some("tomorrow")), Err(Error::BadDate { .. })));
}

#[test]
fn a_key_set_for_other_packs_is_refused() {
    let (_folder, path) = pack();
    let set =
        |ids: &[&str]| KeySet { pack_ids: Some(ids.iter().map(|&id| id.into()).collect()), ..key_set(1, &[2]).set };
    sign_pack(&path, &key(2), Some(&set(&["other", "test.pack"]).sign(&path, &key(1)).unwrap())).unwrap();
    check(&trust(), &path).unwrap();
    sign_pack(&path, &key(2), Some(&set(&["test"]).sign(&path, &key(1)).unwrap())).unwrap();
    assert!(matches!(check(&trust(), &path), Err(Error::KeySetForOtherPack { .. })));
}

#[test]
fn an_expired_pack_is_refused_signed_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut forgery = Forgery::new();
    forgery.manifest["expires"] = "2026-06-30".into();
    let path = forgery.write(folder.path());
    for allow_unsigned in [true, false] {
        let on = |day: &str| check(&Trust { allow_unsigned, today: Some(day.into()), ..trust() }, &path);
        on("2026-06-30").unwrap();
        assert!(matches!(on("2026-07-01"), Err(Error::PackExpired { .. })));
        sign_pack(&path, &key(1), None).unwrap();
    }
}

fn rollback() -> RollbackStatement {
    // What `common::manifest` says of itself.
    let to = PackState { version: 7, state: StateHash([3; 32]) };
    RollbackStatement { pack_id: "test.pack".into(), from: PackState { version: 8, state: StateHash([4; 32]) }, to }
}

#[test]
fn a_rollback_statement_comes_with_the_pack_it_is_for_and_no_other() {
    let (_folder, path) = pack();
    assert!(matches!(attach_rollback(&path, &rollback().sign(&key(1))), Err(Error::InvalidInput { .. })), "unsigned");
    sign_pack(&path, &key(2), Some(&key_set(1, &[2]))).unwrap();
    for signer in [key(1), key(2)] {
        attach_rollback(&path, &rollback().sign(&signer)).unwrap();
        assert_eq!(check(&trust(), &path).unwrap().rollback, Some(rollback()));
    }
    let others = [
        RollbackStatement { pack_id: "other".into(), ..rollback() },
        RollbackStatement { to: PackState { version: 6, ..rollback().to }, ..rollback() },
        RollbackStatement { to: PackState { state: StateHash([5; 32]), ..rollback().to }, ..rollback() },
    ];
    for other in others {
        let signed = other.sign(&key(1));
        assert!(matches!(attach_rollback(&path, &signed), Err(Error::RollbackForOtherPack { .. })));
        let mut area = SignatureArea { rollback: Some(signed), ..SignatureArea::default() };
        area.sign(Pack::open(&path).unwrap().manifest_bytes(), &key(1));
        put_area(&path, &area.encode(&path).unwrap());
        assert!(matches!(check(&trust(), &path), Err(Error::RollbackForOtherPack { .. })));
    }
}

#[test]
fn a_rollback_statement_of_a_stranger_or_changed_is_refused() {
    let (_folder, path) = pack();
    sign_pack(&path, &key(1), None).unwrap();
    attach_rollback(&path, &rollback().sign(&key(9))).unwrap();
    assert!(matches!(check(&trust(), &path), Err(Error::RollbackUnknownSigner { .. })));
    let mut signed = rollback().sign(&key(1));
    signed.statement.from.version = 9;
    attach_rollback(&path, &signed).unwrap();
    assert!(matches!(check(&trust(), &path), Err(Error::RollbackBadSignature { .. })));
}

#[test]
fn a_key_that_is_not_in_the_set_it_comes_with_cannot_sign_by_mistake() {
    let (_folder, path) = pack();
    let before = fs::read(&path).unwrap();
    assert!(matches!(sign_pack(&path, &key(3), Some(&key_set(1, &[2]))), Err(Error::InvalidInput { .. })));
    assert!(fs::read(&path).unwrap() == before);
}

#[test]
fn a_full_area_is_an_error_and_leaves_the_pack_as_it_was() {
    let (_folder, path) = pack();
    // A key takes 67 bytes of the area's JSON, a signature about 220; this leaves room for no second one.
    let seeds: Vec<u8> = (2..238).collect();
    sign_pack(&path, &key(2), Some(&key_set(1, &seeds))).unwrap();
    let before = fs::read(&path).unwrap();
    assert!(matches!(sign_pack(&path, &key(3), None), Err(Error::InvalidInput { .. })));
    assert!(fs::read(&path).unwrap() == before);
    assert_eq!(check(&trust(), &path).unwrap().signer, Some(key(2).verifying_key()));
}

/// Writes these bytes where the signature area is.
fn put_area(path: &Path, area: &[u8]) {
    let mut bytes = fs::read(path).unwrap();
    let end = bytes.len() - 32;
    bytes[end - PAGE..end].copy_from_slice(area);
    fs::write(path, bytes).unwrap();
}

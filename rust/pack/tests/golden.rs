//! Packs as released: each must open for ever. The files under `data` are never written again.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use lorekit_pack::signing::{KeySet, PackState, RollbackStatement, SigningKey, Trust, attach_rollback, sign_pack};
use lorekit_pack::{Error, IndexKind, Pack, PackKind, SectionKind, StateHash, WithdrawalKind, decode_withdrawals};

fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

#[test]
fn a_base_of_version_1_opens_with_every_field() {
    let pack = Pack::open_verified(data("v1/base.lorepack")).unwrap();
    let manifest = pack.manifest();
    assert_eq!(manifest.format_version, 1);
    assert_eq!((manifest.pack_id.as_str(), manifest.version, manifest.kind), ("golden.v1", 3, PackKind::Base));
    assert_eq!(manifest.parent, None);
    assert_eq!(manifest.state.to_string(), "47c7645686f614c6b0414e1ea928cc0f5cfeaef13e0a4d90deb27ff029ad9ce0");
    assert_eq!((manifest.title.as_str(), manifest.licence.as_str()), ("格式第一版", "CC0-1.0"));
    assert_eq!(manifest.languages, ["zh"]);
    let counts = manifest.counts;
    assert_eq!((counts.documents, counts.passages, counts.tokens, manifest.skipped_documents), (2, 40, 711, 1));
    assert_eq!((manifest.embedder.dims, manifest.embedder.query_prefix.as_str()), (8, "query: "));
    assert_eq!((manifest.index.kind, manifest.index.connectivity), (IndexKind::Hnsw, 16));
    assert_eq!(manifest.index.recall_at_10, Some(1.0));
    let calibration = manifest.calibration.as_ref().unwrap();
    assert_eq!((calibration.parameters["bias"], calibration.error_rate), (-1.5, 0.05));
    assert_eq!(manifest.expires.as_deref(), Some("2031-01-01"));
    assert_eq!(pack.section(SectionKind::Passages).unwrap().len(), 57_344);
    assert_eq!(pack.section(SectionKind::Vectors).unwrap().len(), 6_648);
    assert!(pack.signature_area().is_none());
}

#[test]
fn a_delta_of_version_1_opens_with_its_withdrawals() {
    let pack = Pack::open_verified(data("v1/delta.lorepack")).unwrap();
    let base = Pack::open(data("v1/base.lorepack")).unwrap();
    assert_eq!(pack.manifest().kind, PackKind::Delta);
    assert_eq!(pack.manifest().parent, Some(base.manifest().state));
    assert_eq!(pack.manifest().state, StateHash([9; 32]));
    assert_eq!(pack.section(SectionKind::Notices).unwrap(), b"CC0");
    let withdrawals = decode_withdrawals(pack.path(), pack.require(SectionKind::Withdrawals).unwrap()).unwrap();
    let kind = |id: &str| &withdrawals.iter().find(|w| w.passage.to_string() == id).unwrap().kind;
    let superseded = WithdrawalKind::Superseded { valid_to: "2025-06-30".into() };
    assert_eq!(*kind("d22c3c4e8665fb6dc6f91826228b0ae1"), superseded);
    assert_eq!(*kind("df53ac510e9c1f991fe39151e1b8512b"), WithdrawalKind::Revoked);
    assert_eq!(withdrawals.len(), 3);
    assert!(matches!(pack.require(SectionKind::Passages), Err(Error::MissingSection { section: "passages", .. })));
}

#[test]
fn a_signed_base_of_version_1_is_believed() {
    let pack = Pack::open_verified(data("v1/signed.lorepack")).unwrap();
    let key = |seed: u8| SigningKey::from_seed(&[seed; 32]);
    let verified = Trust::pinned(vec![key(1).verifying_key()]).check(&pack).unwrap();
    assert_eq!(
        verified.signer.unwrap().to_string(),
        "8139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394"
    );
    assert_eq!((verified.key_set_version, verified.unsigned), (Some(5), false));
    let rollback = verified.rollback.unwrap();
    assert_eq!((rollback.pack_id.as_str(), rollback.from.version, rollback.to.version), ("golden.v1", 4, 3));
    assert!(matches!(Trust::pinned(vec![key(3).verifying_key()]).check(&pack), Err(Error::KeySetUnknownRoot { .. })));
}

#[test]
fn signing_the_base_again_gives_the_signed_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.lorepack");
    std::fs::copy(data("v1/base.lorepack"), &path).unwrap();
    let key = |seed: u8| SigningKey::from_seed(&[seed; 32]);
    let set = KeySet {
        version: 5,
        keys: vec![key(2).verifying_key(), key(3).verifying_key()],
        expires: Some("2031-01-01".into()),
        pack_ids: Some(vec!["golden.v1".into()]),
    };
    sign_pack(&path, &key(2), Some(&set.sign(&path, &key(1)).unwrap())).unwrap();
    sign_pack(&path, &key(4), None).unwrap();
    let to = PackState { version: 3, state: Pack::open(&path).unwrap().manifest().state };
    let from = PackState { version: 4, state: StateHash([9; 32]) };
    attach_rollback(&path, &RollbackStatement { pack_id: "golden.v1".into(), from, to }.sign(&key(1))).unwrap();
    assert!(std::fs::read(&path).unwrap() == std::fs::read(data("v1/signed.lorepack")).unwrap(), "the bytes differ");
}

//! Packs as released: each must open for ever. The files under `data` are never written again.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

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

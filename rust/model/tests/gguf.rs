//! GGUF: what is written is read back, and no damage to the bytes leads to a panic.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::path::{Path, PathBuf};

use lorekit_kernels::Format;
use lorekit_model::{Error, Gguf, GgufWriter, Value};
use proptest::prelude::*;

const NAME: &str = "tiny.gguf";

fn tiny_gguf() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(NAME);
    let mut w = GgufWriter::new();
    w.put("general.architecture", "llama").unwrap();
    w.put("a.u8", 250u8).unwrap();
    w.put("a.i8", -3i8).unwrap();
    w.put("a.u16", 65_000u16).unwrap();
    w.put("a.i16", -300i16).unwrap();
    w.put("a.u32", 70_000u32).unwrap();
    w.put("a.i32", -70_000i32).unwrap();
    w.put("a.u64", u64::MAX).unwrap();
    w.put("a.i64", i64::MIN).unwrap();
    w.put("a.f32", 0.5f32).unwrap();
    w.put("a.f64", 0.25f64).unwrap();
    w.put("a.bool", true).unwrap();
    w.put("list.str", &["", "法条", "a b"][..]).unwrap();
    w.put("list.f32", &[1.5f32, -2.0][..]).unwrap();
    w.put("list.i32", &[i32::MIN, 0, i32::MAX][..]).unwrap();
    w.put("list.u32", &[u32::MAX][..]).unwrap();
    w.put("list.bool", &[true, false][..]).unwrap();
    w.declare("m", Format::F32, &[3, 2]).unwrap();
    w.declare("v", Format::F32, &[5]).unwrap();
    let mut stream = w.create(&path).unwrap();
    let bytes: Vec<u8> = (0..6).flat_map(|i| (i as f32).to_le_bytes()).collect();
    stream.append("m", &bytes[..7]).unwrap();
    stream.append("m", &bytes[7..]).unwrap();
    stream.append("v", &[1; 20]).unwrap();
    assert!(!path.exists(), "nothing has the final name before finish");
    stream.finish().unwrap();
    (dir, path)
}

fn tiny_bytes() -> Vec<u8> {
    let (_dir, path) = tiny_gguf();
    std::fs::read(path).unwrap()
}

/// Opens changed bytes and touches all that can be touched.
fn exercise(bytes: &[u8]) -> Result<(), Error> {
    let gguf = Gguf::from_bytes(Path::new(NAME), bytes)?;
    for (key, value) in gguf.metadata() {
        let _ = (gguf.u32(key), gguf.u64(key), gguf.f32(key), gguf.bool(key), gguf.str(key));
        if let Value::Array(a) = value {
            assert!(a.iter_str().count() + a.to_f32().len() >= a.len());
            let _ = (a.to_i32(), a.to_u32(), a.to_bool());
        }
    }
    for info in gguf.tensors() {
        let tensor = gguf.require_tensor(&info.name)?;
        assert_eq!(tensor.data.len() as u64, info.bytes);
        let _ = (tensor.matrix(), tensor.to_f32());
    }
    Ok(())
}

#[test]
fn what_is_written_is_read_back() {
    let (dir, path) = tiny_gguf();
    let g = Gguf::open(&path).unwrap();
    assert_eq!(g.architecture(), "llama");
    assert_eq!(g.file_bytes(), std::fs::metadata(&path).unwrap().len());
    assert_eq!((g.u32("a.u8"), g.u32("a.u16"), g.u32("a.u32")), (Some(250), Some(65_000), Some(70_000)));
    assert_eq!((g.u64("a.u64"), g.u32("a.u64")), (Some(u64::MAX), None));
    assert_eq!((g.u32("a.i8"), g.u32("a.i64")), (None, None), "a negative number is no unsigned one");
    assert!(matches!(g.get("a.i16"), Some(Value::I16(-300))));
    assert!(matches!(g.get("a.i32"), Some(Value::I32(-70_000))));
    assert_eq!((g.f32("a.f32"), g.f32("a.f64"), g.f32("a.u8")), (Some(0.5), Some(0.25), None));
    assert_eq!((g.bool("a.bool"), g.bool("a.u8")), (Some(true), None));
    assert_eq!(g.array("list.str").unwrap().iter_str().collect::<Vec<_>>(), ["", "法条", "a b"]);
    assert_eq!(g.array("list.f32").unwrap().to_f32(), [1.5, -2.0]);
    assert_eq!(g.array("list.i32").unwrap().to_i32(), [i32::MIN, 0, i32::MAX]);
    assert_eq!(g.array("list.u32").unwrap().to_u32(), [u32::MAX]);
    assert_eq!(g.array("list.bool").unwrap().to_bool(), [true, false]);
    assert_eq!(g.array("list.f32").unwrap().iter_str().count(), 0);

    let m = g.require_tensor("m").unwrap();
    assert_eq!((m.info.dims.as_slice(), m.info.rows(), m.info.cols()), ([3, 2].as_slice(), 2, 3));
    assert_eq!(m.to_f32(), [0., 1., 2., 3., 4., 5.]);
    assert!(m.matrix().is_ok());
    for t in g.tensors() {
        assert_eq!(t.offset % 32, 0);
    }
    assert_eq!(g.fingerprint(), *blake3::hash(&std::fs::read(&path).unwrap()).as_bytes());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file stays");
}

#[test]
fn metadata_of_one_file_can_be_copied_into_another() {
    let (dir, path) = tiny_gguf();
    let g = Gguf::open(&path).unwrap();
    let copy = dir.path().join("copy.gguf");
    let mut w = GgufWriter::new();
    for (key, value) in g.metadata() {
        w.put(key, value).unwrap();
    }
    for t in g.tensors() {
        w.declare(&t.name, t.format, &t.dims).unwrap();
    }
    w.write(&copy, g.tensors().map(|t| g.tensor(&t.name).unwrap().data)).unwrap();
    let c = Gguf::open(&copy).unwrap();
    assert_eq!(format!("{:?}", g.metadata().collect::<Vec<_>>()), format!("{:?}", c.metadata().collect::<Vec<_>>()));
    assert_eq!(c.array("list.str").unwrap().iter_str().collect::<Vec<_>>(), ["", "法条", "a b"]);
    assert_eq!(c.require_tensor("m").unwrap().to_f32(), g.require_tensor("m").unwrap().to_f32());
}

#[test]
fn a_missing_key_or_tensor_is_named() {
    let g = Gguf::from_bytes(Path::new(NAME), &tiny_bytes()).unwrap();
    for (error, name) in [
        (g.require_u32("no.key").unwrap_err(), "no.key"),
        (g.require_str("a.u8").unwrap_err(), "a.u8"),
        (g.require_tensor("no.weight").unwrap_err(), "no.weight"),
    ] {
        let text = error.to_string();
        assert!(text.contains(name) && text.contains(NAME), "{text}");
    }
}

#[test]
fn a_writer_refuses_what_does_not_fit_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut w = GgufWriter::new();
    w.declare("t", Format::F32, &[4]).unwrap();
    assert!(w.declare("t", Format::F32, &[4]).is_err());
    assert!(w.declare("zero", Format::F32, &[4, 0]).is_err());
    assert!(w.declare("none", Format::F32, &[]).is_err());
    assert!(w.declare("huge", Format::F32, &[1 << 40, 1 << 40]).is_err());
    assert!(w.put("k", 1u32).is_ok());
    assert!(w.put("k", 2u32).is_err());
    let mut stream = w.create(&dir.path().join(NAME)).unwrap();
    assert!(stream.append("other", &[0; 4]).is_err());
    assert!(stream.append("t", &[0; 17]).is_err());
    stream.append("t", &[0; 8]).unwrap();
    assert!(stream.finish().is_err(), "eight bytes are missing");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

/// A file made by hand: version, metadata entries, tensors `(name, dims, type, offset)`, bytes of data.
fn by_hand(
    version: u32,
    metadata: &[(&str, u32, &[u8])],
    tensors: &[(&str, &[u64], u32, u64)],
    data: usize,
) -> Vec<u8> {
    let mut out = b"GGUF".to_vec();
    out.extend(version.to_le_bytes());
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend((metadata.len() as u64).to_le_bytes());
    for (key, kind, value) in metadata {
        out.extend((key.len() as u64).to_le_bytes());
        out.extend(key.as_bytes());
        out.extend(kind.to_le_bytes());
        out.extend(*value);
    }
    for (name, dims, kind, offset) in tensors {
        out.extend((name.len() as u64).to_le_bytes());
        out.extend(name.as_bytes());
        out.extend((dims.len() as u32).to_le_bytes());
        dims.iter().for_each(|d| out.extend(d.to_le_bytes()));
        out.extend(kind.to_le_bytes());
        out.extend(offset.to_le_bytes());
    }
    out.resize(out.len().next_multiple_of(32) + data, 0);
    out
}

fn refusal(bytes: &[u8]) -> String {
    Gguf::from_bytes(Path::new(NAME), bytes).unwrap_err().to_string()
}

#[test]
fn a_well_formed_file_made_by_hand_opens() {
    for version in [2, 3] {
        let bytes = by_hand(version, &[("k", 4, &[1, 0, 0, 0])], &[("a", &[8], 0, 0), ("b", &[8], 0, 32)], 64);
        assert_eq!(Gguf::from_bytes(Path::new(NAME), &bytes).unwrap().u32("k"), Some(1));
    }
}

#[test]
fn each_kind_of_damage_is_named() {
    let t: (&str, &[u64], u32, u64) = ("a", &[8], 0, 0);
    let huge = [4u32.to_le_bytes().as_slice(), &u64::MAX.to_le_bytes()].concat();
    let nested = [9u32.to_le_bytes().as_slice(), &1u64.to_le_bytes(), &[0; 12]].concat();
    let cases: &[(&str, Vec<u8>, &str)] = &[
        ("empty", vec![], "ends at"),
        ("magic", b"GGML0000000000000000000000000000".to_vec(), "does not begin with GGUF"),
        ("version 1", by_hand(1, &[], &[t], 64), "unsupported GGUF version: 1"),
        ("version 4", by_hand(4, &[], &[t], 64), "unsupported GGUF version: 4"),
        ("byte order", by_hand(3u32.swap_bytes(), &[], &[t], 64), "big-endian"),
        ("key twice", by_hand(3, &[("k", 0, &[1]), ("k", 0, &[1])], &[t], 64), "metadata k occurs twice"),
        ("name twice", by_hand(3, &[], &[t, t], 64), "tensor a occurs twice"),
        ("overlap", by_hand(3, &[], &[("a", &[9], 0, 0), ("b", &[8], 0, 32)], 64), "a and b overlap"),
        ("out of file", by_hand(3, &[], &[("a", &[8], 0, 64)], 64), "past the end"),
        ("far out of file", by_hand(3, &[], &[("a", &[8], 0, u64::MAX - 31)], 64), "past the end"),
        ("unaligned", by_hand(3, &[], &[("a", &[2], 0, 8)], 64), "not a multiple of 32"),
        ("overflow", by_hand(3, &[], &[("a", &[1 << 40, 1 << 40], 0, 0)], 64), "no extent"),
        ("zero", by_hand(3, &[], &[("a", &[0], 0, 0)], 64), "a dimension of 0"),
        ("no dims", by_hand(3, &[], &[("a", &[], 0, 0)], 64), "0 dimensions"),
        ("five dims", by_hand(3, &[], &[("a", &[1; 5], 0, 0)], 64), "5 dimensions"),
        ("type", by_hand(3, &[], &[("a", &[256], 16, 0)], 512), "quantization of tensor a: ggml type 16"),
        ("alignment", by_hand(3, &[("general.alignment", 4, &[3, 0, 0, 0])], &[t], 64), "general.alignment"),
        ("split", by_hand(3, &[("split.count", 2, &[2, 0])], &[t], 64), "split model"),
        ("array count", by_hand(3, &[("k", 9, &huge)], &[t], 64), "metadata k: 18446744073709551615"),
        ("nested", by_hand(3, &[("k", 9, &nested)], &[t], 64), "metadata k: an array of arrays"),
        ("value type", by_hand(3, &[("k", 13, &[0])], &[t], 64), "metadata k: unknown value type 13"),
        ("long name", by_hand(3, &[], &[(&"n".repeat(256), &[8], 0, 0)], 64), "256 bytes, more than 255"),
        ("bool", by_hand(3, &[("k", 7, &[2])], &[t], 64), "metadata k: a bool is 2"),
    ];
    for (what, bytes, expected) in cases {
        let text = refusal(bytes);
        assert!(text.contains(expected), "{what}: {text}");
    }
    let mut counts = by_hand(3, &[], &[t], 64);
    counts[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(refusal(&counts).contains("tensors do not fit"));
    counts[16..24].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(refusal(&counts).contains("metadata entries do not fit"));
}

#[test]
fn every_truncation_is_refused() {
    let bytes = tiny_bytes();
    let padding = 32 - 20; // after the last tensor, nobody needs it
    for len in 0..bytes.len() - padding {
        assert!(exercise(&bytes[..len]).is_err(), "{len} of {} bytes", bytes.len());
    }
}

#[test]
fn no_single_changed_byte_panics() {
    let bytes = tiny_bytes();
    for at in 0..bytes.len() {
        for flip in [1, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[at] ^= flip;
            let _ = exercise(&changed);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_mix_of_changes_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in any::<prop::sample::Index>(),
        whole in any::<bool>(),
    ) {
        let mut bytes = tiny_bytes();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let len = if whole { bytes.len() } else { cut.index(bytes.len()) };
        let _ = exercise(&bytes[..len]);
    }
}

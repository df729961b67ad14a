//! Signature areas, keys and signatures from a stranger, and the same keys in other hands' tools.
#![allow(clippy::unwrap_used, clippy::print_stderr)] // a test fails by panicking, and says what it skips

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{PAGE, write_sample};
use lorekit_pack::signing::{
    KeySet, PackState, RollbackStatement, SIGNATURE_AREA_VERSION, SignatureArea, SignedKeySet, SigningKey, Trust,
    VerifyingKey, attach_rollback, sign_pack,
};
use lorekit_pack::{Error, Pack, StateHash};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

fn trust() -> Trust {
    Trust::pinned(vec![key(1).verifying_key()])
}

/// A pack with everything an area can hold, and the area's bytes.
fn signed() -> (tempfile::TempDir, PathBuf, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sample.lorepack");
    write_sample(&path);
    let keys = vec![key(2).verifying_key()];
    let (expires, pack_ids) = (Some("2030-01-01".into()), Some(vec!["test.pack".into()]));
    let set = KeySet { version: 2, keys, expires, pack_ids }.sign(&path, &key(1)).unwrap();
    sign_pack(&path, &key(2), Some(&set)).unwrap();
    let state = |version, byte| PackState { version, state: StateHash([byte; 32]) };
    let rollback = RollbackStatement { pack_id: "test.pack".into(), from: state(8, 4), to: state(7, 3) };
    attach_rollback(&path, &rollback.sign(&key(2))).unwrap();
    let area = Pack::open(&path).unwrap().signature_area().unwrap().to_vec();
    (folder, path, area)
}

fn json_of(area: &[u8]) -> String {
    let length = u32::from_le_bytes(area[8..12].try_into().unwrap()) as usize;
    String::from_utf8(area[12..12 + length].to_vec()).unwrap()
}

fn area_of(json: &[u8]) -> Vec<u8> {
    let mut area = b"LSIG\x01\0\0\0".to_vec();
    area.extend((json.len() as u32).to_le_bytes());
    area.extend(json);
    area.resize(PAGE, 0);
    area
}

fn decode(area: &[u8]) -> Result<SignatureArea, Error> {
    SignatureArea::decode(Path::new("area"), area)
}

/// Whether a pack with this area in the place of its own is believed.
fn check(path: &Path, area: &[u8]) -> Result<(), Error> {
    let mut bytes = fs::read(path).unwrap();
    let end = bytes.len() - 32;
    bytes[end - PAGE..end].copy_from_slice(area);
    let changed = path.with_extension("changed");
    fs::write(&changed, bytes).unwrap();
    trust().check(&Pack::open(&changed)?).map(|_| ())
}

#[test]
fn each_flipped_bit_of_the_signature_area_is_refused() {
    let (_folder, path, area) = signed();
    check(&path, &area).unwrap();
    let written = 12 + json_of(&area).len();
    let mut flipped = area.clone();
    // Behind the JSON one bit of each byte is enough: all bytes there are alike.
    for bit in (0..written * 8).chain((written * 8..area.len() * 8).step_by(9)) {
        flipped[bit / 8] ^= 1 << (bit % 8);
        // What does not decode is never believed; behind the JSON nothing decodes, which saves opening a pack for each.
        let refused = match decode(&flipped) {
            Err(Error::SignatureArea { .. } | Error::UnsupportedSignatures { .. }) => true,
            Err(other) => panic!("bit {bit}: {other}"),
            Ok(_) => bit / 8 < written && check(&path, &flipped).is_err(),
        };
        assert!(refused, "bit {bit}");
        flipped[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn an_area_cut_anywhere_is_refused() {
    let (_folder, _, area) = signed();
    let json = json_of(&area);
    for length in 0..json.len() {
        let whole_json = [&area[..8], &(length as u32).to_le_bytes(), &area[12..]].concat();
        assert!(matches!(decode(&whole_json), Err(Error::SignatureArea { .. })), "length {length}");
        assert!(matches!(decode(&area_of(&json.as_bytes()[..length])), Err(Error::SignatureArea { .. })));
    }
    for length in [0, 3, 11, 12, area.len() - 1] {
        assert!(matches!(decode(&area[..length]), Err(Error::SignatureArea { .. })));
    }
    for length in [16_373u32, 16_384, u32::MAX] {
        let long = [&area[..8], &length.to_le_bytes(), &area[12..]].concat();
        assert!(matches!(decode(&long), Err(Error::SignatureArea { .. })), "length {length}");
    }
}

#[test]
fn an_area_of_another_version_is_named() {
    let (_folder, _, mut area) = signed();
    area[4] = 2;
    let refused = decode(&area);
    let supported = SIGNATURE_AREA_VERSION;
    assert!(matches!(refused, Err(Error::UnsupportedSignatures { found: 2, supported: s, .. }) if s == supported));
}

#[test]
fn the_same_json_written_another_way_is_refused() {
    let (_folder, path, area) = signed();
    let json = json_of(&area);
    assert_eq!(decode(&area_of(json.as_bytes())).unwrap(), decode(&area).unwrap());
    let public = key(2).verifying_key().to_string();
    let (digit, upper) = (public.to_string(), public.to_uppercase());
    let others = [
        json.replacen('{', "{ ", 1),
        json.replacen(&digit, &upper, 1),
        json.replacen(r#""version":2"#, r#""version":2.0"#, 1),
        json.replacen(r#""version":2"#, r#""version":02"#, 1),
        // The same field twice, with the same and with another value.
        json.replacen(r#""version":2"#, r#""version":2,"version":2"#, 1),
        json.replacen(r#""version":2"#, r#""version":9,"version":2"#, 1),
        json.replacen("{\"signatures\":", "{\"signatures\":[],\"signatures\":", 1),
        json.replacen("{\"signatures\":", "{\"more\":1,\"signatures\":", 1),
        json.replacen(r#""expires":"2030-01-01""#, r#""expires":null"#, 1),
        json.replacen("test.pack", "test\\u002epack", 1),
        format!("{json}{{}}"),
        format!("{json}\n"),
        "[".repeat(16_000),
        "null".into(),
        r#"{"signatures":[]}"#.into(),
    ];
    for other in others {
        assert_ne!(other, json);
        let refused = check(&path, &area_of(other.as_bytes()));
        assert!(matches!(refused, Err(Error::SignatureArea { .. })), "{refused:?}: {other:.80}");
    }
    let mut twice = decode(&area).unwrap();
    twice.signatures.push(twice.signatures[0].clone());
    assert!(matches!(twice.encode(&path), Err(Error::InvalidInput { .. })));
    let twice = serde_json::to_vec(&twice).unwrap();
    assert!(matches!(check(&path, &area_of(&twice)), Err(Error::SignatureArea { .. })));
}

#[test]
fn a_signature_in_another_form_than_the_canonical_is_refused() {
    // RFC 8032, section 5.1: S must be below the order of the group; S + L passes the equation as well.
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let (_folder, path, area) = signed();
    let mut other = decode(&area).unwrap();
    let mut carry = 0u16;
    for (byte, add) in other.signatures[0].signature.0[32..].iter_mut().zip(ORDER) {
        carry += u16::from(*byte) + u16::from(add);
        *byte = carry as u8;
        carry >>= 8;
    }
    assert_eq!(carry, 0, "S + L has 32 bytes");
    let refused = check(&path, &other.encode(&path).unwrap());
    assert!(matches!(refused, Err(Error::BadSignature { .. })), "{refused:?}");
}

#[test]
fn keys_for_which_anyone_can_sign_are_no_keys() {
    // The points of small order, in their canonical encodings.
    let weak = [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    ];
    for text in weak {
        assert!(text.parse::<VerifyingKey>().is_err(), "{text}");
    }
    let sound = key(1).verifying_key();
    assert_eq!(sound.to_string().parse::<VerifyingKey>().unwrap(), sound);
}

#[test]
fn a_detached_record_is_bound_to_its_key_its_domain_and_its_bytes() {
    let (path, public) = (Path::new("record"), key(1).verifying_key());
    let signature = key(1).sign_bytes("notes", b"12345");
    public.check_bytes(path, "notes", b"12345", &signature).unwrap();
    for (domain, bytes) in [("notes", &b"12346"[..]), ("note", b"s12345"), ("notes1", b"2345"), ("", b"notes12345")] {
        let refused = public.check_bytes(path, domain, bytes, &signature);
        assert!(matches!(refused, Err(Error::BadSignature { .. })), "{domain}");
    }
    let other = key(2).verifying_key();
    assert!(matches!(other.check_bytes(path, "notes", b"12345", &signature), Err(Error::UnknownSigner { .. })));
    let mut renamed = signature;
    renamed.key = other;
    assert!(matches!(other.check_bytes(path, "notes", b"12345", &renamed), Err(Error::BadSignature { .. })));
}

#[test]
fn a_key_set_file_is_read_back_and_a_changed_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let set = KeySet { version: 2, keys: vec![key(2).verifying_key()], expires: None, pack_ids: None };
    let signed = set.clone().sign(&path, &key(1)).unwrap();
    fs::write(&path, signed.to_text()).unwrap();
    assert_eq!(SignedKeySet::read(&path).unwrap(), signed);
    fs::write(&path, signed.to_text().replace(r#""version":2"#, r#""version":3"#)).unwrap();
    assert!(matches!(SignedKeySet::read(&path), Err(Error::KeyFile { .. })));
    for bad in [
        KeySet { version: 0, ..set.clone() },
        KeySet { keys: Vec::new(), ..set.clone() },
        KeySet { expires: Some("soon".into()), ..set.clone() },
        KeySet { keys: [set.keys.clone(), set.keys.clone()].concat(), ..set.clone() },
    ] {
        assert!(matches!(bad.sign(&path, &key(1)), Err(Error::InvalidInput { .. })));
    }
}

#[test]
fn a_private_key_is_never_printed() {
    let seed = key(7).to_seed().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let printed = format!("{:?}", key(7));
    assert!(!printed.contains(&seed) && !printed.contains("[7,"), "{printed}");
    assert!(printed.contains(&key(7).verifying_key().to_string()));
}

#[test]
fn files_that_are_no_keys_are_named() {
    let path = Path::new("x.pem");
    let private = key(1).to_pem();
    let public = key(1).verifying_key().to_pem();
    for text in ["", "garbage", &public, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
        assert!(matches!(SigningKey::from_pem(path, text), Err(Error::KeyFile { .. })), "{text}");
    }
    for text in ["", "garbage", "00", &private, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"] {
        assert!(matches!(VerifyingKey::from_text(path, text), Err(Error::KeyFile { .. })));
    }
    assert_eq!(SigningKey::from_pem(path, &private).unwrap().verifying_key(), key(1).verifying_key());
    assert_eq!(VerifyingKey::from_text(path, &public).unwrap(), key(1).verifying_key());
    assert_eq!(
        VerifyingKey::from_text(path, &format!("{}\n", key(1).verifying_key())).unwrap(),
        key(1).verifying_key()
    );
}

/// Runs openssl in a folder; none if there is no openssl.
fn openssl(folder: &Path, arguments: &str) -> Option<Vec<u8>> {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().ok()?;
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    Some(output.stdout)
}

#[test]
fn openssl_reads_our_keys_and_makes_the_same_signature() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, pack) = (folder.path().join("ours.pem"), folder.path().join("p.lorepack"));
    fs::write(&ours, key(1).to_pem().as_bytes()).unwrap();
    let Some(public) = openssl(folder.path(), "pkey -in ours.pem -pubout") else {
        return eprintln!("skipped: openssl_reads_our_keys_and_makes_the_same_signature: no openssl");
    };
    assert_eq!(String::from_utf8(public).unwrap(), key(1).verifying_key().to_pem());
    write_sample(&pack);
    sign_pack(&pack, &key(1), None).unwrap();
    let pack = Pack::open(&pack).unwrap();
    // The format page's prefix, written out once more.
    let message = [b"lorepack v1 sig\0", pack.manifest_bytes()].concat();
    fs::write(folder.path().join("message"), message).unwrap();
    let theirs = openssl(folder.path(), "pkeyutl -sign -inkey ours.pem -rawin -in message").unwrap();
    let area = decode(pack.signature_area().unwrap()).unwrap();
    assert_eq!(area.signatures[0].signature.0[..], theirs[..]);
}

#[test]
fn keys_made_by_openssl_are_read() {
    let folder = tempfile::tempdir().unwrap();
    if openssl(folder.path(), "genpkey -algorithm ed25519 -out theirs.pem").is_none() {
        return eprintln!("skipped: keys_made_by_openssl_are_read: no openssl");
    }
    openssl(folder.path(), "pkey -in theirs.pem -pubout -out theirs.pub");
    let private = SigningKey::read(&folder.path().join("theirs.pem")).unwrap();
    let public = VerifyingKey::read(&folder.path().join("theirs.pub")).unwrap();
    assert_eq!(private.verifying_key(), public);
    openssl(folder.path(), "genpkey -algorithm x25519 -out other.pem");
    assert!(matches!(SigningKey::read(&folder.path().join("other.pem")), Err(Error::KeyFile { .. })));
}

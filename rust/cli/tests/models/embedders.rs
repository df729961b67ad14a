//! The catalogue's hashes of converted embedders, held against the converter of this build.

use std::path::PathBuf;

use lorekit_cli::models::{PullOptions, cache_root, ensure};

/// Converts the model's files from the developer's cache and checks the result against the catalogue.
fn converts_to_the_catalogue_s_file(name: &str) {
    let source: PathBuf = cache_root().join("models").join(name).join("source");
    if !source.is_dir() {
        println!("skipped: {} is not there (lore models pull --keep-source {name})", source.display());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let options = PullOptions {
        cache: folder.path().to_path_buf(),
        offline: true,
        from: Some(source.clone()),
        ..PullOptions::default()
    };
    let path = ensure(name, &options, &mut |_| ()).unwrap();
    let model = options.catalogue.model(name).unwrap();
    assert_eq!(path.metadata().unwrap().len(), model.size);
    assert!(source.is_dir(), "files that the user gave stay");
}

#[test]
fn minilm_converts_to_the_file_of_the_catalogue() {
    converts_to_the_catalogue_s_file("minilm-l6-v2");
}

#[test]
fn embeddinggemma_converts_to_the_file_of_the_catalogue() {
    converts_to_the_catalogue_s_file("embeddinggemma-300m");
}

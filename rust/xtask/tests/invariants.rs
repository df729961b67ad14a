//! The house rules that cargo's own metadata can show: direction of dependencies, one home for each heavy dependency,
//! exact pins. They stand in `ARCHITECTURE.md`; a change here is a decision there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Which crates of the project each crate may name among its ordinary dependencies.
const MAY_DEPEND_ON: &[(&str, &[&str])] = &[
    ("lorekit-cancel", &[]),
    ("lorekit-kernels", &[]),
    ("lorekit-seal", &["lorekit-cancel"]),
    ("lorekit-pack", &["lorekit-seal"]),
    ("lorekit-ingest", &["lorekit-cancel"]),
    ("lorekit-eval", &[]),
    ("lorekit-redact", &["lorekit-cancel"]),
    ("lorekit-grounding", &[]),
    ("lorekit-testkit", &[]),
    ("lorekit-store", &["lorekit-cancel", "lorekit-pack", "lorekit-seal"]),
    ("lorekit-model", &["lorekit-cancel", "lorekit-kernels"]),
    ("lorekit-retrieval", &["lorekit-cancel", "lorekit-store", "lorekit-model"]),
    (
        "lorekit-answer",
        &[
            "lorekit-cancel",
            "lorekit-retrieval",
            "lorekit-store",
            "lorekit-model",
            "lorekit-pack",
            "lorekit-seal",
            // Cuts the app's own documents as the publisher's were cut.
            "lorekit-ingest",
        ],
    ),
    (
        "lorekit-cli",
        &[
            "lorekit-cancel",
            // For `lore bench`, which holds each kernel against what the processor allows.
            "lorekit-kernels",
            "lorekit-pack",
            "lorekit-store",
            "lorekit-model",
            "lorekit-ingest",
            "lorekit-retrieval",
            "lorekit-answer",
            "lorekit-eval",
            "lorekit-redact",
        ],
    ),
    ("lorekit-ffi", &["lorekit-answer", "lorekit-redact"]),
    ("lorekit-bindgen", &[]),
    ("lorekit-fixtures", &["lorekit-cancel", "lorekit-model", "lorekit-pack", "lorekit-store", "lorekit-testkit"]),
    ("xtask", &[]),
];

/// The only crates that may name a heavy dependency.
const HOMES: &[(&str, &[&str])] = &[
    ("rusqlite", &["lorekit-store"]),
    ("chacha20poly1305", &["lorekit-seal"]),
    ("usearch", &["lorekit-store"]),
    ("html5gum", &["lorekit-ingest"]),
    ("candle-core", &["lorekit-model"]),
    ("candle-nn", &["lorekit-model"]),
    ("tokenizers", &["lorekit-model"]),
    ("minijinja", &["lorekit-model"]),
    ("uniffi", &["lorekit-ffi", "lorekit-bindgen"]),
    ("ureq", &["lorekit-cli"]),
    ("clap", &["lorekit-cli"]),
    ("pdf-extract", &["lorekit-ingest"]),
];

/// Dependencies whose every release changes numbers or formats, and is therefore taken by decision.
const PINNED: &[&str] = &["candle-core", "candle-nn", "usearch", "tokenizers", "rusqlite", "uniffi"];

struct Package {
    name: String,
    ordinary: BTreeMap<String, String>,
    any: BTreeMap<String, String>,
}

fn packages() -> Vec<Package> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(root)
        .output()
        .expect("cargo runs this test, so cargo can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    metadata["packages"]
        .as_array()
        .expect("packages is a list")
        .iter()
        .map(|package| {
            let mut found = Package { name: text(&package["name"]), ordinary: BTreeMap::new(), any: BTreeMap::new() };
            for dependency in package["dependencies"].as_array().expect("dependencies is a list") {
                let (name, requirement) = (text(&dependency["name"]), text(&dependency["req"]));
                if dependency["kind"].as_str() != Some("dev") {
                    found.ordinary.insert(name.clone(), requirement.clone());
                }
                found.any.insert(name, requirement);
            }
            found
        })
        .collect()
}

#[test]
fn dependencies_point_one_way() {
    let packages = packages();
    let members: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    for package in &packages {
        let allowed = MAY_DEPEND_ON
            .iter()
            .find(|(name, _)| *name == package.name)
            .unwrap_or_else(|| panic!("{} has no line in MAY_DEPEND_ON: say where it stands", package.name))
            .1;
        for dependency in package.ordinary.keys().filter(|name| members.contains(name.as_str())) {
            assert!(allowed.contains(&dependency.as_str()), "{} must not depend on {dependency}", package.name);
        }
    }
}

#[test]
fn heavy_dependencies_have_one_home() {
    for package in packages() {
        for (dependency, homes) in HOMES {
            assert!(
                !package.any.contains_key(*dependency) || homes.contains(&package.name.as_str()),
                "{dependency} lives in {homes:?}, not in {}",
                package.name
            );
        }
    }
}

#[test]
fn what_changes_numbers_or_formats_is_pinned_exactly() {
    for package in packages() {
        for name in PINNED {
            if let Some(requirement) = package.any.get(*name) {
                assert!(requirement.starts_with('='), "{} takes {name} {requirement}: pin it exactly", package.name);
            }
        }
    }
}

#[test]
fn no_crate_of_the_sdk_opens_a_connection() {
    let network = ["ureq", "reqwest", "hyper", "curl", "hf-hub", "tokio"];
    for package in packages().iter().filter(|package| !["lorekit-cli", "xtask"].contains(&package.name.as_str())) {
        for name in network {
            assert!(!package.any.contains_key(name), "{} names {name}", package.name);
        }
    }
}

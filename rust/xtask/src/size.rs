//! `cargo xtask size`: what the native library weighs in the shipped profile, and what each dependency adds.
//!
//! The library is built unstripped, so that its symbols say whose code they are; a stripped copy gives the figure that
//! counts. Symbols cover code and constants, not relocations and tables, so their sum is less than the file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::process::{capture, root, step_in, target};

const REPORT: &str = "docs/size.md";
const GOAL_BYTES: u64 = 8_000_000;
/// Dependencies named in the report; the rest is summed up.
const ROWS: usize = 16;

pub fn run(args: &[&str]) -> Result<(), String> {
    let write = match args {
        [] => false,
        ["--write"] => true,
        _ => return Err("size takes --write or nothing".into()),
    };
    let whole = build()?;
    let stripped = strip(&whole)?;
    let symbols = capture("nm", &["--print-size", "--demangle", "--defined-only", &whole.display().to_string()])?;
    let shares = shares(&symbols);
    let host = host()?;
    let report = json!({
        "target": host,
        "profile": "dist",
        "stripped_bytes": stripped,
        "goal_bytes": GOAL_BYTES,
        "bytes_by_dependency": shares.iter().cloned().collect::<BTreeMap<_, _>>(),
        "not_measured": ["aarch64-apple-ios", "aarch64-linux-android", "x86_64-linux-android"],
    });
    println!("{report:#}");
    if write {
        std::fs::write(root().join(REPORT), markdown(&host, stripped, &shares))
            .map_err(|error| format!("{REPORT}: {error}"))?;
    }
    Ok(())
}

/// Builds the bridge alone, so that no other crate of the workspace turns features on.
fn build() -> Result<PathBuf, String> {
    let args = ["rustc", "--locked", "--profile", "dist", "-p", "lorekit-ffi", "--lib", "--crate-type", "cdylib"];
    step_in(
        "building the native library as it is shipped (about ten minutes the first time)",
        "cargo",
        &args,
        &[("CARGO_PROFILE_DIST_STRIP", PathBuf::from("none"))],
    )?;
    let name = format!("{}lorekit_ffi{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    Ok(target().join("dist").join(name))
}

fn strip(library: &Path) -> Result<u64, String> {
    let copy = library.with_extension("stripped");
    capture("strip", &["--strip-all", "-o", &copy.display().to_string(), &library.display().to_string()])?;
    Ok(std::fs::metadata(&copy).map_err(|error| format!("{}: {error}", copy.display()))?.len())
}

fn host() -> Result<String, String> {
    let version = capture("rustc", &["-vV"])?;
    version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .ok_or_else(|| "rustc names no host".into())
}

/// Bytes of the symbols of each crate or C library, largest first.
fn shares(symbols: &str) -> Vec<(String, u64)> {
    let mut shares: BTreeMap<String, u64> = BTreeMap::new();
    for line in symbols.lines() {
        // address, size, kind, name
        let mut fields = line.splitn(4, ' ');
        let (Some(_), Some(size), Some(_), Some(name)) = (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        if let Ok(bytes) = u64::from_str_radix(size, 16) {
            *shares.entry(owner(name)).or_default() += bytes;
        }
    }
    let mut shares: Vec<_> = shares.into_iter().collect();
    shares.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    shares
}

/// Whose code a symbol is, by its demangled name.
fn owner(name: &str) -> String {
    const C_LIBRARIES: [(&str, &str); 5] = [
        ("sqlite3", "sqlite (C)"),
        ("nk_", "numkong (C)"),
        ("simsimd", "simsimd (C)"),
        ("blake3_", "blake3 (C)"),
        ("fts5", "sqlite (C)"),
    ];
    let plain = name.trim_start_matches(['<', '&', '*', '(']).trim_start_matches("dyn ").trim_start_matches("mut ");
    if let Some((_, library)) = C_LIBRARIES.iter().find(|(prefix, _)| plain.starts_with(prefix)) {
        return (*library).to_owned();
    }
    let word: String = plain.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    match word.as_str() {
        "core" | "alloc" | "std" | "hashbrown" | "rustc_demangle" | "gimli" | "addr2line" | "miniz_oxide" => {
            "rust's own libraries".into()
        }
        "unum" => "usearch (C++)".into(),
        _ if plain[word.len()..].starts_with("::") && !word.is_empty() => word,
        _ => "other (C, unnamed)".into(),
    }
}

fn markdown(host: &str, stripped: u64, shares: &[(String, u64)]) -> String {
    let mut out = format!(
        "# Size of the native library\n\n\
         Written by `cargo xtask size --write`: `lorekit-ffi` in the profile `dist`, stripped.\n\
         The goal is less than {} per architecture.\n\n\
         | target | stripped |\n|---|---|\n| {host} | {} |\n\
         | aarch64-apple-ios | not measured |\n| aarch64-linux-android | not measured |\n| x86_64-linux-android | not measured |\n\n\
         ## What each dependency adds on {host}\n\n\
         Code and constants by symbol; relocations and tables belong to nobody, so the sum is less than the file.\n\n\
         | dependency | bytes |\n|---|---|\n",
        megabytes(GOAL_BYTES),
        megabytes(stripped),
    );
    for (name, bytes) in shares.iter().take(ROWS) {
        out.push_str(&format!("| {name} | {bytes} |\n"));
    }
    let rest: u64 = shares.iter().skip(ROWS).map(|(_, bytes)| bytes).sum();
    out.push_str(&format!("| everything else | {rest} |\n"));
    out.push_str(&costs(stripped, shares));
    out
}

/// What each step towards the goal gives, by the table, and what it costs. None was taken yet.
fn costs(stripped: u64, shares: &[(String, u64)]) -> String {
    let sum = |names: &[&str]| -> u64 {
        let of = |share: &&(String, u64)| names.iter().any(|name| share.0.starts_with(name));
        shares.iter().filter(of).map(|(_, bytes)| bytes).sum()
    };
    let steps = [
        (
            sum(&["numkong"]),
            "usearch without numkong, its kernels for every instruction set: a search of the graph over f16 then takes \
             782 instead of 100 µs (5,000 vectors of 384 numbers, expansion 64), unless our own kernels are handed to \
             usearch as its metric, which is the way to go",
        ),
        (
            sum(&["candle", "gemm", "dyn_stack", "rayon", "float8"]),
            "candle and its matrix products only in builds that can take Metal: one more configuration to test, and no \
             portable back end on Android",
        ),
        (
            sum(&["regex", "aho_corasick"]),
            "regular expressions with their Unicode tables: the tokenizers' splitting rules written out by hand, for \
             the few patterns that the supported models have",
        ),
    ];
    let mut out = format!("\n## What it costs to get below {}\n\n", megabytes(GOAL_BYTES));
    let mut left = stripped;
    for (bytes, what) in steps {
        left = left.saturating_sub(bytes);
        out.push_str(&format!("- {} less, {} left: {what}.\n", megabytes(bytes), megabytes(left)));
    }
    out.push_str(
        "- Optimising everything but kernels and model for size (`opt-level = \"s\"`): not measured.\n\n\
         The figures are those of the table; relocations and tables go with the code, so a build would be smaller still.\n",
    );
    out
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_counted_for_their_owner() {
        let symbols = "0001 0000000000000010 T lorekit_model::causal::step\n\
                       0002 0000000000000020 t <lorekit_model::Error as core::fmt::Display>::fmt\n\
                       0003 0000000000000008 T sqlite3_step\n\
                       0004 0000000000000004 t unum::usearch::index_gt::search()\n\
                       0005 0000000000000002 r core::fmt::num::DEC\n\
                       0006 T without_size\n\
                       0007 0000000000000001 t memcpy\n";
        let found: Vec<(String, u64)> = shares(symbols);
        let expected = [
            ("lorekit_model", 48),
            ("sqlite (C)", 8),
            ("usearch (C++)", 4),
            ("rust's own libraries", 2),
            ("other (C, unnamed)", 1),
        ];
        assert_eq!(found, expected.map(|(name, bytes)| (name.to_owned(), bytes)));
    }
}

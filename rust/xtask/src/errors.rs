//! `cargo xtask check-errors`: the error cases of Rust, the bridge, Kotlin and Swift are the same, with the same codes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::process::root;

const RUST: &str = "rust/answer/src/error.rs";
const BRIDGE: &str = "bindings/src/error.rs";
const KOTLIN: &str = "android/src/main/kotlin/dev/lorekit/LoreKitException.kt";
const SWIFT: &str = "ios/Sources";

/// Cancelling is no error of the platforms: Kotlin throws `CancellationException`, Swift `CancellationError`.
const CANCELLED: &str = "cancelled";

pub fn run(args: &[&str]) -> Result<(), String> {
    if !args.is_empty() {
        return Err("check-errors takes nothing".into());
    }
    let rust = rust_codes(&read(RUST)?);
    if rust.len() < 5 || !rust.values().any(|code| code == CANCELLED) {
        return Err(format!("{RUST}: the codes of the errors were not found"));
    }
    let names: Vec<&String> = rust.keys().collect();
    let bridge = variants(&read(BRIDGE)?, "pub enum FfiError");
    let mut problems = differences(BRIDGE, &names, &bridge.iter().collect::<Vec<_>>());
    let outside: BTreeMap<_, _> = rust.iter().filter(|(_, code)| *code != CANCELLED).collect();
    let codes: Vec<&String> = outside.values().copied().collect();
    problems.extend(differences(KOTLIN, &codes, &kotlin_codes(&read(KOTLIN)?).iter().collect::<Vec<_>>()));
    match swift_error(&root().join(SWIFT)) {
        None => eprintln!("   {SWIFT} has no LoreKitError yet: Swift is left out"),
        Some((path, text)) => {
            let expected: Vec<String> = outside.keys().map(|name| lower_first(name)).collect();
            let found = swift_cases(&text);
            problems.extend(differences(
                &path.display().to_string(),
                &expected.iter().collect::<Vec<_>>(),
                &found.iter().collect::<Vec<_>>(),
            ));
        }
    }
    if problems.is_empty() {
        eprintln!("   {} error cases, the same everywhere", rust.len());
        Ok(())
    } else {
        Err(problems.join("\n"))
    }
}

fn read(path: &str) -> Result<String, String> {
    std::fs::read_to_string(root().join(path)).map_err(|error| format!("{path}: {error}"))
}

fn differences(place: &str, expected: &[&String], found: &[&String]) -> Vec<String> {
    let missing =
        expected.iter().filter(|name| !found.contains(name)).map(|name| format!("{place}: {name} is missing"));
    let extra =
        found.iter().filter(|name| !expected.contains(name)).map(|name| format!("{place}: {name} is not in {RUST}"));
    missing.chain(extra).collect()
}

/// Variants of the Rust error with their codes, from the arms of `code`.
fn rust_codes(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| {
            let (variant, code) = line.trim().strip_prefix("Self::")?.split_once(" => \"")?;
            let name: String = variant.chars().take_while(char::is_ascii_alphanumeric).collect();
            Some((name, code.split('"').next()?.to_owned()))
        })
        .collect()
}

/// Names of the variants of an enum in Rust, as rustfmt lays them out.
fn variants(text: &str, head: &str) -> Vec<String> {
    text.lines()
        .skip_while(|line| !line.starts_with(head))
        .skip(1)
        .take_while(|line| *line != "}")
        .filter(|line| line.starts_with("    ") && line.as_bytes().get(4).is_some_and(u8::is_ascii_uppercase))
        .map(|line| line.trim().chars().take_while(char::is_ascii_alphanumeric).collect())
        .collect()
}

/// The codes that Kotlin's exceptions hand to their parent.
fn kotlin_codes(text: &str) -> Vec<String> {
    text.split("LoreKitException(message, \"")
        .skip(1)
        .filter_map(|rest| Some(rest.split('"').next()?.to_owned()))
        .collect()
}

/// Swift's public error, wherever its file lies.
fn swift_error(folder: &Path) -> Option<(PathBuf, String)> {
    std::fs::read_dir(folder).ok()?.flatten().find_map(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return swift_error(&path);
        }
        let text = std::fs::read_to_string(&path).ok().filter(|_| path.extension().is_some_and(|e| e == "swift"))?;
        text.contains("public enum LoreKitError").then_some((path, text))
    })
}

/// The cases of `public enum LoreKitError`.
fn swift_cases(text: &str) -> Vec<String> {
    text.lines()
        .skip_while(|line| !line.contains("public enum LoreKitError"))
        .take_while(|line| *line != "}")
        .filter_map(|line| line.strip_prefix("    case "))
        .filter(|rest| !rest.starts_with('.') && !rest.starts_with("let "))
        .flat_map(|rest| {
            let whole = rest.contains('(');
            let names: Vec<&str> = if whole { vec![rest] } else { rest.split(',').collect() };
            names
                .into_iter()
                .map(|n| n.trim().trim_start_matches('`').chars().take_while(char::is_ascii_alphanumeric).collect())
                .collect::<Vec<_>>()
        })
        .collect()
}

fn lower_first(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_and_codes_are_read_from_each_language() {
        let rust = "    Self::NotFound { .. } => \"not_found\",\n    Self::Closed => \"closed\",\n";
        let expected = [("Closed", "closed"), ("NotFound", "not_found")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(rust_codes(rust).into_iter().collect::<Vec<_>>(), expected);
        let bridge = "pub enum FfiError {\n    /// Gone.\n    NotFound { code: String },\n    Closed {\n        code: String,\n    },\n}\n";
        assert_eq!(variants(bridge, "pub enum FfiError"), ["NotFound", "Closed"]);
        let kotlin = "class NotFound(message: String) :\n    LoreKitException(message, \"not_found\", cause)\n";
        assert_eq!(kotlin_codes(kotlin), ["not_found"]);
        let swift = "public enum LoreKitError: Error {\n    case notFound(path: String, code: String)\n    case closed, noModel\n    var a: Int {\n        switch self {\n        case .closed: 1\n        }\n    }\n}\n";
        assert_eq!(swift_cases(swift), ["notFound", "closed", "noModel"]);
    }

    #[test]
    fn a_case_that_one_language_lacks_is_named() {
        let (one, two) = ("closed".to_owned(), "storage".to_owned());
        assert_eq!(differences("x", &[&one, &two], &[&one]), ["x: storage is missing"]);
        assert_eq!(differences("x", &[&one], &[&one, &two]), [format!("x: storage is not in {RUST}")]);
    }

    #[test]
    fn the_errors_of_this_tree_are_the_same_everywhere() {
        assert_eq!(run(&[]), Ok(()));
    }
}

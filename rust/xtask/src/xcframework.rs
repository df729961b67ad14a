//! `cargo xtask xcframework`: the library that the Swift package links on Apple's systems. It needs a Mac.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::process::{capture, root, step, step_in, target};

/// What the framework holds: phone, simulator and Mac, all on Apple's own processors.
const TARGETS: [&str; 3] = ["aarch64-apple-ios", "aarch64-apple-ios-sim", "aarch64-apple-darwin"];
/// The oldest systems, as in `ios/Package.swift`; C++ in the dependencies is compiled for them too.
const OLDEST: [(&str, &str); 2] = [("IPHONEOS_DEPLOYMENT_TARGET", "16.0"), ("MACOSX_DEPLOYMENT_TARGET", "13.0")];
const HEADERS: [&str; 2] = ["LoreKitFFI.h", "module.modulemap"];
const PRIVACY: &str = "ios/Sources/LoreKit/Resources/PrivacyInfo.xcprivacy";
const OUT: &str = "ios/LoreKitFFI.xcframework";

pub fn run(args: &[&str]) -> Result<(), String> {
    if !args.is_empty() {
        return Err("xcframework takes nothing".into());
    }
    let missing = missing();
    if !missing.is_empty() {
        return Err(format!("xcframework cannot run here; missing: {}", missing.join("; ")));
    }
    // The manifest travels as a resource of the Swift package, since a static library has no place for one.
    step("the privacy manifest", "plutil", &["-lint", PRIVACY])?;
    let headers = headers()?.display().to_string();
    let mut create = vec!["-create-xcframework".to_owned()];
    for name in TARGETS {
        let library = build(name)?.display().to_string();
        create.extend(["-library".into(), library, "-headers".into(), headers.clone()]);
    }
    let out = root().join(OUT);
    if out.exists() {
        fs::remove_dir_all(&out).map_err(|error| format!("{OUT}: {error}"))?;
    }
    create.extend(["-output".into(), out.display().to_string()]);
    let create: Vec<&str> = create.iter().map(String::as_str).collect();
    step("the framework", "xcodebuild", &create)?;
    eprintln!("\n{OUT} is there: ios/ can be added to an app as a package");
    Ok(())
}

/// What this machine lacks, each with where it comes from.
fn missing() -> Vec<String> {
    let mut missing = Vec::new();
    if !cfg!(target_os = "macos") {
        missing.push("macOS: Apple's linker and system libraries are on no other system".to_owned());
    }
    if !starts("xcodebuild", &["-version"]) {
        missing.push("Xcode (xcodebuild), from the App Store".into());
    }
    let installed = capture("rustup", &["target", "list", "--installed"]).unwrap_or_default();
    let absent: Vec<&str> = TARGETS.into_iter().filter(|name| !installed.lines().any(|line| line == *name)).collect();
    if !absent.is_empty() {
        missing.push(format!("Rust's standard library for them: rustup target add {}", absent.join(" ")));
    }
    missing
}

fn starts(program: &str, args: &[&str]) -> bool {
    let run = Command::new(program).args(args).stdout(Stdio::null()).stderr(Stdio::null()).status();
    run.is_ok_and(|status| status.success())
}

/// The static library for one target, in the profile that apps ship.
fn build(name: &str) -> Result<PathBuf, String> {
    let mut args = vec!["rustc", "--locked", "--profile", "dist", "-p", "lorekit-ffi", "--lib"];
    args.extend(["--crate-type", "staticlib", "--target", name]);
    let oldest = OLDEST.map(|(variable, version)| (variable, PathBuf::from(version)));
    step_in(&format!("the library for {name}"), "cargo", &args, &oldest)?;
    Ok(target().join(name).join("dist/liblorekit_ffi.a"))
}

/// Header and module map in a folder of the module's own name: Xcode puts the headers of all frameworks into one folder,
/// where a second `module.modulemap` beside this one would be an error.
fn headers() -> Result<PathBuf, String> {
    let folder = target().join("xcframework/headers");
    let inner = folder.join("LoreKitFFI");
    fs::create_dir_all(&inner).map_err(|error| format!("{}: {error}", inner.display()))?;
    for name in HEADERS {
        let from = root().join("ios/Sources/LoreKitFFI").join(name);
        fs::copy(&from, inner.join(name)).map_err(|error| format!("{}: {error}", from.display()))?;
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::{HEADERS, PRIVACY};
    use crate::process::root;

    #[test]
    fn what_goes_into_the_framework_is_in_the_tree() {
        for name in HEADERS {
            assert!(root().join("ios/Sources/LoreKitFFI").join(name).is_file(), "{name}");
        }
        assert!(root().join(PRIVACY).is_file());
    }

    #[test]
    #[cfg(not(target_os = "macos"))]
    fn elsewhere_than_on_a_mac_it_says_what_is_missing() {
        let reason = super::run(&[]).unwrap_err();
        assert!(reason.contains("macOS") && reason.contains("Xcode"), "{reason}");
    }
}

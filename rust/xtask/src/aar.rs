//! `cargo xtask aar`: the Android library as one file, or with `--check-only` everything of it but the native part.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::elf::{self, ABIS, Abi};
use crate::jvm::Jvm;
use crate::process::{capture, root, step_in, target};
use crate::{bindings, kotlin};

const LIBRARY: &str = "liblorekit_ffi.so";
const MIN_SDK: u32 = 26;

pub fn run(args: &[&str]) -> Result<(), String> {
    match args {
        [] => release(),
        ["--check-only"] => check_only(),
        _ => Err("aar takes --check-only or nothing".into()),
    }
}

/// The real thing: native libraries for each ABI by the NDK, checked before they are packed.
fn release() -> Result<(), String> {
    let ndk = ndk()?;
    let mut natives = Vec::new();
    for abi in ABIS {
        let library = build(&ndk, abi)?;
        let bytes = std::fs::read(&library).map_err(|error| format!("{}: {error}", library.display()))?;
        let problems = elf::problems(&bytes, LIBRARY, abi);
        if !problems.is_empty() {
            return Err(format!("{} for {}: {}", LIBRARY, abi.name, problems.join("; ")));
        }
        natives.push((abi, library));
    }
    let jni_libs = root().join("android/build/jniLibs");
    for (abi, library) in &natives {
        copy(library, &jni_libs.join(abi.name).join(LIBRARY))?;
    }
    assemble("lorekit.aar", &natives)
}

/// Without an NDK: manifest, classes and rules are packed and checked, and the file's name says what it is.
fn check_only() -> Result<(), String> {
    assemble("lorekit-NOT-FOR-RELEASE.aar", &[])
}

/// The NDK's folder, by the variables that Android's own tools know.
fn ndk() -> Result<PathBuf, String> {
    let missing = "no Android NDK: set ANDROID_NDK_HOME to version r28 or later; \
                   `cargo xtask aar --check-only` checks everything but the native libraries";
    ["ANDROID_NDK_HOME", "ANDROID_NDK_ROOT"]
        .iter()
        .filter_map(|name| std::env::var_os(name).map(PathBuf::from))
        .find(|folder| folder.join("source.properties").is_file())
        .ok_or_else(|| missing.into())
}

fn build(ndk: &Path, abi: Abi) -> Result<PathBuf, String> {
    let bin = ndk.join("toolchains/llvm/prebuilt").join(format!("{}-x86_64", std::env::consts::OS)).join("bin");
    let underscored = abi.target.replace('-', "_");
    let clang = |suffix: &str| bin.join(format!("{}{MIN_SDK}-clang{suffix}", abi.target));
    let flags = format!("-Clink-arg=-Wl,-z,max-page-size=16384 -Clink-arg=-Wl,-soname,{LIBRARY}");
    let places = [
        (format!("CC_{underscored}"), clang("")),
        (format!("CXX_{underscored}"), clang("++")),
        (format!("AR_{underscored}"), bin.join("llvm-ar")),
        (format!("CARGO_TARGET_{}_LINKER", underscored.to_uppercase()), clang("")),
        (format!("CARGO_TARGET_{}_RUSTFLAGS", underscored.to_uppercase()), PathBuf::from(flags)),
    ];
    let places: Vec<(&str, PathBuf)> = places.iter().map(|(name, path)| (name.as_str(), path.clone())).collect();
    let args = [
        "rustc",
        "--locked",
        "--profile",
        "dist",
        "-p",
        "lorekit-ffi",
        "--lib",
        "--crate-type",
        "cdylib",
        "--target",
        abi.target,
    ];
    step_in(&format!("building for {}", abi.name), "cargo", &args, &places)?;
    Ok(target().join(abi.target).join("dist").join(LIBRARY))
}

fn assemble(name: &str, natives: &[(Abi, PathBuf)]) -> Result<(), String> {
    bindings::build()?;
    bindings::kotlin(true)?;
    let jvm = Jvm::obtain()?;
    let work = target().join("aar");
    let classes = kotlin::compile_library(&jvm, &work)?;
    let folder = work.join("content");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    copy(&classes, &folder.join("classes.jar"))?;
    copy(&root().join("android/consumer-rules.pro"), &folder.join("proguard.txt"))?;
    let manifest = manifest(&read(&root().join("android/src/main/AndroidManifest.xml"))?)?;
    write(&folder.join("AndroidManifest.xml"), &manifest)?;
    write(&folder.join("R.txt"), "")?;
    write(&folder.join("META-INF/com/android/build/gradle/aar-metadata.properties"), METADATA)?;
    for (abi, library) in natives {
        copy(library, &folder.join("jni").join(abi.name).join(LIBRARY))?;
    }
    let file = target().join(name);
    let (file_text, folder_text) = (file.display().to_string(), folder.display().to_string());
    capture("jar", &["--create", "--no-manifest", "--file", &file_text, "-C", &folder_text, "."])?;
    check(&file, natives)?;
    let bytes = std::fs::metadata(&file).map_err(|error| format!("{file_text}: {error}"))?.len();
    eprintln!("\n{file_text}: {bytes} bytes, {} native libraries", natives.len());
    Ok(())
}

const METADATA: &str =
    "aarFormatVersion=1.0\naarMetadataVersion=1.0\nminCompileSdk=26\nminAndroidGradlePluginVersion=8.5.1\n";

/// The manifest as the Android Gradle Plugin would merge it: package and smallest system version stand in it.
fn manifest(source: &str) -> Result<String, String> {
    let head = "<manifest xmlns:android=\"http://schemas.android.com/apk/res/android\" />";
    if !source.contains(head) {
        return Err("AndroidManifest.xml is no longer an empty manifest: say here how it is merged".into());
    }
    let merged = format!(
        "<manifest xmlns:android=\"http://schemas.android.com/apk/res/android\" package=\"dev.lorekit\">\n    \
         <uses-sdk android:minSdkVersion=\"{MIN_SDK}\" />\n</manifest>"
    );
    Ok(source.replace(head, &merged))
}

/// Opens the finished file again and looks at what an app would get.
fn check(file: &Path, natives: &[(Abi, PathBuf)]) -> Result<(), String> {
    let text = file.display().to_string();
    let names = capture("jar", &["--list", "--file", &text])?;
    let names: Vec<&str> = names.lines().filter(|name| !name.ends_with('/')).collect();
    let mut problems = Vec::new();
    for needed in ["AndroidManifest.xml", "classes.jar", "proguard.txt", "R.txt"] {
        if !names.contains(&needed) {
            problems.push(format!("{needed} is missing"));
        }
    }
    let expected: Vec<String> = natives.iter().map(|(abi, _)| format!("jni/{}/{LIBRARY}", abi.name)).collect();
    for native in names.iter().filter(|name| name.starts_with("jni/") || name.ends_with(".so")) {
        if !expected.iter().any(|name| name == native) {
            problems.push(format!("{native} does not belong here"));
        }
    }
    let work = target().join("aar/check");
    if work.exists() {
        std::fs::remove_dir_all(&work).map_err(|error| format!("{}: {error}", work.display()))?;
    }
    std::fs::create_dir_all(&work).map_err(|error| format!("{}: {error}", work.display()))?;
    extract(&work, &text)?;
    problems.extend(rules(&read(&work.join("proguard.txt"))?));
    problems.extend(classes(&work)?);
    if !read(&work.join("AndroidManifest.xml"))?.contains("package=\"dev.lorekit\"") {
        problems.push("the manifest names no package".into());
    }
    if problems.is_empty() { Ok(()) } else { Err(format!("{text}: {}", problems.join("; "))) }
}

fn extract(folder: &Path, archive: &str) -> Result<(), String> {
    let status = Command::new("jar").args(["--extract", "--file", archive]).current_dir(folder).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("jar ended with {status} on {archive}")),
        Err(error) => Err(format!("jar cannot be started: {error}")),
    }
}

/// What the consumer rules must keep, or the first call from a shrunk app fails.
fn rules(text: &str) -> Vec<String> {
    ["com.sun.jna.Library", "com.sun.jna.Callback", "com.sun.jna.Structure", "com.sun.jna.**", "native <methods>"]
        .iter()
        .filter(|kept| !text.lines().any(|line| line.starts_with("-keep") && line.contains(*kept)))
        .map(|kept| format!("proguard.txt keeps no {kept}"))
        .collect()
}

/// Every class is ours and made for a bytecode version that Android's tools take.
fn classes(work: &Path) -> Result<Vec<String>, String> {
    let unpacked = work.join("classes");
    std::fs::create_dir_all(&unpacked).map_err(|error| format!("{}: {error}", unpacked.display()))?;
    extract(&unpacked, &work.join("classes.jar").display().to_string())?;
    let mut problems = Vec::new();
    let mut n_classes = 0;
    let mut folders = vec![unpacked.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?.flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "class") {
                n_classes += 1;
                let name = path.strip_prefix(&unpacked).unwrap_or(&path).display().to_string();
                let bytes = std::fs::read(&path).map_err(|error| format!("{name}: {error}"))?;
                problems.extend(class(&name, &bytes));
            }
        }
    }
    if n_classes == 0 {
        problems.push("classes.jar holds no class".into());
    }
    Ok(problems)
}

/// Class file version of Java 11: what AGP's default desugaring takes, whatever the app's own level.
const JAVA_11: u16 = 55;

fn class(name: &str, bytes: &[u8]) -> Option<String> {
    if !name.starts_with("dev/lorekit/") {
        return Some(format!("{name} is not ours: it must be a dependency"));
    }
    let version = bytes.get(6..8).map(|version| u16::from_be_bytes([version[0], version[1]]));
    (version.is_none_or(|version| version > JAVA_11)).then(|| format!("{name} has class file version {version:?}"))
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    make_parent(path)?;
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    make_parent(to)?;
    std::fs::copy(from, to).map(|_| ()).map_err(|error| format!("{}: {error}", from.display()))
}

fn make_parent(path: &Path) -> Result<(), String> {
    let Some(parent) = path.parent() else { return Ok(()) };
    std::fs::create_dir_all(parent).map_err(|error| format!("{}: {error}", parent.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_gets_package_and_smallest_version() {
        let source = read(&root().join("android/src/main/AndroidManifest.xml")).expect("it is in the tree");
        let merged = manifest(&source).expect("it is empty");
        assert!(merged.contains("package=\"dev.lorekit\"") && merged.contains("minSdkVersion=\"26\""), "{merged}");
        assert!(manifest("<manifest><application/></manifest>").is_err());
    }

    #[test]
    fn rules_that_keep_too_little_and_foreign_or_too_new_classes_are_refused() {
        let whole = read(&root().join("android/consumer-rules.pro")).expect("it is in the tree");
        assert_eq!(rules(&whole), Vec::<String>::new());
        let without: String =
            whole.lines().filter(|line| !line.contains("com.sun.jna.Structure")).collect::<Vec<_>>().join("\n");
        assert_eq!(rules(&without), ["proguard.txt keeps no com.sun.jna.Structure"]);
        let header = |version: u8| [0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, version];
        assert_eq!(class("dev/lorekit/Engine.class", &header(55)), None);
        assert!(class("dev/lorekit/Engine.class", &header(61)).is_some());
        assert!(class("com/sun/jna/Native.class", &header(52)).is_some());
    }
}

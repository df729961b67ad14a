//! A JDK, the Kotlin compiler and JNA, obtained once into LoreKit's cache folder.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::process::capture;

/// The compiler as an npm package; it brings the standard library, kotlin-test and coroutines.
const COMPILER: &str = "kotlin-compiler@2.4.20";
/// SHA-256 of that package's archive.
const COMPILER_SHA256: &str = "c23dab400d7ce5ea8b6c909947c0ca5454189e4bb1108695b5f464500e5e950f";
/// Debian's packages of JNA, taken from the archive that the machine trusts already.
const JNA_DEBIAN: [&str; 2] = ["libjna-java", "libjna-jni"];
/// JNA where there is no apt: the same version as in `android/gradle/libs.versions.toml`.
const JNA_MAVEN: &str = "net.java.dev.jna:jna:5.18.1";

/// Everything that compiles and runs Kotlin on this machine.
pub struct Jvm {
    lib: PathBuf,
    jna: PathBuf,
    /// Folder of classes and resources with JNA's native part, where that is not inside the archive.
    jna_native: Option<PathBuf>,
}

impl Jvm {
    /// Finds or fetches the tools.
    pub fn obtain() -> Result<Self, String> {
        java()?;
        let tools = cache()?.join("tools");
        std::fs::create_dir_all(&tools).map_err(|error| format!("{}: {error}", tools.display()))?;
        let lib = compiler(&tools)?;
        let (jna, jna_native) = jna(&tools)?;
        Ok(Self { lib, jna, jna_native })
    }

    /// What compiled Kotlin needs to run.
    pub fn runtime(&self) -> Vec<PathBuf> {
        ["kotlin-stdlib.jar", "kotlinx-coroutines-core-jvm.jar", "kotlin-test.jar"]
            .map(|name| self.lib.join(name))
            .into_iter()
            .chain([self.jna.clone()])
            .chain(self.jna_native.clone())
            .collect()
    }

    /// Compiles the sources under `from` into the archive `to`.
    pub fn compile(&self, from: &[PathBuf], classes: &[PathBuf], to: &Path, more: &[&str]) -> Result<(), String> {
        if let Some(parent) = to.parent() {
            std::fs::create_dir_all(parent).map_err(|error| format!("{}: {error}", parent.display()))?;
        }
        let mut path = self.runtime();
        path.extend_from_slice(classes);
        let mut command = Command::new("java");
        command.args(["-Xmx1500m", "-Xshare:auto", "-cp"]).arg(self.lib.join("*"));
        command.args(["org.jetbrains.kotlin.cli.jvm.K2JVMCompiler", "-no-stdlib", "-no-reflect", "-jvm-target", "11"]);
        command.args(more).arg("-cp").arg(joined(&path)).arg("-d").arg(to).args(from);
        let status = command.status().map_err(|error| format!("java cannot be started: {error}"))?;
        if status.success() { Ok(()) } else { Err(format!("the Kotlin compiler ended with {status}")) }
    }

    /// Runs `main` of the class `class`, with the native library of `native`.
    pub fn run(&self, class: &str, classes: &[PathBuf], native: &Path, args: &[&str]) -> Result<(), String> {
        let mut path = classes.to_vec();
        path.extend(self.runtime());
        let mut command = Command::new("java");
        // A heap that has its whole size from the start, so that what grows is the native side's.
        command.args(["-Xms128m", "-Xmx128m", "-XX:+AlwaysPreTouch"]);
        command.arg(format!("-Djna.library.path={}", native.display()));
        // Without UTF-8 for output, Han characters in messages would be question marks.
        command.args(["-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8"]).arg("-cp").arg(joined(&path));
        let status =
            command.arg(class).args(args).status().map_err(|error| format!("java cannot be started: {error}"))?;
        if status.success() { Ok(()) } else { Err(format!("{class} ended with {status}")) }
    }
}

fn joined(paths: &[PathBuf]) -> std::ffi::OsString {
    std::env::join_paths(paths).unwrap_or_default()
}

/// LoreKit's cache folder, by the rule that the command follows.
pub fn cache() -> Result<PathBuf, String> {
    let place = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    place("LOREKIT_CACHE")
        .or_else(|| place("XDG_CACHE_HOME").map(|base| base.join("lorekit")))
        .or_else(|| place("HOME").map(|home| home.join(".cache/lorekit")))
        .ok_or_else(|| "no cache folder: set LOREKIT_CACHE or HOME".into())
}

fn quiet(program: &str, args: &[&str], folder: &Path) -> bool {
    let run = Command::new(program)
        .args(args)
        .current_dir(folder)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .status();
    run.is_ok_and(|status| status.success())
}

/// Whether a program can be started at all.
fn there(program: &str) -> bool {
    let version = if program == "java" { "-version" } else { "--version" };
    Command::new(program)
        .arg(version)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Installs Debian packages where this process may; fails plainly where not.
fn install(what: &str, packages: &[&str]) -> Result<(), String> {
    let missing = || format!("{what} is missing; on Debian: apt-get install {}", packages.join(" "));
    if !there("apt-get") {
        return Err(missing());
    }
    eprintln!("   {what} is missing: installing {}", packages.join(" "));
    let folder = std::env::temp_dir();
    let mut args = vec!["install", "--yes", "--quiet", "--no-install-recommends"];
    args.extend(packages);
    let installed = quiet("apt-get", &args, &folder)
        || (quiet("apt-get", &["update", "--quiet"], &folder) && quiet("apt-get", &args, &folder));
    if installed { Ok(()) } else { Err(missing()) }
}

fn java() -> Result<(), String> {
    if there("java") && there("jar") { Ok(()) } else { install("a JDK", &["openjdk-17-jdk-headless"]) }
}

/// The compiler's folder of archives.
fn compiler(tools: &Path) -> Result<PathBuf, String> {
    let folder = tools.join(COMPILER.replace('@', "-"));
    let lib = folder.join("package/lib");
    if lib.join("kotlin-compiler.jar").is_file() {
        return Ok(lib);
    }
    if !there("npm") {
        install("npm, which fetches the Kotlin compiler,", &["npm"])?;
    }
    let fetched = tools.join(format!("fetch-{}", std::process::id()));
    std::fs::create_dir_all(&fetched).map_err(|error| format!("{}: {error}", fetched.display()))?;
    let outcome = unpack_compiler(&fetched, &folder);
    // What is left of a failed fetch helps nobody.
    let _ = std::fs::remove_dir_all(&fetched);
    outcome.map(|()| lib)
}

fn unpack_compiler(fetched: &Path, folder: &Path) -> Result<(), String> {
    eprintln!("   fetching {COMPILER}");
    if !quiet("npm", &["pack", "--silent", COMPILER], fetched) {
        return Err(format!("npm cannot fetch {COMPILER}"));
    }
    let archive = fetched.join(format!("{}.tgz", COMPILER.replace('@', "-")));
    let printed = capture("sha256sum", &[&archive.display().to_string()])?;
    let found = printed.split_whitespace().next().unwrap_or_default();
    if found != COMPILER_SHA256 {
        return Err(format!("{COMPILER} has SHA-256 {found}, expected {COMPILER_SHA256}"));
    }
    if !quiet("tar", &["xzf", &archive.display().to_string()], fetched) {
        return Err(format!("{} cannot be unpacked", archive.display()));
    }
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    std::fs::rename(fetched.join("package"), folder.join("package"))
        .map_err(|error| format!("{}: {error}", folder.display()))
}

/// JNA's archive, and a folder with its native part if that is not inside.
///
/// Debian's JNA looks for its native part in the system's folders alone, and then on the class path, where the packages
/// that are only unpacked can put it.
fn jna(tools: &Path) -> Result<(PathBuf, Option<PathBuf>), String> {
    let debian = tools.join("jna-debian");
    let maven = tools.join("jna-maven");
    let found = || {
        let archive = debian.join("usr/share/java/jna.jar");
        let classes = debian.join("classes");
        match find(&classes, "libjnidispatch.so") {
            Some(_) if archive.exists() => Some((archive, Some(classes))),
            _ => std::fs::read_dir(&maven)
                .ok()?
                .flatten()
                .map(|entry| entry.path())
                .find(|path| path.extension().is_some_and(|extension| extension == "jar"))
                .map(|archive| (archive, None)),
        }
    };
    if let Some(found) = found() {
        return Ok(found);
    }
    std::fs::create_dir_all(&debian).map_err(|error| format!("{}: {error}", debian.display()))?;
    if there("apt-get") {
        eprintln!("   fetching JNA from Debian");
        let mut args = vec!["download", "--quiet"];
        args.extend(JNA_DEBIAN);
        if quiet("apt-get", &args, &debian)
            || (quiet("apt-get", &["update", "--quiet"], &debian) && quiet("apt-get", &args, &debian))
        {
            for package in std::fs::read_dir(&debian).map_err(|error| error.to_string())?.flatten() {
                let package = package.path();
                if package.extension().is_some_and(|extension| extension == "deb") {
                    quiet("dpkg-deb", &["--extract", &package.display().to_string(), "."], &debian);
                }
            }
            if let Some(native) = find(&debian.join("usr/lib"), "libjnidispatch.system.so") {
                let place = debian.join("classes/com/sun/jna").join(platform());
                std::fs::create_dir_all(&place).map_err(|error| format!("{}: {error}", place.display()))?;
                std::fs::copy(&native, place.join("libjnidispatch.so"))
                    .map_err(|error| format!("{}: {error}", native.display()))?;
            }
        }
    }
    if found().is_none() && there("mvn") {
        eprintln!("   fetching JNA from Maven");
        std::fs::create_dir_all(&maven).map_err(|error| format!("{}: {error}", maven.display()))?;
        let (artifact, to) = (format!("-Dartifact={JNA_MAVEN}"), "-DoutputDirectory=.");
        quiet("mvn", &["--batch-mode", "--quiet", "dependency:copy", &artifact, to], &maven);
    }
    found()
        .ok_or_else(|| format!("JNA is missing; on Debian: apt-get install {}; or install Maven", JNA_DEBIAN.join(" ")))
}

/// This machine, as JNA calls it.
fn platform() -> String {
    format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH.replace('_', "-"))
}

/// The file called `name` under `folder`, at any depth.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    std::fs::read_dir(folder).ok()?.flatten().find_map(|entry| {
        let path = entry.path();
        if path.is_dir() {
            find(&path, name)
        } else {
            path.file_name().is_some_and(|found| found == name).then_some(path)
        }
    })
}

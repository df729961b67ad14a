//! Processors and systems other than this one: tests for arm64 under emulation, type checks for Apple and Android.
//!
//! Both print JSON. Where one cannot run, it says `skipped` and why, and that is no failure.

use crate::process::{capture, root, target};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

const ARM: &str = "aarch64-unknown-linux-gnu";
/// Without the dot product, with it, and with the matrix product too.
const PROCESSORS: [&str; 3] = ["cortex-a72", "cortex-a76", "max"];
const SYSTEMS: [&str; 5] = [
    "aarch64-apple-ios",
    "aarch64-apple-ios-sim",
    "aarch64-apple-darwin",
    "aarch64-linux-android",
    "x86_64-linux-android",
];
/// The crates of the SDK, as far as the workspace has them.
const PACKAGES: [&str; 8] = [
    "lorekit-cancel",
    "lorekit-pack",
    "lorekit-store",
    "lorekit-kernels",
    "lorekit-model",
    "lorekit-retrieval",
    "lorekit-answer",
    "lorekit-ffi",
];

/// Runs tests compiled for arm64 on three emulated processors and counts the `sdot` and `smmla` instructions that
/// were translated: the proof of which kernels ran.
pub fn test_arm(args: &[&str]) -> Result<(), String> {
    const ALL: [&str; 3] = ["kernels", "model", "store"];
    let crates: &[&str] = match args {
        [] => &["kernels"],
        ["--all"] => &ALL,
        named if named.iter().all(|name| ALL.contains(name)) => named,
        _ => return Err("test-arm takes --all (model and store too, long), names of these crates, or nothing".into()),
    };
    eprintln!("\n== tests for arm64 under emulation");
    let toolchain = match toolchain()? {
        Ok(toolchain) => toolchain,
        Err(reason) => return skipped("test-arm", &reason),
    };
    let mut runs = Vec::new();
    let mut failures = Vec::new();
    for name in crates {
        let started = Instant::now();
        let binaries = arm_tests(&toolchain, name)?;
        eprintln!("== {name}: {} test binaries after {:.0} s", binaries.len(), started.elapsed().as_secs_f64());
        for processor in PROCESSORS {
            if let Some(reason) = left_out(name, processor) {
                eprintln!("   {processor}: skipped, {reason}");
                runs.push(json!({ "crate": name, "processor": processor, "skipped": reason }));
                continue;
            }
            let (mut sdot, mut smmla) = (0, 0);
            for binary in &binaries {
                let run = emulated(&toolchain, processor, binary, *name == "kernels")?;
                let test = Path::new(binary).file_name().map(|name| name.to_string_lossy().into_owned());
                eprintln!("   {processor}, {}: {} passed", test.as_deref().unwrap_or(name), run.passed);
                if !run.success {
                    failures.push(format!("{name}: {binary} failed on {processor}"));
                }
                (sdot, smmla) = (sdot + run.sdot, smmla + run.smmla);
                runs.push(json!({
                    "crate": name, "processor": processor, "test": test, "success": run.success,
                    "passed": run.passed, "seconds": run.seconds, "sdot": run.sdot, "smmla": run.smmla,
                }));
            }
            if *name == "kernels" {
                let proved = match processor {
                    "cortex-a72" => sdot == 0 && smmla == 0,
                    "cortex-a76" => sdot > 0 && smmla == 0,
                    _ => sdot > 0 && smmla > 0,
                };
                if !proved {
                    failures.push(format!("on {processor} {sdot} sdot and {smmla} smmla were seen"));
                }
            }
        }
    }
    print(&json!({ "command": "test-arm", "target": ARM, "runs": runs, "failures": failures }));
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

/// Why a crate's tests do not run on one of the processors, if so.
fn left_out(name: &str, processor: &str) -> Option<&'static str> {
    match (name, processor) {
        // The portable path refuses it, and half of these tests compare with that path.
        ("model", "cortex-a72") => Some("candle's products need the dot product"),
        // Only usearch's distances differ, by what the least and the greatest processor have.
        ("store", "cortex-a76") => Some("the store runs on the least and the greatest of the processors"),
        _ => None,
    }
}

/// Type-checks the SDK's crates for Apple's and Android's systems, for Apple's with the `metal` feature.
pub fn check_targets(args: &[&str]) -> Result<(), String> {
    let systems: Vec<&str> = if args.is_empty() { SYSTEMS.to_vec() } else { args.to_vec() };
    if let Some(unknown) = systems.iter().find(|system| !SYSTEMS.contains(system)) {
        return Err(format!("{unknown} is none of the targets {}", SYSTEMS.join(", ")));
    }
    let packages = packages()?;
    let mut checks = Vec::new();
    let mut failures = Vec::new();
    for system in systems {
        let metal = system.contains("-apple-");
        let mut arguments = vec!["check".to_owned(), "--locked".into(), "--target".into(), system.into()];
        // Macros and build scripts run for a second; optimising them as the profile does other crates takes minutes.
        arguments.extend(["--config".into(), "profile.dev.package.\"*\".opt-level=0".into()]);
        for (name, has_metal) in &packages {
            arguments.extend(["--package".into(), name.clone()]);
            if metal && *has_metal {
                arguments.extend(["--features".into(), format!("{name}/metal")]);
            }
        }
        let mut command = match checker(system)? {
            Ok(command) => command,
            Err(reason) => return skipped("check-targets", &reason),
        };
        eprintln!("== types for {system}{}", if metal { " with metal" } else { "" });
        let started = Instant::now();
        let status = command.args(&arguments).status().map_err(|error| format!("cargo cannot be started: {error}"))?;
        if !status.success() {
            failures.push(format!("the types for {system} do not check"));
        }
        let seconds = (started.elapsed().as_secs_f64() * 10.0).round() / 10.0;
        checks.push(json!({ "target": system, "metal": metal, "success": status.success(), "seconds": seconds }));
    }
    let names: Vec<&String> = packages.iter().map(|(name, _)| name).collect();
    print(&json!({ "command": "check-targets", "packages": names, "checks": checks, "failures": failures }));
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

/// The packages to check, and whether each has the `metal` feature.
fn packages() -> Result<Vec<(String, bool)>, String> {
    let printed = capture("cargo", &["metadata", "--locked", "--no-deps", "--format-version", "1"])?;
    let metadata: Value = serde_json::from_str(&printed).map_err(|error| format!("cargo metadata: {error}"))?;
    let members = metadata["packages"].as_array().into_iter().flatten();
    let known = members.filter_map(|package| {
        let name = package["name"].as_str()?;
        PACKAGES.contains(&name).then(|| (name.to_owned(), package["features"].get("metal").is_some()))
    });
    Ok(known.collect())
}

fn print(report: &Value) {
    println!("{report:#}");
}

fn skipped(command: &str, reason: &str) -> Result<(), String> {
    eprintln!("skipped: {reason}");
    print(&json!({ "command": command, "skipped": reason }));
    Ok(())
}

/// The folder with compilers, made where it is missing, or the reason why it cannot be made or entered.
pub fn toolchain() -> Result<Result<PathBuf, String>, String> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("LOREKIT_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("lorekit")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/lorekit")));
    let Some(cache) = cache else { return Ok(Err("there is no cache folder; set LOREKIT_CACHE".into())) };
    let place = cache.join("toolchains/arm");
    let made = Command::new(root().join("scripts/targets/root"))
        .arg(&place)
        .stderr(Stdio::piped())
        .output()
        .map_err(|error| format!("scripts/targets/root cannot be started: {error}"))?;
    let said = String::from_utf8_lossy(&made.stderr);
    match made.status.code() {
        // Some containers refuse the name spaces that entering it takes.
        Some(0) => match inside(&place, &target().join("arm"), "true")?.output() {
            Ok(entered) if entered.status.success() => Ok(Ok(place)),
            Ok(entered) => Ok(Err(String::from_utf8_lossy(&entered.stderr).trim().to_owned())),
            Err(error) => Ok(Err(format!("bwrap cannot be started: {error}"))),
        },
        Some(3) => Ok(Err(said.trim().to_owned())),
        _ => Err(format!("scripts/targets/root ended with {}\n{said}", made.status)),
    }
}

/// The folder cargo keeps sources in, on this machine.
fn cargo_home() -> PathBuf {
    let home = std::env::var_os("HOME").map_or_else(PathBuf::new, PathBuf::from);
    std::env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from)
}

/// A command inside the toolchain's folder: the checkout is `/src`, what is built goes to `/target`.
fn inside(toolchain: &Path, builds: &Path, program: &str) -> Result<Command, String> {
    std::fs::create_dir_all(builds).map_err(|error| format!("{}: {error}", builds.display()))?;
    let mut command = Command::new("bwrap");
    command.arg("--ro-bind").arg(toolchain).arg("/");
    command.args(["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]);
    command.arg("--ro-bind").arg(root()).arg("/src");
    command.arg("--bind").arg(builds).arg("/target");
    command.arg("--bind").arg(cargo_home()).arg("/cargo");
    command.args(["--chdir", "/src", "--die-with-parent", "--clearenv"]);
    let mut environment = vec![
        ("PATH", "/usr/bin:/bin".to_owned()),
        ("HOME", "/tmp".into()),
        ("LANG", "C.UTF-8".into()),
        ("CARGO_HOME", "/cargo".into()),
        ("CARGO_TARGET_DIR", "/target/out".into()),
        ("CARGO_INCREMENTAL", "0".into()),
        ("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc".into()),
        ("CC_aarch64_unknown_linux_gnu", "aarch64-linux-gnu-gcc".into()),
        ("CXX_aarch64_unknown_linux_gnu", "aarch64-linux-gnu-g++".into()),
        ("AR_aarch64_unknown_linux_gnu", "aarch64-linux-gnu-ar".into()),
    ];
    if let Ok(jobs) = std::env::var("CARGO_BUILD_JOBS") {
        environment.push(("CARGO_BUILD_JOBS", jobs));
    }
    for (name, value) in environment {
        command.args(["--setenv", name, &value]);
    }
    command.arg(format!("/usr/bin/{program}"));
    Ok(command)
}

/// Sees to it that cargo's cache has the sources of a workspace, which are then read offline.
fn fetch(manifest: &Path) {
    let mut fetching = Command::new("cargo");
    fetching.args(["fetch", "--locked", "--quiet", "--manifest-path"]).arg(manifest);
    // The standard library's workspace uses what is not stable.
    let fetched = fetching.env("RUSTC_BOOTSTRAP", "1").status();
    if !fetched.is_ok_and(|status| status.success()) {
        eprintln!("   sources could not be fetched: those in cargo's cache must do");
    }
}

/// Builds a crate's tests for arm64; paths as seen inside.
fn arm_tests(toolchain: &Path, name: &str) -> Result<Vec<String>, String> {
    fetch(&root().join("Cargo.toml"));
    let output = inside(toolchain, &target().join("arm"), "cargo")?
        .args(["test", "--offline", "--locked", "--target", ARM, "--no-run", "--message-format=json", "--package"])
        .arg(format!("lorekit-{name}"))
        .args(["--lib", "--tests"])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("bwrap cannot be started: {error}"))?;
    if !output.status.success() {
        return Err(format!("the tests of {name} do not build for {ARM}"));
    }
    let lines = output.stdout.split(|byte| *byte == b'\n');
    let messages = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    Ok(messages.filter_map(|message| Some(message.get("executable")?.as_str()?.to_owned())).collect())
}

struct Run {
    success: bool,
    passed: u64,
    seconds: f64,
    sdot: u64,
    smmla: u64,
}

/// Runs one test binary on an emulated processor; with `count`, which is slow, it counts what is translated.
fn emulated(toolchain: &Path, processor: &str, binary: &str, count: bool) -> Result<Run, String> {
    let builds = target().join("arm");
    let log = builds.join("translated.log");
    let started = Instant::now();
    let mut command = inside(toolchain, &builds, "qemu-aarch64")?;
    command.args(["-cpu", processor]);
    if count {
        command.args(["-d", "in_asm", "-D", "/target/translated.log"]);
    }
    let output = command
        .arg(binary)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("bwrap cannot be started: {error}"))?;
    let seconds = (started.elapsed().as_secs_f64() * 10.0).round() / 10.0;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        eprintln!("{said}");
    }
    let passed = said
        .lines()
        .filter_map(|line| {
            line.strip_prefix("test result: ")?.split_once(". ")?.1.split_once(" passed")?.0.parse::<u64>().ok()
        })
        .sum();
    let (mut sdot, mut smmla) = (0, 0);
    if !count {
        return Ok(Run { success: output.status.success(), passed, seconds, sdot, smmla });
    }
    let file = File::open(&log).map_err(|error| format!("{}: {error}", log.display()))?;
    for line in BufReader::new(file).split(b'\n') {
        let line = line.map_err(|error| format!("{}: {error}", log.display()))?;
        let has = |word: &[u8]| line.windows(word.len()).any(|part| part == word);
        sdot += u64::from(has(b"sdot"));
        smmla += u64::from(has(b"smmla"));
    }
    std::fs::remove_file(&log).map_err(|error| format!("{}: {error}", log.display()))?;
    Ok(Run { success: output.status.success(), passed, seconds, sdot, smmla })
}

/// `cargo` set up to check types for `system`: this machine's own where rustup gives it the standard library, else the
/// toolchain's folder, which builds the library from its sources. C and C++ are left out by stub compilers.
fn checker(system: &str) -> Result<Result<Command, String>, String> {
    let installed = Command::new("rustup")
        .args(["target", "add", system])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir(root())
        .status()
        .is_ok_and(|status| status.success());
    let builds = target().join("check");
    let sdk = builds.join("sdk");
    std::fs::create_dir_all(&sdk).map_err(|error| format!("{}: {error}", sdk.display()))?;
    let (mut command, scripts, sdk) = if installed {
        let mut command = Command::new("cargo");
        command.current_dir(root()).env("CARGO_TARGET_DIR", &builds);
        (command, root().join("scripts/targets"), sdk)
    } else {
        let toolchain = match toolchain()? {
            Ok(toolchain) => toolchain,
            Err(reason) => return Ok(Err(format!("no standard library for {system}: {reason}"))),
        };
        fetch(&root().join("Cargo.toml"));
        fetch(&toolchain.join("usr/lib/rustlib/src/rust/library/Cargo.toml"));
        (inside(&toolchain, &builds, "env")?, PathBuf::from("/src/scripts/targets"), PathBuf::from("/target/sdk"))
    };
    let under = system.replace('-', "_");
    let (cc, ar) = (scripts.join("stub-cc"), scripts.join("stub-ar"));
    let stubs = [("CC", cc.clone()), ("CXX", cc), ("AR", ar), ("RANLIB", PathBuf::from("true"))];
    let mut environment: Vec<(String, PathBuf)> =
        stubs.into_iter().map(|(name, path)| (format!("{name}_{under}"), path)).collect();
    environment.push(("SDKROOT".into(), sdk));
    if installed {
        command.envs(environment);
    } else {
        for (name, value) in environment {
            command.arg(format!("{name}={}", value.display()));
        }
        command.args(["RUSTC_BOOTSTRAP=1", "cargo", "-Zbuild-std=std,panic_abort,panic_unwind", "--offline"]);
    }
    Ok(Ok(command))
}

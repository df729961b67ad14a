//! Running other programs: cargo, git, lore.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// The root of the checkout.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    here.canonicalize().unwrap_or(here)
}

/// The folder cargo builds into.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Prints what is about to happen, runs it in the root with its output shown, and says how long it took.
pub fn step(what: &str, program: &str, args: &[&str]) -> Result<(), String> {
    step_in(what, program, args, &[])
}

/// As [`step`], with further environment variables that hold paths.
pub fn step_in(what: &str, program: &str, args: &[&str], places: &[(&str, PathBuf)]) -> Result<(), String> {
    eprintln!("\n== {what}\n   {program} {}", args.join(" "));
    let started = Instant::now();
    let status = Command::new(program)
        .args(args)
        .envs(places.iter().map(|(name, path)| (name, path)))
        .current_dir(root())
        .status()
        .map_err(|error| format!("{program} cannot be started: {error}"))?;
    eprintln!("   {} after {:.0} s", if status.success() { "done" } else { "FAILED" }, started.elapsed().as_secs_f64());
    if status.success() { Ok(()) } else { Err(format!("{what}: {program} ended with {status}")) }
}

/// Runs a program in the root and returns what it printed on standard output.
pub fn capture(program: &str, args: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(args)
        .current_dir(root())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("{program} cannot be started: {error}"))?;
    if !output.status.success() {
        return Err(format!("{program} {} ended with {}", args.join(" "), output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("{program} printed something that is not UTF-8"))
}

/// Builds the `lore` command as users run it and returns its path.
pub fn build_lore() -> Result<String, String> {
    step(
        "building the lore command (the first time takes some minutes)",
        "cargo",
        &["build", "--release", "--locked", "-p", "lorekit-cli"],
    )?;
    Ok(target().join("release").join("lore").display().to_string())
}

/// Processor seconds of all children that ended, on Linux: fields 16 and 17 of `/proc/self/stat`, in hundredths.
pub fn children_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(13);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) / 100.0)
}

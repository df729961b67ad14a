//! The native library of this machine, the generated Kotlin, and the fixtures of the scenarios.

use std::path::{Path, PathBuf};

use crate::process::{capture, root, step, target};

/// The generated Kotlin in the tree.
pub const GENERATED: &str = "android/src/generated/kotlin/dev/lorekit/internal/ffi/lorekit_ffi.kt";

/// The native library, as this system calls it.
pub fn library() -> PathBuf {
    let name = format!("{}lorekit_ffi{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    target().join("debug").join(name)
}

/// Builds the native library, the generators and the fixtures' program, in the profile that tests use.
pub fn build() -> Result<(), String> {
    let bins = ["--bin", "lorekit-fixtures", "--bin", "uniffi-bindgen", "--bin", "uniffi-bindgen-swift"];
    let mut args = vec!["build", "--workspace", "--locked", "--quiet", "--lib"];
    args.extend(bins);
    step("building the native library", "cargo", &args)
}

/// `cargo xtask fixtures DIR`: writes the files that the scenarios open.
pub fn fixtures(args: &[&str]) -> Result<(), String> {
    let [folder] = args else { return Err("fixtures takes the folder to write into".into()) };
    build()?;
    write_fixtures(Path::new(folder))
}

/// Writes the files that the scenarios open.
pub fn write_fixtures(folder: &Path) -> Result<(), String> {
    let program = target().join("debug/lorekit-fixtures").display().to_string();
    step("writing the fixtures", &program, &[&folder.display().to_string()])
}

/// `cargo xtask bindings [--check]`: generates Kotlin into the tree, or compares it with what is there.
pub fn run(args: &[&str]) -> Result<(), String> {
    let check = match args {
        [] => false,
        ["--check"] => true,
        _ => return Err("bindings takes --check or nothing".into()),
    };
    build()?;
    kotlin(check)
}

/// Generates Kotlin; with `check`, only compares.
pub fn kotlin(check: bool) -> Result<(), String> {
    let fresh = generate(&target().join("kotlin/generated"))?;
    let path = root().join(GENERATED);
    if check {
        let known = std::fs::read_to_string(&path).map_err(|error| format!("{GENERATED}: {error}"))?;
        return if known == fresh {
            Ok(())
        } else {
            Err(format!("{GENERATED} is out of date: run cargo xtask bindings"))
        };
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    std::fs::write(&path, fresh).map_err(|error| format!("{GENERATED}: {error}"))
}

fn generate(out: &Path) -> Result<String, String> {
    let program = target().join("debug/uniffi-bindgen").display().to_string();
    let (library, out_text) = (library().display().to_string(), out.display().to_string());
    let config = root().join("bindings/bindgen.toml").display().to_string();
    let args =
        ["generate", &library, "--language", "kotlin", "--no-format", "--config", &config, "--out-dir", &out_text];
    capture(&program, &args)?;
    let path = out.join("dev/lorekit/internal/ffi/lorekit_ffi.kt");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(internal(&text))
}

/// The generator makes everything public; nothing of it is an app's business, so every top-level declaration becomes
/// internal. White space at line ends goes too: reviewers' tools would complain about it.
fn internal(text: &str) -> String {
    const DECLARATIONS: [&str; 19] = [
        "abstract class ",
        "annotation class ",
        "class ",
        "const val ",
        "data class ",
        "enum class ",
        "fun ",
        "inline fun ",
        "interface ",
        "object ",
        "open class ",
        "sealed class ",
        "suspend fun ",
        "typealias ",
        "val ",
        "var ",
        "fun interface ",
        "data object ",
        "sealed interface ",
    ];
    let mut out = String::with_capacity(text.len() + 4_096);
    for line in text.lines() {
        let line = line.trim_end();
        let (line, modifier) = match line.strip_prefix("public ") {
            Some(rest) if DECLARATIONS.iter().any(|start| rest.starts_with(start)) => (rest, "internal "),
            _ if DECLARATIONS.iter().any(|start| line.starts_with(start)) => (line, "internal "),
            _ => (line, ""),
        };
        out.push_str(modifier);
        out.push_str(line);
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::internal;

    #[test]
    fn top_level_declarations_become_internal_and_members_stay() {
        let rows = [
            ("public object A {\n    fun b() {}\n}", "internal object A {\n    fun b() {}\n}\n"),
            ("data class A(   \n    val b: Int\n)\n\n\n", "internal data class A(\n    val b: Int\n)\n"),
            ("private fun a() {}", "private fun a() {}\n"),
            ("internal class A", "internal class A\n"),
            ("@Throws(E::class) fun a() {}", "@Throws(E::class) fun a() {}\n"),
            ("suspend fun a()", "internal suspend fun a()\n"),
        ];
        for (given, expected) in rows {
            assert_eq!(internal(given), expected);
        }
    }
}

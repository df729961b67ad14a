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
    let mut out = String::with_capacity(text.len() + 4_096);
    let mut depth = 0usize;
    for line in text.lines() {
        let line = line.trim_end();
        let code = line.trim_start();
        if code.starts_with("//") || code.starts_with('*') || code.starts_with("/*") {
            out.push_str(line);
        } else {
            match declaration(line).filter(|_| depth == 0) {
                Some(at) => {
                    out.push_str(&line[..at]);
                    out.push_str("internal ");
                    out.push_str(line[at..].strip_prefix("public ").unwrap_or(&line[at..]));
                }
                None => out.push_str(line),
            }
            depth = (depth + code.matches(['{', '(']).count()).saturating_sub(code.matches(['}', ')']).count());
        }
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// Where a declaration without a visibility, or a public one, begins in a line: behind white space and one annotation.
fn declaration(line: &str) -> Option<usize> {
    const WORDS: [&str; 15] = [
        "abstract",
        "annotation",
        "class",
        "const",
        "data",
        "enum",
        "fun",
        "inline",
        "interface",
        "object",
        "open",
        "public",
        "sealed",
        "suspend",
        "typealias",
    ];
    let mut rest = line.trim_start();
    if rest.starts_with('@') {
        let end = rest.find([' ', ')'])?;
        rest = rest[end..].trim_start_matches(')').trim_start();
    }
    let word: String = rest.chars().take_while(char::is_ascii_lowercase).collect();
    let known = WORDS.contains(&word.as_str()) || word == "val" || word == "var";
    (known && rest[word.len()..].starts_with(' ')).then_some(line.len() - rest.len())
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
            (
                "    @Throws(E::class) fun a() {\n    fun b() {}\n}",
                "    @Throws(E::class) internal fun a() {\n    fun b() {}\n}\n",
            ),
            ("/**\n * class A {\n */\nval a = 1", "/**\n * class A {\n */\ninternal val a = 1\n"),
            ("suspend fun a()", "internal suspend fun a()\n"),
        ];
        for (given, expected) in rows {
            assert_eq!(internal(given), expected);
        }
    }
}

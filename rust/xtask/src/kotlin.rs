//! `cargo xtask test-kotlin`: the library of `android/` compiled and run on a JVM against the real native library.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::bindings;
use crate::jvm::Jvm;
use crate::process::{root, step, target};

/// What the samples of the READMEs may use without declaring it.
const SAMPLE_PARAMETERS: &str = "\
    pack: File,
    embedder: File,
    model: File,
    adapter: File,
    folder: File,
    delta: File,
    publicKey: String,
    secret: ByteArray,
    question: String,
    append: (String) -> Unit,
    show: (List<Passage>) -> Unit,
    mark: (Citation) -> Unit,
";

pub fn run(args: &[&str]) -> Result<(), String> {
    let (mut maven, mut write_api) = (false, false);
    for arg in args {
        match *arg {
            "--maven" => maven = true,
            "--write-api" => write_api = true,
            other => return Err(format!("test-kotlin does not know {other}; it takes --maven and --write-api")),
        }
    }
    bindings::build()?;
    bindings::kotlin(true)?;
    let work = target().join("kotlin");
    let fixtures = work.join("fixtures");
    bindings::write_fixtures(&fixtures)?;
    if maven {
        return with_maven(&fixtures);
    }
    timed("tools", Jvm::obtain).and_then(|jvm| all(&jvm, &work, &fixtures, write_api))
}

fn all(jvm: &Jvm, work: &Path, fixtures: &Path, write_api: bool) -> Result<(), String> {
    let library = compile_library(jvm, work)?;
    let (support, rest) = (work.join("sample-support.jar"), work.join("tests.jar"));
    timed("compiling the sample support", || {
        jvm.compile(
            &sources(&["android/sample-support/src/main"]),
            std::slice::from_ref(&library),
            &support,
            &["-Xexplicit-api=strict"],
        )
    })?;
    let samples = work.join("ReadmeSamples.kt");
    std::fs::write(&samples, readme_samples()?).map_err(|error| format!("{}: {error}", samples.display()))?;
    timed("compiling scenarios, examples and the READMEs' samples", || {
        let mut from = sources(&["android/src/test", "android/sample-support/src/test", "examples/kotlin-console"]);
        from.push(samples);
        jvm.compile(&from, &[library.clone(), support.clone()], &rest, &[])
    })?;
    let classes = [library.clone(), support, rest];
    let native = native_folder()?;
    let api = root().join("android/api/lorekit.api").display().to_string();
    let mut arguments = vec![library.display().to_string(), api];
    if write_api {
        arguments.push("--write".into());
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    timed("public API", || jvm.run("dev.lorekit.api.ApiDumpKt", &classes, &native, &arguments))?;
    timed("checks of the examples' logic", || jvm.run("dev.lorekit.sample.ChatModelChecksKt", &classes, &native, &[]))?;
    let folder = fixtures.display().to_string();
    timed("scenarios", || jvm.run("dev.lorekit.scenarios.MainKt", &classes, &native, &[&folder]))?;
    timed("the console example on the fixtures", || {
        let place = |name: &str| fixtures.join(name).display().to_string();
        let arguments =
            [place("base.lorepack"), place("embedder.gguf"), place("model.gguf"), "信用卡还款宽限期几天？".into()];
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        jvm.run("dev.lorekit.example.console.MainKt", &classes, &native, &arguments)
    })
}

/// `cargo xtask kotlin-console PACK EMBEDDER MODEL QUESTION…`: the example on files of the caller's own.
pub fn console(args: &[&str]) -> Result<(), String> {
    if args.len() < 4 {
        return Err("kotlin-console takes PACK EMBEDDER MODEL QUESTION…".into());
    }
    bindings::build()?;
    let jvm = Jvm::obtain()?;
    let work = target().join("kotlin");
    let library = compile_library(&jvm, &work)?;
    let example = work.join("kotlin-console.jar");
    jvm.compile(&sources(&["examples/kotlin-console"]), std::slice::from_ref(&library), &example, &[])?;
    jvm.run("dev.lorekit.example.console.MainKt", &[library, example], &native_folder()?, args)
}

/// Compiles the library as Gradle does: explicit API, generated code beside the hand-written.
pub fn compile_library(jvm: &Jvm, work: &Path) -> Result<PathBuf, String> {
    let library = work.join("lorekit.jar");
    timed("compiling the library", || {
        let more = ["-Xexplicit-api=strict", "-module-name", "lorekit"];
        jvm.compile(&sources(&["android/src/main/kotlin", "android/src/generated/kotlin"]), &[], &library, &more)
    })?;
    Ok(library)
}

fn native_folder() -> Result<PathBuf, String> {
    Ok(bindings::library().parent().ok_or("the native library lies in no folder")?.to_path_buf())
}

fn with_maven(fixtures: &Path) -> Result<(), String> {
    let native = format!("-Djna.library.path={}", native_folder()?.display());
    let fixtures = format!("-Dlorekit.fixtures={}", fixtures.display());
    let pom = root().join("android/pom.xml").display().to_string();
    step("scenarios under Maven", "mvn", &["--batch-mode", "--quiet", "-f", &pom, &native, &fixtures, "test"])
}

fn sources(folders: &[&str]) -> Vec<PathBuf> {
    folders.iter().map(|folder| root().join(folder)).collect()
}

fn timed<T>(what: &str, work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    eprintln!("\n== {what}");
    let started = Instant::now();
    let outcome = work().map_err(|reason| format!("{what}: {reason}"))?;
    eprintln!("   done after {:.0} s", started.elapsed().as_secs_f64());
    Ok(outcome)
}

/// Every Kotlin sample of the READMEs as a function of its own.
fn readme_samples() -> Result<String, String> {
    let mut out = String::from(
        "@file:Suppress(\"UNUSED_PARAMETER\", \"UNUSED_VARIABLE\", \"unused\")\n\npackage dev.lorekit.readme\n\n\
         import dev.lorekit.*\nimport java.io.File\nimport kotlinx.coroutines.*\nimport kotlinx.coroutines.flow.*\n",
    );
    let mut n = 0;
    for readme in ["README.md", "android/README.md"] {
        let text = std::fs::read_to_string(root().join(readme)).map_err(|error| format!("{readme}: {error}"))?;
        let samples = fenced(&text, "kotlin");
        if samples.is_empty() {
            return Err(format!("{readme} has no Kotlin sample"));
        }
        for sample in samples {
            n += 1;
            let _ = write!(out, "\n// {readme}\nsuspend fun sample{n}(\n{SAMPLE_PARAMETERS}) {{\n{sample}}}\n");
        }
    }
    Ok(out)
}

/// The fenced blocks of `language` in a Markdown text.
pub fn fenced(text: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<String> = None;
    for line in text.lines() {
        match &mut open {
            None if line.trim_end() == format!("```{language}") => open = Some(String::new()),
            None => {}
            Some(_) if line.starts_with("```") => blocks.extend(open.take()),
            Some(block) => {
                block.push_str(line);
                block.push('\n');
            }
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::fenced;

    #[test]
    fn samples_are_the_fenced_blocks_of_their_language() {
        let text = "a\n```kotlin\nval a = 1\n```\n```swift\nlet b = 2\n```\n```kotlin\nval c = 3\n```\n";
        assert_eq!(fenced(text, "kotlin"), ["val a = 1\n", "val c = 3\n"]);
        assert_eq!(fenced(text, "swift"), ["let b = 2\n"]);
        assert_eq!(fenced(text, "rust"), Vec::<String>::new());
    }
}

//! `cargo xtask test-swift`: the package in `ios/` built and run by a real Swift against the real library.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::bindings;
use crate::jvm::cache;
use crate::kotlin::fenced;
use crate::process::{capture, root, step, target};

/// Generated files in the tree, by the generator's flag that makes their folder.
const GENERATED: [(&str, &[&str]); 3] = [
    ("ios/Sources/LoreKitBindings/LoreKitBindings.swift", &["--swift-sources"]),
    ("ios/Sources/LoreKitFFI/LoreKitFFI.h", &["--headers"]),
    (
        "ios/Sources/LoreKitFFI/module.modulemap",
        &["--modulemap", "--module-name", "LoreKitFFI", "--modulemap-filename", "module.modulemap"],
    ),
];
/// Where the READMEs' samples stand as code that is compiled and run.
const SAMPLES: [&str; 2] =
    ["ios/Tests/LoreKitTests/ReadmeSamples.swift", "ios/Tests/LoreKitFoundationModelsTests/ReadmeSamples.swift"];
const READMES: [&str; 2] = ["README.md", "ios/README.md"];
/// Modules with a documentation catalogue.
const DOCUMENTED: [&str; 2] = ["LoreKit", "LoreKitFoundationModels"];
const SCREEN: &str = "examples/ios-chat/Sources";
/// What the console example is asked of the sample handbook, and by which models: small, so that it takes seconds.
const MODELS: (&str, &str) = ("smollm2-135m-instruct", "minilm-l6-v2");
const DOCUMENTS: &str = "examples/handbook/en";
const QUESTION: &str = "How long do I have to dispute a card transaction?";
/// What it is asked of the fixtures where there are no models.
const FIXTURE_QUESTION: &str = "信用卡还款宽限期几天？";

/// `cargo xtask test-swift`.
pub fn run(args: &[&str]) -> Result<(), String> {
    if !args.is_empty() {
        return Err("test-swift takes nothing".into());
    }
    bindings::build()?;
    generated(true)?;
    samples()?;
    let swift = Swift::obtain()?;
    bindings::write_fixtures(&swift.work.join("files/fixtures"))?;
    swift.place_library()?;

    swift.step(
        "building the package and its tests",
        "ios",
        &["build", "--build-tests", "--scratch-path", "/build/ios"],
    )?;
    let test = ["test", "--skip-build", "--disable-xctest", "--scratch-path", "/build/ios"];
    swift.step("running the tests", "ios", &test)?;
    swift.apple_manifest()?;
    for module in DOCUMENTED {
        swift.documentation(module)?;
    }
    swift.chat_screen()?;
    let example = "examples/swift-console";
    swift.step("building the console example", example, &["build", "--scratch-path", "/build/console"])?;
    swift.console()
}

/// `cargo xtask swift-console PACK EMBEDDER MODEL QUESTION…`: the console example on files of your own.
pub fn console(args: &[&str]) -> Result<(), String> {
    let [pack, embedder, model, question @ ..] = args else {
        return Err("swift-console takes PACK EMBEDDER MODEL QUESTION…".into());
    };
    bindings::build()?;
    let swift = Swift::obtain()?;
    swift.place_library()?;
    let example = "examples/swift-console";
    swift.step("building the console example", example, &["build", "--scratch-path", "/build/console"])?;
    print!("{}", swift.ask([pack, embedder, model].map(|file| root().join(file)), &question.join(" "))?);
    Ok(())
}

/// The folder of the Swift toolchain, which is fetched first if it is not there.
pub fn toolchain() -> Result<PathBuf, String> {
    let toolchain = cache()?.join("toolchains/swift");
    step("the Swift toolchain", "scripts/swift/root", &[&toolchain.display().to_string()])?;
    Ok(toolchain)
}

/// Generates Swift, C header and module map into the tree; with `check`, only compares with what is there.
pub fn generated(check: bool) -> Result<(), String> {
    let program = target().join("debug/uniffi-bindgen-swift").display().to_string();
    let library = bindings::library().display().to_string();
    let config = root().join("bindings/bindgen.toml").display().to_string();
    let out = target().join("swift/generated");
    fs::create_dir_all(&out).map_err(|error| format!("{}: {error}", out.display()))?;
    let out_text = out.display().to_string();
    for (path, flags) in GENERATED {
        let args = [flags, &["--config", config.as_str(), &library, &out_text]].concat();
        capture(&program, &args)?;
        let name = Path::new(path).file_name().expect("every path above names a file");
        let fresh = tidy(&read(&out.join(name))?);
        let place = root().join(path);
        if !check {
            fs::create_dir_all(place.parent().expect("it lies in the tree"))
                .and_then(|()| fs::write(&place, fresh))
                .map_err(|error| format!("{path}: {error}"))?;
        } else if read(&place)? != fresh {
            return Err(format!("{path} is out of date: run cargo xtask bindings"));
        }
    }
    Ok(())
}

/// White space at line ends and empty lines at the end go: reviewers' tools would complain about them.
fn tidy(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    format!("{}\n", lines.join("\n").trim_end())
}

/// Every Swift sample of the READMEs stands, line for line, in one of the files that are compiled and run.
fn samples() -> Result<(), String> {
    let code = SAMPLES.map(|file| read(&root().join(file))).into_iter().collect::<Result<Vec<_>, _>>()?;
    let code: Vec<Vec<&str>> = code.iter().map(|file| file.lines().map(str::trim).collect()).collect();
    for readme in READMES {
        let blocks = fenced(&read(&root().join(readme))?, "swift");
        if blocks.is_empty() {
            return Err(format!("{readme} has no Swift sample"));
        }
        for block in blocks {
            let lines: Vec<&str> = block.lines().map(str::trim).filter(|line| !line.starts_with("import ")).collect();
            let start = lines.iter().position(|line| !line.is_empty()).unwrap_or(0);
            let stands = |file: &Vec<&str>| file.windows(lines.len() - start).any(|window| window == &lines[start..]);
            if !code.iter().any(stands) {
                return Err(format!("a Swift sample of {readme} is not in {}:\n{block}", SAMPLES.join(" or ")));
            }
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// A Swift toolchain in a folder of its own, and the folders it works in.
struct Swift {
    toolchain: PathBuf,
    /// `build`, `library` and `files` here are `/build`, `/library` and `/files` inside.
    work: PathBuf,
}

impl Swift {
    /// Makes the toolchain the first time: half a gigabyte to fetch, 1.5 on the disk.
    fn obtain() -> Result<Self, String> {
        let toolchain = toolchain()?;
        let work = target().join("swift");
        for folder in ["build", "library", "files"] {
            let folder = work.join(folder);
            fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        Ok(Self { toolchain, work })
    }

    /// Copies the library to where the linker and the tests look for it.
    fn place_library(&self) -> Result<(), String> {
        let library = bindings::library();
        fs::copy(&library, self.work.join("library/liblorekit_ffi.so"))
            .map(drop)
            .map_err(|error| format!("{}: {error}", library.display()))
    }

    /// A program inside the toolchain's folder: no network, the checkout read-only, and nothing of this machine's
    /// environment.
    fn inside(&self, package: &str, environment: &[(&str, &str)], program: &str) -> Command {
        let mut command = Command::new("bwrap");
        command.arg("--ro-bind").arg(&self.toolchain).arg("/");
        command.args(["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]);
        command.arg("--ro-bind").arg(root()).arg("/lorekit");
        command.arg("--bind").arg(self.work.join("build")).arg("/build");
        command.arg("--ro-bind").arg(self.work.join("library")).arg("/library");
        command.arg("--bind").arg(self.work.join("files")).arg("/files");
        command.args(["--chdir", &format!("/lorekit/{package}"), "--unshare-all", "--die-with-parent", "--clearenv"]);
        let known = [
            ("PATH", "/usr/libexec/swift/bin:/usr/bin:/bin"),
            ("HOME", "/tmp"),
            ("LANG", "C.UTF-8"),
            ("TERM", "dumb"),
            ("LD_LIBRARY_PATH", "/library"),
            ("LOREKIT_FIXTURES", "/files/fixtures"),
        ];
        for (name, value) in known.iter().chain(environment) {
            command.args(["--setenv", name, value]);
        }
        command.arg(program);
        command
    }

    /// Runs `swift` on a package of the checkout, with its output shown.
    fn step(&self, what: &str, package: &str, args: &[&str]) -> Result<(), String> {
        eprintln!("\n== {what}\n   swift {}", args.join(" "));
        let started = Instant::now();
        let mut command = self.inside(package, &[], "swift");
        // Swift 6.0's own libswiftObservation.so names a function of the runtime that it never finds, nor needs.
        command.args(args).args(["-Xlinker", "-L/library", "-Xlinker", "--allow-shlib-undefined"]);
        let status = command.status().map_err(|error| format!("bwrap cannot be started: {error}"))?;
        eprintln!(
            "   {} after {:.0} s",
            if status.success() { "done" } else { "FAILED" },
            started.elapsed().as_secs_f64()
        );
        if status.success() { Ok(()) } else { Err(format!("{what}: swift ended with {status}")) }
    }

    /// The manifest as a Mac reads it names the framework that `cargo xtask xcframework` makes.
    fn apple_manifest(&self) -> Result<(), String> {
        let mut command = self.inside("ios", &[("LOREKIT_APPLE", "1")], "swift");
        command.args(["package", "--scratch-path", "/build/manifest", "dump-package"]);
        let manifest = printed(command)?;
        let manifest: serde_json::Value =
            serde_json::from_str(&manifest).map_err(|error| format!("swift package dump-package: {error}"))?;
        let binary =
            |target: &serde_json::Value| target["type"] == "binary" && target["path"] == "LoreKitFFI.xcframework";
        let targets = manifest["targets"].as_array().map_or(&[] as &[_], Vec::as_slice);
        if targets.iter().any(binary) {
            Ok(())
        } else {
            Err("ios/Package.swift names no binary target for Apple".into())
        }
    }

    /// A module's documentation catalogue converts without a warning: every symbol it links to is there.
    fn documentation(&self, module: &str) -> Result<(), String> {
        eprintln!("\n== converting the documentation of {module}");
        let symbols = self.work.join("files/symbols").join(module);
        fs::create_dir_all(&symbols).map_err(|error| format!("{}: {error}", symbols.display()))?;
        let mut extract = self.inside("ios", &[], "swift-symbolgraph-extract");
        let inside = format!("/files/symbols/{module}");
        extract.args(["-module-name", module, "-minimum-access-level", "public", "-output-dir", &inside]);
        extract.args(["-I", "/build/ios/debug/Modules", "-I", "/lorekit/ios/Sources/LoreKitFFI"]);
        let vendor = if cfg!(target_arch = "x86_64") { "pc" } else { "unknown" };
        extract.args(["-target", &format!("{}-{vendor}-linux-gnu", std::env::consts::ARCH)]);
        printed(extract)?;
        let mut convert = self.inside("ios", &[], "docc");
        convert.args(["convert", &format!("Sources/{module}/{module}.docc"), "--additional-symbol-graph-dir", &inside]);
        let identifier = format!("dev.lorekit.{module}");
        convert.args(["--fallback-display-name", module, "--fallback-bundle-identifier", &identifier]);
        convert.args(["--output-path", "/tmp/module.doccarchive", "--warnings-as-errors"]);
        printed(convert).map(drop)
    }

    /// The chat screen is Swift; more cannot be said where there is no SwiftUI.
    fn chat_screen(&self) -> Result<(), String> {
        eprintln!("\n== parsing {SCREEN}");
        let folder = root().join(SCREEN);
        let entries = fs::read_dir(&folder).map_err(|error| format!("{SCREEN}: {error}"))?;
        let mut parse = self.inside(SCREEN, &[], "swiftc");
        parse.args(["-frontend", "-parse", "-swift-version", "6"]);
        parse.args(entries.flatten().map(|entry| entry.file_name()));
        printed(parse).map(drop)
    }

    /// Runs the console example on the sample handbook, or on the fixtures where there are no models.
    fn console(&self) -> Result<(), String> {
        let model = |name: &str| cache().map(|cache| cache.join("models").join(name).join("model.gguf"));
        let (model, embedder) = (model(MODELS.0)?, model(MODELS.1)?);
        let fixture = |name: &str| self.work.join("files/fixtures").join(name);
        let said = if model.is_file() && embedder.is_file() {
            let pack = self.work.join("handbook.lorepack");
            step("building lore", "cargo", &["build", "--workspace", "--locked", "--quiet", "--bin", "lore"])?;
            let lore = target().join("debug/lore").display().to_string();
            let (pack_text, embedder_text) = (pack.display().to_string(), embedder.display().to_string());
            let args = ["build", DOCUMENTS, "-o", pack_text.as_str(), "--embedder", &embedder_text];
            step("building the sample pack", &lore, &args)?;
            self.ask([pack, embedder, model], QUESTION)?
        } else {
            eprintln!("\n== {} and {} are not in the cache: tiny models instead", MODELS.0, MODELS.1);
            self.ask([fixture("base.lorepack"), fixture("embedder.gguf"), fixture("model.gguf")], FIXTURE_QUESTION)?
        };
        print!("{said}");
        // What a small model says is its own business; that it quotes a passage and ends is not.
        let whole = said.contains("   found ") && said.contains(", bytes ") && said.contains("   by words alone: ");
        if whole { Ok(()) } else { Err("the console example cited nothing".into()) }
    }

    /// What the console example prints.
    fn ask(&self, files: [PathBuf; 3], question: &str) -> Result<String, String> {
        eprintln!("\n== asking through the console example");
        let names = ["/files/asked.lorepack", "/files/asked-embedder.gguf", "/files/asked-model.gguf"];
        let mut command = Command::new("bwrap");
        let inside = self.inside("", &[], "/build/console/debug/swift-console");
        let mut args: Vec<_> = inside.get_args().map(ToOwned::to_owned).collect();
        // The files come in where the toolchain's folder can be written to.
        let at = args.iter().position(|arg| arg == "--chdir").unwrap_or(0);
        for (file, name) in files.iter().zip(names).rev() {
            let file = file.canonicalize().map_err(|error| format!("{}: {error}", file.display()))?;
            args.splice(at..at, ["--ro-bind".into(), file.into_os_string(), name.into()]);
        }
        command.args(args).args(names).arg(question);
        printed(command)
    }
}

fn printed(mut command: Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("bwrap cannot be started: {error}"))?;
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() {
        return Ok(said.into_owned());
    }
    let args: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let from = args.iter().rposition(|arg| arg == "--setenv").map_or(0, |at| at + 3);
    Err(format!("{} ended with {}\n{said}{complained}", args[from..].join(" "), output.status))
}

#[cfg(test)]
mod tests {
    use super::tidy;

    #[test]
    fn tidying_drops_white_space_at_ends_only() {
        assert_eq!(tidy("a  \n\n  b\n\n\n"), "a\n\n  b\n");
        assert_eq!(tidy("\n a"), "\n a\n");
    }
}

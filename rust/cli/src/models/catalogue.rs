//! The catalogue: which models there are, where each can be had, and what its bytes must be.
//!
//! It is a TOML file that a person can read and check; the one built in is `rust/cli/models.toml`.
//! Everything in it that becomes a path is checked here, so that a catalogue from elsewhere
//! can only name files below the model's own folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Deserializer};

use super::error::ModelsError;

const BUILT_IN: &str = include_str!("../../models.toml");

/// The longest catalogue that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// All models, the sets that commands fetch by default, and the addresses of the hubs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// Base addresses of the hubs.
    pub endpoints: Endpoints,
    /// Named lists of models, for example `default` and `small`.
    #[serde(default)]
    pub sets: BTreeMap<String, Vec<String>>,
    /// The models, in the order of the file.
    #[serde(rename = "model", default)]
    pub models: Vec<Model>,
}

/// Base addresses of the hubs, without a slash at the end.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoints {
    /// Hugging Face or a mirror of it.
    pub hub: String,
    /// ModelScope.
    pub modelscope: String,
}

/// What a model is for.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Use {
    /// Writes answers.
    Chat,
    /// Turns text into vectors.
    Embed,
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chat => "chat",
            Self::Embed => "embed",
        })
    }
}

/// One model.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// The name in commands and in the cache: lower-case letters, digits, `.` and `-`.
    pub name: String,
    /// What it is for.
    #[serde(rename = "use")]
    pub purpose: Use,
    /// One line for a person choosing.
    pub about: String,
    /// The licence's name.
    pub licence: String,
    /// Length of `model.gguf` in bytes.
    pub size: u64,
    /// SHA-256 of `model.gguf`.
    pub sha256: Digest,
    /// For a model that arrives as a folder and is converted here: the files that are needed.
    #[serde(rename = "file", default)]
    pub files: Vec<SourceFile>,
    /// Where it can be had, best first.
    #[serde(rename = "source", default)]
    pub sources: Vec<Source>,
}

/// One file of a model that arrives as a folder.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceFile {
    /// Path below the folder, with `/`.
    pub path: String,
    /// Length in bytes.
    pub size: u64,
    /// SHA-256 of the bytes.
    pub sha256: Digest,
}

/// One place where a model can be had.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Source {
    /// Hugging Face, or a mirror of it.
    Hub(Repo),
    /// ModelScope.
    ModelScope(Repo),
    /// Packages, fetched with `pip`.
    Packages(Packages),
}

/// A repository on a hub.
#[derive(Clone, Debug, Deserialize)]
pub struct Repo {
    /// `owner/name`.
    pub repo: String,
    /// A commit, or a branch.
    pub revision: String,
    /// The one file, for a model that is a single GGUF file.
    pub file: Option<String>,
    /// Length there, where it differs from the model's.
    pub size: Option<u64>,
    /// SHA-256 there, where it differs from the model's.
    pub sha256: Option<Digest>,
}

/// Packages that carry a model, whole or in pieces.
#[derive(Clone, Debug, Deserialize)]
pub struct Packages {
    /// `name==version`, in the order in which the pieces are joined.
    pub packages: Vec<String>,
    /// The one file of each package that is a piece; `*` stands for anything but `/`.
    pub member: Option<String>,
    /// For folder models: the folder that has the files, in the package itself,
    /// or in the zip archive that the joined pieces are.
    pub folder: Option<String>,
}

impl Source {
    /// The kind as the catalogue writes it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Hub(_) => "hub",
            Self::ModelScope(_) => "modelscope",
            Self::Packages(_) => "packages",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hub(repo) | Self::ModelScope(repo) => write!(f, "{} {}", self.kind(), repo.repo),
            Self::Packages(packages) => match packages.packages.as_slice() {
                [one] => write!(f, "packages {one}"),
                [first, .., last] => write!(f, "packages {first} to {last}"),
                [] => f.write_str("packages"),
            },
        }
    }
}

/// What the catalogue knows about the bytes of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Digest {
    /// SHA-256 in lower-case hexadecimal.
    Sha256(String),
    /// Nobody has checked it; written `"unverified"`. Refused unless the user asks for it.
    Unverified,
}

impl Digest {
    /// The hash, where it is known.
    pub fn known(&self) -> Option<&str> {
        match self {
            Self::Sha256(hex) => Some(hex),
            Self::Unverified => None,
        }
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "unverified" {
            return Ok(Self::Unverified);
        }
        let is_hex = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if text.len() == 64 && is_hex {
            Ok(Self::Sha256(text))
        } else {
            Err(serde::de::Error::custom("a SHA-256 is 64 lower-case hexadecimal digits, or \"unverified\""))
        }
    }
}

impl Catalogue {
    /// The catalogue that is part of the program.
    ///
    /// # Errors
    /// Never in a build whose tests passed; the type says so for callers that also read other catalogues.
    pub fn built_in() -> Result<Self, ModelsError> {
        Self::parse(BUILT_IN, "(built in)")
    }

    /// Reads a catalogue file.
    ///
    /// # Errors
    /// [`ModelsError::Io`] and its kin when the file cannot be read, [`ModelsError::Catalogue`] when it is not one.
    pub fn read(path: &Path) -> Result<Self, ModelsError> {
        let size = std::fs::metadata(path).map_err(|e| ModelsError::io("read", path, e))?.len();
        let origin = path.display().to_string();
        if size > MAX_BYTES {
            return Err(ModelsError::Catalogue {
                origin,
                reason: format!("{size} bytes, at most {MAX_BYTES} are read"),
            });
        }
        let text = std::fs::read_to_string(path).map_err(|e| ModelsError::io("read", path, e))?;
        Self::parse(&text, &origin)
    }

    /// Reads a catalogue from text; `origin` names it in errors.
    ///
    /// # Errors
    /// [`ModelsError::Catalogue`].
    pub fn parse(text: &str, origin: &str) -> Result<Self, ModelsError> {
        let wrong = |reason: String| ModelsError::Catalogue { origin: origin.to_owned(), reason };
        let mut catalogue: Self = toml::from_str(text).map_err(|e| wrong(e.to_string().trim_end().to_owned()))?;
        for address in [&mut catalogue.endpoints.hub, &mut catalogue.endpoints.modelscope] {
            *address = address.trim_end_matches('/').to_owned();
        }
        catalogue.check().map_err(wrong)?;
        Ok(catalogue)
    }

    /// The model of that name.
    ///
    /// # Errors
    /// [`ModelsError::UnknownModel`], which lists the names there are.
    pub fn model(&self, name: &str) -> Result<&Model, ModelsError> {
        self.models.iter().find(|m| m.name == name).ok_or_else(|| ModelsError::UnknownModel {
            name: name.to_owned(),
            known: self.models.iter().map(|m| m.name.clone()).collect(),
        })
    }

    /// The names in the set `name`; empty when there is no such set.
    pub fn set(&self, name: &str) -> &[String] {
        self.sets.get(name).map_or(&[], Vec::as_slice)
    }

    fn check(&self) -> Result<(), String> {
        let mut names = BTreeSet::new();
        for model in &self.models {
            let name = &model.name;
            if !is_name(name) {
                return Err(format!(
                    "\"{name}\" is not a model name: use a-z, 0-9, \".\" and \"-\", and begin with a letter or digit"
                ));
            }
            if !names.insert(name.as_str()) {
                return Err(format!("two models are named {name}"));
            }
            model.check().map_err(|reason| format!("model {name}: {reason}"))?;
        }
        for (set, members) in &self.sets {
            if let Some(unknown) = members.iter().find(|m| !names.contains(m.as_str())) {
                return Err(format!("set {set} has {unknown}, which is not a model"));
            }
        }
        Ok(())
    }
}

impl Model {
    /// Whether the model arrives as a folder and is converted here.
    pub fn is_converted(&self) -> bool {
        !self.files.is_empty()
    }

    /// The hashes that `model.gguf` may have: the model's own and those of sources that differ.
    pub fn accepted(&self) -> Vec<&str> {
        let of_sources = self.sources.iter().filter_map(|source| match source {
            Source::Hub(repo) | Source::ModelScope(repo) => repo.sha256.as_ref(),
            Source::Packages(_) => None,
        });
        std::iter::once(&self.sha256).chain(of_sources).filter_map(Digest::known).collect()
    }

    fn check(&self) -> Result<(), String> {
        for file in &self.files {
            if !is_relative(&file.path) {
                return Err(format!("\"{}\" is not a path below the model's folder", file.path));
            }
        }
        for source in &self.sources {
            match source {
                Source::Hub(repo) | Source::ModelScope(repo) => {
                    if !is_relative(&repo.repo) || !is_relative(&repo.revision) {
                        return Err(format!("{source}: bad repository or revision"));
                    }
                    match (&repo.file, self.is_converted()) {
                        (Some(file), false) if is_relative(file) => {}
                        (None, true) => {}
                        _ => {
                            return Err(format!(
                                "{source}: a single-file model names its file, a folder model does not"
                            ));
                        }
                    }
                }
                Source::Packages(packages) => {
                    packages.check(self.is_converted()).map_err(|e| format!("{source}: {e}"))?
                }
            }
        }
        Ok(())
    }
}

impl Packages {
    fn check(&self, folder_model: bool) -> Result<(), String> {
        if self.packages.is_empty() {
            return Err("no package named".to_owned());
        }
        for package in &self.packages {
            let exact =
                package.split_once("==").is_some_and(|(name, version)| is_requirement(name) && is_requirement(version));
            if !exact {
                return Err(format!("\"{package}\" is not name==version"));
            }
        }
        match (&self.member, &self.folder, folder_model) {
            (Some(_), None, false) | (Some(_), Some(_), true) => Ok(()),
            (None, Some(_), true) if self.packages.len() == 1 => Ok(()),
            _ => {
                Err("give member for pieces of a file, folder for one package, both for pieces of a zip archive"
                    .to_owned())
            }
        }
    }
}

/// Lower-case, and safe as a folder name on every platform.
fn is_name(text: &str) -> bool {
    let safe = text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-'));
    safe && text.len() <= 64 && text.starts_with(|c: char| c.is_ascii_alphanumeric()) && !text.ends_with('.')
}

/// A part of a requirement that `pip` cannot take for an option or an address.
fn is_requirement(text: &str) -> bool {
    let safe = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    safe && text.starts_with(|c: char| c.is_ascii_alphanumeric())
}

/// A relative path of plain components; also what may stand in an address without escaping.
fn is_relative(text: &str) -> bool {
    let plain = |part: &str| {
        !matches!(part, "" | "." | "..")
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    };
    text.len() <= 256 && text.split('/').all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "[endpoints]\nhub = \"https://hub.test/\"\nmodelscope = \"https://scope.test\"\n";
    const SHA: &str = "0000000000000000000000000000000000000000000000000000000000000000";

    fn model(extra: &str) -> String {
        format!(
            "{HEAD}[[model]]\nname = \"m\"\nuse = \"chat\"\nabout = \"\"\nlicence = \"x\"\nsize = 1\nsha256 = \"{SHA}\"\n{extra}"
        )
    }

    fn reason(text: &str) -> String {
        match Catalogue::parse(text, "test") {
            Err(ModelsError::Catalogue { reason, .. }) => reason,
            other => panic!("expected a catalogue error, got {other:?}"),
        }
    }

    #[test]
    fn the_built_in_catalogue_is_sound_and_wholly_verified() {
        let catalogue = Catalogue::built_in().unwrap();
        for model in &catalogue.models {
            assert!(!model.sources.is_empty(), "{} has no source", model.name);
            assert!(model.sha256.known().is_some(), "{} has no hash", model.name);
            assert!(model.files.iter().all(|f| f.sha256.known().is_some()), "{} has a file without hash", model.name);
            assert_eq!(model.purpose == Use::Embed, model.is_converted(), "{}", model.name);
        }
        for set in ["default", "small"] {
            let uses: Vec<Use> = catalogue.set(set).iter().map(|n| catalogue.model(n).unwrap().purpose).collect();
            assert_eq!(uses, [Use::Chat, Use::Embed], "set {set}");
        }
    }

    #[test]
    fn slashes_at_the_end_of_an_address_are_dropped() {
        assert_eq!(Catalogue::parse(HEAD, "test").unwrap().endpoints.hub, "https://hub.test");
    }

    #[test]
    fn names_and_paths_that_leave_the_folder_are_refused() {
        assert!(reason(&model("").replace("\"m\"", "\"../m\"")).contains("not a model name"));
        for path in ["../x", "/x", "a//b", "a/./b", "a\\b", "C:/x", ""] {
            let file = format!("[[model.file]]\npath = '{path}'\nsize = 1\nsha256 = \"{SHA}\"\n");
            assert!(reason(&model(&file)).contains("not a path below"), "{path}");
        }
    }

    #[test]
    fn a_package_that_pip_could_take_for_an_option_or_address_is_refused() {
        for package in ["--index-url==x", "name", "a==1 --pre", "a==https://x", "git+x==1"] {
            let source = format!("[[model.source]]\nkind = \"packages\"\npackages = [\"{package}\"]\nmember = \"x\"\n");
            assert!(reason(&model(&source)).contains("is not name==version"), "{package}");
        }
    }

    #[test]
    fn unknown_fields_hashes_and_set_members_are_refused() {
        assert!(reason(&model("colour = 1\n")).contains("colour"));
        assert!(reason(&model("").replace(SHA, "00")).contains("64 lower-case"));
        assert!(reason(&format!("{HEAD}[sets]\ndefault = [\"absent\"]\n")).contains("not a model"));
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let error = Catalogue::built_in().unwrap().model("nope").unwrap_err().to_string();
        assert!(error.contains("nope") && error.contains("minilm-l6-v2"), "{error}");
    }
}

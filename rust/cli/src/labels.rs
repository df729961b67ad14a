//! Access labels from a mapping file: for sources that cannot say themselves who may see them.
//!
//! ```toml
//! [[rule]]
//! match = "internal/**"          # a path below the folder, with *, ** and ?, or the id of one document
//! labels = ["staff", "audit"]    # one group: a caller needs any of them
//! ```
//!
//! A document that names labels of its own keeps them: the caller then needs one of both groups. Whatever could leave a
//! document more open than was meant ends the build with its place: a rule that matches nothing, two rules for one
//! document, an empty group, a text that is no label.

use std::path::Path;

use lorekit_store::{NewDocument, NewPassage, is_label};
use serde::Deserialize;

use crate::error::{CliError, Result};

/// What a mapping file holds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LabelRules {
    rule: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    #[serde(rename = "match")]
    matches: String,
    labels: Vec<String>,
}

impl LabelRules {
    /// Reads a file, as JSON if its name ends so, else as TOML.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(CliError::file(path))?;
        let wrong = |reason: String| CliError::Input { path: path.into(), reason };
        let rules: Self = match path.extension().is_some_and(|extension| extension == "json") {
            true => serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?,
            false => toml::from_str(&text).map_err(|error| wrong(error.message().to_owned()))?,
        };
        for (n, rule) in rules.rule.iter().enumerate() {
            if rule.labels.is_empty() {
                return Err(wrong(format!("rule {} has no labels", n + 1)));
            }
            if let Some(at) = rule.labels.iter().position(|label| !is_label(label)) {
                return Err(wrong(format!("rule {}: label {} is none", n + 1, at + 1)));
            }
        }
        Ok(rules)
    }

    /// Labels the documents, or, where they have labels of their own, their passages with a second group.
    pub(crate) fn apply(&self, file: &Path, documents: &mut [NewDocument], passages: &mut [NewPassage]) -> Result<()> {
        let wrong = |reason: String| CliError::Input { path: file.into(), reason };
        let mut used = vec![false; self.rule.len()];
        let mut second: Vec<Option<&[String]>> = vec![None; documents.len()];
        for (document, second) in documents.iter_mut().zip(&mut second) {
            let mut rules = self.rule.iter().enumerate().filter(|(_, rule)| rule.covers(document));
            let Some((n, rule)) = rules.next() else { continue };
            if let Some((other, _)) = rules.next() {
                let (first, second) = (n + 1, other + 1);
                return Err(wrong(format!("rules {first} and {second} both match {}", document.path)));
            }
            used[n] = true;
            if document.labels.is_empty() {
                document.labels.clone_from(&rule.labels);
            } else {
                *second = Some(&rule.labels);
            }
        }
        for passage in passages {
            if let Some(labels) = second[passage.document] {
                passage.labels = labels.to_vec();
            }
        }
        match used.iter().position(|used| !used) {
            Some(n) => Err(wrong(format!("rule {} matches no document", n + 1))),
            None => Ok(()),
        }
    }
}

impl Rule {
    fn covers(&self, document: &NewDocument) -> bool {
        self.matches == document.id || glob(&self.matches, &document.path)
    }
}

/// Refuses labels of documents that could not be asked for, with the document's place.
pub(crate) fn check(documents: &[NewDocument]) -> Result<()> {
    for document in documents {
        if let Some(at) = document.labels.iter().position(|label| !is_label(label)) {
            let path = document.path.clone().into();
            return Err(CliError::Input {
                path,
                reason: format!("label {} is too long or has a control character or comma", at + 1),
            });
        }
    }
    Ok(())
}

/// Whether a path matches: `?` is any character but `/`, `*` any number of them, `**` any number of any characters.
fn glob(pattern: &str, path: &str) -> bool {
    let path: Vec<char> = path.chars().collect();
    // `reached[n]`: the pattern so far matches the first n characters.
    let mut reached = vec![false; path.len() + 1];
    reached[0] = true;
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        let crosses = c == '*' && rest.next_if_eq(&'*').is_some();
        if c == '*' {
            for n in 1..=path.len() {
                reached[n] |= reached[n - 1] && (crosses || path[n - 1] != '/');
            }
        } else {
            for n in (1..=path.len()).rev() {
                let same = if c == '?' { path[n - 1] != '/' } else { path[n - 1] == c };
                reached[n] = reached[n - 1] && same;
            }
            reached[0] = false;
        }
    }
    reached[path.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(path: &str, labels: &[&str]) -> NewDocument {
        NewDocument {
            id: format!("id of {path}"),
            path: path.into(),
            title: String::new(),
            version: None,
            language: "zh".into(),
            valid_from: None,
            valid_to: None,
            labels: labels.iter().map(|&label| label.into()).collect(),
            source_hash: [0; 32],
            format: "text".into(),
        }
    }

    fn passage(document: usize) -> NewPassage {
        NewPassage {
            document,
            text: "x".into(),
            title_path: vec![],
            article: None,
            place: String::new(),
            source: 0..1,
            page: None,
            tokens: 1,
            labels: vec![],
        }
    }

    fn rules(name: &str, text: &str) -> Result<LabelRules> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        LabelRules::read(&path)
    }

    #[test]
    fn a_star_stays_within_a_folder_and_two_stars_do_not() {
        for (pattern, path, expected) in [
            ("a/*.md", "a/x.md", true),
            ("a/*.md", "a/b/x.md", false),
            ("a/**", "a/b/x.md", true),
            ("**/x.md", "a/b/x.md", true),
            ("**", "", true),
            ("a/?.md", "a/法.md", true),
            ("a/?.md", "a/法律.md", false),
            ("a", "ab", false),
            ("b", "ab", false),
            ("", "a", false),
            ("a*b*c", "axxbxbyc", true),
        ] {
            assert_eq!(glob(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn a_rule_labels_what_has_no_labels_and_adds_a_group_to_what_has() {
        let text = "[[rule]]\nmatch = \"in/**\"\nlabels = [\"staff\", \"audit\"]\n[[rule]]\nmatch = \"id of c\"\nlabels = [\"c\"]";
        let mut documents =
            [document("in/a", &[]), document("in/b", &["legal"]), document("c", &[]), document("d", &[])];
        let mut passages = [passage(0), passage(1), passage(2), passage(3)];
        rules("x.toml", text).unwrap().apply(Path::new("x.toml"), &mut documents, &mut passages).unwrap();
        let labels: Vec<_> = documents.iter().map(|document| document.labels.join(" ")).collect();
        assert_eq!(labels, ["staff audit", "legal", "c", ""]);
        let labels: Vec<_> = passages.iter().map(|passage| passage.labels.join(" ")).collect();
        assert_eq!(labels, ["", "staff audit", "", ""]);
    }

    #[test]
    fn what_could_leave_a_document_open_ends_the_build() {
        for (name, text) in [
            ("x.toml", "[[rule]]\nmatch = \"*\"\nlabels = []"),
            ("x.toml", "[[rule]]\nmatch = \"*\"\nlabels = [\" a\"]"),
            ("x.toml", "[[rule]]\nmatch = \"*\"\nlabel = [\"a\"]"),
            ("x.toml", "[[rules]]\nmatch = \"*\"\nlabels = [\"a\"]"),
            ("x.toml", "[[rule]]\nmatch = \"*\"\nlabels = \"a\""),
            ("x.json", "{\"rule\": [{\"match\": \"*\", \"labels\": [\"a,b\"]}]}"),
            ("x.json", "not json"),
        ] {
            assert!(rules(name, text).is_err(), "{text}");
        }
        let ok = |text: &str| rules("x.json", text).unwrap();
        let twice =
            ok("{\"rule\": [{\"match\": \"*\", \"labels\": [\"a\"]}, {\"match\": \"x\", \"labels\": [\"b\"]}]}");
        assert!(twice.apply(Path::new("f"), &mut [document("x", &[])], &mut []).is_err());
        let nothing = ok("{\"rule\": [{\"match\": \"y\", \"labels\": [\"a\"]}]}");
        assert!(nothing.apply(Path::new("f"), &mut [document("x", &[])], &mut []).is_err());
        assert!(check(&[document("x", &["a,b"])]).is_err());
    }
}

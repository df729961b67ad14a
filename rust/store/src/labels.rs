//! Who may see a passage.

/// The longest label, in bytes of UTF-8.
pub const MAX_LABEL_BYTES: usize = 256;

/// Whether a text can be an access label: 1 to [`MAX_LABEL_BYTES`] bytes, without white space around it and without
/// control characters or commas (which part labels on a command line).
pub fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= MAX_LABEL_BYTES
        && label.trim() == label
        && !label.contains(|c: char| c.is_control() || c == ',')
}

/// The groups of labels of a document or passage. A caller needs any label of each group.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) enum LabelGroups {
    /// No groups.
    Public,
    /// At least one group, and none of them empty.
    Groups(Vec<Vec<String>>),
    /// What is stored is not a list of groups: nobody may see it.
    Malformed,
}

impl LabelGroups {
    /// Reads groups as they are stored, a JSON list of lists of labels.
    pub fn parse(stored: &str) -> Self {
        if stored == "[]" {
            return Self::Public;
        }
        match serde_json::from_str::<Vec<Vec<String>>>(stored) {
            Ok(groups) if groups.is_empty() => Self::Public,
            Ok(groups) if groups.iter().all(|group| !group.is_empty() && group.iter().all(|label| is_label(label))) => {
                Self::Groups(groups)
            }
            _ => Self::Malformed,
        }
    }

    /// Whether a caller with these labels may see it.
    pub fn allow(&self, labels: &[String]) -> bool {
        match self {
            Self::Public => true,
            Self::Groups(groups) => groups.iter().all(|group| group.iter().any(|label| labels.contains(label))),
            Self::Malformed => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_needs_any_label_of_each_group() {
        let groups = LabelGroups::parse(r#"[["audit","staff"],["legal"]]"#);
        for (labels, allowed) in [
            (&["staff", "legal"][..], true),
            (&["legal", "audit", "other"], true),
            (&["staff", "audit"], false),
            (&["legal"], false),
            (&["Legal", "staff"], false),
            (&[], false),
        ] {
            let labels: Vec<String> = labels.iter().map(|&label| label.into()).collect();
            assert_eq!(groups.allow(&labels), allowed, "{labels:?}");
        }
        assert!(LabelGroups::parse("[]").allow(&[]));
        assert!(LabelGroups::parse(" [ ] ").allow(&[]));
    }

    #[test]
    fn what_is_not_a_list_of_groups_is_seen_by_nobody() {
        for stored in [
            "",
            "null",
            "{}",
            "[[]]",
            r#"["a"]"#,
            r#"[["a"],[]]"#,
            r#"[["a",1]]"#,
            r#"[[""]]"#,
            r#"[["a"]"#,
            "[[\" a\"]]",
        ] {
            let groups = LabelGroups::parse(stored);
            assert!(!groups.allow(&["a".into(), String::new(), " a".into()]), "{stored:?}");
        }
    }
}

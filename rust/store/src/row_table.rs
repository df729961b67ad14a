//! What a search must know of each row before it runs: who may see it, when it holds, how many terms it has.
//!
//! Rows of one document mostly agree in all but the last, so a row is a number of a *profile*, and a filter is worked out
//! once for each profile. Eight bytes a row; made by one scan of the passages table when the segment is first put into a
//! snapshot, and kept with the segment.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::labels::LabelGroups;
use crate::sqlite::database_error;

/// What is kept of the rows of one segment.
#[derive(Debug, Default)]
pub(crate) struct RowTable {
    pub documents: Vec<DocumentFacts>,
    pub profiles: Vec<Profile>,
    /// Profile of each row.
    pub of_row: Vec<u32>,
    /// Lexical terms of each row.
    pub terms: Vec<u32>,
    /// Sum of `terms`.
    pub total_terms: u64,
}

/// What is kept of a row of `documents`.
#[derive(Debug)]
pub(crate) struct DocumentFacts {
    pub id: String,
    pub groups: LabelGroups,
    pub valid_from: Option<String>,
    pub valid_to: Option<String>,
}

/// What rows have in common.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Profile {
    /// Position in [`RowTable::documents`].
    pub document: u32,
    pub groups: LabelGroups,
    /// The row's own first day.
    pub valid_from: Option<String>,
    /// The row's own last day. Only a row that a compaction found superseded has one.
    pub valid_to: Option<String>,
}

/// What passages share: document, labels as stored, first and last day.
type Described = (i64, String, Option<String>, Option<String>);

impl RowTable {
    /// Reads the tables of a database with this many documents and passages, numbered from one without a gap.
    pub fn read(path: &Path, connection: &Connection) -> Result<Self> {
        let mut table = Self::default();
        table.read_documents(path, connection)?;
        table.read_passages(path, connection)?;
        Ok(table)
    }

    /// The profile of a row that exists.
    pub fn profile(&self, row: u32) -> &Profile {
        &self.profiles[self.of_row[row as usize] as usize]
    }

    fn read_documents(&mut self, path: &Path, connection: &Connection) -> Result<()> {
        let failed = || database_error(path, "reading documents");
        let mut statement = connection
            .prepare("SELECT document_id, labels, valid_from, valid_to FROM documents ORDER BY id")
            .map_err(failed())?;
        let mut rows = statement.query([]).map_err(failed())?;
        while let Some(row) = rows.next().map_err(failed())? {
            let labels = row.get_ref(1).and_then(|value| value.as_str().map_err(Into::into)).map_err(failed())?;
            self.documents.push(DocumentFacts {
                id: row.get(0).map_err(failed())?,
                groups: LabelGroups::parse(labels),
                valid_from: row.get(2).map_err(failed())?,
                valid_to: row.get(3).map_err(failed())?,
            });
        }
        Ok(())
    }

    fn read_passages(&mut self, path: &Path, connection: &Connection) -> Result<()> {
        let failed = || database_error(path, "reading passages");
        let mut statement = connection
            .prepare("SELECT document, labels, valid_from, valid_to, terms FROM passages ORDER BY id")
            .map_err(failed())?;
        let mut rows = statement.query([]).map_err(failed())?;
        let mut known: HashMap<Described, u32> = HashMap::new();
        // Neighbouring rows mostly agree; comparing with the last one saves the look-up and its copies.
        let mut last: Option<(Described, u32)> = None;
        while let Some(row) = rows.next().map_err(failed())? {
            let document: i64 = row.get(0).map_err(failed())?;
            let text = |column: usize| {
                row.get_ref(column).and_then(|value| value.as_str_or_null().map_err(Into::into)).map_err(failed())
            };
            let (labels, from, to) = (text(1)?.unwrap_or_default(), text(2)?, text(3)?);
            let same = last.as_ref().filter(|((last_document, last_labels, last_from, last_to), _)| {
                *last_document == document
                    && last_labels == labels
                    && last_from.as_deref() == from
                    && last_to.as_deref() == to
            });
            let profile = match same {
                Some((_, profile)) => *profile,
                None => {
                    let key = (document, labels.to_owned(), from.map(str::to_owned), to.map(str::to_owned));
                    let profile = match known.get(&key) {
                        Some(profile) => *profile,
                        None => {
                            let profile = self.add_profile(path, document, labels, from, to)?;
                            known.insert(key.clone(), profile);
                            profile
                        }
                    };
                    last = Some((key, profile));
                    profile
                }
            };
            let terms: i64 = row.get(4).map_err(failed())?;
            let terms = u32::try_from(terms).map_err(|_| Error::Inconsistent {
                path: path.into(),
                what: "the number of terms of a passage",
                expected: "at least 0, below 2^32".into(),
                found: terms.to_string(),
            })?;
            self.of_row.push(profile);
            self.terms.push(terms);
            self.total_terms += u64::from(terms);
        }
        Ok(())
    }

    fn add_profile(
        &mut self,
        path: &Path,
        document: i64,
        labels: &str,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Result<u32> {
        let position = document.checked_sub(1).and_then(|at| u32::try_from(at).ok());
        let position =
            position.filter(|&at| (at as usize) < self.documents.len()).ok_or_else(|| Error::Inconsistent {
                path: path.into(),
                what: "the document of a passage",
                expected: format!("1 to {}", self.documents.len()),
                found: document.to_string(),
            })?;
        self.profiles.push(Profile {
            document: position,
            groups: LabelGroups::parse(labels),
            valid_from: from.map(str::to_owned),
            valid_to: to.map(str::to_owned),
        });
        Ok(self.profiles.len() as u32 - 1)
    }
}

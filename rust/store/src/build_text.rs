//! The passages database of a pack, byte for byte the same for the same input.
//!
//! Rows are inserted in order into a scratch database without a journal, the lexical index is merged into one segment,
//! and `VACUUM INTO` writes the result page by page in order into a second scratch file, with nothing left over.

use std::path::Path;

use lorekit_cancel::CancelToken;
use lorekit_pack::{PassageDigest, PassageId, ScratchFile};
use rusqlite::{Connection, params};

use crate::build::label_groups;
use crate::error::{Error, Result};
use crate::schema;
use crate::sqlite::database_error;
use crate::terms::lexical_terms;
use crate::types::{BuildProgress, BuildStage, NewDocument, NewPassage};

/// What is computed about a passage before it is written.
pub(crate) struct PreparedPassage {
    pub id: PassageId,
    pub digest: PassageDigest,
    pub label_groups: Vec<Vec<String>>,
}

/// The input of the text database.
pub(crate) struct TextBuild<'a> {
    pub path: &'a Path,
    pub documents: &'a [NewDocument],
    pub passages: &'a [NewPassage],
    pub prepared: &'a [PreparedPassage],
}

impl TextBuild<'_> {
    /// Writes the database into a scratch file beside the pack.
    pub fn run(&self, progress: &mut dyn FnMut(BuildProgress), cancel: &CancelToken) -> Result<ScratchFile> {
        let (draft, _) = ScratchFile::beside(self.path)?;
        let (finished, _) = ScratchFile::beside(self.path)?;
        let connection = Connection::open(draft.path()).map_err(database_error(self.path, "creating the database"))?;
        connection
            .execute_batch(
                "PRAGMA page_size = 4096; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; \
                 PRAGMA locking_mode = EXCLUSIVE; PRAGMA secure_delete = ON; PRAGMA cache_size = -32768; \
                 PRAGMA temp_store = MEMORY;",
            )
            .map_err(database_error(self.path, "creating the database"))?;
        schema::create(self.path, &connection)?;
        self.insert(&connection, progress, cancel).map_err(|error| match error {
            Failed::Sql(error) => database_error(self.path, "writing passages")(error),
            Failed::Other(error) => error,
        })?;
        let target = finished.path().to_str().ok_or_else(|| Error::InvalidInput {
            what: "path",
            index: 0,
            reason: "SQLite writes to paths in UTF-8 only".into(),
        })?;
        connection.execute("VACUUM INTO ?1", [target]).map_err(database_error(self.path, "compacting the database"))?;
        connection.close().map_err(|(_, error)| database_error(self.path, "closing the database")(error))?;
        Ok(finished)
    }

    fn insert(
        &self,
        connection: &Connection,
        progress: &mut dyn FnMut(BuildProgress),
        cancel: &CancelToken,
    ) -> std::result::Result<(), Failed> {
        connection.execute_batch("BEGIN")?;
        let mut documents = connection.prepare(
            "INSERT INTO documents(id, document_id, path, title, version, language, valid_from, valid_to, labels, \
             source_hash, format) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?;
        for (index, document) in self.documents.iter().enumerate() {
            documents.execute(params![
                row_number(index),
                document.id,
                document.path,
                document.title,
                document.version,
                document.language,
                document.valid_from,
                document.valid_to,
                json(&label_groups(&[&document.labels])),
                document.source_hash,
                document.format,
            ])?;
        }
        let mut passages = connection.prepare(
            "INSERT INTO passages(id, passage_id, document, text, title_path, article, place, source_start, \
             source_end, page, tokens, labels, terms, digest) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        )?;
        let mut lexical = connection.prepare("INSERT INTO lexical(rowid, heading, body) VALUES (?1, ?2, ?3)")?;
        let total = self.passages.len() as u64;
        for (index, (passage, prepared)) in self.passages.iter().zip(self.prepared).enumerate() {
            if index % 256 == 0 {
                cancel.check().map_err(Error::from)?;
                progress(BuildProgress { stage: BuildStage::Text, done: index as u64, total });
            }
            let heading = lexical_terms(&heading(&self.documents[passage.document], passage));
            let body = lexical_terms(&passage.text);
            passages.execute(params![
                row_number(index),
                prepared.id.0,
                row_number(passage.document),
                passage.text,
                json(&passage.title_path),
                passage.article,
                passage.place,
                passage.source.start as i64,
                passage.source.end as i64,
                passage.page,
                passage.tokens,
                json(&prepared.label_groups),
                (heading.len() + body.len()) as i64,
                prepared.digest.0,
            ])?;
            lexical.execute(params![row_number(index), heading.join(" "), body.join(" ")])?;
        }
        progress(BuildProgress { stage: BuildStage::Text, done: total, total });
        connection.execute_batch("INSERT INTO lexical(lexical) VALUES ('optimize'); COMMIT")?;
        Ok(())
    }
}

/// What a passage is found by besides its text: the document's title, the headings, the article's label, each on a line.
///
/// A heading that only repeats the title is left out, so that it does not count twice.
fn heading(document: &NewDocument, passage: &NewPassage) -> String {
    let mut lines = vec![document.title.as_str()];
    for line in passage.title_path.iter().map(String::as_str).chain(passage.article.as_deref()) {
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines.join("\n")
}

/// SQLite numbers rows from one.
fn row_number(index: usize) -> i64 {
    index as i64 + 1
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("lists of texts are valid JSON")
}

enum Failed {
    Sql(rusqlite::Error),
    Other(Error),
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

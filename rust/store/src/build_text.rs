//! The passages database of a pack, byte for byte the same for the same input.

use lorekit_cancel::CancelToken;
use lorekit_pack::{PassageDigest, PassageId};

use crate::error::Result;
use crate::text_writer::{Database, DocumentRow, PassageRow, TextWriter};
use crate::types::{BuildProgress, BuildStage, Document, NewDocument, NewPassage};

/// What is computed about a passage before it is written.
pub(crate) struct PreparedPassage {
    pub id: PassageId,
    pub digest: PassageDigest,
    pub label_groups: Vec<Vec<String>>,
}

/// The input of the text database.
pub(crate) struct TextBuild<'a> {
    pub documents: &'a [NewDocument],
    pub passages: &'a [NewPassage],
    pub prepared: &'a [PreparedPassage],
}

impl TextBuild<'_> {
    /// Writes the database.
    pub fn run(
        &self,
        mut writer: TextWriter,
        progress: &mut dyn FnMut(BuildProgress),
        cancel: &CancelToken,
    ) -> Result<Database> {
        for document in self.documents {
            writer.document(&DocumentRow::from(&Document::from(document)))?;
        }
        let total = self.passages.len() as u64;
        for (index, (passage, prepared)) in self.passages.iter().zip(self.prepared).enumerate() {
            if index % 256 == 0 {
                cancel.check()?;
                progress(BuildProgress { stage: BuildStage::Text, done: index as u64, total });
            }
            writer.passage(&PassageRow {
                id: prepared.id,
                digest: prepared.digest,
                document: passage.document,
                document_title: &self.documents[passage.document].title,
                text: &passage.text,
                title_path: &passage.title_path,
                article: passage.article.as_deref(),
                place: &passage.place,
                source: &passage.source,
                page: passage.page,
                tokens: passage.tokens,
                valid_from: None,
                valid_to: None,
                label_groups: &prepared.label_groups,
            })?;
        }
        progress(BuildProgress { stage: BuildStage::Text, done: total, total });
        writer.finish()
    }
}

//! What a document says about itself, in front matter, a JSON line, or markup.

use crate::document::{Document, Format, Language};
use crate::language;
use crate::normalise::NormalisedText;

/// Declared metadata; the same names in every format.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    pub(crate) id: Option<String>,
    pub(crate) title: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) published: Option<String>,
    pub(crate) effective: Option<String>,
    pub(crate) valid_to: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) language: Option<Language>,
    pub(crate) labels: Vec<String>,
}

/// The fields that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Id,
    Title,
    Version,
    Published,
    Effective,
    ValidTo,
    Url,
    Language,
    Labels,
}

impl Field {
    /// The field that a key names, whatever its case and with `-` or `_` between words.
    pub(crate) fn from_key(key: &str) -> Option<Self> {
        Some(match key.trim().to_lowercase().replace('-', "_").as_str() {
            "id" => Self::Id,
            "title" => Self::Title,
            "version" => Self::Version,
            "published" | "publish_date" | "date" => Self::Published,
            "effective" | "effective_date" | "valid_from" => Self::Effective,
            "valid_to" | "expires" | "expiry_date" => Self::ValidTo,
            "url" | "source" => Self::Url,
            "language" | "lang" => Self::Language,
            "labels" | "label" | "access" => Self::Labels,
            _ => return None,
        })
    }
}

impl Fields {
    /// Stores a value that is one string; empty ones count as absent. Labels may be several, with commas between them.
    pub(crate) fn set(&mut self, field: Field, value: &str) {
        let value = value.trim();
        if value.is_empty() {
            return;
        }
        let text = Some(value.to_owned());
        match field {
            Field::Id => self.id = text,
            Field::Title => self.title = text,
            Field::Version => self.version = text,
            Field::Published => self.published = text,
            Field::Effective => self.effective = text,
            Field::ValidTo => self.valid_to = text,
            Field::Url => self.url = text,
            Field::Language => self.language = language::from_code(value),
            Field::Labels => self.add_labels(value.split([',', '，'])),
        }
    }

    /// Adds access labels.
    pub(crate) fn add_labels<'a>(&mut self, labels: impl IntoIterator<Item = &'a str>) {
        self.labels.extend(labels.into_iter().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned));
        self.labels.sort();
        self.labels.dedup();
    }

    /// A document without blocks yet. `fallback_id` and `fallback_title` count where nothing is declared.
    pub(crate) fn into_document(
        self,
        origin: &Origin<'_>,
        text: NormalisedText,
        fallback_id: String,
        fallback_title: String,
    ) -> Document {
        Document {
            id: self.id.unwrap_or(fallback_id),
            path: origin.path.to_owned(),
            title: self.title.unwrap_or(fallback_title),
            format: origin.format,
            language: self.language.unwrap_or_else(|| language::detect(text.as_str())),
            version: self.version,
            published: self.published,
            effective: self.effective,
            valid_to: self.valid_to,
            url: self.url,
            labels: self.labels,
            source_bytes: origin.bytes,
            text,
            blocks: Vec::new(),
            article: None,
            headings: Vec::new(),
        }
    }
}

/// The file that a document comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'a> {
    /// Relative path, `/` between its parts.
    pub(crate) path: &'a str,
    /// Its format.
    pub(crate) format: Format,
    /// Its length in bytes.
    pub(crate) bytes: u64,
}

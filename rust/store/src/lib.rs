//! A library of passages on disk: SQLite text and FTS5, usearch vectors.

//! Writing tables as lines: one row a line, cells joined by ` | `.

use std::ops::Range;

use crate::document::{Block, BlockKind};
use crate::normalise::TextBuilder;

/// A table under construction; shared by the formats that have tables.
#[derive(Default)]
pub(crate) struct TableWriter {
    rows: Vec<Range<usize>>,
    row_start: usize,
    cells: usize,
    filled: usize,
    cell_start: usize,
    header: Option<usize>,
    row_is_header: bool,
}

impl TableWriter {
    /// Starts the table as a block of its own.
    pub(crate) fn start(builder: &mut TextBuilder) -> Self {
        builder.start_block(false);
        Self::default()
    }

    pub(crate) fn start_row(&mut self, builder: &mut TextBuilder, header: bool) {
        builder.line_feed();
        self.row_start = builder.position();
        (self.cells, self.filled, self.row_is_header) = (0, 0, header);
    }

    pub(crate) fn start_cell(&mut self, builder: &mut TextBuilder) {
        if self.cells > 0 {
            builder.push_derived(" | ");
        }
        self.cells += 1;
        self.cell_start = builder.position();
    }

    pub(crate) fn end_cell(&mut self, builder: &mut TextBuilder) {
        if builder.position() > self.cell_start {
            self.filled += 1;
        }
    }

    /// Marks the row as a header after it was started.
    pub(crate) fn mark_header(&mut self) {
        self.row_is_header = true;
    }

    pub(crate) fn end_row(&mut self, builder: &mut TextBuilder) {
        let end = builder.position();
        if self.filled == 0 {
            // The line feed before the row goes with it.
            let keep = self.rows.last().map_or(self.row_start, |row| row.end);
            builder.rewind(keep);
            return;
        }
        // A first row that opened the block starts after the line feed which parts it from the block before.
        let opened = builder.text_from(self.row_start).starts_with('\n');
        let start = if self.rows.is_empty() && opened { self.row_start + 1 } else { self.row_start };
        if self.row_is_header && self.rows.is_empty() {
            self.header = Some(0);
        }
        self.rows.push(start..end);
    }

    /// Ends the table; `None` when nothing was in it.
    pub(crate) fn finish(self, builder: &mut TextBuilder) -> Option<Block> {
        let range = builder.finish_block()?;
        // Trailing separators of empty cells may have been trimmed off the end.
        let rows: Vec<_> = self
            .rows
            .into_iter()
            .map(|r| r.start.min(range.end)..r.end.min(range.end))
            .filter(|r| !r.is_empty())
            .collect();
        if rows.is_empty() {
            return Some(Block { kind: BlockKind::Paragraph, range });
        }
        let header = self.header.and_then(|i| rows.get(i)).cloned();
        Some(Block { kind: BlockKind::Table { header, rows }, range })
    }
}

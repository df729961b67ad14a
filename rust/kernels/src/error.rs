//! The one error of this crate: sizes that do not fit together.

use crate::Format;
use std::error::Error;
use std::fmt;

/// Sizes that do not fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShapeError {
    /// A row is not a whole number of the format's blocks, or its byte length overflows.
    Columns {
        /// The weight's format.
        format: Format,
        /// The columns asked for.
        cols: usize,
    },
    /// A buffer has another length than its shape needs.
    Length {
        /// What the shape needs, in elements of the buffer.
        expected: usize,
        /// What was given, in elements of the buffer.
        found: usize,
    },
    /// A shape whose size does not fit in memory.
    Overflow,
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Columns { format, cols } => {
                write!(f, "{cols} columns are not a whole number of {} blocks", format.name())
            }
            Self::Length { expected, found } => {
                write!(f, "the shape needs a buffer of {expected}, found {found}")
            }
            Self::Overflow => f.write_str("the shape does not fit in memory"),
        }
    }
}

impl Error for ShapeError {}

/// Checks a buffer's length against its shape.
pub(crate) fn check_length(expected: usize, found: usize) -> Result<(), ShapeError> {
    if expected == found { Ok(()) } else { Err(ShapeError::Length { expected, found }) }
}

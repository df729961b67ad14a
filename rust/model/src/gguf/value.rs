//! Metadata values. Arrays stay in the map; only their place and type are kept.

use std::fmt;
use std::sync::Arc;

use memmap2::Mmap;

use super::cursor::{Cursor, Parsed};

/// One metadata value.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // the variants are the format's own types
pub enum Value {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    String(String),
    Array(Array),
    U64(u64),
    I64(i64),
    F64(f64),
}

/// The type numbers of the format.
pub(super) mod kind {
    pub const U8: u32 = 0;
    pub const I8: u32 = 1;
    pub const U16: u32 = 2;
    pub const I16: u32 = 3;
    pub const U32: u32 = 4;
    pub const I32: u32 = 5;
    pub const F32: u32 = 6;
    pub const BOOL: u32 = 7;
    pub const STRING: u32 = 8;
    pub const ARRAY: u32 = 9;
    pub const U64: u32 = 10;
    pub const I64: u32 = 11;
    pub const F64: u32 = 12;

    /// Bytes of one value of a type of fixed size.
    pub const fn bytes(kind: u32) -> Option<usize> {
        match kind {
            U8 | I8 | BOOL => Some(1),
            U16 | I16 => Some(2),
            U32 | I32 | F32 => Some(4),
            U64 | I64 | F64 => Some(8),
            _ => None,
        }
    }
}

/// The longest single string a value may hold; chat templates, the longest known, have some ten thousand bytes.
const LONGEST_STRING: usize = 16 << 20;

impl Value {
    /// Reads a value of type `kind` (for an array: its element type and length too).
    pub(super) fn read(kind: u32, cursor: &mut Cursor<'_>, map: &Arc<Mmap>) -> Parsed<Value> {
        Ok(match kind {
            kind::U8 => Value::U8(u8::from_le_bytes(cursor.array()?)),
            kind::I8 => Value::I8(i8::from_le_bytes(cursor.array()?)),
            kind::U16 => Value::U16(u16::from_le_bytes(cursor.array()?)),
            kind::I16 => Value::I16(i16::from_le_bytes(cursor.array()?)),
            kind::U32 => Value::U32(cursor.u32()?),
            kind::I32 => Value::I32(i32::from_le_bytes(cursor.array()?)),
            kind::F32 => Value::F32(f32::from_le_bytes(cursor.array()?)),
            kind::U64 => Value::U64(cursor.u64()?),
            kind::I64 => Value::I64(i64::from_le_bytes(cursor.array()?)),
            kind::F64 => Value::F64(f64::from_le_bytes(cursor.array()?)),
            kind::BOOL => match cursor.array::<1>()? {
                [0] => Value::Bool(false),
                [1] => Value::Bool(true),
                [other] => return Err(format!("a bool is {other}")),
            },
            kind::STRING => {
                let text = cursor.str()?;
                if text.len() > LONGEST_STRING {
                    return Err(format!("a string of {} bytes", text.len()));
                }
                Value::String(text.to_owned())
            }
            kind::ARRAY => Value::Array(Array::read(cursor, map)?),
            other => return Err(format!("unknown value type {other}")),
        })
    }

    /// The value as an unsigned integer, if it is an integer and not negative.
    pub fn as_u64(&self) -> Option<u64> {
        match *self {
            Value::U8(v) => Some(v.into()),
            Value::U16(v) => Some(v.into()),
            Value::U32(v) => Some(v.into()),
            Value::U64(v) => Some(v),
            Value::I8(v) => v.try_into().ok(),
            Value::I16(v) => v.try_into().ok(),
            Value::I32(v) => v.try_into().ok(),
            Value::I64(v) => v.try_into().ok(),
            _ => None,
        }
    }

    /// The value as a 32-bit float, if it is a float.
    pub fn as_f32(&self) -> Option<f32> {
        match *self {
            Value::F32(v) => Some(v),
            Value::F64(v) => Some(v as f32),
            _ => None,
        }
    }

    /// The value, if it is a bool.
    pub fn as_bool(&self) -> Option<bool> {
        match *self {
            Value::Bool(v) => Some(v),
            _ => None,
        }
    }

    /// The value, if it is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(v) => Some(v),
            _ => None,
        }
    }

    /// The value, if it is an array.
    pub fn as_array(&self) -> Option<&Array> {
        match self {
            Value::Array(v) => Some(v),
            _ => None,
        }
    }
}

/// An array of values of one type, left where it is in the file.
#[derive(Clone)]
pub struct Array {
    pub(super) kind: u32,
    len: usize,
    start: usize,
    end: usize,
    map: Arc<Mmap>,
}

impl Array {
    fn read(cursor: &mut Cursor<'_>, map: &Arc<Mmap>) -> Parsed<Array> {
        let kind = cursor.u32()?;
        let (len, start) = match kind {
            kind::STRING => {
                let len = cursor.count("array elements", 8)?;
                let start = cursor.position();
                for _ in 0..len {
                    cursor.str()?;
                }
                (len, start)
            }
            kind::ARRAY => return Err("an array of arrays".to_owned()),
            _ => {
                let size = kind::bytes(kind).ok_or_else(|| format!("unknown array element type {kind}"))?;
                let len = cursor.count("array elements", size)?;
                let start = cursor.position();
                cursor.take(len * size)?; // cannot overflow: `count` compared with what is left
                (len, start)
            }
        };
        Ok(Array { kind, len, start, end: cursor.position(), map: Arc::clone(map) })
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The elements as the file holds them.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.map[self.start..self.end]
    }

    /// Whether the elements are strings.
    pub fn is_str(&self) -> bool {
        self.kind == kind::STRING
    }

    /// The elements of an array of strings, in order, borrowed from the map; nothing for any other type.
    pub fn iter_str(&self) -> impl Iterator<Item = &str> {
        let mut cursor = Cursor::new(self.bytes());
        let len = if self.is_str() { self.len } else { 0 };
        // `read` has been through all of them; an empty string stands for one that changed under the map.
        (0..len).map(move |_| cursor.str().unwrap_or_default())
    }

    /// The elements as 32-bit floats; none if the array does not hold numbers. Wider numbers are rounded.
    pub fn to_f32(&self) -> Vec<f32> {
        self.numbers().map(|n| n as f32).collect()
    }

    /// The elements as 32-bit integers; none if the array does not hold numbers. Others are clamped into range.
    pub fn to_i32(&self) -> Vec<i32> {
        self.numbers().map(|n| n as i32).collect()
    }

    /// The elements as unsigned 32-bit integers; none if the array does not hold numbers. Others are clamped into range.
    pub fn to_u32(&self) -> Vec<u32> {
        self.numbers().map(|n| n as u32).collect()
    }

    /// The elements as bools (any number but 0 is true); none if the array does not hold numbers or bools.
    pub fn to_bool(&self) -> Vec<bool> {
        self.numbers().map(|n| n != 0.0).collect()
    }

    /// Exact for every type but 64-bit integers beyond 2^53, which no metadata array holds.
    fn numbers(&self) -> impl Iterator<Item = f64> {
        let size = kind::bytes(self.kind).unwrap_or(usize::MAX);
        let kind = self.kind;
        self.bytes().chunks_exact(size).map(move |chunk| {
            let mut wide = [0u8; 8];
            wide[..chunk.len()].copy_from_slice(chunk);
            let [a, b, c, d, ..] = wide;
            match kind {
                kind::I8 => i8::from_le_bytes([a]).into(),
                kind::I16 => i16::from_le_bytes([a, b]).into(),
                kind::I32 => i32::from_le_bytes([a, b, c, d]).into(),
                kind::F32 => f32::from_le_bytes([a, b, c, d]).into(),
                kind::I64 => i64::from_le_bytes(wide) as f64,
                kind::F64 => f64::from_le_bytes(wide),
                _ => u64::from_le_bytes(wide) as f64, // unsigned and bool: the upper bytes are zero
            }
        })
    }
}

impl fmt::Debug for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Array(type {}, {} elements)", self.kind, self.len)
    }
}

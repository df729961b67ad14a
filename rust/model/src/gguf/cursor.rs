//! A reader over bytes that checks every step and names the offset where it failed.

/// Reads little-endian values from a byte slice; no read goes past the end.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// What is wrong, in the format's terms. The caller adds the file name.
pub(super) type Parsed<T> = Result<T, String>;

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The offset of the next byte.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Bytes left.
    pub(super) fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The next `n` bytes.
    pub(super) fn take(&mut self, n: usize) -> Parsed<&'a [u8]> {
        if n > self.remaining() {
            return Err(format!(
                "the file ends at {} bytes, where {n} more are needed at {}",
                self.bytes.len(),
                self.at
            ));
        }
        let taken = &self.bytes[self.at..self.at + n];
        self.at += n;
        Ok(taken)
    }

    /// The next `N` bytes as an array.
    pub(super) fn array<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    pub(super) fn u32(&mut self) -> Parsed<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Parsed<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A count of things that need at least `least` bytes each; refused when they cannot be there.
    pub(super) fn count(&mut self, what: &str, least: usize) -> Parsed<usize> {
        let count = self.u64()?;
        match usize::try_from(count) {
            Ok(n) if n <= self.remaining() / least => Ok(n),
            _ => Err(format!("{count} {what} do not fit the {} bytes left", self.remaining())),
        }
    }

    /// A string: its length as u64, then UTF-8.
    pub(super) fn str(&mut self) -> Parsed<&'a str> {
        let at = self.at;
        let len = self.count("string bytes", 1)?;
        std::str::from_utf8(self.take(len)?).map_err(|_| format!("the string at {at} is not UTF-8"))
    }

    /// A string of at most `longest` bytes: a key or a name, which errors will quote.
    pub(super) fn name(&mut self, longest: usize) -> Parsed<&'a str> {
        let at = self.at;
        let name = self.str()?;
        if name.len() > longest {
            return Err(format!("the name at {at} has {} bytes, more than {longest}", name.len()));
        }
        Ok(name)
    }
}

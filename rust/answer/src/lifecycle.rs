//! What the system tells an app, and what the app may tell the engine: heat, memory, foreground; and the seal of what
//! is kept on disk.

use std::fmt;

/// How hot the device is, in the steps of the platforms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ThermalState {
    /// Cool: everything is allowed.
    #[default]
    Nominal,
    /// Warm: nothing changes yet.
    Fair,
    /// Hot: drafts are short, because a wrong draft is heat for nothing. Answers are the same, somewhat later.
    Serious,
    /// Too hot to compute: an answer is the best passage as it stands, with its citation, and the model is not asked.
    Critical,
}

impl ThermalState {
    /// Guesses at once at most.
    pub(crate) fn guesses(self) -> usize {
        match self {
            Self::Nominal | Self::Fair => usize::MAX,
            Self::Serious => 2,
            Self::Critical => 0,
        }
    }
}

/// Seals what the engine writes to its cache folder, with a key that the app keeps (a keychain, a key store).
///
/// An authenticated cipher (AES-GCM, ChaCha20-Poly1305) that takes `context` as associated data is what is meant: a
/// file that was put in the place of another then does not open. [`SealKey`](crate::SealKey) is such a cipher.
pub trait SnapshotCipher: Send + Sync + fmt::Debug {
    /// Seals bytes; `None` when that cannot be done now (a locked device), and nothing is written then.
    fn seal(&self, context: &[u8], plain: &[u8]) -> Option<Vec<u8>>;

    /// Opens what [`seal`](Self::seal) gave for the same context; `None` for anything else. The file is removed then.
    fn open(&self, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>>;
}

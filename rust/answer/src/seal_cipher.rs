//! Snapshots of the model's cache under the app's key.

use lorekit_seal::SealKey;

use crate::SnapshotCipher;

/// A snapshot is one sealed message (`docs/sealing.md`), bound to its file's name and scope by the context.
impl SnapshotCipher for SealKey {
    fn seal(&self, context: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
        self.seal_bytes(context, plain).ok()
    }

    fn open(&self, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        self.open_bytes(context, sealed).ok()
    }
}

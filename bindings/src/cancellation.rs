//! A cancel token that a foreign task holds while it waits for a search.

use std::sync::Arc;

use lorekit_answer::CancelToken;

/// Cancels one search; a new one for each.
#[derive(Debug, Default, uniffi::Object)]
pub struct FfiCancellation {
    pub(crate) token: CancelToken,
}

#[uniffi::export]
impl FfiCancellation {
    /// A token that is not cancelled.
    #[uniffi::constructor]
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Asks the search to stop. Calling it again changes nothing.
    pub fn cancel(&self) {
        self.token.cancel();
    }
}

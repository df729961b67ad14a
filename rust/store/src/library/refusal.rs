//! Why a library refuses a pack that is sound in itself.

use lorekit_pack::StateHash;

/// Why a pack does not fit this library. What is wrong with a pack in itself (damage, an unknown signer, expiry) are
/// errors of its own crate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It belongs to another body of knowledge.
    #[error("it is of the pack {found}, the library holds {expected}")]
    OtherPack {
        /// The library's pack id.
        expected: String,
        /// The arriving one's.
        found: String,
    },
    /// Only deltas are applied; a base comes with the app.
    #[error("it is not a delta")]
    NotADelta,
    /// Its version is below the highest that was ever applied: an old pack played again.
    #[error("its version is {found}, and version {floor} was applied before")]
    Replayed {
        /// The highest version applied.
        floor: u64,
        /// The arriving one's.
        found: u64,
    },
    /// It gives another content to a version that was applied: two packs were published under one number.
    #[error("version {version} is known with the state {expected}, and it has the state {found}")]
    Fork {
        /// The version.
        version: u64,
        /// The state that was applied under it.
        expected: StateHash,
        /// The arriving state.
        found: StateHash,
    },
    /// It builds on another state than the library's.
    #[error("it builds on the state {found}, the library has {expected}")]
    OtherParent {
        /// The library's state.
        expected: StateHash,
        /// The state it builds on.
        found: StateHash,
    },
    /// It expired by a day that was seen before, and the clock now says an earlier one.
    #[error("it expired on {expires}; the clock says {today}, and {seen} was seen before")]
    ClockTurnedBack {
        /// Its last day of use.
        expires: String,
        /// What the clock says.
        today: String,
        /// The highest day seen.
        seen: String,
    },
    /// Applied, it does not give the state that it promises.
    #[error("applied, it gives the state {found}, and promises {expected}")]
    OtherState {
        /// What its manifest says.
        expected: StateHash,
        /// What came out.
        found: StateHash,
    },
    /// The file changed while it was copied.
    #[error("it changed while it was copied")]
    ChangedOnTheWay,
}

//! Who vouches for a pack: Ed25519 signatures in the pack's signature area, and which of them a device believes.
//!
//! A signature is over the manifest, and the manifest lists the hash of each section: [`Trust::check`] says who signed
//! the manifest, [`Pack::verify`](crate::Pack::verify) that the sections are the ones it lists, and only both together
//! vouch for the bytes.
//! A device believes the keys its app pins (the *roots*) and, through a key set that a root signed, the keys of that
//! set: so the key that signs each release can be replaced while the root's stays in a safe.
//!
//! Signatures are those of RFC 8032, checked by the strict rules (no small-order key or point, canonical numbers only), so
//! that a signature cannot be turned into another valid one.
//! Every kind of statement is signed under a prefix of its own, so that none can pass for another.
//!
//! Modules in reading order: `key`, `key_set`, `rollback`, `area` (the bytes), `trust` (the decision), `sign`.

mod area;
mod key;
mod key_set;
mod rollback;
mod sign;
mod trust;

pub use area::{MAX_AREA_JSON_BYTES, SIGNATURE_AREA_VERSION, SignatureArea};
pub use key::{Signature, SignatureBytes, SigningKey, VerifyingKey};
pub use key_set::{KeySet, SignedKeySet};
pub use rollback::{PackState, RollbackStatement, SignedRollback};
pub use sign::{attach_rollback, sign_pack};
pub use trust::{Trust, Verified};

//! The owner's word that an older version may arrive.

use serde::{Deserialize, Serialize};

use crate::id::StateHash;
use crate::signing::key::{Signature, SigningKey};

const DOMAIN: &[u8] = b"lorepack v1 rollback\0";

/// A version of a pack and the state a library has with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackState {
    /// The manifest's `version`.
    pub version: u64,
    /// The manifest's `state`.
    pub state: StateHash,
}

/// Lets one older version arrive at libraries that have one newer version.
///
/// It names both exactly, so that it cannot be replayed once the library has gone on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollbackStatement {
    /// The pack.
    pub pack_id: String,
    /// What the library has.
    pub from: PackState,
    /// What it shall have: the pack that carries the statement.
    pub to: PackState,
}

/// A rollback statement, signed by a root or by a key of the key set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedRollback {
    /// The statement.
    pub statement: RollbackStatement,
    /// The signature over it.
    pub signed: Signature,
}

impl RollbackStatement {
    /// Signs the statement.
    pub fn sign(self, key: &SigningKey) -> SignedRollback {
        let signed = key.sign(DOMAIN, &self.encode());
        SignedRollback { statement: self, signed }
    }

    fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers always have an encoding")
    }
}

impl SignedRollback {
    /// Whether the signature is one over this statement by the key it names.
    pub fn is_valid(&self) -> bool {
        self.signed.is_valid(DOMAIN, &self.statement.encode())
    }
}

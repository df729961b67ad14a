//! The decision whether to believe a pack.

use std::path::Path;

use crate::error::{Error, Result};
use crate::manifest::is_date;
use crate::reader::Pack;
use crate::signing::area::SignatureArea;
use crate::signing::key::VerifyingKey;
use crate::signing::key_set::SignedKeySet;
use crate::signing::rollback::{RollbackStatement, SignedRollback};

/// Whom a device believes, and what it has seen so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// The keys the app pins. They may sign packs and key sets.
    pub roots: Vec<VerifyingKey>,
    /// Takes packs without any signature: for development, never for an app that ships.
    pub allow_unsigned: bool,
    /// Today, `YYYY-MM-DD`, and never earlier than the latest day the caller has seen; none: nothing expires.
    pub today: Option<String>,
    /// The highest version of a key set seen. It is for packs that arrive: one that was accepted earlier stays accepted
    /// under the set of its day, so a library passes 0 for what it already holds.
    pub key_set_floor: u64,
}

/// Who vouches for a pack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// The key that signed it, the first in the pack that is trusted; none if it is unsigned.
    pub signer: Option<VerifyingKey>,
    /// The version of the key set it came with; a library remembers the highest.
    pub key_set_version: Option<u64>,
    /// The owner's word that it may arrive although it is older. The caller compares `from` with what it has.
    pub rollback: Option<RollbackStatement>,
    /// Whether it has no signature at all, and was taken because that is allowed.
    pub unsigned: bool,
}

impl Trust {
    /// Trusts these keys and nothing else, without a day.
    pub fn pinned(roots: Vec<VerifyingKey>) -> Self {
        Self { roots, ..Self::default() }
    }

    /// Takes packs without any signature, and no signed one, since there is no root: for development.
    pub fn only_unsigned() -> Self {
        Self { allow_unsigned: true, ..Self::default() }
    }

    /// Decides about a pack. Sections are not hashed here: call [`Pack::verify`] as well before they are used.
    ///
    /// Everything that stands in the signature area must hold, whether it is needed or not: each signature over the
    /// manifest, the key set, the rollback statement.
    /// Then one of the signers must be a root or a key of the set.
    ///
    /// # Errors
    /// One variant for each reason: [`Error::Unsigned`], [`Error::SignatureArea`], [`Error::UnsupportedSignatures`],
    /// [`Error::BadSignature`], [`Error::UnknownSigner`], [`Error::KeyNotInSet`], [`Error::KeySetUnknownRoot`],
    /// [`Error::KeySetBadSignature`], [`Error::KeySetOutdated`], [`Error::KeySetExpired`],
    /// [`Error::KeySetForOtherPack`], [`Error::RollbackBadSignature`], [`Error::RollbackUnknownSigner`],
    /// [`Error::RollbackForOtherPack`], [`Error::PackExpired`]; [`Error::BadDate`] if `today` is no date.
    pub fn check(&self, pack: &Pack) -> Result<Verified> {
        let path = pack.path();
        if let Some(today) = self.today.as_ref().filter(|today| !is_date(today)) {
            return Err(Error::BadDate { found: today.clone() });
        }
        let verified = match pack.signature_area() {
            Some(bytes) => self.check_area(pack, &SignatureArea::decode(path, bytes)?)?,
            None if self.allow_unsigned => Verified { unsigned: true, ..Verified::default() },
            None => return Err(Error::Unsigned { path: path.into() }),
        };
        match self.past(pack.manifest().expires.as_deref()) {
            Some((expires, today)) => Err(Error::PackExpired { path: path.into(), expires, today }),
            None => Ok(verified),
        }
    }

    fn check_area(&self, pack: &Pack, area: &SignatureArea) -> Result<Verified> {
        let path = pack.path();
        area.check_signatures(path, pack.manifest_bytes())?;
        if let Some(signed) = &area.key_set {
            self.check_key_set(path, &pack.manifest().pack_id, signed)?;
        }
        let set = area.key_set.as_ref().map(|signed| &signed.set);
        let trusted = |key: &VerifyingKey| self.roots.contains(key) || set.is_some_and(|set| set.keys.contains(key));
        let keys = || area.signatures.iter().map(|signature| signature.key);
        let Some(signer) = keys().find(trusted) else {
            let key = keys().map(|key| key.to_string()).collect::<Vec<_>>().join(", ");
            return Err(match set {
                Some(set) => Error::KeyNotInSet { path: path.into(), key, version: set.version },
                None => Error::UnknownSigner { path: path.into(), key },
            });
        };
        if let Some(rollback) = &area.rollback {
            check_rollback(pack, rollback, trusted)?;
        }
        Ok(Verified {
            signer: Some(signer),
            key_set_version: set.map(|set| set.version),
            rollback: area.rollback.as_ref().map(|signed| signed.statement.clone()),
            unsigned: false,
        })
    }

    fn check_key_set(&self, path: &Path, pack_id: &str, signed: &SignedKeySet) -> Result<()> {
        let (set, path) = (&signed.set, path.to_path_buf());
        let (version, key) = (set.version, signed.signed.key.to_string());
        if !self.roots.contains(&signed.signed.key) {
            return Err(Error::KeySetUnknownRoot { path, key });
        }
        if !signed.is_valid() {
            return Err(Error::KeySetBadSignature { path, key });
        }
        if version < self.key_set_floor {
            return Err(Error::KeySetOutdated { path, version, floor: self.key_set_floor });
        }
        if let Some((expires, today)) = self.past(set.expires.as_deref()) {
            return Err(Error::KeySetExpired { path, version, expires, today });
        }
        if set.pack_ids.as_ref().is_some_and(|ids| ids.iter().all(|id| id != pack_id)) {
            return Err(Error::KeySetForOtherPack { path, version, pack_id: pack_id.to_owned() });
        }
        Ok(())
    }

    /// The last day and today, if the last day is over. Dates in this form sort as texts.
    fn past(&self, last: Option<&str>) -> Option<(String, String)> {
        let (last, today) = (last?, self.today.as_deref()?);
        (last < today).then(|| (last.to_owned(), today.to_owned()))
    }
}

fn check_rollback(pack: &Pack, signed: &SignedRollback, trusted: impl Fn(&VerifyingKey) -> bool) -> Result<()> {
    let path = pack.path().to_path_buf();
    let key = signed.signed.key.to_string();
    if !trusted(&signed.signed.key) {
        return Err(Error::RollbackUnknownSigner { path, key });
    }
    if !signed.is_valid() {
        return Err(Error::RollbackBadSignature { path, key });
    }
    let (statement, manifest) = (&signed.statement, pack.manifest());
    let here = statement.pack_id == manifest.pack_id
        && statement.to.version == manifest.version
        && statement.to.state == manifest.state;
    if !here {
        let (pack_id, version) = (statement.pack_id.clone(), statement.to.version);
        return Err(Error::RollbackForOtherPack { path, pack_id, version });
    }
    Ok(())
}

//! Filling the signature area of a pack file.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use crate::error::{Error, Result};
use crate::reader::Pack;
use crate::scratch::ScratchFile;
use crate::signing::area::SignatureArea;
use crate::signing::key::SigningKey;
use crate::signing::key_set::SignedKeySet;
use crate::signing::rollback::SignedRollback;

/// Signs a pack, and puts a key set into it if one is given.
///
/// Each section is hashed first, so that nobody vouches for a damaged file.
/// An earlier signature of this key is replaced; those of other keys stay, and must be sound.
/// The file is replaced by a copy that differs in the signature area alone, in one atomic and durable step.
/// Costs reading the file twice and writing it once.
///
/// # Errors
/// As [`Pack::open_verified`]; [`Error::BadSignature`] or [`Error::SignatureArea`] if what is in the area is damaged;
/// [`Error::InvalidInput`] if the key is neither in the key set that is given nor its root, or the area is full.
pub fn sign_pack(path: impl AsRef<Path>, key: &SigningKey, key_set: Option<&SignedKeySet>) -> Result<()> {
    change(path.as_ref(), |manifest, area| {
        area.sign(manifest, key);
        if let Some(signed) = key_set {
            let public = key.verifying_key();
            if !signed.set.keys.contains(&public) && signed.signed.key != public {
                let reason = format!("key {public} is not in the key set, so no device would take the signature");
                return Err(Error::InvalidInput { path: path.as_ref().into(), reason });
            }
            area.key_set = Some(signed.clone());
        }
        Ok(())
    })
}

/// Puts the owner's word into a signed pack that it may arrive although it is older.
///
/// # Errors
/// As [`sign_pack`]; [`Error::RollbackForOtherPack`] if the statement is about another pack, version or state;
/// [`Error::InvalidInput`] if the pack is not signed yet.
pub fn attach_rollback(path: impl AsRef<Path>, rollback: &SignedRollback) -> Result<()> {
    change(path.as_ref(), |_, area| {
        area.rollback = Some(rollback.clone());
        Ok(())
    })
}

fn change(path: &Path, edit: impl FnOnce(&[u8], &mut SignatureArea) -> Result<()>) -> Result<()> {
    let pack = Pack::open_verified(path)?;
    let mut area = match pack.signature_area() {
        Some(bytes) => SignatureArea::decode(path, bytes)?,
        None => SignatureArea::default(),
    };
    area.check_signatures(path, pack.manifest_bytes())?;
    edit(pack.manifest_bytes(), &mut area)?;
    if let Some(rollback) = &area.rollback {
        let (statement, manifest) = (&rollback.statement, pack.manifest());
        let here = (&manifest.pack_id, manifest.version, manifest.state);
        if (&statement.pack_id, statement.to.version, statement.to.state) != here {
            let (pack_id, version) = (statement.pack_id.clone(), statement.to.version);
            return Err(Error::RollbackForOtherPack { path: path.into(), pack_id, version });
        }
    }
    write_area(&pack, &area.encode(path)?)
}

fn write_area(pack: &Pack, area: &[u8]) -> Result<()> {
    let path = pack.path();
    let mut from = File::open(path).map_err(Error::io(path, "open a pack"))?;
    let permissions = from.metadata().map_err(Error::io(path, "read the permissions of a pack"))?.permissions();
    let (scratch, mut file) = ScratchFile::beside(path)?;
    io::copy(&mut from, &mut file).map_err(Error::io(path, "copy a pack"))?;
    file.seek(SeekFrom::Start(pack.signature_offset())).map_err(Error::io(path, "write a signature"))?;
    file.write_all(area).map_err(Error::io(path, "write a signature"))?;
    file.set_permissions(permissions).map_err(Error::io(path, "set the permissions of a pack"))?;
    file.sync_all().map_err(Error::io(path, "make a pack durable"))?;
    // Another file may have been put at the path since it was hashed; that one was not what was signed.
    let same = Pack::open(scratch.path()).is_ok_and(|copy| copy.manifest_hash() == pack.manifest_hash());
    if !same {
        return Err(Error::InvalidInput {
            path: path.into(),
            reason: "the file was replaced while it was signed".into(),
        });
    }
    scratch.persist(path)
}

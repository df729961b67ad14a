//! How often each term of a question stands in a row, out of FTS5.
//!
//! FTS5's own `bm25()` knows the rows of one table only. This auxiliary function hands out the counts that it computes
//! with, so that rows of several packs can be scored by common statistics. After the auxiliary function API of SQLite's
//! FTS5 documentation. The crate's only other `unsafe` is in `mapped`.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int};
use std::path::Path;
use std::ptr::{null, null_mut};

use rusqlite::{Connection, ffi};

use crate::error::Result;
use crate::sqlite::database_error;

/// The function's name in SQL; its only argument is the name of the table.
const NAME: &CStr = c"lorekit_counts";

/// A question has at most so many terms.
pub(crate) const MAX_TERMS: usize = 128;

/// A term in a heading or an article's label, the first column, weighs as much as two in the text.
pub(crate) const HEADING_WEIGHT: u32 = 2;
pub(crate) const BODY_WEIGHT: u32 = 1;

/// The weighted counts of one row as the function returns them: for each term that the row has, its number in the
/// question and its count, a heading's twice.
pub(crate) fn decode(blob: &[u8]) -> impl Iterator<Item = (usize, u32)> {
    let number = |bytes: [u8; 4]| u32::from_ne_bytes(bytes);
    blob.as_chunks::<8>().0.iter().map(move |&[a, b, c, d, e, f, g, h]| {
        ((number([a, b, c, d]) as usize).min(MAX_TERMS - 1), number([e, f, g, h]))
    })
}

/// Gives a connection the function. Must come before the authorizer, though that would let it pass.
pub(crate) fn register(path: &Path, connection: &Connection) -> Result<()> {
    let mut api: *mut ffi::fts5_api = null_mut();
    // SAFETY: the handle is open and used by this thread alone. The statement is finalized in each case. The pointer that
    // is bound under the name FTS5 asks for is that of `api`, which outlives the statement; `fts5()` writes the address
    // of the connection's API there, which lives as long as the connection.
    let code = unsafe {
        let mut statement = null_mut();
        let prepared = ffi::sqlite3_prepare_v2(
            connection.handle(),
            c"SELECT fts5(?1)".as_ptr(),
            -1,
            &raw mut statement,
            null_mut(),
        );
        if prepared == ffi::SQLITE_OK {
            let target = (&raw mut api).cast();
            ffi::sqlite3_bind_pointer(statement, 1, target, c"fts5_api_ptr".as_ptr(), None);
            ffi::sqlite3_step(statement);
            ffi::sqlite3_finalize(statement)
        } else {
            prepared
        }
    };
    let code = match code {
        // SAFETY: `api` is null or what FTS5 wrote; since its second version it has this member.
        ffi::SQLITE_OK => match unsafe { api.as_ref() }.and_then(|api| api.xCreateFunction) {
            // SAFETY: as above; the name ends in zero, and there is no user data and so nothing to destroy.
            Some(create) => unsafe { create(api, NAME.as_ptr(), null_mut(), Some(counts), None) },
            None => ffi::SQLITE_ERROR,
        },
        code => code,
    };
    match code {
        ffi::SQLITE_OK => Ok(()),
        code => {
            let failure = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            Err(database_error(path, "preparing the lexical search")(failure))
        }
    }
}

/// Sets the result to pairs of `u32`, a term's number and its weighted count, for each term the current row has.
///
/// Nothing in it panics or allocates: it is called from C.
unsafe extern "C" fn counts(
    api: *const ffi::Fts5ExtensionApi,
    row: *mut ffi::Fts5Context,
    result: *mut ffi::sqlite3_context,
    _: c_int,
    _: *mut *mut ffi::sqlite3_value,
) {
    let mut weights = [0u32; MAX_TERMS];
    // SAFETY: FTS5 passes its API, the context of the row it stands on and the context of the call, all valid until
    // this function returns; the calls get addresses of locals that they write numbers to.
    let code = unsafe { add_up(api, row, &mut weights) };
    if code != ffi::SQLITE_OK {
        // SAFETY: as above.
        unsafe { ffi::sqlite3_result_error_code(result, code) };
        return;
    }
    let mut pairs = [0u32; 2 * MAX_TERMS];
    let mut length = 0;
    let present = weights.iter().enumerate().filter(|&(_, &weight)| weight > 0);
    for ((term, &weight), pair) in present.zip(pairs.as_chunks_mut::<2>().0) {
        *pair = [term as u32, weight];
        length += 8;
    }
    let bytes = if length == 0 { null() } else { pairs.as_ptr().cast() };
    // SAFETY: `length` bytes of `pairs` were written, eight for each pair; SQLITE_TRANSIENT makes SQLite copy them before
    // it returns.
    unsafe { ffi::sqlite3_result_blob(result, bytes, length, ffi::SQLITE_TRANSIENT()) };
}

/// Adds up the weights of all places where a term stands in the row.
///
/// # Safety
/// `api` and `row` must be those that FTS5 passed to the function that is running.
unsafe fn add_up(api: *const ffi::Fts5ExtensionApi, row: *mut ffi::Fts5Context, weights: &mut [u32]) -> c_int {
    // SAFETY: the caller's promise.
    let Some(api) = (unsafe { api.as_ref() }) else { return ffi::SQLITE_ERROR };
    let (Some(count), Some(instance)) = (api.xInstCount, api.xInst) else { return ffi::SQLITE_ERROR };
    let mut n_instances = 0;
    // SAFETY: the caller's promise, and the address of a local.
    let code = unsafe { count(row, &raw mut n_instances) };
    if code != ffi::SQLITE_OK {
        return code;
    }
    for at in 0..n_instances {
        let (mut term, mut column, mut offset) = (0, 0, 0);
        // SAFETY: `at` is below the number of instances; the addresses are of locals.
        let code = unsafe { instance(row, at, &raw mut term, &raw mut column, &raw mut offset) };
        if code != ffi::SQLITE_OK {
            return code;
        }
        let weight = if column == 0 { HEADING_WEIGHT } else { BODY_WEIGHT };
        // A damaged index may count whatever it likes, but not outside of the array.
        if let Some(sum) = usize::try_from(term).ok().and_then(|term| weights.get_mut(term)) {
            *sum = sum.saturating_add(weight);
        }
    }
    ffi::SQLITE_OK
}

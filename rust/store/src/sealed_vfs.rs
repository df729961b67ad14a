//! SQLite over a section that is decrypted as it is read: a read-only virtual file system, with its `unsafe`.
//!
//! SQLite asks a virtual file system (<https://sqlite.org/vfs.html>) by name. This one is registered once in the process
//! and knows the sections that are lent to it at the moment, by number. It opens main databases and nothing else: no
//! journal, no write-ahead log, no temporary file. It says that files never change, which makes SQLite take no locks.
//! No callback lets a panic pass into C.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::ptr;
use std::slice;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use lorekit_pack::{ReadAt, SectionReader};
use rusqlite::{Connection, OpenFlags, ffi};

use crate::error::{Error, Result};
use crate::sqlite::database_error;

const NAME: &CStr = c"lorekit-sealed";
const MAX_NAME_BYTES: c_int = 32;

/// The sections that SQLite may open, by number. A virtual file system has no other way to be told: SQLite hands it a
/// name and nothing else.
static LENT: Mutex<Lent> = Mutex::new(Lent { sections: BTreeMap::new(), next: 0 });

struct Lent {
    sections: BTreeMap<u64, SectionReader>,
    next: u64,
}

fn lent() -> MutexGuard<'static, Lent> {
    // No code that runs under the lock can leave the map half changed.
    LENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A section that SQLite may open until this goes; connections that are open then go on.
#[derive(Debug)]
pub(crate) struct SealedDatabase {
    number: u64,
}

impl SealedDatabase {
    /// Lends a section to SQLite.
    pub fn new(section: SectionReader) -> Self {
        let mut lent = lent();
        let number = lent.next;
        lent.next += 1;
        lent.sections.insert(number, section);
        Self { number }
    }

    /// A read-only connection to the section. `path` is for errors.
    pub fn connect(&self, path: &Path) -> Result<Connection> {
        if register() != ffi::SQLITE_OK {
            return Err(Error::Unsupported { path: path.into(), feature: "reading a sealed database" });
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags_and_vfs(self.number.to_string(), flags, NAME);
        let connection = connection.map_err(database_error(path, "opening"))?;
        // Nothing that is computed on the way may be written to a disk in clear.
        connection.execute_batch("PRAGMA temp_store = MEMORY").map_err(database_error(path, "opening"))?;
        Ok(connection)
    }
}

impl Drop for SealedDatabase {
    fn drop(&mut self) {
        let gone = lent().sections.remove(&self.number);
        // Dropped behind the lock.
        drop(gone);
    }
}

/// Registers the virtual file system, once.
fn register() -> c_int {
    static CODE: OnceLock<c_int> = OnceLock::new();
    *CODE.get_or_init(|| {
        let vfs = Box::leak(Box::new(ffi::sqlite3_vfs {
            iVersion: 1,
            szOsFile: size_of::<OpenFile>() as c_int,
            mxPathname: MAX_NAME_BYTES,
            pNext: ptr::null_mut(),
            zName: NAME.as_ptr(),
            pAppData: ptr::null_mut(),
            xOpen: Some(open),
            xDelete: Some(delete),
            xAccess: Some(access),
            xFullPathname: Some(full_pathname),
            xDlOpen: None,
            xDlError: None,
            xDlSym: None,
            xDlClose: None,
            xRandomness: Some(randomness),
            xSleep: Some(sleep),
            xCurrentTime: Some(current_time),
            xGetLastError: None,
            xCurrentTimeInt64: None,
            xSetSystemCall: None,
            xGetSystemCall: None,
            xNextSystemCall: None,
        }));
        // SAFETY: the structure lives as long as the process, as SQLite asks; version 1 has the fields up to
        // `xGetLastError`, and SQLite asks for shared libraries only when extensions are loaded, which is not compiled
        // in by a caller of this crate. It is not made the default.
        unsafe { ffi::sqlite3_vfs_register(vfs, 0) }
    })
}

/// What SQLite allocates for a file: its own part first, then ours.
#[repr(C)]
struct OpenFile {
    base: ffi::sqlite3_file,
    /// From [`Box::into_raw`] between a successful `open` and `close`.
    section: *mut SectionReader,
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 1,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(no_lock),
    xUnlock: Some(no_lock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    xFetch: None,
    xUnfetch: None,
};

/// Runs a callback's body; a panic becomes an error of SQLite, since it must not unwind through C.
fn guarded(body: impl FnOnce() -> c_int) -> c_int {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(ffi::SQLITE_IOERR)
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite passes `szOsFile` bytes, aligned for any type, for us to fill. Null methods tell it that there is
    // nothing to close when this fails.
    unsafe {
        file.cast::<OpenFile>()
            .write(OpenFile { base: ffi::sqlite3_file { pMethods: ptr::null() }, section: ptr::null_mut() });
    }
    guarded(|| {
        if name.is_null() || flags & ffi::SQLITE_OPEN_MAIN_DB == 0 {
            return ffi::SQLITE_CANTOPEN;
        }
        // SAFETY: not null, and SQLite passes a string that ends in zero, valid for the call.
        let name = unsafe { CStr::from_ptr(name) };
        let number = name.to_str().ok().and_then(|name| name.parse::<u64>().ok());
        let Some(section) = number.and_then(|number| lent().sections.get(&number).cloned()) else {
            return ffi::SQLITE_CANTOPEN;
        };
        let section = Box::into_raw(Box::new(section));
        // SAFETY: as above; the methods are static, and `section` is freed by `close` only, which SQLite calls once for
        // each file whose methods are not null.
        unsafe {
            file.cast::<OpenFile>().write(OpenFile { base: ffi::sqlite3_file { pMethods: &METHODS }, section });
            if !out_flags.is_null() {
                *out_flags = ffi::SQLITE_OPEN_READONLY | ffi::SQLITE_OPEN_MAIN_DB;
            }
        }
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    guarded(|| {
        // SAFETY: SQLite passes a file that `open` filled, for the last time; taking the pointer out leaves null.
        let section = unsafe { ptr::replace(&raw mut (*file.cast::<OpenFile>()).section, ptr::null_mut()) };
        if !section.is_null() {
            // SAFETY: it came from `Box::into_raw` in `open` and was not freed, as null would stand in its place.
            drop(unsafe { Box::from_raw(section) });
        }
        ffi::SQLITE_OK
    })
}

/// The section of an open file.
///
/// # Safety
/// `file` must be one that `open` filled with success and `close` was not called for; the reference must not outlive
/// the callback.
unsafe fn section<'a>(file: *mut ffi::sqlite3_file) -> &'a SectionReader {
    // SAFETY: by the contract the pointer is the one from `Box::into_raw`. Nothing writes to the section, so shared
    // references to it from several callbacks are sound.
    unsafe { &*(*file.cast::<OpenFile>()).section }
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, out: *mut c_void, amount: c_int, offset: i64) -> c_int {
    guarded(|| {
        let (Ok(amount), Ok(offset)) = (usize::try_from(amount), u64::try_from(offset)) else {
            return ffi::SQLITE_IOERR_READ;
        };
        // SAFETY: SQLite calls this for open files only, and `out` has room for `amount` bytes that nobody else uses.
        let (section, out) = unsafe {
            ptr::write_bytes(out.cast::<u8>(), 0, amount);
            (section(file), slice::from_raw_parts_mut(out.cast::<u8>(), amount))
        };
        let present = section.len().saturating_sub(offset).min(amount as u64) as usize;
        match section.read_at(offset, &mut out[..present]) {
            Err(lorekit_seal::Error::Io { .. }) => ffi::SQLITE_IOERR_READ,
            Err(_) => ffi::SQLITE_IOERR_DATA,
            // Behind the end there are zeros, as SQLite asks.
            Ok(()) if present < amount => ffi::SQLITE_IOERR_SHORT_READ,
            Ok(()) => ffi::SQLITE_OK,
        }
    })
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, out: *mut i64) -> c_int {
    guarded(|| {
        // SAFETY: SQLite calls this for open files only, with a place for the result.
        let (section, out) = unsafe { (section(file), &mut *out) };
        match i64::try_from(section.len()) {
            Ok(length) => {
                *out = length;
                ffi::SQLITE_OK
            }
            Err(_) => ffi::SQLITE_IOERR,
        }
    })
}

unsafe extern "C" fn full_pathname(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    room: c_int,
    out: *mut c_char,
) -> c_int {
    guarded(|| {
        // SAFETY: SQLite passes a string that ends in zero, valid for the call.
        let name = CString::from(unsafe { CStr::from_ptr(name) });
        let bytes = name.as_bytes_with_nul();
        if usize::try_from(room).is_ok_and(|room| bytes.len() <= room) {
            // SAFETY: `out` has room for `room` bytes, and `bytes` is a copy that does not overlap it.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr().cast(), out, bytes.len()) };
            ffi::SQLITE_OK
        } else {
            ffi::SQLITE_CANTOPEN
        }
    })
}

/// No other file exists: no journal, no log.
unsafe extern "C" fn access(_: *mut ffi::sqlite3_vfs, _: *const c_char, _: c_int, out: *mut c_int) -> c_int {
    // SAFETY: SQLite passes a place for the result.
    unsafe { *out = 0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, _: *const c_char, _: c_int) -> c_int {
    ffi::SQLITE_READONLY
}

unsafe extern "C" fn write(_: *mut ffi::sqlite3_file, _: *const c_void, _: c_int, _: i64) -> c_int {
    ffi::SQLITE_READONLY
}

unsafe extern "C" fn truncate(_: *mut ffi::sqlite3_file, _: i64) -> c_int {
    ffi::SQLITE_READONLY
}

unsafe extern "C" fn sync(_: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn no_lock(_: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(_: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: SQLite passes a place for the result.
    unsafe { *out = 0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_control(_: *mut ffi::sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_: *mut ffi::sqlite3_file) -> c_int {
    4096
}

unsafe extern "C" fn device_characteristics(_: *mut ffi::sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_IMMUTABLE
}

/// SQLite draws randomness from its default file system; there is none here.
unsafe extern "C" fn randomness(_: *mut ffi::sqlite3_vfs, _: c_int, _: *mut c_char) -> c_int {
    0
}

unsafe extern "C" fn sleep(_: *mut ffi::sqlite3_vfs, _: c_int) -> c_int {
    0
}

/// There is no clock here.
unsafe extern "C" fn current_time(_: *mut ffi::sqlite3_vfs, _: *mut f64) -> c_int {
    ffi::SQLITE_ERROR
}

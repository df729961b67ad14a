//! SQLite and usearch over mapped bytes: the home of this crate's `unsafe`, but for `term_counts` and `sealed_vfs`.
//!
//! Both libraries keep a bare pointer into the pack's map. The types here own an [`Arc`] of the pack beside whatever
//! holds the pointer, and hand out nothing that outlives them.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use lorekit_pack::{Pack, SectionKind};
use rusqlite::{Connection, OpenFlags, ffi};

use crate::error::{Error, Result};
use crate::graph::CheckedGraph;
use crate::sealed_vfs::SealedDatabase;
use crate::sqlite::{database_error, harden};
use crate::term_counts;

/// The passages section as read-only SQLite connections, one for each thread that is reading at the moment.
pub(crate) struct MappedDatabase {
    // Declared before `pack`, so that the connections are closed before the map goes.
    idle: Mutex<Vec<Connection>>,
    /// Set for a sealed pack: SQLite then reads through a virtual file system instead of the map.
    sealed: Option<SealedDatabase>,
    pack: Arc<Pack>,
}

/// Connections kept for later; more are opened when more threads read at once, and closed again.
const MAX_IDLE: usize = 8;

/// SQLite aborts a statement that asks for a longer text or blob, whatever the file claims.
const MAX_VALUE_BYTES: c_int = 64 << 20;

impl MappedDatabase {
    /// Opens a first connection over the pack's passages section.
    pub fn open(pack: Arc<Pack>) -> Result<Self> {
        let sealed = match pack.is_sealed() {
            true => Some(SealedDatabase::new(pack.section_reader(SectionKind::Passages)?)),
            false => None,
        };
        let database = Self { idle: Mutex::new(Vec::new()), sealed, pack };
        let first = database.connect()?;
        database.idle().push(first);
        Ok(database)
    }

    /// An idle connection, or a new one.
    pub fn connection(&self) -> Result<Borrowed<'_>> {
        let idle = self.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.connect()?,
        };
        Ok(Borrowed { connection: Some(connection), database: self })
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        // A panic elsewhere cannot leave a list of connections half changed.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(&self) -> Result<Connection> {
        let path = self.pack.path();
        let connection = match &self.sealed {
            Some(sealed) => sealed.connect(path)?,
            None => self.map()?,
        };
        self.restrict(connection)
    }

    /// A connection over the mapped section.
    fn map(&self) -> Result<Connection> {
        let path = self.pack.path();
        let section = self.pack.require(SectionKind::Passages)?;
        // A private database in memory that nothing is ever written to; its content is replaced below.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_MEMORY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_in_memory_with_flags(flags).map_err(database_error(path, "opening"))?;
        let length = i64::try_from(section.len())
            .map_err(|_| Error::Unsupported { path: path.into(), feature: "a database of this length" })?;
        // SAFETY: the handle is open and used by this thread alone. SQLite keeps the pointer until the connection is
        // closed; `Borrowed` and `idle` keep every connection inside of `MappedDatabase`, whose `pack` is dropped after
        // them, so the bytes outlive it. READONLY without RESIZEABLE and FREEONCLOSE makes SQLite neither write
        // through the pointer, nor reallocate, nor free it, which is why casting away `const` is sound.
        let code = unsafe {
            ffi::sqlite3_deserialize(
                connection.handle(),
                c"main".as_ptr(),
                section.as_ptr().cast_mut(),
                length,
                length,
                ffi::SQLITE_DESERIALIZE_READONLY as _,
            )
        };
        if code != ffi::SQLITE_OK {
            let failure = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            return Err(database_error(path, "mapping the database")(failure));
        }
        Ok(connection)
    }

    /// Takes from a connection all that a reader of foreign data has no use for.
    fn restrict(&self, connection: Connection) -> Result<Connection> {
        let path = self.pack.path();
        harden(path, &connection)?;
        term_counts::register(path, &connection)?;
        // SAFETY: the handle is open and used by this thread alone; the limits take plain numbers, and the authorizer
        // is a function without state, so its user data may be null.
        let code = unsafe {
            let db = connection.handle();
            ffi::sqlite3_limit(db, ffi::SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES);
            ffi::sqlite3_limit(db, ffi::SQLITE_LIMIT_ATTACHED, 0);
            ffi::sqlite3_limit(db, ffi::SQLITE_LIMIT_WORKER_THREADS, 0);
            ffi::sqlite3_limit(db, ffi::SQLITE_LIMIT_TRIGGER_DEPTH, 1);
            ffi::sqlite3_set_authorizer(db, Some(allow_reads), std::ptr::null_mut())
        };
        if code != ffi::SQLITE_OK {
            let failure = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            return Err(database_error(path, "restricting the database")(failure));
        }
        Ok(connection)
    }
}

impl fmt::Debug for MappedDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MappedDatabase").field("path", &self.pack.path()).finish_non_exhaustive()
    }
}

/// Allows selects, reads of columns, functions, and the few pragmas that only tell something; refuses all else.
unsafe extern "C" fn allow_reads(
    _: *mut c_void,
    action: c_int,
    first: *const c_char,
    second: *const c_char,
    _: *const c_char,
    _: *const c_char,
) -> c_int {
    match action {
        ffi::SQLITE_SELECT | ffi::SQLITE_READ | ffi::SQLITE_FUNCTION => ffi::SQLITE_OK,
        ffi::SQLITE_PRAGMA if !first.is_null() && second.is_null() => {
            // SAFETY: SQLite passes a string that ends in zero, valid for the call.
            let name = unsafe { CStr::from_ptr(first) };
            // FTS5 asks for the first to notice changes by other connections.
            if [c"data_version", c"application_id", c"user_version"].contains(&name) {
                ffi::SQLITE_OK
            } else {
                ffi::SQLITE_DENY
            }
        }
        _ => ffi::SQLITE_DENY,
    }
}

/// A connection on loan from a [`MappedDatabase`].
pub(crate) struct Borrowed<'a> {
    connection: Option<Connection>,
    database: &'a MappedDatabase,
}

impl Deref for Borrowed<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("the connection is taken on drop only")
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            let mut idle = self.database.idle();
            if idle.len() < MAX_IDLE {
                idle.push(connection);
            }
        }
    }
}

/// A usearch index over the pack's vectors section, from which nothing can be reached that writes.
pub(crate) struct MappedGraph {
    // Declared before `pack`, so that usearch lets go of the bytes before the map goes.
    index: usearch::Index,
    pack: Arc<Pack>,
}

impl MappedGraph {
    /// Lets usearch look at the section that `checked` was found sound in.
    pub fn open(pack: Arc<Pack>, checked: &CheckedGraph, expansion: usize, threads: usize) -> Result<Self> {
        let path = pack.path().to_path_buf();
        let failed = |operation, error: &dyn fmt::Display| Error::Index {
            path: path.clone(),
            operation,
            reason: error.to_string(),
        };
        let options = usearch::IndexOptions {
            dimensions: checked.dims,
            metric: usearch::MetricKind::Cos,
            quantization: usearch::ScalarKind::F16,
            connectivity: checked.connectivity,
            expansion_add: 1,
            expansion_search: expansion,
            multi: false,
        };
        let index = usearch::Index::new(&options).map_err(|e| failed("creating it", &e))?;
        let section = pack.require(SectionKind::Vectors)?;
        // SAFETY: usearch keeps the pointer until the index is dropped, which is before `pack`, see the field order; the
        // map is read-only and does not change. `CheckedGraph` is proof that every offset, level, count and slot that
        // usearch follows stays inside of these bytes: they are the section it was made from, since a pack has one
        // section of a kind. Methods of usearch that write to a view (`rename`, `save` to its own file) cannot be
        // reached through this type.
        unsafe { index.view_from_buffer(section) }.map_err(|e| failed("mapping it", &e))?;
        index.reserve_capacity_and_threads(checked.rows, threads).map_err(|e| failed("reserving threads", &e))?;
        Ok(Self { index, pack })
    }

    /// Keys of about the `count` nearest, by usearch's own distance. At most as many calls at once as threads were
    /// reserved. `allowed` must not panic: it is called from C++.
    pub fn search(&self, query: &[f32], count: usize, allowed: Option<&crate::bitmap::Bitmap>) -> Result<Vec<u64>> {
        let found = match allowed {
            None => self.index.search(query, count),
            Some(bitmap) => self.index.filtered_search(query, count, |key| bitmap.contains(key)),
        };
        found.map(|matches| matches.keys).map_err(|error| Error::Index {
            path: self.pack.path().into(),
            operation: "searching",
            reason: error.to_string(),
        })
    }
}

impl fmt::Debug for MappedGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MappedGraph").field("path", &self.pack.path()).finish_non_exhaustive()
    }
}

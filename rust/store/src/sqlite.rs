//! SQLite's errors in our words, and what a connection to foreign data may do.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode};

use crate::error::{Error, Result};

/// Turns an error of SQLite into ours. Its message is dropped, since it may quote a query; its code is kept.
pub(crate) fn database_error(path: &Path, operation: &'static str) -> impl FnOnce(rusqlite::Error) -> Error {
    let path = path.to_path_buf();
    move |error| {
        let reason = match &error {
            rusqlite::Error::SqliteFailure(failure, _) if failure.code == ErrorCode::DiskFull => {
                return Error::DiskFull { path };
            }
            rusqlite::Error::SqliteFailure(failure, _) if failure.extended_code == rusqlite::ffi::SQLITE_IOERR_DATA => {
                return Error::DamagedSeal { path };
            }
            rusqlite::Error::SqliteFailure(failure, _) => failure.to_string(),
            rusqlite::Error::QueryReturnedNoRows => "a row is missing".into(),
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::Utf8Error(..) => "a value has another type than its column".into(),
            _ => "the statement was refused".into(),
        };
        Error::Database { path, operation, reason }
    }
}

/// Switches off all that a reader of foreign data has no use for.
pub(crate) fn harden(path: &Path, connection: &Connection) -> Result<()> {
    let failed = || database_error(path, "opening the database");
    for (config, on) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
    ] {
        connection.set_db_config(config, on).map_err(failed())?;
    }
    // Half a megabyte of pages per connection: the map behind it is the real cache.
    connection
        .execute_batch("PRAGMA cell_size_check = ON; PRAGMA query_only = ON; PRAGMA cache_size = -512;")
        .map_err(failed())
}

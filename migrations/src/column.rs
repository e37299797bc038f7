//! The kinds of columns there are. Separate from the migrations, so that a kind is the same in all tables on both databases.
//!
//! Times are microseconds since 1970, UTC: they compare alike everywhere. Texts that are compared or sorted use the C collation
//! on PostgreSQL, which is the order of bytes that SQLite uses too.

use sea_orm_migration::{
    prelude::{ColumnDef, IntoIden},
    sea_orm::DbBackend,
};

/// A text that is looked up or sorted by.
pub(crate) fn key(backend: DbBackend, name: impl IntoIden) -> ColumnDef {
    key_or_null(backend, name).not_null().take()
}

/// The same, nullable.
pub(crate) fn key_or_null(backend: DbBackend, name: impl IntoIden) -> ColumnDef {
    let mut column = ColumnDef::new(name);
    column.text();
    if backend == DbBackend::Postgres {
        column.extra("COLLATE \"C\"");
    }
    column
}

/// A text, also one that holds JSON.
pub(crate) fn text(name: impl IntoIden) -> ColumnDef {
    text_or_null(name).not_null().take()
}

/// The same, nullable.
pub(crate) fn text_or_null(name: impl IntoIden) -> ColumnDef {
    ColumnDef::new(name).text().take()
}

/// A time.
pub(crate) fn time(name: impl IntoIden) -> ColumnDef {
    number(name)
}

/// The same, nullable.
pub(crate) fn time_or_null(name: impl IntoIden) -> ColumnDef {
    number_or_null(name)
}

/// A whole number of 64 bits.
pub(crate) fn number(name: impl IntoIden) -> ColumnDef {
    number_or_null(name).not_null().take()
}

/// The same, nullable.
pub(crate) fn number_or_null(name: impl IntoIden) -> ColumnDef {
    ColumnDef::new(name).big_integer().take()
}

/// Yes or no.
pub(crate) fn flag(name: impl IntoIden) -> ColumnDef {
    ColumnDef::new(name).boolean().not_null().take()
}

/// Bytes.
pub(crate) fn bytes(name: impl IntoIden) -> ColumnDef {
    bytes_or_null(name).not_null().take()
}

/// The same, nullable.
pub(crate) fn bytes_or_null(name: impl IntoIden) -> ColumnDef {
    ColumnDef::new(name).blob().take()
}

//! How statements reach SQLite or Postgres: connections, a pool of readers, migrations, errors, the schema and the rows.

pub(in crate::db) mod connection;
pub(in crate::db) mod error;
pub(in crate::db) mod location;
pub(in crate::db) mod migrate;
pub(in crate::db) mod reader;
pub(in crate::db) mod row;
pub(in crate::db) mod schema;

//! How statements reach SQLite or Postgres: connections, one writer, a pool of readers, migrations, errors and the schema.

pub(in crate::db) mod batch;
pub(in crate::db) mod connection;
pub(in crate::db) mod error;
pub(in crate::db) mod location;
pub(in crate::db) mod migrate;
pub(in crate::db) mod queue;
pub(in crate::db) mod reader;
pub(in crate::db) mod schema;
pub(in crate::db) mod writer;

//! `bytepass migrate`: applies the missing migrations. Safe while brokers run, and on several machines at once.

use crate::db::{Db, DbSetupError, PendingQuota};
use crate::telemetry::metrics::Metrics;

use super::outcome::{self, Failure};
use super::{ConfigArgs, serve};

pub(super) fn run(args: ConfigArgs) -> Result<(), Failure> {
    let config = serve::load(&args)?;
    serve::start_logging(&config)?;
    let failed = |error: DbSetupError| serve::not_started(error.into());
    // Opening the database needs a runtime, although a migration does not use it.
    let runtime = serve::runtime()?;
    let _inside = runtime.enter();
    let db = Db::open(
        &config.database,
        Vec::new(),
        PendingQuota::default(),
        Metrics::new(),
    )
    .map_err(failed)?;
    let pending = db.pending_migrations().map_err(failed)?;
    db.migrate().map_err(failed)?;
    outcome::print(&match pending {
        0 => "the schema is up to date\n".to_owned(),
        count => format!("applied {count} migration(s); the schema is up to date\n"),
    })
}

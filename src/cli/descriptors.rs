//! How many files a process may have open: each connection is one.

use crate::config::Config;
use crate::http::worker_threads;

/// Files that are no client's connection: those of the library, logs, and connections to the bucket and to strangers.
const OWN: u64 = 128;
/// Files of one connection to the database: SQLite has three.
const OF_THE_DATABASE: u64 = 4;

/// Raises the limit as far as it goes, and takes as many connections as it then allows: beyond it, the bucket and the database
/// could not be reached either.
pub(super) fn make_room(config: &mut Config) {
    let server = &mut config.server;
    let workers = worker_threads(server.workers);
    let own = OWN + OF_THE_DATABASE * u64::from(config.database.pool_size);
    let wanted = server.max_connections as u64 * workers as u64 + own;
    let allowed = match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(allowed) => allowed,
        Err(error) => {
            tracing::warn!(%error, "how many files this process may open can't be found out");
            return;
        }
    };
    if wanted <= allowed {
        return;
    }
    let most = most_each(allowed, own, workers);
    tracing::warn!(
        allowed,
        wanted,
        configured = server.max_connections,
        workers,
        "this process may not open as many files as server.max_connections needs: each worker takes {most} connections; \
         raise the hard limit (ulimit -Hn, LimitNOFILE) or lower the setting"
    );
    server.max_connections = most;
}

/// How many connections each worker can have; one at least.
fn most_each(allowed: u64, own: u64, workers: usize) -> usize {
    let left = allowed.saturating_sub(own) as usize;
    (left / workers).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_broker_needs_for_itself_is_set_aside() {
        assert_eq!(most_each(1_024, 160, 2), 432);
        assert_eq!(most_each(100, 160, 2), 1);
    }
}

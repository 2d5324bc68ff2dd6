//! The limit on open files of the process: each connection is one file.

use crate::config::Config;
use crate::http::worker_threads;

/// Files that are not client connections: libraries, logs, and connections to the bucket and other servers.
const OWN_FILES: u64 = 128;
/// Files of one connection to the database: SQLite has three.
const FILES_PER_DATABASE_CONNECTION: u64 = 4;

/// The log message about a limit that is too low. It is logged after the start, so that a failed start prints its reason only.
pub(super) struct FileLimit(Option<TooLow>);

/// A limit that is too low.
struct TooLow {
    allowed: u64,
    wanted: u64,
    configured: usize,
    each: usize,
}

/// Raises the limit as far as possible and lowers `server.max_connections` to it: beyond the limit, the bucket and the database could not
/// be reached either.
pub(super) fn raise_limit(config: &mut Config) -> FileLimit {
    let server = &mut config.server;
    let workers = worker_threads(server.workers);
    let own = OWN_FILES + FILES_PER_DATABASE_CONNECTION * u64::from(config.database.pool_size);
    let wanted = server.max_connections as u64 * workers as u64 + own;
    // An unknown limit counts as none.
    let allowed = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(u64::MAX);
    if wanted <= allowed {
        return FileLimit(None);
    }
    let (configured, each) = (server.max_connections, most_each(allowed, own, workers));
    server.max_connections = each;
    FileLimit(Some(TooLow {
        allowed,
        wanted,
        configured,
        each,
    }))
}

impl FileLimit {
    /// Logs the message; a warning if more than half of the connections are missing.
    pub(super) fn log(&self) {
        let Some(short) = &self.0 else { return };
        let TooLow {
            allowed,
            wanted,
            configured,
            each,
        } = *short;
        let line = format!(
            "the limit on open files is too low for server.max_connections: each worker takes {each} connections; \
             raise the hard limit (ulimit -Hn, LimitNOFILE) or lower the setting"
        );
        match each < configured / 2 {
            true => tracing::warn!(allowed, wanted, configured, "{line}"),
            false => tracing::info!(allowed, wanted, configured, "{line}"),
        }
    }
}

/// The connections that each worker can have; at least one.
fn most_each(allowed: u64, own: u64, workers: usize) -> usize {
    let left = allowed.saturating_sub(own) as usize;
    (left / workers).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_files_are_reserved() {
        assert_eq!(most_each(1_024, 160, 2), 432);
        assert_eq!(most_each(100, 160, 2), 1);
    }
}

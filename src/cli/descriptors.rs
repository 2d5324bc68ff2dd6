//! How many files a process may have open: each connection is one.

use crate::config::Config;
use crate::http::worker_threads;

/// Files that are no client's connection: those of the library, logs, and connections to the bucket and to strangers.
const OWN: u64 = 128;
/// Files of one connection to the database: SQLite has three.
const OF_THE_DATABASE: u64 = 4;

/// What is to be said of the limit once the broker has started; one that does not start says why, and nothing else.
pub(super) struct Room(Option<Short>);

/// A limit that is too low.
struct Short {
    allowed: u64,
    wanted: u64,
    configured: usize,
    each: usize,
}

/// Raises the limit as far as it goes, and takes as many connections as it then allows: beyond it, the bucket and the database
/// could not be reached either.
pub(super) fn make_room(config: &mut Config) -> Room {
    let server = &mut config.server;
    let workers = worker_threads(server.workers);
    let own = OWN + OF_THE_DATABASE * u64::from(config.database.pool_size);
    let wanted = server.max_connections as u64 * workers as u64 + own;
    // Where it can't be found out, there is none to keep to.
    let allowed = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(u64::MAX);
    if wanted <= allowed {
        return Room(None);
    }
    let (configured, each) = (server.max_connections, most_each(allowed, own, workers));
    server.max_connections = each;
    Room(Some(Short {
        allowed,
        wanted,
        configured,
        each,
    }))
}

impl Room {
    /// Says it, in one line; a warning where more than half of the connections are missing.
    pub(super) fn tell(&self) {
        let Some(short) = &self.0 else { return };
        let Short {
            allowed,
            wanted,
            configured,
            each,
        } = *short;
        let line = format!(
            "this process may not open as many files as server.max_connections needs: each worker takes {each} connections; \
             raise the hard limit (ulimit -Hn, LimitNOFILE) or lower the setting"
        );
        match each < configured / 2 {
            true => tracing::warn!(allowed, wanted, configured, "{line}"),
            false => tracing::info!(allowed, wanted, configured, "{line}"),
        }
    }
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

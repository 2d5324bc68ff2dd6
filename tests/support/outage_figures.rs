//! The figures of an outage.

use std::fmt;
use std::time::{Duration, Instant};

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    /// POST /v1/uploads
    Create,
    /// POST /v1/uploads/{id}/confirm
    Confirm,
    /// GET /v1/uploads/{id}
    Read,
    /// GET /readyz
    Ready,
}

impl RequestKind {
    /// Every kind.
    pub const ALL: [RequestKind; 4] = [
        RequestKind::Create,
        RequestKind::Confirm,
        RequestKind::Read,
        RequestKind::Ready,
    ];
}

/// A request and its outcome.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// Its kind.
    pub ask: RequestKind,
    /// When it was sent.
    pub begun: Instant,
    /// The time until its answer.
    pub took: Duration,
    /// Whether it succeeded; otherwise it was a retryable refusal.
    pub done: bool,
}

/// One kind of request while the outage lasted, and after.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Its kind.
    pub ask: RequestKind,
    /// The number of successes.
    pub done: usize,
    /// The slowest of these.
    pub slowest_done: Duration,
    /// The number of retryable refusals.
    pub refused: usize,
    /// Half of these took no longer.
    pub median_refused: Duration,
    /// The slowest of these.
    pub slowest_refused: Duration,
    /// The time from the return to the first success of a request sent after it.
    pub well_after: Duration,
}

/// All kinds.
#[derive(Debug)]
pub struct Figures(pub Vec<Row>);

impl Figures {
    /// Counts requests sent between the cut and the return, or waiting for an answer at the cut.
    pub fn new(seen: &[Seen], cut: Instant, heal: Instant) -> Figures {
        let row = |ask: RequestKind| {
            let during = |it: &&Seen| it.ask == ask && it.begun < heal && it.begun + it.took > cut;
            let times = |done: bool| {
                let of = seen.iter().filter(during).filter(|it| it.done == done);
                let mut times: Vec<Duration> = of.map(|it| it.took).collect();
                times.sort_unstable();
                times
            };
            let (done, refused) = (times(true), times(false));
            let slowest = |times: &[Duration]| times.last().copied().unwrap_or_default();
            let after = seen
                .iter()
                .filter(|it| it.ask == ask && it.done && it.begun >= heal);
            let well = after.map(|it| it.begun + it.took - heal).min();
            Row {
                ask,
                done: done.len(),
                slowest_done: slowest(&done),
                refused: refused.len(),
                median_refused: refused.get(refused.len() / 2).copied().unwrap_or_default(),
                slowest_refused: slowest(&refused),
                well_after: well.unwrap_or(Duration::MAX),
            }
        };
        Figures(RequestKind::ALL.into_iter().map(row).collect())
    }

    /// Those of one kind.
    pub fn of(&self, ask: RequestKind) -> &Row {
        let found = self.0.iter().find(|row| row.ask == ask);
        found.expect("every kind has a row")
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<10}{:>8}{:>12}{:>10}{:>12}{:>12}{:>12}",
            "", "done", "slowest ms", "refused", "median ms", "slowest ms", "well in ms"
        )?;
        for row in &self.0 {
            writeln!(
                f,
                "{:<10}{:>8}{:>12}{:>10}{:>12}{:>12}{:>12}",
                format!("{:?}", row.ask).to_lowercase(),
                row.done,
                row.slowest_done.as_millis(),
                row.refused,
                row.median_refused.as_millis(),
                row.slowest_refused.as_millis(),
                row.well_after.as_millis()
            )?;
        }
        Ok(())
    }
}

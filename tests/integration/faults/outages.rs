//! The bucket or the database is gone for a while, under load, with the default limits: no answer is wrong, what does not need the
//! missing part keeps working, the rest gets a 503 with `Retry-After`, and everything recovers soon after the return.
//!
//! Bounds are for a busy machine; `cargo bench --bench outage` prints the figures. BYTEPASS_TEST_OUTAGE_SECS makes it longer.

use std::time::Duration;

use crate::support::outage::{Failure, Scene, Victim};
use crate::support::outage_figures::{Figures, RequestKind};
use crate::support::setting;

/// The target is 4.5 s.
const TOLD: Duration = Duration::from_secs(8);
/// The target is 2 s.
const WELL: Duration = Duration::from_secs(6);

/// Longer than every limit that a silent bucket or database runs into.
fn length() -> Duration {
    let secs = setting("BYTEPASS_TEST_OUTAGE_SECS");
    Duration::from_secs(secs.map_or(6, |secs| secs.parse().expect("seconds")))
}

async fn outage(victim: Victim, how: Failure) -> Option<Figures> {
    let scene = Scene::new(victim).await?;
    let figures = scene.outage(how, length()).await;
    println!("{victim:?} {how:?}\n{figures}");
    for row in &figures.0 {
        assert!(row.slowest_refused < TOLD, "{figures}");
        assert!(row.well_after < WELL, "{figures}");
    }
    let stopped = match victim {
        Victim::Bucket => RequestKind::Confirm,
        Victim::Database => RequestKind::Create,
    };
    for ask in [stopped, RequestKind::Ready] {
        let row = figures.of(ask);
        assert!(row.refused > 0, "there was no outage: {figures}");
    }
    Some(figures)
}

async fn bucket(how: Failure) {
    let figures = outage(Victim::Bucket, how).await;
    let figures = figures.expect("every test_env has a bucket");
    for ask in [RequestKind::Create, RequestKind::Read] {
        let row = figures.of(ask);
        assert_eq!(row.refused, 0, "it needs no bucket: {figures}");
        assert!(row.done > 10 && row.slowest_done < WELL, "{figures}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bucket_that_refuses_connections_stops_no_create_and_loses_nothing() {
    bucket(Failure::Refused).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bucket_that_is_silent_stops_no_create_and_loses_nothing() {
    bucket(Failure::Silent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bucket_that_answers_503_stops_no_create_and_loses_nothing() {
    bucket(Failure::Errors).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn database_that_refuses_connections_for_a_while_loses_nothing() {
    outage(Victim::Database, Failure::Refused).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn database_that_is_silent_for_a_while_loses_nothing() {
    outage(Victim::Database, Failure::Silent).await;
}

//! The bucket and the database are gone for a while, under load, with a broker's own limits: nothing wrong is said or done, what
//! can go on goes on, the rest is told to come back soon, and soon after the return all is well by itself.
//!
//! Bounds are for a busy machine; `cargo bench --bench outage` prints the figures. BYTEPASS_TEST_OUTAGE_SECS makes it longer.

use std::time::Duration;

use crate::support::outage::{How, Scene, Victim};
use crate::support::outage_figures::{Ask, Figures};
use crate::support::setting;

/// The aim is 4.5 s.
const TOLD: Duration = Duration::from_secs(8);
/// The aim is 2 s.
const WELL: Duration = Duration::from_secs(6);

/// Longer than every limit that a silent bucket or database runs into.
fn length() -> Duration {
    let secs = setting("BYTEPASS_TEST_OUTAGE_SECS");
    Duration::from_secs(secs.map_or(6, |secs| secs.parse().expect("seconds")))
}

async fn outage(victim: Victim, how: How) -> Option<Figures> {
    let Some(scene) = Scene::new(victim).await else {
        println!("skipped: there is no Postgres in this cell");
        return None;
    };
    let figures = scene.outage(how, length()).await;
    println!("{victim:?} {how:?}\n{figures}");
    for row in &figures.0 {
        assert!(row.slowest_refused < TOLD, "{figures}");
        assert!(row.well_after < WELL, "{figures}");
    }
    let stopped = match victim {
        Victim::Bucket => Ask::Confirm,
        Victim::Database => Ask::Create,
    };
    for ask in [stopped, Ask::Ready] {
        let row = figures.of(ask);
        assert!(row.refused > 0, "there was no outage: {figures}");
    }
    Some(figures)
}

async fn bucket(how: How) {
    let figures = outage(Victim::Bucket, how).await;
    let figures = figures.expect("every test_env has a bucket");
    for ask in [Ask::Create, Ask::Read] {
        let row = figures.of(ask);
        assert_eq!(row.refused, 0, "it needs no bucket: {figures}");
        assert!(row.done > 10 && row.slowest_done < WELL, "{figures}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_a_bucket_that_refuses_connections_for_a_while_stops_no_create_and_spoils_nothing() {
    bucket(How::Refused).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_a_bucket_that_is_silent_for_a_while_stops_no_create_and_spoils_nothing() {
    bucket(How::Silent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_a_bucket_that_answers_503_for_a_while_stops_no_create_and_spoils_nothing() {
    bucket(How::Errors).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r1_a_database_that_refuses_connections_for_a_while_spoils_nothing() {
    outage(Victim::Database, How::Refused).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r1_a_database_that_is_silent_for_a_while_spoils_nothing() {
    outage(Victim::Database, How::Silent).await;
}

//! The time of an answer does not reveal whether an upload exists.

use std::time::{Duration, Instant};

use super::*;

/// Requests for each id. The three kinds alternate, so that a busy machine slows all of them.
const ROUNDS: usize = 300;
/// Generous, because the machine is busy; a missing or repeated look-up changes the time several times over.
const MOST: f64 = 1.5;

#[tokio::test]
async fn foreign_missing_and_malformed_ids_take_the_same_time() {
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let (owner, stranger) = (broker.user(), broker.user_named("2"));
    let foreign = owner.stage("Product.image", BYTES, "image/jpeg").await;
    let missing = "upl_01hzzzzzzzzzzzzzzzzzzzzzzz";
    let ids = [foreign.id(), missing, "cat.jpg"];
    let mut took: [Vec<Duration>; 3] = Default::default();
    for _ in 0..ROUNDS {
        for (id, took) in ids.iter().zip(&mut took) {
            let begun = Instant::now();
            let answer = stranger.read(id).await;
            took.push(begun.elapsed());
            answer.expect_problem(404, "upload-not-found");
        }
    }
    let medians = took.map(|mut took| {
        took.sort();
        took[ROUNDS / 2].as_secs_f64() * 1e6
    });
    println!("foreign, missing, malformed: {medians:.1?} µs");
    let [least, most] = [f64::min, f64::max].map(|of| medians.into_iter().reduce(of).unwrap());
    assert!(most < least * MOST, "{medians:?}");
}

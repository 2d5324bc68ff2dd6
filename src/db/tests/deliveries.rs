//! Deliveries: written with the event, claimed in order by one worker, settled once.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::support::{Rig, create, now, open_attempt, record};
use crate::db::{
    Attempt, Change, ClaimRequest, Db, DeliveryClaim, DeliveryFilter, DeliveryState, Outcome,
    PendingQuota, Replay, StatusStep, Subscription,
};
use crate::domain::event::EventType;
use crate::domain::ids::UploadId;
use crate::telemetry::metrics::Metrics;

fn open(rig: &Rig) -> Db {
    let subscription = |endpoint: &str, types: &[EventType]| Subscription {
        endpoint: endpoint.into(),
        types: types.to_vec(),
    };
    let subscriptions = vec![
        subscription("all", &EventType::ALL),
        subscription("deleted", &[EventType::Deleted]),
    ];
    let quota = PendingQuota::default();
    Db::open(&rig.options(), subscriptions, quota, Metrics::new()).unwrap()
}

fn later(secs: i64) -> DateTime<Utc> {
    now() + TimeDelta::seconds(secs)
}

/// An upload with two events: confirmed, deleted.
async fn two_events(db: &Db) -> UploadId {
    let upload = create(db).await.into_upload();
    let key = open_attempt(db, upload.id).await;
    record(db, &upload, &key).await;
    let change = Change {
        upload: upload.id,
        step: StatusStep::Delete,
        at: now(),
    };
    db.move_status(change).await.unwrap();
    upload.id
}

async fn claim_at(db: &Db, at: DateTime<Utc>) -> Vec<DeliveryClaim> {
    let request = ClaimRequest {
        endpoint: "all".into(),
        limit: 100,
        now: at,
        until: at + TimeDelta::seconds(60),
    };
    db.claim_deliveries(request).await.unwrap()
}

async fn settle(db: &Db, delivery: &DeliveryClaim, at: DateTime<Utc>, outcome: Outcome) -> bool {
    let attempt = Attempt {
        endpoint: "all".into(),
        delivery: delivery.clone(),
        at,
        status: Some(500),
        error: Some("status 500".into()),
        outcome,
    };
    db.record_attempt(attempt).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_subscribed_event_has_a_delivery_and_only_the_first_is_claimed() {
    for rig in Rig::each() {
        let db = open(&rig);
        let id = two_events(&db).await;
        assert_eq!(
            rig.count("SELECT COUNT(*) FROM deliveries WHERE endpoint = 'all'"),
            2
        );
        assert_eq!(
            rig.count("SELECT COUNT(*) FROM deliveries WHERE endpoint = 'deleted'"),
            1
        );
        let first = claim_at(&db, later(1)).await;
        assert_eq!(first.len(), 1);
        assert_eq!(
            (first[0].upload, first[0].seq, first[0].attempts),
            (id, 1, 0)
        );
        assert!(
            first[0].body.starts_with("{\"type\":\"upload.confirmed\""),
            "{}",
            first[0].body
        );
        assert!(claim_at(&db, later(2)).await.is_empty(), "claimed twice");
        assert!(settle(&db, &first[0], later(2), Outcome::Delivered).await);
        assert!(
            !settle(&db, &first[0], later(2), Outcome::Delivered).await,
            "settled twice"
        );
        assert_eq!(claim_at(&db, later(3)).await[0].seq, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_delivery_holds_back_later_events_until_it_is_dead() {
    for rig in Rig::each() {
        let db = open(&rig);
        two_events(&db).await;
        let first = claim_at(&db, later(1)).await.remove(0);
        assert!(settle(&db, &first, later(2), Outcome::Retry(later(300))).await);
        assert!(claim_at(&db, later(299)).await.is_empty());
        let again = claim_at(&db, later(300)).await;
        assert_eq!((again.len(), again[0].seq, again[0].attempts), (1, 1, 1));
        assert_eq!(again[0].body, first.body);
        assert!(settle(&db, &again[0], later(301), Outcome::Dead).await);
        assert_eq!(claim_at(&db, later(301)).await[0].seq, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_claim_is_claimed_again_and_its_late_failure_changes_nothing() {
    for rig in Rig::each() {
        let db = open(&rig);
        two_events(&db).await;
        let asleep = claim_at(&db, later(1)).await.remove(0);
        let taken = claim_at(&db, later(61)).await.remove(0);
        assert_eq!(taken.event, asleep.event);
        assert!(!settle(&db, &asleep, later(62), Outcome::Dead).await);
        assert!(!settle(&db, &asleep, later(62), Outcome::Retry(later(99))).await);
        // A success counts after the claim has ended too.
        assert!(settle(&db, &asleep, later(62), Outcome::Delivered).await);
        assert!(!settle(&db, &taken, later(63), Outcome::Dead).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_claims_of_brokers_share_the_due_deliveries() {
    for rig in Rig::each() {
        let (one, two) = (open(&rig), open(&rig));
        for _ in 0..20 {
            two_events(&one).await;
        }
        let tasks = (0..16).map(|n| {
            let db = if n % 2 == 0 { one.clone() } else { two.clone() };
            let request = ClaimRequest {
                endpoint: "all".into(),
                limit: 3,
                now: later(1),
                until: later(61),
            };
            tokio::spawn(async move { db.claim_deliveries(request).await.unwrap() })
        });
        let mut claimed = Vec::new();
        for task in tasks.collect::<Vec<_>>() {
            claimed.extend(task.await.unwrap());
        }
        let events: HashSet<_> = claimed.iter().map(|it| it.event).collect();
        assert_eq!((claimed.len(), events.len()), (20, 20));
        assert!(claimed.iter().all(|it| it.seq == 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gone_deliveries_stay_pending_and_dead_ones_can_be_replayed() {
    for rig in Rig::each() {
        let db = open(&rig);
        two_events(&db).await;
        let first = claim_at(&db, later(1)).await.remove(0);
        assert!(settle(&db, &first, later(1), Outcome::Gone).await);
        assert!(claim_at(&db, later(999)).await.is_empty());
        let totals = db.endpoint_totals("all").await.unwrap();
        assert_eq!((totals.pending, totals.disabled.is_some()), (2, true));
        assert!(db.enable_endpoint("all").await.unwrap());
        assert!(!db.enable_endpoint("all").await.unwrap());

        let first = claim_at(&db, later(999)).await.remove(0);
        assert!(settle(&db, &first, later(999), Outcome::Dead).await);
        let filter = DeliveryFilter {
            endpoint: Some("all".into()),
            states: vec![DeliveryState::Dead],
            limit: 9,
        };
        let dead = db.list_deliveries(filter).await.unwrap();
        assert_eq!((dead.len(), dead[0].last_status), (1, Some(500)));
        let replay = |what| db.replay("all", what, "ops:x", later(1_000));
        assert_eq!(
            replay(Replay::Dead(later(998), 9)).await,
            Ok(0),
            "died later"
        );
        assert_eq!(replay(Replay::Dead(later(1_000), 9)).await, Ok(1));
        assert_eq!(claim_at(&db, later(1_000)).await[0].event, first.event);
        // An endpoint that had no delivery of it.
        let replayed = db
            .replay("deleted", Replay::Event(first.event), "ops:x", now())
            .await;
        assert_eq!(replayed, Ok(1));
        assert_eq!(
            rig.count("SELECT COUNT(*) FROM deliveries WHERE endpoint = 'deleted'"),
            2
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_announced_after_their_commit() {
    let rig = Rig::sqlite();
    let db = open(&rig);
    let mut news = db.new_deliveries();
    create(&db).await;
    assert!(!news.has_changed().unwrap(), "a pending upload is no event");
    two_events(&db).await;
    assert!(news.has_changed().unwrap());
    news.mark_unchanged();
    let other = rig.open();
    two_events(&other).await;
    assert!(
        !news.has_changed().unwrap(),
        "no endpoint is subscribed there"
    );
}

//! The end of the [`scenario`](super::scenario): deliveries, lists, statistics and the check of the counters.

use super::scenario::{later, to};
use crate::db::tests::support::{Rig, create, field, now};
use crate::db::{
    Attempt, ClaimRequest, Db, DeliveryClaim, DeliveryFilter, DeliveryState, Filter, Outcome,
    Replay, Window,
};
use crate::domain::ids::{EventId, UploadId};
use crate::domain::principal::FieldPattern;
use crate::domain::upload::Status;

async fn attempted(db: &Db, delivery: DeliveryClaim, outcome: Outcome) {
    let attempt = Attempt {
        endpoint: "all".into(),
        delivery,
        at: later(2),
        status: Some(500),
        error: Some("status 500".into()),
        outcome,
    };
    assert!(db.record_attempt(attempt).await.unwrap());
}

pub async fn deliveries(db: &Db) {
    let lease = ClaimRequest {
        endpoint: "all".into(),
        limit: 100,
        now: later(1),
        until: later(61),
    };
    let mut leased = db.claim_deliveries(lease).await.unwrap().into_iter();
    let outcomes = [
        Outcome::Delivered,
        Outcome::Retry(later(60)),
        Outcome::Dead,
        Outcome::Gone,
    ];
    for outcome in outcomes {
        attempted(db, leased.next().unwrap(), outcome).await;
    }
    let own = leased.next().unwrap();
    let replays = [
        Replay::Event(own.event),
        Replay::Event(EventId::new(now(), &[1; 10])),
        Replay::Upload(own.upload),
        Replay::Dead(later(9), 9),
    ];
    for replay in replays {
        db.replay("all", replay, "ops:x", now()).await.unwrap();
    }
    db.is_disabled("all").await.unwrap();
    db.endpoint_totals("all").await.unwrap();
    for endpoint in [None, Some("all".to_owned())] {
        let filter = DeliveryFilter {
            endpoint,
            states: DeliveryState::ALL.to_vec(),
            limit: 9,
        };
        db.list_deliveries(filter).await.unwrap();
    }
    db.enable_endpoint("all").await.unwrap();
}

pub async fn lists(db: &Db) {
    let all = Filter {
        limit: 9,
        ..Filter::default()
    };
    let filters = [
        all.clone(),
        Filter {
            status: Some(Status::Pending),
            before: Some(UploadId::NONE),
            ..all.clone()
        },
        Filter {
            model: Some("Product".into()),
            object_id: Some(to("42").object_id),
            ..all.clone()
        },
        Filter {
            owner: Some("user:1".into()),
            created_before: Some(later(9)),
            ..all.clone()
        },
        Filter {
            owner: Some("user:1".into()),
            object_id: Some(to("42").object_id),
            ..all.clone()
        },
        Filter {
            owner: Some("user:1".into()),
            status: Some(Status::Pending),
            ..all.clone()
        },
        Filter {
            reach: Some(vec![FieldPattern::Exact(field("Product.image"))]),
            ..all
        },
    ];
    for filter in filters {
        db.list(filter).await.unwrap();
    }
    let id = create(db).await.into_upload().id;
    db.find_upload(id).await.unwrap();
    db.find_committed(id).await.unwrap();
    db.stats().await.unwrap();
    db.gauges().await.unwrap();
    let window = Window {
        from: later(-60),
        now: now(),
        step_secs: 60,
        ages_secs: &[300, 3_600],
        postponed_until: later(60),
        most_rows: 100,
        most_pending: 100,
    };
    db.overview(window).await.unwrap();
}

pub async fn system(rig: &Rig, db: &Db) {
    rig.execute("UPDATE owner_usage SET pending_count = 7 WHERE owner = 'user:1'");
    db.check_counters().await.unwrap();
    db.correct_counters("token", now()).await.unwrap();
    rig.execute(
        "UPDATE owner_usage SET pending_count = 0, pending_bytes = 0 WHERE owner = 'user:1'",
    );
    db.prune_usage(10).await.unwrap();
}

//! Idempotency keys: one effect for all requests with one key.

use std::sync::atomic::Ordering;

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;

use super::grants::{mint, new_grant, under, used};
use super::support::{Creation, Rig, new_upload, now, record};
use crate::db::{Committed, Db, IdempotencyClaim, Minted, NewUpload, NotCreated};
use crate::domain::ids::UploadId;

fn claim(key: &str, body: &str, result_id: String, at: DateTime<Utc>) -> IdempotencyClaim {
    IdempotencyClaim {
        issuer: "users".to_owned(),
        subject: "1".to_owned(),
        route: "POST /v1/uploads".to_owned(),
        key: key.to_owned(),
        body_hash: body.to_owned(),
        result_id,
        at,
    }
}

async fn create(db: &Db, new: NewUpload, key: &str, body: &str) -> Creation {
    create_at(db, new, key, body, now()).await
}

async fn create_at(db: &Db, new: NewUpload, key: &str, body: &str, at: DateTime<Utc>) -> Creation {
    let claim = claim(key, body, new.id.to_string(), at);
    db.create(new, Some(claim)).await.unwrap()
}

fn created_id(creation: &Creation) -> UploadId {
    match creation {
        Ok(issued) => issued.upload().id,
        Err(NotCreated::Repeated(found)) => found.upload().id,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_creates_with_one_key_make_one_upload_and_count_one_use() {
    for rig in Rig::each() {
        let (one, other) = (rig.open(), rig.open());
        let grant = mint(&one, 5).await;
        let requests = (0..60).map(|n| {
            let new = match n % 3 {
                0 => under(&grant, now()),
                _ => new_upload("user:1"),
            };
            let key = ["granted", "a", "b"][n % 3];
            create([&one, &other][n % 2], new, key, "body")
        });
        let answers = join_all(requests).await;
        for first in 0..3 {
            let of_key: Vec<&Creation> = answers.iter().skip(first).step_by(3).collect();
            assert!(
                of_key
                    .iter()
                    .all(|it| created_id(it) == created_id(of_key[0]))
            );
            let fresh = of_key.iter().filter(|it| it.is_ok());
            assert_eq!(fresh.count(), 1);
        }
        assert_eq!(rig.count("SELECT COUNT(*) FROM uploads"), 3);
        assert_eq!(used(&one, &grant).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_body_with_the_same_key_writes_nothing() {
    for rig in Rig::each() {
        let db = rig.open();
        let grant = mint(&db, 5).await;
        drop(create(&db, new_upload("user:1"), "a", "body").await);
        let refused = create(&db, under(&grant, now()), "a", "other").await;
        assert_eq!(refused, Err(NotCreated::OtherBody));
        assert_eq!(rig.count("SELECT COUNT(*) FROM uploads"), 1);
        assert_eq!(used(&db, &grant).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_create_returns_the_upload_in_its_current_status() {
    for rig in Rig::each() {
        let db = rig.open();
        let first = create(&db, new_upload("user:1"), "a", "body").await;
        let upload = first.unwrap().into_upload();
        let key = super::support::open_attempt(&db, upload.id).await;
        record(&db, &upload, &key).await;
        let confirmed = db.find_upload(upload.id).await.unwrap().unwrap();
        let again = create(&db, new_upload("user:1"), "a", "body").await;
        assert_eq!(
            again,
            Err(NotCreated::Repeated(Box::new(Committed::Settled(
                confirmed
            ))))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn key_expires_after_a_day_and_is_taken_over_once() {
    for rig in Rig::each() {
        let (one, other) = (rig.open(), rig.open());
        let day = TimeDelta::days(1);
        let micro = TimeDelta::microseconds(1);
        let first = created_id(&create(&one, new_upload("user:1"), "a", "body").await);
        let late = now() + day - micro;
        let again = create_at(&one, new_upload("user:1"), "a", "body", late).await;
        assert_eq!(created_id(&again), first);
        let later = (0..20).map(|n| {
            let db = [&one, &other][n % 2];
            create_at(db, new_upload("user:1"), "a", "other", now() + day)
        });
        let later = join_all(later).await;
        assert_ne!(created_id(&later[0]), first);
        assert!(
            later
                .iter()
                .all(|it| created_id(it) == created_id(&later[0]))
        );
        assert_eq!(rig.count("SELECT COUNT(*) FROM uploads"), 2);
        assert_eq!(rig.count("SELECT COUNT(*) FROM idempotency_keys"), 1);
        assert_eq!(one.prune(now() + day + day - micro, 10).await.unwrap(), 0);
        assert_eq!(one.prune(now() + day + day, 10).await.unwrap(), 1);
        assert_eq!(rig.count("SELECT COUNT(*) FROM idempotency_keys"), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn key_claim_with_a_lost_answer_is_recognised_as_its_own() {
    for rig in Rig::each() {
        let db = rig.open();
        db.queue.state.lose_answer.store(true, Ordering::Release);
        let first = create(&db, new_upload("user:1"), "a", "body").await;
        assert!(first.is_ok(), "{first:?}");
        db.queue.state.lose_answer.store(true, Ordering::Release);
        let again = create(&db, new_upload("user:1"), "a", "body").await;
        assert!(matches!(again, Err(NotCreated::Repeated(_))), "{again:?}");
        assert_eq!(created_id(&again), created_id(&first));
        assert_eq!(rig.count("SELECT COUNT(*) FROM uploads"), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_mints_one_grant() {
    for rig in Rig::each() {
        let (one, other) = (rig.open(), rig.open());
        let requests = (0..20).map(|n| {
            let mut new = new_grant(3, None);
            new.claim = Some(claim("a", "body", new.grant.id.to_string(), now()));
            [&one, &other][n % 2].mint_grant(new)
        });
        let minted: Vec<Minted> = join_all(requests)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        assert!(minted.iter().all(|it| *it == minted[0]), "{minted:?}");
        assert!(matches!(minted[0], Minted::Grant(_)));
        assert_eq!(rig.count("SELECT COUNT(*) FROM grants"), 1);
        let mut other_body = new_grant(4, None);
        let id = other_body.grant.id.to_string();
        other_body.claim = Some(claim("a", "other", id, now()));
        let refused = one.mint_grant(other_body).await.unwrap();
        assert_eq!(refused, Minted::OtherBody);
        assert_eq!(rig.count("SELECT COUNT(*) FROM grants"), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn client_repeating_one_key_does_not_split_the_commits_of_others() {
    for rig in Rig::each() {
        let db = rig.open();
        let first = created_id(&create(&db, new_upload("user:1"), "a", "body").await);
        let before = db.commits();
        let repeats = (0..300).map(|_| create(&db, new_upload("user:1"), "a", "body"));
        let creates = (0..300).map(|_| db.create_one(new_upload("user:2")));
        let (repeats, creates) = tokio::join!(join_all(repeats), join_all(creates));
        assert!(repeats.iter().all(|it| created_id(it) == first));
        assert!(creates.into_iter().all(|it| it.is_ok()));
        let commits = db.commits() - before;
        assert!(commits < 100, "{commits} commits");
    }
}

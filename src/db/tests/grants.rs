//! Grants: uses are counted with the upload and never exceed the maximum, also under concurrency.

use std::sync::atomic::Ordering;

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;

use super::support::{Rig, field, new_upload_for, now};
use crate::db::{Db, IdempotencyClaim, Minted, NewGrant, NewUpload, NotCreated};
use crate::domain::attachment::ObjectId;
use crate::domain::grant::Grant;
use crate::domain::ids::GrantId;

pub fn new_grant(max_uploads: u32, claim: Option<IdempotencyClaim>) -> NewGrant {
    let at = now() - TimeDelta::nanoseconds(789);
    NewGrant {
        grant: Grant {
            id: GrantId::new(at, &rand::random()),
            field: field("Product.image"),
            owner: "user:1".to_owned(),
            object_id: Some(ObjectId::parse("42 ü").unwrap()),
            max_uploads,
            max_size: 100,
            used: 0,
            created_at: at,
            expires_at: at + TimeDelta::minutes(15),
        },
        issuer: "backends".to_owned(),
        subject: "shop".to_owned(),
        claim,
    }
}

pub async fn mint(db: &Db, max_uploads: u32) -> Grant {
    match db.mint_grant(new_grant(max_uploads, None)).await.unwrap() {
        Minted::Grant(grant) => grant,
        other => panic!("{other:?}"),
    }
}

pub fn under(grant: &Grant, at: DateTime<Utc>) -> NewUpload {
    NewUpload {
        grant: Some(grant.id),
        object_id: grant.object_id.clone(),
        attach_at_confirm: true,
        ..new_upload_for("Product.image", &grant.owner, at)
    }
}

pub async fn used(db: &Db, grant: &Grant) -> u32 {
    db.find_grant(grant.id).await.unwrap().unwrap().used
}

#[tokio::test(flavor = "multi_thread")]
async fn minted_grant_is_read_back_equal() {
    for rig in Rig::each() {
        let db = rig.open();
        let new = new_grant(3, None);
        let minted = db.mint_grant(new.clone()).await.unwrap();
        assert_eq!(minted, Minted::Grant(new.grant.clone()));
        let found = db.find_grant(new.grant.id).await.unwrap();
        assert_eq!(found, Some(new.grant));
        let missing = GrantId::new(now(), &[1; 10]);
        assert_eq!(db.find_grant(missing).await.unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn grant_maximum_holds_within_a_batch_and_across_two_writers() {
    for rig in Rig::each() {
        let (one, other) = (rig.open(), rig.open());
        let grants = [mint(&one, 10).await, mint(&one, 1).await];
        let creates = (0..80).map(|n| {
            let (db, grant) = ([&one, &other][n % 2], &grants[n / 2 % 2]);
            db.create(under(grant, now()), None)
        });
        let mut made = 0;
        for creation in join_all(creates).await {
            match creation.unwrap() {
                Ok(_) => made += 1,
                Err(NotCreated::UsedUp(until)) => assert_eq!(until, grants[0].expires_at),
                unexpected => panic!("{unexpected:?}"),
            }
        }
        assert_eq!(made, 11);
        for grant in &grants {
            assert_eq!(used(&one, grant).await, grant.max_uploads);
            let rows = format!(
                "SELECT COUNT(*) FROM uploads WHERE grant_id = '{}'",
                grant.id
            );
            assert_eq!(rig.count(&rows), i64::from(grant.max_uploads));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn grant_use_with_a_lost_answer_is_counted_once() {
    for rig in Rig::each() {
        let db = rig.open();
        let grant = mint(&db, 1).await;
        db.queue.state.lose_answer.store(true, Ordering::Release);
        let created = db.create(under(&grant, now()), None).await.unwrap();
        assert!(created.is_ok(), "{created:?}");
        assert_eq!(used(&db, &grant).await, 1);
        assert_eq!(rig.count("SELECT COUNT(*) FROM uploads"), 1);
        db.queue.state.lose_answer.store(true, Ordering::Release);
        let minted = mint(&db, 1).await;
        assert_eq!(used(&db, &minted).await, 0);
        assert_eq!(rig.count("SELECT COUNT(*) FROM grants"), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_or_deleted_grant_creates_nothing() {
    for rig in Rig::each() {
        let db = rig.open();
        let ended = mint(&db, 5).await;
        let gone = new_grant(5, None).grant;
        for (grant, at) in [(&ended, ended.expires_at), (&gone, now())] {
            let refused = db.create(under(grant, at), None).await.unwrap();
            assert_eq!(refused, Err(NotCreated::GrantOver));
        }
        assert_eq!(used(&db, &ended).await, 0);
        assert_eq!(rig.count("SELECT COUNT(*) FROM uploads"), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_grants_are_deleted_a_month_after_their_end_and_not_before() {
    for rig in Rig::each() {
        let db = rig.open();
        let grant = mint(&db, 1).await;
        for _ in 0..4 {
            mint(&db, 1).await;
        }
        let month = TimeDelta::days(30);
        let just_before = grant.expires_at + month - TimeDelta::microseconds(1);
        assert_eq!(db.prune(just_before, 10).await.unwrap(), 0);
        let mut deleted = Vec::new();
        for _ in 0..4 {
            deleted.push(db.prune(grant.expires_at + month, 2).await.unwrap());
        }
        assert_eq!(deleted, [2, 2, 1, 0]);
    }
}

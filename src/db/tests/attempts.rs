//! Seal attempts: which are deleted, and which copies are left to remove.

use std::sync::atomic::Ordering;

use super::support::{Rig, create, new_key, now, open_attempt, record};
use crate::db::Transition;
use crate::domain::object_key::FinalKey;

#[tokio::test(flavor = "multi_thread")]
async fn attempt_that_wrote_nothing_is_deleted_and_its_key_is_never_recorded() {
    for rig in Rig::each() {
        let db = rig.open();
        let upload = create(&db).await.into_upload();
        let other = create(&db).await.into_upload();
        for _ in 0..20 {
            let key = open_attempt(&db, upload.id).await;
            db.delete_attempt(other.id, &key).await.unwrap();
            assert_eq!(rig.attempts(upload.id).len(), 1, "another upload's stays");
            let lose = &db.queue.state.lose_answer;
            lose.store(true, Ordering::SeqCst);
            db.delete_attempt(upload.id, &key).await.unwrap();
            assert!(!lose.load(Ordering::SeqCst));
            db.delete_attempt(upload.id, &key).await.unwrap();
            assert_eq!(rig.attempts(upload.id), []);
            let late = record(&db, &upload, &key).await;
            assert_eq!(late, Transition::Stale(upload.clone()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settled_attempt_is_not_deleted() {
    for rig in Rig::each() {
        let db = rig.open();
        let upload = create(&db).await.into_upload();
        let abandoned = open_attempt(&db, upload.id).await;
        db.abandon_attempt(upload.id, &abandoned).await.unwrap();
        let recorded = open_attempt(&db, upload.id).await;
        record(&db, &upload, &recorded).await;
        let before = rig.attempts(upload.id);
        for key in [&abandoned, &recorded, &new_key()] {
            db.delete_attempt(upload.id, key).await.unwrap();
        }
        assert_eq!(rig.attempts(upload.id), before);
        assert_eq!(before.len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn abandoned_copies_lists_unremoved_abandoned_keys_up_to_the_limit() {
    for rig in Rig::each() {
        let db = rig.open();
        let upload = create(&db).await.into_upload();
        let mut keys: Vec<FinalKey> = Vec::new();
        for _ in 0..5 {
            let key = open_attempt(&db, upload.id).await;
            assert_eq!(db.abandon_attempt(upload.id, &key).await, Ok(true));
            keys.push(key);
        }
        open_attempt(&db, upload.id).await;
        let recorded = open_attempt(&db, upload.id).await;
        record(&db, &upload, &recorded).await;
        // All of one age: then they are ordered by key.
        keys.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        let left = |limit| db.abandoned_copies(upload.id, limit);
        assert_eq!(left(100).await.unwrap(), keys);
        assert_eq!(left(3).await.unwrap(), keys[..3]);
        let gone = keys.remove(0);
        db.attempt_removed(upload.id, gone, now()).await.unwrap();
        assert_eq!(left(100).await.unwrap(), keys);
        let other = create(&db).await.upload().id;
        assert_eq!(db.abandoned_copies(other, 100).await, Ok(Vec::new()));
    }
}

//! The timeline of an upload: it is bounded, and keeps the actions of operators.

use super::support::{Rig, create, now};
use crate::db::{Db, Note, NoteKind};
use crate::domain::ids::UploadId;

async fn note(db: &Db, upload: UploadId, kind: NoteKind, detail: &str) {
    let note = Note {
        upload,
        kind,
        detail: detail.to_owned(),
        at: now(),
    };
    db.note(note).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn full_timeline_still_keeps_the_actions_of_operators() {
    for rig in Rig::each() {
        let db = rig.open();
        let upload = create(&db).await.upload().id;
        for _ in 0..50 {
            note(&db, upload, NoteKind::Represigned, "again").await;
            note(&db, upload, NoteKind::Seal, "nothing was there").await;
        }
        for n in 0..30 {
            note(&db, upload, NoteKind::Operator, &format!("expire, by {n}")).await;
            note(&db, upload, NoteKind::Represigned, "again").await;
        }
        let timeline = db.timeline(upload).await.unwrap();
        assert!(timeline.len() <= 100, "{}", timeline.len());
        let operators = timeline.iter().filter(|entry| entry.kind == "operator");
        let details: Vec<&str> = operators.map(|entry| entry.detail.as_str()).collect();
        assert_eq!(details[0], "expire, by 0");
        assert!(details.len() >= 7, "{details:?}");
    }
}

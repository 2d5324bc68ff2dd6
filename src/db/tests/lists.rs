//! Lists and statistics.

use chrono::TimeDelta;

use super::support::{Rig, field, new_upload_for, now, open_attempt, record};
use crate::db::{Change, Filter, StatusStep, Total};
use crate::domain::ids::UploadId;
use crate::domain::principal::FieldPattern;
use crate::domain::upload::{Status, Upload};

/// Six uploads, a minute apart, oldest first; the second is confirmed.
async fn six(db: &crate::db::Db) -> Vec<Upload> {
    let kinds = [
        ("Product.image", "user:1"),
        ("Product.image", "user:2"),
        ("ProductImage.image", "user:1"),
        ("Product_x.image", "user:1"),
        ("Order.txid_proof", "user:2"),
        ("Product.manual", "user:1"),
    ];
    let mut made = Vec::new();
    for (minute, (name, owner)) in kinds.into_iter().enumerate() {
        let at = now() + TimeDelta::minutes(minute as i64);
        made.push(
            db.create_one(new_upload_for(name, owner, at))
                .await
                .unwrap()
                .into_upload(),
        );
    }
    let key = open_attempt(db, made[1].id).await;
    record(db, &made[1], &key).await;
    made
}

/// A filter that matches everything, changed by `change`.
fn filter(change: impl FnOnce(&mut Filter)) -> Filter {
    let mut filter = Filter {
        limit: 50,
        ..Filter::default()
    };
    change(&mut filter);
    filter
}

/// Each filter with the indexes of the uploads that match it, in order.
fn cases(made: &[Upload]) -> Vec<(Filter, Vec<usize>)> {
    let model = |name: &str| Some(vec![FieldPattern::Model(name.to_owned())]);
    let either = Some(vec![
        FieldPattern::Model("Order".into()),
        FieldPattern::Exact(field("ProductImage.image")),
    ]);
    let page = |f: &mut Filter| (f.before, f.limit) = (Some(made[4].id), 2);
    let pending_pictures = |f: &mut Filter| {
        (f.status, f.field) = (Some(Status::Pending), Some(field("Product.image")))
    };
    let (reach, own) = (either.clone(), Some("user:1".to_owned()));
    vec![
        (filter(|_| ()), vec![5, 4, 3, 2, 1, 0]),
        (filter(|f| f.limit = 2), vec![5, 4]),
        (filter(page), vec![3, 2]),
        (filter(|f| f.status = Some(Status::Confirmed)), vec![1]),
        (filter(pending_pictures), vec![0]),
        (filter(|f| f.owner = Some("user:2".into())), vec![4, 1]),
        (
            filter(|f| f.created_before = Some(made[2].created_at)),
            vec![1, 0],
        ),
        (filter(|f| f.reach = model("Product")), vec![5, 1, 0]),
        (filter(|f| f.reach = model("Product_x")), vec![3]),
        (filter(|f| f.reach = either), vec![4, 2]),
        (filter(|f| (f.reach, f.owner) = (reach, own)), vec![2]),
        (filter(|f| f.reach = Some(Vec::new())), vec![]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn list_is_newest_first_and_each_filter_member_narrows_it() {
    for rig in Rig::each() {
        let db = rig.open();
        let made = six(&db).await;
        for (filter, expected) in cases(&made) {
            let found = db.list(filter.clone()).await.unwrap();
            let found: Vec<UploadId> = found.iter().map(|upload| upload.id).collect();
            let expected: Vec<UploadId> = expected.into_iter().map(|n| made[n].id).collect();
            assert_eq!(found, expected, "{filter:?}");
        }
    }
}

/// Uploads of many owners; every third is confirmed.
async fn of_many_owners(db: &crate::db::Db) -> Vec<Upload> {
    let mut made = Vec::new();
    for minute in 0..120 {
        let owner = format!("user:{}", minute * minute % 41);
        let at = now() + TimeDelta::minutes(minute);
        let new = new_upload_for("Product.image", &owner, at);
        made.push(db.create_one(new).await.unwrap().into_upload());
    }
    for upload in made.iter().step_by(3) {
        let key = open_attempt(db, upload.id).await;
        record(db, upload, &key).await;
    }
    made
}

/// All pages of a list.
async fn paged(
    db: &crate::db::Db,
    owner: &str,
    status: Option<Status>,
    limit: u32,
) -> Vec<UploadId> {
    let mut found: Vec<UploadId> = Vec::new();
    loop {
        let page = filter(|f| {
            (f.owner, f.status) = (Some(owner.to_owned()), status);
            (f.before, f.limit) = (found.last().copied(), limit);
        });
        let page = db.list(page).await.unwrap();
        assert!(page.len() <= limit as usize);
        found.extend(page.iter().map(|upload| upload.id));
        if page.len() < limit as usize {
            return found;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn list_of_an_owner_is_the_same_for_every_page_size() {
    for rig in Rig::each() {
        let db = rig.open();
        let made = of_many_owners(&db).await;
        for status in [None, Some(Status::Pending), Some(Status::Confirmed)] {
            for owner in (0..41).map(|n| format!("user:{n}")) {
                let fits = |(n, upload): &(usize, &Upload)| {
                    let now = if n % 3 == 0 {
                        Status::Confirmed
                    } else {
                        Status::Pending
                    };
                    upload.owner == owner && status.is_none_or(|wanted| wanted == now)
                };
                let expected = made.iter().enumerate().rev().filter(fits);
                let expected: Vec<UploadId> = expected.map(|(_, upload)| upload.id).collect();
                for limit in [1, 2, 50] {
                    let found = paged(&db, &owner, status, limit).await;
                    assert_eq!(found, expected, "{owner} {status:?} {limit}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn upload_settled_during_a_list_is_listed_once() {
    for rig in Rig::each() {
        let db = rig.open();
        let mut made = Vec::new();
        for second in 0..200 {
            let at = now() + TimeDelta::seconds(second);
            let new = new_upload_for("Product.image", "user:1", at);
            made.push(db.create_one(new).await.unwrap().into_upload());
        }
        let expected: Vec<UploadId> = made.iter().rev().map(|upload| upload.id).collect();
        let settling = {
            let (db, made) = (db.clone(), made.clone());
            tokio::spawn(async move {
                for upload in made {
                    let (upload, step, at) = (upload.id, StatusStep::Cancel, now());
                    db.move_status(Change { upload, step, at }).await.unwrap();
                }
            })
        };
        let (mut lists, mut mixed) = (0, 0);
        while !settling.is_finished() || lists == 0 {
            let own = filter(|f| (f.owner, f.limit) = (Some("user:1".into()), 1_000));
            let found = db.list(own).await.unwrap();
            let ids: Vec<UploadId> = found.iter().map(|upload| upload.id).collect();
            assert_eq!(ids, expected);
            let pending = found.iter().filter(|it| it.status == Status::Pending);
            mixed += usize::from((1..200).contains(&pending.count()));
            lists += 1;
        }
        settling.await.unwrap();
        assert!(mixed > 0, "{lists} lists, all before or after");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_count_uploads_and_bytes_by_field_and_status() {
    for rig in Rig::each() {
        let db = rig.open();
        assert_eq!(db.stats().await.unwrap(), Default::default());
        let made = six(&db).await;
        let more = new_upload_for("Product.image", "user:3", now() + TimeDelta::hours(1));
        db.create_one(more).await.unwrap();
        let stats = db.stats().await.unwrap();
        let total = |name: &str, status, count| Total {
            field: field(name),
            status,
            count,
            bytes: 100 * count,
        };
        let expected = vec![
            total("Order.txid_proof", Status::Pending, 1),
            total("Product.image", Status::Confirmed, 1),
            total("Product.image", Status::Pending, 2),
            total("Product.manual", Status::Pending, 1),
            total("ProductImage.image", Status::Pending, 1),
            total("Product_x.image", Status::Pending, 1),
        ];
        assert_eq!(stats.groups, expected);
        assert!(
            stats
                .oldest_pending
                .contains(&(field("Product.image"), made[0].created_at))
        );
        assert_eq!(stats.oldest_pending.len(), 5);
    }
}

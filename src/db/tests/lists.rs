//! Lists and statistics.

use chrono::TimeDelta;

use super::support::{Rig, field, new_upload_for, now, open_attempt, record};
use crate::db::{Filter, Total};
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
            db.create(new_upload_for(name, owner, at))
                .await
                .unwrap()
                .into_upload(),
        );
    }
    let key = open_attempt(db, made[1].id).await;
    record(db, &made[1], &key).await;
    made
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_newest_first_and_every_member_of_the_filter_narrows_it() {
    for rig in Rig::each() {
        let db = rig.open();
        let made = six(&db).await;
        let all = Filter {
            limit: 50,
            ..Filter::default()
        };
        let model = |name: &str| Some(vec![FieldPattern::Model(name.to_owned())]);
        let either = Some(vec![
            FieldPattern::Model("Order".into()),
            FieldPattern::Exact(field("ProductImage.image")),
        ]);
        let cases: Vec<(Filter, Vec<usize>)> = vec![
            (all.clone(), vec![5, 4, 3, 2, 1, 0]),
            (
                Filter {
                    limit: 2,
                    ..all.clone()
                },
                vec![5, 4],
            ),
            (
                Filter {
                    before: Some(made[4].id),
                    limit: 2,
                    ..all.clone()
                },
                vec![3, 2],
            ),
            (
                Filter {
                    status: Some(Status::Confirmed),
                    ..all.clone()
                },
                vec![1],
            ),
            (
                Filter {
                    status: Some(Status::Pending),
                    field: Some(field("Product.image")),
                    ..all.clone()
                },
                vec![0],
            ),
            (
                Filter {
                    owner: Some("user:2".into()),
                    ..all.clone()
                },
                vec![4, 1],
            ),
            (
                Filter {
                    created_before: Some(made[2].created_at),
                    ..all.clone()
                },
                vec![1, 0],
            ),
            (
                Filter {
                    reach: model("Product"),
                    ..all.clone()
                },
                vec![5, 1, 0],
            ),
            (
                Filter {
                    reach: model("Product_x"),
                    ..all.clone()
                },
                vec![3],
            ),
            (
                Filter {
                    reach: either.clone(),
                    ..all.clone()
                },
                vec![4, 2],
            ),
            (
                Filter {
                    reach: either,
                    owner: Some("user:1".into()),
                    ..all.clone()
                },
                vec![2],
            ),
            (
                Filter {
                    reach: Some(Vec::new()),
                    ..all.clone()
                },
                vec![],
            ),
        ];
        for (filter, expected) in cases {
            let found: Vec<UploadId> = db
                .list(filter.clone())
                .await
                .unwrap()
                .iter()
                .map(|upload| upload.id)
                .collect();
            let expected: Vec<UploadId> = expected.into_iter().map(|n| made[n].id).collect();
            assert_eq!(found, expected, "{filter:?}");
        }
        let own = db.list_owned("user:2", all.clone()).await.unwrap();
        assert!(own.len() == 2 && own.iter().all(|upload| upload.owner == "user:2"));
        let others = Filter {
            owner: Some("user:1".into()),
            ..all
        };
        assert_eq!(db.list_owned("user:2", others).await, Ok(Vec::new()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_count_uploads_and_bytes_by_field_and_status() {
    for rig in Rig::each() {
        let db = rig.open();
        assert_eq!(db.stats().await.unwrap(), Default::default());
        let made = six(&db).await;
        let more = new_upload_for("Product.image", "user:3", now() + TimeDelta::hours(1));
        db.create(more).await.unwrap();
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

//! The plans of lists: each walks an index in its order, and the one that leaves least to look at.

use diesel::prelude::*;

use super::{Explain, assert_by_index, planner};
use crate::db::Filter;
use crate::db::tests::support::{Rig, field, now};
use crate::db::uploads::list::list_query;
use crate::db::uploads::owners::Part;
use crate::domain::attachment::ObjectId;
use crate::domain::ids::UploadId;
use crate::domain::principal::FieldPattern;
use crate::domain::upload::Status;

#[test]
fn every_list_walks_an_index_in_its_order() {
    for rig in Rig::each() {
        let conn = &mut planner(&rig);
        let all = Filter {
            limit: 50,
            before: Some(UploadId::new(now(), &[0; 10])),
            ..Filter::default()
        };
        let pkey = if rig.is_postgres() {
            "uploads_pkey"
        } else {
            "sqlite_autoindex_uploads_1"
        };
        let cases = [
            (all.clone(), pkey),
            (
                Filter {
                    status: Some(Status::Pending),
                    ..all.clone()
                },
                "uploads_status",
            ),
            (
                Filter {
                    field: Some(field("Product.image")),
                    ..all
                },
                "uploads_field",
            ),
        ];
        for (filter, index) in cases {
            assert_by_index(
                &plan!(
                    rig,
                    conn,
                    list_query(&filter, Part::All, !rig.is_postgres())
                ),
                index,
            );
        }
    }
}

#[test]
fn every_part_of_an_owners_list_walks_its_own_index_in_its_order() {
    for rig in Rig::each() {
        let conn = &mut planner(&rig);
        let own = Filter {
            owner: Some("user:1".into()),
            limit: 50,
            before: Some(UploadId::new(now(), &[0; 10])),
            ..Filter::default()
        };
        let parts = Part::of(&own, !rig.is_postgres());
        assert_eq!(parts.len(), 3);
        for part in parts {
            let plan = plan!(rig, conn, list_query(&own, part, !rig.is_postgres()));
            assert_by_index(&plan, index_of(part));
            // In the index, before a row is read.
            let by_owner = match rig.is_postgres() {
                true => plan.contains("Index Cond") && plan.contains("(owner = "),
                false => {
                    plan.contains("(owner_shard=? AND id<?)") || plan.contains("(owner=? AND id<?)")
                }
            };
            assert!(by_owner, "{plan}");
        }
    }
}

fn index_of(part: Part) -> &'static str {
    match part {
        Part::All => "uploads_record",
        Part::Settled => "uploads_owner",
        Part::Pending(_) => "uploads_pending_owner",
        Part::Unsharded => "uploads_unsharded_owner",
    }
}

#[test]
fn an_owners_uploads_are_looked_for_among_its_own_whatever_else_is_asked() {
    // Postgres has statistics, and chooses by them.
    for rig in Rig::each().into_iter().filter(|rig| !rig.is_postgres()) {
        let conn = &mut planner(&rig);
        let (pictures, status) = (Some(field("Product.image")), Some(Status::Confirmed));
        let reach = Some(vec![
            FieldPattern::Exact(field("Product.image")),
            FieldPattern::Model("Order".into()),
        ]);
        let record = ObjectId::parse("42").ok();
        let with = |change: &dyn Fn(&mut Filter)| {
            let mut filter = Filter {
                owner: Some("user:1".into()),
                limit: 50,
                ..Filter::default()
            };
            change(&mut filter);
            filter
        };
        let filters = [
            with(&|it| it.field = pictures.clone()),
            with(&|it| it.status = status),
            with(&|it| it.status = Some(Status::Pending)),
            with(&|it| (it.field, it.status) = (pictures.clone(), status)),
            with(&|it| it.reach = reach.clone()),
            with(&|it| it.model = Some("Product".into())),
            with(&|it| (it.field, it.object_id) = (pictures.clone(), record.clone())),
        ];
        for filter in filters {
            for part in Part::of(&filter, true) {
                let plan = plan!(rig, conn, list_query(&filter, part, true));
                assert!(plan.contains(index_of(part)), "{filter:?}: {plan}");
                assert!(!plan.contains("TEMP B-TREE") || part == Part::All, "{plan}");
            }
        }
        let anybodys =
            with(&|it| (it.owner, it.field, it.status) = (None, pictures.clone(), status));
        let plan = plan!(rig, conn, list_query(&anybodys, Part::All, true));
        assert!(plan.contains("uploads_status"), "{plan}");
    }
}

#[test]
fn what_is_too_young_for_a_list_is_not_looked_at() {
    for rig in Rig::each() {
        let conn = &mut planner(&rig);
        let old = Filter {
            created_before: Some(now()),
            limit: 50,
            ..Filter::default()
        };
        let plan = plan!(rig, conn, list_query(&old, Part::All, !rig.is_postgres()));
        let by_id = match rig.is_postgres() {
            true => "Index Cond: (id < ",
            false => "(id<?)",
        };
        assert!(plan.contains(by_id), "{plan}");
    }
}

//! The plans of lists: each walks an index in its order, and the one that leaves least to look at.

use diesel::prelude::*;

use super::{Explain, assert_by_index, planner};
use crate::db::Filter;
use crate::db::list::list_query;
use crate::db::tests::support::{Rig, field, now};
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
                    owner: Some("user:1".into()),
                    ..all.clone()
                },
                "uploads_owner",
            ),
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
                &plan!(rig, conn, list_query(&filter, !rig.is_postgres())),
                index,
            );
        }
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
        let cases = [
            (with(&|it| it.field = pictures.clone()), "uploads_owner"),
            (with(&|it| it.status = status), "uploads_owner"),
            (
                with(&|it| (it.field, it.status) = (pictures.clone(), status)),
                "uploads_owner",
            ),
            (with(&|it| it.reach = reach.clone()), "uploads_owner"),
            (
                with(&|it| it.model = Some("Product".into())),
                "uploads_owner",
            ),
            (
                with(&|it| (it.field, it.object_id) = (pictures.clone(), record.clone())),
                "uploads_record",
            ),
            (
                with(&|it| (it.owner, it.field, it.status) = (None, pictures.clone(), status)),
                "uploads_status",
            ),
        ];
        for (filter, index) in cases {
            let plan = plan!(rig, conn, list_query(&filter, true));
            assert!(plan.contains(index), "{filter:?}: {plan}");
        }
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
        let plan = plan!(rig, conn, list_query(&old, !rig.is_postgres()));
        let by_id = match rig.is_postgres() {
            true => "Index Cond: (id < ",
            false => "(id<?)",
        };
        assert!(plan.contains(by_id), "{plan}");
    }
}

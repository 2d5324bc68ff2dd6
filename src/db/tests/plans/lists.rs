//! The plans of lists: each walks the most selective index in its order.

use diesel::prelude::*;

use super::{Explain, assert_by_index, planner};
use crate::db::Filter;
use crate::db::tests::support::{Rig, field, now};
use crate::db::uploads::list::list_query;
use crate::domain::attachment::ObjectId;
use crate::domain::ids::UploadId;
use crate::domain::principal::FieldPattern;
use crate::domain::upload::Status;

fn filter(change: impl FnOnce(&mut Filter)) -> Filter {
    let mut filter = Filter {
        limit: 50,
        before: Some(UploadId::new(now(), &[0; 10])),
        ..Filter::default()
    };
    change(&mut filter);
    filter
}

#[test]
fn list_with_one_condition_walks_its_index_in_order() {
    for rig in Rig::each() {
        let conn = &mut planner(&rig);
        let pkey = if rig.is_postgres() {
            "uploads_pkey"
        } else {
            "sqlite_autoindex_uploads_1"
        };
        let image = Some(field("Product.image"));
        let cases = [
            (filter(|_| ()), pkey),
            (
                filter(|it| it.status = Some(Status::Pending)),
                "uploads_status",
            ),
            (filter(|it| it.field = image), "uploads_field"),
            (
                filter(|it| it.owner = Some("user:1".into())),
                "uploads_owner",
            ),
        ];
        for (filter, index) in cases {
            let plan = plan!(rig, conn, list_query(&filter, !rig.is_postgres()));
            assert_by_index(&plan, index);
            let by_owner = ["(owner=? AND id<?)", "Index Cond: ((owner = "];
            let is_met = by_owner.iter().any(|part| plan.contains(part));
            assert!(filter.owner.is_none() || is_met, "{plan}");
        }
    }
}

#[test]
fn list_of_an_owner_reads_only_its_uploads_whatever_the_filter() {
    // Postgres chooses by the statistics of the values.
    for rig in Rig::each().into_iter().filter(|rig| !rig.is_postgres()) {
        let conn = &mut planner(&rig);
        let (image, status) = (Some(field("Product.image")), Some(Status::Confirmed));
        let reach = Some(vec![
            FieldPattern::Exact(field("Product.image")),
            FieldPattern::Model("Order".into()),
        ]);
        let record = ObjectId::parse("42").ok();
        let with = |change: &dyn Fn(&mut Filter)| {
            let mut filter = filter(|it| it.owner = Some("user:1".into()));
            change(&mut filter);
            filter
        };
        let filters = [
            with(&|_| ()),
            with(&|it| it.field = image.clone()),
            with(&|it| it.status = status),
            with(&|it| it.status = Some(Status::Pending)),
            with(&|it| (it.field, it.status) = (image.clone(), status)),
            with(&|it| it.reach = reach.clone()),
            with(&|it| it.model = Some("Product".into())),
        ];
        for filter in filters {
            let plan = plan!(rig, conn, list_query(&filter, true));
            assert_by_index(&plan, "uploads_owner");
            // The condition is met in the index, before a row is read.
            assert!(plan.contains("(owner=? AND id<?)"), "{filter:?}: {plan}");
        }
        let of_record = with(&|it| (it.field, it.object_id) = (image.clone(), record.clone()));
        let plan = plan!(rig, conn, list_query(&of_record, true));
        assert!(plan.contains("uploads_record"), "{plan}");
    }
}

#[test]
fn list_of_a_field_and_a_status_reads_both_from_one_index() {
    // Postgres chooses by the statistics of the values.
    for rig in Rig::each().into_iter().filter(|rig| !rig.is_postgres()) {
        let conn = &mut planner(&rig);
        let image = Some(field("Product.image"));
        let both = filter(|it| (it.field, it.status) = (image, Some(Status::Confirmed)));
        let plan = plan!(rig, conn, list_query(&both, true));
        assert_by_index(&plan, "uploads_status");
    }
}

#[test]
fn list_created_before_a_time_skips_younger_uploads() {
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

use super::super::query::{PageLimits, parse as parse_query};
use crate::broker::ListUploads;
use crate::domain::attachment::ObjectId;
use crate::domain::ids::UploadId;
use crate::domain::upload::Status;
use crate::http::examples;
use crate::http::problem::Problem;
use crate::http::resources::upload_list::{ListQuery, to_cursor};

fn list(query: &str) -> Result<ListUploads, Problem> {
    parse_query::<ListQuery>(query, PageLimits::default()).map(|query| query.to_domain())
}

#[test]
fn age_is_a_number_and_a_unit() {
    for (text, secs) in [
        ("0s", 0),
        ("90s", 90),
        ("15m", 900),
        ("24h", 86_400),
        ("7d", 604_800),
        ("36600d", 3_162_240_000),
    ] {
        assert_eq!(
            list(&format!("older_than={text}")).unwrap().older_than_secs,
            Some(secs)
        );
    }
    for text in [
        "",
        "15",
        "m",
        "-5m",
        "+5m",
        "1.5h",
        "5 m",
        "15M",
        "5w",
        "15min",
        "99999999999999999999s",
        "36601d",
        "१५m",
        "5€",
    ] {
        assert!(list(&format!("older_than={text}")).is_err(), "{text}");
    }
}

#[test]
fn unknown_duplicate_and_invalid_parameters_are_rejected() {
    let all = list("status=pending&field=Product.image&object_id=a%2Fb&owner=user%3A1+x&limit=7&")
        .unwrap();
    assert_eq!(all.object_id, ObjectId::parse("a/b").ok());
    assert_eq!((all.status, all.limit), (Some(Status::Pending), 7));
    assert_eq!(all.owner.as_deref(), Some("user:1 x"));
    assert_eq!(list("").unwrap().limit, 50);
    let few = PageLimits { default: 3, max: 5 };
    assert_eq!(
        parse_query::<ListQuery>("", few).unwrap().to_domain().limit,
        3
    );
    assert!(parse_query::<ListQuery>("limit=6", few).is_err());
    for bad in [
        "limit=0",
        "limit=201",
        "limit=+5",
        "limit=-1",
        "limit=1e1",
        "limit=",
        "status=done",
        "status=",
        "field=avatar",
        "Status=pending",
        "status=pending&status=pending",
        "statu%73=pending&status=deleted",
        "color=red",
        "=",
        "owner=%ff",
        "%ff=1",
        "cursor=!",
        "cursor=",
        "cursor=dXBsXzE",
        "status[]=pending",
        "object_id=",
        "object_id=a%0Ab",
    ] {
        let problem = list(bad)
            .err()
            .unwrap_or_else(|| panic!("{bad} was accepted"));
        assert_eq!(problem.code().row().status, 400);
    }
}

#[test]
fn cursor_continues_after_the_page_with_the_same_filters() {
    let id = UploadId::parse(examples::ID).unwrap();
    let cursor = to_cursor(id);
    assert!(
        cursor
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'),
        "{cursor}"
    );
    let query = parse_query::<ListQuery>(
        "status=pending&owner=a%26b=c&object_id=%2542&older_than=15m&limit=2",
        PageLimits::default(),
    )
    .unwrap();
    let next = list(&query.with_cursor(&cursor)).unwrap();
    assert_eq!(next.before, Some(id));
    assert_eq!(
        (next.owner.as_deref(), next.older_than_secs, next.limit),
        (Some("a&b=c"), Some(900), 2)
    );
}

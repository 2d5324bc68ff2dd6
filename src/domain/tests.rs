//! Properties of the domain types.

use chrono::DateTime;
use proptest::prelude::*;

use super::file_name::FileName;
use super::ids::UploadId;
use super::media_type::MediaType;
use super::object_key::{Layout, MAX_KEY_BYTES, MAX_NAME_BYTES, check_prefix};
use super::principal::Principal;
use super::upload::{Status, Step};

fn layout() -> Layout {
    Layout {
        location: "media/".into(),
        staging_prefix: "staging/".into(),
    }
}

proptest! {
    #[test]
    fn id_round_trips_and_sorts_by_time(a in 0i64..4_000_000_000_000, b in 0i64..4_000_000_000_000, random: [u8; 10]) {
        let id = |millis| UploadId::new(DateTime::from_timestamp_millis(millis).unwrap(), &random);
        let text = id(a).to_string();
        prop_assert_eq!(UploadId::parse(&text), Ok(id(a)));
        prop_assert_eq!(text.len(), 30);
        prop_assert!(a == b || (a < b) == (text < id(b).to_string()));
    }

    #[test]
    fn id_parses_only_in_canonical_spelling(text in "upl_[0-9a-zA-Z]{25,27}") {
        if let Ok(id) = UploadId::parse(&text) {
            prop_assert_eq!(id.to_string(), text);
        }
    }

    #[test]
    fn file_name_has_no_control_or_bidi_characters(text in "\\PC*|.*") {
        if let Ok(name) = FileName::parse(&text) {
            prop_assert!(name.as_str().len() <= 255);
            let hidden = |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
            let found = name.as_str().chars().any(hidden);
            prop_assert!(!found);
            prop_assert_eq!(FileName::parse(name.as_str()), Ok(name.clone()));
        }
    }

    #[test]
    fn final_key_is_bounded_lower_case_and_below_its_prefix(random: [u8; 20], pick in 0usize..32) {
        let media_type = MediaType::all().nth(pick % MediaType::all().count()).unwrap();
        let key = layout().final_key("deposit_proofs/", media_type, &random);
        prop_assert!(key.as_str().len() <= MAX_KEY_BYTES && key.name().len() <= MAX_NAME_BYTES);
        prop_assert!(key.as_str().starts_with("media/deposit_proofs/"));
        prop_assert!(key.as_str().chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "/_.-".contains(c)));
        prop_assert_eq!(format!("media/{}", key.name()), key.as_str());
    }
}

#[test]
fn hundred_thousand_final_keys_are_distinct() {
    let media_type = MediaType::parse("image/jpeg").unwrap();
    let keys: std::collections::HashSet<String> = (0..100_000)
        .map(|_| {
            layout()
                .final_key("products/", media_type, &rand::random())
                .as_str()
                .to_owned()
        })
        .collect();
    assert_eq!(keys.len(), 100_000);
}

#[test]
fn status_machine_allows_exactly_the_documented_steps() {
    let allowed = [
        (Status::Pending, Step::Confirm, Status::Confirmed),
        (Status::Pending, Step::Reject, Status::Rejected),
        (Status::Pending, Step::Expire, Status::Expired),
        (Status::Pending, Step::Cancel, Status::Canceled),
        (Status::Confirmed, Step::Attach, Status::Attached),
        (Status::Confirmed, Step::Delete, Status::Deleted),
        (Status::Attached, Step::Detach, Status::Detached),
        (Status::Detached, Step::Delete, Status::Deleted),
    ];
    for status in Status::ALL {
        for step in Step::ALL {
            let expected = allowed
                .iter()
                .find(|(from, by, _)| (*from, *by) == (status, step))
                .map(|edge| edge.2);
            assert_eq!(status.after(step), expected, "{status} after {step:?}");
        }
    }
    let terminal: Vec<_> = Status::ALL
        .into_iter()
        .filter(|status| status.is_terminal())
        .collect();
    assert_eq!(
        terminal,
        [
            Status::Deleted,
            Status::Rejected,
            Status::Expired,
            Status::Canceled
        ]
    );
}

#[test]
fn prefix_with_bad_segment_or_character_is_refused() {
    for good in ["media/", "a/b-c/d_e.f/", "products/"] {
        assert_eq!(check_prefix(good), Ok(()), "{good}");
    }
    for bad in [
        "",
        "/",
        "media",
        "/media/",
        "a//b/",
        "../",
        "a/../",
        "a/.b/",
        "Media/",
        "a b/",
        &format!("{}/", "x".repeat(90)),
    ] {
        assert!(check_prefix(bad).is_err(), "{bad}");
    }
}

#[test]
fn caller_name_has_no_hidden_characters() {
    let named = |subject: &str| {
        let caller = Principal {
            issuer: "ops".to_owned(),
            subject: subject.to_owned(),
            owner: String::new(),
            scopes: Vec::new(),
            fields: None,
            grant: None,
        };
        caller.name()
    };
    assert_eq!(named("alice"), "ops:alice");
    assert_eq!(named("\u{202e}ecila\u{200b}\n"), "ops:ecila");
    assert_eq!(named(""), "ops");
}

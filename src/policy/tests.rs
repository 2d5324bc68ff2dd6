//! Decisions, as tables.

use chrono::DateTime;

use super::admission::{ChecksumProof, RefusalKind, admit};
use super::evidence::{Declared, Observed, SealHeaders};
use super::verification::{Doubt, verify};
use crate::domain::checksum::{Checksum, ChecksumAlgorithm};
use crate::domain::field::{Cardinality, FieldName, FieldPolicies, FieldPolicy, Visibility};
use crate::domain::file_name::FileName;
use crate::domain::ids::UploadId;
use crate::domain::media_type::MediaType;
use crate::domain::object_key::FinalKey;
use crate::domain::upload::{Status, Upload};

const SHA: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
const OTHER_SHA: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

fn fields(required: &[ChecksumAlgorithm]) -> FieldPolicies {
    let policy = FieldPolicy {
        name: FieldName::parse("Product.image").unwrap(),
        upload_to: "products/".into(),
        content_types: vec![MediaType::parse("image/jpeg").unwrap()],
        min_size: 1,
        max_size: 100,
        visibility: Visibility::Public,
        cardinality: Cardinality::One,
        removal_grace_secs: 86_400,
        unattached_lifetime_secs: None,
        required_checksums: required.to_vec(),
        url_lifetime_secs: 900,
        upload_lifetime_secs: 86_400,
    };
    [policy].into_iter().collect()
}

fn declared() -> Declared {
    Declared {
        field: FieldName::parse("Product.image").unwrap(),
        filename: "cat.jpg".into(),
        content_type: "image/jpeg".into(),
        size: 100,
        checksum: None,
        object_id: None,
        owner: None,
    }
}

fn refused(
    change: impl Fn(&mut Declared),
    required: &[ChecksumAlgorithm],
    proof: ChecksumProof,
) -> RefusalKind {
    let mut asked = declared();
    change(&mut asked);
    admit(asked, &fields(required), proof)
        .expect_err("refused")
        .kind
}

#[test]
fn a11_each_limit_is_refused_one_step_beyond_it() {
    for (size, allowed) in [
        (0, false),
        (1, true),
        (100, true),
        (101, false),
        (5 << 30, false),
        (u64::MAX, false),
    ] {
        let asked = Declared { size, ..declared() };
        assert_eq!(
            admit(asked, &fields(&[]), ChecksumProof::Trusted).is_ok(),
            allowed,
            "{size}"
        );
    }
}

#[test]
fn a6_only_the_listed_types_pass_and_no_parameters() {
    for bad in [
        "image/svg+xml",
        "text/html",
        "image/jpeg; charset=x",
        "image/jpeg\r\nx: y",
        "",
        "image/*",
    ] {
        let kind = refused(|d| d.content_type = bad.into(), &[], ChecksumProof::Trusted);
        assert_eq!(kind, RefusalKind::MediaTypeNotAllowed, "{bad}");
    }
    let upper = Declared {
        content_type: "IMAGE/JPEG".into(),
        ..declared()
    };
    let admitted = admit(upper, &fields(&[]), ChecksumProof::Trusted).unwrap();
    assert_eq!(admitted.content_type().as_str(), "image/jpeg");
}

#[test]
fn every_thing_that_is_wrong_is_said_at_once() {
    let asked = Declared {
        size: 0,
        content_type: "text/html".into(),
        ..declared()
    };
    let refusal = admit(asked, &fields(&[]), ChecksumProof::Trusted).unwrap_err();
    let pointers: Vec<_> = refusal.errors.iter().map(|d| d.pointer.as_str()).collect();
    assert_eq!(pointers, ["/content_type", "/size"]);
}

#[test]
fn a_required_checksum_is_required_and_an_md5_does_not_satisfy_it() {
    let sha256 = [ChecksumAlgorithm::Sha256];
    let md5 =
        |d: &mut Declared| d.checksum = Some(("md5".into(), "1B2M2Y8AsgTpgAmY7PhCfg==".into()));
    assert_eq!(
        refused(|_| (), &sha256, ChecksumProof::Trusted),
        RefusalKind::ChecksumRequired
    );
    assert_eq!(
        refused(md5, &sha256, ChecksumProof::Trusted),
        RefusalKind::ChecksumRequired
    );
    let short = |d: &mut Declared| d.checksum = Some(("sha256".into(), "AAAA".into()));
    assert_eq!(
        refused(short, &sha256, ChecksumProof::Trusted),
        RefusalKind::Invalid
    );
}

#[test]
fn a_checksum_that_nobody_can_prove_is_refused_at_the_door() {
    let sha = |d: &mut Declared| d.checksum = Some(("sha256".into(), SHA.into()));
    assert_eq!(refused(sha, &[], ChecksumProof::None), RefusalKind::Invalid);
}

fn pending(checksum: Option<(ChecksumAlgorithm, &str)>) -> Upload {
    let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    Upload {
        id: UploadId::new(now, &[7; 10]),
        status: Status::Pending,
        version: 0,
        field: FieldName::parse("Product.image").unwrap(),
        owner: "user:1".into(),
        bucket: "b".into(),
        filename: FileName::parse("cat.jpg").unwrap(),
        content_type: MediaType::parse("image/jpeg").unwrap(),
        size: 100,
        checksum: checksum.map(|(algorithm, value)| Checksum::new(algorithm, value).unwrap()),
        created_at: now,
        expires_at: now,
        url_lifetime_secs: 900,
        confirmation: None,
        errors: Vec::new(),
        object_id: None,
        attach_at_confirm: false,
        grant: None,
        attached_at: None,
        detached_at: None,
        remove_after: None,
        object_removed_at: None,
    }
}

fn headers() -> SealHeaders {
    SealHeaders::of(MediaType::parse("image/jpeg").unwrap()).public()
}

fn sealed() -> Observed {
    Observed {
        key: FinalKey::recorded("media/products/a.jpg".into(), "products/a.jpg".into()),
        size: 100,
        content_type: Some("image/jpeg".into()),
        content_disposition: Some("inline".into()),
        cache_control: Some(headers().cache_control.into()),
        etag: "d41d8cd98f00b204e9800998ecf8427e".into(),
        etag_is_md5: true,
        checksums: vec![Checksum::new(ChecksumAlgorithm::Sha256, SHA).unwrap()],
        smuggled: Vec::new(),
    }
}

fn pointers(upload: &Upload, observed: &Observed) -> Vec<String> {
    match verify(upload, observed, &headers(), ChecksumProof::Trusted, None) {
        Ok(_) => Vec::new(),
        Err(Doubt::Mismatch(errors)) => errors.into_iter().map(|d| d.pointer).collect(),
        Err(Doubt::Unproven(algorithm)) => vec![format!("unproven {algorithm}")],
    }
}

#[test]
fn a4_a5_a7_each_difference_of_a_sealed_copy_is_found() {
    let sha = pending(Some((ChecksumAlgorithm::Sha256, SHA)));
    let other = pending(Some((ChecksumAlgorithm::Sha256, OTHER_SHA)));
    assert_eq!(pointers(&sha, &sealed()), Vec::<String>::new());
    assert_eq!(
        pointers(
            &sha,
            &Observed {
                size: 99,
                ..sealed()
            }
        ),
        ["/size"]
    );
    assert_eq!(
        pointers(
            &sha,
            &Observed {
                content_type: Some("text/html".into()),
                ..sealed()
            }
        ),
        ["/content_type"]
    );
    assert_eq!(
        pointers(
            &sha,
            &Observed {
                content_disposition: None,
                ..sealed()
            }
        ),
        [""]
    );
    assert_eq!(
        pointers(
            &sha,
            &Observed {
                smuggled: vec![("content-encoding".into(), "br".into())],
                ..sealed()
            }
        ),
        [""]
    );
    assert_eq!(pointers(&other, &sealed()), ["/checksum"]);
}

#[test]
fn a14_what_a_store_does_not_show_is_unproven_and_never_a_rejection() {
    let sha = pending(Some((ChecksumAlgorithm::Sha256, SHA)));
    assert_eq!(
        pointers(
            &sha,
            &Observed {
                checksums: Vec::new(),
                ..sealed()
            }
        ),
        ["unproven sha256"]
    );
    let untrusted = verify(&sha, &sealed(), &headers(), ChecksumProof::Reading, None);
    assert_eq!(
        untrusted.unwrap_err(),
        Doubt::Unproven(ChecksumAlgorithm::Sha256)
    );
    let hashed = Checksum::new(ChecksumAlgorithm::Sha256, SHA).unwrap();
    assert!(
        verify(
            &sha,
            &sealed(),
            &headers(),
            ChecksumProof::Reading,
            Some(&hashed)
        )
        .is_ok()
    );
}

#[test]
fn a14_an_md5_is_compared_only_with_an_etag_that_is_one() {
    let right = pending(Some((ChecksumAlgorithm::Md5, "1B2M2Y8AsgTpgAmY7PhCfg==")));
    let wrong = pending(Some((ChecksumAlgorithm::Md5, "AAAAAAAAAAAAAAAAAAAAAA==")));
    assert_eq!(pointers(&right, &sealed()), Vec::<String>::new());
    assert_eq!(pointers(&wrong, &sealed()), ["/checksum"]);
    assert_eq!(
        pointers(
            &wrong,
            &Observed {
                etag_is_md5: false,
                ..sealed()
            }
        ),
        Vec::<String>::new()
    );
}

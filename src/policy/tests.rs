//! The decisions on declarations and on sealed copies.

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
    let mut declared = declared();
    change(&mut declared);
    admit(declared, &fields(required), proof)
        .expect_err("refused")
        .kind
}

#[test]
fn size_beyond_either_limit_is_refused() {
    for (size, allowed) in [
        (0, false),
        (1, true),
        (100, true),
        (101, false),
        (5 << 30, false),
        (u64::MAX, false),
    ] {
        let declared = Declared { size, ..declared() };
        assert_eq!(
            admit(declared, &fields(&[]), ChecksumProof::Trusted).is_ok(),
            allowed,
            "{size}"
        );
    }
}

#[test]
fn only_listed_types_without_parameters_are_admitted() {
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
fn refusal_reports_every_error() {
    let declared = Declared {
        size: 0,
        content_type: "text/html".into(),
        ..declared()
    };
    let refusal = admit(declared, &fields(&[]), ChecksumProof::Trusted).unwrap_err();
    let pointers: Vec<_> = refusal.errors.iter().map(|d| d.pointer.as_str()).collect();
    assert_eq!(pointers, ["/content_type", "/size"]);
}

#[test]
fn required_checksum_is_not_satisfied_by_md5_or_bad_value() {
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
fn checksum_that_the_bucket_cannot_prove_is_refused() {
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
fn each_mismatch_of_a_sealed_copy_is_reported() {
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
fn missing_checksum_is_unproven_and_not_a_mismatch() {
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
fn md5_is_compared_only_with_an_etag_that_is_an_md5() {
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

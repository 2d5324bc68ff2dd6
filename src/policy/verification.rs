//! Is this what was declared? Compares a sealed copy, as HeadObject reports it, with the upload's row.

use crate::domain::checksum::{Checksum, ChecksumAlgorithm};
use crate::domain::upload::{FieldError, Upload};

use super::admission::ChecksumProof;
use super::evidence::{Observed, SealHeaders, Verified};

/// Why a sealed copy may not be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// The copy differs from the declaration: the upload is rejected.
    Mismatch(Vec<FieldError>),
    /// The checksum is not proven: the upload stays pending, and nothing is recorded.
    Unproven(ChecksumAlgorithm),
}

/// Compares size, type, checksum and headers. `hashed` is the checksum of the copy's bytes, if the broker read them.
pub fn verify(
    upload: &Upload,
    observed: &Observed,
    expected: &SealHeaders,
    proof: ChecksumProof,
    hashed: Option<&Checksum>,
) -> Result<Verified, Doubt> {
    let mut errors = Vec::new();
    if observed.size != upload.size {
        let detail = format!(
            "the object has {} bytes, not the declared {}",
            observed.size, upload.size
        );
        errors.push(FieldError::new("/size", detail));
    }
    compare_headers(observed, expected, &mut errors);
    let unproven = match &upload.checksum {
        None => None,
        Some(declared) => match evidence_for(declared, observed, proof, hashed) {
            Evidence::Holds => None,
            Evidence::Contradicts(detail) => {
                errors.push(FieldError::new("/checksum", detail));
                None
            }
            Evidence::Missing => Some(declared.algorithm()),
        },
    };
    if !errors.is_empty() {
        return Err(Doubt::Mismatch(errors));
    }
    match unproven {
        Some(algorithm) => Err(Doubt::Unproven(algorithm)),
        None => Ok(Verified {
            upload: upload.id,
            key: observed.key.clone(),
            etag: observed.etag.clone(),
        }),
    }
}

fn compare_headers(observed: &Observed, expected: &SealHeaders, errors: &mut Vec<FieldError>) {
    let pairs = [
        (
            "/content_type",
            "Content-Type",
            &observed.content_type,
            expected.content_type,
        ),
        (
            "",
            "Content-Disposition",
            &observed.content_disposition,
            expected.content_disposition,
        ),
        (
            "",
            "Cache-Control",
            &observed.cache_control,
            expected.cache_control,
        ),
    ];
    for (pointer, header, found, wanted) in pairs {
        if found.as_deref() != Some(wanted) {
            let found = found.as_deref().unwrap_or("absent");
            errors.push(FieldError::new(
                pointer,
                format!("{header} is {found}, not {wanted}"),
            ));
        }
    }
    for (header, _) in &observed.smuggled {
        errors.push(FieldError::new(
            "",
            format!("the object has the header {header}, which was not declared"),
        ));
    }
}

enum Evidence {
    Holds,
    Contradicts(String),
    Missing,
}

fn evidence_for(
    declared: &Checksum,
    observed: &Observed,
    proof: ChecksumProof,
    hashed: Option<&Checksum>,
) -> Evidence {
    let algorithm = declared.algorithm();
    if algorithm == ChecksumAlgorithm::Md5 {
        // Content-MD5 is signed and every store enforces it, so an ETag that is not an MD5 is no contradiction.
        let holds = !observed.etag_is_md5 || observed.etag.eq_ignore_ascii_case(&declared.to_hex());
        return if holds {
            Evidence::Holds
        } else {
            contradiction(declared)
        };
    }
    let of_store = observed
        .checksums
        .iter()
        .find(|found| found.algorithm() == algorithm);
    let found = match (hashed.filter(|found| found.algorithm() == algorithm), proof) {
        (Some(hashed), _) => Some(hashed),
        (None, ChecksumProof::Trusted) => of_store,
        (None, ChecksumProof::Reading | ChecksumProof::None) => None,
    };
    match found {
        None => Evidence::Missing,
        Some(found) if found.value() == declared.value() => Evidence::Holds,
        Some(_) => contradiction(declared),
    }
}

fn contradiction(declared: &Checksum) -> Evidence {
    Evidence::Contradicts(format!(
        "the {} of the object is not the declared one",
        declared.algorithm()
    ))
}

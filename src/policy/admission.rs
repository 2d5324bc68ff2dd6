//! May this be uploaded? Decides from the declaration alone, and reports every error at once.

use crate::domain::checksum::{Checksum, ChecksumAlgorithm};
use crate::domain::field::{FieldName, FieldPolicies, FieldPolicy};
use crate::domain::file_name::FileName;
use crate::domain::media_type::MediaType;
use crate::domain::upload::FieldError;

use super::evidence::{Admitted, Declared};

/// The kind of a refusal, most severe first. A refusal for several errors has the most severe kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefusalKind {
    /// A member is malformed.
    Invalid,
    /// The field is not configured.
    UnknownField,
    /// The field doesn't allow this type.
    MediaTypeNotAllowed,
    /// The field doesn't allow this size.
    SizeNotAllowed,
    /// The field requires a checksum.
    ChecksumRequired,
}

/// Why a declaration was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The kind.
    pub kind: RefusalKind,
    /// The errors.
    pub errors: Vec<FieldError>,
}

/// How the bucket proves a checksum that a client declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChecksumProof {
    /// The bucket refuses an object with another checksum, so the checksum in the answer to a HEAD is proof.
    Trusted,
    /// The bucket proves nothing, but the broker may read and hash the sealed copy.
    Reading,
    /// The bucket proves nothing, and the broker may not read the copy.
    None,
}

/// Checks a declaration against its field's policy.
pub fn admit(
    declared: Declared,
    fields: &FieldPolicies,
    proof: ChecksumProof,
) -> Result<Admitted, Refusal> {
    let Some(policy) = fields.get(&declared.field) else {
        return Err(unknown_field(&declared.field, fields));
    };
    let mut problems: Vec<(RefusalKind, FieldError)> = Vec::new();
    let mut keep = |kind, pointer: &str, detail: String| {
        problems.push((kind, FieldError::new(pointer, detail)))
    };

    let filename = FileName::parse(&declared.filename)
        .map_err(|error| keep(RefusalKind::Invalid, "/filename", error.to_string()))
        .ok();
    let content_type = allowed_type(&declared.content_type, policy)
        .map_err(|detail| keep(RefusalKind::MediaTypeNotAllowed, "/content_type", detail))
        .ok();
    if !(policy.min_size..=policy.max_size).contains(&declared.size) {
        keep(
            RefusalKind::SizeNotAllowed,
            "/size",
            size_detail(declared.size, policy),
        );
    }
    let checksum = allowed_checksum(declared.checksum, policy, proof)
        .map_err(|(kind, pointer, detail)| keep(kind, pointer, detail))
        .ok();

    match (filename, content_type, checksum, problems.is_empty()) {
        (Some(filename), Some(content_type), Some(checksum), true) => Ok(Admitted {
            policy: policy.clone(),
            filename,
            content_type,
            size: declared.size,
            checksum,
        }),
        _ => Err(Refusal {
            kind: problems
                .iter()
                .map(|(kind, _)| *kind)
                .min()
                .unwrap_or(RefusalKind::Invalid),
            errors: problems
                .into_iter()
                .map(|(_, difference)| difference)
                .collect(),
        }),
    }
}

/// The refusal of a field that is not configured; it lists the configured fields.
pub fn unknown_field(name: &FieldName, fields: &FieldPolicies) -> Refusal {
    let known = join(fields.iter().map(|policy| policy.name.as_str()));
    let detail = format!("no field is named {name}; the fields are {known}");
    Refusal {
        kind: RefusalKind::UnknownField,
        errors: vec![FieldError::new("/field", detail)],
    }
}

fn allowed_type(text: &str, policy: &FieldPolicy) -> Result<MediaType, String> {
    MediaType::parse(text)
        .filter(|found| policy.content_types.contains(found))
        .ok_or_else(|| {
            let allowed = join(policy.content_types.iter().map(|allowed| allowed.as_str()));
            format!(
                "{} doesn't allow this type; allowed are {allowed}",
                policy.name
            )
        })
}

fn size_detail(size: u64, policy: &FieldPolicy) -> String {
    let (name, min, max) = (&policy.name, policy.min_size, policy.max_size);
    format!("{name} allows {min} to {max} bytes, not {size}")
}

type ChecksumProblem = (RefusalKind, &'static str, String);

fn allowed_checksum(
    declared: Option<(String, String)>,
    policy: &FieldPolicy,
    proof: ChecksumProof,
) -> Result<Option<Checksum>, ChecksumProblem> {
    let required = &policy.required_checksums;
    let needed = || {
        let detail = format!(
            "{} requires a checksum: {}",
            policy.name,
            join(required.iter().map(|a| a.as_str()))
        );
        (RefusalKind::ChecksumRequired, "/checksum", detail)
    };
    let Some((name, value)) = declared else {
        return if required.is_empty() {
            Ok(None)
        } else {
            Err(needed())
        };
    };
    let algorithm = ChecksumAlgorithm::parse(&name).ok_or_else(|| {
        let known = join(ChecksumAlgorithm::ALL.iter().map(|a| a.as_str()));
        (
            RefusalKind::Invalid,
            "/checksum/algorithm",
            format!("must be one of {known}"),
        )
    })?;
    let checksum = Checksum::new(algorithm, &value)
        .map_err(|error| (RefusalKind::Invalid, "/checksum/value", error.to_string()))?;
    if !required.is_empty() && !required.contains(&algorithm) {
        return Err(needed());
    }
    // A checksum that will never be proven must not be recorded as if it were.
    if proof == ChecksumProof::None && algorithm != ChecksumAlgorithm::Md5 {
        let detail = format!(
            "this bucket can't prove a {algorithm} checksum; leave it out, or declare an md5"
        );
        return Err((RefusalKind::Invalid, "/checksum/algorithm", detail));
    }
    Ok(Some(checksum))
}

fn join<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

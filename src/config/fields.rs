//! `[fields."Model.field"]`: the policy of each field.

use crate::domain::checksum::ChecksumAlgorithm;
use crate::domain::field::{Cardinality, FieldName, FieldPolicies, FieldPolicy, Visibility};
use crate::domain::media_type::MediaType;
use crate::domain::object_key::{MAX_KEY_BYTES, RANDOM_PART_BYTES, check_prefix};
use crate::policy::admission::ChecksumProof;

use super::reader::error::{ConfigError, one_of};
use super::reader::section::{Report, Section};
use super::reader::value::{Node, Show, Value};
use super::storage::{Storage, overlap};

/// The largest object that one PUT may carry on S3, in bytes.
const MAX_SINGLE_PUT_BYTES: u64 = 5 * 1024 * 1024 * 1024;
/// The longest lifetime of a presigned URL on S3, in seconds: seven days.
const MAX_URL_LIFETIME_SECS: u32 = 604_800;
/// The least time from the end of the URL to the end of the upload, in seconds: a slow PUT may end after its URL.
const SLOW_PUT_SECS: u32 = 900;
/// The longest lifetime of a pending upload, in seconds: thirty days.
const MAX_UPLOAD_LIFETIME_SECS: u32 = 2_592_000;
/// The longest time that the object of a detached upload is kept, in seconds: ten years.
const MAX_REMOVAL_GRACE_SECS: u32 = 315_360_000;

/// Reads all fields and checks them against `[storage]` and each other.
pub(super) fn read(
    node: Option<Node>,
    storage: Option<&Storage>,
    report: &mut Report,
) -> Option<FieldPolicies> {
    let Node { value, source } = node?;
    let entries = match value {
        Value::Table(entries) if !entries.is_empty() => entries,
        _ => {
            let problem = "must have at least one table [fields.\"Model.field\"]";
            let error = ConfigError::about("fields", &source, problem);
            report.errors.push(error);
            return None;
        }
    };
    let mut policies = Vec::new();
    for (name, node) in entries {
        policies.extend(read_one(&name, node, report));
    }
    if let Some(storage) = storage {
        for policy in &policies {
            refuse_place(policy, storage, report);
            refuse_unprovable(policy, storage, report);
        }
    }
    refuse_exposed(&policies, report);
    Some(policies.into_iter().collect())
}

fn read_one(name: &str, node: Node, report: &mut Report) -> Option<FieldPolicy> {
    let path = format!("fields.\"{name}\"");
    let parsed = match FieldName::parse(name) {
        Ok(parsed) => parsed,
        Err(error) => {
            // [fields.Product.image] without quotes is a table in a table.
            let inner = match &node.value {
                Value::Table(entries) => entries.iter().find_map(|(inner, node)| {
                    matches!(node.value, Value::Table(_)).then_some(inner)
                }),
                _ => None,
            };
            let problem = match inner {
                Some(inner) => format!("quote the name: [fields.\"{name}.{inner}\"]"),
                None => error.to_string(),
            };
            report
                .errors
                .push(ConfigError::about(&path, &node.source, problem));
            return None;
        }
    };
    let mut section = Section::open(path, node, report)?;
    let policy = read_policy(&mut section, parsed);
    section.finish();
    policy
}

fn read_policy(section: &mut Section, name: FieldName) -> Option<FieldPolicy> {
    section.fallback("min_size", Value::Integer(1));
    section.fallback("visibility", Value::Text("private".to_owned()));
    section.fallback("cardinality", Value::Text("one".to_owned()));
    section.fallback("removal_grace_secs", Value::Integer(86_400));
    section.fallback("required_checksums", Value::List(Vec::new()));
    section.fallback("url_lifetime_secs", Value::Integer(900));
    section.fallback("upload_lifetime_secs", Value::Integer(86_400));

    let upload_to = section.text("upload_to", Show::Plain, |text| {
        check_prefix(text).map_err(|error| format!("{error}; such as \"products/\""))?;
        Ok(text.to_owned())
    });
    let content_types = section.list("content_types", media_type);
    if content_types.as_ref().is_some_and(Vec::is_empty) {
        section.refuse("content_types", "must list at least one content type");
    }
    let min_size = size(section, "min_size", 0);
    let max_size = size(section, "max_size", 1);
    if min_size > max_size && max_size.is_some() {
        section.refuse("min_size", "must not be greater than max_size");
    }
    let [public, private] = [Visibility::Public, Visibility::Private].map(|v| (v.as_str(), v));
    let visibility = section.choice("visibility", &[public, private]);
    let [one, many] = [Cardinality::One, Cardinality::Many].map(|c| (c.as_str(), c));
    let cardinality = section.choice("cardinality", &[one, many]);
    let removal_grace_secs = section.integer("removal_grace_secs", 0..=MAX_REMOVAL_GRACE_SECS);
    let unattached_lifetime_secs = match section.has("unattached_lifetime_secs") {
        true => section
            .integer("unattached_lifetime_secs", 60..=MAX_REMOVAL_GRACE_SECS)
            .map(Some),
        false => Some(None),
    };
    let required_checksums = section.list("required_checksums", required_checksum);
    let url_lifetime_secs = section.integer("url_lifetime_secs", 1..=MAX_URL_LIFETIME_SECS);
    let upload_lifetime_secs =
        section.integer("upload_lifetime_secs", 1..=MAX_UPLOAD_LIFETIME_SECS);
    if let (Some(url), Some(upload)) = (url_lifetime_secs, upload_lifetime_secs)
        && upload < url + SLOW_PUT_SECS
    {
        let least = url + SLOW_PUT_SECS;
        let problem = format!(
            "must be at least {least}: {SLOW_PUT_SECS} more than url_lifetime_secs, because a slow PUT may end after its URL"
        );
        section.refuse("upload_lifetime_secs", problem);
    }
    Some(FieldPolicy {
        name,
        upload_to: upload_to?,
        content_types: content_types?,
        min_size: min_size?,
        max_size: max_size?,
        visibility: visibility?,
        cardinality: cardinality?,
        removal_grace_secs: removal_grace_secs?,
        unattached_lifetime_secs: unattached_lifetime_secs?,
        required_checksums: required_checksums?,
        url_lifetime_secs: url_lifetime_secs?,
        upload_lifetime_secs: upload_lifetime_secs?,
    })
}

fn key_of(policy: &FieldPolicy, key: &str) -> String {
    format!("fields.\"{}\".{key}", policy.name)
}

/// Checks that its objects are outside of the staging prefix and that their keys are short enough.
fn refuse_place(policy: &FieldPolicy, storage: &Storage, report: &mut Report) {
    let key = key_of(policy, "upload_to");
    let prefix = format!("{}{}", storage.layout.location, policy.upload_to);
    if prefix.len() + RANDOM_PART_BYTES > MAX_KEY_BYTES {
        let most = MAX_KEY_BYTES - RANDOM_PART_BYTES;
        let problem = format!("must have at most {most} bytes, with storage.location");
        report.refuse(&key, problem);
    }
    if overlap(&prefix, &storage.layout.staging_prefix) {
        let staging = &storage.layout.staging_prefix;
        let problem =
            format!("must not be under storage.staging_prefix \"{staging}\", nor that under it");
        report.refuse(&key, problem);
    }
}

/// Refuses required checksums that neither the store nor the broker verifies.
fn refuse_unprovable(policy: &FieldPolicy, storage: &Storage, report: &mut Report) {
    if storage.checksum_proof() == ChecksumProof::None && !policy.required_checksums.is_empty() {
        let problem = "must be empty, because storage.checksum_proof is \"none\"; or set storage.read_to_prove = true \
                       (the broker then reads each such object once)";
        report.refuse(&key_of(policy, "required_checksums"), problem);
    }
}

/// Buckets make objects public by prefix, so a private field must not be under the prefix of a public one.
fn refuse_exposed(policies: &[FieldPolicy], report: &mut Report) {
    let of = |visibility| policies.iter().filter(move |p| p.visibility == visibility);
    for private in of(Visibility::Private) {
        let exposing =
            of(Visibility::Public).find(|public| private.upload_to.starts_with(&public.upload_to));
        if let Some(public) = exposing {
            let (name, prefix) = (&public.name, &public.upload_to);
            let problem = format!(
                "must not be under \"{prefix}\" of the public field {name}, which anyone may read"
            );
            report.refuse(&key_of(private, "upload_to"), problem);
        }
    }
}

fn media_type(text: &str) -> Result<MediaType, String> {
    MediaType::parse(text).ok_or_else(|| {
        let known = one_of(MediaType::all().map(MediaType::as_str));
        format!("must list only {known}; not \"{text}\"")
    })
}

fn required_checksum(text: &str) -> Result<ChecksumAlgorithm, String> {
    let allowed = || {
        ChecksumAlgorithm::ALL
            .into_iter()
            .filter(|a| a.can_be_required())
    };
    let found = allowed().find(|algorithm| algorithm.as_str() == text);
    found.ok_or_else(|| {
        let names = one_of(allowed().map(ChecksumAlgorithm::as_str));
        format!("must list only {names}; not \"{text}\"")
    })
}

/// A size in bytes: an integer, or a string such as "10 MiB".
fn size(section: &mut Section, key: &'static str, least: u64) -> Option<u64> {
    section.parse(key, Show::Plain, |node| {
        let bytes = match node.value.as_integer() {
            Some(number) => u64::try_from(number).ok(),
            None => node.value.as_text().and_then(with_unit),
        };
        bytes
            .filter(|bytes| (least..=MAX_SINGLE_PUT_BYTES).contains(bytes))
            .ok_or_else(|| {
                format!(
                    "must be {least} to {MAX_SINGLE_PUT_BYTES} bytes, as an integer or a string such as \"10 MiB\" (B, KiB, MiB, GiB)"
                )
            })
    })
}

fn with_unit(text: &str) -> Option<u64> {
    let digits = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let (number, unit) = text.split_at(text.len() - digits.len());
    let factor: u64 = match unit.trim() {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

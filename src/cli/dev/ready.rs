//! The output of `bytepass dev` when it is ready: one line of JSON, or addresses, a token and commands to try.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use crate::domain::field::{FieldPolicies, FieldPolicy};
use crate::domain::principal::Scope;

use crate::cli::token::{self, LIFETIME_SECS};

use super::data::{self, DevSecrets};

/// The field of the example shop, which the documentation uses.
const PREFERRED_FIELD: &str = "Product.image";
const SAMPLE_TYPE: &str = "image/png";

/// What `dev` prints.
pub(super) struct Ready {
    /// The request body of the printed commands; `None` if no field takes the sample picture.
    pub sample: Option<SampleUpload>,
    /// The data folder.
    pub data_dir: PathBuf,
    /// The bucket's URL for clients on this machine.
    pub bucket_url: String,
    /// The URL of the metrics.
    pub metrics_url: Option<String>,
    /// Whether the demo page is enabled.
    pub has_demo: bool,
}

/// The body of the create request for the sample picture.
#[derive(Serialize)]
pub(super) struct SampleUpload {
    field: String,
    filename: &'static str,
    content_type: &'static str,
    size: usize,
}

#[derive(Serialize)]
struct Line<'a> {
    url: &'a str,
    bucket_url: &'a str,
    metrics_url: Option<&'a str>,
    demo_url: Option<String>,
    tokens: Tokens,
}

#[derive(Serialize)]
struct Tokens {
    user: String,
    other_user: String,
    service: String,
    ops: String,
}

/// The request body for the field that takes the sample picture.
pub(super) fn sample_of(fields: &FieldPolicies) -> Option<SampleUpload> {
    field_of_sample(fields).map(|policy| SampleUpload {
        field: policy.name.to_string(),
        filename: "cat.png",
        content_type: SAMPLE_TYPE,
        size: data::sample_size(),
    })
}

/// The first field that takes the sample picture without a checksum; the example shop's field comes first.
pub(super) fn field_of_sample(fields: &FieldPolicies) -> Option<&Arc<FieldPolicy>> {
    let size = data::sample_size();
    let takes = |policy: &FieldPolicy| {
        policy
            .content_types
            .iter()
            .any(|it| it.as_str() == SAMPLE_TYPE)
            && (policy.min_size..=policy.max_size).contains(&(size as u64))
            && policy.required_checksums.is_empty()
    };
    let fitting = fields.iter().filter(|policy| takes(policy));
    // `min_by_key` returns the first minimum: the preferred name, else the first field.
    fitting.min_by_key(|policy| policy.name.as_str() != PREFERRED_FIELD)
}

fn mint(secrets: &DevSecrets, subject: &str, scopes: &[Scope]) -> String {
    token::mint(secrets, subject, scopes, None, LIFETIME_SECS)
}

impl Ready {
    /// One line of JSON.
    pub fn line(&self, secrets: &DevSecrets, url: &str) -> String {
        let service = [
            Scope::UploadsConfirm,
            Scope::AttachmentsWrite,
            Scope::GrantsWrite,
        ];
        let line = Line {
            url,
            bucket_url: &self.bucket_url,
            metrics_url: self.metrics_url.as_deref(),
            demo_url: self.has_demo.then(|| format!("{url}/demo")),
            tokens: Tokens {
                user: mint(secrets, "1", &[Scope::UploadsWrite]),
                other_user: mint(secrets, "2", &[Scope::UploadsWrite]),
                service: mint(secrets, "shop", &service),
                ops: mint(secrets, "ops", &[Scope::Ops]),
            },
        };
        format!("{}\n", to_json(&line))
    }

    /// The addresses, a token, and commands that upload the sample picture.
    pub fn text(&self, secrets: &DevSecrets, url: &str) -> String {
        let bucket_url = &self.bucket_url;
        let token = mint(secrets, "1", &[Scope::UploadsWrite]);
        let demo = match self.has_demo {
            true => format!("  demo    {url}/demo    (upload a picture, and try to break it)\n"),
            false => String::new(),
        };
        let next = match &self.sample {
            Some(sample) => self.commands(sample, url),
            None => format!(
                "No configured field takes a small {SAMPLE_TYPE} without a checksum, so no example commands are shown; see the API at {url}/docs.\n"
            ),
        };
        format!(
            r#"Bytepass is ready, for development.

  broker  {url}         (docs: {url}/docs)
  bucket  {bucket_url}
{demo}  data    {data}

A user's token, good for 12 hours:

  TOKEN={token}

{next}
Stop with Ctrl-C.
"#,
            data = self.data_dir.display(),
        )
    }

    fn commands(&self, sample: &SampleUpload, url: &str) -> String {
        let picture = data::sample_path(&self.data_dir);
        let picture = shell_quoted(&picture.display().to_string());
        let body = to_json(sample);
        format!(
            r#"Upload a picture, from another shell in this folder:

  # 1. create the upload: the answer has a presigned PUT
  UPLOAD=$(curl -sS {url}/v1/uploads -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{body}'); echo "$UPLOAD"

  # 2. put the bytes straight into the bucket
  curl -sS -T {picture} -H 'Content-Type: image/png' -w 'the bucket answered %{{http_code}}\n' "$(echo "$UPLOAD" | sed 's/.*"url":"\([^"]*\)".*/\1/')"

  # 3. confirm: the broker checks the object, seals it and records its key
  curl -sS -X POST -H "Authorization: Bearer $TOKEN" -w '\n' "$(echo "$UPLOAD" | sed 's/.*"confirm_url":"\([^"]*\)".*/\1/')"
"#
        )
    }
}

fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("strings and numbers serialize")
}

/// The path quoted for a shell.
fn shell_quoted(path: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if path.chars().all(plain) {
        return path.to_owned();
    }
    format!("'{}'", path.replace('\'', r"'\''"))
}

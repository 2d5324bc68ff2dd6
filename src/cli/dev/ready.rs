//! What `bytepass dev` prints when it is ready: one line for a script, or what a newcomer types next.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use crate::domain::field::{FieldPolicies, FieldPolicy};
use crate::domain::principal::Scope;

use crate::cli::token::{self, LIFETIME_SECS};

use super::data::{self, DevSecrets};

/// The field of the shop, which a newcomer meets everywhere else too.
const USUAL_FIELD: &str = "Product.image";
const SAMPLE_TYPE: &str = "image/png";

/// A development broker that is ready.
pub(super) struct Ready {
    /// What the printed commands declare; `None` where no field takes the sample picture.
    pub declared: Option<SampleUpload>,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// How clients on this machine reach the bucket.
    pub bucket_url: String,
    /// Where Prometheus reads.
    pub metrics_url: Option<String>,
    /// Whether there is a demo.
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

/// What declares the sample picture for the field that takes it.
pub(super) fn sample_of(fields: &FieldPolicies) -> Option<SampleUpload> {
    field_of_sample(fields).map(|policy| SampleUpload {
        field: policy.name.to_string(),
        filename: "cat.png",
        content_type: SAMPLE_TYPE,
        size: data::sample_size(),
    })
}

/// The first field that takes the sample picture without more ado, the shop's before others.
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
    // The usual name sorts first, the others stay in their order.
    fitting.min_by_key(|policy| policy.name.as_str() != USUAL_FIELD)
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
        format!("{}\n", written(&line))
    }

    /// The addresses, a token, and the commands that bring a picture in.
    pub fn words(&self, secrets: &DevSecrets, url: &str) -> String {
        let bucket_url = &self.bucket_url;
        let token = mint(secrets, "1", &[Scope::UploadsWrite]);
        let demo = match self.has_demo {
            true => format!("  demo    {url}/demo    (drop a picture, and try to break it)\n"),
            false => String::new(),
        };
        let next = match &self.declared {
            Some(declared) => self.commands(declared, url),
            None => format!(
                "No configured field takes a small {SAMPLE_TYPE} without a checksum, so there are no commands to try here; {url}/docs has the API.\n"
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

    fn commands(&self, declared: &SampleUpload, url: &str) -> String {
        let picture = data::sample_path(&self.data_dir);
        let picture = shell_quoted(&picture.display().to_string());
        let declared = written(declared);
        format!(
            r#"Bring a picture in, from another shell in this folder:

  # 1. ask for a presigned PUT
  UPLOAD=$(curl -sS {url}/v1/uploads -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{declared}'); echo "$UPLOAD"

  # 2. put the bytes straight into the bucket
  curl -sS -T {picture} -H 'Content-Type: image/png' -w 'the bucket answered %{{http_code}}\n' "$(echo "$UPLOAD" | sed 's/.*"url":"\([^"]*\)".*/\1/')"

  # 3. confirm: the broker checks the object, seals it and records its key
  curl -sS -X POST -H "Authorization: Bearer $TOKEN" -w '\n' "$(echo "$UPLOAD" | sed 's/.*"confirm_url":"\([^"]*\)".*/\1/')"
"#
        )
    }
}

fn written(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("texts and numbers can always be written")
}

/// A path as one word of a shell.
fn shell_quoted(path: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if path.chars().all(plain) {
        return path.to_owned();
    }
    format!("'{}'", path.replace('\'', r"'\''"))
}

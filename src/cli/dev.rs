//! `bytepass dev`: a broker with its own database file and bucket in one process, and what a newcomer types next.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::app::App;
use crate::config::{Config, Sources};
use crate::dev_bucket::{DevBucket, DevBucketOptions};
use crate::domain::field::Visibility;
use crate::domain::principal::Scope;

use super::dev_data::{self, DevSecrets};
use super::outcome::{self, Failure};
use super::serve;
use super::token::{self, AUDIENCE, BACKENDS, LIFETIME_SECS, USERS};

const BUCKET: &str = "bytepass-dev";
const REGION: &str = "us-east-1";

#[derive(Debug, Args)]
pub struct DevArgs {
    /// Where the broker listens; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8000", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Where the bucket listens; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:9000", value_name = "ADDRESS")]
    bucket_listen: SocketAddr,
    /// Where the database, the bucket and the development secrets are kept
    #[arg(long, default_value = "bytepass-data", value_name = "DIR")]
    data_dir: PathBuf,
    /// Print one line of JSON when ready, instead of words
    #[arg(long)]
    json: bool,
    /// A configuration file (TOML), for other fields than the shop's
    #[arg(long, env = "BYTEPASS_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Default for DevArgs {
    fn default() -> DevArgs {
        DevArgs {
            listen: SocketAddr::from(([127, 0, 0, 1], 8000)),
            bucket_listen: SocketAddr::from(([127, 0, 0, 1], 9000)),
            data_dir: PathBuf::from("bytepass-data"),
            json: false,
            config: std::env::var_os("BYTEPASS_CONFIG").map(PathBuf::from),
        }
    }
}

pub(super) fn run(args: DevArgs) -> Result<(), Failure> {
    let secrets = dev_data::open(&args.data_dir)?;
    // Read once for the public prefixes, before the bucket's own address is known.
    let draft = load(&args, &secrets, args.bucket_listen)?;
    serve::start_logging(&draft)?;
    let bucket = DevBucket::start(bucket_options(&args, &secrets, &draft))
        .map_err(|error| Failure::Runtime(error.to_string()))?;
    let config = load(&args, &secrets, bucket.addr())?;
    let served = serve::run_on(serve::runtime()?, async {
        let stop = serve::stop_signal()?;
        let app = App::build(config)
            .await
            .map_err(|error| Failure::Runtime(error.to_string()))?;
        outcome::print(&announcement(&args, &secrets, app.url(), &bucket.url()))?;
        serve::serve(app, stop).await
    });
    bucket.stop();
    served
}

/// The configuration of development: the embedded bucket and the development issuers below whatever else is configured.
fn load(args: &DevArgs, secrets: &DevSecrets, bucket: SocketAddr) -> Result<Config, Failure> {
    let sources = Sources::from_process(args.config.clone())
        .with_defaults("dev", defaults(args, secrets, bucket))
        .with_flag("--listen", "server.listen", Some(args.listen.to_string()));
    Config::load(&sources).map_err(|errors| Failure::Usage(errors.to_string()))
}

fn defaults(args: &DevArgs, secrets: &DevSecrets, bucket: SocketAddr) -> String {
    let database = format!(
        "sqlite://{}",
        args.data_dir.join("bytepass.sqlite").display()
    );
    let issuer = |name: &str, prefix: &str, scopes: &[&str], secret: &str| json!({"name": name, "issuer": name, "audience": AUDIENCE, "owner_prefix": prefix, "scopes": scopes, "secret": secret});
    let (user, all) = (
        [Scope::UploadsWrite.as_str()],
        Scope::ALL.map(Scope::as_str),
    );
    let layer = json!({
        "database": {"url": database, "migrate_at_start": true},
        "storage": {
            "bucket": BUCKET,
            "region": REGION,
            "endpoint": format!("http://{bucket}"),
            "path_style": true,
            "access_key_id": secrets.access_key_id,
            "secret_access_key": dev_data::reveal(&secrets.secret_access_key),
        },
        "auth": {"issuers": [
            issuer(USERS, "user:", &user, dev_data::reveal(&secrets.users)),
            issuer(BACKENDS, "service:", &all, dev_data::reveal(&secrets.backends)),
        ]},
    });
    toml::to_string(&layer).unwrap_or_default()
}

fn bucket_options(args: &DevArgs, secrets: &DevSecrets, config: &Config) -> DevBucketOptions {
    let location = &config.storage.location;
    let public = config
        .fields()
        .iter()
        .filter(|policy| policy.visibility == Visibility::Public);
    DevBucketOptions {
        listen: args.bucket_listen,
        data_dir: args.data_dir.join("bucket"),
        region: REGION.to_owned(),
        access_key_id: secrets.access_key_id.clone(),
        secret_access_key: secrets.secret_access_key.clone(),
        buckets: vec![BUCKET.to_owned()],
        public_prefixes: public
            .map(|policy| format!("{location}{}", policy.upload_to))
            .collect(),
    }
}

fn announcement(args: &DevArgs, secrets: &DevSecrets, url: &str, bucket_url: &str) -> String {
    let mint =
        |subject, scopes: &[Scope]| token::mint(secrets, subject, scopes, None, LIFETIME_SECS);
    let user = mint("1", &[Scope::UploadsWrite]);
    if !args.json {
        return words(&args.data_dir, url, bucket_url, &user);
    }
    let service = [
        Scope::UploadsConfirm,
        Scope::AttachmentsWrite,
        Scope::GrantsWrite,
    ];
    let line = json!({
        "url": url,
        "bucket_url": bucket_url,
        "tokens": {
            "user": user,
            "other_user": mint("2", &[Scope::UploadsWrite]),
            "service": mint("shop", &service),
            "ops": mint("ops", &[Scope::Ops]),
        },
    });
    format!("{line}\n")
}

fn words(data_dir: &Path, url: &str, bucket_url: &str, token: &str) -> String {
    let (picture, size) = (dev_data::sample_path(data_dir), dev_data::sample_size());
    let picture = shell_quoted(&picture.display().to_string());
    let declared = json!({"field": "Product.image", "filename": "cat.png", "content_type": "image/png", "size": size});
    format!(
        r#"Bytepass is ready, for development.

  broker  {url}         (docs: {url}/docs)
  bucket  {bucket_url}
  data    {data}

A user's token, good for 12 hours:

  TOKEN={token}

Bring a picture in, from another shell in this folder:

  # 1. ask for a presigned PUT
  UPLOAD=$(curl -sS {url}/v1/uploads -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{declared}'); echo "$UPLOAD"

  # 2. put the bytes straight into the bucket
  curl -sS -T {picture} -H 'Content-Type: image/png' -w 'the bucket answered %{{http_code}}\n' "$(echo "$UPLOAD" | sed 's/.*"url":"\([^"]*\)".*/\1/')"

  # 3. confirm: the broker checks the object, seals it and records its key
  curl -sS -X POST -H "Authorization: Bearer $TOKEN" -w '\n' "$(echo "$UPLOAD" | sed 's/.*"confirm_url":"\([^"]*\)".*/\1/')"

Stop with Ctrl-C.
"#,
        data = data_dir.display(),
    )
}

/// A path as one word of a shell.
fn shell_quoted(path: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if path.chars().all(plain) {
        return path.to_owned();
    }
    format!("'{}'", path.replace('\'', r"'\''"))
}

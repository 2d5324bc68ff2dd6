//! `bytepass dev`: a broker with its own database file and bucket in one process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use crate::config::Config;
use crate::dev_bucket::{DevBucket, DevBucketOptions};
use crate::domain::field::Visibility;
use crate::domain::principal::Scope;
use crate::http::DemoOptions;

use super::descriptors;
use super::dev_config::{self, bucket_url};
use super::dev_data::{self, DevSecrets};
use super::dev_words::{self, Ready};
use super::outcome::{self, Failure};
use super::serve;
use super::token;

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
    dev_config::check_data_dir(&args.data_dir)?;
    let secrets = Arc::new(dev_data::open(&args.data_dir)?);
    // Read once for the public prefixes, before the bucket's own address is known.
    let draft = load(&args, &secrets, args.bucket_listen)?;
    let process = serve::Process::start(&draft)?;
    let bucket = DevBucket::start(bucket_options(&args, &secrets, &draft))
        .map_err(|error| Failure::Runtime(error.to_string()))?;
    dev_data::remember_bucket(&args.data_dir, bucket.addr())?;
    let mut config = load(&args, &secrets, bucket.addr())?;
    let room = descriptors::make_room(&mut config);
    let served = process.run(async {
        let mut signals = serve::Signals::listen()?;
        let declared = dev_words::sample_of(config.fields());
        let demo = demo(&args, &config, &secrets, bucket.addr());
        let has_demo = demo.is_some();
        let Some(app) = serve::build(config, demo, &mut signals).await? else {
            return Ok(());
        };
        room.tell();
        let ready = Ready {
            declared,
            data_dir: args.data_dir.clone(),
            bucket_url: bucket_url(bucket.addr()),
            metrics_url: app.metrics_url(),
            has_demo,
        };
        outcome::print(&match args.json {
            true => ready.line(&secrets, app.url()),
            false => ready.words(&secrets, app.url()),
        })?;
        serve::serve(app, signals).await
    });
    bucket.stop();
    served
}

/// The demo, where its parts are there: a field for its picture, the embedded bucket, and a broker that only this machine reaches,
/// because whoever reaches it could ask for a token.
fn demo(
    args: &DevArgs,
    config: &Config,
    secrets: &Arc<DevSecrets>,
    bucket: SocketAddr,
) -> Option<DemoOptions> {
    let bucket_origin = bucket_url(bucket);
    let storage = &config.storage;
    let embedded = storage.public_endpoint.is_none()
        && storage.path_style
        && dev_config::is_embedded(config, bucket);
    if !embedded || !args.listen.ip().is_loopback() || !config.server.listen.ip().is_loopback() {
        return None;
    }
    let field = dev_words::field_of_sample(config.fields())?.clone();
    let (secrets, only) = (secrets.clone(), vec![field.name.to_string()]);
    Some(DemoOptions {
        bucket_origin,
        field,
        mint: Arc::new(move |lifetime_secs| {
            let scopes = [Scope::UploadsWrite];
            token::mint(&secrets, "demo", &scopes, Some(&only), lifetime_secs).into()
        }),
    })
}

fn load(args: &DevArgs, secrets: &DevSecrets, bucket: SocketAddr) -> Result<Config, Failure> {
    let sources = dev_config::sources(&args.data_dir, args.config.clone(), secrets, bucket);
    let sources = sources.with_flag("--listen", "server.listen", Some(args.listen.to_string()));
    Config::load(&sources).map_err(|errors| Failure::Usage(errors.to_string()))
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
        region: config.storage.region.clone(),
        access_key_id: secrets.access_key_id.clone(),
        secret_access_key: secrets.secret_access_key.clone(),
        buckets: vec![config.storage.bucket.clone()],
        public_prefixes: public
            .map(|policy| format!("{location}{}", policy.upload_to))
            .collect(),
    }
}

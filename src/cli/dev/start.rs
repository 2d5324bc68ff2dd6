//! Starts bucket and broker, prints how to reach them, and runs until stopped.

use std::net::SocketAddr;
use std::sync::Arc;

use bytepass_dev_bucket::{DevBucket, DevBucketOptions};

use crate::config::Config;
use crate::domain::field::Visibility;
use crate::domain::principal::Scope;
use crate::http::DemoOptions;

use crate::cli::outcome::{self, Failure};
use crate::cli::{open_files_limit, serve, token};

use super::DevArgs;
use super::config::{self, bucket_url};
use super::data::{self, DevSecrets};
use super::ready::{self, Ready};

pub(in crate::cli) fn run(args: DevArgs) -> Result<(), Failure> {
    config::check_data_dir(&args.data_dir)?;
    let secrets = Arc::new(data::open(&args.data_dir)?);
    // Loaded first for the bucket's public prefixes, before its actual address is known.
    let draft = load(&args, &secrets, args.bucket_listen)?;
    let process = serve::Process::start(&draft)?;
    let bucket = DevBucket::start(bucket_options(&args, &secrets, &draft))
        .map_err(|error| Failure::Runtime(error.to_string()))?;
    data::save_bucket_address(&args.data_dir, bucket.addr())?;
    let mut config = load(&args, &secrets, bucket.addr())?;
    let file_limit = open_files_limit::raise_limit(&mut config);
    let served = process.run(async {
        let mut signals = serve::Signals::listen()?;
        let sample = ready::sample_of(config.fields());
        let demo = demo(&args, &config, &secrets, bucket.addr());
        let has_demo = demo.is_some();
        let Some(app) = serve::build(config, demo, &mut signals).await? else {
            return Ok(());
        };
        file_limit.log();
        let ready = Ready {
            sample,
            data_dir: args.data_dir.clone(),
            bucket_url: bucket_url(bucket.addr()),
            metrics_url: app.metrics_url(),
            has_demo,
        };
        outcome::print(&match args.json {
            true => ready.line(&secrets, app.url()),
            false => ready.text(&secrets, app.url()),
        })?;
        serve::serve(app, signals).await
    });
    bucket.stop();
    served
}

/// The demo page, if a field takes its picture, the bucket is the embedded one and only this machine reaches the broker: every visitor of
/// the page gets a token.
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
        && config::is_embedded(config, bucket);
    if !embedded || !args.listen.ip().is_loopback() || !config.server.listen.ip().is_loopback() {
        return None;
    }
    let field = ready::field_of_sample(config.fields())?.clone();
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
    let sources = config::sources(&args.data_dir, args.config.clone(), secrets, bucket);
    let sources = sources.with_flag("--listen", "server.listen", Some(args.listen.to_string()));
    Config::load(&sources).map_err(|errors| Failure::Usage(errors.to_string()))
}

fn bucket_options(args: &DevArgs, secrets: &DevSecrets, config: &Config) -> DevBucketOptions {
    let location = &config.storage.layout.location;
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

//! The offline commands' common part (`uploads`, `sweep`, `fsck`, `webhooks`). They run the broker's use cases without a server, on the
//! configured database and bucket or on those of a development data folder.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::app;
use crate::broker::{Broker, BrokerError};
use crate::config::{Config, LogFormat, reachable};
use crate::domain::principal::{Principal, Scope};
use crate::domain::upload::FieldError;
use crate::telemetry::logging;
use crate::telemetry::metrics::Metrics;

use super::dev::{config as dev_config, data as dev_data};
use super::outcome::Failure;
use super::{ConfigArgs, serve};

/// The default address of a development bucket.
const DEV_BUCKET: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9000);
/// How often the progress line is redrawn.
const TICK: Duration = Duration::from_millis(100);
/// The time limit for a connection to the development bucket.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// The options of offline commands: the configuration and the output format.
#[derive(Debug, Args)]
pub(super) struct OfflineArgs {
    /// The configuration file (TOML) [env: BYTEPASS_CONFIG, except with --data-dir]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Use the database and the bucket of a `bytepass dev` data folder, whatever else is configured. Commands that need the
    /// bucket need that `bytepass dev` to run. Add the --config that it was started with, if any
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The address of that bucket [default: the last one of `bytepass dev`]
    #[arg(long, global = true, requires = "data_dir", value_name = "ADDRESS")]
    bucket_listen: Option<SocketAddr>,
    /// Output format
    #[arg(short, long, global = true, default_value = "table", value_enum)]
    pub(super) output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    Table,
    Json,
}

/// What a command uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// The database only.
    Database,
    /// The database and the bucket.
    Bucket,
}

impl OfflineArgs {
    /// The configuration. Only the settings that offline commands use are required, so that of a `serve` fits.
    pub(super) fn config(&self, needs: Needs) -> Result<Config, Failure> {
        match &self.data_dir {
            Some(folder) => self.config_of(folder, needs),
            None => serve::load(&ConfigArgs {
                config: self.file(),
                listen: None,
            }),
        }
    }

    /// The configuration file. The environment variable is read here, because clap does not distinguish it from a --config that is
    /// given with --data-dir.
    fn file(&self) -> Option<PathBuf> {
        let of_env = || std::env::var_os("BYTEPASS_CONFIG").map(PathBuf::from);
        self.config.clone().or_else(of_env)
    }

    fn config_of(&self, folder: &Path, needs: Needs) -> Result<Config, Failure> {
        dev_config::check_data_dir(folder)?;
        let secrets = dev_data::read(folder)?;
        let last_address = || dev_data::bucket_address(folder);
        let bucket = self
            .bucket_listen
            .or_else(last_address)
            .unwrap_or(DEV_BUCKET);
        let sources = dev_config::offline_sources(folder, self.config.clone(), &secrets, bucket);
        let config = Config::load(&sources).map_err(|it| Failure::Usage(it.to_string()))?;
        if needs == Needs::Bucket {
            let connected = TcpStream::connect_timeout(&reachable(bucket), CONNECT_LIMIT);
            connected.map_err(|error| {
                let folder = folder.display();
                Failure::Runtime(format!(
                    "the bucket of {folder} is not running at {bucket} ({error}): start `bytepass dev --data-dir {folder}`, or give its address with --bucket-listen"
                ))
            })?;
        }
        Ok(config)
    }

    /// Opens the database and the bucket, and runs the work.
    pub(super) fn run<T>(
        &self,
        needs: Needs,
        work: impl AsyncFnOnce(Broker) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let config = self.ready(needs)?;
        serve::start_logging(&config)?;
        OfflineArgs::work_on(&config, work)
    }

    /// The same for long work, with a progress line.
    pub(super) fn run_long<T>(
        &self,
        needs: Needs,
        work: impl AsyncFnOnce(Broker, &Progress) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let config = self.ready(needs)?;
        let progress = Progress::start(&config)?;
        let done = OfflineArgs::work_on(&config, async |broker| work(broker, &progress).await);
        progress.0.finish_and_clear();
        done
    }

    fn ready(&self, needs: Needs) -> Result<Config, Failure> {
        let config = self.config(needs)?;
        serve::require(config.require_for_commands(), self.file().as_deref())?;
        Ok(config)
    }

    fn work_on<T>(
        config: &Config,
        work: impl AsyncFnOnce(Broker) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        serve::run_on(serve::runtime()?, async {
            let broker = app::open_broker(config, &Metrics::new())
                .await
                .map_err(serve::not_started)?;
            work(broker).await
        })
    }
}

/// The command line's principal, with all scopes: a user who can read the configuration has access to database and bucket already.
/// It owns no uploads, because no upload has an empty owner.
pub(super) fn operator() -> Principal {
    Principal {
        issuer: "command-line".to_owned(),
        subject: String::new(),
        owner: String::new(),
        scopes: Scope::ALL.to_vec(),
        fields: None,
        grant: None,
    }
}

/// The error's message for the terminal.
pub(super) fn reason(error: BrokerError) -> String {
    match error {
        BrokerError::UploadNotFound => "the upload does not exist".to_owned(),
        BrokerError::WrongStatus { now, detail } => format!("it is {}: {detail}", now.as_str()),
        BrokerError::StoreUnavailable { cause, .. } => {
            format!("the bucket gave no clear answer, nothing has changed: {cause}")
        }
        BrokerError::DatabaseUnavailable { cause, .. } => {
            format!("the database gave no clear answer: {cause}")
        }
        BrokerError::Refused(refusal) => FieldError::summary(&refusal.errors),
        BrokerError::Internal(cause) => cause,
        other => format!("{other:?}"),
    }
}

/// The progress line of long work, on standard error if that is a terminal.
#[derive(Clone)]
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Starts the line. A timer redraws it, so that it moves while the bucket is slow.
    fn start(config: &Config) -> Result<Progress, Failure> {
        let style = ProgressStyle::with_template("{spinner} {wide_msg}");
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let bar = bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        let progress = Progress(bar);
        if progress.0.is_hidden() || config.telemetry.log_format == LogFormat::Json {
            serve::start_logging(config)?;
        } else {
            let beside = progress.clone();
            logging::install_beside(&config.telemetry.log, move || beside.clone())
                .map_err(|error| Failure::Usage(error.to_string()))?;
        }
        progress.set("first batch".to_owned());
        progress.0.enable_steady_tick(TICK);
        Ok(progress)
    }

    /// Replaces the text.
    pub(super) fn set(&self, text: String) {
        self.0.set_message(text);
    }
}

/// Writes log lines above the progress line.
impl Write for Progress {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0
            .suspend(|| std::io::stderr().write_all(line))
            .map(|()| line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

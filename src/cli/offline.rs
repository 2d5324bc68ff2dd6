//! What `uploads`, `sweep`, `fsck` and `webhooks` share: the broker's verbs without a server, on the database and the bucket that are
//! configured, or on those of a development folder.

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

/// Where a development bucket listens unless it was told otherwise.
const DEV_BUCKET: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9000);
/// How often progress moves.
const TICK: Duration = Duration::from_millis(100);
/// How long a development bucket may take to let somebody in.
const REACH_LIMIT: Duration = Duration::from_secs(2);

/// Where the configuration is, and how results are printed.
#[derive(Debug, Args)]
pub(super) struct ByHand {
    /// The configuration file (TOML) [env: BYTEPASS_CONFIG, but with --data-dir]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Work on the data folder of a `bytepass dev`, whatever else is configured: its database, and its bucket, which must be
    /// running where it is needed. Give --config beside it if that `dev` was given one: its fields and its bucket's name count
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where that bucket listens [default: where `bytepass dev` last had it]
    #[arg(long, global = true, requires = "data_dir", value_name = "ADDRESS")]
    bucket_listen: Option<SocketAddr>,
    /// How results are printed
    #[arg(short, long, global = true, default_value = "table", value_enum)]
    pub(super) output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    Table,
    Json,
}

/// What a command asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// The database alone.
    Rows,
    /// The bucket too.
    Bucket,
}

impl ByHand {
    /// The settings to work with. No more is demanded of them than what is used, so those of a `serve` do as they are.
    pub(super) fn config(&self, needs: Needs) -> Result<Config, Failure> {
        match &self.data_dir {
            Some(folder) => self.config_of(folder, needs),
            None => serve::load(&ConfigArgs {
                config: self.file(),
                listen: None,
            }),
        }
    }

    /// The configuration file. The environment's is looked up here and not by clap, which doesn't tell it from one that was
    /// written beside --data-dir.
    fn file(&self) -> Option<PathBuf> {
        let of_env = || std::env::var_os("BYTEPASS_CONFIG").map(PathBuf::from);
        self.config.clone().or_else(of_env)
    }

    fn config_of(&self, folder: &Path, needs: Needs) -> Result<Config, Failure> {
        dev_config::check_data_dir(folder)?;
        let secrets = dev_data::read(folder)?;
        let remembered = || dev_data::bucket_address(folder);
        let bucket = self.bucket_listen.or_else(remembered).unwrap_or(DEV_BUCKET);
        let sources = dev_config::sources_by_hand(folder, self.config.clone(), &secrets, bucket);
        let config = Config::load(&sources).map_err(|it| Failure::Usage(it.to_string()))?;
        if needs == Needs::Bucket {
            let reached = TcpStream::connect_timeout(&reachable(bucket), REACH_LIMIT);
            reached.map_err(|error| {
                let folder = folder.display();
                Failure::Runtime(format!(
                    "the bucket of {folder} doesn't run at {bucket} ({error}): start `bytepass dev --data-dir {folder}` beside this, or say where it is with --bucket-listen"
                ))
            })?;
        }
        Ok(config)
    }

    /// Opens the database and the bucket, and runs the work to its end.
    pub(super) fn run<T>(
        &self,
        needs: Needs,
        work: impl AsyncFnOnce(Broker) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let config = self.ready(needs)?;
        serve::start_logging(&config)?;
        ByHand::work_on(&config, work)
    }

    /// The same for work that takes its time, and tells how far it is.
    pub(super) fn run_long<T>(
        &self,
        needs: Needs,
        work: impl AsyncFnOnce(Broker, &Progress) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let config = self.ready(needs)?;
        let progress = Progress::begin(&config)?;
        let done = ByHand::work_on(&config, async |broker| work(broker, &progress).await);
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

/// Who can read the configuration holds the database and the bucket already, so the command line may do what anyone may. It owns
/// nothing: no upload has an owner without a name.
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

/// Why a verb did nothing, for a person.
pub(super) fn reason(error: BrokerError) -> String {
    match error {
        BrokerError::UploadNotFound => "there is no such upload".to_owned(),
        BrokerError::WrongStatus { now, detail } => format!("it is {}: {detail}", now.as_str()),
        BrokerError::StoreUnavailable { cause, .. } => {
            format!("the bucket gave no clear answer, nothing changed: {cause}")
        }
        BrokerError::DatabaseUnavailable { cause, .. } => {
            format!("the database gave no clear answer: {cause}")
        }
        BrokerError::Refused(refusal) => FieldError::summary(&refusal.errors),
        BrokerError::Internal(cause) => cause,
        other => format!("{other:?}"),
    }
}

/// What long work tells while it goes on: on standard error, and only where that is a terminal.
#[derive(Clone)]
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Begins to tell. Moves by itself, so that it is alive while the bucket is slow.
    fn begin(config: &Config) -> Result<Progress, Failure> {
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
        progress.say("the first batch".to_owned());
        progress.0.enable_steady_tick(TICK);
        Ok(progress)
    }

    /// Tells this from now on.
    pub(super) fn say(&self, text: String) {
        self.0.set_message(text);
    }
}

/// Log lines: they stand above the progress, and not in it.
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

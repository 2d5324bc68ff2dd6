//! What `uploads`, `sweep` and `fsck` share: the broker's verbs without a server, on the configured database and bucket.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::app;
use crate::broker::{Broker, BrokerError};
use crate::domain::principal::{Principal, Scope};
use crate::telemetry::metrics::Metrics;

use super::outcome::Failure;
use super::{ConfigArgs, serve};

/// Where the configuration is, and how results are printed.
#[derive(Debug, Args)]
pub(super) struct ByHand {
    /// The configuration file (TOML)
    #[arg(long, env = "BYTEPASS_CONFIG", global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// How results are printed
    #[arg(short, long, global = true, default_value = "table", value_enum)]
    pub(super) output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    Table,
    Json,
}

impl ByHand {
    /// Opens the database and the bucket, and runs the work to its end.
    pub(super) fn run<T>(
        &self,
        work: impl AsyncFnOnce(Broker) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let config = serve::load(&ConfigArgs {
            config: self.config.clone(),
            listen: None,
        })?;
        // Without a bucket or a database to work on, the mistake is that of `serve`.
        serve::require(&config, self.config.as_deref())?;
        serve::start_logging(&config)?;
        serve::run_on(serve::runtime()?, async {
            let broker = app::open_broker(&config, &Metrics::new())
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
        BrokerError::Refused(refusal) => {
            let details = refusal.differences.into_iter().map(|it| it.detail);
            details.collect::<Vec<_>>().join("; ")
        }
        BrokerError::Internal(cause) => cause,
        other => format!("{other:?}"),
    }
}

/// What long work tells while it goes on: on standard error, and only where that is a terminal.
pub(super) fn spinner() -> ProgressBar {
    let spinner = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    spinner.with_style(ProgressStyle::default_spinner())
}

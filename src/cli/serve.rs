//! `bytepass serve`: runs the configured broker. Also what other commands need: configuration, logging, threads and signals.

use std::future::Future;
use std::path::Path;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::app::{self, App, StartError};
use crate::config::{Config, ConfigErrors, LogFormat as ConfiguredFormat, Sources};
use crate::http::DemoOptions;
use crate::telemetry::logging::{self, LogFormat};
use crate::telemetry::traces::Traces;

use super::{ConfigArgs, Failure, open_files_limit};

pub(super) fn run(args: ConfigArgs) -> Result<(), Failure> {
    let mut config = load(&args)?;
    require(config.require_for_serve(), args.config.as_deref())?;
    let process = Process::start(&config)?;
    let file_limit = open_files_limit::raise_limit(&mut config);
    process.run(async {
        let mut signals = Signals::listen()?;
        let Some(app) = build(config, None, &mut signals).await? else {
            return Ok(());
        };
        file_limit.log();
        tracing::info!(url = app.url(), port = app.port(), "listening");
        serve(app, signals).await
    })
}

/// Reads the configuration of a command.
pub(super) fn load(args: &ConfigArgs) -> Result<Config, Failure> {
    let sources = Sources::from_process(args.config.clone()).with_flag(
        "--listen",
        "server.listen",
        args.listen.clone(),
    );
    Config::load(&sources).map_err(|errors| Failure::Usage(errors.to_string()))
}

/// Refuses a configuration that lacks settings that the command requires.
pub(super) fn require(
    needed: Result<(), ConfigErrors>,
    file: Option<&Path>,
) -> Result<(), Failure> {
    needed.map_err(|errors| {
        let hint = match file {
            Some(_) => "",
            None => "\ngive a configuration with --config FILE, or try Bytepass without one: bytepass dev",
        };
        Failure::Usage(format!("{errors}{hint}"))
    })
}

/// An invalid configuration is a usage error; every other failure may be temporary.
pub(super) fn not_started(error: StartError) -> Failure {
    let line = error.to_string();
    if error.is_configuration() {
        Failure::Usage(line)
    } else {
        Failure::Runtime(line)
    }
}

/// Builds the app; `None` if a signal comes first, so that a database that does not answer can't delay a stop.
pub(super) async fn build(
    config: Config,
    demo: Option<DemoOptions>,
    signals: &mut Signals,
) -> Result<Option<App>, Failure> {
    tokio::select! {
        app = App::build_with(config, demo) => app.map(Some).map_err(not_started),
        () = signals.next() => Ok(None),
    }
}

/// Serves until a signal, then stops gracefully; a second signal stops at once.
pub(super) async fn serve(app: App, mut signals: Signals) -> Result<(), Failure> {
    let (sender, receiver) = oneshot::channel();
    let second = async {
        signals.next().await;
        let _ = sender.send(());
        signals.next().await;
    };
    let first = async { drop(receiver.await) };
    tokio::select! {
        served = app.run_until_stopped(first) => {
            served.map_err(|error| Failure::Runtime(format!("the server failed: {error}")))
        }
        () = second => Err(Failure::Runtime(
            "stopped at once by a second signal; requests in flight were cut off".to_owned(),
        )),
    }
}

/// Starts logging to standard error, as configured.
pub(super) fn start_logging(config: &Config) -> Result<(), Failure> {
    install(config, None)
}

fn install(config: &Config, traces: Option<&Traces>) -> Result<(), Failure> {
    let format = match config.telemetry.log_format {
        ConfiguredFormat::Auto => LogFormat::for_stderr(),
        ConfiguredFormat::Json => LogFormat::Json,
        ConfiguredFormat::Text => LogFormat::Text,
    };
    logging::install(&config.telemetry.log, format, traces)
        .map_err(|error| Failure::Usage(error.to_string()))
}

/// A broker's process: threads, logging, and traces if the standard OTEL variables enable them.
pub(super) struct Process {
    runtime: tokio::runtime::Runtime,
    traces: Option<Traces>,
}

impl Process {
    /// Starts threads, logging and traces.
    pub(super) fn start(config: &Config) -> Result<Process, Failure> {
        let runtime = runtime()?;
        let traces = app::traces(runtime.handle()).map_err(not_started)?;
        install(config, traces.as_ref())?;
        Ok(Process { runtime, traces })
    }

    /// Runs a broker until it stops.
    pub(super) fn run(
        self,
        broker: impl Future<Output = Result<(), Failure>>,
    ) -> Result<(), Failure> {
        let done = self.runtime.block_on(broker);
        // The last spans are sent while the runtime still runs, except after an immediate stop.
        if let Some(traces) = self.traces
            && done.is_ok()
        {
            traces.end();
        }
        self.runtime.shutdown_background();
        done
    }
}

/// Runs a command on this runtime. Queries that the database does not answer are abandoned.
pub(super) fn run_on<T>(
    runtime: tokio::runtime::Runtime,
    command: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let done = runtime.block_on(command);
    runtime.shutdown_background();
    done
}

/// The runtime of everything but requests.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Runtime(format!("can't start threads: {error}")))
}

/// The signals that stop a process: SIGINT (Ctrl-C) and SIGTERM.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Installs the handlers; from then on the signals no longer end the process.
    pub(super) fn listen() -> Result<Signals, Failure> {
        let listen = |kind| {
            signal(kind)
                .map_err(|error| Failure::Runtime(format!("can't wait for signals: {error}")))
        };
        Ok(Signals {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// Waits for the next signal.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

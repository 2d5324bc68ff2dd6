//! `bytepass serve`: the broker, as configured.

use std::future::Future;
use std::path::Path;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::app::{self, App, StartError};
use crate::config::{Config, ConfigErrors, LogFormat as ConfiguredFormat, Sources};
use crate::http::DemoOptions;
use crate::telemetry::logging::{self, LogFormat};
use crate::telemetry::traces::Traces;

use super::{ConfigArgs, Failure, descriptors};

pub(super) fn run(args: ConfigArgs) -> Result<(), Failure> {
    let mut config = load(&args)?;
    require(config.require_for_serve(), args.config.as_deref())?;
    let process = Process::start(&config)?;
    let room = descriptors::make_room(&mut config);
    process.run(async {
        let mut signals = Signals::listen()?;
        let Some(app) = build(config, None, &mut signals).await? else {
            return Ok(());
        };
        room.tell();
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

/// Refuses a configuration that leaves out what a command can't do without.
pub(super) fn require(
    needed: Result<(), ConfigErrors>,
    file: Option<&Path>,
) -> Result<(), Failure> {
    needed.map_err(|errors| {
        let hint = match file {
            Some(_) => "",
            None => "\nsay where the configuration is with --config FILE; to try without one: bytepass dev",
        };
        Failure::Usage(format!("{errors}{hint}"))
    })
}

/// A mistake in the configuration is told apart from a fault of the world, which may pass.
pub(super) fn not_started(error: StartError) -> Failure {
    let line = error.to_string();
    if error.is_configuration() {
        Failure::Usage(line)
    } else {
        Failure::Runtime(line)
    }
}

/// Opens everything; `None` when a signal came first: a database that does not answer must not hold up a stop.
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

/// Serves until a signal comes, and then to an orderly end; a second one cuts that short.
pub(super) async fn serve(app: App, mut signals: Signals) -> Result<(), Failure> {
    let (tell, told) = oneshot::channel();
    let second = async {
        signals.next().await;
        let _ = tell.send(());
        signals.next().await;
    };
    let first = async { drop(told.await) };
    tokio::select! {
        served = app.run_until_stopped(first) => {
            served.map_err(|error| Failure::Runtime(format!("the server failed: {error}")))
        }
        () = second => Err(Failure::Runtime(
            "ended at once by a second signal; requests in flight were cut off".to_owned(),
        )),
    }
}

/// Sends log lines to standard error, as configured.
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

/// A broker's process: its threads, its log lines, and its traces if the standard variables ask for them.
pub(super) struct Process {
    runtime: tokio::runtime::Runtime,
    traces: Option<Traces>,
}

impl Process {
    /// From now on what is said is logged.
    pub(super) fn start(config: &Config) -> Result<Process, Failure> {
        let runtime = runtime()?;
        let traces = app::traces(runtime.handle()).map_err(not_started)?;
        install(config, traces.as_ref())?;
        Ok(Process { runtime, traces })
    }

    /// Runs a broker to its end.
    pub(super) fn run(
        self,
        broker: impl Future<Output = Result<(), Failure>>,
    ) -> Result<(), Failure> {
        let done = self.runtime.block_on(broker);
        // The last spans leave while the threads that send them are still there; not where an end at once was asked for.
        if let Some(traces) = self.traces
            && done.is_ok()
        {
            traces.end();
        }
        self.runtime.shutdown_background();
        done
    }
}

/// Runs a command to its end on these threads. Waits for no query that a database never answers: its caller has gone.
pub(super) fn run_on<T>(
    runtime: tokio::runtime::Runtime,
    command: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let done = runtime.block_on(command);
    runtime.shutdown_background();
    done
}

/// The threads of everything but requests.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Runtime(format!("can't start threads: {error}")))
}

/// What asks a process to stop: Ctrl-C, or SIGTERM from whatever runs it.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// From now on they no longer end the process by themselves.
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

    /// Done when the next one comes.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

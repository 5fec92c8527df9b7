//! Reads the configuration, starts the dataplane, serves, stops; nothing else.
//!
//! Exit codes: 0 after an end in order, 2 where the command line, the configuration or the
//! machine's set-up is at fault, 1 otherwise.

use std::{
    fmt::Display,
    fs,
    io::{self, Write as _},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use clap::Parser as _;
use mos_dataplane::{
    Cpus, Dataplane,
    config::{self as plan, DemoConfig, IdleMode, MemoryConfig, PortConfig},
    cpu,
};
use mosd::{
    Control, Listeners, PlainTcp, Settings,
    boot::{
        args::{CheckArgs, Cli, Command, RunArgs},
        config::{Config, ConfigError, ConfigFile, Hugepages, Idle},
        logging, serve,
    },
    replay, telemetry,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The user can mend it.
const USER_ERROR: u8 = 2;

/// Threads of the control plane.
const CONTROL_THREADS: usize = 2;

/// How often the end of the captures is looked for.
const END_POLL: Duration = Duration::from_millis(100);

/// How long tasks of the control plane may take to end.
const RUNTIME_END: Duration = Duration::from_secs(1);

/// What to do when every capture has come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WhenDone {
    /// Keep the flows listed.
    Stay,
    /// End.
    Exit,
}

/// Why the process ends with an error.
#[derive(Debug)]
enum Failure {
    /// The command line, the configuration or the machine's set-up is at fault.
    User(String),
    /// Something else is.
    Other(anyhow::Error),
}

impl Failure {
    fn user(error: impl Display) -> Self {
        Self::User(error.to_string())
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(args) => run(&args).map(|()| ExitCode::SUCCESS),
        Command::Check(args) => check(&args).map(|()| ExitCode::SUCCESS),
        Command::Replay(args) => replay::run(&args).map_err(Failure::from),
    };
    let (line, code) = match outcome {
        Ok(code) => return code,
        Err(Failure::User(message)) => (message, ExitCode::from(USER_ERROR)),
        Err(Failure::Other(error)) => (format!("{error:#}"), ExitCode::FAILURE),
    };
    // Where stderr is closed there is nobody to tell.
    let _untold: io::Result<()> = writeln!(io::stderr(), "error: {}", line.replace('\n', ", "));
    code
}

fn run(args: &RunArgs) -> Result<(), Failure> {
    let file = args.config().map_err(Failure::user)?;
    let plan = dataplane(&file).map_err(Failure::user)?;
    logging::start(&file.config.log).map_err(Failure::user)?;
    let cpus = Cpus::share(&plan.cpus, plan.workers).map_err(Failure::user)?;
    // Threads start where the one is that starts them: none is to come near a worker.
    cpu::tie_this_thread(&cpus.others).context("cannot keep off the CPUs of the workers")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .enable_all()
        .build()
        .context("cannot start the control plane's threads")?;
    let when_done = if args.exit_when_done { WhenDone::Exit } else { WhenDone::Stay };
    let outcome = runtime.block_on(service(&file.config, &plan, &cpus, when_done));
    runtime.shutdown_timeout(RUNTIME_END);
    outcome
}

/// Binds, starts, serves and stops.
async fn service(
    config: &Config,
    plan: &plan::Config,
    cpus: &Cpus,
    when_done: WhenDone,
) -> Result<(), Failure> {
    let signals = Signals::new().context("cannot listen for signals")?;
    let plain = if config.server.insecure { PlainTcp::Anywhere } else { PlainTcp::LoopbackOnly };
    let listeners = Listeners::bind(&config.server.listen, plain).await.map_err(Failure::user)?;
    if let Some(address) = config.metrics.listen {
        let exporter = telemetry::install(address).map_err(Failure::user)?;
        // It serves as long as the process lives; its listener is bound already.
        drop(tokio::spawn(exporter));
        tracing::info!(%address, "serving metrics");
    }
    let (dataplane, links) = Dataplane::start(plan, cpus).map_err(|error| {
        if error.is_user_error() { Failure::user(error) } else { Failure::from(error) }
    })?;
    let settings = Settings {
        limits: plan.limits,
        payload: config.server.payload,
        connections_max: config.server.connections_max,
        node: node_name(),
    };
    let control = Arc::new(Control::new(links, dataplane.monitor(), settings));
    for address in listeners.addresses()? {
        tracing::info!(%address, "listening");
    }
    let ports: Vec<String> = plan.ports.iter().map(ToString::to_string).collect();
    tracing::info!(workers = plan.workers, ports = ports.join(" "), "READY");
    let served = serve::serve(control, listeners, end(signals, &dataplane, when_done)).await;
    let stopped = dataplane.stop();
    served?;
    stopped.context("the dataplane did not stop cleanly")?;
    tracing::info!("stopped");
    Ok(())
}

/// Ready when the service is to end.
async fn end(mut signals: Signals, dataplane: &Dataplane, when_done: WhenDone) {
    tokio::select! {
        name = signals.next() => tracing::info!(signal = name, "stopping"),
        () = captures_end(dataplane, when_done) => tracing::info!("stopping: all is read"),
    }
}

/// Ready when all captures have come to their end and nothing else is to be waited for.
async fn captures_end(dataplane: &Dataplane, when_done: WhenDone) {
    while !dataplane.has_ended() {
        tokio::time::sleep(END_POLL).await;
    }
    if when_done == WhenDone::Stay {
        tracing::info!("all captures have come to their end; their flows stay listed");
        std::future::pending::<()>().await;
    }
}

/// The signals that end the service.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

fn node_name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

/// What the dataplane is to be started with.
fn dataplane(file: &ConfigFile) -> Result<plan::Config, ConfigError> {
    let Config { ports, dataplane, demo, .. } = &file.config;
    let demo = DemoConfig { flows: demo.flows, rate_pps: demo.rate_pps, seed: demo.seed.into() };
    let ports = ports
        .iter()
        .map(|port| match port.get_ref().parse() {
            Ok(PortConfig::Demo(_)) => Ok(PortConfig::Demo(demo)),
            Ok(port @ (PortConfig::Dpdk(_) | PortConfig::Capture(_) | PortConfig::Looped(_))) => {
                Ok(port)
            }
            Err(error) if port.span().is_empty() => {
                Err(ConfigError::Contradiction(format!("--port: {error}")))
            }
            Err(error) => Err(file.mistake(port.span().start, &format!("{error}"))),
        })
        .collect::<Result<Vec<PortConfig>, ConfigError>>()?;
    Ok(plan::Config {
        workers: dataplane.workers,
        cpus: dataplane.cpus.clone(),
        ports,
        memory: MemoryConfig {
            hugepages: match dataplane.hugepages {
                Hugepages::Auto => plan::Hugepages::Auto,
                Hugepages::On => plan::Hugepages::On,
                Hugepages::Off => plan::Hugepages::Off,
            },
            mbufs: dataplane.mbufs,
            mbuf_bytes: dataplane.mbuf_bytes,
        },
        idle: match dataplane.idle {
            Idle::Auto => None,
            Idle::Busy => Some(IdleMode::Busy),
            Idle::Adaptive => Some(IdleMode::Adaptive),
            Idle::Sleep => Some(IdleMode::Sleep),
        },
        limits: file.config.limits()?,
        seed: None,
    })
}

/// Says what the configuration would start.
fn check(args: &CheckArgs) -> Result<(), Failure> {
    let file = ConfigFile::read(&args.config).map_err(Failure::user)?;
    let plan = dataplane(&file).map_err(Failure::user)?;
    logging::filter(&file.config.log).map_err(Failure::user)?;
    let config = &file.config;
    let mut lines = vec![format!("{} is right. It would start:", args.config.display())];
    lines.push(format!("  workers  {}", plan.workers));
    lines.extend(plan.ports.iter().map(|port| format!("  port     {port}")));
    if plan.ports.is_empty() {
        lines.push("  port     none: name one with --port, or use --demo".to_owned());
    }
    lines.extend(config.server.listen.iter().map(|address| format!("  gRPC     {address}")));
    lines.extend(
        config.metrics.listen.map(|address| format!("  metrics  http://{address}/metrics")),
    );
    let (limits, bounds) = (&plan.limits, &config.limits);
    let when = if limits.populate { "all of it at start" } else { "as it is used" };
    lines.push(format!(
        "  memory   {} flows and {} of receive buffers for each worker, {when}",
        limits.flows_max, bounds.pool
    ));
    lines.push(format!(
        "  flows    start with {} for the client and {} for the server, up to {}",
        config.options.client_buffer, config.options.server_buffer, bounds.buffer_max
    ));
    let payload = if config.server.payload { "may be read by clients" } else { "stays private" };
    lines.push(format!("  payload  {payload}"));
    match writeln!(io::stdout(), "{}", lines.join("\n")) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

//! `mosd run`: starts the dataplane, serves, stops.

use std::{fs, sync::Arc, time::Duration};

use anyhow::Context as _;
use mos_dataplane::{Cpus, Dataplane, config as runtime, cpu};

use crate::{
    api::state::{Control, Settings},
    audit::{Entry, Event},
    boot::{
        args::RunArgs,
        audit,
        config::Config,
        ending::{Ending, Hangup},
        failure::Failure,
        heap, logging, plan, policies, policy_file,
        reload::{Hangups, Reload},
        roles, serve, tls,
        upkeep::{self, Certificates, RolesFile},
    },
    health::{descriptors::Descriptors, telemetry::Measured},
    net::{
        listen::{Listeners, PlainTcp},
        scrape::Scrapes,
        tls::Tls,
    },
    panics,
};

/// Threads of the control plane.
const CONTROL_THREADS: usize = 2;

/// Time between two looks at whether every capture has ended.
const END_POLL: Duration = Duration::from_millis(100);

/// Time that the tasks of the control plane may take to end.
const RUNTIME_END: Duration = Duration::from_secs(1);

/// Time that the last entries of the audit may take.
const AUDIT_END: Duration = Duration::from_secs(1);

/// What to do when every capture has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WhenDone {
    /// Keep the flows listed.
    Stay,
    /// End.
    Exit,
}

/// Watches ports and serves the API until interrupted.
///
/// # Errors
///
/// What is wrong with the configuration or the machine's set-up, and whatever ends the service
/// before a signal does.
pub fn run(args: &RunArgs) -> Result<(), Failure> {
    let file = args.config().map_err(Failure::user)?;
    let planned = plan::plan(&file).map_err(Failure::user)?;
    let cpus = Cpus::share(&planned.cpus, planned.workers).map_err(Failure::user)?;
    // A thread inherits the CPUs of the one that starts it: none then runs on a worker's CPU.
    cpu::tie_this_thread(&cpus.others).context("cannot keep off the CPUs of the workers")?;
    logging::start(&file.config.log).map_err(Failure::user)?;
    let timeout = file.config.server.shutdown_timeout.0;
    let hangup = if args.config.is_some() { Hangup::IsNoEnd } else { Hangup::Ends };
    let mut ending = Ending::watch(timeout, hangup).context("cannot listen for signals")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .on_thread_start(panics::contains_its_panics)
        .enable_all()
        .build()
        .context("cannot start the control plane's threads")?;
    let outcome = runtime.block_on(service(args, &file.config, &planned, &cpus, &mut ending));
    ending.waits_for(|| "the tasks of the control plane".to_owned());
    runtime.shutdown_timeout(RUNTIME_END);
    outcome
}

/// Binds, starts, serves and stops.
async fn service(
    args: &RunArgs,
    config: &Config,
    planned: &runtime::Config,
    cpus: &Cpus,
    ending: &mut Ending,
) -> Result<(), Failure> {
    let hangups = args.config.is_some().then(Hangups::listen).transpose()?;
    let descriptors = descriptors(config.server.connections_max);
    let plain = if config.server.insecure { PlainTcp::Anywhere } else { PlainTcp::LoopbackOnly };
    let audit = audit::open(config).context("cannot start the audit")?;
    let keys = tls::keys(config).map_err(Failure::user)?;
    let tls = keys.map(|keys| Tls::new(keys, Arc::clone(&audit)));
    let listeners = Listeners::bind(&config.server.listen, plain, tls.as_ref());
    let listeners = listeners.await.map_err(Failure::user)?;
    ending.removes(listeners.files());
    metrics(config, plain)?;
    let policies = policies::open(config, planned.limits).map_err(Failure::user)?;
    let table = policies.table();
    let (dataplane, links) = Dataplane::start(planned, cpus, Some(&table)).map_err(|error| {
        if error.is_user_error() { Failure::user(error) } else { Failure::from(error) }
    })?;
    let settings = Settings {
        limits: planned.limits,
        grants: roles::grants(config).map_err(Failure::user)?,
        policies: Arc::clone(&policies),
        audit: Arc::clone(&audit),
        tls,
        exposed: plan::exposed(config),
        payload: config.server.payload,
        connections_max: config.server.connections_max.min(descriptors.connections()),
        descriptors,
        node: node_name(),
    };
    let control = Arc::new(Control::new(links, dataplane.monitor(), settings));
    let keep_policies = Arc::clone(&policies).keep(control.workers.clone());
    drop(panics::spawn("the upkeep of the policies", keep_policies));
    let roles = RolesFile::new(Arc::clone(&control.gate), Arc::clone(&audit), config);
    drop(panics::spawn("the upkeep of the roles", upkeep::keep(Arc::clone(&roles))));
    let mut parts = vec![logging::part(), roles.part()];
    if let Some(tls) = &control.settings.tls {
        let files = Certificates::new(
            Arc::clone(tls),
            Arc::clone(&control.gate),
            Arc::clone(&audit),
            config,
        );
        parts.push(files.part());
        drop(panics::spawn("the upkeep of the certificates", upkeep::keep(files)));
    }
    for address in listeners.addresses()? {
        tracing::info!(%address, "listening");
    }
    drop(panics::spawn("the upkeep of the heap", heap::upkeep()));
    if let Some(hangups) = hangups {
        parts.extend(policy_file::part(&policies, config, planned.limits));
        hangups.reload(Reload::new(args.clone(), config, parts, Arc::clone(&audit))?);
    }
    let ports: Vec<String> = planned.ports.iter().map(ToString::to_string).collect();
    tracing::info!(workers = planned.workers, ports = ports.join(" "), "READY");
    ending.waits_for(|| "requests under way".to_owned());
    let when_done = if args.exit_when_done { WhenDone::Exit } else { WhenDone::Stay };
    let stop = end(ending.asked(), &dataplane, when_done);
    let served = serve::serve(Arc::clone(&control), listeners, stop).await;
    ending.waits_for(move || unstopped(&control));
    audit.post(Entry::of(Event::Stop));
    audit.close(AUDIT_END);
    let stopped = dataplane.stop();
    served?;
    stopped.context("the dataplane did not stop cleanly")?;
    tracing::info!("stopped");
    Ok(())
}

/// Serves the page of metrics, where the configuration says so.
fn metrics(config: &Config, plain: PlainTcp) -> Result<(), Failure> {
    let Some(address) = config.metrics.listen else { return Ok(()) };
    let scrapes = Scrapes::bind(address, plain).map_err(Failure::user)?;
    let address = scrapes.address()?;
    let measured = Measured::install()?;
    drop(panics::spawn("the upkeep of the metrics", measured.clone().keep_up()));
    scrapes.serve(move || measured.text()).context("cannot serve metrics")?;
    tracing::info!(%address, "serving metrics");
    Ok(())
}

/// Makes sure of the file descriptors that the limits need, or says that there are too few.
fn descriptors(connections_max: usize) -> Descriptors {
    let descriptors = Descriptors::raise(connections_max);
    let Descriptors { needed, available } = descriptors;
    if !descriptors.suffice() {
        let connections = descriptors.connections();
        tracing::warn!(
            needed,
            available,
            connections,
            "too few file descriptors for server.connections_max: fewer clients may connect; \
             raise the hard limit (LimitNOFILE= of the unit, ulimit -Hn of a shell)"
        );
    }
    descriptors
}

/// Completes when the service is to end.
async fn end(
    asked: impl Future<Output = &'static str>,
    dataplane: &Dataplane,
    when_done: WhenDone,
) {
    tokio::select! {
        name = asked => tracing::info!(signal = name, "stopping"),
        () = captures_end(dataplane, when_done) => tracing::info!("stopping: all is read"),
    }
}

/// Completes when every capture has ended; never when their flows are to stay listed.
async fn captures_end(dataplane: &Dataplane, when_done: WhenDone) {
    while !dataplane.has_ended() {
        tokio::time::sleep(END_POLL).await;
    }
    if when_done == WhenDone::Stay {
        tracing::info!("all captures have come to their end; their flows stay listed");
        std::future::pending::<()>().await;
    }
}

/// What of the dataplane has not stopped.
fn unstopped(control: &Control) -> String {
    match control.unstopped().as_slice() {
        [] => "the ports to close".to_owned(),
        cores => format!("the workers of cores {cores:?}"),
    }
}

fn node_name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

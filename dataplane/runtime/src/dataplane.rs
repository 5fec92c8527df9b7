//! Starts and stops everything: ports, workers, threads.

use std::{
    hash::{BuildHasher as _, RandomState},
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    thread::{self, JoinHandle},
};

use mos_control::{
    Board, EVENT_RING, EventFeed, Phase, PortMonitor, WORKER_THREAD, WorkerLink, WorkerPort,
    event_ring, link,
};
use mos_stack::{Instant, WorkerId, policy::PolicyTable};

#[cfg(feature = "dpdk")]
use crate::dpdk::{self, Eal, Registration};
#[cfg(not(feature = "dpdk"))]
use crate::error::PortProblem;
use crate::{
    clock::{Clock, MonotonicClock, SourceTime},
    config::{Config, IdleMode, PortConfig},
    cpu::{self, Cpus},
    error::{StartError, StopError},
    idle::Idle,
    ports::{Ports, Row},
    source::{
        Source,
        capture::{CaptureSource, Interrupt, Share, Wait},
    },
    stacks,
    worker::{AtEnd, Finished, Worker},
};

/// The running dataplane. Stops when it is dropped; [`Dataplane::stop`] says how that went.
#[derive(Debug)]
pub struct Dataplane {
    stop: Arc<AtomicBool>, // control: wo, workers: ro
    threads: Vec<JoinHandle<()>>,
    boards: Vec<Arc<Board>>,
    ports: Arc<Ports>,
    /// Ends last.
    #[cfg(feature = "dpdk")]
    eal: Option<Arc<Eal>>,
}

/// Makes the rings between a worker and the control plane.
fn join(worker: WorkerId) -> (WorkerLink, (WorkerPort, EventFeed)) {
    let (commands, port) = link(worker);
    let (feed, events) = event_ring(EVENT_RING);
    (WorkerLink { commands, events }, (port, feed))
}

/// Everything that was opened for the workers.
#[derive(Debug)]
struct Sources {
    of_worker: Vec<Vec<Source>>,
    rows: Vec<Row>,
    #[cfg(feature = "dpdk")]
    eal: Option<Arc<Eal>>,
    #[cfg(feature = "dpdk")]
    injectors: Vec<dpdk::Injector>,
}

/// The clock of all workers.
#[derive(Debug, Clone, Copy)]
enum WorkerClock {
    Live(MonotonicClock),
    Capture(SourceTime),
}

impl Clock for WorkerClock {
    fn now(&self) -> Instant {
        match self {
            Self::Live(clock) => clock.now(),
            Self::Capture(clock) => clock.now(),
        }
    }
}

impl Dataplane {
    /// Checks what can be checked without the machine: what this refuses, [`Dataplane::start`]
    /// refuses with the same words.
    ///
    /// # Errors
    ///
    /// What contradicts itself. That no port is configured is left to the start.
    pub fn check(config: &Config) -> Result<(), StartError> {
        check(config).map(drop)
    }

    /// Looks for what the configuration names on this machine: CPUs, captures and interfaces.
    /// Opens no port. What needs a capability is left to the start.
    ///
    /// # Errors
    ///
    /// What is not there.
    pub fn probe(config: &Config) -> Result<(), StartError> {
        let _cpus: Cpus = Cpus::share(&config.cpus, config.workers)?;
        for port in &config.ports {
            match port {
                // To open a pipe would wait for somebody who writes.
                PortConfig::Capture(path) if !path.exists() || path.is_file() => {
                    let _source: CaptureSource = CaptureSource::open(path, Share::ALL)?;
                }
                PortConfig::Capture(_)
                | PortConfig::Dpdk(_)
                | PortConfig::Demo(_)
                | PortConfig::Looped(_) => {}
            }
        }
        #[cfg(feature = "dpdk")]
        dpdk::probe(config)?;
        Ok(())
    }

    /// Opens the ports and starts the workers, each on its CPU of `cpus` and everything else on
    /// the others. Gives the control plane's end of each worker's rings, in the order of the
    /// workers. Flows begin by these policies, the first of them included.
    ///
    /// # Errors
    ///
    /// One clear reason; then nothing is left running.
    pub fn start(
        config: &Config,
        cpus: &Cpus,
        policies: Option<&Arc<PolicyTable>>,
    ) -> Result<(Self, Vec<WorkerLink>), StartError> {
        let ids = check(config)?;
        if config.ports.is_empty() {
            return Err(StartError::NoPorts);
        }
        let seed = config.seed.unwrap_or_else(|| RandomState::new().hash_one(std::process::id()));
        let mut stacks = stacks::make(&ids, config.limits, seed, &cpus.workers)?;
        for stack in &mut stacks {
            drop(stack.set_policies(policies.cloned()));
        }
        let (links, ends): (Vec<_>, Vec<_>) = ids.into_iter().map(join).unzip();
        let boards: Vec<Arc<Board>> =
            links.iter().map(|link| Arc::clone(link.commands.board())).collect();
        let sources = open(config, &cpus.others, &boards)?;
        let mut dataplane = Self {
            stop: Arc::default(),
            threads: Vec::new(),
            boards,
            ports: Arc::new(Ports::new(sources.rows)),
            #[cfg(feature = "dpdk")]
            eal: sources.eal,
        };
        let Cpus { workers: worker_cpus, others: other_cpus, allowed } = cpus;
        let suiting = || IdleMode::suiting(allowed.len(), worker_cpus.len());
        let idle = config.idle.unwrap_or_else(suiting);
        let workers = worker_cpus.len();
        tracing::info!(workers, ?worker_cpus, ?other_cpus, ?idle, "starting workers");
        let workers = ends.into_iter().zip(stacks).zip(sources.of_worker);
        let clock = clock(config, MonotonicClock::start());
        for ((((port, sink), stack), sources), cpu) in workers.zip(worker_cpus) {
            let (idle, at_end) = (Idle::new(idle), AtEnd::Serve);
            let worker = Worker { port, stack, sources, clock, sink, idle, at_end };
            dataplane.start_worker(worker, *cpu)?;
        }
        #[cfg(feature = "dpdk")]
        for injector in sources.injectors {
            dataplane.start_injector(injector, other_cpus)?;
        }
        Ok((dataplane, links))
    }

    /// Reads the counters of the ports; keeps working when the dataplane has stopped.
    #[must_use]
    pub fn monitor(&self) -> Arc<dyn PortMonitor> {
        Arc::<Ports>::clone(&self.ports)
    }

    /// Whether all sources of all workers have ended: captures do, ports do not.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.boards.iter().all(|board| board.phase() == Phase::Drained)
    }

    /// Stops the workers, closes the ports and ends DPDK. Commands that are still waiting are
    /// refused by the workers.
    ///
    /// # Errors
    ///
    /// When something did not end cleanly; it has ended nevertheless.
    pub fn stop(mut self) -> Result<(), StopError> {
        self.shut_down()
    }

    fn shut_down(&mut self) -> Result<(), StopError> {
        self.stop.store(true, Relaxed);
        let mut result = Ok(());
        for thread in self.threads.drain(..) {
            let name = name_of(&thread);
            if thread.join().is_err() {
                result = Err(StopError::Panicked(name));
            }
        }
        #[cfg(feature = "dpdk")]
        {
            self.ports.close();
            if let Some(eal) = self.eal.take() {
                let ended = eal.end().map_err(StopError::from);
                result = result.and(ended);
            }
        }
        result
    }

    fn start_worker(
        &mut self,
        worker: Worker<Source, WorkerClock, EventFeed>,
        cpu: usize,
    ) -> Result<(), StartError> {
        let name = format!("{WORKER_THREAD}{}", worker.port.worker());
        self.start_thread(&name, &[cpu], move |stop| log_problems(&worker.run(stop)))
    }

    #[cfg(feature = "dpdk")]
    fn start_injector(
        &mut self,
        injector: dpdk::Injector,
        cpus: &[usize],
    ) -> Result<(), StartError> {
        let clock = MonotonicClock::start();
        self.start_thread("mos-demo", cpus, move |stop| injector.run(&clock, stop))
    }

    /// Starts a thread on these CPUs, known to DPDK where that runs, and waits until it has begun.
    fn start_thread(
        &mut self,
        name: &str,
        cpus: &[usize],
        body: impl FnOnce(&AtomicBool) + Send + 'static,
    ) -> Result<(), StartError> {
        let (begun, has_begun) = mpsc::sync_channel(1);
        let cpus = cpus.to_vec();
        let stop = Arc::clone(&self.stop);
        #[cfg(feature = "dpdk")]
        let eal = self.eal.clone();
        let run = move || {
            cpu::tie_or_warn(&cpus);
            #[cfg(feature = "dpdk")]
            let registration = eal
                .as_ref()
                .map(Registration::of_this_thread)
                .transpose()
                .map_err(StartError::from);
            #[cfg(not(feature = "dpdk"))]
            let registration = Ok::<_, StartError>(());
            match registration {
                Ok(_registration) if begun.send(Ok(())).is_ok() => body(&stop),
                Ok(_registration) => {}
                Err(error) => drop(begun.send(Err(error))),
            }
        };
        let failed = |error| StartError::Thread { name: name.to_owned(), error };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(run).map_err(failed)?;
        self.threads.push(thread);
        match has_begun.recv() {
            Ok(result) => result,
            Err(mpsc::RecvError) => Err(failed(io::Error::other("it ended at once"))),
        }
    }
}

impl Drop for Dataplane {
    fn drop(&mut self) {
        if let Err(error) = self.shut_down() {
            tracing::warn!(%error, "the dataplane does not end cleanly");
        }
    }
}

/// Checks what can be checked without starting anything. Gives the ids of the workers.
fn check(config: &Config) -> Result<Vec<WorkerId>, StartError> {
    let ids: Option<Vec<WorkerId>> = (0..config.workers).map(WorkerId::new).collect();
    let ids = ids.filter(|ids| !ids.is_empty()).ok_or(StartError::Workers(config.workers))?;
    cpu::check(&config.cpus, config.workers)?;
    config.limits.check()?;
    let is_capture = |port: &&PortConfig| matches!(port, PortConfig::Capture(_));
    match (config.ports.as_slice(), config.ports.iter().find(is_capture)) {
        ([_, _, ..], Some(capture)) => Err(StartError::CaptureNotAlone(capture.clone())),
        ([] | [_], _) | ([_, ..], None) => Ok(ids),
    }
}

/// The capture's own time for a capture, else the system's clock.
fn clock(config: &Config, live: MonotonicClock) -> WorkerClock {
    match config.ports.as_slice() {
        [PortConfig::Capture(_)] => WorkerClock::Capture(SourceTime),
        _ => WorkerClock::Live(live),
    }
}

/// Opens everything that is configured.
fn open(config: &Config, cpus: &[usize], boards: &[Arc<Board>]) -> Result<Sources, StartError> {
    match config.ports.as_slice() {
        [PortConfig::Capture(path)] => open_capture(path, config.workers, boards),
        _ => open_ports(config, cpus),
    }
}

/// Each worker reads the whole capture and keeps the flows of its share.
fn open_capture(path: &Path, workers: u16, boards: &[Arc<Board>]) -> Result<Sources, StartError> {
    let sources = CaptureSource::open_all(path, workers, Wait::Polls, &Interrupt::default())?;
    let of_worker = sources.into_iter().map(|source| vec![Source::Capture(source)]).collect();
    let row = Row::Capture { name: path.display().to_string(), boards: boards.to_vec() };
    Ok(Sources {
        of_worker,
        rows: vec![row],
        #[cfg(feature = "dpdk")]
        eal: None,
        #[cfg(feature = "dpdk")]
        injectors: Vec::new(),
    })
}

#[cfg(feature = "dpdk")]
fn open_ports(config: &Config, cpus: &[usize]) -> Result<Sources, StartError> {
    let dpdk::Opened { eal, ports, sources, injectors } = dpdk::open(config, cpus)?;
    let rows = ports.into_iter().map(Row::Open).collect();
    Ok(Sources { of_worker: sources, rows, eal: Some(eal), injectors })
}

#[cfg(not(feature = "dpdk"))]
fn open_ports(config: &Config, _cpus: &[usize]) -> Result<Sources, StartError> {
    let port = config.ports.first().cloned().ok_or(StartError::NoPorts)?;
    Err(StartError::Port { port, problem: PortProblem::NoDpdk })
}

/// Logs why a capture was not read to its end.
fn log_problems(finished: &Finished<Source, EventFeed>) {
    for problem in finished.sources.iter().filter_map(Source::problem) {
        tracing::warn!(%problem, "the capture was not read to its end");
    }
}

fn name_of(thread: &JoinHandle<()>) -> String {
    thread.thread().name().unwrap_or("?").to_owned()
}

//! Opens the configured ports one by one, so that each failure is seen and named.

use std::{
    fs::File,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use mos_control::PortStatus;
use mos_stack::limits::BURST;

use super::{
    devargs::{Bus, Devargs},
    eal::{Eal, EalConfig, MemoryMib, Pages},
    inject::{Feed, Injector},
    interface::{self, Interface, Offloads},
    kernel_losses::{Before, KernelLosses},
    mempool::{Mempool, PoolSize},
    port::{NewPort, Port, Queues, RxQueue, StartedPort},
    source::{PortSource, Spread, ring_slots},
};
use crate::{
    config::{Config, DemoConfig, PortConfig},
    error::{PortProblem, StartError},
    source::Source,
    traffic::Conversations,
};

/// A port and what belongs to it.
#[derive(Debug)]
pub(crate) struct OpenPort {
    name: String,
    port: Arc<Port>,
    kernel_losses: KernelLosses,
    handoff_dropped: Arc<AtomicU64>, // workers: rw, control: ro
    /// Switched on again after the port is closed: fields are dropped in order.
    _offloads: Vec<Offloads>,
}

/// Everything that was opened.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) eal: Arc<Eal>,
    pub(crate) ports: Vec<OpenPort>,
    /// The sources of each worker.
    pub(crate) sources: Vec<Vec<Source>>,
    pub(crate) injectors: Vec<Injector>,
}

/// A port as it is planned before anything is started.
#[derive(Debug)]
struct Plan<'a> {
    config: &'a PortConfig,
    devargs: Devargs,
    pool: PoolSize,
}

/// Memory for EAL and for what drivers allocate, in MiB: once, and for each port. Normal pages are
/// only taken when they are used.
const DRIVERS_MIB: u64 = 64;
const DRIVER_MIB: u64 = 8;

/// Least size of the packet buffers of a port that is fed: its frames fit into one buffer.
const FED_MBUF_BYTES: u16 = 2048;

/// Starts EAL and opens all ports of the configuration; `cpus` are for EAL's own threads.
pub(crate) fn open(config: &Config, cpus: &[usize]) -> Result<Opened, StartError> {
    let plans = plan(config)?;
    for plan in &plans {
        check(&plan.devargs).map_err(|problem| plan.failed(problem))?;
    }
    let eal = Eal::start(&EalConfig {
        cpus: cpus.to_vec(),
        hugepages: config.memory.hugepages,
        memory: MemoryMib {
            huge: memory_mib(&plans, Pages::Huge),
            normal: memory_mib(&plans, Pages::Normal),
        },
        pci: plans
            .iter()
            .filter(|plan| plan.devargs.bus == Bus::Pci)
            .map(|plan| plan.devargs.full())
            .collect(),
    })?;
    let mut opened = Opened {
        eal,
        ports: Vec::new(),
        sources: (0..config.workers).map(|_| Vec::new()).collect(),
        injectors: Vec::new(),
    };
    for (index, plan) in plans.iter().enumerate() {
        opened.open(index, plan).map_err(|problem| plan.failed(problem))?;
    }
    Ok(opened)
}

/// Whether the interfaces that the ports need are there; starts nothing.
///
/// # Errors
///
/// What is not there, or devargs that cannot be read.
pub(crate) fn probe(config: &Config) -> Result<(), StartError> {
    let plans = plan(config)?;
    plans
        .iter()
        .try_for_each(|plan| find_interfaces(&plan.devargs).map_err(|problem| plan.failed(problem)))
}

impl Plan<'_> {
    fn failed(&self, problem: PortProblem) -> StartError {
        StartError::Port { port: self.config.clone(), problem }
    }
}

impl Opened {
    fn open(&mut self, index: usize, plan: &Plan<'_>) -> Result<(), PortProblem> {
        let devargs = &plan.devargs;
        let mut offloads = Vec::new();
        for interface in devargs.interfaces() {
            offloads.extend(switch_off(interface));
        }
        let before = Before::now();
        let new = NewPort::make(&self.eal, devargs).map_err(PortProblem::Refused)?;
        let made_of = new.interface_index().and_then(Interface::with_index);
        if let Some(interface) = devargs.made_interface() {
            offloads.extend(switch_off(interface));
        }
        let memory_problem = |cause| PortProblem::Memory { mbufs: plan.pool.mbufs, cause };
        let pool = Mempool::new(&self.eal, &format!("mos_pool_{index}"), plan.pool)
            .map_err(memory_problem)?;
        let workers = self.sources.len();
        let queues = new.queues(devargs, u16::try_from(workers).unwrap_or(u16::MAX));
        let StartedPort { port, rx, tx } = new.start(pool, queues).map_err(PortProblem::Refused)?;
        let kernel_losses = before.losses(devargs, made_of);
        let handoff_dropped = Arc::default();
        self.add_sources(index, rx, queues, &handoff_dropped);
        // Fed ports are of `net_ring`, which has as many queues to send as to receive.
        let fed = feed(plan.config).into_iter().zip(tx);
        self.injectors.extend(fed.map(|(feed, queue)| Injector { queue, feed }));
        let name = plan.config.to_string();
        tracing::info!(port = name, driver = port.driver(), queues = port.queues(), "port open");
        let open = OpenPort { name, port, kernel_losses, handoff_dropped, _offloads: offloads };
        self.ports.push(open);
        Ok(())
    }

    /// Gives each queue to a worker, and rings to the others if the port itself does not keep a
    /// flow on one worker.
    fn add_sources(
        &mut self,
        index: usize,
        rx: Vec<RxQueue>,
        queues: Queues,
        handoff_dropped: &Arc<AtomicU64>,
    ) {
        let workers = self.sources.len();
        for (number, queue) in rx.into_iter().enumerate() {
            // Ports with one queue begin at different workers.
            let receiver = if queues.rss { number } else { (index + number) % workers };
            let spread = if workers > 1 && !queues.rss {
                Some(self.spread(receiver, handoff_dropped))
            } else {
                None
            };
            self.sources[receiver].push(Source::Port(PortSource::new(queue, spread)));
        }
    }

    /// Makes the rings from one worker to the others.
    fn spread(&mut self, receiver: usize, dropped: &Arc<AtomicU64>) -> Spread {
        let (spread, handoffs) = Spread::new(receiver, self.sources.len(), Arc::clone(dropped));
        for (worker, handoff) in handoffs {
            self.sources[worker].push(Source::Handoff(handoff));
        }
        spread
    }
}

impl OpenPort {
    /// Its counters now.
    pub(crate) fn status(&self) -> PortStatus {
        let counters = self.port.counters().unwrap_or_default();
        PortStatus {
            name: self.name.clone(),
            driver: self.port.driver().to_owned(),
            queues: self.port.queues(),
            rx_packets: counters.packets,
            rx_bytes: counters.bytes,
            rx_missed: counters.missed + self.kernel_losses.packets(),
            rx_errors: counters.errors,
            rx_no_mbuf: counters.no_mbuf,
            handoff_dropped: self.handoff_dropped.load(Relaxed),
        }
    }
}

/// Reads what is configured; starts nothing.
fn plan(config: &Config) -> Result<Vec<Plan<'_>>, StartError> {
    let mut plans = Vec::new();
    for (index, port) in config.ports.iter().enumerate() {
        let (text, least_bytes) = match port {
            PortConfig::Dpdk(devargs) => (devargs.clone(), 0),
            PortConfig::Demo(_) => (format!("net_ring_demo{index}"), FED_MBUF_BYTES),
            PortConfig::Looped(_) => (format!("net_ring_looped{index}"), FED_MBUF_BYTES),
            PortConfig::Capture(_) => continue,
        };
        let devargs = Devargs::parse(&text).map_err(|problem| StartError::Port {
            port: port.clone(),
            problem: PortProblem::Devargs(problem),
        })?;
        let pool = pool_size(config, &devargs, least_bytes);
        plans.push(Plan { config: port, devargs, pool });
    }
    Ok(plans)
}

/// What is to be sent into a port.
fn feed(port: &PortConfig) -> Option<Feed> {
    match port {
        PortConfig::Demo(DemoConfig { flows, rate_pps, seed }) => {
            let conversations = Conversations::new(*flows, *seed);
            Some(Feed::Demo { conversations, rate_pps: *rate_pps })
        }
        PortConfig::Looped(frames) => Some(Feed::Looped { frames: frames.clone(), next: 0 }),
        PortConfig::Dpdk(_) | PortConfig::Capture(_) => None,
    }
}

/// The pool of one port: as many buffers as its queues, rings and bursts
/// can hold at once, of at least that many bytes.
fn pool_size(config: &Config, devargs: &Devargs, least_bytes: u16) -> PoolSize {
    let workers = u32::from(config.workers);
    let queues = match devargs.bus {
        Bus::Vdev => u32::from(devargs.queues()),
        Bus::Pci => workers,
    };
    let burst = u32::try_from(BURST).unwrap_or(u32::MAX);
    let ring = u32::try_from(ring_slots(usize::from(config.workers))).unwrap_or(u32::MAX);
    let descriptors = u32::from(devargs.rx_descriptors());
    let taken = queues * (descriptors + (workers - 1) * ring) + (workers + 1) * 2 * burst;
    let data_bytes = config.memory.mbuf_bytes.max(least_bytes);
    PoolSize::with_room(config.memory.mbufs, taken, workers + 1, data_bytes)
}

fn memory_mib(plans: &[Plan<'_>], pages: Pages) -> u64 {
    let mib = |plan: &Plan<'_>| plan.pool.bytes(pages.bytes()).div_ceil(1024 * 1024) + DRIVER_MIB;
    DRIVERS_MIB + plans.iter().map(mib).sum::<u64>()
}

/// Checks for causes of failure that drivers do not name plainly.
fn check(devargs: &Devargs) -> Result<(), PortProblem> {
    find_interfaces(devargs)?;
    for name in devargs.interfaces() {
        if !interface::may_open_packet_sockets() {
            return Err(PortProblem::Permission {
                what: format!("packet sockets on {name}"),
                capability: "CAP_NET_RAW",
            });
        }
    }
    for path in devargs.files() {
        File::open(path).map_err(|error| PortProblem::File { path: path.into(), error })?;
    }
    if devargs.is("net_tap") {
        check_tap()?;
    }
    Ok(())
}

fn find_interfaces(devargs: &Devargs) -> Result<(), PortProblem> {
    match devargs.interfaces().into_iter().find(|name| !interface::exists(name)) {
        Some(absent) => Err(PortProblem::NoInterface(absent.to_owned())),
        None => Ok(()),
    }
}

fn check_tap() -> Result<(), PortProblem> {
    let path = "/dev/net/tun";
    match File::options().read(true).write(true).open(path) {
        Ok(_file) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(PortProblem::Permission { what: path.to_owned(), capability: "CAP_NET_ADMIN" })
        }
        Err(error) => Err(PortProblem::File { path: path.into(), error }),
    }
}

fn switch_off(interface: &str) -> Option<Offloads> {
    match Offloads::switch_off(interface) {
        Ok(offloads) => Some(offloads),
        Err(error) => {
            tracing::warn!(interface, %error, "cannot look at the interface's offloads");
            None
        }
    }
}

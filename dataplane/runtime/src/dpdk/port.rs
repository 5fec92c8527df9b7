//! One DPDK port: made, configured, started; its queues and counters; stopped and closed.
#![expect(unsafe_code, reason = "calls ethdev functions")]

use std::{
    ffi::{CStr, CString},
    ptr,
    sync::Arc,
};

use mos_stack::limits::BURST;

use super::{
    devargs::{Bus, Devargs},
    eal::{Eal, error_text},
    log,
    mbuf::{BURST_U16, Burst, Mbuf, as_array},
    mempool::Mempool,
};

/// A port that exists but is not configured yet.
#[derive(Debug)]
pub(crate) struct NewPort {
    id: PortId,
    info: dpdk_sys::rte_eth_dev_info,
    driver: String,
}

/// A running port. Its queues own it, too: it is stopped and closed when the last owner drops it.
#[derive(Debug)]
pub(crate) struct Port {
    id: PortId,
    driver: String,
    queues: u16,
    /// Freed after the port is closed: until then the port holds packets of it.
    pool: Mempool,
}

/// DPDK's number of a port. Closes the port when dropped.
#[derive(Debug)]
struct PortId {
    id: u16,
    _eal: Arc<Eal>,
}

/// A port that has just been started, and its queues. Only [`NewPort::start`] makes queues, so each
/// exists once and is used by one thread at a time.
#[derive(Debug)]
pub(crate) struct StartedPort {
    pub(crate) port: Arc<Port>,
    /// All receive queues, in order.
    pub(crate) rx: Vec<RxQueue>,
    /// All transmit queues, in order; some devices have none.
    pub(crate) tx: Vec<TxQueue>,
}

/// One receive queue of a started port. Not `Clone`: there is one for each number.
#[derive(Debug)]
pub(crate) struct RxQueue {
    port: Arc<Port>,
    queue: u16,
}

/// One transmit queue of a started port. Not `Clone`: there is one for each number.
#[derive(Debug)]
pub(crate) struct TxQueue {
    port: Arc<Port>,
    queue: u16,
}

/// The counters of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct PortCounters {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) missed: u64,
    pub(crate) errors: u64,
    pub(crate) no_mbuf: u64,
}

/// How many queues to receive on, and how packets are spread over them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Queues {
    /// Receive queues.
    pub(crate) count: u16,
    /// The port spreads flows symmetrically over the queues; else a `Spread` does.
    pub(crate) rss: bool,
    /// Packets that each queue holds, unless the driver has another limit.
    pub(crate) descriptors: u16,
}

const TX_DESCRIPTORS: u16 = 512;

/// Toeplitz keys of this period hash (a, b) and (b, a) alike.
const SYMMETRIC_KEY: [u8; 2] = [0x6d, 0x5a];
const RSS_KEY_BYTES: usize = 40;
const RSS_KEY_BYTES_MAX: usize = 128;

impl NewPort {
    /// Makes the port that the arguments describe. The error is DPDK's text.
    pub(crate) fn make(eal: &Arc<Eal>, devargs: &Devargs) -> Result<Self, String> {
        let name = c_string(&devargs.name)?;
        // EAL has already made the PCI devices that it was allowed to see.
        let id = match find(&name) {
            Some(id) if devargs.bus == Bus::Pci => id,
            Some(_) => return Err(format!("there are two ports named {}", devargs.name)),
            None => plug(devargs, &name)?,
        };
        let id = PortId { id, _eal: Arc::clone(eal) };
        let mut info = dpdk_sys::rte_eth_dev_info::default();
        // SAFETY: the port exists; `info` is written.
        check(unsafe { dpdk_sys::rte_eth_dev_info_get(id.id, &raw mut info) })?;
        // SAFETY: the driver's name is a constant of the driver, or null.
        let driver = unsafe { text_of(info.driver_name) };
        Ok(Self { id, info, driver })
    }

    /// The queues for this port with that many workers.
    ///
    /// Virtual devices do not compute hashes, even if they claim to.
    pub(crate) fn queues(&self, devargs: &Devargs, workers: u16) -> Queues {
        let descriptors = devargs.rx_descriptors();
        if devargs.bus == Bus::Vdev {
            return Queues { count: devargs.queues(), rss: false, descriptors };
        }
        let enough = self.info.max_rx_queues >= workers;
        let rss = workers > 1 && enough && rss_hash_functions(&self.info) != 0;
        Queues { count: if rss { workers } else { 1 }, rss, descriptors }
    }

    /// The kernel interface that it is made on or with; some devices have none.
    pub(crate) const fn interface_index(&self) -> Option<u32> {
        if self.info.if_index == 0 { None } else { Some(self.info.if_index) }
    }

    /// Configures and starts the port; received packets come from `pool`. The error is the step
    /// that failed and DPDK's text.
    pub(crate) fn start(self, pool: Mempool, queues: Queues) -> Result<StartedPort, String> {
        let Self { id, info, driver } = self;
        // Drivers of taps want as many queues to send as to receive; some devices have none.
        let tx_queues = queues.count.min(info.max_tx_queues);
        match log::explained(|| start(id.id, &info, &pool, queues, tx_queues)) {
            (Ok(()), _) => {}
            (Err(problem), None) => return Err(problem),
            (Err(problem), Some(cause)) => return Err(format!("{problem}: {cause}")),
        }
        let port = Arc::new(Port { id, driver, queues: queues.count, pool });
        let owner = || Arc::clone(&port);
        let rx = (0..queues.count).map(|queue| RxQueue { port: owner(), queue }).collect();
        let tx = (0..tx_queues).map(|queue| TxQueue { port: owner(), queue }).collect();
        Ok(StartedPort { rx, tx, port })
    }
}

impl Port {
    /// Its driver, for example `net_af_packet`.
    pub(crate) fn driver(&self) -> &str {
        &self.driver
    }

    /// Its receive queues.
    pub(crate) const fn queues(&self) -> u16 {
        self.queues
    }

    /// Where its packet buffers come from.
    pub(crate) const fn pool(&self) -> &Mempool {
        &self.pool
    }

    /// Its counters since it was started; `None` when the driver has none.
    pub(crate) fn counters(&self) -> Option<PortCounters> {
        let mut stats = dpdk_sys::rte_eth_stats::default();
        // SAFETY: the port exists; `stats` is written.
        let code = unsafe { dpdk_sys::rte_eth_stats_get(self.id.id, &raw mut stats) };
        (code == 0).then_some(PortCounters {
            packets: stats.ipackets,
            bytes: stats.ibytes,
            missed: stats.imissed,
            errors: stats.ierrors,
            no_mbuf: stats.rx_nombuf,
        })
    }
}

impl RxQueue {
    /// Receives at most one burst; never waits.
    pub(crate) fn receive(&mut self) -> Burst {
        let mut raw = [ptr::null_mut(); BURST];
        // SAFETY: the port is started while `self.port` lives; `self` is the only value for this
        // queue, and is borrowed mutably; `raw` has room for a burst.
        let count = unsafe {
            dpdk_sys::mos_rx_burst(self.port.id.id, self.queue, raw.as_mut_ptr(), BURST_U16)
        };
        // SAFETY: the first `count` are packets of the port's pool, which lives as long as the
        // port, and they are ours now.
        raw[..usize::from(count)].iter().filter_map(|raw| unsafe { Mbuf::from_raw(*raw) }).collect()
    }
}

impl TxQueue {
    /// Sends the first `most` packets of a burst, or as many as the queue has room for; returns how
    /// many were sent. Never waits.
    pub(crate) fn send(&mut self, burst: &mut Burst, most: usize) -> usize {
        let count = u16::try_from(burst.len().min(most)).unwrap_or(BURST_U16);
        let packets = as_array(burst);
        // SAFETY: the port is started while `self.port` lives; `self` is the only value for this
        // queue, and is borrowed mutably; `packets` are at least `count` packets that are ours.
        let sent = unsafe { dpdk_sys::mos_tx_burst(self.port.id.id, self.queue, packets, count) };
        burst.drain(..usize::from(sent)).for_each(std::mem::forget);
        usize::from(sent)
    }

    /// Where packets to send come from.
    pub(crate) fn pool(&self) -> &Mempool {
        self.port.pool()
    }
}

impl Drop for PortId {
    fn drop(&mut self) {
        // SAFETY: the port exists, and no queue of it is in use: queues own their port.
        let stopped = check(unsafe { dpdk_sys::rte_eth_dev_stop(self.id) });
        // SAFETY: see above; the number is not used again.
        let closed = check(unsafe { dpdk_sys::rte_eth_dev_close(self.id) });
        if let Err(error) = stopped.and(closed) {
            tracing::warn!(port = self.id, error, "the port does not close cleanly");
        }
    }
}

/// The port with this name.
fn find(name: &CStr) -> Option<u16> {
    let mut id = 0;
    // SAFETY: `name` is a string, `id` is written on success.
    let code = unsafe { dpdk_sys::rte_eth_dev_get_port_by_name(name.as_ptr(), &raw mut id) };
    (code == 0).then_some(id)
}

/// Makes a device and gives the number of its port.
fn plug(devargs: &Devargs, name: &CStr) -> Result<u16, String> {
    let bus = c_string(devargs.bus.name())?;
    let arguments = c_string(&devargs.arguments())?;
    let (code, cause) = log::explained(|| {
        // SAFETY: three strings, which DPDK copies.
        unsafe { dpdk_sys::rte_eal_hotplug_add(bus.as_ptr(), name.as_ptr(), arguments.as_ptr()) }
    });
    if code != 0 {
        return Err(cause.unwrap_or_else(|| error_text(-code)));
    }
    find(name).ok_or_else(|| format!("the device {} has no port", devargs.name))
}

fn start(
    id: u16,
    info: &dpdk_sys::rte_eth_dev_info,
    pool: &Mempool,
    queues: Queues,
    tx_queues: u16,
) -> Result<(), String> {
    let (mut rx_descriptors, mut tx_descriptors) = (queues.descriptors, TX_DESCRIPTORS);
    configure(id, info, queues, tx_queues)?;
    // SAFETY: the port is configured; both numbers are read and written.
    let code = unsafe {
        dpdk_sys::rte_eth_dev_adjust_nb_rx_tx_desc(
            id,
            &raw mut rx_descriptors,
            &raw mut tx_descriptors,
        )
    };
    step("the queue sizes are refused", code)?;
    // SAFETY: the port exists. -1, also as an unsigned number, means any node.
    let node = unsafe { dpdk_sys::rte_eth_dev_socket_id(id) }.cast_unsigned();
    for queue in 0..queues.count {
        let pool = pool.as_ptr();
        // SAFETY: the port is configured with that many queues; no configuration means the
        // driver's own; the pool lives longer than the port.
        let code = unsafe {
            dpdk_sys::rte_eth_rx_queue_setup(id, queue, rx_descriptors, node, ptr::null(), pool)
        };
        step("a receive queue cannot be set up", code)?;
    }
    for queue in 0..tx_queues {
        // SAFETY: as above.
        let code = unsafe {
            dpdk_sys::rte_eth_tx_queue_setup(id, queue, tx_descriptors, node, ptr::null())
        };
        step("a transmit queue cannot be set up", code)?;
    }
    // SAFETY: the port is configured and its queues are set up.
    step("it does not start", unsafe { dpdk_sys::rte_eth_dev_start(id) })?;
    // SAFETY: the port exists.
    if let Err(error) = check(unsafe { dpdk_sys::rte_eth_promiscuous_enable(id) }) {
        tracing::debug!(port = id, error, "no promiscuous mode");
    }
    Ok(())
}

fn configure(
    id: u16,
    info: &dpdk_sys::rte_eth_dev_info,
    queues: Queues,
    tx_queues: u16,
) -> Result<(), String> {
    let mut key: [u8; RSS_KEY_BYTES_MAX] =
        std::array::from_fn(|at| SYMMETRIC_KEY[at % SYMMETRIC_KEY.len()]);
    let mut config = dpdk_sys::rte_eth_conf::default();
    // SAFETY: a constant of the shim. Large frames may come in several buffers; checksums are
    // verified where the port can.
    config.rxmode.offloads = info.rx_offload_capa & unsafe { dpdk_sys::mos_rx_offloads };
    if queues.rss {
        let length = match usize::from(info.hash_key_size) {
            0 => RSS_KEY_BYTES,
            length => length.min(RSS_KEY_BYTES_MAX),
        };
        config.rxmode.mq_mode = dpdk_sys::RTE_ETH_MQ_RX_RSS;
        let rss = &mut config.rx_adv_conf.rss_conf;
        rss.rss_key = key.as_mut_ptr();
        rss.rss_key_len = u8::try_from(length).unwrap_or(u8::MAX);
        rss.rss_hf = rss_hash_functions(info);
    }
    // SAFETY: the port exists and is not started; the configuration and the key in it live until
    // the call returns.
    let code =
        unsafe { dpdk_sys::rte_eth_dev_configure(id, queues.count, tx_queues, &raw const config) };
    step("its configuration is refused", code)
}

fn step(problem: &str, code: i32) -> Result<(), String> {
    check(code).map_err(|error| format!("{problem} ({error})"))
}

fn check(code: i32) -> Result<(), String> {
    if code >= 0 { Ok(()) } else { Err(error_text(-code)) }
}

fn c_string(text: &str) -> Result<CString, String> {
    CString::new(text).map_err(|error| error.to_string())
}

/// A string of C as text; empty for a null pointer.
///
/// # Safety
///
/// `text` is null or a terminated string.
unsafe fn text_of(text: *const std::ffi::c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null, and terminated, as the caller says.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

fn rss_hash_functions(info: &dpdk_sys::rte_eth_dev_info) -> u64 {
    // SAFETY: a constant of the shim.
    info.flow_type_rss_offloads & unsafe { dpdk_sys::mos_rss_ip_tcp }
}

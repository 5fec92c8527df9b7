//! DPDK's environment (EAL): started once per process, without any port.
//!
//! EAL is initialised on a thread of its own, because it ties the thread that does it to CPUs.
//! It sees no PCI device unless the configuration names one, and then only the named ones: a
//! device that the machine itself uses is never touched. It shares nothing with other processes.
#![expect(unsafe_code, reason = "starts and ends EAL")]

use std::{
    ffi::{CStr, CString, c_char},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
};

use super::log;
use crate::{config::Hugepages, cpu, meminfo};

/// Why EAL cannot be started, or a thread not registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EalError {
    /// EAL lives once per process.
    #[error("DPDK was started before in this process, which it allows only once")]
    StartedBefore,
    /// Hugepages were asked for.
    #[error(
        "not enough free hugepages: {needed_mib} MiB are needed, {free_mib} MiB are free; reserve \
         some (sysctl vm.nr_hugepages=N), or set hugepages to auto or off"
    )]
    Hugepages {
        /// Needed for all pools.
        needed_mib: u64,
        /// In free hugepages.
        free_mib: u64,
    },
    /// The machine has too little memory in normal pages.
    #[error(
        "not enough memory for packet buffers: {needed_mib} MiB are needed, the machine has \
         {total_mib} MiB; configure fewer of them, or smaller ones"
    )]
    Memory {
        /// Needed for all pools.
        needed_mib: u64,
        /// What the machine has.
        total_mib: u64,
    },
    /// EAL refused to start.
    #[error("DPDK does not start: {cause}")]
    Init {
        /// What it said.
        cause: String,
    },
    /// A thread cannot be registered.
    #[error("DPDK does not take another thread: {cause}")]
    Thread {
        /// What it said.
        cause: String,
    },
    /// EAL could not be ended cleanly.
    #[error("DPDK does not end cleanly: {cause}")]
    Cleanup {
        /// What it said.
        cause: String,
    },
}

/// The configuration of EAL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EalConfig {
    /// CPUs of the main lcore and of EAL's own threads.
    pub(crate) cpus: Vec<usize>,
    /// Whether memory comes from hugepages.
    pub(crate) hugepages: Hugepages,
    /// Memory for all pools and drivers.
    pub(crate) memory: MemoryMib,
    /// PCI devices that EAL may see, with their arguments.
    pub(crate) pci: Vec<String>,
}

/// Memory that is needed, in MiB, from either kind of pages. Normal pages take more, because no
/// packet buffer may cross the border of two pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MemoryMib {
    pub(crate) huge: u64,
    pub(crate) normal: u64,
}

/// EAL, running. It ends when the last owner drops it.
#[derive(Debug)]
pub(crate) struct Eal(());

static STARTED: AtomicBool = AtomicBool::new(false);

impl Eal {
    /// Starts EAL.
    pub(crate) fn start(config: &EalConfig) -> Result<Arc<Self>, EalError> {
        let pages = choose_pages(config.hugepages, config.memory.huge, free_hugepages_mib())?;
        if pages == Pages::Normal {
            let total_mib = meminfo::bytes("MemTotal").map(|bytes| bytes >> 20);
            check_memory(config.memory.normal, total_mib)?;
        }
        if STARTED.swap(true, Relaxed) {
            return Err(EalError::StartedBefore);
        }
        let (arguments, cpus) = (arguments(config, pages), config.cpus.clone());
        tracing::debug!(?arguments, "starting DPDK");
        log::redirect().map_err(|error| EalError::Init { cause: error.to_string() })?;
        let started = thread::Builder::new()
            .name("mos-eal".to_owned())
            .spawn(move || {
                // EAL's threads get the CPUs that its caller may use and no lcore has; if there
                // are none, as here, those of the main lcore.
                cpu::tie_this_thread(&cpus).map_err(|error| error.to_string())?;
                init(&arguments)
            })
            .map_err(|error| EalError::Init { cause: error.to_string() })?
            .join();
        match started {
            Ok(Ok(())) => Ok(Arc::new(Self(()))),
            Ok(Err(cause)) => Err(EalError::Init { cause }),
            Err(_panic) => Err(EalError::Init { cause: "its thread panicked".to_owned() }),
        }
    }

    /// Ends EAL and reports failures. Everything that uses it must have ended before.
    pub(crate) fn end(self: Arc<Self>) -> Result<(), EalError> {
        match Arc::into_inner(self) {
            Some(eal) => {
                std::mem::forget(eal);
                cleanup()
            }
            None => Err(EalError::Cleanup { cause: "something still uses it".to_owned() }),
        }
    }
}

impl Drop for Eal {
    fn drop(&mut self) {
        if let Err(error) = cleanup() {
            tracing::warn!(%error, "after a start that failed");
        }
    }
}

fn cleanup() -> Result<(), EalError> {
    // SAFETY: EAL is initialised, and the caller was its last owner: no port, pool or registered
    // thread is left.
    let (code, cause) = log::explained(|| unsafe { dpdk_sys::rte_eal_cleanup() });
    if code == 0 {
        return Ok(());
    }
    Err(EalError::Cleanup { cause: cause.unwrap_or_else(|| error_text(-code)) })
}

/// Calls `rte_eal_init`; on the thread that becomes the main lcore.
fn init(arguments: &[String]) -> Result<(), String> {
    let owned: Vec<CString> = arguments
        .iter()
        .map(|argument| CString::new(argument.as_str()))
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    let count = i32::try_from(owned.len()).map_err(|error| error.to_string())?;
    // EAL may keep pointers to its arguments and reorder them; it does this once per process.
    let pointers: Vec<*mut c_char> = owned.into_iter().map(CString::into_raw).collect();
    let pointers = pointers.leak();
    let (code, cause) = log::explained(|| {
        // SAFETY: `pointers` are `count` strings that are never freed and are used by EAL alone.
        unsafe { dpdk_sys::rte_eal_init(count, pointers.as_mut_ptr()) }
    });
    if code >= 0 { Ok(()) } else { Err(cause.unwrap_or_else(last_errno)) }
}

/// The text of the calling thread's `rte_errno`.
pub(super) fn last_errno() -> String {
    // SAFETY: reads a variable of this thread.
    error_text(unsafe { dpdk_sys::mos_errno() })
}

/// The text of an errno as DPDK knows it.
pub(super) fn error_text(errno: i32) -> String {
    // SAFETY: takes any number, and gives a buffer of this thread.
    let text = unsafe { dpdk_sys::rte_strerror(errno) };
    if text.is_null() {
        return format!("error {errno}");
    }
    // SAFETY: not null, and terminated; it is copied before the next call could change it.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// The argument vector. Normal pages imply EAL's legacy memory, which refuses `--in-memory`.
fn arguments(config: &EalConfig, pages: Pages) -> Vec<String> {
    let cpus: Vec<String> = config.cpus.iter().map(usize::to_string).collect();
    let mut arguments = vec!["mosd".to_owned(), "--no-telemetry".to_owned()];
    // The main lcore only waits: it floats over all the CPUs that are left to it.
    arguments.extend(["--lcores".to_owned(), format!("0@({})", cpus.join(","))]);
    match pages {
        Pages::Huge => arguments.push("--in-memory".to_owned()),
        Pages::Normal => {
            arguments.extend(["--no-huge".to_owned(), "--no-shconf".to_owned()]);
            arguments.extend(["-m".to_owned(), config.memory.normal.to_string()]);
        }
    }
    if config.pci.is_empty() {
        // Nothing reads memory by its physical address, which would cost a page per packet.
        arguments.extend(["--no-pci".to_owned(), "--iova-mode=va".to_owned()]);
    }
    for device in &config.pci {
        arguments.extend(["-a".to_owned(), device.clone()]);
    }
    arguments
}

/// The pages that packet buffers lie in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pages {
    Huge,
    Normal,
}

impl Pages {
    /// Bytes of one page; of the smallest huge ones.
    pub(crate) const fn bytes(self) -> u64 {
        match self {
            Self::Huge => 2 * 1024 * 1024,
            Self::Normal => 4096,
        }
    }
}

fn choose_pages(wish: Hugepages, needed_mib: u64, free_mib: u64) -> Result<Pages, EalError> {
    let enough = free_mib >= needed_mib;
    match wish {
        Hugepages::Off => Ok(Pages::Normal),
        Hugepages::On | Hugepages::Auto if enough => Ok(Pages::Huge),
        Hugepages::On => Err(EalError::Hugepages { needed_mib, free_mib }),
        Hugepages::Auto => {
            tracing::info!(needed_mib, free_mib, "too few free hugepages: using normal pages");
            Ok(Pages::Normal)
        }
    }
}

/// EAL maps more than the machine has without an error, and the kernel would kill us on use.
fn check_memory(needed_mib: u64, total_mib: Option<u64>) -> Result<(), EalError> {
    match total_mib.filter(|total_mib| *total_mib < needed_mib) {
        Some(total_mib) => Err(EalError::Memory { needed_mib, total_mib }),
        None => Ok(()),
    }
}

/// Memory in free hugepages of all sizes, in MiB; none where the kernel does not say.
fn free_hugepages_mib() -> u64 {
    let Ok(sizes) = std::fs::read_dir("/sys/kernel/mm/hugepages") else { return 0 };
    let free_kib = |folder: &std::path::Path| {
        let name = folder.file_name()?.to_str()?;
        let kib: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
        let pages = std::fs::read_to_string(folder.join("free_hugepages")).ok()?;
        Some(kib * pages.trim().parse::<u64>().ok()?)
    };
    sizes.flatten().filter_map(|size| free_kib(&size.path())).sum::<u64>() / 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pci: &[&str]) -> EalConfig {
        EalConfig {
            cpus: vec![2, 5],
            hugepages: Hugepages::Off,
            memory: MemoryMib { huge: 48, normal: 64 },
            pci: pci.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn pci_is_not_scanned_unless_a_device_is_named() {
        let text = arguments(&config(&[]), Pages::Normal).join(" ");
        assert_eq!(
            text,
            "mosd --no-telemetry --lcores 0@(2,5) --no-huge --no-shconf -m 64 --no-pci \
             --iova-mode=va"
        );
        let text = arguments(&config(&["0000:01:00.0", "0000:02:00.0,x=1"]), Pages::Huge).join(" ");
        assert_eq!(
            text,
            "mosd --no-telemetry --lcores 0@(2,5) --in-memory -a 0000:01:00.0 -a 0000:02:00.0,x=1"
        );
    }

    #[test]
    fn hugepages_are_used_where_there_are_enough() {
        assert_eq!(choose_pages(Hugepages::Auto, 10, 10), Ok(Pages::Huge));
        assert_eq!(choose_pages(Hugepages::Auto, 10, 9), Ok(Pages::Normal));
        assert_eq!(choose_pages(Hugepages::Off, 10, 100), Ok(Pages::Normal));
        assert_eq!(
            choose_pages(Hugepages::On, 10, 9),
            Err(EalError::Hugepages { needed_mib: 10, free_mib: 9 })
        );
    }

    #[test]
    fn more_memory_than_the_machine_has_is_refused() {
        assert_eq!(check_memory(10, Some(10)), Ok(()));
        assert_eq!(check_memory(10, None), Ok(()));
        let error = EalError::Memory { needed_mib: 11, total_mib: 10 };
        assert_eq!(check_memory(11, Some(10)), Err(error));
    }

    #[test]
    fn errors_of_dpdk_have_texts() {
        assert_eq!(error_text(2), "No such file or directory");
    }
}

//! The configuration of the dataplane: types, units and defaults. The server reads it from a file
//! or arguments.

use std::{
    ffi::OsStr,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use mos_stack::Limits;

/// Everything that [`crate::Dataplane::start`] needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Workers, 1 to 512.
    pub workers: u16,
    /// CPUs for the workers, in order. When empty, they are chosen from those that the process may
    /// use; the first allowed CPU is left to the control plane if there is more than one.
    pub cpus: Vec<usize>,
    /// Ports, in order.
    pub ports: Vec<PortConfig>,
    /// Packet memory.
    pub memory: MemoryConfig,
    /// What a worker does when there is nothing to do; `None`: chosen by [`IdleMode::suiting`].
    pub idle: Option<IdleMode>,
    /// Bounds and defaults of each worker's stack.
    pub limits: Limits,
    /// Seed of the hash of the flow tables; `None`: random.
    pub seed: Option<u64>,
}

/// One source of packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortConfig {
    /// A DPDK port: the devargs of a virtual device (`net_af_packet0,iface=eth1`), or a PCI
    /// address with optional arguments (`0000:01:00.0`).
    Dpdk(String),
    /// A capture file, pcap or pcapng, read once; its own timestamps are the clock.
    Capture(PathBuf),
    /// The embedded demo traffic.
    Demo(DemoConfig),
    /// Frames from memory, sent in a loop through a ring of DPDK as fast as it takes them: for
    /// benchmarks. It has no text form.
    Looped(LoopedFrames),
}

impl fmt::Display for PortConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dpdk(devargs) => f.write_str(devargs),
            Self::Capture(path) => path.display().fmt(f),
            Self::Demo(_) => f.write_str("demo"),
            Self::Looped(_) => f.write_str("frames from memory"),
        }
    }
}

/// A text that names no port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` names no port; a port is one of: `af_packet:INTERFACE`, `tap:NAME`, \
     `capture:FILE` or a FILE that ends in .pcap, .pcapng or .cap, a PCI address \
     (`0000:01:00.0`), the devargs of a virtual device (`net_af_packet0,iface=eth1`), `demo`"
)]
pub struct PortConfigError(pub String);

/// Interfaces that have a short form, and their drivers.
const SHORT_FORMS: [(&str, &str); 2] = [("af_packet:", "net_af_packet"), ("tap:", "net_tap")];

/// Ends of the names of captures.
const CAPTURES: [&str; 3] = ["pcap", "pcapng", "cap"];

impl FromStr for PortConfig {
    type Err = PortConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text == "demo" {
            return Ok(Self::Demo(DemoConfig::default()));
        }
        if let Some(path) = text.strip_prefix("capture:").filter(|path| !path.is_empty()) {
            return Ok(Self::Capture(path.into()));
        }
        for (prefix, driver) in SHORT_FORMS {
            match text.strip_prefix(prefix) {
                Some(name) if is_interface(name) => {
                    return Ok(Self::Dpdk(format!("{driver}_{name},iface={name}")));
                }
                Some(_) | None => {}
            }
        }
        if text.starts_with("net_") || is_pci_address(text.split(',').next().unwrap_or(text)) {
            return Ok(Self::Dpdk(text.to_owned()));
        }
        let end = Path::new(text).extension().and_then(OsStr::to_str);
        match end.filter(|end| CAPTURES.contains(end)) {
            Some(_) => Ok(Self::Capture(text.into())),
            None => Err(PortConfigError(text.to_owned())),
        }
    }
}

/// Whether both the kernel and DPDK's devargs accept this as the name of an interface.
fn is_interface(name: &str) -> bool {
    (1..=15).contains(&name.len())
        && !name.contains(|char: char| char.is_whitespace() || ",/=".contains(char))
}

/// Whether this is `[DOMAIN:]BUS:DEVICE.FUNCTION`, in hexadecimal digits.
pub(crate) fn is_pci_address(text: &str) -> bool {
    let is_hex = |part: &str, most: usize| {
        (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let Some((slot, function)) = text.rsplit_once('.') else { return false };
    let parts: Vec<&str> = slot.split(':').collect();
    let slot_is_right = match parts.as_slice() {
        [domain, bus, device] => is_hex(domain, 8) && is_hex(bus, 2) && is_hex(device, 2),
        [bus, device] => is_hex(bus, 2) && is_hex(device, 2),
        _ => false,
    };
    slot_is_right && is_hex(function, 1)
}

/// The embedded demo traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DemoConfig {
    /// Conversations at once.
    pub flows: u32,
    /// Packets per second.
    pub rate_pps: u32,
    /// Seed: the same seed makes the same conversations.
    pub seed: u64,
}

/// Frames that are sent in this order, in a loop; at least one.
#[derive(Clone, PartialEq, Eq)]
pub struct LoopedFrames(pub Arc<[Vec<u8>]>);

impl fmt::Debug for LoopedFrames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LoopedFrames({})", self.0.len())
    }
}

impl Default for DemoConfig {
    /// Takes a few percent of one CPU.
    fn default() -> Self {
        Self { flows: 64, rate_pps: 2000, seed: 1 }
    }
}

/// Packet memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryConfig {
    /// Whether packet buffers come from hugepages.
    pub hugepages: Hugepages,
    /// Packet buffers in each port's pool.
    pub mbufs: u32,
    /// Bytes of one packet buffer's data room; larger frames arrive in several and are counted.
    pub mbuf_bytes: u16,
}

impl Default for MemoryConfig {
    /// 32 MiB for each port: some ten milliseconds of a busy 10 Gbit/s link.
    fn default() -> Self {
        Self { hugepages: Hugepages::Auto, mbufs: 16_384, mbuf_bytes: 2048 }
    }
}

/// Whether packet buffers come from hugepages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hugepages {
    /// From hugepages if enough are free, else from normal pages.
    Auto,
    /// From hugepages; it is an error when not enough are free.
    On,
    /// From normal pages (EAL's `--no-huge`).
    Off,
}

/// What a worker does when there is nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdleMode {
    /// Polls without a pause: least latency, a whole CPU.
    Busy,
    /// Polls; after some polls without work, sleeps for tens of microseconds between them.
    Adaptive,
    /// Sleeps for 1 ms between polls as soon as there is no work.
    Sleep,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> PortConfig {
        text.parse().unwrap()
    }

    fn dpdk(devargs: &str) -> PortConfig {
        PortConfig::Dpdk(devargs.to_owned())
    }

    #[test]
    fn every_form_of_a_port_is_read() {
        assert_eq!(parse("demo"), PortConfig::Demo(DemoConfig::default()));
        assert_eq!(parse("capture:a b"), PortConfig::Capture("a b".into()));
        assert_eq!(parse("./x.pcapng"), PortConfig::Capture("./x.pcapng".into()));
        assert_eq!(parse("net_null0,size=64"), dpdk("net_null0,size=64"));
        assert_eq!(parse("net_pcap0,rx_pcap=x.pcap"), dpdk("net_pcap0,rx_pcap=x.pcap"));
        assert_eq!(parse("01:00.0"), dpdk("01:00.0"));
        assert_eq!(parse("0000:01:00.0,a=b"), dpdk("0000:01:00.0,a=b"));
        assert_eq!(parse("af_packet:eth1"), dpdk("net_af_packet_eth1,iface=eth1"));
        assert_eq!(parse("tap:mon0"), dpdk("net_tap_mon0,iface=mon0"));
    }

    #[test]
    fn what_is_no_port_is_refused_with_all_forms() {
        for text in ["", "eth0", "capture:", "af_packet:", "tap:a,b", "af_packet:far-too-long-name"]
        {
            let error = PortConfig::from_str(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{text}` names no port")), "{error}");
            assert!(error.contains("af_packet:INTERFACE"), "{error}");
        }
    }

    #[test]
    fn a_port_prints_as_it_is_written() {
        for text in ["demo", "x.pcap", "net_null0,size=64", "0000:01:00.0"] {
            assert_eq!(parse(text).to_string(), text);
        }
    }

    #[test]
    fn pci_addresses_are_told_from_names() {
        for address in ["0000:01:00.0", "01:00.0", "10000:e1:1f.7"] {
            assert!(is_pci_address(address), "{address}");
        }
        for other in ["net_null0", "1.pcap", "01:00", "0000:01:00.g", "a:b:c:d.0", ""] {
            assert!(!is_pci_address(other), "{other}");
        }
    }
}

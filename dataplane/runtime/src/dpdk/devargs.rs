//! The text that describes a DPDK device: `NAME[,KEY=VALUE]...`, or a PCI address with the same.
//!
//! Pure. Adds the arguments that a monitor needs and the user did not give: `af_packet` rings that
//! are large enough for a burst.

use crate::config::is_pci_address;

/// The bus that a device is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bus {
    /// Devices made by software.
    Vdev,
    /// Devices of the machine.
    Pci,
}

impl Bus {
    /// Its name in DPDK.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Vdev => "vdev",
            Self::Pci => "pci",
        }
    }
}

/// A device and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Devargs {
    pub(crate) bus: Bus,
    /// `net_af_packet0`, `0000:01:00.0`.
    pub(crate) name: String,
    keys: Vec<(String, String)>,
}

/// Size of a slot in an `af_packet` ring: a frame of 1518 bytes, a tag, and the kernel's header.
const SLOT_BYTES: u32 = 2048;
/// Size of one block of such a ring, in bytes; holds whole slots.
const BLOCK_BYTES: u32 = 64 * 1024;
/// Slots of such a ring: 32 MiB. The default, 512, loses most of a burst.
const SLOTS: u32 = 16_384;

/// Packets that a receive queue holds.
const RX_DESCRIPTORS: u16 = 1024;
/// The same for `net_af_xdp`: as many as the buffers that its driver gives the kernel to fill. A
/// shorter ring is full first, and then buffers wait in vain.
const RX_DESCRIPTORS_XDP: u16 = 2048;

impl Devargs {
    /// Reads the text. The error says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',');
        let name = parts.next().unwrap_or_default().trim().to_owned();
        let keys = parts
            .map(|part| match part.split_once('=') {
                Some((key, value)) if !key.trim().is_empty() => {
                    Ok((key.trim().to_owned(), value.trim().to_owned()))
                }
                Some(_) | None => Err(format!("`{part}` is not KEY=VALUE")),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let bus = if is_pci_address(&name) { Bus::Pci } else { Bus::Vdev };
        if bus == Bus::Vdev && !name.starts_with("net_") {
            return Err(format!(
                "`{name}` is neither a PCI address (0000:01:00.0) nor a virtual device (net_...)"
            ));
        }
        Ok(Self { bus, name: full_pci_address(name, bus), keys }.with_defaults())
    }

    /// The name and the arguments, as EAL's allow-list wants them.
    pub(crate) fn full(&self) -> String {
        match self.arguments() {
            arguments if arguments.is_empty() => self.name.clone(),
            arguments => format!("{},{arguments}", self.name),
        }
    }

    /// The arguments alone.
    pub(crate) fn arguments(&self) -> String {
        let pairs: Vec<String> =
            self.keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
        pairs.join(",")
    }

    /// Whether the device is made by this driver.
    pub(crate) fn is(&self, driver: &str) -> bool {
        self.bus == Bus::Vdev && self.name.starts_with(driver)
    }

    /// Kernel interfaces that must exist before the device is made.
    pub(crate) fn interfaces(&self) -> Vec<&str> {
        let wanted: &[&str] = if self.is("net_af_packet") || self.is("net_af_xdp") {
            &["iface"]
        } else if self.is("net_pcap") {
            &["iface", "rx_iface", "rx_iface_in"]
        } else if self.is("net_tap") {
            &["remote"]
        } else {
            &[]
        };
        let mut names: Vec<&str> = Vec::new();
        for (_, value) in self.keys.iter().filter(|(key, _)| wanted.contains(&key.as_str())) {
            if !names.contains(&value.as_str()) {
                names.push(value);
            }
        }
        names
    }

    /// The kernel interface that making the device makes.
    pub(crate) fn made_interface(&self) -> Option<&str> {
        if self.is("net_tap") { self.value("iface") } else { None }
    }

    /// Capture files that must exist before the device is made.
    pub(crate) fn files(&self) -> impl Iterator<Item = &str> {
        let wanted = self.is("net_pcap");
        self.keys
            .iter()
            .filter(move |(key, _)| wanted && key == "rx_pcap")
            .map(|(_, value)| value.as_str())
    }

    /// Receive queues of a virtual device: as many as the arguments ask for. Packets arrive in all
    /// of them, so all must be polled.
    pub(crate) fn queues(&self) -> u16 {
        let count = if self.is("net_af_packet") {
            self.value("qpairs").and_then(|value| value.parse().ok()).unwrap_or(1)
        } else if self.is("net_pcap") {
            let sources = ["iface", "rx_pcap", "rx_iface", "rx_iface_in"];
            self.keys.iter().filter(|(key, _)| sources.contains(&key.as_str())).count()
        } else {
            1
        };
        u16::try_from(count.max(1)).unwrap_or(u16::MAX)
    }

    /// Packets that each receive queue is to hold.
    pub(crate) fn rx_descriptors(&self) -> u16 {
        if self.is("net_af_xdp") { RX_DESCRIPTORS_XDP } else { RX_DESCRIPTORS }
    }

    fn value(&self, key: &str) -> Option<&str> {
        self.keys.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    fn with_defaults(mut self) -> Self {
        let ring = ["blocksz", "framesz", "framecnt"];
        if self.is("net_af_packet") && ring.iter().all(|key| self.value(key).is_none()) {
            let sizes = [BLOCK_BYTES, SLOT_BYTES, SLOTS];
            let pairs = ring.iter().zip(sizes);
            self.keys.extend(pairs.map(|(key, value)| ((*key).to_owned(), value.to_string())));
        }
        self
    }
}

/// DPDK names PCI devices with their domain.
fn full_pci_address(name: String, bus: Bus) -> String {
    if bus == Bus::Pci && name.matches(':').count() == 1 { format!("0000:{name}") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_on_the_bus_that_their_name_tells() {
        let nic = Devargs::parse("01:00.0,x=1").unwrap();
        assert_eq!((nic.bus, nic.full().as_str()), (Bus::Pci, "0000:01:00.0,x=1"));
        let ring = Devargs::parse("net_ring0").unwrap();
        assert_eq!((ring.bus, ring.full().as_str()), (Bus::Vdev, "net_ring0"));
    }

    #[test]
    fn what_is_no_device_is_refused_with_the_reason() {
        let problem = |text| Devargs::parse(text).unwrap_err();
        assert!(problem("eth0").contains("`eth0` is neither"));
        assert!(problem("").contains("neither"));
        assert_eq!(problem("net_null0,copy"), "`copy` is not KEY=VALUE");
        assert_eq!(problem("net_null0,=1"), "`=1` is not KEY=VALUE");
    }

    #[test]
    fn af_packet_gets_generous_rings_unless_the_user_gave_some() {
        let given = Devargs::parse("net_af_packet0,iface=eth1").unwrap();
        assert_eq!(given.arguments(), "iface=eth1,blocksz=65536,framesz=2048,framecnt=16384");
        let own = Devargs::parse("net_af_packet0,iface=eth1,framecnt=64").unwrap();
        assert_eq!(own.arguments(), "iface=eth1,framecnt=64");
    }

    #[test]
    fn interfaces_and_files_are_known_by_driver() {
        let parse = |text| Devargs::parse(text).unwrap();
        assert_eq!(parse("net_af_packet0,iface=a").interfaces(), ["a"]);
        assert_eq!(parse("net_pcap0,iface=a,tx_iface=b,rx_iface=a").interfaces(), ["a"]);
        assert_eq!(parse("net_tap0,iface=t,remote=a").interfaces(), ["a"]);
        assert_eq!(parse("net_tap0,iface=t").made_interface(), Some("t"));
        assert!(parse("net_null0,iface=a").interfaces().is_empty());
        let files = parse("net_pcap0,rx_pcap=/x,rx_pcap=/y,tx_pcap=/z");
        assert_eq!(files.files().collect::<Vec<_>>(), ["/x", "/y"]);
    }

    #[test]
    fn all_queues_that_the_arguments_ask_for_are_polled() {
        let queues = |text| Devargs::parse(text).unwrap().queues();
        assert_eq!(queues("net_af_packet0,iface=a"), 1);
        assert_eq!(queues("net_af_packet0,iface=a,qpairs=4"), 4);
        assert_eq!(queues("net_pcap0,rx_pcap=/x,rx_pcap=/y,tx_pcap=/z"), 2);
        assert_eq!(queues("net_null0"), 1);
    }
}

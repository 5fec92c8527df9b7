//! From the configuration to what is started, checked as far as that needs no machine.
//!
//! `mosd run` and `mosd check` both make the plan, so that they say the same.

use std::net::{IpAddr, SocketAddr};

use mos_dataplane::{
    Dataplane, StartError,
    config::{self as runtime, DemoConfig, IdleMode, MemoryConfig, PortConfig},
};
use mos_text::Address;

use crate::{
    boot::{
        config::{Config, ConfigError, ConfigFile, Hugepages, Idle},
        policies, roles, tls,
    },
    net::listen::ListenError,
};

/// Bytes of a Unix socket's path, at most: `sun_path` without its end.
const SOCKET_PATH_MAX: usize = 107;

/// What the dataplane starts with; the listeners are checked, too.
///
/// # Errors
///
/// A port that cannot be read, with its place in the file, or values that contradict each other.
pub(super) fn plan(file: &ConfigFile) -> Result<runtime::Config, ConfigError> {
    let planned = dataplane(file)?;
    Dataplane::check(&planned).map_err(|error| ConfigError::Contradiction(error.to_string()))?;
    listeners(&file.config)?;
    roles::grants(&file.config)?;
    policies::check(&file.config, &planned.limits)?;
    tls::keys(&file.config)?;
    Ok(planned)
}

/// Looks for what the plan names on this machine.
///
/// # Errors
///
/// The CPU, the capture or the interface that is not there.
pub(super) fn probe(planned: &runtime::Config) -> Result<(), StartError> {
    Dataplane::probe(planned)
}

/// Checks where the process listens.
fn listeners(config: &Config) -> Result<(), ConfigError> {
    let contradiction = |text: String| Err(ConfigError::Contradiction(text));
    let addresses = &config.server.listen;
    if addresses.is_empty() {
        return contradiction("server.listen names no address: nobody could be served".to_owned());
    }
    let metrics = config.metrics.listen.map(Address::Tcp);
    let mut taken: Vec<&Address> = Vec::new();
    for address in addresses.iter().chain(&metrics) {
        if taken.iter().any(|other| overlap(address, other)) {
            return contradiction(format!("{address} is listened on twice"));
        }
        taken.push(address);
        match address {
            Address::Unix(path) if path.as_os_str().len() > SOCKET_PATH_MAX => {
                let length = path.as_os_str().len();
                return contradiction(format!(
                    "the path of {address} has {length} bytes: a socket's has {SOCKET_PATH_MAX} \
                     at most"
                ));
            }
            Address::Unix(_) | Address::Tcp(_) | Address::Tls(_) => {}
        }
    }
    match exposed(config).first() {
        Some(address) if !config.server.insecure => {
            contradiction(ListenError::Insecure(*address).to_string())
        }
        Some(_) | None => Ok(()),
    }
}

/// Where the configuration has plain text served beyond this machine.
pub(super) fn exposed(config: &Config) -> Vec<SocketAddr> {
    let plain = config.server.listen.iter().filter_map(|address| match address {
        Address::Tcp(address) => Some(*address),
        Address::Unix(_) | Address::Tls(_) => None,
    });
    let beyond = |address: &SocketAddr| !address.ip().is_loopback();
    plain.chain(config.metrics.listen).filter(beyond).collect()
}

/// Whether two sockets cannot both listen there. Port 0 is never the same.
fn overlap(a: &Address, b: &Address) -> bool {
    let covers = |a: SocketAddr, b: SocketAddr| match (a.ip(), b.ip()) {
        // The unspecified IPv6 address takes connections of IPv4, too.
        (IpAddr::V6(ip), _) if ip.is_unspecified() => true,
        (IpAddr::V4(ip), IpAddr::V4(_)) if ip.is_unspecified() => true,
        (a, b) => a == b,
    };
    match (a.ip(), b.ip()) {
        (Some(a), Some(b)) => {
            a.port() == b.port() && a.port() != 0 && (covers(a, b) || covers(b, a))
        }
        (None, None) => a == b,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// What the dataplane starts with.
fn dataplane(file: &ConfigFile) -> Result<runtime::Config, ConfigError> {
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
    Ok(runtime::Config {
        workers: dataplane.workers,
        cpus: dataplane.cpus.clone(),
        ports,
        memory: MemoryConfig {
            hugepages: match dataplane.hugepages {
                Hugepages::Auto => runtime::Hugepages::Auto,
                Hugepages::On => runtime::Hugepages::On,
                Hugepages::Off => runtime::Hugepages::Off,
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::boot::config::Spanned;

    fn read(text: &str) -> ConfigFile {
        ConfigFile::parse(Path::new("mosd.toml"), text.to_owned()).unwrap()
    }

    #[test]
    fn the_demo_port_gets_what_the_section_demo_says() {
        let file =
            read("ports = [\"demo\", \"x.pcap\"]\n[demo]\nflows = 7\nrate_pps = 9\nseed = 3");
        let demo = DemoConfig { flows: 7, rate_pps: 9, seed: 3 };
        let ports = dataplane(&file).unwrap().ports;
        assert_eq!(ports, [PortConfig::Demo(demo), PortConfig::Capture("x.pcap".into())]);
    }

    #[test]
    fn a_port_that_cannot_be_read_is_told_with_its_place() {
        let error = dataplane(&read("\nports = [\"demo\", \"nowhere\"]")).unwrap_err();
        assert!(error.to_string().starts_with("mosd.toml, line 2, column 18: "), "{error}");
        let mut file = ConfigFile::default();
        file.config.ports = vec![Spanned::new(0..0, "nowhere".to_owned())];
        let error = dataplane(&file).unwrap_err().to_string();
        assert!(error.starts_with("--port: "), "{error}");
    }

    #[track_caller]
    fn refused(text: &str, part: &str) {
        let error = plan(&read(text)).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }

    #[test]
    fn listeners_that_cannot_all_be_bound_are_refused() {
        let server = |listen: &str| format!("[server]\nlisten = [{listen}]\n");
        let unix = |length: usize| format!("\"unix:///{}\"", "x".repeat(length - 1));
        refused(&server(""), "names no address");
        refused(&server("\"192.0.2.1:1\""), "--insecure");
        refused(&server(&unix(108)), "107 at most");
        plan(&read(&server(&unix(107)))).unwrap();
        for (a, b) in [
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:1", "127.0.0.1:1"),
            ("[::]:1", "0.0.0.0:1"),
            ("unix:///x", "unix:/x"),
        ] {
            for (a, b) in [(a, b), (b, a)] {
                let listen = server(&format!("\"{a}\", \"{b}\"")) + "insecure = true\n";
                refused(&listen, "listened on twice");
            }
        }
        for listen in ["\"127.0.0.1:0\", \"127.0.0.1:0\"", "\"127.0.0.1:1\", \"[::1]:1\""] {
            plan(&read(&server(listen))).unwrap();
        }
        let metrics = server("\"127.0.0.1:1\"") + "[metrics]\nlisten = \"127.0.0.1:1\"\n";
        refused(&metrics, "listened on twice");
        refused("[metrics]\nlisten = \"192.0.2.1:1\"\n", "--insecure");
    }

    #[test]
    fn what_the_dataplane_would_refuse_is_refused() {
        refused("[dataplane]\nworkers = 2\ncpus = [1]\n", "1 CPUs for 2 workers");
        refused("[dataplane]\nworkers = 2\ncpus = [1, 1]\n", "CPU 1 for two workers");
        refused("ports = [\"x.pcap\", \"demo\"]\n", "must be the only port");
        refused("[limits]\nbuffer_max = \"4KiB\"\n", "buffer_max");
        assert_eq!(plan(&ConfigFile::default()).unwrap().ports, [], "they may come later");
    }
}

//! From the configuration to what the dataplane is started with.

use mos_dataplane::config::{self as runtime, DemoConfig, IdleMode, MemoryConfig, PortConfig};

use crate::boot::config::{Config, ConfigError, ConfigFile, Hugepages, Idle};

/// What the dataplane starts with.
///
/// # Errors
///
/// A port that cannot be read, with its place in the file, or limits that contradict each other.
pub(super) fn dataplane(file: &ConfigFile) -> Result<runtime::Config, ConfigError> {
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
}

//! Section `[tunnels]`: which tunnels are opened.

use mos_stack::{TUNNEL_PORTS_MAX, TunnelKind, TunnelPorts, Tunnels as Opened};
use serde::{Deserialize, Deserializer, Serialize, de::Error};

use super::checked;

/// Section `[tunnels]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tunnels {
    /// Most tunnels of one frame.
    #[serde(deserialize_with = "checked::tunnel_depth")]
    pub depth_max: u8,
    /// UDP ports of VXLAN.
    #[serde(deserialize_with = "ports")]
    pub vxlan_ports: Vec<u16>,
    /// UDP ports of GENEVE.
    #[serde(deserialize_with = "ports")]
    pub geneve_ports: Vec<u16>,
    /// UDP ports of GTP-U.
    #[serde(deserialize_with = "ports")]
    pub gtpu_ports: Vec<u16>,
    /// Kinds that are not opened.
    #[serde(deserialize_with = "kinds")]
    pub off: Vec<String>,
}

impl Default for Tunnels {
    fn default() -> Self {
        Self {
            depth_max: Opened::default().depth_max,
            vxlan_ports: vec![4789],
            geneve_ports: vec![6081],
            gtpu_ports: vec![2152],
            off: Vec::new(),
        }
    }
}

impl Tunnels {
    /// As the stack has them.
    pub(super) fn opened(&self) -> Opened {
        let of = |ports: &[u16]| {
            let add = |known: TunnelPorts, port: &u16| known.with(*port).unwrap_or(known);
            ports.iter().fold(TunnelPorts::NONE, add)
        };
        let opened = Opened {
            depth_max: self.depth_max,
            vxlan: of(&self.vxlan_ports),
            geneve: of(&self.geneve_ports),
            gtpu: of(&self.gtpu_ports),
            ..Opened::default()
        };
        let is_off = |kind: &TunnelKind| self.off.iter().any(|word| word == kind.as_str());
        TunnelKind::ALL.into_iter().filter(is_off).fold(opened, Opened::without)
    }
}

fn ports<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u16>, D::Error> {
    let ports = Vec::<u16>::deserialize(deserializer)?;
    if ports.len() > TUNNEL_PORTS_MAX {
        let count = ports.len();
        return Err(D::Error::custom(format_args!(
            "{count} ports are too many: {TUNNEL_PORTS_MAX} at most"
        )));
    }
    if ports.contains(&0) {
        return Err(D::Error::custom("0 is no port; [] switches the tunnel off"));
    }
    Ok(ports)
}

fn kinds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let words = Vec::<String>::deserialize(deserializer)?;
    let is_unknown = |word: &&String| !TunnelKind::ALL.iter().any(|kind| kind.as_str() == **word);
    match words.iter().find(is_unknown) {
        Some(unknown) => {
            let known = TunnelKind::ALL.map(TunnelKind::as_str).join(", ");
            Err(D::Error::custom(format_args!("\"{unknown}\" is none of {known}")))
        }
        None => Ok(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Opened, String> {
        toml::from_str::<Tunnels>(text)
            .map(|section| section.opened())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_are_those_of_the_stack() {
        assert_eq!(read(""), Ok(Opened::default()));
    }

    #[test]
    fn ports_and_kinds_are_read_and_checked() {
        let opened = read("depth_max = 2\nvxlan_ports = [4789, 8472]\noff = [\"gre\"]").unwrap();
        let expected = Opened {
            depth_max: 2,
            vxlan: TunnelPorts::one(4789).with(8472).unwrap(),
            ..Opened::default()
        };
        assert_eq!(opened, expected.without(TunnelKind::Gre));
        for (text, words) in [
            ("depth_max = 5", "depth_max = 5 is not in 0 to 4"),
            ("vxlan_ports = [1, 2, 3, 4, 5]", "5 ports are too many: 4 at most"),
            ("geneve_ports = [0]", "0 is no port"),
            ("off = [\"teredo\"]", "\"teredo\" is none of mpls, pppoe, nsh, gre, erspan, ipip"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}

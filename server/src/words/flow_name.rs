//! The names by which a request may mean a flow: its handle, or its tuple in either direction.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use mos_stack::{FlowId, FlowTuple};

/// Prefix of a handle's full name.
pub(crate) const COLLECTION: &str = "flows/";

/// A flow as a request names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowName {
    /// `flows/{16 hex digits}`, or the digits alone.
    Handle(FlowId),
    /// `tcp/A:P-B:P[@vlan]`, IPv6 addresses in brackets. `client` is what stands first.
    Tuple(FlowTuple),
}

/// Why a text names no flow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlowNameError {
    /// Nothing was given.
    #[error("a flow is required: flows/{{16 hex digits}} or tcp/CLIENT:PORT-SERVER:PORT[@vlan]")]
    Empty,
    /// It names something, but no flow.
    #[error("{0:?} does not name a flow")]
    OtherResource(String),
    /// The handle is not 16 hexadecimal digits below 2^63.
    #[error("{0:?} is not a flow handle: 16 hexadecimal digits, the first of them 0 to 7")]
    Handle(String),
    /// The tuple cannot be read.
    #[error("{text:?} is not a flow tuple: {problem}")]
    Tuple {
        /// What was given.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl FromStr for FlowName {
    type Err = FlowNameError;

    fn from_str(text: &str) -> Result<Self, FlowNameError> {
        if text.is_empty() {
            return Err(FlowNameError::Empty);
        }
        if let Some(tuple) = text.strip_prefix("tcp/") {
            return parse_tuple(tuple)
                .map(Self::Tuple)
                .map_err(|problem| FlowNameError::Tuple { text: text.to_owned(), problem });
        }
        let digits = text.strip_prefix(COLLECTION).unwrap_or(text);
        if digits.contains('/') {
            return Err(FlowNameError::OtherResource(text.to_owned()));
        }
        parse_handle(digits).map(Self::Handle).ok_or_else(|| FlowNameError::Handle(text.to_owned()))
    }
}

impl fmt::Display for FlowName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handle(id) => write!(f, "{COLLECTION}{id}"),
            Self::Tuple(FlowTuple { client, server, vlan }) => {
                write!(f, "tcp/{client}-{server}")?;
                vlan.map_or(Ok(()), |vlan| write!(f, "@{vlan}"))
            }
        }
    }
}

fn parse_handle(digits: &str) -> Option<FlowId> {
    let is_handle = digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_handle {
        return None;
    }
    FlowId::from_bits(u64::from_str_radix(digits, 16).ok()?)
}

fn parse_tuple(text: &str) -> Result<FlowTuple, &'static str> {
    let (ends, vlan) = match text.split_once('@') {
        Some((ends, vlan)) => (ends, Some(parse_vlan(vlan)?)),
        None => (text, None),
    };
    let (client, server) = ends.split_once('-').ok_or("expected CLIENT:PORT-SERVER:PORT")?;
    let (client, server) = (parse_end(client)?, parse_end(server)?);
    if client.is_ipv4() != server.is_ipv4() {
        return Err("one address is IPv4 and the other IPv6");
    }
    if client == server {
        return Err("both ends are the same");
    }
    Ok(FlowTuple { client, server, vlan })
}

fn parse_vlan(text: &str) -> Result<u16, &'static str> {
    let vlan: u16 = text.parse().map_err(|_not_a_number| "the VLAN id is not a number")?;
    if vlan < 4096 { Ok(vlan) } else { Err("the VLAN id is above 4095") }
}

fn parse_end(text: &str) -> Result<SocketAddr, &'static str> {
    let (address, port): (IpAddr, _) = if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once("]:").ok_or("expected [IPv6]:PORT")?;
        (address.parse::<Ipv6Addr>().map_err(|_bad| "not an IPv6 address")?.into(), port)
    } else {
        let (address, port) = text.split_once(':').ok_or("expected ADDRESS:PORT")?;
        if port.contains(':') {
            return Err("an IPv6 address stands in brackets");
        }
        (address.parse::<Ipv4Addr>().map_err(|_bad| "not an IPv4 address")?.into(), port)
    };
    let port: u16 = port.parse().map_err(|_not_a_port| "the port is not 0 to 65535")?;
    Ok(SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_read_with_and_without_its_collection() {
        let id = FlowId::from_bits(0x00c0_04a9_00c9_01f2).unwrap();
        for text in ["flows/00c004a900c901f2", "00c004a900c901f2", "00C004A900C901F2"] {
            assert_eq!(text.parse(), Ok(FlowName::Handle(id)), "{text}");
        }
        assert_eq!(FlowName::Handle(id).to_string(), "flows/00c004a900c901f2");
    }

    #[test]
    fn tuples_of_both_ip_versions_are_read_and_printed_alike() {
        for text in [
            "tcp/10.0.0.1:43512-192.0.2.10:443",
            "tcp/10.0.0.1:43512-192.0.2.10:443@100",
            "tcp/[2001:db8::1]:43512-[2001:db8::2]:443@0",
        ] {
            assert_eq!(text.parse::<FlowName>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_names_no_flow_is_refused_with_the_reason() {
        assert_eq!("".parse::<FlowName>(), Err(FlowNameError::Empty));
        for text in ["flows/", "flows/12", "8000000000000000", "+0c004a900c901f2", "xyz"] {
            assert!(matches!(text.parse::<FlowName>(), Err(FlowNameError::Handle(_))), "{text}");
        }
        assert!(matches!("cores/3".parse::<FlowName>(), Err(FlowNameError::OtherResource(_))));
        for text in [
            "tcp/10.0.0.1:1",
            "tcp/10.0.0.1-10.0.0.2",
            "tcp/10.0.0.1:1-10.0.0.2:70000",
            "tcp/10.0.0.1:1-[2001:db8::2]:2",
            "tcp/2001:db8::1:1-2001:db8::2:2",
            "tcp/10.0.0.1:1-10.0.0.2:2@4096",
            "tcp/10.0.0.1:1-10.0.0.1:1",
        ] {
            assert!(matches!(text.parse::<FlowName>(), Err(FlowNameError::Tuple { .. })), "{text}");
        }
    }
}

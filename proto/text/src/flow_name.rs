//! The names of flows: a handle, or a tuple in either direction.
//!
//! ```text
//! handle    flows/00c004a900c901f2, or the 16 digits alone
//! tuple     tcp/10.0.0.1:43512-192.0.2.10:443@100, as it is written
//! tcpdump   10.0.0.1.43512 > 192.0.2.10.443, 2001:db8::1.43512-2001:db8::2.443
//! ss        10.0.0.1:43512 192.0.2.10:443
//! ```
//!
//! A handle below 2^63 may be one; whether a flow has it is for the server to say.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use crate::{
    Echo,
    digits::{is_digits, port},
};

/// The largest VLAN id that a frame can carry. 4095 is reserved, and is seen all the same.
const VLAN_MAX: u16 = 4095;

/// A flow as people and requests name it. `Display` writes the API's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowName {
    /// `flows/{16 hex digits}`, or the digits alone. Below 2^63.
    Handle(u64),
    /// `tcp/ADDRESS:PORT-ADDRESS:PORT[@VLAN]`, IPv6 addresses in brackets.
    Tuple(Tuple),
}

/// Addresses and ports of both ends, in the order written, and the VLAN id. `Display` writes
/// `tcp/10.0.0.1:43512-192.0.2.10:443@100`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuple {
    /// What stands first.
    pub client: SocketAddr,
    /// What stands second; of the same IP version, and not equal to the first.
    pub server: SocketAddr,
    /// VLAN id, 0 to 4095.
    pub vlan: Option<u16>,
}

/// Why a text names no flow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlowNameError {
    /// Nothing was given.
    #[error("a flow is required: flows/{{16 hex digits}} or tcp/CLIENT:PORT-SERVER:PORT[@vlan]")]
    Empty,
    /// It is longer than any name of a flow; the bytes that it has.
    #[error("a name of {0} bytes is not that of a flow: {max} at most", max = FlowName::TEXT_MAX)]
    TooLong(usize),
    /// It names something, but no flow.
    #[error("{} does not name a flow: flows begin with flows/ or tcp/", Echo(.0))]
    OtherResource(String),
    /// The handle is not 16 hexadecimal digits below 2^63.
    #[error(
        "{} is not a flow handle: 16 hexadecimal digits, the first of them 0 to 7, such as \
         flows/00c004a900c901f2",
        Echo(.0)
    )]
    Handle(String),
    /// The tuple cannot be read.
    #[error(
        "{} is not a flow tuple: {problem}; write tcp/10.0.0.1:43512-192.0.2.10:443",
        Echo(text)
    )]
    Tuple {
        /// What was given.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl FlowName {
    /// Longest text that is read, in bytes. The longest tuple has 104, blanks apart.
    pub const TEXT_MAX: usize = 256;

    /// What a handle's full name begins with.
    pub const COLLECTION: &str = "flows/";

    /// The id alone of a handle's full name, as tables show it.
    #[must_use]
    pub fn short(name: &str) -> &str {
        name.strip_prefix(Self::COLLECTION).unwrap_or(name)
    }
}

impl FromStr for FlowName {
    type Err = FlowNameError;

    fn from_str(given: &str) -> Result<Self, FlowNameError> {
        if given.len() > Self::TEXT_MAX {
            return Err(FlowNameError::TooLong(given.len()));
        }
        let text = given.trim();
        if text.is_empty() {
            return Err(FlowNameError::Empty);
        }
        let tuple = |text: &str| {
            let error = |problem| FlowNameError::Tuple { text: given.to_owned(), problem };
            parse_tuple(text).map(Self::Tuple).map_err(error)
        };
        if let Some(ends) = text.strip_prefix("tcp/") {
            return tuple(ends);
        }
        let name = Self::short(text);
        if name.contains('/') {
            return Err(FlowNameError::OtherResource(given.to_owned()));
        }
        // A handle has none of these, and no tuple is without them.
        if name.len() == text.len() && name.contains(['.', ':']) {
            return tuple(name);
        }
        parse_handle(name).map(Self::Handle).ok_or_else(|| FlowNameError::Handle(given.to_owned()))
    }
}

impl fmt::Display for FlowName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handle(id) => write!(f, "{}{id:016x}", Self::COLLECTION),
            Self::Tuple(tuple) => tuple.fmt(f),
        }
    }
}

impl fmt::Display for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, server, vlan } = self;
        write!(f, "tcp/{client}-{server}")?;
        vlan.map_or(Ok(()), |vlan| write!(f, "@{vlan}"))
    }
}

fn parse_handle(digits: &str) -> Option<u64> {
    let is_handle = digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = if is_handle { u64::from_str_radix(digits, 16).ok() } else { None };
    id.filter(|id| id.leading_zeros() > 0)
}

fn parse_tuple(text: &str) -> Result<Tuple, &'static str> {
    let (ends, vlan) = match text.rsplit_once('@') {
        Some((ends, vlan)) => (ends, Some(parse_vlan(vlan)?)),
        None => (text, None),
    };
    let (client, server) = split_ends(ends).ok_or("expected CLIENT:PORT-SERVER:PORT")?;
    let (client, server) = (parse_end(client)?, parse_end(server)?);
    if client.is_ipv4() != server.is_ipv4() {
        return Err("one address is IPv4 and the other IPv6");
    }
    if client == server {
        return Err("both ends are the same");
    }
    Ok(Tuple { client, server, vlan })
}

/// The two texts around `-`, `>` or `,`. Blanks may stand around it, and in place of it.
fn split_ends(text: &str) -> Option<(&str, &str)> {
    const SEPARATORS: [char; 3] = ['-', '>', ','];
    let is_blank = |c: char| c.is_ascii_whitespace();
    let is_between = |c: char| is_blank(c) || SEPARATORS.contains(&c);
    let (first, rest) = text.split_at(text.find(is_between)?);
    let rest = rest.trim_start_matches(is_blank);
    let second = rest.strip_prefix(SEPARATORS).unwrap_or(rest).trim_start_matches(is_blank);
    let is_pair = !first.is_empty() && !second.is_empty() && !second.contains(is_between);
    is_pair.then_some((first, second))
}

fn parse_vlan(text: &str) -> Result<u16, &'static str> {
    let vlan = if is_digits(text) { text.parse().ok() } else { None };
    vlan.filter(|vlan| *vlan <= VLAN_MAX).ok_or("the VLAN id is not 0 to 4095")
}

/// `IPv4:PORT`, `[IPv6]:PORT`, `IPv4.PORT` or `IPv6.PORT`.
fn parse_end(text: &str) -> Result<SocketAddr, &'static str> {
    let (address, digits): (IpAddr, _) = if let Some(rest) = text.strip_prefix('[') {
        let (address, digits) = rest.split_once("]:").ok_or("expected [IPv6]:PORT")?;
        (address.parse::<Ipv6Addr>().map_err(|_bad| "not an IPv6 address")?.into(), digits)
    } else if let Some((address, digits)) = text.split_once(':')
        && !digits.contains(':')
    {
        (IpAddr::V4(address.parse().map_err(|_bad| "not an IPv4 address")?), digits)
    } else {
        let wrong = if text.contains(':') {
            "an IPv6 address stands in brackets, or its port after a dot"
        } else {
            "expected ADDRESS:PORT"
        };
        let (address, digits) = text.rsplit_once('.').ok_or(wrong)?;
        (address.parse().map_err(|_bad| wrong)?, digits)
    };
    let port = port(digits).map_err(|_not_a_port| "the port is not 0 to 65535")?;
    Ok(SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, name: &str) {
        let read = text.parse::<FlowName>().map(|name| name.to_string());
        assert_eq!(read, Ok(name.to_owned()), "{text}");
    }

    #[test]
    fn a_handle_is_read_with_and_without_its_collection() {
        for text in ["flows/00c004a900c901f2", "00c004a900c901f2", "00C004A900C901F2"] {
            assert_eq!(text.parse(), Ok(FlowName::Handle(0x00c0_04a9_00c9_01f2)), "{text}");
            check(text, "flows/00c004a900c901f2");
        }
        assert_eq!(FlowName::short("flows/00c004a900c901f2"), "00c004a900c901f2");
    }

    #[test]
    fn tuples_of_both_ip_versions_are_read_and_printed_alike() {
        for text in [
            "tcp/10.0.0.1:43512-192.0.2.10:443",
            "tcp/10.0.0.1:43512-192.0.2.10:443@100",
            "tcp/10.0.0.1:0-192.0.2.10:443@4095",
            "tcp/[2001:db8::1]:43512-[2001:db8::2]:443@0",
            "tcp/[::]:1-[::ffff:10.0.0.1]:443",
        ] {
            check(text, text);
        }
    }

    #[test]
    fn tuples_are_read_in_the_spelling_of_the_api_of_tcpdump_and_of_ss() {
        let name = "tcp/10.0.0.1:43512-192.0.2.10:443";
        for text in [
            "tcp/10.0.0.1:43512-192.0.2.10:443",
            "10.0.0.1:43512-192.0.2.10:443",
            "10.0.0.1.43512-192.0.2.10.443",
            "10.0.0.1.43512 > 192.0.2.10.443",
            "10.0.0.1:43512, 192.0.2.10:443",
            "10.0.0.1:43512   192.0.2.10:443",
            " 10.0.0.1:43512\t192.0.2.10:443 ",
        ] {
            check(text, name);
        }
        check("10.0.0.1.43512-192.0.2.10.443@100", "tcp/10.0.0.1:43512-192.0.2.10:443@100");
    }

    #[test]
    fn ipv6_tuples_get_brackets() {
        let name = "tcp/[2001:db8::1]:43512-[2001:db8::2]:443";
        for text in [
            "[2001:db8::1]:43512 [2001:db8::2]:443",
            "2001:db8::1.43512-2001:db8::2.443",
            "2001:db8::1.43512 > 2001:DB8::2.443",
        ] {
            check(text, name);
        }
        check("::1.2.3.4.80-::2.443", "tcp/[::102:304]:80-[::2]:443");
    }

    #[test]
    fn the_direction_is_left_to_the_server() {
        check("192.0.2.10.443-10.0.0.1.43512", "tcp/192.0.2.10:443-10.0.0.1:43512");
    }

    #[test]
    fn what_names_no_flow_is_refused_with_the_reason() {
        assert_eq!("".parse::<FlowName>(), Err(FlowNameError::Empty));
        assert_eq!(" ".parse::<FlowName>(), Err(FlowNameError::Empty));
        for text in [
            "flows/",
            "flows/12",
            "flows/00c004a9",
            "flows/00c004a900c901fg",
            "flows/10.0.0.1:1-10.0.0.2:2",
            "8000000000000000",
            "+0c004a900c901f2",
            "xyz",
        ] {
            assert!(matches!(text.parse::<FlowName>(), Err(FlowNameError::Handle(_))), "{text}");
        }
        for text in ["cores/3", "flows/1/2", "udp/10.0.0.1:1-10.0.0.2:2"] {
            let error = text.parse::<FlowName>();
            assert!(matches!(error, Err(FlowNameError::OtherResource(_))), "{text}");
        }
    }

    #[test]
    fn what_is_longer_than_any_name_is_not_read() {
        let padded = |length: usize| format!("{:>length$}", "10.0.0.1:1-10.0.0.2:2");
        check(&padded(256), "tcp/10.0.0.1:1-10.0.0.2:2");
        let error = padded(257).parse::<FlowName>().unwrap_err();
        assert_eq!(error, FlowNameError::TooLong(257));
        assert_eq!(error.to_string(), "a name of 257 bytes is not that of a flow: 256 at most");
    }

    #[test]
    fn what_is_no_tuple_is_refused_with_the_problem_and_an_example() {
        for (text, part) in [
            ("tcp/", "CLIENT:PORT-SERVER:PORT"),
            ("tcp/10.0.0.1:1", "CLIENT:PORT-SERVER:PORT"),
            ("10.0.0.1:1", "CLIENT:PORT-SERVER:PORT"),
            ("tcp/10.0.0.1-10.0.0.2", "ADDRESS:PORT"),
            ("10.0.0.1:1-10.0.0.2:2-10.0.0.3:3", "CLIENT:PORT-SERVER:PORT"),
            ("10.0.0.1:1--10.0.0.2:2", "CLIENT:PORT-SERVER:PORT"),
            ("10.0.0.1:1 -> 10.0.0.2:2", "CLIENT:PORT-SERVER:PORT"),
            ("10.0.0.1:1-", "CLIENT:PORT-SERVER:PORT"),
            ("-10.0.0.1:1", "CLIENT:PORT-SERVER:PORT"),
            ("10.0.0.1:-10.0.0.2:2", "port"),
            ("tcp/10.0.0.1:1-10.0.0.2:70000", "0 to 65535"),
            ("10.0.0.1:+443-10.0.0.2:2", "0 to 65535"),
            ("10.0.0.1:٤٤٣-10.0.0.2:2", "0 to 65535"),
            ("tcp/10.0.0.1:1-[2001:db8::2]:2", "the other IPv6"),
            ("tcp/2001:db8::1:1-2001:db8::2:2", "brackets"),
            ("tcp/[2001:db8::1]:1-2001:db8::2:2", "brackets"),
            ("fe80::1%2.1-fe80::2.2", "brackets"),
            ("[fe80::1%2]:1-[fe80::2]:2", "IPv6 address"),
            ("10.0.0.1:1-10.0.0.2:2@4096", "0 to 4095"),
            ("10.0.0.1:1-10.0.0.2:2@+1", "0 to 4095"),
            ("10.0.0.1:1-10.0.0.2:2@x", "0 to 4095"),
            ("10.0.0.1:1-10.0.0.2:2@", "0 to 4095"),
            ("tcp/10.0.0.1:1-10.0.0.1:1", "the same"),
        ] {
            let error = text.parse::<FlowName>().unwrap_err();
            assert!(matches!(error, FlowNameError::Tuple { .. }), "{text}: {error}");
            let error = error.to_string();
            assert!(error.contains(part), "{text}: {error}");
            assert!(error.contains("tcp/10.0.0.1:43512-192.0.2.10:443"), "{error}");
        }
    }

    fn ipv4(bits: u128) -> IpAddr {
        let [.., a, b, c, d] = bits.to_be_bytes();
        [a, b, c, d].into()
    }

    fn any_tuple() -> impl Strategy<Value = Tuple> {
        let address = [ipv4, |bits| Ipv6Addr::from_bits(bits).into()];
        let vlan = proptest::option::of(0..=VLAN_MAX);
        (0..2_usize, any::<[u128; 2]>(), any::<[u16; 2]>(), vlan)
            .prop_map(move |(version, bits, ports, vlan)| {
                let end = |at: usize| SocketAddr::new(address[version](bits[at]), ports[at]);
                Tuple { client: end(0), server: end(1), vlan }
            })
            .prop_filter("two ends", |tuple| tuple.client != tuple.server)
    }

    proptest! {
        #[test]
        fn every_tuple_is_read_in_every_spelling(tuple in any_tuple()) {
            let Tuple { client, server, vlan } = tuple;
            let vlan = vlan.map(|vlan| format!("@{vlan}")).unwrap_or_default();
            let dotted = |end: SocketAddr| format!("{}.{}", end.ip(), end.port());
            for text in [
                tuple.to_string(),
                format!("{client} {server}{vlan}"),
                format!("{} > {}{vlan}", dotted(client), dotted(server)),
            ] {
                prop_assert_eq!(text.parse(), Ok(FlowName::Tuple(tuple)), "{}", text);
            }
        }

        #[test]
        fn every_handle_is_read_back(id in 0..=u64::MAX >> 1) {
            let name = FlowName::Handle(id);
            prop_assert_eq!(name.to_string().parse(), Ok(name));
        }
    }
}

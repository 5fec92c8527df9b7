//! How a flow is named on the command line, turned into the API's form.
//!
//! A handle is `flows/` and 16 hexadecimal digits, or the digits alone. A tuple is two endpoints in
//! the spelling of the API (`tcp/10.0.0.1:43512-192.0.2.10:443@100`), of tcpdump
//! (`10.0.0.1.43512 > 192.0.2.10.443`, `2001:db8::1.43512`) or of ss (`[2001:db8::1]:43512`),
//! in either direction: the server looks a tuple up as given, then reversed.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

/// Largest 802.1Q VLAN id that a frame can carry.
const VLAN_MAX: u16 = 4094;

/// A flow as the API names it: `flows/{id}` or a tuple alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowName(String);

impl FlowName {
    /// The name as the API takes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FlowName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for FlowName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some(id) = handle_digits(text) {
            return Ok(Self(format!("flows/{}", id.to_ascii_lowercase())));
        }
        if text.starts_with("flows/") {
            return Err(format!("{text:?} is not a handle: flows/ and 16 hexadecimal digits"));
        }
        tuple(text).map(Self).ok_or_else(|| {
            format!(
                "{text:?} names no flow: write flows/00c004a900c901f2, 00c004a900c901f2, \
                 tcp/10.0.0.1:43512-192.0.2.10:443 or 10.0.0.1.43512-192.0.2.10.443"
            )
        })
    }
}

/// The id of a canonical name, as tables show it.
#[must_use]
pub fn short(name: &str) -> &str {
    name.strip_prefix("flows/").unwrap_or(name)
}

/// The digits of a handle, or `None` if the text is no handle.
fn handle_digits(text: &str) -> Option<&str> {
    let id = short(text);
    (id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
}

/// A tuple in the API's form, or `None` if the text is no tuple.
fn tuple(text: &str) -> Option<String> {
    let text = text.strip_prefix("tcp/").unwrap_or(text);
    let (endpoints, vlan) = match text.rsplit_once('@') {
        Some((endpoints, vlan)) => (endpoints, Some(vlan.parse::<u16>().ok()?)),
        None => (text, None),
    };
    let mut parts = endpoints
        .split(|c: char| c == '-' || c == '>' || c == ',' || c.is_whitespace())
        .filter(|part| !part.is_empty());
    let (first, second) = (endpoint(parts.next()?)?, endpoint(parts.next()?)?);
    let same_family = first.is_ipv4() == second.is_ipv4();
    if parts.next().is_some() || !same_family || vlan.is_some_and(|id| id > VLAN_MAX) {
        return None;
    }
    let vlan = vlan.map(|id| format!("@{id}")).unwrap_or_default();
    Some(format!("tcp/{first}-{second}{vlan}"))
}

/// `ADDRESS:PORT` with IPv6 in brackets, or `ADDRESS.PORT`.
fn endpoint(text: &str) -> Option<SocketAddr> {
    let parsed = text.parse::<SocketAddr>().ok().or_else(|| {
        let (address, port) = text.rsplit_once('.')?;
        Some(SocketAddr::new(address.parse::<IpAddr>().ok()?, port.parse().ok()?))
    })?;
    let zoned = matches!(parsed, SocketAddr::V6(v6) if v6.scope_id() != 0);
    let named = parsed.port() != 0 && !zoned && parsed.ip() != IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    named.then_some(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, name: &str) {
        assert_eq!(text.parse::<FlowName>().map(|flow| flow.0), Ok(name.to_owned()), "{text}");
    }

    #[test]
    fn handles_are_taken_with_and_without_their_collection() {
        check("flows/00c004a900c901f2", "flows/00c004a900c901f2");
        check("00C004A900C901F2", "flows/00c004a900c901f2");
    }

    #[test]
    fn tuples_are_taken_in_the_spelling_of_the_api_of_tcpdump_and_of_ss() {
        let name = "tcp/10.0.0.1:43512-192.0.2.10:443";
        check("tcp/10.0.0.1:43512-192.0.2.10:443", name);
        check("10.0.0.1:43512-192.0.2.10:443", name);
        check("10.0.0.1.43512-192.0.2.10.443", name);
        check("10.0.0.1.43512 > 192.0.2.10.443", name);
        check("10.0.0.1:43512   192.0.2.10:443", name);
        check("10.0.0.1:43512-192.0.2.10:443@100", "tcp/10.0.0.1:43512-192.0.2.10:443@100");
    }

    #[test]
    fn ipv6_tuples_get_brackets() {
        let name = "tcp/[2001:db8::1]:43512-[2001:db8::2]:443";
        check("tcp/[2001:db8::1]:43512-[2001:db8::2]:443", name);
        check("2001:db8::1.43512-2001:db8::2.443", name);
        check("2001:db8::1.43512 > 2001:DB8::2.443", name);
    }

    #[test]
    fn the_direction_is_left_to_the_server() {
        check("192.0.2.10.443-10.0.0.1.43512", "tcp/192.0.2.10:443-10.0.0.1:43512");
    }

    #[test]
    fn what_names_no_flow_is_refused_before_anything_is_sent() {
        for text in [
            "",
            "flows/",
            "flows/00c004a9",
            "flows/00c004a900c901fg",
            "10.0.0.1:1",
            "10.0.0.1-10.0.0.2",
            "10.0.0.1:1-10.0.0.2:2-10.0.0.3:3",
            "10.0.0.1:1-[2001:db8::1]:2",
            "10.0.0.1:0-10.0.0.2:2",
            "10.0.0.1:70000-10.0.0.2:2",
            "10.0.0.1:1-10.0.0.2:2@4095",
            "10.0.0.1:1-10.0.0.2:2@x",
            "fe80::1%2.1-fe80::2.2",
        ] {
            assert!(text.parse::<FlowName>().is_err(), "{text}");
        }
    }
}

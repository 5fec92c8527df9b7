//! Names that certificates give, and the patterns of the roles file that they fit. A name is taken
//! as it is written or not at all: nothing is normalised, so that two spellings never mean one.

use std::{fmt, sync::Arc};

/// The scheme of the URIs: SPIFFE IDs.
const SPIFFE: &str = "spiffe://";

/// Bytes of a URI and of a DNS name, at most.
const URI_MAX: usize = 2048;
const DNS_MAX: usize = 253;

/// Bytes of one part of a DNS name, at most.
const LABEL_MAX: usize = 63;

/// A name that a certificate gives its owner.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Name {
    /// A SPIFFE ID: `spiffe://example.org/ns/noc/exporter`.
    Uri(Arc<str>),
    /// A DNS name in lower case: `noc.example.org`.
    Dns(Arc<str>),
}

/// Names that a grant fits: one, or with `*` in place of the end of a path or of the first label
/// of a DNS name all such.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// This name alone.
    One(Name),
    /// URIs that begin so, and go on.
    UrisUnder(Box<str>),
    /// DNS names with one label before this, which begins with a dot.
    DnsUnder(Box<str>),
}

impl Name {
    /// The SPIFFE ID that is written so, if it is one.
    pub(crate) fn uri(text: &str) -> Option<Self> {
        is_spiffe_id(text).then(|| Self::Uri(text.into()))
    }

    /// The DNS name that is written so, if it is one.
    pub(crate) fn dns(text: &str) -> Option<Self> {
        is_dns_name(text).then(|| Self::Dns(text.into()))
    }
}

impl Pattern {
    /// Reads a pattern of URIs.
    pub(super) fn uri(text: &str) -> Option<Self> {
        match text.strip_suffix('*') {
            Some(start) => {
                let path = start.strip_suffix('/')?;
                is_spiffe_id(path).then(|| Self::UrisUnder(start.into()))
            }
            None => Name::uri(text).map(Self::One),
        }
    }

    /// Reads a pattern of DNS names.
    pub(super) fn dns(text: &str) -> Option<Self> {
        match text.strip_prefix('*') {
            Some(end) => {
                let parent = end.strip_prefix('.')?;
                is_dns_name(parent).then(|| Self::DnsUnder(end.into()))
            }
            None => Name::dns(text).map(Self::One),
        }
    }

    /// Whether the name fits.
    pub(super) fn fits(&self, name: &Name) -> bool {
        match (self, name) {
            (Self::One(one), name) => one == name,
            (Self::UrisUnder(start), Name::Uri(uri)) => uri.starts_with(&**start),
            (Self::DnsUnder(end), Name::Dns(name)) => {
                name.strip_suffix(&**end).is_some_and(|label| !label.contains('.'))
            }
            (Self::UrisUnder(_), Name::Dns(_)) | (Self::DnsUnder(_), Name::Uri(_)) => false,
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Uri(name) | Self::Dns(name)) = self;
        f.write_str(name)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(Name::Uri(uri)) => write!(f, "uri {uri}"),
            Self::One(Name::Dns(name)) => write!(f, "dns {name}"),
            Self::UrisUnder(start) => write!(f, "uri {start}*"),
            Self::DnsUnder(end) => write!(f, "dns *{end}"),
        }
    }
}

/// Whether the text is a SPIFFE ID: a trust domain in lower case, and a path without empty parts,
/// dots for a part, or anything that would be escaped.
fn is_spiffe_id(text: &str) -> bool {
    let Some(rest) = text.strip_prefix(SPIFFE).filter(|_| text.len() <= URI_MAX) else {
        return false;
    };
    let mut parts = rest.split('/');
    let domain = parts.next().unwrap_or_default();
    let in_domain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
    let in_path = |byte: u8| in_domain(byte) || byte.is_ascii_uppercase();
    let is_part = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(in_path);
    !domain.is_empty() && domain.bytes().all(in_domain) && parts.all(is_part)
}

/// Whether the text is a DNS name in lower case that is no IPv4 address.
fn is_dns_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let inner = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        (1..=LABEL_MAX).contains(&label.len()) && label.bytes().all(inner)
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= DNS_MAX
        && text.split('.').all(is_label)
        && !last.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_as_it_is_written_or_not_at_all() {
        for good in ["spiffe://mosd.lab/ops", "spiffe://a", "spiffe://a-b.c_d/Ns/x.y/Z_1"] {
            assert_eq!(Name::uri(good).unwrap().to_string(), good);
        }
        let long = format!("spiffe://a/{}", "x".repeat(64 * 1024));
        for bad in [
            "",
            "spiffe://",
            "spiffe:///x",
            "SPIFFE://a/b",
            "spiffe://A/b",
            "spiffe://a/",
            "http://a/b",
            "spiffe://a//b",
            "spiffe://a/./b",
            "spiffe://a/../b",
            "spiffe://a/b%2f",
            "spiffe://a:1/b",
            "spiffe://u@a/b",
            "spiffe://a/b?c",
            "spiffe://a/b#c",
            "spiffe://a/b\0",
            "spiffe://a/ü",
            "spiffe://a/*",
            &long,
        ] {
            assert_eq!(Name::uri(bad), None, "{bad}");
        }
        for good in ["mos1.example.org", "localhost", "a_b-c.d1"] {
            assert_eq!(Name::dns(good).unwrap().to_string(), good);
        }
        for bad in ["", ".", "a.", "A.example", "10.0.0.1", "a..b", "*.a", "a b", "münchen", "a\0"]
        {
            assert_eq!(Name::dns(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_pattern_fits_one_name_or_what_stands_in_place_of_its_star() {
        let uri = |text: &str| Name::uri(text).unwrap();
        let dns = |text: &str| Name::dns(text).unwrap();
        let under = Pattern::uri("spiffe://a/ns/*").unwrap();
        assert!(under.fits(&uri("spiffe://a/ns/x")) && under.fits(&uri("spiffe://a/ns/x/y")));
        for other in ["spiffe://a/ns", "spiffe://a/nsx/y", "spiffe://b/ns/x"] {
            assert!(!under.fits(&uri(other)), "{other}");
        }
        let one = Pattern::uri("spiffe://a/ns").unwrap();
        assert!(one.fits(&uri("spiffe://a/ns")) && !one.fits(&uri("spiffe://a/ns/x")));
        let left = Pattern::dns("*.example.org").unwrap();
        assert!(left.fits(&dns("a.example.org")));
        for other in ["example.org", "a.b.example.org", "aexample.org"] {
            assert!(!left.fits(&dns(other)), "{other}");
        }
        assert!(!Pattern::dns("a.b").unwrap().fits(&uri("spiffe://a.b")));
        for bad in ["*", "spiffe://*", "spiffe://a/n*", "spiffe://a/*/b", "spiffe://a/**"] {
            assert_eq!(Pattern::uri(bad), None, "{bad}");
        }
        for bad in ["*", "*.", "a.*.b", "*a.b", "**.a"] {
            assert_eq!(Pattern::dns(bad), None, "{bad}");
        }
    }
}

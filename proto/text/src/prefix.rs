//! Address prefixes: `10.0.0.0/8`, `2001:db8::/32`, or an address: a prefix of full length.

use std::{fmt, net::IpAddr, str::FromStr};

use crate::{TextError, digits::is_digits};

/// All addresses that begin with the same bits. `Display` writes the length unless it is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

impl Prefix {
    /// The prefix of `length` bits, 0 to 32 or 128; bits of the address behind it are cleared.
    #[must_use]
    pub const fn new(address: IpAddr, length: u8) -> Option<Self> {
        if length > full_length(address) {
            return None;
        }
        let kept = left_aligned(address) & mask(length);
        let address = match address {
            IpAddr::V4(_) => IpAddr::V4(std::net::Ipv4Addr::from_bits((kept >> 96) as u32)),
            IpAddr::V6(_) => IpAddr::V6(std::net::Ipv6Addr::from_bits(kept)),
        };
        Some(Self { address, length })
    }

    /// The first address.
    #[must_use]
    pub const fn address(self) -> IpAddr {
        self.address
    }

    /// Bits that all addresses share.
    #[must_use]
    pub const fn length(self) -> u8 {
        self.length
    }

    /// Whether the prefix holds this address. An IPv4 prefix holds no IPv6 address.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4()
            && (left_aligned(self.address) ^ left_aligned(address)) & mask(self.length) == 0
    }
}

impl FromStr for Prefix {
    type Err = TextError;

    /// Reads an address or a prefix. Bits behind its length must be 0: what 10.1.0.0/8 means is
    /// not clear.
    fn from_str(text: &str) -> Result<Self, TextError> {
        let refused = || {
            TextError::new(
                text,
                "is not an address or prefix: write 10.0.0.1, 10.0.0.0/8 or 2001:db8::/32",
            )
        };
        let (host, bits) = match text.split_once('/') {
            Some((host, bits)) => (host, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = host.parse().map_err(|_bad| refused())?;
        let length = match bits {
            Some(bits) if is_digits(bits) => bits.parse().map_err(|_overflow| refused())?,
            Some(_) => return Err(refused()),
            None => full_length(address),
        };
        let prefix = Self::new(address, length).ok_or_else(refused)?;
        if prefix.address == address {
            Ok(prefix)
        } else {
            Err(TextError::new(text, format!("has bits behind its prefix length: write {prefix}")))
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, length } = self;
        if *length == full_length(*address) {
            address.fmt(f)
        } else {
            write!(f, "{address}/{length}")
        }
    }
}

const fn full_length(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// The address as a number whose first bit is the highest of 128.
const fn left_aligned(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => (address.to_bits() as u128) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// A number whose first `length` bits of 128 are set.
const fn mask(length: u8) -> u128 {
    match u128::MAX.checked_shl(128 - length as u32) {
        Some(mask) => mask,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_prefixes_are_read_and_printed_in_canonical_spelling() {
        for (text, printed) in [
            ("10.0.0.1", "10.0.0.1"),
            ("10.0.0.1/32", "10.0.0.1"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:DB8::/32", "2001:db8::/32"),
            ("::1/128", "::1"),
        ] {
            assert_eq!(text.parse::<Prefix>().unwrap().to_string(), printed, "{text}");
        }
    }

    #[test]
    fn what_is_no_prefix_is_refused_with_an_example() {
        for text in
            ["", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/+8", "::/129", "10.0.0/8", "host"]
        {
            let error = text.parse::<Prefix>().unwrap_err().to_string();
            assert!(error.contains("10.0.0.0/8"), "{error}");
        }
        for (text, right) in [("10.1.0.0/8", "10.0.0.0/8"), ("2001:db8::1/32", "2001:db8::/32")] {
            let error = text.parse::<Prefix>().unwrap_err().to_string();
            assert!(error.ends_with(&format!("write {right}")), "{error}");
        }
    }

    #[test]
    fn a_prefix_holds_the_addresses_that_begin_with_it() {
        let holds = |prefix: &str, address: &str| {
            prefix.parse::<Prefix>().unwrap().contains(address.parse().unwrap())
        };
        assert!(holds("10.0.0.0/8", "10.255.0.1") && !holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("10.0.0.1", "10.0.0.1") && !holds("10.0.0.1", "10.0.0.2"));
        assert!(holds("0.0.0.0/0", "255.0.0.1") && !holds("0.0.0.0/0", "::1"));
        assert!(holds("2001:db8::/33", "2001:db8:7fff::1"));
        assert!(!holds("2001:db8::/33", "2001:db8:8000::1"));
    }
}

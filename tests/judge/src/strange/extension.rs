//! Extension headers of IPv6: those that a receiver passes over, and those that make it discard.

const HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const NONE: u8 = 59;
const OPTIONS: u8 = 60;
const MOBILITY: u8 = 135;

/// A header by its type, and its bytes behind "next header".
type Header = (u8, &'static [u8]);

/// Padding of a header of 8 bytes.
const PAD: &[u8] = &[0, 1, 4, 0, 0, 0, 0];

/// An option of 4 bytes behind its type, for a header of 8 bytes.
macro_rules! option {
    ($kind:literal) => {
        &[0, $kind, 4, 0, 0, 0, 0]
    };
}

/// A routing header of one address with this type and these segments left.
macro_rules! routing {
    ($kind:literal, $left:literal) => {
        &[2, $kind, $left, 0, 0, 0, 0, 0xfd, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    };
}

const CHAINS: [(&str, &[Header]); 30] = [
    ("hop-by-hop padding", &[(HOP, PAD)]),
    ("hop-by-hop skip", &[(HOP, option!(0x1e))]),
    ("hop-by-hop discard", &[(HOP, option!(0x5e))]),
    ("hop-by-hop discard and tell", &[(HOP, option!(0x9e))]),
    ("hop-by-hop discard and tell one", &[(HOP, option!(0xde))]),
    ("hop-by-hop twice", &[(HOP, PAD), (HOP, PAD)]),
    ("hop-by-hop second", &[(OPTIONS, PAD), (HOP, PAD)]),
    ("hop-by-hop option beyond", &[(HOP, &[0, 1, 9, 0, 0, 0, 0])]),
    ("hop-by-hop beyond", &[(HOP, &[40, 1, 4, 0, 0, 0, 0])]),
    ("hop-by-hop jumbo of 0", &[(HOP, &[0, 0xc2, 4, 0, 0, 0, 0])]),
    ("hop-by-hop router alert", &[(HOP, &[0, 5, 2, 0, 0, 1, 0])]),
    ("options padding", &[(OPTIONS, PAD)]),
    ("options skip", &[(OPTIONS, option!(0x1e))]),
    ("options discard", &[(OPTIONS, option!(0x5e))]),
    ("options discard and tell", &[(OPTIONS, option!(0x9e))]),
    ("options discard and tell one", &[(OPTIONS, option!(0xde))]),
    ("options twice", &[(OPTIONS, PAD), (OPTIONS, PAD)]),
    ("options beyond", &[(OPTIONS, &[40, 1, 4, 0, 0, 0, 0])]),
    ("routing 0, none left", &[(ROUTING, routing!(0, 0))]),
    ("routing 0, one left", &[(ROUTING, routing!(0, 1))]),
    ("routing 2, none left", &[(ROUTING, routing!(2, 0))]),
    ("routing 4, none left", &[(ROUTING, routing!(4, 0))]),
    ("routing 4, one left", &[(ROUTING, routing!(4, 1))]),
    ("routing 200, none left", &[(ROUTING, routing!(200, 0))]),
    ("routing 200, one left", &[(ROUTING, routing!(200, 1))]),
    ("atomic fragment", &[(FRAGMENT, &[0, 0, 0, 0, 0, 0, 9])]),
    ("authentication", &[(AUTHENTICATION, &[2, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 0])]),
    ("no next header", &[(NONE, PAD)]),
    ("mobility", &[(MOBILITY, PAD)]),
    ("experimental", &[(253, PAD)]),
];

/// The number of chains.
pub const COUNT: usize = CHAINS.len();

/// The headers of a chain.
#[must_use]
pub fn headers(number: usize) -> Vec<(u8, Vec<u8>)> {
    let chain = CHAINS.get(number).map_or(&[][..], |(_, chain)| chain);
    chain.iter().map(|(kind, bytes)| (*kind, bytes.to_vec())).collect()
}

/// What the chain is, for a label.
#[must_use]
pub fn name(number: usize) -> &'static str {
    CHAINS.get(number).map_or("", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_have_the_length_that_they_say_except_one_that_lies() {
        let unit = |kind: u8| if kind == AUTHENTICATION { 4 } else { 8 };
        let headers =
            CHAINS.iter().flat_map(|(name, chain)| chain.iter().map(move |it| (name, it)));
        for (name, (kind, bytes)) in headers {
            let said = usize::from(bytes[0]) * unit(*kind) + 8;
            let is_lie = name.ends_with("beyond") && bytes[0] == 40;
            assert_eq!(said == bytes.len() + 1, !is_lie, "{name}");
        }
    }
}

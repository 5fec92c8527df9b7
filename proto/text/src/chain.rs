//! The chain of an audit file: each line is a JSON object that has a number, `seq`, and the digest
//! of the line before, `prev`.
//!
//! It shows damage and holes. It has no key: whoever can write the file can write another chain,
//! which then disagrees with the numbers and digests that the log has.

use serde::Deserialize;

use crate::Digest;

/// Where a chain goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// The number of the next line; the first is 1.
    pub next: u64,
    /// The digest of the line before: [`Digest::NONE`] before the first.
    pub prev: Digest,
}

/// Why a line does not go on with a chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokenChain {
    /// It is no line of an audit file.
    #[error("this is no line of an audit file: {0}")]
    Unreadable(String),
    /// Lines are missing, or there are lines too many.
    #[error("the number is {found} where {expected} was to come")]
    Number {
        /// The number of the line.
        found: u64,
        /// The number that was to come.
        expected: u64,
    },
    /// The line before is not the one that this one was written behind.
    #[error("line {0} was written behind another line than the one before it")]
    Digest(u64),
}

/// What chains a line.
#[derive(Deserialize)]
struct Link {
    seq: u64,
    prev: Digest,
}

impl Default for Chain {
    fn default() -> Self {
        Self { next: 1, prev: Digest::NONE }
    }
}

impl Chain {
    /// Behind a line, whatever came before it. The line is without its end, `\n`.
    ///
    /// # Errors
    ///
    /// When it is no such line.
    pub fn behind(line: &[u8]) -> Result<Self, BrokenChain> {
        Self::before(line)?.follow(line)
    }

    /// Before a line, by what it says itself.
    ///
    /// # Errors
    ///
    /// When it is no such line.
    pub fn before(line: &[u8]) -> Result<Self, BrokenChain> {
        let link: Result<Link, _> = serde_json::from_slice(line);
        let Link { seq, prev } =
            link.map_err(|error| BrokenChain::Unreadable(error.to_string()))?;
        Ok(Self { next: seq, prev })
    }

    /// Behind the next line.
    ///
    /// # Errors
    ///
    /// When the line is not the next one.
    pub fn follow(self, line: &[u8]) -> Result<Self, BrokenChain> {
        let found = Self::before(line)?;
        if found.next != self.next {
            return Err(BrokenChain::Number { found: found.next, expected: self.next });
        }
        if found.prev != self.prev {
            return Err(BrokenChain::Digest(found.next));
        }
        Ok(Self { next: found.next.saturating_add(1), prev: Digest::of(line) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(chain: Chain) -> Vec<u8> {
        format!("{{\"seq\":{},\"x\":1,\"prev\":\"{}\"}}", chain.next, chain.prev).into_bytes()
    }

    #[test]
    fn a_chain_goes_on_with_the_next_line_alone() {
        let begun = Chain::default();
        let first = line(begun);
        let second = line(begun.follow(&first).unwrap());
        let end = begun.follow(&first).and_then(|chain| chain.follow(&second)).unwrap();
        assert_eq!(end.next, 3);
        assert_eq!(Chain::behind(&second), Ok(end));
        let hole = BrokenChain::Number { found: 2, expected: 1 };
        assert_eq!(begun.follow(&second), Err(hole));
        let mut other = first.clone();
        let at = other.iter().position(|byte| *byte == b'x').unwrap();
        other[at] = b'y';
        let behind_other = begun.follow(&other).unwrap();
        assert_eq!(behind_other.follow(&second), Err(BrokenChain::Digest(2)));
        for odd in [&b""[..], b"{}", b"{\"seq\":1}", &first[..first.len() - 1]] {
            assert!(matches!(begun.follow(odd), Err(BrokenChain::Unreadable(_))), "{odd:?}");
        }
    }
}

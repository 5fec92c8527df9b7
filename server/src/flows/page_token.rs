//! Page tokens of `ListFlows`: where a walk over the flow tables goes on. Match tokens of
//! `ApplySockOpt` are the same: where one has begun. Resume tokens of streams have numbers instead.
//!
//! ```text
//! boot id (16) | request digest (8) | list start (8) | core (2) | slot (4) | HMAC-SHA-256 (32)
//! boot id (16) | request digest (8) | number of an event (8) of each core  | HMAC-SHA-256 (32)
//! ```
//!
//! base64url. The server keeps nothing; a token carries no authority, but a forged or altered one
//! is noticed. The key is made at every start.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use mos_stack::{Instant, WorkerId};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::walk::Position;
use crate::words::bounds::{PAGE_TOKEN_MAX, RESUME_TOKEN_MAX};

/// Bytes before what a token says, of what a page token says, and behind it.
const HEAD: usize = 24;
const PAGE: usize = 14;
const TAG: usize = 32;

/// Why a token cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PageTokenError {
    /// Not a token at all.
    #[error("not a page token")]
    Malformed,
    /// The process has restarted since: its flows are gone.
    #[error("the service has restarted since the first page: list again from the beginning")]
    Restarted,
    /// Altered, or made by somebody else.
    #[error("the token was not made by this service")]
    Forged,
    /// The filter or the view differs from that of the first page.
    #[error("filter or view differ from those of the first page")]
    RequestChanged,
}

impl PageTokenError {
    /// Every cause.
    pub const ALL: [Self; 4] =
        [Self::Malformed, Self::Restarted, Self::Forged, Self::RequestChanged];

    /// The cause in one word, for programs.
    #[must_use]
    pub const fn cause(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Restarted => "restarted",
            Self::Forged => "forged",
            Self::RequestChanged => "request_changed",
        }
    }
}

/// Makes and checks tokens.
#[derive(Clone)]
pub(crate) struct PageTokens {
    boot: Uuid,
    mac: Hmac<Sha256>,
}

impl std::fmt::Debug for PageTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key stays out of every log.
        f.debug_struct("PageTokens").field("boot", &self.boot).finish_non_exhaustive()
    }
}

/// What a token is bound to: the parts of a request that must not change between pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestDigest([u8; 8]);

impl RequestDigest {
    /// The digest of a request about these flows, and of what else it must say again.
    #[must_use]
    pub(crate) fn new(filter: &str, rest: &[u8]) -> Self {
        let length = filter.len().to_be_bytes();
        let filter = Sha256::new().chain_update(length).chain_update(filter);
        let digest = filter.chain_update(rest).finalize();
        let mut short = [0; 8];
        short.copy_from_slice(&digest[..8]);
        Self(short)
    }
}

impl PageTokens {
    /// Tokens of the process with this boot id, under a fresh random key.
    #[must_use]
    pub(crate) fn new(boot: Uuid) -> Self {
        let key = Sha256::new()
            .chain_update(Uuid::new_v4().as_bytes())
            .chain_update(Uuid::new_v4().as_bytes())
            .chain_update(Uuid::new_v4().as_bytes())
            .finalize();
        Self { boot, mac: Hmac::new(&key_block(&key)) }
    }

    /// The token for a position.
    #[must_use]
    pub(crate) fn seal(&self, position: Position, request: RequestDigest) -> String {
        let mut said = Vec::with_capacity(PAGE);
        said.extend_from_slice(&position.start.as_nanos().to_be_bytes());
        said.extend_from_slice(&position.core.index().to_be_bytes());
        said.extend_from_slice(&position.slot.to_be_bytes());
        self.seal_bytes(&said, request)
    }

    /// The position that a token stands for.
    ///
    /// # Errors
    ///
    /// When it is none of ours, or not for this request.
    pub(crate) fn open(
        &self,
        text: &str,
        request: RequestDigest,
    ) -> Result<Position, PageTokenError> {
        let bytes = self.open_bytes(text, request, PAGE_TOKEN_MAX)?;
        let said: [u8; PAGE] = bytes.try_into().map_err(|_other| PageTokenError::Malformed)?;
        let mut fields = Fields(&said);
        let start = Instant::from_nanos(u64::from_be_bytes(fields.take()));
        let core = WorkerId::new(u16::from_be_bytes(fields.take()));
        let slot = u32::from_be_bytes(fields.take());
        Ok(Position { start, core: core.ok_or(PageTokenError::Malformed)?, slot })
    }

    /// The token for the numbers of events, one of each core.
    #[must_use]
    pub(crate) fn seal_numbers(&self, numbers: &[u64], request: RequestDigest) -> String {
        let said: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
        self.seal_bytes(&said, request)
    }

    /// The numbers that a token stands for.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub(crate) fn open_numbers(
        &self,
        text: &str,
        request: RequestDigest,
    ) -> Result<Vec<u64>, PageTokenError> {
        let bytes = self.open_bytes(text, request, RESUME_TOKEN_MAX)?;
        let (numbers, rest) = bytes.as_chunks();
        let numbers = numbers.iter().copied().map(u64::from_be_bytes).collect();
        rest.is_empty().then_some(numbers).ok_or(PageTokenError::Malformed)
    }

    fn seal_bytes(&self, said: &[u8], RequestDigest(request): RequestDigest) -> String {
        let mut bytes = [self.boot.as_bytes(), &request[..], said].concat();
        let tag = self.mac.clone().chain_update(&bytes).finalize().into_bytes();
        bytes.extend_from_slice(&tag);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn open_bytes(
        &self,
        text: &str,
        RequestDigest(request): RequestDigest,
        length_max: usize,
    ) -> Result<Vec<u8>, PageTokenError> {
        let short = (text.len() <= length_max).then_some(text);
        let bytes = short
            .and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
            .filter(|bytes| bytes.len() > HEAD + TAG)
            .ok_or(PageTokenError::Malformed)?;
        let (body, tag) = bytes.split_at(bytes.len() - TAG);
        let mut fields = Fields(body);
        if fields.take::<16>() != *self.boot.as_bytes() {
            return Err(PageTokenError::Restarted);
        }
        self.mac
            .clone()
            .chain_update(body)
            .verify_slice(tag)
            .map_err(|_mismatch| PageTokenError::Forged)?;
        if fields.take::<8>() != request {
            return Err(PageTokenError::RequestChanged);
        }
        Ok(fields.0.to_vec())
    }
}

/// Cuts fields of fixed size from the front of bytes that are long enough.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut field = [0; N];
        let (head, rest) = self.0.split_at(N);
        field.copy_from_slice(head);
        self.0 = rest;
        field
    }
}

/// A 32-byte key as the hash's 64-byte block, padded with zeros as HMAC pads short keys.
fn key_block(key: &[u8]) -> hmac::digest::Key<Hmac<Sha256>> {
    let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
    block[..key.len()].copy_from_slice(key);
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position() -> Position {
        Position {
            start: Instant::from_nanos(1_700_000_000_000_000_000),
            core: WorkerId::new(3).unwrap(),
            slot: 16_777_215,
        }
    }

    #[test]
    fn a_sealed_token_opens_for_the_same_request_only() {
        let tokens = PageTokens::new(Uuid::new_v4());
        let request = RequestDigest::new("core = 1", &[2]);
        let text = tokens.seal(position(), request);
        assert_eq!(tokens.open(&text, request), Ok(position()));
        for other in [RequestDigest::new("core = 2", &[2]), RequestDigest::new("core = 1", &[1])] {
            assert_eq!(tokens.open(&text, other), Err(PageTokenError::RequestChanged));
        }
    }

    #[test]
    fn numbers_of_events_come_back_and_are_no_position() {
        let tokens = PageTokens::new(Uuid::new_v4());
        let request = RequestDigest::new("core = 1", &[]);
        let text = tokens.seal_numbers(&[7, u64::MAX], request);
        assert_eq!(tokens.open_numbers(&text, request), Ok(vec![7, u64::MAX]));
        assert_eq!(tokens.open(&text, request), Err(PageTokenError::Malformed));
        let page = tokens.seal(position(), request);
        assert_eq!(tokens.open_numbers(&page, request), Err(PageTokenError::Malformed));
    }

    #[test]
    fn every_altered_byte_is_noticed() {
        let tokens = PageTokens::new(Uuid::new_v4());
        let request = RequestDigest::new("", &[]);
        let bytes = URL_SAFE_NO_PAD.decode(tokens.seal(position(), request)).unwrap();
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            let expected = if at < 16 { PageTokenError::Restarted } else { PageTokenError::Forged };
            assert_eq!(tokens.open(&URL_SAFE_NO_PAD.encode(altered), request), Err(expected));
        }
    }

    #[test]
    fn tokens_of_another_start_and_garbage_are_told_apart() {
        let request = RequestDigest::new("", &[]);
        let text = PageTokens::new(Uuid::new_v4()).seal(position(), request);
        let tokens = PageTokens::new(Uuid::new_v4());
        assert_eq!(tokens.open(&text, request), Err(PageTokenError::Restarted));
        for garbage in ["x", "!!!", "AAAA", &text[1..]] {
            assert_eq!(tokens.open(garbage, request), Err(PageTokenError::Malformed));
        }
    }

    #[test]
    fn the_key_differs_between_starts_with_one_boot_id() {
        let boot = Uuid::new_v4();
        let request = RequestDigest::new("", &[]);
        let text = PageTokens::new(boot).seal(position(), request);
        assert_eq!(PageTokens::new(boot).open(&text, request), Err(PageTokenError::Forged));
    }
}

//! Wireless LAN, IEEE 802.11, with and without a radiotap header: frames of data in the clear.

use super::{ParseError, span::Span, tunnel::Next};

/// Whether bytes stand between the header and the data, so that these are aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Padding {
    None,
    ToWords,
}

/// Takes the header of a frame of data.
pub(super) fn open(bytes: &mut Span<'_>, padding: Padding) -> Result<Next, ParseError> {
    const VERSION_AND_TYPE: u8 = 0x0f;
    const DATA: u8 = 0x08;
    const WITHOUT_DATA: u8 = 0x40;
    const HAS_QUALITY: u8 = 0x80;
    const BETWEEN_STATIONS: u8 = 0x03;
    const IN_FRAGMENTS: u8 = 0x04;
    const IS_ENCRYPTED: u8 = 0x40;
    const HAS_THROUGHPUT: u8 = 0x80;
    const FRAGMENT: u8 = 0x0f;
    let whole = bytes.length;
    let [control, flags] = *bytes.captured.first_chunk().ok_or(ParseError::Truncated)?;
    let is_data = control & VERSION_AND_TYPE == DATA && control & WITHOUT_DATA == 0;
    if !is_data || flags & (IN_FRAGMENTS | IS_ENCRYPTED) != 0 {
        return Err(ParseError::NotIp);
    }
    let [.., sequence, _] = *bytes.take::<24>()?;
    if sequence & FRAGMENT != 0 {
        return Err(ParseError::NotIp);
    }
    if flags & BETWEEN_STATIONS == BETWEEN_STATIONS {
        bytes.take::<6>()?;
    }
    let mut quality = 0;
    if control & HAS_QUALITY != 0 {
        [quality, _] = *bytes.take()?;
        if flags & HAS_THROUGHPUT != 0 {
            bytes.take::<4>()?;
        }
    }
    if padding == Padding::ToWords {
        let header = whole.saturating_sub(bytes.length);
        bytes.skip(header.next_multiple_of(4).saturating_sub(header))?;
    }
    open_aggregate(quality, bytes)?;
    Ok(Next::Llc)
}

/// Takes the header of the first of several packets in one frame, if it holds several. The others
/// are not followed: a frame is one packet.
fn open_aggregate(quality: u8, bytes: &mut Span<'_>) -> Result<(), ParseError> {
    const IS_AGGREGATE: u8 = 0x80;
    if quality & IS_AGGREGATE != 0 {
        let [.., l0, l1] = *bytes.take::<14>()?;
        *bytes = bytes.cut(usize::from(u16::from_be_bytes([l0, l1])))?;
    }
    Ok(())
}

/// Takes a radiotap header. A frame whose check sequence was wrong is refused, as its receiver
/// refuses it.
pub(super) fn open_radiotap(bytes: &mut Span<'_>) -> Result<Padding, ParseError> {
    const IS_PADDED: u8 = 0x20;
    const IS_WRONG: u8 = 0x40;
    let [version, _, l0, l1] = *bytes.captured.first_chunk().ok_or(ParseError::Truncated)?;
    if version != 0 {
        return Err(ParseError::NotIp);
    }
    let length = usize::from(u16::from_le_bytes([l0, l1]));
    let header = bytes.captured.get(..length).ok_or(ParseError::Truncated)?;
    bytes.skip(length)?;
    let flags = radiotap_flags(header).unwrap_or_default();
    if flags & IS_WRONG != 0 {
        return Err(ParseError::Checksum);
    }
    Ok(if flags & IS_PADDED != 0 { Padding::ToWords } else { Padding::None })
}

/// The flags of a radiotap header, if it has them: behind the words that say which fields are
/// there, and behind the first field, a time that is aligned to its length.
fn radiotap_flags(header: &[u8]) -> Option<u8> {
    const HAS_TIME: u32 = 1;
    const HAS_FLAGS: u32 = 1 << 1;
    const HAS_MORE_WORDS: u32 = 1 << 31;
    let word = |bytes: &[u8]| bytes.first_chunk().map(|word| u32::from_le_bytes(*word));
    let present = word(header.get(4..)?)?;
    let words = header.get(4..)?.chunks_exact(4);
    let last =
        words.map(word).position(|word| word.is_none_or(|word| word & HAS_MORE_WORDS == 0))?;
    let mut at = last.saturating_add(2).saturating_mul(4);
    if present & HAS_TIME != 0 {
        at = at.next_multiple_of(8).saturating_add(8);
    }
    header.get(at).copied().filter(|_| present & HAS_FLAGS != 0)
}

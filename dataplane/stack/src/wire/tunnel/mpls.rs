//! MPLS, RFC 3032, and pseudowires of Ethernet with a control word, RFC 4448.

use super::{Inside, Next, ParseError, Span};

/// Most labels of one stack.
const LABELS_MAX: usize = 16;

/// What follows the last label is not said anywhere: its first bits tell IP from a control word.
/// A pseudowire without one cannot be told from IP.
pub(in super::super) fn open(mut bytes: Span<'_>) -> Result<Inside<'_>, ParseError> {
    const IS_LAST: u8 = 1;
    let mut labels = 0..LABELS_MAX;
    loop {
        labels.next().ok_or(ParseError::Malformed)?;
        let [_, _, last, _] = *bytes.take::<4>()?;
        if last & IS_LAST != 0 {
            break;
        }
    }
    match bytes.captured.first().ok_or(ParseError::Truncated)? >> 4 {
        4 | 6 => Ok(Inside::new(Next::Ip, bytes)),
        0 => {
            bytes.take::<4>()?;
            Ok(Inside::new(Next::Ethernet, bytes))
        }
        _ => Err(ParseError::NotIp),
    }
}

//! What was sent, as an error repeats it.

use std::fmt;

/// Bytes of an echo at most, quotes and the sign of the cut apart: a tuple of two full IPv6
/// addresses takes 104. A gRPC client takes some KiB of an error, which says it more than once.
const ECHO_MAX: usize = 160;

/// A text that came from outside, as an error repeats it: in quotes, escaped once, and cut where
/// it is long, which `…` says: `"flows/12"`, `"xxxx"…`.
#[derive(Debug, Clone, Copy)]
pub struct Echo<'a>(pub &'a str);

impl<'a> Echo<'a> {
    /// The beginning of the text, as much of it as an echo shows.
    #[must_use]
    pub fn head(self) -> &'a str {
        let mut room = ECHO_MAX;
        let beyond = self.0.char_indices().find(|(_, char)| {
            let length: usize = char.escape_debug().map(char::len_utf8).sum();
            let fits = length <= room;
            room = room.saturating_sub(length);
            !fits
        });
        beyond.map_or(self.0, |(end, _)| &self.0[..end])
    }
}

impl fmt::Display for Echo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = self.head();
        let cut = if head.len() < self.0.len() { "…" } else { "" };
        write!(f, "{head:?}{cut}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_short_text_is_repeated_whole_and_a_long_one_is_cut() {
        assert_eq!(Echo("flows/12").to_string(), "\"flows/12\"");
        assert_eq!(Echo("a\"b\nc").to_string(), "\"a\\\"b\\nc\"");
        let tuple = format!("tcp/[{0}]:65535-[{0}]:65535@4095", ["2001"; 8].join(":"));
        assert_eq!(Echo(&tuple).to_string(), format!("{tuple:?}"));
        for (text, shown) in [("x", 160), ("é", 80), ("\u{1}", 32)] {
            let long = text.repeat(1_000_000);
            assert_eq!(Echo(&long).to_string(), format!("{:?}…", text.repeat(shown)));
        }
    }

    proptest! {
        #[test]
        fn an_echo_is_bounded_and_begins_as_the_text(text in "[\\x00-\\x{10ffff}]{0,300}") {
            let echo = Echo(&text);
            prop_assert!(text.starts_with(echo.head()));
            prop_assert!(echo.to_string().len() <= ECHO_MAX + 2 + "…".len());
        }
    }
}

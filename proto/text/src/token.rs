//! Tokens: `mosd_<id>_<secret>`. The id is public: logs and the audit tell it. The secret is 32
//! random bytes, so a digest of the whole is as safe to keep as any slow hash.

use std::fmt;

use crate::Digest;

/// What a token begins with, by which people and scanners know it.
const PREFIX: &str = "mosd_";

/// Characters of the id, hexadecimal digits, and of the secret, base64url without padding.
const ID_LENGTH: usize = 8;
const SECRET_LENGTH: usize = 43;

/// A token. It is never shown but where it is made: `Debug` tells its id alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The token that is written so; `None` if that is none. What was written is never repeated.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let is_id = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_secret = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let is_token = id.len() == ID_LENGTH
            && secret.len() == SECRET_LENGTH
            && id.bytes().all(is_id)
            && secret.bytes().all(is_secret);
        is_token.then(|| Self(text.to_owned()))
    }

    /// The token of this id and this secret, if these are such.
    #[must_use]
    pub fn of(id: &str, secret: &str) -> Option<Self> {
        Self::read(&format!("{PREFIX}{id}_{secret}"))
    }

    /// Whether a text looks like a token, so that it must not be repeated.
    #[must_use]
    pub fn is_alike(text: &str) -> bool {
        text.trim_start().starts_with(PREFIX)
    }

    /// Its public part.
    #[must_use]
    pub fn id(&self) -> &str {
        self.0.get(PREFIX.len()..PREFIX.len() + ID_LENGTH).unwrap_or_default()
    }

    /// What is kept of it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }

    /// All of it, to be sent or to be shown once.
    #[must_use]
    pub fn secret_text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_whole_or_not_at_all_and_never_shown() {
        let secret = "x".repeat(42) + "_";
        let text = format!("mosd_0123abcd_{secret}");
        let token = Token::read(&text).unwrap();
        assert_eq!((token.id(), token.secret_text()), ("0123abcd", text.as_str()));
        assert_eq!(Token::of("0123abcd", &secret), Some(token.clone()));
        assert_eq!(format!("{token:?}"), "Token(0123abcd)");
        assert_eq!(token.digest(), Digest::of(text.as_bytes()));
        for wrong in [
            "",
            "mosd_",
            "mosd_0123abcd_",
            &text[..text.len() - 1],
            &format!("{text}x"),
            &format!(" {text}"),
            &text.replace("mosd", "MOSD"),
            &text.replace("abcd", "ABCD"),
            &text.replace("xx", "+/"),
            &text.replace("0123abcd", "0123abc"),
        ] {
            assert_eq!(Token::read(wrong), None, "{wrong}");
        }
        assert!(Token::is_alike(&text[..20]) && !Token::is_alike("sha256:"));
    }
}

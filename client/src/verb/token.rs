//! `token`: makes tokens. Nothing is sent, and nothing is kept.

use std::time::SystemTime;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use mos_text::Token;
use prost_types::Timestamp;
use tokio_rustls::rustls::crypto::ring;

use crate::{
    args::TokenVerb,
    error::{Exit, Failure},
    render::Output,
};

/// Makes a token, and shows it once, with the grant that it needs.
pub(super) fn token(verb: &TokenVerb, output: &mut Output) -> Result<Exit, Failure> {
    let TokenVerb::Create { name, roles, expires } = verb;
    let token = random()?;
    let until = SystemTime::now().checked_add(expires.0).map(Timestamp::from);
    let until = until.ok_or_else(|| Failure::Usage("that is too far away".to_owned()))?;
    let until = Timestamp { nanos: 0, ..until };
    let roles: Vec<_> = roles.iter().map(|role| format!("\"{role}\"")).collect();
    let name = match name {
        Some(name) => format!("name = {}\n", quoted(name)),
        None => String::new(),
    };
    output.text(&format!("{}\n", token.secret_text()))?;
    output.flush()?;
    // A script takes the token from standard output; people see both.
    output.note(&format!(
        "# It is shown this once: keep it in a file of mode 600, for --token-file. Its grant, for \
         the roles file of mosd:\n[[grant]]\n{name}roles = [{}]\ntoken = \"{}\"\nexpires = {until}",
        roles.join(", "),
        token.digest(),
    ));
    Ok(Exit::Done)
}

/// A string of TOML.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A token that nobody has had before.
fn random() -> Result<Token, Failure> {
    let (mut id, mut secret) = ([0; 4], [0; 32]);
    let random = ring::default_provider().secure_random;
    let filled = random.fill(&mut id).and_then(|()| random.fill(&mut secret));
    filled
        .map_err(|_unspecified| Failure::Contract("the system gives no random bytes".to_owned()))?;
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let token = Token::of(&id, &URL_SAFE_NO_PAD.encode(secret));
    token.ok_or_else(|| Failure::Contract("that would be no token".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_tokens_are_the_same() {
        let [one, other] = [random().unwrap(), random().unwrap()];
        assert_ne!(one.secret_text(), other.secret_text());
        assert_ne!(one.digest(), other.digest());
    }

    #[test]
    fn a_name_is_written_as_toml_reads_it() {
        assert_eq!(quoted("a \"b\""), r#"'a "b"'"#);
    }
}

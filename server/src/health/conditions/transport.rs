//! Conditions of the listeners: whether what is sent is protected, and until when.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use mos_text::Span;

use super::{Finding, Level, TlsStanding, finding};
use crate::words::validity::Validity;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Before its end, a certificate or a list has this much left at least; less is a warning, or
/// critical. Of a short life a part is enough: a third, and a tenth.
const EXPIRES_SOON: (Duration, u32) = (DAY.saturating_mul(14), 3);
const EXPIRES_NOW: (Duration, u32) = (DAY.saturating_mul(2), 10);

/// A listener that anybody on the way can read and change.
pub(super) fn plain_text(exposed: &[SocketAddr]) -> Finding {
    let kind = "plain-text";
    if exposed.is_empty() {
        let message = "nothing is served in plain text beyond this machine".to_owned();
        return finding(kind, Level::Ok, message, "");
    }
    let addresses: Vec<_> = exposed.iter().map(ToString::to_string).collect();
    let message = format!(
        "{} in plain text beyond this machine, as `insecure` asks: anybody on the way can read \
         and change what is sent, and call in the name of others",
        addresses.join(" and ")
    );
    finding(kind, Level::Warning, message, "listen on tls:// instead, and take insecure out")
}

/// The certificates that are used may be older than their files.
pub(super) fn files(mistake: Option<&String>) -> Finding {
    match mistake {
        None => finding("tls", Level::Ok, "the certificates are those of their files".into(), ""),
        Some(mistake) => {
            let message = format!("older certificates are used, because of a mistake: {mistake}");
            finding("tls", Level::Warning, message, "mend it; `mosd check` reads the files, too")
        }
    }
}

/// What expires first, or has.
pub(super) fn expiry(tls: &TlsStanding, now: SystemTime) -> Finding {
    let judged = tls.validities.iter().map(|one| (level(one, now), one));
    let worst = judged.max_by_key(|(level, one)| (*level, std::cmp::Reverse(one.until)));
    let Some((level, Validity { what, path, from, until })) = worst else {
        return finding("certificates", Level::Ok, "there is none".to_owned(), "");
    };
    let path = path.display();
    let message = match (until.duration_since(now), from.duration_since(now)) {
        (Err(_past), _) => format!("the {what} in {path} has expired"),
        (Ok(_), Ok(ahead)) if !ahead.is_zero() => {
            format!("the {what} in {path} is not valid yet: is the clock of this machine right?")
        }
        (Ok(left), _) => format!("the {what} in {path} is valid for {}", Span(left).rounded()),
    };
    let next_step = "have a new one issued and put it in place of the file: mosd takes it within \
                     a second";
    finding("certificates", level, message, next_step)
}

fn level(validity: &Validity, now: SystemTime) -> Level {
    let life = validity.until.duration_since(validity.from).unwrap_or_default();
    let Ok(left) = validity.until.duration_since(now) else { return Level::Critical };
    let is_below = |(span, part): (Duration, u32)| left < span.min(life / part);
    if now < validity.from || is_below(EXPIRES_NOW) {
        Level::Critical
    } else if is_below(EXPIRES_SOON) {
        Level::Warning
    } else {
        Level::Ok
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(life: Duration, left: Option<Duration>) -> (Level, String) {
        let now = SystemTime::UNIX_EPOCH + DAY * 20_000;
        let until = left.map_or(now - DAY, |left| now + left);
        let from = until - life;
        let one = Validity { what: "certificate", path: "/x/tls.crt".into(), from, until };
        let other = Validity { what: "CA", until: now + DAY * 3650, ..one.clone() };
        let tls = TlsStanding { mistake: None, validities: vec![other, one] };
        let Finding { level, message, .. } = expiry(&tls, now);
        (level, message)
    }

    #[test]
    fn an_end_is_told_in_time_and_a_short_life_is_no_alarm() {
        let hour = Duration::from_secs(3600);
        for (life, left, level) in [
            (DAY * 90, DAY * 15, Level::Ok),
            (DAY * 90, DAY * 13, Level::Warning),
            (DAY * 90, hour * 47, Level::Critical),
            (hour, hour / 2, Level::Ok),
            (hour, hour / 4, Level::Warning),
            (hour, hour / 11, Level::Critical),
        ] {
            assert_eq!(judged(life, Some(left)).0, level, "{left:?} of {life:?}");
        }
        let (level, message) = judged(DAY * 90, None);
        assert_eq!(level, Level::Critical);
        assert_eq!(message, "the certificate in /x/tls.crt has expired");
        assert!(judged(DAY, Some(hour * 12)).1.contains("is valid for 12h"));
        let (level, message) = judged(DAY, Some(DAY * 2));
        assert_eq!(level, Level::Critical);
        assert!(message.contains("not valid yet"), "{message}");
    }

    #[test]
    fn plain_text_beyond_this_machine_is_told_with_its_addresses() {
        assert_eq!(plain_text(&[]).level, Level::Ok);
        let told = plain_text(&["192.0.2.1:50551".parse().unwrap()]);
        assert_eq!(told.level, Level::Warning);
        assert!(told.message.starts_with("192.0.2.1:50551 in plain text"), "{}", told.message);
    }
}

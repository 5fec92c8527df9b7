//! The caller of an RPC, and its time limit.

use std::time::Duration;

use tokio::time::Instant;
use tonic::codegen::http::HeaderMap;

use crate::{
    audit::Trail,
    auth::{Peer, Proof, Roles},
    words::bounds::{DEADLINE_DEFAULT, DEADLINE_MAX},
};

/// Subtracted from the client's time limit, so that our answer arrives before it gives up.
const ANSWER_MARGIN: Duration = Duration::from_millis(50);

/// What every RPC knows of its caller.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// The caller; `None` where the transport does not identify it.
    pub principal: Peer,
    /// What proves that.
    pub proof: Option<Proof>,
    /// What the caller may do, by the gate.
    pub roles: Roles,
    /// When the answer is due.
    pub deadline: Instant,
    /// What it tells the audit.
    pub trail: Trail,
}

impl Call {
    /// The call that this request makes.
    #[must_use]
    pub(crate) fn of<T>(request: &tonic::Request<T>) -> Self {
        let asked =
            grpc_timeout(request.metadata().as_ref()).unwrap_or(DEADLINE_DEFAULT).min(DEADLINE_MAX);
        let patience = asked.saturating_sub(ANSWER_MARGIN.min(asked / 10));
        let proof = request.extensions().get::<Proof>().cloned();
        Self {
            principal: proof.as_ref().map(Proof::principal),
            proof,
            roles: request.extensions().get::<Roles>().copied().unwrap_or_default(),
            deadline: Instant::now() + patience,
            trail: Trail::default(),
        }
    }
}

impl Call {
    /// Who causes what is logged of this call: the log has a rate for each caller.
    pub(crate) fn caller(&self) -> String {
        self.principal.as_ref().map_or_else(|| "unknown".to_owned(), ToString::to_string)
    }
}

/// The client's time limit: at most 8 digits and a unit, as the gRPC protocol spells it.
pub(crate) fn grpc_timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_time_limit_is_read_in_every_unit() {
        for (text, expected) in [
            ("2H", Some(Duration::from_secs(7200))),
            ("3M", Some(Duration::from_secs(180))),
            ("5S", Some(Duration::from_secs(5))),
            ("250m", Some(Duration::from_millis(250))),
            ("10u", Some(Duration::from_micros(10))),
            ("7n", Some(Duration::from_nanos(7))),
            ("123456789S", None),
            ("S", None),
            ("5x", None),
            ("", None),
        ] {
            let mut metadata = HeaderMap::new();
            metadata.insert("grpc-timeout", text.parse().unwrap());
            assert_eq!(grpc_timeout(&metadata), expected, "{text:?}");
        }
        assert_eq!(grpc_timeout(&HeaderMap::new()), None);
    }

    #[test]
    fn a_call_ends_before_its_client_gives_up_and_after_ten_seconds_at_most() {
        for (text, least, most) in [("1S", 900, 1000), ("1H", 9900, 10_000), ("1m", 0, 1)] {
            let mut request = tonic::Request::new(());
            request.metadata_mut().insert("grpc-timeout", text.parse().unwrap());
            let before = Instant::now();
            let deadline = Call::of(&request).deadline;
            // The call began in between.
            let [longest, shortest] =
                [before, Instant::now()].map(|at| (deadline - at).as_millis());
            assert!(longest >= least && shortest <= most, "{text}: {shortest} to {longest}");
        }
    }
}

//! File descriptors: how many the limits need, and how many the system lets this process have.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors for all but clients: devices, listeners, the metrics page, files.
const OWN: u64 = 256;

/// Descriptors that the service needs and may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptors {
    /// What its limits need.
    pub needed: u64,
    /// What the system lets it have.
    pub available: u64,
}

impl Descriptors {
    /// Raises the soft limit of this process to what that many connections need, as far as the
    /// hard limit goes.
    #[must_use]
    pub fn raise(connections_max: usize) -> Self {
        let needed = u64::try_from(connections_max).unwrap_or(u64::MAX).saturating_add(OWN);
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        // No limit is said as `None`.
        let (soft, hard) = (current.unwrap_or(u64::MAX), maximum.unwrap_or(u64::MAX));
        let wanted = needed.min(hard);
        let available = if soft >= wanted {
            soft
        } else {
            let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
            if raised.is_ok() { wanted } else { soft }
        };
        Self { needed, available }
    }

    /// Whether they suffice.
    #[must_use]
    pub const fn suffice(self) -> bool {
        self.available >= self.needed
    }

    /// Connections that they suffice for, at least one.
    #[must_use]
    pub fn connections(self) -> usize {
        usize::try_from(self.available.saturating_sub(OWN)).unwrap_or(usize::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_raised_to_what_is_needed_and_not_beyond_the_hard_one() {
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        let low = Rlimit { current: Some(300), maximum: Some(2000) };
        if maximum.is_some_and(|hard| hard < 2000) || setrlimit(Resource::Nofile, low).is_err() {
            return;
        }
        let enough = Descriptors::raise(1000);
        assert_eq!(enough, Descriptors { needed: 1256, available: 1256 });
        assert!(enough.suffice());
        // What is there already stays.
        assert_eq!(Descriptors::raise(10), Descriptors { needed: 266, available: 1256 });
        let few = Descriptors::raise(10_000);
        assert_eq!((few.available, few.suffice(), few.connections()), (2000, false, 1744));
    }
}

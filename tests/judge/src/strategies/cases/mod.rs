//! Connections written by hand, each the whole of a known kind of evasion, and their controls.

mod acknowledgement;
mod end;
mod handshake;
mod overlap;
mod window;

use crate::ends::setup::{Offer, Role, Setup, Version};
use crate::script::{Script, Step};
use crate::strange::change::Change;
use crate::strange::{Kind, Strange};

/// What every connection is tried with.
const VARIANTS: [(Version, Offer); 4] = [
    (Version::V4, Offer::Little),
    (Version::V4, Offer::All),
    (Version::V6, Offer::Little),
    (Version::V6, Offer::All),
];

/// A connection before it is multiplied by versions of IP and timestamps.
#[derive(Debug, Clone)]
struct Case {
    family: &'static str,
    name: String,
    setup: Setup,
    steps: Vec<Step>,
}

impl Case {
    /// A connection to a server of the kernel.
    fn server(family: &'static str, name: impl Into<String>, steps: Vec<Step>) -> Self {
        Self { family, name: name.into(), setup: usual(Role::Server), steps }
    }

    /// A connection of a client of the kernel.
    fn client(family: &'static str, name: impl Into<String>, steps: Vec<Step>) -> Self {
        Self { family, name: name.into(), setup: usual(Role::Client), steps }
    }

    /// The same connection in both roles, behind the handshake of each.
    fn both(family: &'static str, name: &str, steps: &[Step]) -> [Self; 2] {
        let opened = |opening: &[Step]| [opening, steps].concat();
        [
            Self::server(family, name, opened(&[Step::Syn, Step::Ack])),
            Self::client(family, name, opened(&[Step::Connect, Step::SynAck])),
        ]
    }

    /// The same with another setup.
    fn set(mut self, change: impl FnOnce(&mut Setup)) -> Self {
        change(&mut self.setup);
        self
    }
}

/// All connections written by hand.
#[must_use]
pub fn all() -> Vec<Script> {
    let cases = [
        acknowledgement::cases(),
        end::cases(),
        handshake::cases(),
        overlap::cases(),
        window::cases(),
    ];
    let mut scripts = Vec::new();
    for case in cases.concat() {
        for (version, offer) in VARIANTS {
            let setup = Setup { version, offer, ..case.setup };
            let label = format!("{:?}: {}", setup.role, case.name);
            let steps = case.steps.clone();
            scripts.push(Script { group: case.family, label, setup, steps });
        }
    }
    scripts
}

fn usual(role: Role) -> Setup {
    Setup::of(role, Version::V4, Offer::Little)
}

/// A strange packet without a change.
fn strange(kind: Kind) -> Step {
    Step::Strange(Strange::new(kind))
}

/// A strange packet at a distance from the next number.
fn strange_at(kind: Kind, at: i32) -> Step {
    Step::Strange(Strange::new(kind).at(at))
}

/// A strange packet with a change.
fn changed(kind: Kind, change: Change) -> Step {
    Step::Strange(Strange::new(kind).with(change))
}

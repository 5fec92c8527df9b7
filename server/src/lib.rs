//! The control plane of `mosd`: the gRPC services over the workers' command rings.
//!
//! ```text
//! boot ─▶ net ─▶ api ──▶ flows ──▶ workers ─▶ (command ring) ─▶ worker
//!                 │ └──▶ health ───▶ ▲
//!                 └────▶ events ◀──────────── (event ring) ◀─── worker
//! ```
//!
//! One folder is one room, with one idea. `boot` assembles them, `api` alone knows `mos.v1`, and
//! `filter` and `words` are known to all; `tests/src/tidy/rooms.rs` has the table of who may import
//! whom. Everything here speaks to `mos-control` only, so that it runs and is tested against any
//! thread that answers on a worker port. `boot/run.rs` alone starts the dataplane; `replay` runs a
//! capture through it.

mod api;
mod audit;
mod auth;
pub mod boot;
mod budgets;
mod events;
mod filter;
mod flows;
mod health;
mod log;
mod net;
mod panics;
mod policies;
pub mod replay;
mod words;
mod workers;

pub use api::{
    rejection::{ManyFlows, Rejection, ResumeError, Unserved},
    service::Service,
    state::{Control, Settings},
    status::ErrorRow,
    streams::{Admission, Streams},
};
pub use audit::{Audit, OnFailure, Unavailable};
pub use auth::{Grants, GrantsError, Role, Roles, Unproven};
pub use events::FanOut;
pub use filter::{Filter, FilterError, FilterErrorKind};
pub use flows::page_token::PageTokenError;
pub use health::{descriptors::Descriptors, telemetry::describe_metrics};
pub use net::{
    Cutoff,
    listen::{ListenError, Listeners, PlainTcp},
    tls,
};
pub use policies::{Home, Policies, PolicyError, StoreError, StoreFailure};
pub use words::bounds::{Configured, Limit, Scope, Unit, limits};
pub use workers::{PendingAnswer, WorkerClient};

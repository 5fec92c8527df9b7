//! Who calls, and who may: a connection proves a principal, grants give it roles, and the gate
//! compares them with the role that is needed. Which one a method needs, the contract says (`api`).

mod certificate;
mod gate;
mod grants;
mod name;
mod principal;
mod proof;
mod rates;
mod roles;

pub(crate) use self::{
    certificate::{Certificate, Distrust, Trust},
    gate::{Gate, Refused},
    grants::Grant,
    principal::{Peer, Principal, is_administrator},
    proof::{Proof, Shown},
    rates::{Counted, TooFast},
};
pub use self::{
    gate::Unproven,
    grants::{Grants, GrantsError},
    roles::{Role, Roles},
};

//! Who calls.

mod principal;

pub(crate) use principal::{Peer, Principal, is_administrator};

//! How a connection is set up: who connects, over what, with which options.

/// What the kernel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// It accepts.
    Server,
    /// It connects.
    Client,
}

/// The version of IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// What the raw peer offers in its SYN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Offer {
    /// The maximum segment size alone.
    Little,
    /// Timestamps, window scaling and SACK, too.
    All,
}

/// How the kernel is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Setting {
    /// As usual.
    Usual,
    /// With a small receive buffer.
    Small,
    /// It answers SYNs with cookies, and keeps no state for them.
    Cookies,
}

/// How a connection is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Setup {
    /// What the kernel is.
    pub role: Role,
    /// The version of IP.
    pub version: Version,
    /// What the raw peer offers.
    pub offer: Offer,
    /// How the kernel is set.
    pub setting: Setting,
    /// The window that the raw peer grants, in bytes.
    pub grants: u16,
    /// The raw peer's initial sequence number.
    pub iss: u32,
}

impl Setup {
    /// What is usual, with a kernel in this role.
    #[must_use]
    pub const fn of(role: Role, version: Version, offer: Offer) -> Self {
        Self { role, version, offer, setting: Setting::Usual, grants: 64000, iss: 1000 }
    }
}

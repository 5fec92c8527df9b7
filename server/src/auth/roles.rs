//! Sets of roles.

use std::fmt;

/// What a caller may do. The contract says it at each method, and in full at its `Role`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Sees, and no byte of payload.
    Viewer,
    /// Changes, too.
    Operator,
    /// Reads payload.
    Payload,
    /// Administers.
    Admin,
}

/// A set of roles. Where a role is, those are that it includes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Roles(u8);

impl Roles {
    /// Every role.
    pub const ALL: Self = Self::of(Role::Admin).and(Self::of(Role::Payload));

    /// A role and those that it includes.
    #[must_use]
    pub const fn of(role: Role) -> Self {
        match role {
            Role::Viewer => Self(1),
            Role::Operator => Self(1 << 1).and(Self::of(Role::Viewer)),
            Role::Payload => Self(1 << 2),
            Role::Admin => Self(1 << 3).and(Self::of(Role::Operator)),
        }
    }

    /// The roles of both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether a role is in the set.
    #[must_use]
    pub const fn have(self, role: Role) -> bool {
        Self::of(role).0 & !self.0 == 0
    }

    /// The roles in the set, the least first.
    pub(crate) fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| self.have(*role))
    }

    /// The first role that is in this set and not in the other.
    pub(super) fn lost_in(self, other: Self) -> Option<Role> {
        self.iter().find(|role| !other.have(*role))
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.iter().map(Role::as_str).collect();
        match words.as_slice() {
            [] => f.write_str("no role"),
            words => f.write_str(&words.join(", ")),
        }
    }
}

impl Role {
    const ALL: [Self; 4] = [Self::Viewer, Self::Operator, Self::Payload, Self::Admin];

    /// The word for it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Payload => "payload",
            Self::Admin => "admin",
        }
    }

    /// The role that this word stands for.
    pub(super) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_brings_those_that_it_includes_and_no_other() {
        use Role::{Admin, Operator, Payload, Viewer};
        for (role, has) in [
            (Viewer, &[Viewer][..]),
            (Operator, &[Viewer, Operator]),
            (Payload, &[Payload]),
            (Admin, &[Viewer, Operator, Admin]),
        ] {
            assert_eq!(Roles::of(role).iter().collect::<Vec<_>>(), has, "{role:?}");
        }
        assert_eq!(Roles::ALL.to_string(), "viewer, operator, payload, admin");
        assert_eq!(Roles::default().to_string(), "no role");
    }

    #[test]
    fn what_is_lost_is_named() {
        let before = Roles::of(Role::Operator).and(Roles::of(Role::Payload));
        assert_eq!(before.lost_in(Roles::ALL), None);
        assert_eq!(before.lost_in(Roles::of(Role::Operator)), Some(Role::Payload));
        assert_eq!(before.lost_in(Roles::default()), Some(Role::Viewer));
    }
}

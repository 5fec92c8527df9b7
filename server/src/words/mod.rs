//! Vocabulary that several rooms share. It does not depend on workers, connections or the API.

pub(crate) mod bounds;
pub(crate) mod community_id;
pub(crate) mod facts;
pub(crate) mod unread;
pub(crate) mod validity;

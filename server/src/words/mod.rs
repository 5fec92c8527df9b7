//! Vocabulary that several rooms share: it knows no workers, connections or API.

pub(crate) mod bounds;
pub(crate) mod community_id;
pub(crate) mod facts;

//! Words that several rooms share: they know nothing of workers, connections or the API.

pub(crate) mod bounds;
pub(crate) mod community_id;
pub(crate) mod facts;

//! Many flows at once, whatever is done with them, and the way from a name to one of them.

pub(crate) mod before;
pub(crate) mod change;
pub(crate) mod joined;
pub(crate) mod matches;
pub(crate) mod page_token;
pub(crate) mod ranking;
pub(crate) mod resolve;
pub(crate) mod tally;
pub(crate) mod walk;

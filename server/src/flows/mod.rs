//! Many flows at once, whatever is done with them.

pub(crate) mod page_token;

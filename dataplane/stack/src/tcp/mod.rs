//! TCP as seen from the middle.

mod state;

pub use state::TcpState;

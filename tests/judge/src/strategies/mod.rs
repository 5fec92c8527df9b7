//! Strategies: which scripts are played, written by hand or drawn by a seed.

pub mod cases;
pub mod draw;
pub mod state;
pub mod table;

//! Guards the architecture.

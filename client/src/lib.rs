//! Client library of mosd.

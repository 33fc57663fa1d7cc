//! Keys, their histories and their values.

pub mod cache;
pub mod checkpoint;
pub mod index;

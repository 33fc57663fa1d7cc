//! Keys, their histories and their values.

pub mod cache;
pub mod index;

pub use index::checkpoint;

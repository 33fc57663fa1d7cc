//! The command-line tools.

pub mod config;

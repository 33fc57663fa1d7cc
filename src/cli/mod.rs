//! The command-line tools.

pub mod config;
pub mod ctl;
mod go;
pub mod utl;

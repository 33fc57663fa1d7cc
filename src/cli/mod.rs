//! The command-line tools.

pub mod cert;
pub mod config;
pub mod ctl;
mod go;
pub mod utl;

//! How a node begins.

//! Making and keeping certificates.

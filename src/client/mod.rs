//! A small gRPC client for the tools and the tests.

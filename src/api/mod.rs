//! The gRPC and HTTP faces: decode, check, ask, answer. No rules of its own.

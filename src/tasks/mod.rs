//! Supervised tasks and the order they stop in.

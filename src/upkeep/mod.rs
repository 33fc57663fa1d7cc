//! Jobs that look at state and propose.

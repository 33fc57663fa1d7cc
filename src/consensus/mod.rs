//! Agreement: proposals in, applied outcomes out. The only room that says openraft.

mod runtime;
mod ticket;
mod types;

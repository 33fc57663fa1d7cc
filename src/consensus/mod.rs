//! Agreement on the order of changes; the only room that says openraft.

//! etcd.
fn main() {}

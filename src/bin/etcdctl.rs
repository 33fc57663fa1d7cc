//! etcdctl.
fn main() {}

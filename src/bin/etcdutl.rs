//! etcdutl.
fn main() {}

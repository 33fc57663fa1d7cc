#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| etcd::fuzzing::run("ctl_typed", bytes));

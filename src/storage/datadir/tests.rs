//! The data directory as an operator meets it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{DataDir, StorageError};

fn open(root: &Path) -> Result<DataDir, StorageError> {
    DataDir::open(root, None)
}

fn refusal(root: &Path) -> String {
    open(root).unwrap_err().to_string()
}

#[test]
fn a_new_directory_is_private_and_remembers_its_member() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("deep/default.etcd");
    let mut dir = open(&root).unwrap();
    assert_eq!(dir.identity(), None);
    for folder in [&root, &dir.wal(), &dir.state(), &dir.checkpoint()] {
        assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
    }
    dir.mark_started(b"member one").unwrap();
    fs::write(dir.state().join("data"), b"kept").unwrap();
    drop(dir);
    let dir = open(&root).unwrap();
    assert_eq!(dir.identity(), Some(&b"member one"[..]));
    assert_eq!(fs::read(dir.state().join("data")).unwrap(), b"kept");
}

#[test]
fn one_process_at_a_time() {
    let parent = tempfile::tempdir().unwrap();
    let (root, log) = (parent.path().join("a"), parent.path().join("log"));
    let first = DataDir::open(&root, Some(&log)).unwrap();
    assert!(refusal(&root).contains("is locked by another process"));
    let error = DataDir::open(&parent.path().join("b"), Some(&log)).unwrap_err();
    assert!(matches!(&error, StorageError::Locked { path } if path.starts_with(&log)), "{error}");
    drop(first);
    open(&root).unwrap();
}

#[test]
fn a_directory_is_free_although_a_program_that_is_being_started_has_a_copy_of_its_lock() {
    let parent = tempfile::tempdir().unwrap();
    let first = open(parent.path()).unwrap();
    let copy = first._locks[0].0.try_clone().unwrap();
    drop(first);
    open(parent.path()).unwrap();
    drop(copy);
}

#[test]
fn an_interrupted_first_start_begins_anew() {
    let parent = tempfile::tempdir().unwrap();
    let log = parent.path().join("log");
    let root = parent.path().join("data");
    fs::create_dir_all(root.join("fixtures")).unwrap();
    let dir = DataDir::open(&root, Some(&log)).unwrap();
    fs::write(dir.state().join("data"), b"half").unwrap();
    fs::write(log.join("0000000000000001.wal"), b"half").unwrap();
    fs::write(log.join("notes.txt"), b"not ours").unwrap();
    drop(dir);
    let dir = DataDir::open(&root, Some(&log)).unwrap();
    assert_eq!(fs::read_dir(dir.state()).unwrap().count(), 0);
    assert!(!log.join("0000000000000001.wal").exists());
    assert!(log.join("notes.txt").exists() && root.join("fixtures").exists());
}

#[test]
fn a_directory_of_the_go_etcd_is_refused() {
    for path in ["member/snap/db", "member/wal/0000000000000000-0000000000000000.wal"] {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, b"x").unwrap();
        let message = refusal(root.path());
        assert!(
            message.contains("data directory of the Go etcd") && message.contains(path),
            "{message}"
        );
        assert!(file.exists() && !root.path().join("format").exists());
    }
}

#[test]
fn contents_without_a_header_are_refused_and_kept() {
    let root = tempfile::tempdir().unwrap();
    let mut dir = open(root.path()).unwrap();
    dir.mark_started(b"me").unwrap();
    fs::write(dir.wal().join("0000000000000001.wal"), b"x").unwrap();
    let file = dir.wal().join("0000000000000001.wal");
    drop(dir);
    fs::remove_file(root.path().join("format")).unwrap();
    assert!(refusal(root.path()).contains("no format header"));
    assert!(file.exists());
}

#[test]
fn other_versions_and_damage_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let header = root.path().join("format");
    let mut dir = open(root.path()).unwrap();
    dir.mark_started(b"me").unwrap();
    drop(dir);
    let text = fs::read_to_string(&header).unwrap();
    fs::write(&header, text.replace("version: 1", "version: 2")).unwrap();
    assert!(refusal(root.path()).contains("has format version 2, this build reads version 1"));
    for at in 0..text.len() {
        let mut damaged = text.clone().into_bytes();
        damaged[at] ^= 4;
        fs::write(&header, damaged).unwrap();
        let error = open(root.path()).unwrap_err();
        let known =
            matches!(error, StorageError::Damaged { .. } | StorageError::UnknownVersion { .. });
        assert!(known, "byte {at}: {error}");
        fs::write(&header, &text[..at]).unwrap();
        assert!(open(root.path()).is_err(), "cut at {at}");
    }
}

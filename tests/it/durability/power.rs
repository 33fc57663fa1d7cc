//! What a power cut leaves of a data directory, worked out from what was written and synced.
//!
//! The preloaded disk records every change and every sync. Here they are played back: a sync makes
//! durable what came before it; of the rest each write may be lost, whole or in sectors of 512 bytes,
//! and of the changes of names the newest may be. Names become durable in their order, as in file
//! systems with a journal, and only by the sync of a folder, which is stricter than those.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const PAGE: usize = 4096;
const SECTOR: usize = 512;

/// Numbers from a seed, so that a failure can be seen again.
pub(super) struct Dice(u64);

impl Dice {
    /// Numbers that follow from `seed` alone.
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(2).wrapping_add(0x9E37_79B9_7F4A_7C15))
    }

    /// A number below `limit`.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap() % limit
    }

    /// Heads.
    pub(super) fn heads(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// The bytes of a file; pages that are not there are zero.
#[derive(Clone, Default, PartialEq, Eq)]
struct Content {
    len: u64,
    pages: BTreeMap<u64, Box<[u8; PAGE]>>,
}

impl Content {
    fn write(&mut self, offset: u64, data: &[u8]) {
        let mut done = 0;
        while done < data.len() {
            let at = offset + done as u64;
            let within = usize::try_from(at % PAGE as u64).unwrap();
            let step = (PAGE - within).min(data.len() - done);
            let page = self.pages.entry(at / PAGE as u64).or_insert_with(|| Box::new([0; PAGE]));
            page[within..within + step].copy_from_slice(&data[done..done + step]);
            done += step;
        }
        self.len = self.len.max(offset + data.len() as u64);
    }

    /// The bytes of the sector that begins at `offset`, as far as the file goes.
    fn sector(&self, offset: u64) -> &[u8] {
        let left = usize::try_from(self.len - offset).unwrap();
        let within = usize::try_from(offset % PAGE as u64).unwrap();
        let page = self.pages.get(&(offset / PAGE as u64)).map_or(&[0; PAGE], Box::as_ref);
        &page[within..within + left.min(SECTOR)]
    }

    fn truncate(&mut self, len: u64) {
        if len < self.len {
            let page = len / PAGE as u64;
            self.pages.split_off(&(page + 1));
            if let Some(last) = self.pages.get_mut(&page) {
                last[usize::try_from(len % PAGE as u64).unwrap()..].fill(0);
            }
        }
        self.len = len;
    }

    fn read(path: &Path) -> Self {
        let mut content = Self::default();
        let bytes = fs::read(path).unwrap();
        for (number, page) in (0_u64..).zip(bytes.chunks(PAGE)) {
            // Slices are compared fast in every build, bytes are not.
            if *page != [0; PAGE][..page.len()] {
                content.write(number * PAGE as u64, page);
            }
        }
        content.len = bytes.len() as u64;
        content
    }

    fn save(&self, path: &Path) {
        let mut options = File::options();
        let file = options.write(true).create_new(true).mode(0o600).open(path).unwrap();
        file.set_len(self.len).unwrap();
        for (number, page) in &self.pages {
            let offset = number * PAGE as u64;
            let length = usize::try_from(self.len.saturating_sub(offset)).unwrap().min(PAGE);
            file.write_all_at(&page[..length], offset).unwrap();
        }
    }
}

#[derive(Clone)]
enum Change {
    /// Bytes at an offset.
    Write(u64, Vec<u8>),
    /// Another length, shorter or longer.
    Truncate(u64),
    /// A length that may only grow: space that was reserved by a call the shim does not see.
    Grow(u64),
}

impl Change {
    fn apply(&self, content: &mut Content) {
        match self {
            Self::Write(offset, data) => content.write(*offset, data),
            Self::Truncate(len) => content.truncate(*len),
            Self::Grow(len) => content.len = content.len.max(*len),
        }
    }

    /// Applies what a power cut left of it. What gets to the disk of a write are sectors as they are
    /// in `now`, after the write: what was written to the same sector before is there too.
    fn tear(&self, content: &mut Content, now: &Content, dice: &mut Dice) {
        let Self::Write(offset, data) = self else { return self.apply(content) };
        let first = offset - offset % SECTOR as u64;
        for at in (first..offset + data.len() as u64).step_by(SECTOR) {
            if dice.below(4) > 0 {
                content.write(at, now.sector(at));
            }
        }
    }
}

#[derive(Default)]
struct FileState {
    durable: Content,
    pending: Vec<(u64, Change)>,
}

impl FileState {
    fn newest(&self) -> Content {
        let mut content = self.durable.clone();
        self.pending.iter().for_each(|(_, change)| change.apply(&mut content));
        content
    }

    fn sync(&mut self, upto: u64) {
        let kept = self.pending.split_off(self.pending.partition_point(|(at, _)| *at < upto));
        for (_, change) in std::mem::replace(&mut self.pending, kept) {
            change.apply(&mut self.durable);
        }
    }

    /// What is there after the power is back.
    fn after_cut(&self, dice: &mut Dice) -> Content {
        match dice.below(4) {
            0 => return self.durable.clone(),
            1 => return self.newest(),
            _ => {}
        }
        let mut now = self.durable.clone();
        let mut content = now.clone();
        for (_, change) in &self.pending {
            change.apply(&mut now);
            if dice.heads() {
                change.tear(&mut content, &now, dice);
            }
        }
        content
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Node {
    Folder,
    File(usize),
}

#[derive(Clone)]
enum Naming {
    Set(PathBuf, Node),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

type Names = BTreeMap<PathBuf, Node>;

impl Naming {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Set(path, node) => {
                names.insert(path.clone(), *node);
            }
            Self::Remove(path) => {
                names.remove(path);
            }
            Self::Rename(from, to) => {
                if let Some(node) = names.remove(from) {
                    names.insert(to.clone(), node);
                }
            }
        }
    }
}

/// A data directory: what is durable, and what has happened since.
#[derive(Default)]
pub(super) struct Disk {
    root: PathBuf,
    files: Vec<FileState>,
    durable: Names,
    newest: Names,
    pending: Vec<(u64, Naming)>,
}

impl Disk {
    /// The directory `root` as it is, all of it durable.
    pub(super) fn settled(root: &Path) -> Self {
        let mut disk = Self { root: root.to_path_buf(), ..Self::default() };
        for (path, is_folder) in walk(root) {
            let node = if is_folder {
                Node::Folder
            } else {
                disk.add_file(FileState { durable: Content::read(&path), pending: Vec::new() })
            };
            disk.newest.insert(path, node);
        }
        disk.durable = disk.newest.clone();
        disk
    }

    fn add_file(&mut self, file: FileState) -> Node {
        self.files.push(file);
        Node::File(self.files.len() - 1)
    }

    /// Plays back what one process did, then takes in what it had done without getting to record it
    /// when it was killed.
    pub(super) fn replay(&mut self, trace: &Path) {
        let bytes = fs::read(trace).unwrap_or_default();
        let mut known = HashMap::new();
        let mut at = 0;
        while let Some(record) = Record::read(&bytes, at) {
            self.play(&record, at as u64, &mut known);
            at = record.end;
        }
        // The next process has a trace of its own, whose places begin at zero again.
        for file in &mut self.files {
            file.pending.iter_mut().for_each(|(place, _)| *place = 0);
        }
        self.pending.iter_mut().for_each(|(place, _)| *place = 0);
        self.reconcile();
    }

    fn play(&mut self, record: &Record<'_>, at: u64, known: &mut HashMap<u64, usize>) {
        let name = |change| (at, change);
        match record.kind {
            Record::CREATE | Record::OPEN => {
                let node = match self.newest.get(&record.first) {
                    Some(node) if record.kind == Record::OPEN => *node,
                    _ => {
                        let node = self.add_file(FileState::default());
                        self.rename(name(Naming::Set(record.first.clone(), node)));
                        node
                    }
                };
                let Node::File(file) = node else { panic!("{:?} is a folder", record.first) };
                known.insert(record.file, file);
            }
            Record::WRITE => {
                let file = &mut self.files[known[&record.file]].pending;
                file.push((at, Change::Grow(record.size)));
                let length = usize::try_from(record.length).unwrap();
                let data =
                    if record.data.is_empty() { vec![0; length] } else { record.data.to_vec() };
                file.push((at, Change::Write(record.offset, data)));
            }
            Record::TRUNCATE => {
                self.files[known[&record.file]].pending.push((at, Change::Truncate(record.length)));
            }
            Record::SYNC_FILE => {
                // A file that was only read has nothing to sync.
                if let Some(file) = known.get(&record.file) {
                    self.files[*file].sync(record.offset);
                }
            }
            Record::SYNC_DIR => {
                let upto = self.pending.partition_point(|(place, _)| *place < record.offset);
                for (_, change) in self.pending.drain(..upto) {
                    change.apply(&mut self.durable);
                }
            }
            Record::RENAME => {
                self.rename(name(Naming::Rename(record.first.clone(), record.second.clone())));
            }
            Record::UNLINK | Record::RMDIR => {
                self.rename(name(Naming::Remove(record.first.clone())));
            }
            Record::MKDIR => self.rename(name(Naming::Set(record.first.clone(), Node::Folder))),
            other => panic!("unknown record {other} at byte {at}"),
        }
    }

    fn rename(&mut self, change: (u64, Naming)) {
        change.1.apply(&mut self.newest);
        self.pending.push(change);
    }

    fn reconcile(&mut self) {
        let found: BTreeMap<PathBuf, bool> = walk(&self.root).into_iter().collect();
        let gone: Vec<PathBuf> =
            self.newest.keys().filter(|path| !found.contains_key(*path)).cloned().collect();
        for path in gone {
            self.rename((0, Naming::Remove(path)));
        }
        for (path, is_folder) in found {
            match self.newest.get(&path).copied() {
                Some(Node::File(file)) => {
                    let content = Content::read(&path);
                    let believed = self.files[file].newest();
                    let pending = &mut self.files[file].pending;
                    if believed.len != content.len {
                        pending.push((0, Change::Truncate(content.len)));
                    }
                    let numbers: BTreeSet<&u64> =
                        believed.pages.keys().chain(content.pages.keys()).collect();
                    for number in numbers {
                        let zero = Box::new([0; PAGE]);
                        let page = content.pages.get(number).unwrap_or(&zero);
                        if believed.pages.get(number).unwrap_or(&zero) != page {
                            let offset = number * PAGE as u64;
                            let length =
                                usize::try_from(content.len.saturating_sub(offset)).unwrap();
                            let data = page[..length.min(PAGE)].to_vec();
                            pending.push((0, Change::Write(offset, data)));
                        }
                    }
                }
                Some(Node::Folder) => {}
                None if is_folder => self.rename((0, Naming::Set(path, Node::Folder))),
                None => {
                    let content = Content::read(&path);
                    let pages = content.pages.iter().map(|(number, page)| {
                        (0, Change::Write(number * PAGE as u64, page.to_vec()))
                    });
                    let mut pending: Vec<(u64, Change)> = pages.collect();
                    pending.push((0, Change::Truncate(content.len)));
                    let node = self.add_file(FileState { pending, ..FileState::default() });
                    self.rename((0, Naming::Set(path, node)));
                }
            }
        }
    }

    /// Cuts the power: the directory becomes what is left, and that is durable.
    pub(super) fn cut_power(&mut self, dice: &mut Dice) {
        let mut names = self.durable.clone();
        let kept = dice.below(self.pending.len() + 1);
        self.pending[..kept].iter().for_each(|(_, change)| change.apply(&mut names));
        fs::remove_dir_all(&self.root).unwrap();
        for (path, node) in &names {
            // A name below a folder that was removed, or is not there yet, is nowhere.
            match node {
                _ if path.parent().is_some_and(|parent| !parent.is_dir()) => {}
                Node::Folder => fs::DirBuilder::new().mode(0o700).create(path).unwrap(),
                Node::File(file) => self.files[*file].after_cut(dice).save(path),
            }
        }
        if !self.root.is_dir() {
            fs::DirBuilder::new().mode(0o700).create(&self.root).unwrap();
        }
        *self = Self::settled(&self.root);
    }
}

/// Every path below a folder and the folder itself, parents first, with whether it is a folder.
fn walk(root: &Path) -> Vec<(PathBuf, bool)> {
    let mut found = vec![(root.to_path_buf(), true)];
    let mut next = 0;
    while let Some((path, is_folder)) = found.get(next).cloned() {
        next += 1;
        if is_folder && path.is_dir() {
            for entry in fs::read_dir(&path).unwrap() {
                let path = entry.unwrap().path();
                let is_folder = path.is_dir();
                found.push((path, is_folder));
            }
        }
    }
    found
}

/// One record of the shim.
struct Record<'a> {
    kind: u32,
    file: u64,
    offset: u64,
    length: u64,
    size: u64,
    first: PathBuf,
    second: PathBuf,
    data: &'a [u8],
    end: usize,
}

impl<'a> Record<'a> {
    const CREATE: u32 = 1;
    const OPEN: u32 = 2;
    const WRITE: u32 = 3;
    const TRUNCATE: u32 = 4;
    const SYNC_FILE: u32 = 5;
    const SYNC_DIR: u32 = 6;
    const RENAME: u32 = 7;
    const UNLINK: u32 = 8;
    const MKDIR: u32 = 9;
    const RMDIR: u32 = 10;
    const HEAD: usize = 48;

    /// The record at a place; `None` at the end, and where the process was killed while it wrote one.
    fn read(bytes: &'a [u8], at: usize) -> Option<Self> {
        let head = bytes.get(at..at + Self::HEAD)?;
        let word = |at: usize| u32::from_ne_bytes(head[at..at + 4].try_into().unwrap());
        let long = |at: usize| u64::from_ne_bytes(head[at..at + 8].try_into().unwrap());
        let [first, second, data] = [4, 8, 12].map(|at| usize::try_from(word(at)).unwrap());
        let mut rest = bytes.get(at + Self::HEAD..at + Self::HEAD + first + second + data)?;
        let mut take = |length| rest.split_off(..length).unwrap();
        let path = |bytes: &[u8]| PathBuf::from(str::from_utf8(bytes).unwrap());
        Some(Self {
            kind: word(0),
            file: long(16),
            offset: long(24),
            length: long(32),
            size: long(40),
            first: path(take(first)),
            second: path(take(second)),
            data: take(data),
            end: at + Self::HEAD + first + second + data,
        })
    }
}

#[test]
fn a_sector_keeps_what_was_written_to_it_before() {
    let write = |offset, byte| (0, Change::Write(offset, vec![byte; 100]));
    let pending = vec![write(0, 1), write(100, 2), write(500, 3)];
    let file = FileState { pending, ..FileState::default() };
    let mut seen = BTreeSet::new();
    for seed in 0..1_000 {
        let left = file.after_cut(&mut Dice::new(seed));
        let byte = |offset: u64| match left.len.checked_sub(offset) {
            None | Some(0) => 0,
            _ => left.sector(offset - offset % SECTOR as u64)
                [usize::try_from(offset).unwrap() % SECTOR],
        };
        seen.insert([byte(0), byte(100), byte(500), byte(550)]);
    }
    let possible = [
        [0, 0, 0, 0],
        [1, 0, 0, 0],
        [1, 2, 0, 0],
        [1, 2, 3, 0],
        [0, 0, 0, 3],
        [1, 0, 0, 3],
        [1, 2, 0, 3],
        [1, 2, 3, 3],
    ];
    assert_eq!(seen, BTreeSet::from(possible));
}

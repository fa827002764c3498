//! The bytes to send, by position: a regular file read as it is sent, or bytes in memory.
//!
//! A transfer of a large file needs no more memory than one of a small file: each receiver's thread holds one block.

use crate::error::{PayloadError, Plain};
use crate::protocol::MAX_PACKET_PAYLOAD;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

/// Most bytes that a [`BlockReader`] reads at once: whole packets, at most 16 KiB. Larger blocks are not faster.
const BLOCK: u64 = (16 * 1024 / MAX_PACKET_PAYLOAD * MAX_PACKET_PAYLOAD) as u64;

/// Most bytes in a payload: 32-bit SEQs number no more packets.
const MAX_LEN: u64 = u32::MAX as u64 * MAX_PACKET_PAYLOAD as u64;

/// Room that spooling makes before each read, in bytes; the vector grows by doubling.
const SPOOL_STEP: usize = 64 * 1024;

/// Where the payload comes from: a regular file read by position as it is sent, or bytes in memory. Never empty.
/// A clone is another handle on the same payload.
#[derive(Clone)]
pub struct Payload(Arc<Contents>);

struct Contents {
    name: String,
    source: Source,
}

enum Source {
    File { file: File, version: Version },
    Memory(Vec<u8>),
}

/// What tells that a file is still the one that was opened.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Version {
    len: u64,
    modified: Option<SystemTime>,
}

// A payload is never empty, so `is_empty` would have nothing to say.
#[allow(clippy::len_without_is_empty)]
impl Payload {
    /// The payload in the file at `path`. A regular file is read by position, later; anything else (a pipe, a
    /// device) is read to its end now. `-` is a file name like any other here.
    ///
    /// # Errors
    ///
    /// The file cannot be opened or read, is a directory, is empty, is longer than 32-bit SEQs can number, or does
    /// not fit into memory if it has to be spooled.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, PayloadError> {
        let path = path.as_ref();
        let name = path.to_string_lossy().into_owned();
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
        let (metadata, mut file) = opened.map_err(|error| cannot_open(&name, &error))?;
        if metadata.is_dir() {
            return Err(problem(
                &name,
                "is a directory",
                "name a file, or send it packed: tar c DIR | mdalp -f -",
            ));
        }
        if metadata.is_file() && metadata.len() > MAX_LEN {
            return Err(too_long(&name));
        }
        if !metadata.is_file() || !has_its_length(&file, metadata.len(), &name)? {
            let bytes = spool(&mut file, &name)?;
            return Self::in_memory(name, bytes);
        }
        let version = Version { len: metadata.len(), modified: metadata.modified().ok() };
        Ok(Self(Arc::new(Contents { name, source: Source::File { file, version } })))
    }

    /// The payload on standard input, read to its end now.
    ///
    /// # Errors
    ///
    /// It cannot be read, is empty or closed, is longer than 32-bit SEQs can number, or does not fit into memory.
    pub fn standard_input() -> Result<Self, PayloadError> {
        let name = "standard input";
        let descriptor = io::stdin().as_fd().try_clone_to_owned();
        let bytes = spool(&mut File::from(descriptor.map_err(|error| cannot_read(name, &error))?), name)?;
        Self::in_memory(name.to_owned(), bytes)
    }

    /// A payload of these bytes: `Vec<u8>`, `&[u8]`, `&str`, `String`.
    ///
    /// # Errors
    ///
    /// There are none, or more than 32-bit SEQs can number.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Result<Self, PayloadError> {
        Self::in_memory("payload".to_owned(), bytes.into())
    }

    fn in_memory(name: String, bytes: Vec<u8>) -> Result<Self, PayloadError> {
        if bytes.is_empty() {
            return Err(problem(&name, "is empty", "give at least one byte to send"));
        }
        if bytes.len() as u64 > MAX_LEN {
            return Err(too_long(&name));
        }
        Ok(Self(Arc::new(Contents { name, source: Source::Memory(bytes) })))
    }

    /// How many bytes: from 1 to 429,496,729,500. What a file had when it was opened.
    pub fn len(&self) -> u64 {
        match &self.0.source {
            Source::File { version, .. } => version.len,
            Source::Memory(bytes) => bytes.len() as u64,
        }
    }

    /// The file's name as it was given, "standard input" or "payload". Escape it before it reaches a terminal.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Whether what was sent is what was opened. To be asked after sending.
    ///
    /// # Errors
    ///
    /// The file's length or time of modification is another than when it was opened.
    pub fn check_unchanged(&self) -> Result<(), PayloadError> {
        let Source::File { file, version } = &self.0.source else { return Ok(()) };
        let now = file.metadata().map_err(|error| cannot_read(self.name(), &error))?;
        let now = Version { len: now.len(), modified: now.modified().ok() };
        if now == *version { Ok(()) } else { Err(changed(self.name(), version.len, now.len)) }
    }

    /// A thread's own view of these bytes of the payload.
    pub fn reader(&self, bytes: Range<u64>) -> BlockReader {
        BlockReader { payload: self.clone(), range: bytes, start: 0, block: Vec::new() }
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({:?}, {} bytes)", self.name(), self.len())
    }
}

/// Reads a range of the payload a block at a time, each block at most 16 KiB and none beyond the range. A payload in
/// memory is not copied.
pub struct BlockReader {
    payload: Payload,
    range: Range<u64>,
    /// Where `block` starts in the payload.
    start: u64,
    block: Vec<u8>,
}

impl BlockReader {
    /// The bytes of one packet, at any position. Costs no system call, no allocation and no copy if they are in the
    /// current block: the outstanding packet again, or the next one.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or has become shorter; the payload has no such bytes.
    #[inline]
    pub fn packet(&mut self, bytes: Range<u64>) -> Result<&[u8], PayloadError> {
        let at = match self.held(&bytes) {
            Some(at) => at,
            None => self.fill(&bytes)?,
        };
        self.data().get(at).ok_or_else(|| no_such_bytes(self.payload.name(), &bytes))
    }

    /// Turns to another range, and keeps the block's memory.
    pub fn reset(&mut self, bytes: Range<u64>) {
        self.range = bytes;
    }

    /// What can be had without a system call: from `start` on, which is 0 for a payload in memory.
    #[inline]
    fn data(&self) -> &[u8] {
        match &self.payload.0.source {
            Source::Memory(all) => all,
            Source::File { .. } => &self.block,
        }
    }

    /// Where these bytes are in `data`, if they are.
    #[inline]
    fn held(&self, bytes: &Range<u64>) -> Option<Range<usize>> {
        let from = usize::try_from(bytes.start.checked_sub(self.start)?).ok()?;
        let to = usize::try_from(bytes.end.checked_sub(self.start)?).ok()?;
        (from <= to && to <= self.data().len()).then_some(from..to)
    }

    /// Reads the block that starts with these bytes; says where they are in it.
    #[cold]
    fn fill(&mut self, bytes: &Range<u64>) -> Result<Range<usize>, PayloadError> {
        let name = self.payload.name();
        let Source::File { file, version } = &self.payload.0.source else {
            return Err(no_such_bytes(name, bytes));
        };
        let end = bytes.start.saturating_add(BLOCK).min(self.range.end).max(bytes.end);
        let wanted = end.saturating_sub(bytes.start);
        if end > version.len || wanted > BLOCK || bytes.end < bytes.start {
            return Err(no_such_bytes(name, bytes));
        }
        let wanted = wanted as usize;
        let room = self.block.try_reserve_exact(wanted.saturating_sub(self.block.len()));
        room.map_err(|_| problem(name, "there is no memory to read it", "free some memory"))?;
        self.block.resize(wanted, 0);
        self.start = bytes.start;
        if let Err(error) = file.read_exact_at(&mut self.block, bytes.start) {
            // The block holds nothing now.
            self.block.clear();
            return Err(match (error.kind(), file.metadata()) {
                (io::ErrorKind::UnexpectedEof, Ok(now)) => changed(name, version.len, now.len()),
                _ => cannot_read(name, &error),
            });
        }
        Ok(0..bytes.end.saturating_sub(bytes.start) as usize)
    }
}

/// Whether the file's last byte is there. The files of procfs and sysfs say that they are regular and have no bytes, or
/// a page of them, until they are read.
fn has_its_length(file: &File, len: u64, name: &str) -> Result<bool, PayloadError> {
    let Some(last) = len.checked_sub(1) else { return Ok(false) };
    match file.read_exact_at(&mut [0], last) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(cannot_read(name, &error)),
    }
}

/// All of a stream, in memory.
fn spool(from: &mut dyn Read, name: &str) -> Result<Vec<u8>, PayloadError> {
    let mut bytes = Vec::new();
    loop {
        bytes.try_reserve(SPOOL_STEP).map_err(|_| no_memory(name, bytes.len()))?;
        // Into the room that there is; an interrupted read is repeated.
        let room = (bytes.capacity() - bytes.len()) as u64;
        let read = (&mut *from).take(room).read_to_end(&mut bytes);
        let read = read.map_err(|error| match error.kind() {
            io::ErrorKind::OutOfMemory => no_memory(name, bytes.len()),
            _ => cannot_read(name, &error),
        })?;
        if (read as u64) < room {
            return Ok(bytes);
        }
        if bytes.len() as u64 > MAX_LEN {
            return Err(too_long(name));
        }
    }
}

fn problem(what: &str, why: impl Into<String>, hint: &'static str) -> PayloadError {
    PayloadError { what: what.to_owned(), why: why.into(), hint }
}

fn cannot_open(name: &str, error: &io::Error) -> PayloadError {
    match error.kind() {
        io::ErrorKind::NotFound => problem(name, "there is no such file", "check its name"),
        io::ErrorKind::PermissionDenied => {
            problem(name, "permission denied", "make it readable for this user")
        }
        _ => problem(name, format!("cannot be opened: {}", Plain(error)), "check its name and kind"),
    }
}

fn cannot_read(name: &str, error: &io::Error) -> PayloadError {
    problem(
        name,
        format!("cannot be read: {}", Plain(error)),
        "check it and what it is stored on, or send a copy",
    )
}

fn changed(name: &str, before: u64, now: u64) -> PayloadError {
    let why = match now.cmp(&before) {
        std::cmp::Ordering::Less => format!("shrank from {before} to {now} bytes while it was sent"),
        std::cmp::Ordering::Greater => format!("grew from {before} to {now} bytes while it was sent"),
        std::cmp::Ordering::Equal => "changed while it was sent".to_owned(),
    };
    problem(name, why, "send it again when nothing writes to it, or send a copy")
}

fn no_memory(name: &str, bytes: usize) -> PayloadError {
    problem(
        name,
        format!("there is no memory for more than {bytes} bytes of it"),
        "save it as a file and send that",
    )
}

fn too_long(name: &str) -> PayloadError {
    problem(
        name,
        format!("is longer than {MAX_LEN} bytes, the most that SEQs can number"),
        "send it in parts",
    )
}

fn no_such_bytes(name: &str, bytes: &Range<u64>) -> PayloadError {
    let why = format!("has no bytes from {} to {} for one packet", bytes.start, bytes.end);
    problem(name, why, "please report this as a defect")
}

#[cfg(test)]
mod tests;

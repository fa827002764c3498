//! The bytes to send, by position: a regular file read as it is sent, or bytes in memory.
//!
//! A transfer of a large file needs no more memory than one of a small file: each receiver's thread holds one block.

use crate::error::{MORE_FILES, PayloadError, is_out_of_descriptors};
use crate::protocol::MAX_PACKET_PAYLOAD;
use crate::protocol::plan::MAX_PAYLOAD_LEN;
use crate::text::{Count, OsMessage};
use std::cmp::Ordering;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// The maximum that a [`BlockReader`] reads at one time, in bytes: whole packets, at most 16 KiB. Larger blocks are not faster.
const BLOCK: u64 = (16 * 1024 / MAX_PACKET_PAYLOAD * MAX_PACKET_PAYLOAD) as u64;

/// The name of a payload that was given as bytes, a reader or an open file.
const UNNAMED: &str = "payload";

/// The bytes to send: a regular file read by position as it is sent, or bytes in memory. Never empty, and at most
/// 429,496,729,500 bytes, all that 32-bit SEQs can number.
///
/// A clone is another handle on the same payload. It is `Send` and `Sync`: each receiver's thread has a clone.
#[derive(Clone)]
pub struct Payload(Arc<Contents>);

struct Contents {
    name: String,
    source: Source,
}

enum Source {
    /// A file, and what was known of it when it was opened.
    File(File, Metadata),
    Memory(Vec<u8>),
}

// A payload is never empty, so `is_empty` would have nothing to say.
#[allow(clippy::len_without_is_empty)]
impl Payload {
    /// The payload in the file at `path`. A regular file is read by position, later; anything else (a pipe, a
    /// device) is read to its end now. `-` is a file name like any other here.
    ///
    /// # Errors
    ///
    /// The file cannot be opened or read, is a directory, is empty or too long, or does not fit into memory if it has to
    /// be spooled.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, PayloadError> {
        let path = path.as_ref();
        let name = path.to_string_lossy().into_owned();
        let file = File::open(path).map_err(|error| io_error(&name, "opened", error))?;
        Self::in_file(name, file)
    }

    /// The payload in an open file: all of a regular file, wherever its cursor is; what is left of anything else.
    ///
    /// # Errors
    ///
    /// As for [`Payload::open`].
    pub fn from_file(file: File) -> Result<Self, PayloadError> {
        Self::in_file(UNNAMED.to_owned(), file)
    }

    /// The payload that a reader gives, read to its end now.
    ///
    /// # Errors
    ///
    /// It cannot be read, is empty or too long, or does not fit into memory.
    pub fn from_reader(mut reader: impl Read) -> Result<Self, PayloadError> {
        Self::new(UNNAMED, Source::Memory(spool(&mut reader, UNNAMED)?))
    }

    /// The payload on standard input, read to its end now.
    ///
    /// # Errors
    ///
    /// It cannot be read, is empty, closed or too long, or does not fit into memory.
    pub fn standard_input() -> Result<Self, PayloadError> {
        let name = "standard input";
        let descriptor = io::stdin().as_fd().try_clone_to_owned();
        let mut file = File::from(descriptor.map_err(|error| io_error(name, "read", error))?);
        Self::new(name, Source::Memory(spool(&mut file, name)?))
    }

    /// A payload of these bytes: `Vec<u8>`, `&[u8]`, `&str`, `String`.
    ///
    /// # Errors
    ///
    /// It is empty or too long.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Result<Self, PayloadError> {
        Self::new(UNNAMED, Source::Memory(bytes.into()))
    }

    fn in_file(name: String, mut file: File) -> Result<Self, PayloadError> {
        let metadata = file.metadata().map_err(|error| io_error(&name, "read", error))?;
        if metadata.is_dir() {
            let hint = "send a file, or an archive of the directory";
            return Err(payload_error(&name, "is a directory", hint));
        }
        if metadata.is_file() && has_its_length(&file, metadata.len(), &name)? {
            return Self::new(&name, Source::File(file, metadata));
        }
        Self::new(&name, Source::Memory(spool(&mut file, &name)?))
    }

    fn new(name: &str, source: Source) -> Result<Self, PayloadError> {
        let payload = Self(Arc::new(Contents { name: name.to_owned(), source }));
        match payload.len() {
            0 => Err(payload_error(payload.name(), "is empty", "give at least one byte to send")),
            1..=MAX_PAYLOAD_LEN => Ok(payload),
            _ => Err(payload.too_long()),
        }
    }

    /// It has more packets than SEQs can number, perhaps only because each receiver's last one is not full.
    pub(crate) fn too_long(&self) -> PayloadError {
        let why =
            format!("is too long: SEQs can number {MAX_PAYLOAD_LEN} bytes, or less with many receivers");
        payload_error(self.name(), why, "send it in parts")
    }

    /// Returns the number of bytes; of a file, what it had when it was opened.
    pub fn len(&self) -> u64 {
        match &self.0.source {
            Source::File(_, opened) => opened.len(),
            Source::Memory(bytes) => bytes.len() as u64,
        }
    }

    /// The file's name as it was given, "standard input" or "payload". Escape it before it reaches a terminal.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Checks that what was sent is what was opened. To be called after sending.
    ///
    /// # Errors
    ///
    /// The file's length or modification time has changed since it was opened.
    pub(crate) fn check_unchanged(&self) -> Result<(), PayloadError> {
        let Source::File(file, opened) = &self.0.source else { return Ok(()) };
        let now = file.metadata().map_err(|error| io_error(self.name(), "read", error))?;
        let is_same = now.len() == opened.len() && now.modified().ok() == opened.modified().ok();
        if is_same { Ok(()) } else { Err(changed(self.name(), opened.len(), now.len())) }
    }

    /// Returns a reader of these bytes, for one thread.
    pub(crate) fn reader(&self, bytes: Range<u64>) -> BlockReader {
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
pub(crate) struct BlockReader {
    payload: Payload,
    /// What is to be read; another range keeps the block's memory.
    pub range: Range<u64>,
    /// Where `block` starts in the payload.
    start: u64,
    block: Vec<u8>,
}

impl BlockReader {
    /// Returns the bytes of one packet if they are in the current block, as those of the outstanding packet and usually of the
    /// next one are: without a system call, an allocation or a copy.
    #[inline]
    pub fn held(&self, bytes: &Range<u64>) -> Option<&[u8]> {
        let at = usize::try_from(bytes.start.checked_sub(self.start)?).ok()?;
        let len = usize::try_from(bytes.end.checked_sub(bytes.start)?).ok()?;
        // What is available without a system call: from `start` on, which is 0 for a payload in memory.
        let data = match &self.payload.0.source {
            Source::Memory(all) => all,
            Source::File(..) => &self.block,
        };
        data.get(at..)?.get(..len)
    }

    /// Returns the bytes of one packet, at any position.
    ///
    /// # Errors
    ///
    /// The file cannot be read or has become shorter, or the payload has no such bytes.
    pub fn packet(&mut self, bytes: &Range<u64>) -> Result<&[u8], PayloadError> {
        if self.held(bytes).is_none() {
            self.fill(bytes)?;
        }
        self.held(bytes).ok_or_else(|| {
            let why = format!("has no bytes from {} to {} for one packet", bytes.start, bytes.end);
            payload_error(self.payload.name(), why, "this is a bug, please report it")
        })
    }

    /// Reads the block that starts with these bytes, if the payload has them.
    #[cold]
    fn fill(&mut self, bytes: &Range<u64>) -> Result<(), PayloadError> {
        let Source::File(file, opened) = &self.payload.0.source else { return Ok(()) };
        let end = bytes.start.saturating_add(BLOCK).min(self.range.end).max(bytes.end);
        let wanted = end.saturating_sub(bytes.start);
        if end > opened.len() || wanted > BLOCK {
            return Ok(());
        }
        let name = self.payload.name();
        let wanted = wanted as usize;
        let room = self.block.try_reserve_exact(wanted.saturating_sub(self.block.len()));
        room.map_err(|_| payload_error(name, "out of memory", "free some memory"))?;
        self.block.resize(wanted, 0);
        self.start = bytes.start;
        file.read_exact_at(&mut self.block, bytes.start).map_err(|error| {
            // The block holds nothing now.
            self.block.clear();
            match (error.kind(), file.metadata()) {
                (io::ErrorKind::UnexpectedEof, Ok(now)) => changed(name, opened.len(), now.len()),
                _ => io_error(name, "read", error),
            }
        })
    }
}

/// Whether the file's last byte is there. Files of procfs and sysfs claim to be regular files of no bytes, or of one page,
/// whatever they have.
fn has_its_length(file: &File, len: u64, name: &str) -> Result<bool, PayloadError> {
    let Some(last) = len.checked_sub(1) else { return Ok(false) };
    match file.read_exact_at(&mut [0], last) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(io_error(name, "read", error)),
    }
}

/// Reads a stream to its end; one that is too long only one byte beyond the limit.
fn spool(from: &mut dyn Read, name: &str) -> Result<Vec<u8>, PayloadError> {
    let mut bytes = Vec::new();
    match from.take(MAX_PAYLOAD_LEN + 1).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::OutOfMemory => {
            let why = format!("out of memory after {} bytes", bytes.len());
            Err(payload_error(name, why, "save it as a file and send that"))
        }
        Err(error) => Err(io_error(name, "read", error)),
    }
}

fn payload_error(what: &str, why: impl Into<String>, hint: &'static str) -> PayloadError {
    PayloadError { what: what.to_owned(), why: why.into(), hint, source: None }
}

/// An error of the system when the payload was to be opened or read, which `done` says.
fn io_error(name: &str, done: &str, error: io::Error) -> PayloadError {
    let cannot = || format!("cannot be {done}: {}", OsMessage(&error));
    let (why, hint) = match error.kind() {
        io::ErrorKind::NotFound => ("no such file".to_owned(), "check its name"),
        io::ErrorKind::PermissionDenied => ("permission denied".to_owned(), "make it readable for this user"),
        _ if is_out_of_descriptors(&error) => (cannot(), MORE_FILES),
        _ => (cannot(), "check it and what it is stored on, or send a copy"),
    };
    PayloadError { source: Some(error), ..payload_error(name, why, hint) }
}

fn changed(name: &str, before: u64, now: u64) -> PayloadError {
    let why = match now.cmp(&before) {
        Ordering::Less => format!("shrank from {before} to {} while it was sent", Count(now, "byte")),
        Ordering::Greater => format!("grew from {before} to {} while it was sent", Count(now, "byte")),
        Ordering::Equal => "changed while it was sent".to_owned(),
    };
    payload_error(name, why, "send it again when nothing writes to it, or send a copy")
}

#[cfg(test)]
mod tests;

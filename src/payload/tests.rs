use super::*;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

/// A separate file for each test, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(contents: &[u8]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("mdalp-payload-{}-{count}", std::process::id()));
        std::fs::write(&path, contents).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

/// Bytes in which no two packets are alike.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8 ^ (i / 251) as u8).collect()
}

fn read_all(reader: &mut BlockReader, range: Range<u64>) -> Vec<u8> {
    let mut all = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let end = range.end.min(at + 100);
        all.extend_from_slice(reader.packet(&(at..end)).unwrap());
        at = end;
    }
    all
}

#[test]
fn packets_of_a_file_and_of_memory_are_the_payloads_bytes_at_their_position() {
    for len in [1, 99, 100, 101, BLOCK as usize - 1, BLOCK as usize, BLOCK as usize + 1, 50_000] {
        let bytes = pattern(len);
        let file = Scratch::new(&bytes);
        for payload in [Payload::open(&file.0).unwrap(), Payload::from_bytes(bytes.clone()).unwrap()] {
            assert_eq!(payload.len(), len as u64);
            let mut whole = payload.reader(0..payload.len());
            assert_eq!(read_all(&mut whole, 0..payload.len()), bytes);
            let part = payload.len() / 3..payload.len() * 3 / 4;
            assert_eq!(
                read_all(&mut payload.reader(part.clone()), part.clone()),
                bytes[part.start as usize..part.end as usize]
            );
            payload.check_unchanged().unwrap();
        }
    }
}

#[test]
fn a_block_is_at_most_16_kib_and_never_larger_than_its_range() {
    let file = Scratch::new(&pattern(60_000));
    let payload = Payload::open(&file.0).unwrap();
    let mut reader = payload.reader(1000..1250);
    reader.packet(&(1000..1100)).unwrap();
    assert_eq!((reader.start, reader.block.capacity()), (1000, 250));
    reader.range = 30_000..60_000;
    reader.packet(&(30_000..30_100)).unwrap();
    assert_eq!((reader.start, reader.block.len()), (30_000, BLOCK as usize));
    assert!(reader.block.capacity() <= 16 * 1024);
    let memory = reader.block.as_ptr();
    read_all(&mut reader, 30_000..60_000);
    assert_eq!(reader.block.as_ptr(), memory, "the buffer is reused");
}

#[test]
fn a_packet_in_the_current_block_is_served_without_reading_the_file() {
    let file = Scratch::new(&pattern(1000));
    let payload = Payload::open(&file.0).unwrap();
    let mut reader = payload.reader(0..1000);
    reader.packet(&(0..100)).unwrap();
    // What the file now has is not what it had when the block was read.
    std::fs::write(&file.0, vec![0; 1000]).unwrap();
    assert_eq!(reader.packet(&(0..100)).unwrap(), &pattern(1000)[..100], "again");
    assert_eq!(reader.packet(&(900..1000)).unwrap(), &pattern(1000)[900..], "and ahead");
}

#[test]
fn any_position_can_be_asked_for_in_any_order() {
    let bytes = pattern(50_000);
    let file = Scratch::new(&bytes);
    let mut reader = Payload::open(&file.0).unwrap().reader(0..50_000);
    for at in [49_900, 0, 25_000, 24_950, 100, 49_900] {
        assert_eq!(reader.packet(&(at..at + 100)).unwrap(), &bytes[at as usize..at as usize + 100]);
    }
    let mut tail = Payload::open(&file.0).unwrap().reader(40_000..50_000);
    assert_eq!(tail.packet(&(7..57)).unwrap(), &bytes[7..57], "even outside of the range");
}

#[test]
fn bytes_that_the_payload_does_not_have_are_an_error() {
    let file = Scratch::new(&pattern(300));
    for payload in [Payload::open(&file.0).unwrap(), Payload::from_bytes(pattern(300)).unwrap()] {
        let mut reader = payload.reader(0..300);
        for bytes in [250..301, 301..310, u64::MAX - 1..u64::MAX, std::ops::Range { start: 9, end: 3 }] {
            assert!(reader.packet(&bytes).is_err(), "{bytes:?}");
        }
        assert_eq!(reader.packet(&(200..300)).unwrap(), &pattern(300)[200..]);
    }
}

#[test]
fn a_file_that_shrinks_while_it_is_sent_is_an_error_that_says_by_how_much() {
    let file = Scratch::new(&pattern(40_000));
    let payload = Payload::open(&file.0).unwrap();
    let mut reader = payload.reader(0..40_000);
    reader.packet(&(0..100)).unwrap();
    File::options().write(true).open(&file.0).unwrap().set_len(20_000).unwrap();
    let error = reader.packet(&(30_000..30_100)).unwrap_err();
    assert_eq!(error.why, "shrank from 40000 to 20000 bytes while it was sent");
    assert!(reader.packet(&(30_000..30_100)).is_err(), "the failed block is not served later");
    assert!(
        reader.packet(&(10_000..10_100)).is_err(),
        "a block that ends beyond the end is not served in part"
    );
    assert_eq!(payload.check_unchanged().unwrap_err().why, error.why);
}

#[test]
fn a_file_that_grows_or_is_written_to_while_it_is_sent_is_noticed_at_the_end() {
    let file = Scratch::new(&pattern(300));
    let writer = File::options().write(true).open(&file.0).unwrap();
    let payload = Payload::open(&file.0).unwrap();
    payload.check_unchanged().unwrap();
    writer.set_len(301).unwrap();
    let error = payload.check_unchanged().unwrap_err();
    assert_eq!(error.why, "grew from 300 to 301 bytes while it was sent");

    writer.set_len(300).unwrap();
    let payload = Payload::open(&file.0).unwrap();
    writer.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(payload.check_unchanged().unwrap_err().why, "changed while it was sent");
}

#[test]
fn what_cannot_be_sent_is_one_line_with_what_why_and_what_to_do() {
    let missing = Payload::open("/nonexistent/a\nb\x1b").unwrap_err();
    assert_eq!(missing.to_string(), "/nonexistent/a\\u{a}b\\u{1b}: no such file");
    assert_eq!(missing.hint, "check its name");
    let directory = Payload::open("/").unwrap_err().to_string();
    assert_eq!(directory, "/: is a directory");
    let empty = Scratch::new(b"");
    assert!(Payload::open(&empty.0).unwrap_err().to_string().ends_with(": is empty"));
    assert!(Payload::open("/dev/null").unwrap_err().to_string().ends_with(": is empty"));
    assert!(Payload::from_bytes("").unwrap_err().to_string().ends_with("payload: is empty"));
}

#[test]
fn a_file_longer_than_seqs_can_number_is_refused_and_the_longest_is_not() {
    let file = Scratch::new(b"");
    File::options().write(true).open(&file.0).unwrap().set_len(MAX_PAYLOAD_LEN).unwrap();
    let payload = Payload::open(&file.0).unwrap();
    assert_eq!(
        payload.reader(0..MAX_PAYLOAD_LEN).packet(&(MAX_PAYLOAD_LEN - 100..MAX_PAYLOAD_LEN)).unwrap(),
        &[0; 100]
    );
    File::options().write(true).open(&file.0).unwrap().set_len(MAX_PAYLOAD_LEN + 1).unwrap();
    assert!(
        Payload::open(&file.0)
            .unwrap_err()
            .why
            .starts_with("is too long: SEQs can number 429496729500 bytes")
    );
}

#[test]
fn a_file_without_a_length_of_its_own_is_read_to_its_end() {
    // A file of procfs: regular, of length 0, with bytes in it.
    let payload = Payload::open("/proc/version").unwrap();
    let expected = std::fs::read("/proc/version").unwrap();
    assert_eq!(payload.reader(0..payload.len()).packet(&(0..20)).unwrap(), &expected[..20]);
    payload.check_unchanged().unwrap();
}

#[test]
fn a_file_that_claims_more_bytes_than_it_has_is_read_to_its_end() {
    // A file of sysfs: regular, of a page's length, with a few bytes in it.
    let path = "/sys/devices/system/cpu/possible";
    let Ok(expected) = std::fs::read(path) else {
        crate::testing::skipped(&format!("there is no {path}"));
        return;
    };
    assert!(std::fs::metadata(path).unwrap().len() > expected.len() as u64);
    let payload = Payload::open(path).unwrap();
    assert_eq!(payload.len(), expected.len() as u64);
    assert_eq!(payload.reader(0..payload.len()).packet(&(0..payload.len())).unwrap(), &expected[..]);
    payload.check_unchanged().unwrap();
}

/// A stream that gives a few bytes at a time, is interrupted, and ends with an error if it has one.
struct Stream {
    rest: Vec<u8>,
    interrupted: bool,
    error: Option<io::ErrorKind>,
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupted = !self.interrupted;
        if self.interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if self.rest.is_empty() {
            return self.error.map_or(Ok(0), |kind| Err(kind.into()));
        }
        let n = buffer.len().min(self.rest.len()).min(7777);
        buffer[..n].copy_from_slice(&self.rest[..n]);
        self.rest.drain(..n);
        Ok(n)
    }
}

#[test]
fn a_stream_is_spooled_whole_however_it_arrives() {
    for len in [0, 1, 65_535, 65_536, 65_537, 327_680] {
        let mut stream = Stream { rest: pattern(len), interrupted: false, error: None };
        assert_eq!(spool(&mut stream, "standard input").unwrap(), pattern(len), "{len} bytes");
    }
}

#[test]
fn a_stream_that_fails_is_not_taken_for_one_that_ends() {
    let error = Some(io::ErrorKind::ConnectionReset);
    let mut stream = Stream { rest: pattern(100), interrupted: false, error };
    let error = spool(&mut stream, "standard input").unwrap_err().to_string();
    assert!(error.starts_with("standard input: cannot be read: "), "{error}");
}

#[test]
fn files_and_readers_give_all_their_bytes() {
    use std::io::Seek;
    let bytes = pattern(300);
    let scratch = Scratch::new(&bytes);
    let mut file = File::open(&scratch.0).unwrap();
    file.seek(io::SeekFrom::Start(100)).unwrap();
    for payload in [Payload::from_file(file).unwrap(), Payload::from_reader(&bytes[..]).unwrap()] {
        assert_eq!((payload.name(), payload.len()), ("payload", 300));
        assert_eq!(read_all(&mut payload.reader(0..300), 0..300), bytes);
    }
    let failing = Stream { rest: pattern(9), interrupted: false, error: Some(io::ErrorKind::BrokenPipe) };
    let error = Payload::from_reader(failing).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().downcast_ref::<io::Error>().unwrap();
    assert_eq!(source.kind(), io::ErrorKind::BrokenPipe);
    assert!(std::error::Error::source(&Payload::from_reader(io::empty()).unwrap_err()).is_none());
}

#[test]
fn payloads_and_their_errors_can_be_shared_between_threads() {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Payload>();
    is_shared::<PayloadError>();
}

#[test]
fn a_shortage_of_descriptors_says_what_to_raise() {
    // In a separate process, since it is the process that has the limit.
    let child = "MDALP_TEST_IS_CHILD";
    if std::env::var_os(child).is_none() {
        let script =
            "ulimit -n 32; exec \"$0\" --exact payload::tests::a_shortage_of_descriptors_says_what_to_raise";
        let mut shell = std::process::Command::new("sh");
        let output =
            shell.arg("-c").arg(script).arg(std::env::current_exe().unwrap()).env(child, "1").output();
        let said = String::from_utf8(output.unwrap().stdout).unwrap();
        assert!(said.contains("1 passed"), "{said}");
        return;
    }
    let held: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    let error = Payload::open("/dev/null").unwrap_err();
    drop(held);
    assert_eq!(error.to_string(), "/dev/null: cannot be opened: Too many open files");
    assert_eq!(error.hint, MORE_FILES);
}

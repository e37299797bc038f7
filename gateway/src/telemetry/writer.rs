//! The way of the log's lines to standard error. A line is handed to a bounded queue, and one thread writes it: a reader that went
//! away, one that does not read, or a full disk holds up that thread and nothing else. Lines that find no room are dropped and
//! counted.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use prometheus_client::metrics::counter::Counter;
use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait to be written.
const LINES: usize = 8_192;
/// Bytes of them.
const BYTES: usize = 4 << 20;
/// How long the thread waits for a terminal or pipe that refuses to block.
const AGAIN: Duration = Duration::from_millis(10);
/// How often [`LineWriter::flush_within`] looks whether all lines are written.
const LOOK: Duration = Duration::from_millis(2);

/// The target of the line about lines that were dropped.
pub(super) const TARGET: &str = module_path!();

/// Takes lines without ever waiting.
#[derive(Debug, Clone)]
pub struct LineWriter {
    queue: SyncSender<Vec<u8>>,
    waiting: Arc<Waiting>,
    dropped: Counter,
}

/// The lines that are in the queue or being written.
#[derive(Debug, Default)]
struct Waiting {
    lines: AtomicUsize,
    bytes: AtomicUsize,
}

impl Waiting {
    fn add(&self, bytes: usize) -> bool {
        if self.bytes.fetch_add(bytes, Ordering::AcqRel) + bytes > BYTES {
            self.bytes.fetch_sub(bytes, Ordering::AcqRel);
            return false;
        }
        self.lines.fetch_add(1, Ordering::AcqRel);
        true
    }

    fn remove(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
        self.lines.fetch_sub(1, Ordering::AcqRel);
    }
}

impl LineWriter {
    /// A writer to standard error, through a descriptor of its own: no lock of the standard library is held while a write blocks.
    pub fn to_standard_error() -> io::Result<Self> {
        Self::over(standard_error()?)
    }

    /// A writer whose thread writes to `sink`.
    fn over(sink: impl Write + Send + 'static) -> io::Result<Self> {
        let (queue, lines) = sync_channel(LINES);
        let writer = Self { queue, waiting: Arc::default(), dropped: Counter::default() };
        let (waiting, dropped) = (Arc::clone(&writer.waiting), writer.dropped.clone());
        let write = move || write_lines(&lines, sink, &waiting, &dropped);
        thread::Builder::new().name("mullion-log".to_owned()).spawn(write)?;
        Ok(writer)
    }

    /// How many lines were not written, for the metrics.
    pub fn dropped(&self) -> Counter {
        self.dropped.clone()
    }

    /// Waits until everything is written, but no longer than `patience`.
    pub fn flush_within(&self, patience: Duration) {
        let began = Instant::now();
        while self.waiting.lines.load(Ordering::Acquire) > 0 && began.elapsed() < patience {
            thread::sleep(LOOK);
        }
    }

    fn offer(&self, line: &[u8]) {
        if !self.waiting.add(line.len()) {
            self.dropped.inc();
        } else if self.queue.try_send(line.to_vec()).is_err() {
            self.waiting.remove(line.len());
            self.dropped.inc();
        }
    }
}

impl Write for &LineWriter {
    /// Takes the whole line, or drops it: whoever logs is never told.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.offer(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LineWriter {
    type Writer = &'a LineWriter;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

#[cfg(unix)]
fn standard_error() -> io::Result<std::fs::File> {
    use std::os::fd::AsFd as _;
    Ok(io::stderr().as_fd().try_clone_to_owned()?.into())
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the same signature as on Unix")]
fn standard_error() -> io::Result<io::Stderr> {
    Ok(io::stderr())
}

/// Writes lines until nobody can send any.
fn write_lines(lines: &Receiver<Vec<u8>>, mut sink: impl Write, waiting: &Waiting, dropped: &Counter) {
    let (mut reported, mut torn) = (0, false);
    while let Ok(line) = lines.recv() {
        let written = if torn { write_all(&mut sink, b"\n") } else { Ok(()) };
        let written = written.and_then(|()| write_all(&mut sink, &line));
        // The rest of a line that could not be written whole must not be taken for the next one.
        torn = written.is_err();
        waiting.remove(line.len());
        if torn {
            dropped.inc();
            continue;
        }
        let lost = dropped.get();
        if lost > reported && waiting.lines.load(Ordering::Acquire) < LINES / 2 {
            let lines = lost - reported;
            tracing::warn!(target: TARGET, lines, "lines of the log were dropped: standard error did not take them");
            reported = lost;
        }
    }
}

/// Like [`Write::write_all`], for a descriptor that somebody else made non-blocking too.
fn write_all(sink: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match sink.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(AGAIN),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, mpsc},
        time::{Duration, Instant},
    };

    use parking_lot::Mutex;

    use super::{BYTES, LINES, LineWriter};

    /// How long a test waits for the thread.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// Takes what it is given once it is allowed to, `fails` times not at all.
    struct Sink {
        allowed: mpsc::Receiver<()>,
        fails: usize,
        taken: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.allowed.recv();
            if self.fails > 0 {
                self.fails -= 1;
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.taken.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A writer, what allows its sink to go on when it is dropped, and what the sink has taken.
    fn writer(fails: usize) -> (LineWriter, mpsc::Sender<()>, Arc<Mutex<Vec<u8>>>) {
        let (allow, allowed) = mpsc::channel();
        let taken = Arc::<Mutex<Vec<u8>>>::default();
        let sink = Sink { allowed, fails, taken: Arc::clone(&taken) };
        (LineWriter::over(sink).unwrap(), allow, taken)
    }

    #[test]
    fn lines_beyond_the_room_are_dropped_and_counted_and_nobody_waits() {
        for (line, kept) in [(vec![b'x'; 10], LINES), (vec![b'x'; 1 << 16], BYTES >> 16)] {
            let (writer, allow, taken) = writer(0);
            for _ in 0..LINES + 100 {
                (&writer).write_all(&line).unwrap();
            }
            let dropped = writer.dropped().get();
            // One may be with the thread already.
            assert!(dropped >= (LINES + 99 - kept) as u64, "{dropped} dropped");
            drop(allow);
            writer.flush_within(PATIENCE);
            assert_eq!(taken.lock().len() as u64, (LINES as u64 + 100 - dropped) * line.len() as u64);
        }
    }

    #[test]
    fn a_sink_that_fails_costs_its_lines_and_the_next_begins_on_a_line_of_its_own() {
        let (writer, allow, taken) = writer(2);
        for line in ["one\n", "two\n", "three\n"] {
            (&writer).write_all(line.as_bytes()).unwrap();
        }
        drop(allow);
        writer.flush_within(PATIENCE);
        assert_eq!(String::from_utf8(taken.lock().clone()).unwrap(), "\nthree\n");
        assert_eq!(writer.dropped().get(), 2);
    }

    #[test]
    fn the_end_does_not_wait_for_a_sink_that_takes_nothing() {
        let (writer, allow, _) = writer(0);
        (&writer).write_all(b"one\n").unwrap();
        let began = Instant::now();
        writer.flush_within(Duration::from_millis(50));
        assert!(began.elapsed() >= Duration::from_millis(50) && began.elapsed() < PATIENCE);
        drop(allow);
    }
}

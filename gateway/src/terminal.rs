//! Lines for people on standard output and standard error, beside the log. None of them keeps a server from serving.

use std::{io::Write as _, sync::mpsc, time::Duration};

/// How long a server waits until a line for people is written.
const BRIEFLY: Duration = Duration::from_secs(1);

/// Prints a line for people or pipes; a closed pipe is no failure.
pub(crate) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    // A reader that stops early (`| head -1`) has what it wanted.
    let _ = writeln!(out, "{text}");
}

/// Prints what a server says beside its log; a pipe that nobody reads does not keep it from serving.
pub(crate) fn announce(text: &str) {
    let text = text.to_owned();
    briefly(move || print(&text));
}

/// Tells people something that no pipe is to read.
pub(crate) fn note(text: &str) {
    let line = format!("{text}\n");
    briefly(move || {
        // A closed standard error is no failure.
        let _ = std::io::stderr().write_all(line.as_bytes());
    });
}

/// Prints why a command failed.
pub(crate) fn print_error(error: &anyhow::Error) {
    note(&format!("error: {error:#}"));
}

/// Writes in a thread of its own, and waits only a moment for it.
fn briefly(write: impl FnOnce() + Send + 'static) {
    let (done, written) = mpsc::channel();
    let run = move || {
        write();
        let _ = done.send(());
    };
    if std::thread::Builder::new().spawn(run).is_ok() {
        let _ = written.recv_timeout(BRIEFLY);
    }
}

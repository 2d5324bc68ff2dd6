//! Log lines on their way to standard error: gathered for a moment, then written together by a thread of their own.
//!
//! A system call a line is a noticeable part of a request's cost (measured, see benches/). No line is dropped: who finds the
//! buffer full waits, as it would for a pipe that nobody reads. [`Lines::flush`] is for a clean end; a process that is killed
//! loses what it said in its last [`GATHER`].

use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long lines are gathered.
const GATHER: Duration = Duration::from_millis(2);
/// The most bytes that wait.
const MAX_BYTES: usize = 1024 * 1024;
/// How long the end waits for somebody to read the last lines.
const FLUSH_LIMIT: Duration = Duration::from_secs(2);

/// Lines that wait, and the means to wait for them.
pub(super) struct Lines {
    waiting: Mutex<Waiting>,
    /// There is something to write.
    filled: Condvar,
    /// What there was is written.
    emptied: Condvar,
}

struct Waiting {
    text: Vec<u8>,
    /// The thread has taken some and not written it yet.
    writing: bool,
    /// The thread sleeps until there is a line.
    asleep: bool,
}

impl Lines {
    /// Nothing, yet.
    pub(super) const fn new() -> Lines {
        Lines {
            waiting: Mutex::new(Waiting {
                text: Vec::new(),
                writing: false,
                asleep: false,
            }),
            filled: Condvar::new(),
            emptied: Condvar::new(),
        }
    }

    /// Starts the thread that writes them there.
    pub(super) fn start(&'static self, out: impl Write + Send + 'static) -> io::Result<()> {
        let thread = std::thread::Builder::new().name("bytepass-log".to_owned());
        thread.spawn(move || self.write_on(out)).map(drop)
    }

    /// Waits until what was said is written, or nobody has read it for long.
    pub(super) fn flush(&self) {
        let unwritten = |it: &mut Waiting| it.writing || !it.text.is_empty();
        let waited = self
            .emptied
            .wait_timeout_while(self.lock(), FLUSH_LIMIT, unwritten);
        drop(waited);
    }

    fn write_on(&self, mut out: impl Write) {
        let mut taken = Vec::new();
        loop {
            let mut waiting = self.lock();
            while waiting.text.is_empty() {
                waiting.asleep = true;
                waiting = wait(&self.filled, waiting);
            }
            waiting.asleep = false;
            drop(waiting);
            std::thread::sleep(GATHER);
            let mut waiting = self.lock();
            std::mem::swap(&mut waiting.text, &mut taken);
            waiting.writing = true;
            drop(waiting);
            // There is nobody left to tell that standard error is closed.
            let _ = out.write_all(&taken);
            taken.clear();
            self.lock().writing = false;
            self.emptied.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // A panic between two lines leaves whole lines.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for &Lines {
    /// Takes a whole line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = self.lock();
        while waiting.text.len() >= MAX_BYTES {
            waiting = wait(&self.emptied, waiting);
        }
        waiting.text.extend_from_slice(line);
        let wake = std::mem::take(&mut waiting.asleep);
        drop(waiting);
        if wake {
            self.filled.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn wait<'a>(until: &Condvar, guard: MutexGuard<'a, Waiting>) -> MutexGuard<'a, Waiting> {
    until.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Somebody who reads when asked to.
    struct Slow(mpsc::Receiver<()>, std::sync::Arc<Mutex<Vec<u8>>>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_line_arrives_whole_and_in_order_though_its_reader_is_slow_and_the_buffer_full() {
        let lines: &'static Lines = Box::leak(Box::new(Lines::new()));
        let (read, asked) = mpsc::channel();
        let seen = std::sync::Arc::new(Mutex::new(Vec::new()));
        lines.start(Slow(asked, seen.clone())).unwrap();
        let count = 3 * MAX_BYTES / 100;
        let speakers: Vec<_> = (0..2)
            .map(|speaker| {
                std::thread::spawn(move || {
                    let mut out = lines;
                    for number in 0..count {
                        let line = format!("{speaker}{number:0>98}\n");
                        out.write_all(line.as_bytes()).unwrap();
                    }
                })
            })
            .collect();
        while speakers.iter().any(|speaker| !speaker.is_finished()) {
            read.send(()).unwrap();
            assert!(lines.lock().text.len() < MAX_BYTES + 200);
            std::thread::yield_now();
        }
        drop(read);
        lines.flush();
        let seen = String::from_utf8(seen.lock().unwrap().clone()).unwrap();
        for speaker in ["0", "1"] {
            let said: Vec<usize> = seen
                .lines()
                .filter_map(|line| line.strip_prefix(speaker)?.parse().ok())
                .collect();
            assert_eq!(said, (0..count).collect::<Vec<_>>());
        }
    }
}

//! Runs a check over inputs: those that failed once and were kept, the seeds, and mutations of all of them until the time is over.
//!
//! It stands beside coverage-guided fuzzers, which need a nightly compiler: it knows the shape of its inputs instead, and runs with
//! every `cargo test`. `MULLION_TEST_FUZZ_SECONDS` is the time of one target, `MULLION_TEST_SEED` repeats a run.

#![expect(clippy::panic, reason = "a test fails by panicking")]

mod dice;
mod mutate;

use std::{
    fs::{self, File},
    hash::{BuildHasher, Hasher, RandomState},
    io::{Seek, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};

pub use self::mutate::body_of;
use self::{dice::Dice, mutate::mutate};

/// Processor time for one input in a debug build: an honest one takes a thousandth of it.
const LONGEST: Duration = Duration::from_secs(2);
/// The process may grow by so much with one input, and with what other tests do meanwhile.
const MOST_MEMORY: u64 = 512 * 1024 * 1024;
/// How long a target runs unless the environment says otherwise.
const SECONDS: f64 = 1.0;

/// The code that is tried.
#[derive(Debug)]
pub struct Target {
    name: &'static str,
    folder: PathBuf,
    seeds: Vec<Vec<u8>>,
}

impl Target {
    /// A target, with the folder of its kept inputs and the inputs that mutations begin with.
    pub fn new(name: &'static str, kept: impl Into<PathBuf>, seeds: Vec<Vec<u8>>) -> Self {
        Self { name, folder: kept.into().join(name), seeds }
    }

    /// Runs the check. The first input that it refuses, panics at, or takes too long or too much memory for is kept, and fails the
    /// test; so is one at which an earlier run died.
    pub fn run(&self, mut check: impl FnMut(&[u8]) -> Result<(), String>) {
        let mut running = Running::of(&self.folder);
        let seed = setting("MULLION_TEST_SEED").unwrap_or_else(|| RandomState::new().build_hasher().finish() >> 32);
        if let Some(deadly) = running.left_behind() {
            let path = self.keep(&deadly);
            self.try_one(&mut running, &deadly, seed, &mut check);
            // That run was stopped by something else.
            let _ = fs::remove_file(path);
        }
        let mut inputs = self.kept();
        inputs.extend(self.seeds.iter().cloned());
        for input in &inputs {
            self.try_one(&mut running, input, seed, &mut check);
        }
        let (begun, time) = (Instant::now(), setting("MULLION_TEST_FUZZ_SECONDS").unwrap_or(SECONDS));
        let mut dice = Dice::new(seed);
        let mut cases = 0_u64;
        while begun.elapsed().as_secs_f64() < time {
            let Some(input) = dice.pick(&inputs) else { break };
            let input = mutate(&mut dice, input, &inputs);
            self.try_one(&mut running, &input, seed, &mut check);
            cases += 1;
        }
        running.end();
        println_of(&format!("{}: {cases} cases from seed {seed}, {} inputs", self.name, inputs.len()));
    }

    fn try_one(
        &self,
        running: &mut Running,
        input: &[u8],
        seed: u64,
        check: &mut impl FnMut(&[u8]) -> Result<(), String>,
    ) {
        running.begin(input);
        let (time, memory) = (processor_time(), peak_memory());
        let checked = catch_unwind(AssertUnwindSafe(|| check(input)));
        let (time, memory) = (processor_time().saturating_sub(time), peak_memory().saturating_sub(memory));
        let problem = match checked {
            Err(_) => "it panics".to_owned(),
            Ok(Err(problem)) => problem,
            Ok(Ok(())) if time > LONGEST => format!("it takes {time:?}"),
            Ok(Ok(())) if memory > MOST_MEMORY => format!("it takes {memory} bytes"),
            Ok(Ok(())) => return,
        };
        let path = self.keep(input);
        running.end();
        let (name, shown) = (self.name, String::from_utf8_lossy(input.get(..2_000).unwrap_or(input)));
        panic!("{name}: {problem}\nkept as {}\nMULLION_TEST_SEED={seed}\n{shown:?}", path.display());
    }

    /// The inputs that are kept, in the order of their names.
    fn kept(&self) -> Vec<Vec<u8>> {
        let mut paths: Vec<PathBuf> =
            fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        paths.sort();
        paths.iter().filter_map(|path| fs::read(path).ok()).collect()
    }

    fn keep(&self, input: &[u8]) -> PathBuf {
        let path = self.folder.join(format!("{:016x}", fingerprint(input)));
        let kept = fs::create_dir_all(&self.folder).and_then(|()| fs::write(&path, input));
        if let Err(error) = kept {
            panic!("{} cannot be kept: {error}", path.display());
        }
        path
    }
}

/// The file of the input that is being run, so that it is known even when the process dies at it.
struct Running {
    path: PathBuf,
    file: Option<File>,
}

impl Running {
    fn of(folder: &Path) -> Self {
        let name = format!("mullion-fuzz-{:016x}", fingerprint(folder.as_os_str().as_encoded_bytes()));
        Self { path: std::env::temp_dir().join(name), file: None }
    }

    fn left_behind(&self) -> Option<Vec<u8>> {
        fs::read(&self.path).ok()
    }

    fn begin(&mut self, input: &[u8]) {
        if self.file.is_none() {
            self.file = File::create(&self.path).ok();
        }
        let Some(file) = &mut self.file else { return };
        // Without it an input that kills the process is not known; all others are.
        let _ = file.rewind().and_then(|()| file.write_all(input)).and_then(|()| file.set_len(input.len() as u64));
    }

    fn end(&self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// FNV-1a.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

fn processor_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}

/// The most memory that the process ever took; 0 where the system does not tell.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kibibytes.unwrap_or_default() * 1024
}

#[expect(clippy::disallowed_methods, reason = "the test harness says how long and from which seed")]
fn setting<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

#[expect(clippy::print_stdout, reason = "shown where a test's output is")]
fn println_of(text: &str) {
    println!("{text}");
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        panic::{AssertUnwindSafe, catch_unwind},
    };

    use super::{Running, Target};

    fn target(name: &str) -> Target {
        let folder = std::env::temp_dir().join(format!("mullion-fuzz-test-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        Target::new("target", folder, vec![br#"{"a":[1,2,"three"]}"#.to_vec()])
    }

    #[test]
    fn an_input_that_fails_is_kept_and_comes_first_the_next_time() {
        let target = target("failing");
        let mut ran = 0;
        let failed = catch_unwind(AssertUnwindSafe(|| {
            target.run(|input| {
                ran += 1;
                if input.starts_with(b"{") { Ok(()) } else { Err("no object".to_owned()) }
            });
        }));
        assert!(failed.is_err() && ran > 1);
        let [kept] = target.kept().try_into().unwrap();
        let mut first = None;
        let again = catch_unwind(AssertUnwindSafe(|| {
            target.run(|input| {
                first.get_or_insert(input.to_vec());
                panic!("on purpose");
            });
        }));
        assert!(again.is_err());
        assert_eq!(first, Some(kept));
        fs::remove_dir_all(target.folder.parent().unwrap()).unwrap();
    }

    #[test]
    fn an_input_at_which_a_run_died_is_kept_while_it_is_tried_again() {
        let target = target("dying");
        Running::of(&target.folder).begin(b"deadly");
        let mut first = None;
        target.run(|input| {
            first.get_or_insert_with(|| (input.to_vec(), target.kept()));
            Ok(())
        });
        assert_eq!(first, Some((b"deadly".to_vec(), vec![b"deadly".to_vec()])));
        assert!(target.kept().is_empty());
        assert!(Running::of(&target.folder).left_behind().is_none());
        fs::remove_dir_all(target.folder.parent().unwrap()).unwrap();
    }
}

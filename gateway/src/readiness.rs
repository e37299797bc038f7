//! Whether the process is fit for traffic, as checks with names: a part that is not well says why. The checks run in the background,
//! one round after another, so that whoever asks is answered at once; and each change is logged once.

use std::{
    collections::BTreeMap,
    future::ready,
    io::ErrorKind,
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    time::Duration,
};

use futures::{
    FutureExt as _,
    future::{BoxFuture, join_all},
};
use mullion_resolvers::{error_chain::chain, store::Database, supervisor::Supervisor};
use parking_lot::Mutex;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{data_folder::inbox_folder, telemetry::tasks::TaskMetrics};

/// Between two rounds.
const ROUND: Duration = Duration::from_secs(2);
/// How long a check may take. Longer than the wait for the one writer of SQLite, which is no failure.
const PATIENCE: Duration = Duration::from_secs(10);

/// Looks whether something is well; an error says what is wrong, and what to do.
type Look = Box<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// A check, by the name under which it stands in answers, metrics and the log.
pub struct Check {
    name: &'static str,
    look: Look,
}

impl Check {
    /// A check.
    pub fn new<F>(name: &'static str, look: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        Self { name, look: Box::new(move || Box::pin(look())) }
    }

    /// Looks once. It may hang.
    pub(crate) async fn look(&self) -> Result<(), String> {
        (self.look)().await
    }
}

/// The checks of a process over this database. Anything else that has to be well gets a check here.
pub(crate) fn checks(database: &Database, supervisor: &Supervisor) -> Vec<Check> {
    let mut checks = vec![database_is_reliable(database.clone()), tasks_run(supervisor.clone())];
    if let Some(file) = database.file() {
        checks.push(inbox_is_there(inbox_folder(file)));
    }
    checks
}

/// The last finding of `Database::watch`, which writes, because a database that only answers reads takes no delivery. A write of
/// its own would be cut off where the check gives up, which may cost a connection.
fn database_is_reliable(database: Database) -> Check {
    Check::new("database", move || ready(database.fault().map_or(Ok(()), |fault| Err(fault.reason().to_owned()))))
}

/// Whether the database answers now. Nothing can be done without it.
pub(crate) fn database_answers(database: Database) -> Check {
    Check::new("database", move || {
        let database = database.clone();
        async move {
            if let Some(fault) = database.fault() {
                return Err(fault.reason().to_owned());
            }
            database.ping().await.map_err(|error| {
                tracing::warn!(error = %chain(&error), "the database does not answer");
                "the database does not answer".to_owned()
            })
        }
    })
}

/// No background task keeps ending.
pub(crate) fn tasks_run(supervisor: Supervisor) -> Check {
    Check::new("tasks", move || {
        let failing = supervisor.failing().join(", ");
        ready(match failing.as_str() {
            "" => Ok(()),
            failing => Err(format!("background tasks keep ending: {failing}; the log says why")),
        })
    })
}

fn inbox_is_there(folder: PathBuf) -> Check {
    Check::new("inbox", move || {
        let folder = folder.clone();
        async move { look_for_inbox(&folder).await }
    })
}

/// A folder that was deleted is no fault: the next delivery makes it anew, and one that comes only to a ready process would never come.
async fn look_for_inbox(folder: &Path) -> Result<(), String> {
    let (wanted, found) = match tokio::fs::metadata(folder).await {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            (parent, tokio::fs::metadata(parent).await)
        }
        found => (folder, found),
    };
    match found {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(format!("{} is no folder: the inbox's log cannot be written there", wanted.display())),
        Err(error) => Err(format!("the folder of the inbox's log cannot be read: {}: {error}", wanted.display())),
    }
}

/// All checks, and those that failed when they were last run.
#[derive(Default)]
pub struct Checks {
    all: Vec<Check>,
    failing: Mutex<BTreeMap<&'static str, String>>,
    metrics: TaskMetrics,
    patience: Duration,
}

impl Checks {
    /// Checks that have not run yet: until then, all is well.
    pub fn new(checks: Vec<Check>, metrics: TaskMetrics) -> Self {
        for check in &checks {
            metrics.check(check.name, true);
        }
        Self { all: checks, failing: Mutex::default(), metrics, patience: PATIENCE }
    }

    /// The checks that fail, each with its reason.
    pub fn failing(&self) -> BTreeMap<&'static str, String> {
        self.failing.lock().clone()
    }

    /// Runs all checks, again and again, until `stop` fires.
    pub async fn run(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            tokio::select! {
                () = self.round() => {}
                () = stop.cancelled() => return,
            }
            tokio::select! {
                () = tokio::time::sleep(ROUND) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Runs all checks once.
    pub async fn round(&self) {
        join_all(self.all.iter().map(|check| self.run_one(check))).await;
    }

    async fn run_one(&self, check: &Check) {
        let name = check.name;
        let look = AssertUnwindSafe(async { check.look().await }).catch_unwind();
        let looked = match timeout(self.patience, look).await {
            Ok(looked) => looked.unwrap_or_else(|_| Err("the check panicked; the log says why".to_owned())),
            Err(_) => Err(format!("no answer within {} seconds", self.patience.as_secs())),
        };
        self.metrics.check(name, looked.is_ok());
        let before = match &looked {
            Ok(()) => self.failing.lock().remove(name),
            Err(reason) => self.failing.lock().insert(name, reason.clone()),
        };
        match looked {
            Ok(()) if before.is_some() => tracing::info!(check = name, "well again"),
            Err(reason) if before.as_ref() != Some(&reason) => tracing::error!(check = name, reason, "not ready"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
        time::Duration,
    };

    use super::{Check, Checks, look_for_inbox};

    #[tokio::test]
    async fn an_inbox_that_the_next_delivery_makes_is_well_and_one_that_cannot_be_made_is_not() {
        let data = tempfile::tempdir().unwrap();
        let (file, folder) = (data.path().join("file"), data.path().join("folder"));
        std::fs::write(&file, "").unwrap();
        std::fs::create_dir(&folder).unwrap();
        for (inbox, is_well) in [
            (folder.clone(), true),
            (data.path().join("deleted"), true),
            (data.path().join("deleted/too"), false),
            (file.clone(), false),
            (file.join("below"), false),
        ] {
            assert_eq!(look_for_inbox(&inbox).await.is_ok(), is_well, "{}", inbox.display());
        }
    }

    #[tokio::test]
    async fn a_check_that_fails_or_hangs_says_why_until_it_is_well_and_does_not_hold_up_the_others() {
        let is_well = Arc::new(AtomicBool::new(false));
        let well = Arc::clone(&is_well);
        let mut checks = Checks::new(
            vec![
                Check::new("disk", move || {
                    let is_well = well.load(Ordering::Acquire);
                    async move { if is_well { Ok(()) } else { Err("it is full".to_owned()) } }
                }),
                Check::new("network", std::future::pending),
                Check::new("memory", || async { Ok(()) }),
            ],
            crate::telemetry::tasks::TaskMetrics::default(),
        );
        checks.patience = Duration::from_millis(20);
        assert!(checks.failing().is_empty());
        checks.round().await;
        let hangs = ("network", "no answer within 0 seconds".to_owned());
        assert_eq!(checks.failing(), BTreeMap::from([("disk", "it is full".to_owned()), hangs.clone()]));
        is_well.store(true, Ordering::Release);
        checks.round().await;
        assert_eq!(checks.failing(), BTreeMap::from([hangs]));
    }
}

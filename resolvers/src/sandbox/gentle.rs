//! The gentle traffic: now and then something believable happens in one of the worlds, in turn.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio_util::sync::CancellationToken;

use super::host::SandboxHost;

impl SandboxHost {
    /// Acts about every `interval` (a third more or less) until `token` is cancelled. After a restart it goes on where it was:
    /// what comes next is told by the number of journal entries.
    pub async fn run_gentle(&self, interval: Duration, token: CancellationToken) {
        let mut skipped = vec![0_u64; self.providers.len()];
        let mut happened = 0_u64;
        for hosted in &self.providers {
            happened += hosted.journal.lock().await.len();
        }
        let mut rng = StdRng::seed_from_u64(happened);
        let turns = (0..self.providers.len()).cycle().skip(to_index(happened, self.providers.len()));
        for turn in turns {
            let wait = interval.mul_f64(rng.random_range(0.67..1.33));
            if token.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                return;
            }
            if let (Some(hosted), Some(skipped)) = (self.providers.get(turn), skipped.get_mut(turn)) {
                self.act_gently(hosted, skipped).await;
            }
        }
    }
}

fn to_index(happened: u64, providers: usize) -> usize {
    usize::try_from(happened % (providers.max(1) as u64)).unwrap_or_default()
}

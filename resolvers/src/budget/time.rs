//! The processor time of each tenant: an account that fills with time, up to what a minute gives.

use std::{collections::HashMap, time::Duration};

use mullion_schema::id::TenantId;
use parking_lot::Mutex;
use tokio::time::Instant;

const MINUTE: Duration = Duration::from_mins(1);

/// The accounts of all tenants that used something lately.
#[derive(Debug)]
pub struct TimeBudget {
    /// `None`: as much as there is.
    per_minute: Option<Duration>,
    accounts: Mutex<HashMap<TenantId, Account>>,
}

/// The time that a tenant has used and not been given back yet.
#[derive(Debug, Clone, Copy)]
struct Account {
    used: Duration,
    at: Instant,
}

impl Account {
    /// The same now. A minute gives back what a minute may take.
    fn at(self, now: Instant, per_minute: Duration) -> Self {
        let share = now.saturating_duration_since(self.at).as_secs_f64() / MINUTE.as_secs_f64();
        // Beyond, no debt is left.
        let share = share.min(1e6);
        Self { used: self.used.saturating_sub(per_minute.mul_f64(share)), at: now }
    }
}

impl TimeBudget {
    /// So much in a minute.
    pub fn new(per_minute: Option<Duration>) -> Self {
        Self { per_minute: per_minute.filter(|time| !time.is_zero()), accounts: Mutex::default() }
    }

    /// Whether a tenant may use more; the error tells how long it has to wait.
    pub fn check(&self, tenant: &TenantId, now: Instant) -> Result<(), Duration> {
        let Some(per_minute) = self.per_minute else { return Ok(()) };
        let Some(account) = self.accounts.lock().get(tenant).map(|account| account.at(now, per_minute)) else {
            return Ok(());
        };
        let Some(over) = account.used.checked_sub(per_minute) else { return Ok(()) };
        let wait = MINUTE.mul_f64(over.as_secs_f64() / per_minute.as_secs_f64());
        // One that waited so long must not come a moment too early.
        Err(wait + Duration::from_secs(1))
    }

    /// The time that a tenant has used and was not given back when it was last charged.
    pub fn used(&self, tenant: &TenantId) -> Duration {
        self.accounts.lock().get(tenant).map_or(Duration::ZERO, |account| account.used)
    }

    /// A tenant has used so much.
    pub fn charge(&self, tenant: &TenantId, used: Duration, now: Instant) {
        let Some(per_minute) = self.per_minute else { return };
        let mut accounts = self.accounts.lock();
        if let Some(account) = accounts.get_mut(tenant) {
            let known = account.at(now, per_minute);
            *account = Account { used: known.used.saturating_add(used), ..known };
            return;
        }
        // Accounts without a debt say no more than none.
        accounts.retain(|_, account| !account.at(now, per_minute).used.is_zero());
        accounts.insert(tenant.clone(), Account { used, at: now });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::TimeBudget;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_tenant_that_used_its_time_waits_until_it_has_some_again_and_others_do_not() {
        let time = TimeBudget::new(Some(6 * SECOND));
        let (busy, quiet, now) = ("busy".into(), "quiet".into(), Instant::now());
        time.charge(&busy, 5 * SECOND, now);
        assert_eq!(time.check(&busy, now), Ok(()));
        time.charge(&busy, 2 * SECOND, now);
        let wait = time.check(&busy, now).unwrap_err();
        // It is a second over, and has six in a minute.
        assert_eq!(wait.as_secs(), 11);
        assert_eq!(time.check(&quiet, now), Ok(()));
        assert_eq!(time.check(&busy, now + wait), Ok(()));
        time.charge(&quiet, SECOND, now + 10 * wait);
        assert_eq!(time.accounts.lock().len(), 1, "nothing is known of a tenant that owes nothing");
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        for time in [TimeBudget::new(None), TimeBudget::new(Some(Duration::ZERO))] {
            time.charge(&"busy".into(), Duration::from_hours(1), Instant::now());
            assert_eq!(time.check(&"busy".into(), Instant::now()), Ok(()));
            assert!(time.accounts.lock().is_empty());
        }
    }
}

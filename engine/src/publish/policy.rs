//! When a push goes: freshness, budget, quiet hours, holds.
//!
//! Pure: from facts and the time to a verdict. It must never ask a clock.

use super::options::Policy;
use super::warehouse::Cost;
use crate::error::{Error, Result};

const DAY_SECONDS: f64 = 86_400.0;
/// Snowflake bills a minute at least each time a warehouse resumes; AUTO_SUSPEND is 60 s.
const RESUME_SECONDS: f64 = 60.0;

/// What a verdict rests on.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Now, microseconds since 1970 UTC.
    pub now_us: i64,
    /// When the last push ended.
    pub last_push_us: Option<i64>,
    /// Whether anything waits.
    pub waits: bool,
    /// Whether a run is about to end: only the budget spaces its last push.
    pub hurry: bool,
    /// Error-severity data tests that fail.
    pub failed_tests: Vec<String>,
    /// Why somebody, or a proof, holds the target.
    pub holds: Vec<String>,
    /// What pushes took lately, on average.
    pub mean: Cost,
    /// Credits that the warehouse burns an hour.
    pub credits_per_hour: f64,
}

/// What to do now.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Nothing waits: the warehouse sleeps on.
    Idle,
    /// Now.
    Push,
    /// Not before this time, for this reason.
    Wait(i64, String),
    /// Not until this is mended.
    Hold(String),
}

/// Decides.
pub fn decide(policy: &Policy, quiet: &[Quiet], facts: &Facts) -> Verdict {
    if !facts.waits {
        return Verdict::Idle;
    }
    if !facts.holds.is_empty() {
        return Verdict::Hold(facts.holds.join("; "));
    }
    if policy.hold_on_failed_tests && !facts.failed_tests.is_empty() {
        let count = facts.failed_tests.len();
        return Verdict::Hold(format!(
            "{count} data tests fail: {}",
            facts.failed_tests.join(", ")
        ));
    }
    let ends = quiet.iter().filter_map(|q| q.until(facts.now_us)).max();
    if let Some(until) = ends {
        return Verdict::Wait(until, "quiet hours".to_owned());
    }
    let Some(last) = facts.last_push_us else { return Verdict::Push };
    let spacing = spacing_seconds(policy, facts);
    let every = if facts.hurry { 0.0 } else { policy.every_seconds as f64 };
    let due = last + micros(spacing.max(every));
    if facts.now_us >= due {
        return Verdict::Push;
    }
    let why = if spacing > policy.every_seconds as f64 {
        format!("{} credits a day pay for a push every {spacing:.0} s", policy.credits_per_day)
    } else {
        format!("at most every {} s", policy.every_seconds)
    };
    Verdict::Wait(due, why)
}

/// Seconds between pushes so that a day's pushes stay inside the budget.
pub fn spacing_seconds(policy: &Policy, facts: &Facts) -> f64 {
    if policy.credits_per_day <= 0.0 {
        return 0.0;
    }
    let affordable = policy.credits_per_day / facts.credits_per_hour.max(0.01) * 3_600.0;
    if affordable >= DAY_SECONDS {
        return 0.0;
    }
    DAY_SECONDS * billed_seconds(facts.mean.warehouse_seconds) / affordable
}

/// Warehouse seconds that one push is billed for, if it wakes the warehouse.
pub fn billed_seconds(busy: f64) -> f64 {
    busy + RESUME_SECONDS
}

/// Warehouse seconds that pushes are billed for: `(start, busy)` in seconds, in order. A push that
/// comes while the warehouse is still awake only extends that.
pub fn awake_seconds(pushes: &[(f64, f64)]) -> f64 {
    let mut total = 0.0;
    let mut awake_until = f64::NEG_INFINITY;
    for (start, busy) in pushes {
        let ends = start + billed_seconds(*busy);
        total += ends - start.max(awake_until).min(ends);
        awake_until = awake_until.max(ends);
    }
    total
}

fn micros(seconds: f64) -> i64 {
    (seconds * 1e6) as i64
}

/// Hours without pushes, every day, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quiet {
    from_minute: i64,
    to_minute: i64,
}

impl Quiet {
    /// `22:00-06:00`.
    ///
    /// # Errors
    /// `Invalid` for anything else.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Error::invalid(format!("quiet_hours: \"{text}\" is no span of hours"))
                .with_hint("write it as \"22:00-06:00\", in UTC")
        };
        let minute = |t: &str| {
            let (hours, minutes) = t.trim().split_once(':')?;
            let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
            ((0..24).contains(&hours) && (0..60).contains(&minutes)).then_some(hours * 60 + minutes)
        };
        let (from, to) = text.split_once('-').ok_or_else(wrong)?;
        let (from_minute, to_minute) =
            (minute(from).ok_or_else(wrong)?, minute(to).ok_or_else(wrong)?);
        if from_minute == to_minute {
            return Err(wrong());
        }
        Ok(Self { from_minute, to_minute })
    }

    /// When the span ends, if it is on.
    pub fn until(&self, now_us: i64) -> Option<i64> {
        const MINUTE_US: i64 = 60_000_000;
        const DAY: i64 = 24 * 60;
        let minute = now_us.div_euclid(MINUTE_US).rem_euclid(DAY);
        let length = (self.to_minute - self.from_minute).rem_euclid(DAY);
        let into = (minute - self.from_minute).rem_euclid(DAY);
        (into < length).then(|| (now_us.div_euclid(MINUTE_US) + length - into) * MINUTE_US)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000;

    fn facts(now_us: i64, last: Option<i64>) -> Facts {
        let mean = Cost { warehouse_seconds: 2.0, ..Cost::default() };
        let credits_per_hour = 1.0;
        Facts {
            now_us,
            last_push_us: last,
            waits: true,
            mean,
            credits_per_hour,
            ..Facts::default()
        }
    }

    #[test]
    fn nothing_waits_and_the_warehouse_sleeps() {
        let idle = Facts { waits: false, ..facts(0, None) };
        assert_eq!(decide(&Policy::default(), &[], &idle), Verdict::Idle);
    }

    #[test]
    fn freshness_spaces_pushes() {
        let policy = Policy { every_seconds: 10, ..Policy::default() };
        assert_eq!(decide(&policy, &[], &facts(0, None)), Verdict::Push);
        let early = decide(&policy, &[], &facts(5_000_000, Some(0)));
        assert!(matches!(early, Verdict::Wait(10_000_000, _)), "{early:?}");
        assert_eq!(decide(&policy, &[], &facts(10_000_000, Some(0))), Verdict::Push);
        let ending = Facts { hurry: true, ..facts(5_000_000, Some(0)) };
        assert_eq!(decide(&policy, &[], &ending), Verdict::Push);
    }

    #[test]
    fn a_budget_is_kept_over_a_day() {
        let policy = Policy { every_seconds: 0, credits_per_day: 1.0, ..Policy::default() };
        let (mut now, mut last, mut pushes) = (0, None, Vec::new());
        while now < 24 * HOUR {
            match decide(&policy, &[], &facts(now, last)) {
                Verdict::Push => {
                    pushes.push((now as f64 / 1e6, 2.0));
                    last = Some(now);
                }
                Verdict::Wait(until, _) => now = until,
                other => panic!("{other:?}"),
            }
        }
        let credits = awake_seconds(&pushes) / 3_600.0;
        assert!((0.9..=1.05).contains(&credits), "{credits} credits in {} pushes", pushes.len());
    }

    #[test]
    fn quiet_hours_go_over_midnight() {
        let quiet = Quiet::parse("22:00-06:30").unwrap();
        assert_eq!(quiet.until(23 * HOUR), Some(30 * HOUR + HOUR / 2));
        assert_eq!(quiet.until(2 * HOUR), Some(6 * HOUR + HOUR / 2));
        assert_eq!(quiet.until(7 * HOUR), None);
        for wrong in ["22-06", "25:00-06:00", "06:00-06:00", "soon"] {
            assert!(Quiet::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn holds_and_failing_tests_hold() {
        let mut failing = facts(0, None);
        failing.failed_tests = vec!["unique_m_k".to_owned()];
        let held = decide(&Policy::default(), &[], &failing);
        assert!(matches!(held, Verdict::Hold(why) if why.contains("unique_m_k")));
        let lax = Policy { hold_on_failed_tests: false, ..Policy::default() };
        assert_eq!(decide(&lax, &[], &failing), Verdict::Push);
        failing.holds = vec!["by hand: audit".to_owned()];
        assert!(matches!(decide(&lax, &[], &failing), Verdict::Hold(why) if why.contains("audit")));
    }

    #[test]
    fn pushes_close_together_share_a_wake() {
        assert!((awake_seconds(&[(0.0, 2.0), (30.0, 2.0)]) - 92.0).abs() < 1e-9);
        assert!((awake_seconds(&[(0.0, 2.0), (300.0, 2.0)]) - 124.0).abs() < 1e-9);
    }
}

//! What is known of one name: its addresses of each family, and until when.
//!
//! In: how questions came out, and the time. Out: the addresses that hold now, and when to ask again. A family for which nobody answers
//! keeps what it had; that a name has no address of a family, or does not exist, is an answer.

use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How a question for one family came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// These addresses, perhaps none, until then.
    Answer(Vec<IpAddr>, Instant),
    /// Nobody answered, or not in a way that can be understood.
    Failure(String),
}

/// What is known of a name.
#[derive(Debug, Default)]
pub(super) struct Answers {
    families: [Option<Answer>; 2],
    /// How often in a row a question failed.
    failures: u32,
    failure: Option<String>,
}

#[derive(Debug)]
struct Answer {
    addresses: Vec<IpAddr>,
    until: Instant,
}

impl Answers {
    /// Takes in how the questions for both families came out. Returns how long to wait before the next ones.
    pub(super) fn learn(&mut self, outcomes: [Outcome; 2], now: Instant) -> Duration {
        self.failure = None;
        for (family, outcome) in self.families.iter_mut().zip(outcomes) {
            match outcome {
                Outcome::Answer(addresses, until) => *family = Some(Answer { addresses, until }),
                Outcome::Failure(why) => {
                    self.failure.get_or_insert(why);
                    family.take_if(|answer| now > answer.until + HELD);
                }
            }
        }
        if self.failure.is_some() {
            let wait = SOONEST * 2_u32.saturating_pow(self.failures.min(10));
            self.failures += 1;
            return wait.min(BETWEEN_FAILURES);
        }
        self.failures = 0;
        let expires = self.families.iter().flatten().map(|answer| answer.until).min();
        expires.map_or(SOONEST, |at| at.saturating_duration_since(now)).clamp(SOONEST, LATEST)
    }

    /// The addresses that hold, in order; `None` when nobody knows any, or whether there are any.
    pub(super) fn known(&self) -> Option<Vec<IpAddr>> {
        if self.families.iter().all(Option::is_none) {
            return None;
        }
        let mut all: Vec<_> = self.families.iter().flatten().flat_map(|answer| &answer.addresses).copied().collect();
        all.sort_unstable();
        all.dedup();
        Some(all)
    }

    /// Why the last questions failed, where one did.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }
}

/// Between two questions for one name.
const SOONEST: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_secs(60);
const BETWEEN_FAILURES: Duration = Duration::from_secs(30);
/// How long an answer holds after it expired, while there is no other.
const HELD: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    fn to(last: u8, until: Instant) -> Outcome {
        Outcome::Answer(vec![IpAddr::from([192, 0, 2, last])], until)
    }

    fn none(until: Instant) -> Outcome {
        Outcome::Answer(Vec::new(), until)
    }

    fn failed() -> Outcome {
        Outcome::Failure("timed out".into())
    }

    fn shown(answers: &Answers) -> Option<String> {
        answers.known().map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_name_is_asked_again_when_the_first_answer_expires_within_bounds() {
        let now = Instant::now();
        let at = |seconds: u64| now + Duration::from_secs(seconds);
        for (v4, v6, wait) in [(20, 40, 20), (40, 20, 20), (0, 40, 1), (86_400, 86_400, 60)] {
            let mut answers = Answers::default();
            assert_eq!(answers.learn([to(1, at(v4)), none(at(v6))], now), Duration::from_secs(wait), "{v4} {v6}");
        }
    }

    #[test]
    fn while_nobody_answers_the_last_answer_holds_for_an_hour() {
        let (now, mut answers) = (Instant::now(), Answers::default());
        let until = now + Duration::from_secs(20);
        answers.learn([to(1, until), none(until)], now);
        let waits = [1, 2, 4, 8, 16, 30, 30].map(Duration::from_secs);
        assert_eq!(waits.map(|_| answers.learn([failed(), failed()], until + HELD)), waits);
        assert_eq!((shown(&answers).as_deref(), answers.failure()), (Some("192.0.2.1"), Some("timed out")));
        answers.learn([failed(), failed()], until + HELD + Duration::from_secs(1));
        assert_eq!(shown(&answers), None, "nobody knows any more");
        let later = until + 2 * HELD;
        assert_eq!(answers.learn([to(2, later), none(later)], later - LATEST), LATEST);
        assert_eq!((shown(&answers).as_deref(), answers.failure()), (Some("192.0.2.2"), None));
        assert_eq!(answers.learn([failed(), none(later)], later), SOONEST, "failures are counted anew");
    }

    #[test]
    fn a_family_that_fails_takes_nothing_from_the_other() {
        let (now, mut answers) = (Instant::now(), Answers::default());
        let six = || Outcome::Answer(vec!["2001:db8::1".parse().unwrap()], now + LATEST);
        answers.learn([failed(), six()], now);
        assert_eq!(shown(&answers).as_deref(), Some("2001:db8::1"));
        answers.learn([to(1, now + LATEST), six()], now);
        answers.learn([failed(), none(now + LATEST)], now);
        assert_eq!(shown(&answers).as_deref(), Some("192.0.2.1"), "that there is none of the other is an answer");
    }

    #[test]
    fn that_a_name_does_not_exist_is_an_answer_and_no_answer_at_all_is_none() {
        let (now, mut answers) = (Instant::now(), Answers::default());
        answers.learn([failed(), failed()], now);
        assert_eq!(shown(&answers), None);
        answers.learn([to(1, now), none(now)], now);
        answers.learn([none(now), none(now)], now);
        assert_eq!(shown(&answers).as_deref(), Some(""));
    }
}

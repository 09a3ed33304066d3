//! The life of a job: when the name service starts it, and when it was started too often. Without calls of the kernel.

use crate::time::MILLISECOND;
use heapless::Deque;

/// The greatest limit of starts.
pub const STARTS_MAX: usize = 16;
/// The limit of starts of a job that has no other.
pub const STARTS_DEFAULT: u32 = 5;
/// The time over which the starts of a job are counted that has no other, in milliseconds.
pub const WINDOW_DEFAULT: u32 = 10_000;

/// What there is of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No instance: the next message or look-up starts one.
    Idle,
    /// An instance that has not checked in.
    Starting,
    /// An instance that has checked in.
    Running,
    /// No instance until this time: the job was started too often, or could not be started.
    Throttled(u64),
}

/// What follows if somebody wants an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Start one.
    Start,
    /// There is one.
    Lives,
    /// The job has just been started too often: what waits for it is to be destroyed.
    Fail,
    /// It is throttled.
    Refused,
}

/// How an instance ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// True if its exit status is 0.
    pub(super) is_clean: bool,
    /// True if messages wait for the next instance.
    pub(super) leaves_messages: bool,
}

/// The life of a job.
#[derive(Clone, Debug)]
pub(super) struct Life {
    state: State,
    keeps_alive: bool,
    limit: usize,
    /// The time over which starts are counted, in nanoseconds.
    window: u64,
    /// The times of the last starts that count, the oldest first; at most `limit`.
    starts: Deque<u64, STARTS_MAX>,
}

impl Life {
    /// Returns the life of a job without an instance, which may be started `limit` times in `milliseconds`.
    pub(super) fn new(keeps_alive: bool, limit: u32, milliseconds: u32) -> Life {
        let limit = (limit as usize).clamp(1, STARTS_MAX);
        let window = u64::from(milliseconds) * MILLISECOND;
        Life { state: State::Idle, keeps_alive, limit, window, starts: Deque::new() }
    }

    /// Returns true if a message is to start an instance: there is none, and the job is not throttled.
    pub(super) fn listens(&self) -> bool {
        self.state == State::Idle
    }

    /// Says what follows from somebody's wish for an instance, and counts the start if one is made.
    pub(super) fn want(&mut self, now: u64) -> Verdict {
        match self.state {
            State::Starting | State::Running => return Verdict::Lives,
            State::Throttled(until) if now < until => return Verdict::Refused,
            State::Throttled(_) | State::Idle => {}
        }
        if self.starts.len() == self.limit {
            let free_at = self.starts.front().map_or(0, |oldest| oldest.saturating_add(self.window));
            if now < free_at {
                self.state = State::Throttled(free_at);
                return Verdict::Fail;
            }
            self.starts.pop_front();
        }
        // There is room: `limit` is at most the capacity, and the oldest start has gone if there were that many.
        let _ = self.starts.push_back(now);
        self.state = State::Starting;
        Verdict::Start
    }

    /// Notes that the start that [`want`](Life::want) decided on failed.
    pub(super) fn did_not_start(&mut self, now: u64) {
        self.state = State::Throttled(now.saturating_add(self.window));
    }

    /// Notes that the instance has checked in.
    pub(super) fn checked_in(&mut self) {
        if self.state == State::Starting {
            self.state = State::Running;
        }
    }

    /// Notes that the instance has ended, and says what follows; `None` is nothing. An instance that ended by itself with
    /// nothing left to do was no failure, so its start does not count.
    pub(super) fn ended(&mut self, now: u64, end: End) -> Option<Verdict> {
        self.state = State::Idle;
        if end.is_clean && !end.leaves_messages && !self.keeps_alive {
            self.starts.pop_back();
        }
        (end.leaves_messages || self.keeps_alive).then(|| self.want(now))
    }

    /// Returns the time at which a job that is kept alive may be started again. None if nothing is to be done by itself.
    pub(super) fn deadline(&self) -> Option<u64> {
        match self.state {
            State::Throttled(until) if self.keeps_alive => Some(until),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: u64 = WINDOW_DEFAULT as u64 * MILLISECOND;

    const CRASHED: End = End { is_clean: false, leaves_messages: true };
    const DONE: End = End { is_clean: true, leaves_messages: false };

    #[test]
    fn many_wishes_start_one_instance() {
        let mut life = Life::new(false, 5, WINDOW_DEFAULT);
        assert_eq!(life.want(1), Verdict::Start);
        assert_eq!([2, 3, 4].map(|now| life.want(now)), [Verdict::Lives; 3]);
        life.checked_in();
        assert_eq!((life.state, life.want(5)), (State::Running, Verdict::Lives));
    }

    #[test]
    fn job_that_crashes_at_once_fails_after_its_limit_and_recovers() {
        const LIMIT: u32 = 3;
        let mut life = Life::new(false, LIMIT, WINDOW_DEFAULT);
        assert_eq!(life.want(100), Verdict::Start);
        assert_eq!([101, 102].map(|now| life.ended(now, CRASHED)), [Some(Verdict::Start); 2]);
        assert_eq!(life.ended(103, CRASHED), Some(Verdict::Fail));
        let until = 100 + WINDOW;
        assert_eq!((life.state, life.listens(), life.deadline()), (State::Throttled(until), false, None));
        assert_eq!(life.want(until - 1), Verdict::Refused);
        assert_eq!(life.want(until), Verdict::Start);
        // Only one of the three starts is old enough to be forgotten.
        life.ended(until, End { leaves_messages: false, ..CRASHED });
        assert_eq!(life.want(until), Verdict::Fail);
        assert_eq!(life.state, State::Throttled(101 + WINDOW));
    }

    #[test]
    fn instance_that_did_its_work_does_not_count() {
        let mut life = Life::new(false, 1, WINDOW_DEFAULT);
        for now in 0..100 {
            assert_eq!(life.want(now), Verdict::Start);
            assert_eq!(life.ended(now, DONE), None);
        }
        assert_eq!(life.want(100), Verdict::Start);
        assert_eq!(life.ended(100, End { leaves_messages: true, ..DONE }), Some(Verdict::Fail));
    }

    #[test]
    fn instance_that_left_no_messages_is_not_started_again() {
        let mut life = Life::new(false, 5, WINDOW_DEFAULT);
        life.want(1);
        assert_eq!(life.ended(2, End { leaves_messages: false, ..CRASHED }), None);
        assert!(life.listens());
    }

    #[test]
    fn job_that_is_kept_alive_starts_again_and_has_a_deadline_when_it_is_throttled() {
        let mut life = Life::new(true, 2, WINDOW_DEFAULT);
        assert_eq!(life.want(10), Verdict::Start);
        assert_eq!(life.ended(20, DONE), Some(Verdict::Start));
        assert_eq!(life.ended(30, DONE), Some(Verdict::Fail));
        assert_eq!(life.deadline(), Some(10 + WINDOW));
        assert_eq!(life.want(10 + WINDOW), Verdict::Start);
        assert_eq!(life.deadline(), None);
    }

    #[test]
    fn job_that_does_not_start_is_throttled() {
        let mut life = Life::new(false, 5, WINDOW_DEFAULT);
        assert_eq!(life.want(7), Verdict::Start);
        life.did_not_start(7);
        assert_eq!((life.want(8), life.want(7 + WINDOW)), (Verdict::Refused, Verdict::Start));
    }

    /// Random wishes and ends: there is one instance at most, and never more starts in a window than the limit, apart
    /// from those that did their work.
    #[test]
    fn starts_that_count_are_never_more_than_the_limit_in_any_window() {
        let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
        let mut random = |below: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed % below
        };
        for limit in 1..=STARTS_MAX as u32 {
            let (mut life, mut now, mut lives) = (Life::new(random(2) == 0, limit, WINDOW_DEFAULT), 0, false);
            let (mut counted, mut refused) = (Vec::<u64>::new(), 0);
            for _ in 0..2000 {
                now += random(WINDOW / 8);
                let end = End { is_clean: random(2) == 0, leaves_messages: random(2) == 0 };
                let verdict = if lives && random(2) == 0 {
                    lives = false;
                    if end == DONE && !life.keeps_alive {
                        counted.pop();
                    }
                    life.ended(now, end)
                } else {
                    Some(life.want(now))
                };
                assert_eq!(verdict == Some(Verdict::Lives), lives && verdict.is_some());
                if verdict == Some(Verdict::Start) {
                    counted.push(now);
                    lives = true;
                }
                refused += u32::from(matches!(verdict, Some(Verdict::Fail | Verdict::Refused)));
                let recent = counted.iter().filter(|&&start| start + WINDOW > now).count();
                assert!(recent <= limit as usize, "{recent} starts, and the limit is {limit}");
            }
            assert!(limit > 4 || refused > 0, "limit {limit}");
        }
    }
}

//! What the scheduler promises is broken by hand, and the check must report it.

use super::*;
use crate::machine::Stamp;
use crate::rate::Rate;
use abi::code::KERN_FAILURE;
use std::panic::{AssertUnwindSafe, catch_unwind};

const BASE: u8 = 31;
const DEADLINE: Nanos = 1000;
const WORD: UserAddr = UserAddr(0x1000);

/// Five threads in different states.
struct Team {
    sched: Scheduling,
    step: Step,
    running: ThreadId,
    ready: ThreadId,
    stopped: ThreadId,
    /// It waits for a point in time.
    sleeping: ThreadId,
    /// It waits for a word of memory.
    waiting: ThreadId,
}

impl Team {
    fn new() -> Team {
        let mut sched = Scheduling::new(Clock::new(Stamp(0), Rate::measured(1, 1)), 0);
        let (mut step, mut siblings) = (Step::default(), ThreadList::default());
        let task = TaskId::from_bits(1 << 32).expect("a valid id");
        let space = crate::ids::SpaceId::from_bits(1 << 32).expect("a valid id");
        let belongings = Belongings { task, space, address_space: AddressSpace(0) };
        let [sleeping, waiting, running, ready, stopped] = [(); 5].map(|()| {
            let (frame, policy) = (TrapFrame::default(), ThreadPolicy::default());
            sched
                .create(&mut step, &mut siblings, belongings, frame, policy, (BASE, Power::of(Qos::Unspecified)))
                .unwrap()
        });
        [sleeping, waiting, running, ready].into_iter().for_each(|thread| sched.resume(&mut step, thread).unwrap());
        assert_eq!(sched.choose(&mut step, 0, Stamp(0)), Some(sleeping));
        sched.block_on_clock(&mut step, sleeping, DEADLINE);
        assert_eq!(sched.choose(&mut step, 0, Stamp(0)), Some(waiting));
        sched.block_on_word(&mut step, waiting, WORD, DEADLINE - 1).unwrap();
        assert_eq!(sched.choose(&mut step, 0, Stamp(0)), Some(running));
        Team { sched, step, running, ready, stopped, sleeping, waiting }
    }

    fn thread(&mut self, thread: ThreadId) -> &mut Thread {
        &mut self.sched.threads[thread]
    }
}

/// What the check says, and a way to make it say that.
type Break = (&'static str, fn(&mut Team));

const BREAKS: [Break; 12] = [
    ("is queued but not ready", |t| t.thread(t.ready).state = State::Suspended),
    ("is on the wrong level", |t| t.thread(t.ready).schedule.priority = BASE - 1),
    ("overflow", |t| t.thread(t.stopped).state = State::Ready),
    ("is the current thread of its processor", |t| t.sched.processors[0].current = Some(t.ready)),
    ("the current threads of processors are running", |t| t.thread(t.running).state = State::Suspended),
    ("the level of", |t| t.thread(t.running).schedule.priority = BASE + 1),
    ("the level of", |t| t.thread(t.stopped).schedule.depressed = true),
    ("has a wrong place for its Wait timer", |t| t.thread(t.sleeping).timers = TimerSlots::default()),
    ("every entry is known to its thread", |t| t.thread(t.stopped).timers = [Some(0), None]),
    ("every thread has reserved entries", |t| t.sched.timers.reserve_for_thread().unwrap()),
    ("the queues of words and of input have waiting threads only", |t| t.thread(t.waiting).state = State::Suspended),
    ("is not in its wait queue", |t| {
        let key = (t.thread(t.waiting).task(), WORD);
        *t.sched.words.get_mut(&key).unwrap() = WaitQueue::default();
    }),
];

#[test]
fn the_check_reports_every_broken_promise() {
    Team::new().sched.check();
    for (number, (message, break_it)) in BREAKS.into_iter().enumerate() {
        let mut team = Team::new();
        break_it(&mut team);
        let panic = catch_unwind(AssertUnwindSafe(|| team.sched.check())).expect_err(message);
        let report = match panic.downcast::<String>() {
            Ok(text) => *text,
            Err(other) => other.downcast_ref::<&str>().map_or_else(String::new, |text| (*text).to_owned()),
        };
        assert!(report.contains(message), "break {number}: {message:?} was expected, the check says {report:?}");
    }
}

#[test]
fn the_thread_that_waits_for_a_word_is_woken_once() {
    let mut team = Team::new();
    let (task, outcome) = (team.thread(team.waiting).task(), crate::outcome::Outcome::Value(1));
    let Team { sched, step, .. } = &mut team;
    assert!(!sched.wake_word(step, task, UserAddr(WORD.0 + 8), outcome), "no thread waits for this word");
    assert!(sched.wake_word(step, task, WORD, outcome));
    assert!(!sched.wake_word(step, task, WORD, outcome));
    sched.check();
    assert_eq!(sched.earliest_deadline(), DEADLINE, "the deadline of the wait is gone");
}

#[test]
fn no_thread_is_created_after_the_last_number() {
    let mut team = Team::new();
    team.sched.last_number = u64::MAX - 1;
    let Context { task, space, .. } = team.thread(team.ready).context;
    let belongings = Belongings { task, space, address_space: AddressSpace(0) };
    let mut siblings = ThreadList::default();
    let mut create = |team: &mut Team| {
        let Team { sched, step, .. } = team;
        let (frame, policy) = (TrapFrame::default(), ThreadPolicy::default());
        sched.create(step, &mut siblings, belongings, frame, policy, (BASE, Power::of(Qos::Unspecified)))
    };
    let last = create(&mut team).unwrap();
    let count = team.sched.count();
    for _ in 0..2 {
        assert_eq!(create(&mut team), Err(NoMemory));
    }
    assert_eq!((team.thread(last).number, team.sched.count()), (u64::MAX, count));
    team.sched.check();
}

#[test]
fn a_thread_is_suspended_as_often_as_its_count_can_tell() {
    let mut team = Team::new();
    let thread = team.ready;
    team.thread(thread).suspend_count = u32::MAX - 1;
    let Team { sched, step, .. } = &mut team;
    assert_eq!(sched.suspend(step, thread), Ok(()));
    assert_eq!(sched.suspend(step, thread), Err(KERN_FAILURE));
    assert_eq!(sched[thread].suspend_count, u32::MAX);
    assert_eq!(sched.resume(step, thread), Ok(()));
    assert_eq!(sched[thread].suspend_count, u32::MAX - 1);
    sched.check();
}

#[test]
fn set_self_calls_are_counted_around() {
    let mut team = Team::new();
    let thread = team.ready;
    team.thread(thread).set_self_calls = u32::MAX;
    team.sched.count_set_self(thread);
    assert_eq!(team.thread(thread).set_self_calls, 0);
}

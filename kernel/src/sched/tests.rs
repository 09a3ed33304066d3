//! What the scheduler promises is broken by hand, and the check must report it.

use super::*;
use crate::machine::Stamp;
use crate::outcome::Outcome;
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
        let coalition = sched.test_coalition();
        let belongings = Belongings { task, space, address_space: AddressSpace(0), coalition };
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
    let Thread { context: Context { task, space, .. }, coalition, .. } = *team.thread(team.ready);
    let belongings = Belongings { task, space, address_space: AddressSpace(0), coalition };
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

/// Threads of several coalitions, on a processor with a timer.
struct Machine {
    sched: Scheduling,
    step: Step,
    siblings: ThreadList,
    now: Nanos,
    timer: Nanos,
}

impl Machine {
    fn new() -> Machine {
        let sched = Scheduling::new(Clock::new(Stamp(0), Rate::measured(1, 1)), 0);
        Machine { sched, step: Step::default(), siblings: ThreadList::default(), now: 0, timer: Nanos::MAX }
    }

    fn coalition(&mut self) -> CoalitionId {
        self.sched.test_coalition()
    }

    /// Creates a thread, which becomes ready.
    fn thread(&mut self, coalition: CoalitionId) -> ThreadId {
        let Machine { sched, step, siblings, .. } = self;
        let task = TaskId::from_bits(1 << 32).expect("a valid id");
        let space = crate::ids::SpaceId::from_bits(1 << 32).expect("a valid id");
        let belongings = Belongings { task, space, address_space: AddressSpace(0), coalition };
        let (frame, policy) = (TrapFrame::default(), ThreadPolicy::default());
        let made =
            sched.create(step, siblings, belongings, frame, policy, (BASE, Power::of(Qos::Unspecified))).unwrap();
        sched.resume(step, made).unwrap();
        made
    }

    /// Chooses the thread that runs, and returns it.
    fn choose(&mut self) -> ThreadId {
        let chosen = self.sched.choose(&mut self.step, 0, Stamp(self.now)).expect("a thread is ready");
        self.timer = self.sched.timer_to_set(0).unwrap_or(self.timer);
        self.sched.check();
        chosen
    }

    /// Lets a thread run for some time, or until the timer comes. Returns the time.
    fn run(&mut self, time: Nanos) -> Nanos {
        let ran = time.min(self.timer - self.now);
        self.now += ran;
        if self.now == self.timer {
            self.timer = Nanos::MAX;
            let current = self.sched.current(0);
            self.sched.tick(&mut self.step, 0, Stamp(self.now));
            // So does the end of a step.
            self.sched.charge(0, current, Stamp(self.now));
        }
        ran
    }

    /// Lets the running thread wait for a word, whose number it is.
    fn block(&mut self, thread: ThreadId, word: u64) {
        let Machine { sched, step, now, .. } = self;
        sched.block_on_word(step, thread, UserAddr(word), Nanos::MAX).unwrap();
        sched.charge(0, Some(thread), Stamp(*now));
    }

    fn wake(&mut self, word: u64) {
        let task = TaskId::from_bits(1 << 32).expect("a valid id");
        assert!(self.sched.wake_word(&mut self.step, task, UserAddr(word), Outcome::Value(0)));
    }
}

/// Returns how long each of several coalitions runs in a time if all of their threads spin.
fn times_of_spinners<const N: usize>(threads: [usize; N], quanta: u64) -> [Nanos; N] {
    let mut machine = Machine::new();
    let coalitions = [(); N].map(|()| machine.coalition());
    let mut owner = std::collections::HashMap::new();
    for (at, count) in threads.into_iter().enumerate() {
        for _ in 0..count {
            owner.insert(machine.thread(coalitions[at]), at);
        }
    }
    let mut times = [0; N];
    while machine.now < quanta * schedule::QUANTUM {
        let thread = machine.choose();
        times[owner[&thread]] += machine.run(Nanos::MAX);
    }
    times
}

#[test]
fn coalitions_have_the_same_time_whatever_the_number_of_their_threads() {
    for threads in [[1, 1, 1], [1, 100, 2], [3, 1, 50]] {
        let times = times_of_spinners(threads, 300);
        assert_eq!(times, [100 * schedule::QUANTUM; 3], "{threads:?}");
    }
}

/// Two threads that call each other in turn, each of which computes for some time before it wakes the other one and waits.
/// Returns the number of calls while other coalitions spin.
fn calls_beside_spinners(own: bool, spinners: usize, computes: Nanos, quanta: u64) -> u64 {
    let mut machine = Machine::new();
    let (client, server) = (machine.coalition(), machine.coalition());
    let pair = [machine.thread(client), machine.thread(if own { client } else { server })];
    let mut left = [computes; 2];
    for (number, one) in pair.into_iter().enumerate() {
        assert_eq!(machine.choose(), one);
        machine.block(one, number as u64);
    }
    let hostile = machine.coalition();
    // Turns and quanta do not end together.
    machine.now += 1_234_567;
    (0..spinners).for_each(|_| {
        machine.thread(hostile);
    });
    if spinners > 0 {
        machine.choose();
        machine.run(2_345_678);
    }
    machine.wake(0);
    let (mut calls, end) = (0, machine.now + quanta * schedule::QUANTUM);
    while machine.now < end {
        let thread = machine.choose();
        let Some(number) = pair.iter().position(|&one| one == thread) else {
            machine.run(Nanos::MAX);
            continue;
        };
        left[number] -= machine.run(left[number]);
        if left[number] == 0 {
            left[number] = computes;
            if machine.sched.threads[thread].is_running() {
                machine.wake(1 - number as u64);
                machine.block(thread, number as u64);
                calls += 1;
            }
        }
    }
    calls
}

#[test]
fn calls_have_half_of_the_time_beside_any_number_of_threads_that_spin() {
    const COMPUTES: Nanos = 10_000;
    for own in [true, false] {
        let alone = calls_beside_spinners(own, 0, COMPUTES, 200);
        assert_eq!(alone, 200 * schedule::QUANTUM / COMPUTES);
        for spinners in [1, 2, 100] {
            let beside = calls_beside_spinners(own, spinners, COMPUTES, 200);
            assert!(beside * 100 >= alone * 49, "{beside} of {alone} calls beside {spinners} threads, {own}");
        }
    }
}

//! The turns of coalitions at the levels of the run queue.
//!
//! A turn lasts as long as one quantum. It begins when a thread of a coalition is chosen, and ends when other coalitions
//! wait at the level and the time is used up: however many threads a coalition has, and however often they block, the
//! others wait for one quantum. A thread of another coalition that the holder of the turn wakes and then waits for is its
//! heir: it runs in the same turn, so that a call to a server takes one turn and not two.

use super::coalition::{AwaitingTurn, Coalitions};
use super::level_set::IDLE;
use super::run_queue::{RunQueue, check_queue};
use super::thread::{AtLevel, Thread, Threads};
use crate::ids::{CoalitionId, ThreadId, tag};
use crate::machine::Nanos;
use store::List;

/// The threads of one level.
#[derive(Debug)]
pub(super) struct Level {
    /// The ready threads of the coalition that has the turn; at level 0 all ready threads.
    pub(super) threads: List<tag::Thread, AtLevel>,
    /// The other coalitions with ready threads, in the order in which they get their turns.
    pub(super) others: List<tag::Coalition, AwaitingTurn>,
    pub(super) turn: Turn,
}

/// A coalition's turn at a level.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    /// The coalition that has the turn, or had the last one.
    pub(super) holder: Option<CoalitionId>,
    /// The thread of another coalition that runs next in this turn.
    pub(super) heir: Option<ThreadId>,
    /// The rest of the turn.
    pub(super) left: Nanos,
}

impl Level {
    /// A level without threads.
    pub(super) const EMPTY: Level = Level { threads: List::new(), others: List::new(), turn: Turn::NONE };
}

impl Turn {
    const NONE: Turn = Turn { holder: None, heir: None, left: 0 };

    /// Returns true if a thread runs in this turn.
    #[inline]
    fn is_of(&self, thread: &Thread) -> bool {
        self.holder == Some(thread.coalition) || self.heir == Some(thread.id())
    }
}

impl RunQueue {
    /// Returns the queue for a ready thread of a coalition that does not have the turn. If nobody wants the turn, the
    /// coalition gets it; else it waits for its next one.
    pub(super) fn queue_outside_turn(&mut self, thread: &Thread) -> &mut List<tag::Thread, AtLevel> {
        let (level, coalition) = (usize::from(thread.schedule.priority), thread.coalition);
        let Level { others, turn, .. } = &mut self.levels[level];
        let free = turn.holder.is_none() && others.is_empty();
        if free {
            *turn = Turn { holder: Some(coalition), heir: None, left: thread.schedule.quantum };
        }
        if free || level == IDLE {
            return &mut self.levels[level].threads;
        }
        if self.coalitions.place(coalition, level).threads.is_empty() {
            self.await_turn(level, coalition);
        }
        self.coalitions.queue(coalition, level)
    }

    /// Lets a coalition that has the turn no more, or has just got ready threads, wait for its turn.
    fn await_turn(&mut self, level: usize, coalition: CoalitionId) {
        let others = &mut self.levels[level].others;
        self.contested += usize::from(others.is_empty());
        others.push_back(&mut self.coalitions.at(level), coalition);
    }

    /// Lets a coalition that gets the turn, or has no ready threads any more, not wait any longer.
    pub(super) fn end_await(&mut self, level: usize, coalition: CoalitionId) {
        let others = &mut self.levels[level].others;
        others.remove(&mut self.coalitions.at(level), coalition);
        self.contested -= usize::from(others.is_empty());
    }

    /// Returns true if a coalition waits for its turn at a level.
    #[inline(always)]
    pub(super) fn is_contested(&self, level: usize) -> bool {
        self.is_contested_anywhere() && !self.levels[level].others.is_empty()
    }

    /// Returns true if a coalition waits for its turn at any level.
    #[inline(always)]
    pub(super) fn is_contested_anywhere(&self) -> bool {
        self.contested > 0
    }

    /// Lets a thread run at a level where coalitions wait for their turns: in the turn, or in a new one of its coalition.
    #[inline]
    pub(super) fn enter_turn(&mut self, thread: &Thread, level: usize) {
        if self.is_contested_anywhere() && self.levels[level].turn.holder != Some(thread.coalition) {
            self.begin_turn_unless_heir(thread, level);
        }
    }

    #[inline(never)]
    fn begin_turn_unless_heir(&mut self, thread: &Thread, level: usize) {
        if level == IDLE || self.levels[level].turn.is_of(thread) {
            return;
        }
        self.end_turn(level);
        let threads = core::mem::take(self.coalitions.queue(thread.coalition, level));
        if !threads.is_empty() {
            self.end_await(level, thread.coalition);
        }
        let turn = Turn { holder: Some(thread.coalition), heir: None, left: thread.schedule.quantum };
        let level = &mut self.levels[level];
        (level.threads, level.turn) = (threads, turn);
    }

    /// Ends the turn at a level. If the holder has ready threads, it waits for its next turn.
    pub(super) fn end_turn(&mut self, level: usize) {
        let Level { threads, turn, .. } = &mut self.levels[level];
        if let Some(holder) = core::mem::replace(turn, Turn::NONE).holder
            && !threads.is_empty()
        {
            *self.coalitions.queue(holder, level) = core::mem::take(threads);
            self.await_turn(level, holder);
        }
    }

    /// Takes the time for which a thread has run off the turn at its level, if the thread runs in that. The caller has found
    /// the level [contested](RunQueue::is_contested): nobody pays for time that nobody else wants.
    #[inline(never)]
    pub(super) fn charge_turn(&mut self, thread: &Thread, ran: Nanos) {
        let turn = &mut self.levels[usize::from(thread.schedule.priority)].turn;
        if turn.is_of(thread) {
            turn.left = turn.left.saturating_sub(ran);
        }
    }

    /// Returns the time that is left for a thread in the turn at its level, or in that which it has to begin, if others wait
    /// for theirs.
    #[inline(always)]
    pub(super) fn left_in_turn(&self, thread: &Thread) -> Option<Nanos> {
        let level = usize::from(thread.schedule.priority);
        if self.is_contested(level) { Some(self.left_of_contested(thread, level)) } else { None }
    }

    #[inline(never)]
    fn left_of_contested(&self, thread: &Thread, level: usize) -> Nanos {
        let turn = &self.levels[level].turn;
        if level == IDLE {
            Nanos::MAX
        } else if turn.is_of(thread) {
            turn.left
        } else {
            thread.schedule.quantum
        }
    }

    /// Lets a thread that a running one has woken go on in the turn of that one when it blocks, if both are at the same level
    /// then: the woken one may get another priority because of what has woken it.
    pub(super) fn hand_on(&mut self, by: &Thread, to: &Thread) {
        let level = usize::from(by.schedule.priority);
        self.enter_turn(by, level);
        let turn = &mut self.levels[level].turn;
        if level != IDLE && turn.holder != Some(to.coalition) {
            turn.heir = Some(to.id());
        }
    }

    /// Lets a thread go on at once in the turn of a running one of the same level that wakes it and blocks. Returns false if
    /// the turn is over, or if the holder has ready threads: then [`choose`](super::Scheduling::choose) finds out who is next.
    pub(super) fn lets_go_on(&mut self, by: &Thread, to: &Thread) -> bool {
        let level = usize::from(to.schedule.priority);
        let Level { threads, turn, .. } = &self.levels[level];
        let contested = self.is_contested(level);
        let has_turn = by.schedule.priority == to.schedule.priority && turn.left > 0 && turn.is_of(by);
        let lets = level != IDLE && threads.is_empty() && (!contested || has_turn);
        if lets && contested {
            self.hand_on(by, to);
        }
        lets
    }

    /// Panics unless the coalitions that wait at a level are those with ready threads; returns the number of the threads.
    pub(super) fn check_others(&self, threads: &Threads, number: usize, level: &Level) -> usize {
        let (mut waiting, mut ready) = (0, 0);
        for (id, ..) in self.coalitions.iter() {
            let queue = &self.coalitions.place(id, number).threads;
            if !queue.is_empty() {
                assert!(number != IDLE && level.turn.holder != Some(id), "{id:?} need not wait at level {number}");
                waiting += 1;
                ready += check_queue(threads, queue, number, Some(id));
            }
        }
        assert_eq!(level.others.len(), waiting, "the coalitions that wait at level {number}");
        ready
    }

    /// Returns all coalitions.
    pub(super) fn coalitions(&self) -> &Coalitions {
        &self.coalitions
    }

    /// Returns all coalitions.
    pub(super) fn coalitions_mut(&mut self) -> &mut Coalitions {
        &mut self.coalitions
    }
}

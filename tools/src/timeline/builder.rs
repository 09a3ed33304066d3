//! [`Builder`]: puts a [`Timeline`] together from events, in their order.

use super::model::{Charge, Message, Policy, Run, Task, Thread, Time, Timeline, Voucher};
use abi::event::{EventRecord, ObjectNumber, kind};
use abi::inspect::{MESSAGE_LINKED, MESSAGE_RAISED};
use std::collections::BTreeMap;

/// What happened in the present step.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// Its time and thread.
    key: (Time, u64),
    /// The messages that it sent, received, returned or destroyed.
    pub messages: Vec<usize>,
    /// The vouchers whose last reference it dropped.
    pub died: Vec<usize>,
    /// The tasks whose policy it changed.
    pub policies: Vec<u32>,
}

/// What is known of an inherit: the voucher that holds it, the message that it came with, and the last change.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holding {
    pub voucher: Option<usize>,
    pub message: Option<usize>,
    pub change: usize,
}

/// The state while events are put together.
#[derive(Debug, Default)]
pub(super) struct Builder {
    pub(super) timeline: Timeline,
    /// The thread that has each processor, since when and with which priority.
    running: BTreeMap<u16, (u64, Time, u64)>,
    /// The threads that wait for a processor, and since when.
    ready: BTreeMap<u64, Time>,
    /// The messages that have not ended, by number.
    pub(super) open_messages: BTreeMap<u64, usize>,
    /// The vouchers that exist, by number.
    pub(super) open_vouchers: BTreeMap<u64, usize>,
    /// The step: its time and thread, the messages that it sent or ended, and the vouchers that died in it. Boosts
    /// follow from them.
    pub(super) step: Step,
    /// What is known of inherits.
    pub(super) inherits: BTreeMap<ObjectNumber, Holding>,
    /// The vouchers that were made with each inherit, in this order.
    pub(super) sharers: BTreeMap<ObjectNumber, Vec<usize>>,
}

impl Builder {
    pub(super) fn add(&mut self, event: &EventRecord) {
        let key = (event.time, event.thread);
        if self.step.key != key {
            self.step = Step { key, ..Step::default() };
        }
        self.timeline.to = self.timeline.to.max(event.time);
        self.timeline.lost += u64::from(event.lost);
        *self.timeline.counts.entry(super::record::name_of(event.kind)).or_default() += 1;
        match event.kind {
            kind::TASK_BEGUN | kind::TASK_ENDED | kind::THREAD_BEGUN | kind::THREAD_ENDED => self.life(event),
            kind::THREAD_BLOCKED..=kind::PRIORITY_CHANGED => self.scheduling(event),
            kind::POLICY_CHANGED => {
                let [pid, boosted, donor, ..] = event.arguments;
                let policy = Policy { time: event.time, pid: pid as u32, boosted: boosted != 0, donor: donor != 0 };
                self.step.policies.push(policy.pid);
                self.timeline.policies.push(policy);
            }
            kind::MESSAGE_SENT..=kind::MESSAGE_DESTROYED => self.message(event),
            kind::VOUCHER_CREATED..=kind::VOUCHER_DIED => self.voucher(event),
            kind::BOOST_ADDED..=kind::BOOST_DELAYED => self.boost(event),
            kind::TIME_CHARGED => {
                let [thread, nanos, holder, merchant, _] = event.arguments;
                let (holder, merchant) = (holder as u32, merchant as u32);
                self.timeline.charges.push(Charge { time: event.time, thread, nanos, holder, merchant });
            }
            kind::NOTE => self.note(event),
            _ => {}
        }
    }

    fn thread(&mut self, number: u64) -> &mut Thread {
        self.timeline.threads.entry(number).or_insert_with(|| Thread { number, ..Thread::default() })
    }

    fn life(&mut self, event: &EventRecord) {
        let [first, second, name @ ..] = event.arguments;
        let pid = first as u32;
        match event.kind {
            kind::TASK_BEGUN => {
                let bytes: Vec<u8> =
                    name.iter().flat_map(|word| word.to_le_bytes()).filter(|&byte| byte != 0).collect();
                let name = String::from_utf8_lossy(&bytes).into_owned();
                let task = Task { pid, parent: second as u32, name, begun: event.time, ended: None };
                self.timeline.tasks.insert(pid, task);
            }
            kind::TASK_ENDED => {
                let task = self.timeline.tasks.entry(pid).or_insert_with(|| Task { pid, ..Task::default() });
                task.ended = Some(event.time);
            }
            kind::THREAD_BEGUN => {
                self.thread(first).pid = second as u32;
                self.ready.insert(first, event.time);
            }
            _ => {
                self.thread(first).pid = second as u32;
                self.leave_processor(first, event.time);
                self.ready.remove(&first);
            }
        }
    }

    /// Ends the run of a thread, if it has a processor.
    fn leave_processor(&mut self, thread: u64, to: Time) {
        let cpu = self.running.iter().find(|(_, (running, ..))| *running == thread).map(|(cpu, _)| *cpu);
        if let Some((_, from, priority)) = cpu.and_then(|cpu| self.running.remove(&cpu)) {
            self.thread(thread).runs.push(Run { from, to, priority });
        }
    }

    fn scheduling(&mut self, event: &EventRecord) {
        let [thread, first, second, ..] = event.arguments;
        match event.kind {
            kind::THREAD_BLOCKED => {
                self.leave_processor(thread, event.time);
                self.ready.remove(&thread);
            }
            kind::THREAD_PREEMPTED => {
                self.leave_processor(thread, event.time);
                self.ready.insert(thread, event.time);
            }
            kind::THREAD_WOKEN => {
                self.ready.entry(thread).or_insert(event.time);
            }
            kind::THREAD_CHOSEN => {
                if let Some((before, ..)) = self.running.get(&event.cpu) {
                    self.leave_processor(*before, event.time);
                }
                if thread != 0 {
                    if let Some(since) = self.ready.remove(&thread).filter(|&since| since < event.time) {
                        self.thread(thread).ready.push((since, event.time));
                    }
                    self.thread(thread);
                    self.running.insert(event.cpu, (thread, event.time, first));
                }
            }
            kind::PRIORITY_CHANGED => {
                let bases = &mut self.thread(thread).bases;
                if bases.is_empty() {
                    bases.push((0, first));
                }
                bases.push((event.time, second));
            }
            _ => {}
        }
    }

    fn message(&mut self, event: &EventRecord) {
        let [number, port, third, fourth, fifth] = event.arguments;
        if event.kind == kind::MESSAGE_SENT {
            let flags = fifth as u32;
            let message = Message {
                number,
                port,
                id: third as u32 as i32,
                sender: event.thread,
                sent: event.time,
                receiver: None,
                ended: None,
                fate: "",
                voucher_sent: fourth,
                voucher_received: 0,
                linked: flags & MESSAGE_LINKED != 0,
                raised: flags & MESSAGE_RAISED != 0,
            };
            let place = self.timeline.messages.len();
            self.timeline.messages.push(message);
            self.open_messages.insert(number, place);
            self.step.messages.push(place);
            return;
        }
        let Some(&place) = self.open_messages.get(&number) else { return };
        if event.kind == kind::MESSAGE_QUEUED {
            return;
        }
        self.step.messages.push(place);
        let message = &mut self.timeline.messages[place];
        message.ended = Some(event.time);
        message.fate = match event.kind {
            kind::MESSAGE_RECEIVED => "received",
            kind::MESSAGE_RETURNED => "returned",
            _ => "destroyed",
        };
        if event.kind == kind::MESSAGE_RECEIVED {
            message.receiver = Some(third);
            message.voucher_received = fourth;
        }
        self.open_messages.remove(&number);
    }

    fn voucher(&mut self, event: &EventRecord) {
        // The other one is an inherit or a thread.
        let [number, other, ..] = event.arguments;
        match event.kind {
            kind::VOUCHER_CREATED => {
                let place = self.timeline.vouchers.len();
                let voucher =
                    Voucher { number, maker: event.thread, boosts: 0, from: event.time, to: None, adopted: Vec::new() };
                self.timeline.vouchers.push(voucher);
                self.open_vouchers.insert(number, place);
                if other != 0 {
                    self.sharers.entry(other).or_default().push(place);
                }
            }
            kind::VOUCHER_DIED => {
                if let Some(place) = self.open_vouchers.remove(&number) {
                    self.timeline.vouchers[place].to = Some(event.time);
                    self.step.died.push(place);
                    self.pass_on(place);
                }
            }
            kind::VOUCHER_ADOPTED => {
                for voucher in &mut self.timeline.vouchers {
                    let open = voucher.adopted.iter_mut().filter(|(by, _, to)| *by == other && to.is_none());
                    open.for_each(|(_, _, to)| *to = Some(event.time));
                }
                if let Some(&place) = self.open_vouchers.get(&number) {
                    self.timeline.vouchers[place].adopted.push((other, event.time, None));
                }
            }
            _ => {}
        }
    }

    pub(super) fn finish(mut self) -> Timeline {
        let end = self.timeline.to;
        let running: Vec<u64> = self.running.values().map(|(thread, ..)| *thread).collect();
        running.into_iter().for_each(|thread| self.leave_processor(thread, end));
        self.timeline
    }
}
